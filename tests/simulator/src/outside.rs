//! Those outside: members' browsers, which repeat a request with its key until there is an answer, and
//! administrators.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::member::place;
use crate::member_state::Record;
use crate::message::{Answer, Change, KeyCall, Order, Party, ReadCode, RedeemCall, Reply, Request, Ring, Wish};
use crate::outcome::Violation;
use crate::scenario::{Action, Redeem, What};
use crate::step::{Fault as Kind, Step};
use crate::world::World;
use counterfoil_core::ids::Rid;
use counterfoil_core::reward::RewardRecord;
use counterfoil_core::wire::{RedemptionStatus, RewardDefinition, RewardState};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::rc::Rc;

const PATIENCE_MS: i64 = 15_000;
/// How often an administrator looks whether a revocation is in force.
const LOOKS: u32 = 8;

impl World {
    /// Carries an action out; `number` tells who it is.
    pub(crate) fn act(self: &Rc<Self>, number: usize, action: Action) {
        let world = Rc::clone(self);
        let party = Party::Outside(number);
        match action.what {
            What::Redeem(redeem) => {
                for _ in 0..redeem.tabs {
                    let (world, redeem) = (Rc::clone(self), redeem.clone());
                    self.spawn(party, async move { world.redeem(number, redeem, true).await });
                }
            }
            What::Order { member, wish, pick, tries, definition } => {
                self.spawn(party, async move {
                    let Some(order) = world.order(number, member, wish, pick, definition) else {
                        return;
                    };
                    world.oracle.borrow_mut().ordered(&order);
                    for _ in 0..tries {
                        let request = Request::Operate(Rc::clone(&order));
                        let answer = world.ask(Party::Member(member), Step::Operate, request).await;
                        if let Ok(Reply::Operated(done)) = answer {
                            let checked = world.oracle.borrow_mut().operated(&world, member, &order, &done);
                            if let Err(violation) = checked {
                                world.violated(violation);
                            }
                            return;
                        }
                        world.delay(1_000).await;
                    }
                });
            }
            What::Stock { pool, stocking, tries } => self.spawn(party, async move {
                for _ in 0..tries {
                    let request = Request::Stock(stocking.clone());
                    if world.ask(Party::Pool(pool), Step::Stock, request).await.is_ok() {
                        return;
                    }
                }
            }),
            What::Till { member, call, tries } => self.spawn(party, async move {
                for _ in 0..tries {
                    let answer = world.ask(Party::Member(member), Step::Till, Request::Till(Rc::clone(&call))).await;
                    if let Ok(Reply::Till(answer)) = answer {
                        let checked = world.oracle.borrow_mut().at_till(&world, member, &call, &answer);
                        if let Err(violation) = checked {
                            world.violated(violation);
                        }
                        return;
                    }
                    world.delay(500).await;
                }
            }),
            What::Checkout { member, call, tries } => self.spawn(party, async move {
                for _ in 0..tries {
                    let request = Request::Checkout(Rc::clone(&call));
                    let answer = world.ask(Party::Member(member), Step::Checkout, request).await;
                    if let Ok(Reply::Checkout(answer)) = answer {
                        let checked = world.oracle.borrow().at_checkout(&world, member, &call, &answer);
                        if let Err(violation) = checked {
                            world.violated(violation);
                        }
                        return;
                    }
                    world.delay(500).await;
                }
            }),
            What::Test => self.spawn(party, async move {
                let _ = world.ask(Party::Merchant, Step::Test, Request::EndpointTested).await;
            }),
            What::Erase { member, tries } => self.spawn(party, async move {
                for _ in 0..tries {
                    if world.ask(Party::Member(member), Step::Erase, Request::Erase).await.is_ok() {
                        let state = world.members.get(member).map(|disk| disk.safe()).unwrap_or_default();
                        if state.erasures == 0 {
                            world.violated(Violation::new(
                                "I4",
                                format!("M{member}: an acknowledged erasure is not done"),
                            ));
                        }
                        return;
                    }
                    world.delay(1_000).await;
                }
            }),
            What::Keys { call, tries } => self.spawn(party, async move { world.keys(call, tries).await }),
            What::Administer { campaign, change, tries } => self.spawn(party, async move {
                for _ in 0..tries {
                    // The Worker asks which epoch mints.
                    let mut change = change.clone();
                    if let Change::Mint(_, epoch) = &mut change {
                        let Some(minting) = world.ask_keys(KeyCall::Read).await.and_then(|ring| ring.minting) else {
                            continue;
                        };
                        *epoch = minting;
                    }
                    let request = Request::Administer(change.clone());
                    let answer = world.ask(Party::Campaign(campaign), Step::Administer, request).await;
                    if let Ok(Reply::Administered { version, in_force }) = answer {
                        world.check_in_force(campaign, (version, in_force), &change);
                        return;
                    }
                }
            }),
        }
    }

