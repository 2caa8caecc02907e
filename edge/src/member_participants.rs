//! A Member and the participants of its redemptions: asking them, and answering what they ask.

use crate::calls::{Kept, PrepareReply, ShardOp};
use crate::member::Inner;
use crate::member_drive::{Ended, OVERFLOW, view};
use crate::member_store::{MemberStore, Standing};
use crate::objects::{Objects, campaign_name, within};
use crate::platform::{Fault, now};
use crate::pool_calls::{PoolOp, pool_name};
use counterfoil_core::checkout::Book;
use counterfoil_core::protocol::member::{Known, Settlement, inquire, pool_needed};
use counterfoil_core::protocol::pool::PoolAnswer;
use counterfoil_core::protocol::report::{Participant, Settled};
use counterfoil_core::protocol::{CodeWish, Fate, Intent, PrepareAnswer, Prepared, Purchase, Wish};
use counterfoil_core::quote::Quote;
use counterfoil_core::reward::Actor;
use std::rc::Rc;
use std::time::Duration;

/// Longest wait for a participant's answer; it is asked again later.
const PARTICIPANT_WAIT: Duration = Duration::from_secs(8);
/// How long a participant listens to an abort: a later one could take the use of the next try away.
const ABORT_WITHIN_MS: i64 = 5_000;

/// Shards that are asked before one says that it keeps a code's uses: each knows which one does.
const HOPS_MAX: u32 = 3;

/// Who keeps the use of an intent's code.
fn keeper(intent: &Intent) -> Participant {
    let shard = intent.code().map_or(0, |code| code.shard);
    Participant::Shard { campaign: intent.campaign(), shard }
}

/// What participants have answered to an intent.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) shard: Option<PrepareAnswer>,
    /// Which, and what.
    pub(crate) pool: Option<(String, PoolAnswer)>,
}

impl Asked {
    /// Those that keep something for it.
    pub(crate) fn prepared(&self, intent: &Intent) -> Vec<Participant> {
        let shard = matches!(self.shard, Some(PrepareAnswer::Prepared(_))).then(|| keeper(intent));
        let pool = match &self.pool {
            Some((pool_id, PoolAnswer::Prepared { .. })) => Some(Participant::Pool { pool_id: pool_id.clone() }),
            Some((_, PoolAnswer::Refused { .. } | PoolAnswer::Late)) | None => None,
        };
        shard.into_iter().chain(pool).collect()
    }

    pub(crate) fn settled(&self, intent: &Intent) -> Vec<Settled> {
        let settled = |participant| Settled { participant, rid: intent.rid, fp: intent.fp };
        self.prepared(intent).into_iter().map(settled).collect()
    }
}

/// What a decision reads beside the wallet.
pub(crate) struct Read {
    pub(crate) standing: Standing,
    pub(crate) quote: Option<Quote>,
    pub(crate) last_bought_at: Option<counterfoil_core::time::Instant>,
    pub(crate) book: Option<Book>,
}

impl Read {
    pub(crate) fn of(store: &MemberStore<'_>, intent: &Intent) -> Result<Self, Fault> {
        let entered_at = intent.code().map_or_else(now, |code| code.facts.at);
        let standing = store.standing(&intent.rid, intent.campaign(), entered_at)?;
        let read = Self { standing, quote: None, last_bought_at: None, book: None };
        if let Some(CodeWish { campaign, facts, checkout: Some(checkout), .. }) = intent.code() {
            let held = store.hold_of_code(*campaign, facts.seq)?.filter(|hold| hold.rid != intent.rid);
            let twin_until = held.map(|hold| hold.expires_at);
            let book = Book { twin_until, ..store.book(&checkout.order)? };
            return Ok(Self { book: Some(book), ..read });
        }
        let Wish::Points(Purchase { reward, quote: Some(terms), .. }) = &intent.wish else {
            return Ok(read);
        };
        let (quote, last_bought_at) = (store.quote(&terms.quote)?, store.last_bought_at(&reward.reward_id)?);
        Ok(Self { quote, last_bought_at, ..read })
    }
}

