//! CodeShard: which seqs of a campaign are used, and by which redemption.
//!
//! Arriving intents commit in groups, each in a transaction of its own within one turn.

use crate::answer::{Answer, finish, finish_alarm};
use crate::calls::{
    CampaignOp, Count, MemberCall, MemberOp, Objects, PreviewAnswer, Pulled, Recognised, ShardOp, VersionAnswer,
    Violations, read_call, read_json,
};
use crate::config::Config;
use crate::due;
use crate::group::Group;
use crate::platform::{Fault, SyncStorage, now, random_u32};
use crate::shard_store::ShardStore;
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::INQUIRE_AFTER_MS;
use counterfoil_core::protocol::shard::{PendingStep, PrepareStep, ShardView, prepare, settle, undo};
use counterfoil_core::protocol::{Fate, Intent, PrepareAnswer, backoff_ms};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::rules::{Facts, Rules, evaluate, recognised};
use counterfoil_core::time::Instant;
use counterfoil_core::verify::{self, Report, Violation};
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{Preview, PreviewCampaign, PreviewReward, PreviewRule, Verdict};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use worker::{Delay, DurableObject, Env, Request, Response, State, durable_object};

/// The rules are pulled again for an unknown seq at most this often.
const PULL_AGAIN_MS: i64 = 1_000;
/// Longest wait for a Member's word; it is asked again later.
const MEMBER_WAIT: Duration = Duration::from_secs(8);
/// How long after a hold's end its Member is asked, which has an alarm of its own for it.
const HOLD_GRACE_MS: i64 = 5_000;
/// The one item of this object's due-table.
const PENDING_ITEM: &str = "pending";

/// See the module.
#[durable_object(alarm)]
pub struct CodeShard {
    inner: Rc<Inner>,
}

struct Inner {
    state: State,
    env: Env,
    storage: SyncStorage,
    healed: due::Healed,
    name: RefCell<Option<String>>,
    rules: RefCell<Option<Rc<Rules>>>,
    pulled_at: Cell<Option<Instant>>,
    group: Group<Intent, PrepareAnswer>,
    settled: RefCell<Vec<(Rid, Fingerprint)>>,
}

impl DurableObject for CodeShard {
    fn new(state: State, env: Env) -> Self {
        let storage = SyncStorage::of(&state);
        let inner = Inner {
            state,
            env,
            storage,
            healed: due::Healed::default(),
            name: RefCell::new(None),
            rules: RefCell::new(None),
            pulled_at: Cell::new(None),
            group: Group::default(),
            settled: RefCell::new(Vec::new()),
        };
        if let Err(fault) = inner.load() {
            fault.log("shard_failed");
        }
        Self { inner: Rc::new(inner) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        finish(self.answer(&mut request).await, "code shard")
    }

    async fn alarm(&self) -> worker::Result<Response> {
        finish_alarm(self.inner.ring().await)
    }
}

impl CodeShard {
    async fn answer(&self, request: &mut Request) -> Result<Answer, Fault> {
        let call = read_call::<ShardOp>(request).await?;
        let inner = &self.inner;
        inner.remember_name(&call.name)?;
        due::heal(&inner.storage, &inner.healed)?;
        match call.op {
            ShardOp::Prepare { intent } => {
                if let Some(code) = intent.code() {
                    inner.know(&code.facts).await?;
                }
                let reply = inner.enqueue(intent).await?;
                Answer::json(200, &reply)
            }
            ShardOp::Recognise { facts } => {
                inner.know(&facts).await?;
                Answer::json(200, &Recognised { recognised: recognised(inner.rules().as_deref(), &facts) })
            }
            ShardOp::Preview { facts, mref } => {
                inner.know(&facts).await?;
                // What a checkout has used in the meantime is not held any more.
                inner.close_settled();
                Answer::json(200, &PreviewAnswer { preview: inner.preview(&facts, &mref)? })
            }
            ShardOp::Settle { rid, fp, fate, deadline } => {
                match fate {
                    // The same command may be here again by now: what came too late is asked about.
                    _ if deadline.is_some_and(|deadline| deadline < now()) => {}
                    // The pending row goes with the next group: one commit less for each redemption.
                    Fate::Committed => inner.settled.borrow_mut().push((rid, fp)),
                    Fate::Aborted | Fate::Held { .. } => {
                        inner.storage.transaction(|| inner.close(&rid, &fp, fate))?;
                        inner.plan_inquiry()?;
                    }
                    Fate::Running => {}
                }
                Answer::json(200, &serde_json::json!({}))
            }
            ShardOp::Settled { items } => {
                // As above: they go with the next group.
                inner.settled.borrow_mut().extend(items);
                Answer::json(200, &serde_json::json!({}))
            }
            ShardOp::Undo { rid, seq } => {
                inner.storage.transaction(|| inner.undo(&rid, seq))?;
                Answer::json(200, &serde_json::json!({}))
            }
            ShardOp::Rules { rules } => Answer::json(200, &VersionAnswer { version: inner.adopt(rules)? }),
            ShardOp::Count => Answer::json(200, &Count { redeemed: inner.store().total()? }),
            ShardOp::Verify => Answer::json(200, &Violations { violations: inner.verify()? }),
        }
    }
}

impl Inner {
    fn store(&self) -> ShardStore<'_> {
        ShardStore(&self.storage)
    }