    /// What an order is about: something of the member's that it fits, where there is such a thing, or anything.
    fn order(
        &self,
        number: usize,
        member: usize,
        wish: Wish,
        pick: u64,
        definition: Rc<RewardDefinition>,
    ) -> Option<Rc<Order>> {
        let order = |rid, index, definition| Some(Rc::new(Order { wish, rid, index, definition }));
        if wish == Wish::Give {
            let mref = self.mrefs.get(member)?;
            // By number: the same order again is the same gift.
            let rid = Rid::derive(mref, "admin", "alice", "POST /v1/members/rewards", &format!("gift-{number}"));
            return order(rid, 0, Some(definition));
        }
        let state = self.members.get(member)?.safe();
        let all: Vec<(Rid, u8, bool)> = state
            .redemptions
            .iter()
            .flat_map(|(rid, record)| {
                let rewards = state.rewards.range((*rid, 0)..=(*rid, u8::MAX));
                let mut found: Vec<(Rid, u8, bool)> =
                    rewards.map(|((rid, index), held)| (*rid, *index, fits(wish, record, Some(held)))).collect();
                if found.is_empty() {
                    found.push((*rid, 0, fits(wish, record, None)));
                }
                found
            })
            .collect();
        let fitting: Vec<&(Rid, u8, bool)> = all.iter().filter(|(_, _, fits)| *fits).collect();
        let pick = usize::try_from(pick).unwrap_or(0);
        let chosen = match fitting.len() {
            0 => all.get(pick.checked_rem(all.len())?)?,
            many => fitting.get(pick.checked_rem(many)?)?,
        };
        order(chosen.0, chosen.1, None)
    }

    /// An administrator rotates or revokes, and waits until that is in force.
    async fn keys(self: &Rc<Self>, call: KeyCall, tries: u32) {
        if let KeyCall::Rotate(key) = &call {
            self.oracle.borrow_mut().keys.rotations.insert(key.clone());
        }
        for _ in 0..tries {
            if self.ask_keys(call.clone()).await.is_some() {
                break;
            }
            self.delay(500).await;
        }
        let KeyCall::Revoke(epoch) = call else { return };
        for _ in 0..LOOKS {
            let ring = self.ask_keys(KeyCall::Read).await;
            if ring.is_some_and(|ring| ring.revoked.contains(&(epoch, true))) {
                return;
            }
            self.delay(2_000).await;
        }
    }

    async fn ask_keys(self: &Rc<Self>, call: KeyCall) -> Option<Ring> {
        let before = self.oracle.borrow().keys.revoked.clone();
        let revoke = if let KeyCall::Revoke(epoch) = &call { Some(*epoch) } else { None };
        let Ok(Reply::Keys(ring)) = self.ask(Party::Merchant, Step::Keys, Request::Keys(call)).await else {
            return None;
        };
        self.oracle.borrow_mut().keys.revoked.extend(revoke);
        let checked = self.oracle.borrow_mut().shown_keys(self, &ring, &before);
        if let Err(violation) = checked {
            self.violated(violation);
        }
        Some(ring)
    }

    pub(crate) async fn ask(self: &Rc<Self>, to: Party, step: Step, request: Request) -> Result<Reply, Fault> {
        let asking = self.call(to, step, request);
        match select(asking, pin!(self.delay(PATIENCE_MS))).await {
            Either::Left((answer, _)) => answer.unwrap_or(Err(Fault("the connection broke"))),
            Either::Right(_) => Err(Fault("no answer in time")),
        }
    }

    /// Others who ask just now: the same person in another tab, the same key for something else, somebody else
    /// with the same code.
    fn meet(self: &Rc<Self>, number: usize, redeem: &Redeem) {
        let once = |member: usize, call: &Rc<RedeemCall>| Redeem {
            member,
            call: Rc::clone(call),
            tries: 1,
            again: false,
            ..redeem.clone()
        };
        let Redeem { member, call, other, rival, .. } = redeem;
        if let Some(till) = &redeem.till
            && self.strikes(Step::Redeem, Kind::TwoTills)
        {
            self.spawn(Party::Outside(number), Rc::clone(self).redeem(number, once(*member, till), false));
        }
        let others = [
            (Kind::TwoTabs, once(*member, call)),
            (Kind::OtherBody, once(*member, other)),
            (Kind::TwoMembers, once(rival.0, &rival.1)),
        ];
        for (fault, redeem) in others {
            if self.strikes(Step::Redeem, fault) {
                self.spawn(Party::Outside(number), Rc::clone(self).redeem(number, redeem, false));
            }
        }
    }

