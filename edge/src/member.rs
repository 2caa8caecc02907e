//! Member: one merchant's customer. Decides their redemptions one after the other per campaign, and keeps
//! wallet, ledger, history and live feed.

use crate::answer::{Answer, finish_alarm};
use crate::audit_log::{AuditLog, REPORT_ITEM};
use crate::calls::{
    Guard, HistoryQuery, Identity, MemberCall, MemberOp, PageQuery, Place, PreviewAnswer, PreviewCall, ReadCode,
    ShardOp,
};
use crate::config::Config;
use crate::due;
use crate::hold_store::HOLD_ITEM;
use crate::member_drive::{Drive, OPEN_ITEM};
use crate::member_erase::ERASE_ITEM;
use crate::member_feed::{Feed, SOCKETS_ITEM};
use crate::member_phone::PHONE_ITEM;
use crate::member_store::MemberStore;
use crate::objects::read_call;
use crate::platform::{Fault, SyncStorage, now};
use crate::reward_store::{REWARD_ITEM, Told, UNDO_ITEM};
use crate::sql::Loaded;
use crate::turns::Turns;
use counterfoil_core::breaker::Claim;
use counterfoil_core::hex;
use counterfoil_core::ids::Rid;
use counterfoil_core::keys::MerchantId;
use counterfoil_core::protocol::Fate;
use counterfoil_core::protocol::member::{Attempts, Bar, barred};
use counterfoil_core::protocol::report::Settled;
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::erasure::ERASED;
use counterfoil_core::rules::Facts;
use counterfoil_core::wire::{Method, Page, ProtocolError};
use futures_util::future::{LocalBoxFuture, join_all};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use worker::{DurableObject, Env, Request, Response, State, WebSocket, WebSocketIncomingMessage, durable_object};

/// Tries at fulfillers in one turn of the alarm.
const TRIES_PER_TURN: u32 = 6;

/// See the module.
#[durable_object]
pub struct Member {
    inner: Rc<Inner>,
}

/// What every part of a Member shares.
pub(crate) struct Inner {
    pub(crate) state: State,
    pub(crate) env: Env,
    pub(crate) storage: SyncStorage,
    loaded: Loaded,
    pub(crate) healed: due::Healed,
    pub(crate) drive: Drive,
    /// Codes that are being kept for a checkout: asked for twice at once, the second moves what the first holds.
    pub(crate) holding: Turns<(u16, u32)>,
    pub(crate) feed: Feed,
    pub(crate) audit: AuditLog,
    /// Tries at fulfillers that are under way in this instance.
    pub(crate) trying: RefCell<HashSet<(Rid, u8)>>,
    /// How often an endpoint was said to work again: what finds it disabled meanwhile must not wait for another call.
    pub(crate) hurries: Cell<u32>,
    name: RefCell<Option<String>>,
    who: RefCell<Option<Who>>,
    erased: Cell<bool>,
    /// An erasure has begun and is not done.
    pub(crate) erasing: Cell<bool>,
    /// Calls under way by which somebody is there.
    pub(crate) guests: Cell<u32>,
}

/// Who this Member is: nobody else keeps the member's own id.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) member_id: String,
    pub(crate) pid: String,
    /// Name of the audit chain.
    pub(crate) object: String,
    pub(crate) tester: bool,
}

impl Who {
    pub(crate) fn told(&self, settled: Vec<Settled>) -> Told<'_> {
        Told { object: &self.object, pid: &self.pid, tester: self.tester, seq: None, settled, took: None }
    }
}

