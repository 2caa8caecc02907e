//! CodeShard: which seqs of a campaign are used, and by which redemption.
//!
//! Arriving intents commit in groups, each in a transaction of its own within one turn.

use crate::answer::{Answer, finish, finish_alarm};
use crate::calls::{
    CampaignOp, Count, Kept, MemberCall, MemberOp, Pulled, Recognised, ShardOp, Undone, VersionAnswer, Violations,
};
use crate::config::Config;
use crate::due;
use crate::group::Group;
use crate::objects::{Objects, read_call, read_json, within};
use crate::platform::{Fault, SyncStorage, now, random_u32};
use crate::shard_calendar::Calendars;
use crate::shard_portions::{Portions, RETURN_ITEM, is_open};
use crate::shard_store::ShardStore;
use crate::sql::Loaded;
use counterfoil_core::calendar::Calendar;
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::INQUIRE_AFTER_MS;
use counterfoil_core::protocol::portion::{Meter, Need};
use counterfoil_core::protocol::shard::{PendingStep, PrepareStep, ShardView, prepare, settle, undo};
use counterfoil_core::protocol::{Fate, Intent, PrepareAnswer, backoff_ms};
use counterfoil_core::rules::{Facts, Rules, Usage, recognised};
use counterfoil_core::time::Instant;
use counterfoil_core::verify::{self, Report, Violation};
use counterfoil_core::wallet::Names;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

/// The rules are pulled again for an unknown seq at most this often.
const PULL_AGAIN_MS: i64 = 1_000;
/// Longest wait for the Campaign's rules: whoever asks for a limit waits behind it.
const CAMPAIGN_WAIT: Duration = Duration::from_secs(5);
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

/// What every part of a shard shares.
pub(crate) struct Inner {
    state: State,
    pub(crate) env: Env,
    pub(crate) storage: SyncStorage,
    loaded: Loaded,
    healed: due::Healed,
    name: RefCell<Option<String>>,
    rules: RefCell<Option<Rc<Rules>>>,
    pulled_at: Cell<Option<Instant>>,
    group: Group<Attempt, Outcome>,
    settled: RefCell<Vec<(Rid, Fingerprint)>>,
    calendars: Calendars,
    pub(crate) portions: Portions,
}

/// An intent on its way into a group.
pub(crate) struct Attempt {
    pub(crate) intent: Intent,
    /// Limits of the campaign of which nothing is left anywhere, as the Campaign has said for this very attempt.
    pub(crate) exhausted: Vec<Meter>,
}

/// What became of an intent in a group.
#[allow(clippy::large_enum_variant, reason = "one for each question to a shard")]
pub(crate) enum Outcome {
    Answer(PrepareAnswer),
    /// This shard's portions do not cover it: others were faster.
    Short,
}

impl DurableObject for CodeShard {
    fn new(state: State, env: Env) -> Self {
        let storage = SyncStorage::of(&state);
        let inner = Inner {
            state,
            env,
            storage,
            loaded: Loaded::default(),
            healed: due::Healed::default(),
            name: RefCell::new(None),
            rules: RefCell::new(None),
            pulled_at: Cell::new(None),
            group: Group::default(),
            settled: RefCell::new(Vec::new()),
            calendars: Calendars::default(),
            portions: Portions::default(),
        };
        if let Err(fault) = inner.ready() {
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
        inner.ready()?;
        inner.remember_name(&call.name)?;
        due::heal(&inner.storage, &inner.healed)?;
        match call.op {
            ShardOp::Prepare { intent } => {
                if let Some(code) = intent.code() {
                    inner.know(&code.facts).await?;
                }
                Answer::json(200, &inner.take_in(intent).await?)
            }
            ShardOp::Recognise { facts, mref } => {
                inner.know(&facts).await?;
                let answer = match inner.elsewhere(facts.seq, &mref) {
                    Some(shard) => Kept::Elsewhere { shard },
                    None => Kept::Here(Recognised { recognised: recognised(inner.rules().as_deref(), &facts) }),
                };
                Answer::json(200, &answer)
            }
            ShardOp::Preview { facts, mref } => inner.answer_preview(&facts, &mref).await,
            ShardOp::Look { facts, mref } => inner.answer_look(&facts, &mref).await,
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
                if inner.rules().is_none() {
                    inner.pull().await?;
                }
                let undone = inner.storage.transaction(|| inner.undo(&rid, seq))?;
                Answer::json(200, &undone)
            }
            ShardOp::HandBack { meter, given, heard, version } => {
                Answer::json(200, &inner.hand_back(meter, (given, heard), version).await?)
            }
            ShardOp::Taken { meters } => Answer::json(200, &inner.taken(&meters)?),
            ShardOp::Uses { seq } => Answer::json(200, &inner.uses(seq)?),
            ShardOp::Rules { rules } => Answer::json(200, &VersionAnswer { version: inner.adopt(rules)? }),
            ShardOp::Count => Answer::json(200, &Count { redeemed: inner.store().total()? }),
            ShardOp::Verify => Answer::json(200, &Violations { violations: inner.verify()? }),
        }
    }
}