    /// The Worker reads the code again at each request: epochs are revoked by its deployment.
    pub(crate) fn read(&self, call: &RedeemCall) -> Rc<RedeemCall> {
        let epoch_revoked = self.epoch_revoked.get();
        let typed = if self.has(Defect::TagUnchecked) { Some(call.typed) } else { call.code };
        let code = typed.map(|code| ReadCode { epoch_revoked, shard: self.hint(call, &code), ..code });
        Rc::new(RedeemCall { code, ..call.clone() })
    }

    /// The shard that the Worker believes to keep a code's uses: what it knows of the layout may be old.
    fn hint(&self, call: &RedeemCall, code: &ReadCode) -> u32 {
        let campaign = self.campaigns.get(place(code.campaign)).map(|disk| Rc::clone(&disk.safe().rules));
        let Some(rules) = campaign.filter(|rules| rules.shards > 1) else { return 0 };
        let keeper = rules.shard_of(code.seq, &call.rid.mref());
        match self.random_u32() % 4 {
            0 => 0,
            1 => (keeper + 1) % rules.shards,
            _ => keeper,
        }
    }

    pub(crate) async fn redeem(self: Rc<Self>, number: usize, redeem: Redeem, meets: bool) {
        let Redeem { member, call, tries, mut again, .. } = redeem.clone();
        for attempt in 0..tries {
            if meets {
                self.meet(number, &redeem);
            }
            self.oracle.borrow_mut().asked(&call, self.now());
            let request = Request::Redeem(self.read(&call));
            let answer = self.ask(Party::Member(member), Step::Redeem, request).await;
            let pause_ms = match answer {
                Ok(Reply::Answer(answer)) => {
                    let checked = self.oracle.borrow_mut().answered(&self, member, &call, &answer);
                    if let Err(violation) = checked {
                        return self.violated(violation);
                    }
                    match answer {
                        Answer::Failed(_) => 500 << attempt,
                        Answer::Accepted => 3_000,
                        Answer::Created(_)
                        | Answer::Refused(_)
                        | Answer::KeyReused
                        | Answer::NotFound
                        | Answer::Overflow
                            if again =>
                        {
                            again = false;
                            1_000
                        }
                        Answer::Created(_)
                        | Answer::Refused(_)
                        | Answer::KeyReused
                        | Answer::NotFound
                        | Answer::Overflow => return,
                    }
                }
                Ok(_) | Err(_) => 500 << attempt,
            };
            self.delay(pause_ms).await;
        }
    }

    /// "In force" is said only when every shard has it.
    fn check_in_force(&self, campaign: usize, (version, in_force): (u32, bool), change: &Change) {
        if !in_force {
            return;
        }
        for (_, shard) in self.shards_of(campaign) {
            if let Some(rules) = shard.rules.as_ref().filter(|rules| rules.version < version) {
                let what = format!("C{campaign} says version {version} is in force; a shard has {}", rules.version);
                self.violated(Violation::new("rules", what));
            }
        }
        self.oracle.borrow_mut().limits.said_in_force(campaign, version, change);
    }
}

/// Whether an operator or a player would wish this here.
fn fits(wish: Wish, record: &Record, held: Option<&RewardRecord>) -> bool {
    let state = held.map(RewardRecord::state);
    let status = record.doc.status;
    let undecided = matches!(status, RedemptionStatus::Redeeming | RedemptionStatus::RedeemFailed);
    let unfinished = matches!(status, RedemptionStatus::Granting | RedemptionStatus::GrantFailed);
    match wish {
        Wish::Claim | Wish::ClaimFor => state == Some(RewardState::Unclaimed),
        Wish::Activate | Wish::ActivateFor => state == Some(RewardState::PendingActivation),
        Wish::Decline => matches!(state, Some(RewardState::Unclaimed | RewardState::PendingActivation)),
        Wish::Retry => undecided || status == RedemptionStatus::GrantFailed,
        Wish::RetryReward => state == Some(RewardState::Failed),
        Wish::ResolveGranted => unfinished,
        Wish::ResolveCancelled { .. } => undecided || unfinished,
        Wish::Reset { tester } => tester || status == RedemptionStatus::Cancelled,
        Wish::Delete => state.is_some_and(|state| state != RewardState::InProgress),
        Wish::Reverse { .. } => status == RedemptionStatus::Granted,
        Wish::Give => true,
    }
}