impl DurableObject for Member {
    fn new(state: State, env: Env) -> Self {
        let storage = SyncStorage::of(&state);
        Feed::answer_pings(&state);
        let inner = Inner {
            state,
            env,
            storage,
            loaded: Loaded::default(),
            healed: due::Healed::default(),
            drive: Drive::default(),
            holding: Turns::default(),
            feed: Feed::default(),
            audit: AuditLog::default(),
            trying: RefCell::default(),
            hurries: Cell::new(0),
            name: RefCell::new(None),
            who: RefCell::new(None),
            erased: Cell::new(false),
            erasing: Cell::new(false),
            guests: Cell::new(0),
        };
        if let Err(fault) = inner.ready() {
            fault.log("member_failed");
        }
        Self { inner: Rc::new(inner) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let response = match self.respond(&mut request).await {
            Ok(response) => Ok(response),
            Err(fault) => Answer::fault(&fault, "member").into_response(),
        };
        response.map_err(worker::Error::from)
    }

    async fn alarm(&self) -> worker::Result<Response> {
        finish_alarm(self.inner.ring().await)
    }

    async fn websocket_message(&self, _: WebSocket, _: WebSocketIncomingMessage) -> worker::Result<()> {
        // Pings are answered by the platform; nothing else is expected from a client.
        Ok(())
    }

    async fn websocket_close(&self, socket: WebSocket, code: usize, _: String, _: bool) -> worker::Result<()> {
        Feed::closed(&socket, code);
        Ok(())
    }

    async fn websocket_error(&self, _: WebSocket, _: worker::Error) -> worker::Result<()> {
        Ok(())
    }
}

impl Member {
    async fn respond(&self, request: &mut Request) -> Result<Response, Fault> {
        let call = read_call::<MemberCall>(request).await?;
        let inner = &self.inner;
        inner.ready()?;
        let MemberCall { instance, member_id, refresh, arrived, notify_days, op } = call.op;
        inner.drive.arrived.set(arrived);
        let _guest = if op.makes_known() { Some(inner.let_in()?) } else { None };
        // Who only looks at somebody who was erased does not make them known again.
        let known = op.makes_known() || !inner.is_erased();
        inner.remember(&call.name, member_id.as_deref().filter(|_| known))?;
        if let Some(days) = notify_days {
            inner.store().set_notify_days(days)?;
        }
        due::heal(&inner.storage, &inner.healed)?;
        if let Some(attributes) = refresh.filter(|_| known) {
            inner.store().refresh(&attributes)?;
        }
        let answer = match op {
            MemberOp::Redeem(redeem) => inner.redeem(redeem, &instance).await?,
            MemberOp::Buy(buy) => inner.buy(buy, &instance).await?,
            MemberOp::Preview(preview) => inner.preview(preview, &instance).await?,
            MemberOp::Redemption { rid } => match inner.store().redemption(&rid)? {
                Some(redemption) => Answer::json(200, &redemption)?,
                None => Answer::error(&ProtocolError::NotFound, &instance)?,
            },
            MemberOp::Redemptions(query) => inner.history(&query)?,
            MemberOp::Search(asked) => Answer::json(200, &inner.search(&asked)?)?,
            MemberOp::Explain(asked) => Answer::json(200, &inner.explain(&asked)?)?,
            MemberOp::Wallet => Answer::json(200, &inner.store().wallet(now())?)?,
            MemberOp::Ledger(query) => inner.ledger(&query)?,
            MemberOp::Inquire { intent, prepared } => fate(inner.fate(&intent, &prepared)?)?,
            MemberOp::InquirePool { intent } => fate(inner.pool_fate(&intent)?)?,
            MemberOp::Rewards(query) => {
                let limit = query.page.limit;
                let rows = inner.store().rewards(query.page.before, query.state.as_deref(), limit + 1)?;
                Answer::json(200, &page(rows, limit))?
            }
            MemberOp::Reward { at } => inner.reward(at, &instance)?,
            MemberOp::Move { at, wanted, actor, reason } => {
                inner.player_move(at, wanted, actor.as_deref(), reason.as_deref(), &instance)?
            }
            MemberOp::Give(give) => inner.give(give, &instance).await?,
            MemberOp::Till(op) => inner.till(op, &instance).await?,
            MemberOp::Order(call) => inner.order(call, &instance).await?,
            MemberOp::Operate(call) => inner.operate(call, &instance)?,
            MemberOp::PutProfile { profile, phone, actor } => {
                inner.put_profile(profile, phone, &actor, &instance).await?
            }
            MemberOp::HasPhone { hash } => inner.answer_has_phone(&hash)?,
            MemberOp::Found { hash } => inner.found(&hash, &instance)?,
            MemberOp::Lookup { hash, rewards } => inner.looked_up(&hash, &rewards, &instance)?,
            MemberOp::Callback { at, webhook_id, outcome } => inner.callback(at, (&webhook_id, &outcome), &instance)?,
            MemberOp::EndpointOf { at } => inner.endpoint_of(at)?,
            MemberOp::Hurry { endpoint_id } => inner.hurry(&endpoint_id)?,
            MemberOp::Identity { at } => Answer::json(200, &Identity { member_id: inner.identity(at)? })?,
            MemberOp::Export => inner.export(&instance)?,
            MemberOp::Erase { reason, actor } => inner.erase(reason, actor).await?,
            MemberOp::Verify => inner.verify()?,
            MemberOp::Events { since, wait_s, expires_at, socket, select } => {
                if socket {
                    return inner.open_socket(since, expires_at, select);
                }
                inner.poll(since, wait_s).await?
            }
        };
        answer.into_response()
    }
}

impl Inner {
    pub(crate) fn store(&self) -> MemberStore<'_> {
        MemberStore(&self.storage)
    }

