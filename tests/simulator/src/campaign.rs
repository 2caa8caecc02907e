//! A Campaign's shell, as `edge/src/campaign.rs` runs it: rules change in versions and reach the shards.

use crate::campaign_portions::Portions;
use crate::campaign_state::CampaignState;
use crate::defect::Defect;
use crate::disk::{Disk, Fault, Storage};
use crate::due::{Item, Net};
use crate::message::{Change, Party, Reply, Request};
use crate::step::Step;
use crate::world::World;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::time::Instant;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use std::pin::pin;
use std::rc::Rc;

const SHARD_WAIT_MS: i64 = 8_000;

/// See the module.
pub(crate) struct Campaign {
    pub(crate) world: Rc<World>,
    number: usize,
    pub(crate) storage: Storage<CampaignState>,
    pub(crate) portions: Portions,
}

impl Campaign {
    pub(crate) fn new(world: &Rc<World>, number: usize, disk: &Rc<Disk<CampaignState>>) -> Self {
        let storage = Storage::new(disk, world, Party::Campaign(number));
        Self { world: Rc::clone(world), number, storage, portions: Portions::default() }
    }

    pub(crate) fn now(&self) -> Instant {
        self.world.clock(Party::Campaign(self.number))
    }

    pub(crate) async fn answer(self: Rc<Self>, request: Request) -> Result<Reply, Fault> {
        let now = self.now();
        if self.storage.read()?.due.needs_healing(now, self.world.defect) {
            self.storage.write(|state| state.due.heal(now))?;
        }
        match request {
            Request::Administer(change) => self.administer(&change).await,
            Request::Pull { shard } => self.storage.transaction(Step::Register, |state| {
                let version = state.rules.version;
                // One that works by older rules has these only once it says so: the answer can be lost.
                let known = state.shards.entry(shard).or_insert(version);
                if self.world.has(Defect::PullRegisters) {
                    *known = version;
                }
                Ok(Reply::Pulled(Some(Rc::clone(&state.rules))))
            }),
            Request::Revoked(epochs) => {
                self.storage.transaction(Step::Change, |state| {
                    if state.revoke(&epochs) {
                        self.plan_push(state);
                    }
                    Ok(())
                })?;
                self.pushed().await
            }
            Request::Ask { shard, version, ask } => self.allotted(shard, version, ask).await,
            Request::Returned { shard, portions } => self.returned(shard, &portions),
            Request::Read => Ok(Reply::Done),
            Request::Redeem(_)
            | Request::Inquire { .. }
            | Request::Recognise { .. }
            | Request::Prepare { .. }
            | Request::Settle { .. }
            | Request::Settled { .. }
            | Request::Undo { .. }
            | Request::HandBack { .. }
            | Request::Rules(_)
            | Request::Keys(_)
            | Request::Erase
            | Request::Report(_)
            | Request::EndpointFor { .. }
            | Request::EndpointResult { .. }
            | Request::EndpointTested
            | Request::Hurry
            | Request::Webhook(_)
            | Request::Callback { .. }
            | Request::Operate(_)
            | Request::Take { .. }
            | Request::InquirePool { .. }
            | Request::Stock(_)
            | Request::Till(_)
            | Request::Checkout(_)
            | Request::Preview { .. } => Err(Fault("not asked of a campaign")),
        }
    }

    async fn administer(&self, change: &Change) -> Result<Reply, Fault> {
        self.storage.transaction(Step::Change, |state| {
            if state.change(change, self.world.defect) && !self.world.has(Defect::PushUnplanned) {
                self.plan_push(state);
            }
            Ok(())
        })?;
        self.pushed().await
    }

    /// Pushes the present rules, and answers whether they are in force.
    async fn pushed(&self) -> Result<Reply, Fault> {
        self.push().await?;
        let state = self.storage.read()?;
        let version = state.rules.version;
        Ok(Reply::Administered {
            version,
            in_force: state.behind(version).is_empty() || self.world.has(Defect::InForceEarly),
        })
    }

    /// Pushes the present rules to the shards that work by older ones. What fails is tried again by the alarm.
    async fn push(&self) -> Result<(), Fault> {
        let rules = Rc::clone(&self.storage.read()?.rules);
        let behind = self.storage.read()?.behind(rules.version);
        let asked = behind.into_iter().map(|shard| (shard, Request::Rules(Rc::clone(&rules)))).collect();
        self.ask_each(Step::Push, asked, |shard, reply| {
            let Reply::Version(version) = reply else { return Ok(()) };
            self.storage.transaction(Step::Acknowledge, |state| {
                if let Some(known) = state.shards.get_mut(&shard).filter(|known| **known < version) {
                    *known = version;
                }
                Ok(())
            })
        })
        .await?;
        self.storage.write(|state| {
            // The rules may have changed meanwhile.
            let version = if self.world.has(Defect::PushForgotten) { rules.version } else { state.rules.version };
            if state.behind(version).is_empty() {
                state.due.done(Item::Push);
            } else {
                self.plan_push(state);
            }
        })
    }

    /// Asks several shards at once, for so long in all.
    pub(crate) async fn ask_each(
        &self,
        step: Step,
        asked: Vec<(u32, Request)>,
        mut take: impl FnMut(u32, Reply) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let asking: FuturesUnordered<_> = asked
            .into_iter()
            .map(|(shard, request)| {
                let answer = self.world.call(Party::Shard(self.world.shard_at(self.number, shard)), step, request);
                async move { (shard, answer.await.unwrap_or(Err(Fault("the connection broke")))) }
            })
            .collect();
        let (mut answers, mut over) = (asking, pin!(self.world.delay(SHARD_WAIT_MS)));
        loop {
            match select(answers.next(), over.as_mut()).await {
                Either::Left((Some((shard, Ok(reply))), _)) => take(shard, reply)?,
                Either::Left((Some((_, Err(_))), _)) => {}
                Either::Left((None, _)) | Either::Right(_) => return Ok(()),
            }
        }
    }

    /// Plans a push, where some shard lacks the rules.
    fn plan_push(&self, state: &mut CampaignState) {
        if !state.behind(state.rules.version).is_empty() {
            let now = self.now();
            state.due.plan(Item::Push, now.plus_ms(backoff_ms(0, self.world.random_u32())), now);
        }
    }

    pub(crate) async fn ring(&self) -> Result<(), Fault> {
        let (party, now, defect) = (Party::Campaign(self.number), self.now(), self.world.defect);
        let items = self.storage.transaction(Step::CampaignAlarm, |state| Ok(state.due.take(now, defect)))?;
        for item in items {
            let done = match item {
                Item::Push => self.push().await,
                Item::Open(_)
                | Item::Pending
                | Item::Reward(..)
                | Item::Undo(_)
                | Item::Report
                | Item::Returns
                | Item::Hold(_)
                | Item::Wake
                | Item::Campaigns
                | Item::Erase => self.storage.write(|state| state.due.done(item)),
            };
            self.world.survive(party, &self.storage, item, done);
        }
        if Net::of(defect) != Net::Never {
            let now = self.now();
            self.storage.write(|state| state.due.rearm(now))?;
        }
        Ok(())
    }
}