    fn load(&self) -> Result<(), Fault> {
        self.store().create()?;
        *self.name.borrow_mut() = self.store().name()?;
        *self.rules.borrow_mut() = self.store().rules()?.map(Rc::new);
        Ok(())
    }

    fn rules(&self) -> Option<Rc<Rules>> {
        self.rules.borrow().clone()
    }

    fn remember_name(&self, name: &str) -> Result<(), Fault> {
        if self.name.borrow().is_none() {
            self.store().set_name(name)?;
            *self.name.borrow_mut() = Some(name.to_owned());
        }
        Ok(())
    }

    /// This object's campaign: `merchant/campaign`, and its own number.
    fn campaign(&self) -> Result<(String, u32), Fault> {
        let name = self.name.borrow().clone().ok_or_else(|| Fault::new("a shard without a name"))?;
        let (campaign, shard) = name.rsplit_once('/').ok_or_else(|| Fault::new("a shard with a bad name"))?;
        Ok((campaign.to_owned(), shard.parse().map_err(|_| Fault::new("a shard with a bad number"))?))
    }

    fn merchant(&self) -> Result<MerchantId, Fault> {
        let (campaign, _) = self.campaign()?;
        let (merchant, _) = campaign.split_once('/').ok_or_else(|| Fault::new("a shard without a merchant"))?;
        MerchantId::new(merchant).map_err(|_| Fault::new("a shard with a bad merchant"))
    }

    /// Takes newer rules; never goes back. Answers the version that counts.
    fn adopt(&self, rules: Rules) -> Result<u32, Fault> {
        let known = self.rules.borrow().as_ref().map_or(0, |rules| rules.version);
        if rules.version > known {
            self.store().set_rules(&rules)?;
            let version = rules.version;
            *self.rules.borrow_mut() = Some(Rc::new(rules));
            return Ok(version);
        }
        Ok(known)
    }

    /// Pulls the rules when there are none yet, or when this code is not known: it may have been minted since.
    async fn know(&self, facts: &Facts) -> Result<(), Fault> {
        let recent = self.pulled_at.get().is_some_and(|at| at.plus_ms(PULL_AGAIN_MS) > now());
        if recognised(self.rules().as_deref(), facts) || recent {
            return Ok(());
        }
        let (campaign, shard) = self.campaign()?;
        let pulled: Pulled =
            read_json(Objects(&self.env).campaign(&campaign, &CampaignOp::Pull { shard }).await?).await?;
        if let Some(rules) = pulled.rules {
            self.adopt(rules)?;
        }
        // Last: rules that could not be stored are pulled again at once, not taken for "never issued".
        self.pulled_at.set(Some(now()));
        Ok(())
    }