    /// Before anything else, in every call and alarm.
    fn ready(&self) -> Result<(), Fault> {
        self.loaded.ensure(|| self.load())
    }

    fn load(&self) -> Result<(), Fault> {
        self.store().create()?;
        *self.name.borrow_mut() = self.store().meta("name")?;
        self.load_who()
    }

    pub(crate) fn load_who(&self) -> Result<(), Fault> {
        let store = self.store();
        let erased = store.meta("erased")?.is_some();
        let member_id = store.meta("member_id")?;
        self.erased.set(erased && member_id.is_none());
        self.erasing.set(store.meta("erasing")?.is_some());
        let member_id = member_id.or_else(|| erased.then(|| ERASED.to_owned()));
        if let (Some(member_id), Some(pid)) = (member_id, store.meta("pid")?) {
            let object = format!("member/{pid}");
            let tester = store.profile()?.tester.unwrap_or(false);
            *self.who.borrow_mut() = Some(Who { member_id, pid, object, tester });
        }
        Ok(())
    }

    /// Keeps this object's name and the member's own id, before anything that needs them leaves for elsewhere.
    fn remember(&self, name: &str, member_id: Option<&str>) -> Result<(), Fault> {
        if self.name.borrow().is_none() {
            self.store().set_meta("name", name)?;
            *self.name.borrow_mut() = Some(name.to_owned());
        }
        if (self.who.borrow().is_none() || self.is_erased())
            && let Some(member_id) = member_id
        {
            self.storage.transaction(|| {
                self.store().set_meta("member_id", member_id)?;
                // A random name for this member in shards, audit and reports. Who comes back after an erasure has it
                // already: their chain and their counters go on.
                if self.store().meta("pid")?.is_some() {
                    return Ok(());
                }
                self.store().set_meta("pid", &hex::encode(&crate::platform::random::<16>()))
            })?;
            self.load_who()?;
        }
        Ok(())
    }

    /// Whether this member was erased and has not come back.
    pub(crate) const fn is_erased(&self) -> bool {
        self.erased.get()
    }

    pub(crate) fn who(&self) -> Result<Who, Fault> {
        self.who.borrow().clone().ok_or_else(|| Fault::new("a member without an id"))
    }

    /// Tells the Recorder, in a task of its own.
    pub(crate) fn start_report(self: &Rc<Self>) {
        let inner = Rc::clone(self);
        self.state.wait_until(async move { inner.report().await });
    }