impl Inner {
    pub(crate) fn store(&self) -> ShardStore<'_> {
        ShardStore(&self.storage)
    }

    /// Before anything else, in every call and alarm.
    fn ready(&self) -> Result<(), Fault> {
        self.loaded.ensure(|| self.load())
    }

    fn load(&self) -> Result<(), Fault> {
        self.store().create()?;
        *self.name.borrow_mut() = self.store().name()?;
        *self.rules.borrow_mut() = self.store().rules()?.map(Rc::new);
        Ok(())
    }

    pub(crate) fn rules(&self) -> Option<Rc<Rules>> {
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
    pub(crate) fn campaign(&self) -> Result<(String, u32), Fault> {
        let name = self.name.borrow().clone().ok_or_else(|| Fault::new("a shard without a name"))?;
        let (campaign, shard) = name.rsplit_once('/').ok_or_else(|| Fault::new("a shard with a bad name"))?;
        Ok((campaign.to_owned(), shard.parse().map_err(|_| Fault::new("a shard with a bad number"))?))
    }

    pub(crate) fn merchant(&self) -> Result<MerchantId, Fault> {
        let (campaign, _) = self.campaign()?;
        let (merchant, _) = campaign.split_once('/').ok_or_else(|| Fault::new("a shard without a merchant"))?;
        MerchantId::new(merchant).map_err(|_| Fault::new("a shard with a bad merchant"))
    }

    /// Takes newer rules; never goes back. Answers the version that counts.
    fn adopt(&self, rules: Rules) -> Result<u32, Fault> {
        let known = self.rules();
        let version = known.as_ref().map_or(0, |rules| rules.version);
        if rules.version <= version {
            return Ok(version);
        }
        self.storage.transaction(|| {
            let store = self.store();
            store.set_rules(&rules)?;
            if rules.shards > 1 { store.adapt_portions(known.as_deref(), &rules) } else { store.allow(&rules) }
        })?;
        let version = rules.version;
        *self.rules.borrow_mut() = Some(Rc::new(rules));
        self.forget_said();
        Ok(version)
    }

    /// The windows of an instant in the campaign's zone.
    pub(crate) fn calendar(&self, rules: &Rules, at: Instant) -> Rc<Calendar> {
        self.calendars.at(&rules.time_zone, at)
    }

    /// The shard that keeps a code's uses, where it is not this one.
    pub(crate) fn elsewhere(&self, seq: u32, mref: &Mref) -> Option<u32> {
        let (_, own) = self.campaign().ok()?;
        self.rules().map(|rules| rules.shard_of(seq, mref)).filter(|shard| *shard != own)
    }

    /// Pulls the rules when there are none yet, or when this code is not known: it may have been minted since.
    pub(crate) async fn know(&self, facts: &Facts) -> Result<(), Fault> {
        let recent = self.pulled_at.get().is_some_and(|at| at.plus_ms(PULL_AGAIN_MS) > now());
        if recognised(self.rules().as_deref(), facts) || recent {
            return Ok(());
        }
        self.pull().await
    }

    /// Asks the Campaign for its rules.
    pub(crate) async fn pull(&self) -> Result<(), Fault> {
        let (campaign, shard) = self.campaign()?;
        let (objects, op) = (Objects(&self.env), CampaignOp::Pull { shard });
        let asking = async { read_json::<Pulled>(objects.campaign(&campaign, &op).await?).await };
        let pulled = within(CAMPAIGN_WAIT, "the campaign", asking).await?;
        if let Some(rules) = pulled.rules {
            self.adopt(rules)?;
        }
        // Last: rules that could not be stored are pulled again at once, not taken for "never issued".
        self.pulled_at.set(Some(now()));
        Ok(())
    }

    /// Joins the group under way, or commits at once when idle.
    pub(crate) async fn enqueue(self: &Rc<Self>, attempt: Attempt) -> Result<Outcome, Fault> {
        let inner = Rc::clone(self);
        self.group.join(&self.state, attempt, move || inner.commit_group()).await
    }

    /// One turn: settles what was decided, then each waiting intent in its own transaction. Everything becomes
    /// durable together, and no answer leaves before.
    fn commit_group(&self) {
        self.close_settled();
        for (attempt, sender) in self.group.take() {
            let outcome = self.storage.transaction(|| self.prepare(&attempt));
            // A receiver that is gone lost nothing: its Member asks again, or this shard asks the Member.
            let _ = sender.send(outcome);
        }
        self.group.written(&self.state, &self.storage);
    }

    /// Closes what Members have told. When it fails the rows stay pending, and the alarm asks the Members.
    pub(crate) fn close_settled(&self) {
        let settled = self.settled.take();
        if settled.is_empty() {
            return;
        }
        let closing = self.storage.transaction(|| self.store().commit_all(&settled));
        if let Err(fault) = closing {
            fault.log("shard_failed");
        }
    }

    fn prepare(&self, attempt: &Attempt) -> Result<Outcome, Fault> {
        let Attempt { intent, exhausted } = attempt;
        let store = self.store();
        let Some(rules) = self.rules().filter(|rules| rules.shards > 1) else {
            let step = self.decide(intent, None)?;
            return self.carry_out(intent, step, &[]).map(Outcome::Answer);
        };
        let code = intent.code().ok_or_else(|| Fault::new("an intent about no code"))?;
        let needs = rules.needs(&self.calendar(&rules, code.facts.at));
        let (mut used_up, mut short, mut open) = (vec![], false, false);
        for need in &needs {
            let free = store.portion(&need.meter, &rules)?.free();
            if free < need.amount && exhausted.contains(&need.meter) {
                used_up.push((need.meter, free));
            } else {
                short |= free < need.amount;
                open |= free < need.amount && is_open(need, exhausted);
            }
        }
        // Of two limits the first refuses: one that is undecided is asked about, whatever the later ones say.
        let step = self.decide(intent, Some(if open { vec![] } else { used_up }))?;
        if short && matches!(step, PrepareStep::Consume(_)) {
            return Ok(Outcome::Short);
        }
        self.carry_out(intent, step, &needs).map(Outcome::Answer)
    }

    /// What this shard does with an intent, and nothing is done yet. `left` is what is left of the campaign's limits, where
    /// other shards have a part in them.
    pub(crate) fn decide(&self, intent: &Intent, left: Option<Vec<(Meter, u64)>>) -> Result<PrepareStep, Fault> {
        let facts = &intent.code().ok_or_else(|| Fault::new("an intent about no code"))?.facts;
        let rules = self.rules();
        let zone = rules.as_ref().map_or("UTC", |rules| rules.time_zone.as_str());
        let calendar = self.calendars.at(zone, facts.at);
        let command = (intent.rid.as_bytes().as_slice(), intent.fp.as_bytes().as_slice());
        let counted = left.is_none().then_some(&*calendar);
        let look = self.store().look(command, facts, &intent.rid.mref(), rules.as_deref(), counted)?;
        if look.buried {
            // Decided and given back: this message is an old one.
            return Ok(PrepareStep::Answer(PrepareAnswer::Late));
        }
        let config = Config::of(&self.env)?;
        let (merchant, (_, shard)) = (self.merchant()?, self.campaign()?);
        let names = Names { key: &config.id_key, merchant: &merchant };
        let view = ShardView {
            rules: rules.as_deref(),
            calendar: &calendar,
            shard,
            pending: look.pending,
            other_pending: look.other_pending,
            used_by_rid: look.used_by_rid,
            usage: Usage { left: left.unwrap_or(look.usage.left), ..look.usage },
        };
        Ok(prepare(&view, intent, now(), |rid| names.redemption(rid)))
    }

    /// Does it. Run inside a transaction.
    fn carry_out(&self, intent: &Intent, step: PrepareStep, needs: &[Need]) -> Result<PrepareAnswer, Fault> {
        let store = self.store();
        match step {
            PrepareStep::Answer(answer) => Ok(answer),
            PrepareStep::AskFirst => {
                store.ask_now(&intent.rid.mref(), now())?;
                due::plan(&self.storage, PENDING_ITEM, now())?;
                Ok(PrepareAnswer::Late)
            }
            PrepareStep::Consume(prepared) => {
                needs.iter().try_for_each(|need| store.spend(need))?;
                let at = now();
                let ask_at = at.plus_ms(INQUIRE_AFTER_MS);
                store.consume(intent, &prepared, ask_at)?;
                // What is planned may be the pause of an older row, which can be a minute.
                if due::at(&self.storage, PENDING_ITEM)?.is_none_or(|next| next > ask_at) {
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
    fn undo(&self, rid: &Rid, seq: u32) -> Result<Kept<Undone>, Fault> {
        let store = self.store();
        let pending = store.pending_seqs(rid)?;
        let step = undo(store.uses(seq, rid)?, !pending.is_empty());
        if !step.drop_use
            && !step.drop_pending
            && let Some(shard) = self.elsewhere(seq, &rid.mref())
        {
            return Ok(Kept::Elsewhere { shard });
        }
        store.bury(rid, now())?;
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
        Ok(Kept::Here(Undone {}))
    }

    /// Checks this shard's invariants.
    fn verify(&self) -> Result<Vec<Violation>, Fault> {
        let (campaign, shard) = self.campaign()?;
        let number = campaign.rsplit_once('/').map_or(campaign.as_str(), |(_, number)| number);
        let mut report = Report::of(&format!("campaign/{number}/shard/{shard}"));
        let rules = self.rules();
        let facts = self.store().facts(rules.as_deref())?;
        verify::shard(&facts, &mut report);
        Ok(report.into_violations())
    }

    /// The alarm: asks the Members of intents that have waited too long what became of them.
    async fn ring(&self) -> Result<(), Fault> {
        self.ready()?;
        let items = due::take(&self.storage)?;
        if items.iter().any(|item| item == PENDING_ITEM) {
            self.close_settled();
            for overdue in self.store().overdue(now())? {
                let member = format!("{}/{}", self.merchant()?.as_str(), overdue.intent.rid.mref().to_hex());
                let (rid, fp) = (overdue.intent.rid, overdue.intent.fp);
                let op = MemberOp::Inquire { intent: overdue.intent, prepared: overdue.prepared };
                let call = MemberCall::without_id("", op);
                let objects = Objects(&self.env);
                // One Member that hangs must not keep the others from being asked.
                let fate = within(MEMBER_WAIT, "the member", objects.inquire(&member, &call)).await;
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
        if items.iter().any(|item| item == RETURN_ITEM) {
            due::survive(&self.storage, RETURN_ITEM, self.tell_returned().await);
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