    /// Joins the group under way, or commits at once when idle.
    async fn enqueue(self: &Rc<Self>, intent: Intent) -> Result<PrepareAnswer, Fault> {
        let inner = Rc::clone(self);
        self.group.join(&self.state, intent, move || inner.commit_group()).await
    }

    /// One turn: settles what was decided, then each waiting intent in its own transaction. Everything becomes
    /// durable together, and no answer leaves before.
    fn commit_group(&self) {
        self.close_settled();
        for (intent, sender) in self.group.take() {
            let answer = self.storage.transaction(|| self.prepare(&intent));
            // A receiver that is gone lost nothing: its Member asks again, or this shard asks the Member.
            let _ = sender.send(answer);
        }
        self.group.written(&self.state, &self.storage);
    }

    /// Closes what Members have told. When it fails the rows stay pending, and the alarm asks the Members.
    fn close_settled(&self) {
        let settled = self.settled.take();
        if settled.is_empty() {
            return;
        }
        let closing = self.storage.transaction(|| self.store().commit_all(&settled));
        if let Err(fault) = closing {
            fault.log("shard_failed");
        }
    }

    fn prepare(&self, intent: &Intent) -> Result<PrepareAnswer, Fault> {
        let store = self.store();
        let facts = &intent.code().ok_or_else(|| Fault::new("an intent about no code"))?.facts;
        let rules = self.rules();
        let command = (intent.rid.as_bytes().as_slice(), intent.fp.as_bytes().as_slice());
        let look = store.look(command, facts, &intent.rid.mref(), rules.as_deref())?;
        if look.buried {
            // Decided and given back: this message is an old one.
            return Ok(PrepareAnswer::Late);
        }
        let config = Config::of(&self.env)?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let view = ShardView {
            rules: rules.as_deref(),
            pending: look.pending,
            other_pending: look.other_pending,
            used_by_rid: look.used_by_rid,
            usage: look.usage,
        };
        match prepare(&view, intent, now(), |rid| names.redemption(rid)) {
            PrepareStep::Answer(answer) => Ok(answer),
            PrepareStep::AskFirst => {
                store.ask_now(&intent.rid.mref(), now())?;
                due::plan(&self.storage, PENDING_ITEM, now())?;
                Ok(PrepareAnswer::Late)
            }
            PrepareStep::Consume(prepared) => {
                let at = now();
                let ask_at = at.plus_ms(INQUIRE_AFTER_MS);
                store.consume(intent, &prepared, ask_at)?;
                // What is planned may be the pause of an older row, which can be a minute.
                if due::next(&self.storage)?.is_none_or(|next| next > ask_at) {
                    due::plan(&self.storage, PENDING_ITEM, ask_at)?;
                }
                Ok(PrepareAnswer::Prepared(prepared))
            }
        }
    }

    /// Ends a pending row by the Member's word.
    fn close(&self, rid: &Rid, fp: &Fingerprint, fate: Fate) -> Result<(), Fault> {
        let store = self.store();
        let pending = store.is_pending(rid, fp)?;
        match settle(pending, fate) {
            PendingStep::Commit => store.commit(rid, fp),
            PendingStep::GiveBack => store.give_back(rid, fp),
            PendingStep::Hold { until } => {
                let now = now();
                // The Member ends it by its own alarm; this one is for what gets lost.
                store.hold(rid, fp, until, until.max(now).plus_ms(HOLD_GRACE_MS))
            }
            PendingStep::Keep => Ok(()),
        }
    }

    /// A decided use is given back. Repeats find nothing and are acknowledged again.
    fn undo(&self, rid: &Rid, seq: u32) -> Result<(), Fault> {
        let store = self.store();
        store.bury(rid, now())?;
        let pending = store.pending_seqs(rid)?;
        let step = undo(store.uses(seq, rid)?, !pending.is_empty());
        if step.drop_pending {
            // Prepared for another command under the same key, it may be another code's use.
            for pending_seq in pending {
                store.drop_use(pending_seq, rid)?;
            }
            store.drop_pending(rid)?;
        }
        if step.drop_use {
            store.drop_use(seq, rid)?;
        }
        Ok(())
    }