    /// Tells the Recorder what it has not heard. What fails is told again by the alarm.
    pub(crate) async fn report(&self) {
        let (Ok(merchant), Ok(who)) = (self.merchant(), self.who()) else { return };
        if let Err(fault) = self.audit.report(&self.storage, &self.env, merchant.as_str(), &who.object).await {
            fault.log("report_failed");
        }
    }

    pub(crate) fn merchant(&self) -> Result<MerchantId, Fault> {
        let name = self.name.borrow().clone().ok_or_else(|| Fault::new("a member without a name"))?;
        let (merchant, _) = name.split_once('/').ok_or_else(|| Fault::new("a member with a bad name"))?;
        MerchantId::new(merchant).map_err(|_| Fault::new("a member with a bad merchant"))
    }

    pub(crate) fn config(&self) -> Result<Rc<Config>, Fault> {
        Config::of(&self.env)
    }

    /// The answer to an account that is kept from trying.
    pub(crate) fn kept_out(
        bar: Bar,
        attempts: &Attempts,
        (guard, alias): (&Guard, bool),
        instance: &str,
    ) -> Result<Answer, Fault> {
        let Bar::Wait { retry_after_s } = bar else {
            return Answer::refusal(&Refusal::ChallengeRequired, instance);
        };
        let (_, own) = guard.attempts(alias);
        let limit = guard.limit.filter(|_| attempts.in_window < attempts.allowed).unwrap_or(own);
        Ok(Answer::refusal(&Refusal::TooManyAttempts { retry_after_s }, instance)?.limited(&limit, retry_after_s))
    }

    /// What the rules read of this member.
    pub(crate) fn facts(&self, code: &ReadCode, method: Method, currency: Option<String>) -> Result<Facts, Fault> {
        let at = now();
        let (member_uses, member_days) = self.store().campaign_uses(code.campaign, at)?;
        Ok(Facts {
            at,
            seq: code.seq,
            epoch: code.epoch,
            profile: code.profile,
            epoch_revoked: code.epoch_revoked,
            method,
            currency,
            attributes: self.store().attributes()?,
            roles: self.store().profile()?.roles.unwrap_or_default(),
            member_uses,
            member_days,
            alias: code.alias.clone(),
        })
    }

    /// A wrong code: counted, with its entry, and answered as all of them are. Beyond an account's own quota, which only
    /// those have who were given something before, the breaker does not hear of it: nobody alone keeps newcomers out.
    pub(crate) fn unrecognised(
        self: &Rc<Self>,
        (alias, claim): (bool, Option<Claim>),
        before: &Attempts,
        actor: Option<&str>,
        instance: &str,
    ) -> Result<Answer, Fault> {
        let who = self.who()?;
        let counted = (alias, claim.filter(|_| before.in_window < before.allowed));
        self.storage.transaction(|| self.store().unrecognised(counted, actor, &who.told(vec![]), now()))?;
        self.start_report();
        let answer = Answer::refusal(&Refusal::CodeNotRecognised, instance)?;
        Ok(if before.has_grant { answer.trusted() } else { answer })
    }

    /// Asks for everything a redemption would do. A wrong code counts as an attempt here too.
    async fn preview(self: &Rc<Self>, call: PreviewCall, instance: &str) -> Result<Answer, Fault> {
        let PreviewCall { code, claim, guard, alias, method, currency, actor } = call;
        let attempts = self.store().attempts(&guard, alias, now())?;
        if let Some(bar) = barred(&attempts, now()) {
            return Self::kept_out(bar, &attempts, (&guard, alias), instance);
        }
        if let Some(code) = code {
            let facts = self.facts(&code, method, currency)?;
            let op = ShardOp::Preview { facts, mref: self.mref()? };
            let (_, answer) = self.ask_keeper::<PreviewAnswer>((code.campaign, code.shard), &op).await?;
            if let Some(preview) = answer.preview {
                return Answer::json(200, &preview);
            }
        }
        self.unrecognised((alias, claim), &attempts, actor.as_deref(), instance)
    }