impl Inner {
    /// Steps 3 and 4: the code's own shard first, then the pool, each only where it has a say. Where another shard turns
    /// out to keep the code's uses, the intent says so from then on.
    pub(crate) async fn ask_participants(self: &Rc<Self>, intent: &mut Intent) -> Result<Asked, Fault> {
        let mut asked = Asked::default();
        for _ in 0..HOPS_MAX {
            let Some(CodeWish { campaign, shard, .. }) = intent.code() else { break };
            let op = ShardOp::Prepare { intent: intent.clone() };
            let answer: PrepareReply = self.ask_shard((*campaign, *shard), &op).await?;
            match (&answer, &mut intent.wish) {
                (PrepareAnswer::Elsewhere { shard }, Wish::Code(code)) => {
                    code.shard = *shard;
                    self.note_keeper(&intent.rid, *shard);
                }
                (_, _) => {
                    asked.shard = Some(answer);
                    break;
                }
            }
        }
        if let Some((pool_id, quantity)) = self.pool_needed(intent, asked.shard.as_ref())? {
            let op = PoolOp::Prepare { intent: intent.clone(), quantity };
            let answer: PoolAnswer = self.ask_pool(&pool_id, &op).await?;
            asked.pool = Some((pool_id, answer));
        }
        Ok(asked)
    }

    fn pool_needed(
        self: &Rc<Self>,
        intent: &Intent,
        shard: Option<&PrepareAnswer>,
    ) -> Result<Option<(String, u32)>, Fault> {
        let pooled = match (&intent.wish, shard) {
            (Wish::Points(purchase), _) => purchase.reward.pool_id.is_some(),
            (Wish::Gift(gift), _) => gift.reward.pool_id.is_some(),
            (Wish::Code(_), Some(PrepareAnswer::Prepared(prepared))) => prepared.reward.pool_id.is_some(),
            (
                Wish::Code(_),
                Some(PrepareAnswer::Refused { .. } | PrepareAnswer::Late | PrepareAnswer::Elsewhere { .. }) | None,
            ) => false,
        };
        if !pooled {
            return Ok(None);
        }
        let who = self.who()?;
        let at = now();
        let (store, wallet) = (self.store(), self.store().wallet(at)?);
        let read = Read::of(&store, intent)?;
        let view = view(&who, &wallet, &read);
        Ok(pool_needed(&view, intent, shard, at).map(|(pool_id, quantity)| (pool_id.to_owned(), quantity)))
    }

    /// Step 7: a shard asks. What this Member has never heard of is decided here and now, by the promise; where a pool
    /// has a say too, it is driven on from the start.
    pub(crate) fn fate(self: &Rc<Self>, intent: &Intent, prepared: &Prepared) -> Result<Fate, Fault> {
        if let Some(fate) = self.known_fate(intent)? {
            return Ok(fate);
        }
        if let Some(fate) = self.fate_when_erased(intent)? {
            return Ok(fate);
        }
        let asked = Asked { shard: Some(PrepareAnswer::Prepared(prepared.clone())), pool: None };
        if self.pool_needed(intent, asked.shard.as_ref())?.is_some() {
            drop(self.start(intent.clone(), Some(keeper(intent))));
            return Ok(Fate::Running);
        }
        let (ended, settlement) = self.conclude(intent, &asked)?;
        if matches!(ended, Some(Ended::Overflow)) {
            // Nothing is decided. A no that nobody remembers would be undone by an older question that comes later, with a
            // promise that is not kept any more.
            if matches!(self.store().known(&intent.rid)?, Known::Open(_)) {
                drop(self.wait_for_balance(intent));
                return Ok(Fate::Running);
            }
            self.cancel(intent, (&Actor::system(), OVERFLOW))?;
            self.start_report();
            return Ok(Fate::Aborted);
        }
        self.start_tries(&intent.rid);
        self.start_report();
        Ok(match settlement {
            // Asked again it hears how long it is kept for its checkout.
            Settlement::None if intent.checkout().is_some() => self.known_fate(intent)?.unwrap_or(Fate::Aborted),
            Settlement::Settle => Fate::Committed,
            Settlement::Abort | Settlement::None => Fate::Aborted,
        })
    }