    /// Checks this shard's invariants.
    fn verify(&self) -> Result<Vec<Violation>, Fault> {
        let (campaign, shard) = self.campaign()?;
        let number = campaign.rsplit_once('/').map_or(campaign.as_str(), |(_, number)| number);
        let mut report = Report::of(&format!("campaign/{number}/shard/{shard}"));
        let rules = self.rules();
        let mut facts = self.store().facts(rules.as_deref().and_then(|rules| rules.uses_per_code))?;
        facts.total = rules.and_then(|rules| rules.total);
        verify::shard(&facts, &mut report);
        Ok(report.into_violations())
    }

    fn preview(&self, facts: &Facts, mref: &Mref) -> Result<Option<Preview>, Fault> {
        let Some(rules) = self.rules().filter(|rules| recognised(Some(rules), facts)) else { return Ok(None) };
        let config = Config::of(&self.env)?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let usage = self.store().look((&[], &[]), facts, mref, Some(&rules))?.usage;
        let verdicts = evaluate(&rules, facts, None, &usage, |rid| names.redemption(rid));
        let refusal: Option<Refusal> = verdicts.iter().find_map(|(_, refusal)| refusal.clone());
        let listed = verdicts.into_iter().map(|(rule, refusal)| PreviewRule {
            rule: rule.to_owned(),
            passed: refusal.is_none(),
            detail: refusal.map(|refusal| refusal.detail()),
        });
        let recognised_rule = PreviewRule { rule: "code_not_recognised".to_owned(), passed: true, detail: None };
        Ok(Some(Preview {
            would: if refusal.is_none() { Verdict::Redeem } else { Verdict::Refuse },
            refusal,
            reward: PreviewReward {
                name: rules.reward.name.clone(),
                kind: rules.reward.kind,
                value: rules.reward.value.clone(),
            },
            campaign: PreviewCampaign { name: rules.name.clone(), ends_at: rules.ends_at },
            rules: std::iter::once(recognised_rule).chain(listed).collect(),
        }))
    }

    /// The alarm: asks the Members of intents that have waited too long what became of them.
    async fn ring(&self) -> Result<(), Fault> {
        let items = due::take(&self.storage)?;
        if items.iter().any(|item| item == PENDING_ITEM) {
            self.close_settled();
            for overdue in self.store().overdue(now())? {
                let member = format!("{}/{}", self.merchant()?.as_str(), overdue.intent.rid.mref().to_hex());
                let (rid, fp) = (overdue.intent.rid, overdue.intent.fp);
                let op = MemberOp::Inquire { intent: overdue.intent, prepared: overdue.prepared };
                let call = MemberCall { instance: String::new(), member_id: None, refresh: None, arrived: None, op };
                let objects = Objects(&self.env);
                let asking = pin!(objects.inquire(&member, &call));
                // One Member that hangs must not keep the others from being asked.
                let fate = match select(asking, pin!(Delay::from(MEMBER_WAIT))).await {
                    Either::Left((fate, _)) => fate,
                    Either::Right(_) => Err(Fault::new("the member did not answer in time")),
                };
                let fate = fate.unwrap_or_else(|fault| {
                    fault.log("inquiry_failed");
                    Fate::Running
                });
                let again = now().plus_ms(backoff_ms(overdue.tries, random_u32()));
                let closed = self.storage.transaction(|| {
                    self.close(&rid, &fp, fate)?;
                    match fate {
                        Fate::Held { .. } => Ok(()),
                        Fate::Committed | Fate::Aborted | Fate::Running => self.store().ask_again(&rid, &fp, again),
                    }
                });
                if let Err(fault) = closed {
                    // A row that cannot be closed waits; the others are asked about all the same.
                    fault.log("inquiry_failed");
                    self.store().ask_again(&rid, &fp, again)?;
                }
            }
            self.plan_inquiry()?;
        }
        due::rearm(&self.storage)
    }

    fn plan_inquiry(&self) -> Result<(), Fault> {
        match self.store().next_inquiry(now())? {
            Some(at) => due::plan(&self.storage, PENDING_ITEM, at),
            None => due::done(&self.storage, PENDING_ITEM),
        }
    }
}