    pub(crate) fn mref(&self) -> Result<counterfoil_core::ids::Mref, Fault> {
        let name = self.name.borrow().clone().unwrap_or_default();
        name.split_once('/')
            .and_then(|(_, mref)| counterfoil_core::ids::Mref::from_hex(mref))
            .ok_or_else(|| Fault::new("a member with a bad name"))
    }

    fn history(&self, query: &HistoryQuery) -> Result<Answer, Fault> {
        Answer::json(200, &page(self.store().history(query)?, query.page.limit))
    }

    fn ledger(&self, query: &PageQuery) -> Result<Answer, Fault> {
        Answer::json(200, &page(self.store().ledger(query.before, query.limit + 1)?, query.limit))
    }

    /// The alarm: drives what was accepted, rewards, uses to be given back and reports, and closes sockets whose token
    /// has ended. What waits for somebody else waits together.
    async fn ring(self: &Rc<Self>) -> Result<(), Fault> {
        self.ready()?;
        let mut tries = 0;
        let mut outside: Vec<LocalBoxFuture<'_, ()>> = vec![];
        for item in due::take(&self.storage)? {
            match self.take_up(&item, &mut tries) {
                Ok(Some(work)) => outside.push(Box::pin(async move { due::survive(&self.storage, &item, work.await) })),
                Ok(None) => {}
                Err(fault) => due::survive(&self.storage, &item, Err(fault)),
            }
        }
        join_all(outside).await;
        due::rearm(&self.storage)
    }

    /// Does what an item of the alarm asks for at once, or hands back what has to wait for somebody else.
    fn take_up<'a>(
        self: &'a Rc<Self>,
        item: &str,
        tries: &mut u32,
    ) -> Result<Option<LocalBoxFuture<'a, Result<(), Fault>>>, Fault> {
        let (kind, rest) = item.split_once(':').unwrap_or((item, ""));
        match (kind, place(rest)) {
            (OPEN_ITEM, Some((rid, _))) => self.drive_again(&rid)?,
            (HOLD_ITEM, Some((rid, _))) => return Ok(Some(Box::pin(async move { self.expire_hold(&rid).await }))),
            (UNDO_ITEM, Some((rid, _))) => return Ok(Some(Box::pin(async move { self.give_back(&rid).await }))),
            (REWARD_ITEM, Some((rid, index))) if *tries < TRIES_PER_TURN => {
                let work = self.wake_reward(Place { rid, index })?;
                *tries += u32::from(work.is_some());
                return Ok(work);
            }
            (REWARD_ITEM, Some(_)) => due::plan(&self.storage, item, now())?,
            (PHONE_ITEM, _) => {
                let claim = rest.to_owned();
                return Ok(Some(Box::pin(async move { self.let_go(&claim).await })));
            }
            (SOCKETS_ITEM, _) => self.close_ended_sockets()?,
            (ERASE_ITEM, _) => return Ok(Some(Box::pin(async move { self.go_on_erasing().await }))),
            (REPORT_ITEM, _) => {
                let (merchant, who) = (self.merchant()?, self.who()?);
                return Ok(Some(Box::pin(async move {
                    self.audit.ring(&self.storage, &self.env, merchant.as_str(), &who.object).await
                })));
            }
            (_, _) => due::done(&self.storage, item)?,
        }
        Ok(None)
    }
}

/// Step 7 of the protocol: the answer to a participant that asked what became of an intent.
fn fate(fate: Fate) -> Result<Answer, Fault> {
    Answer::json(200, &crate::calls::FateAnswer { fate })
}

/// What a due-item is about: a redemption, and which of its rewards.
fn place(text: &str) -> Option<(Rid, u8)> {
    let (rid, index) = text.split_once(':').unwrap_or((text, "0"));
    Some((Rid::from_hex(rid)?, index.parse().ok()?))
}

/// Cuts a list that was read one row too far into a page.
pub(crate) fn page<T>(mut rows: Vec<(u64, T)>, limit: u32) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|(number, _)| number.to_string());
    Page { items: rows.into_iter().map(|(_, row)| row).collect(), next_cursor }
}