    /// Step 7: a pool asks. The intent is driven on from the start, whose answers the participants know.
    pub(crate) fn pool_fate(self: &Rc<Self>, intent: &Intent) -> Result<Fate, Fault> {
        // What was decided for was shown: it stays assigned, and goes to quarantine where it is taken back, by an undo.
        if self.store().has_promo_codes(&intent.rid, &intent.fp)? {
            return Ok(Fate::Committed);
        }
        if let Some(fate) = self.known_fate(intent)? {
            return Ok(fate);
        }
        if let Some(fate) = self.fate_when_erased(intent)? {
            return Ok(fate);
        }
        let pool_id = match &intent.wish {
            Wish::Code(_) => None,
            Wish::Points(purchase) => purchase.reward.pool_id.clone(),
            Wish::Gift(gift) => gift.reward.pool_id.clone(),
        };
        if pool_id.is_some() && self.pool_needed(intent, None)?.is_none() {
            // Its rules refuse now: decided here, and maybe without a record, so that it would be asked about for ever.
            self.conclude(intent, &Asked::default())?;
            self.start_report();
            return Ok(self.known_fate(intent)?.unwrap_or(Fate::Aborted));
        }
        drop(self.start(intent.clone(), pool_id.map(|pool_id| Participant::Pool { pool_id })));
        Ok(Fate::Running)
    }

    fn known_fate(&self, intent: &Intent) -> Result<Option<Fate>, Fault> {
        let store = self.store();
        let (known, consumed) = (store.known(&intent.rid)?, store.consumed(&intent.rid)?);
        let held_until = store.held_until(&intent.rid)?;
        let running = self.drive.runs.borrow().contains_key(&intent.rid);
        Ok(inquire(known, consumed, held_until, running, &intent.fp).ok())
    }

    /// Step 6: what was decided against is given back at once; what was decided for, the Recorder tells in bulk. When a
    /// message is lost, the participant's alarm asks.
    pub(crate) async fn abort(&self, intent: &Intent, participants: &[Participant]) {
        let (rid, fp, fate) = (intent.rid, intent.fp, Fate::Aborted);
        // Shorter than the wait for an answer: what was not heard by then never will be.
        let deadline = Some(now().plus_ms(ABORT_WITHIN_MS));
        for participant in participants {
            let told: Result<serde_json::Value, Fault> = match participant {
                Participant::Shard { campaign, shard } => {
                    self.ask_shard((*campaign, *shard), &ShardOp::Settle { rid, fp, fate, deadline }).await
                }
                Participant::Pool { pool_id } => {
                    self.ask_pool(pool_id, &PoolOp::Settle { rid, fp, fate, deadline }).await
                }
            };
            if let Err(fault) = told {
                self.log_about(&rid, "settle_failed", &fault);
            }
        }
    }

    /// Asks a pool, with a bound on the wait.
    pub(crate) async fn ask_pool<T: serde::de::DeserializeOwned>(
        &self,
        pool_id: &str,
        op: &PoolOp,
    ) -> Result<T, Fault> {
        let name = pool_name(self.merchant()?.as_str(), pool_id);
        let objects = Objects(&self.env);
        within(PARTICIPANT_WAIT, "the pool", objects.pool(&name, op)).await
    }

    /// Asks the shard that keeps a code's uses: the one that is said to, else the one that this names instead. Answers
    /// which it was.
    pub(crate) async fn ask_keeper<T: serde::de::DeserializeOwned>(
        &self,
        (campaign, mut shard): (u16, u32),
        op: &ShardOp,
    ) -> Result<(u32, T), Fault> {
        for _ in 0..HOPS_MAX {
            match self.ask_shard((campaign, shard), op).await? {
                Kept::Here(answer) => return Ok((shard, answer)),
                Kept::Elsewhere { shard: other } => shard = other,
            }
        }
        Err(Fault::new("no shard keeps this code"))
    }

    /// Asks a shard of a campaign, with a bound on the wait.
    pub(crate) async fn ask_shard<T: serde::de::DeserializeOwned>(
        &self,
        (campaign, shard): (u16, u32),
        op: &ShardOp,
    ) -> Result<T, Fault> {
        let campaign = campaign_name(self.merchant()?.as_str(), campaign);
        let objects = Objects(&self.env);
        within(PARTICIPANT_WAIT, "the shard", objects.shard(&campaign, shard, op)).await
    }
}
