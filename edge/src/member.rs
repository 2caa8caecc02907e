//! Member: one merchant's customer. Decides their redemptions one after the other per campaign, and keeps
//! wallet, ledger, history and live feed.

use crate::answer::{Answer, finish_alarm};
use crate::calls::{
    HistoryQuery, MemberCall, MemberOp, Objects, PageQuery, PreviewAnswer, ReadCode, ShardOp, campaign_name, read_call,
};
use crate::config::Config;
use crate::due;
use crate::member_drive::{Drive, OPEN_ITEM};
use crate::member_feed::{Feed, SOCKETS_ITEM};
use crate::member_store::MemberStore;
use crate::platform::{Fault, SyncStorage, now};
use counterfoil_core::hex;
use counterfoil_core::ids::Rid;
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::ATTEMPTS_PER_DAY;
use counterfoil_core::protocol::Prepared;
use counterfoil_core::protocol::member::{Attempts, locked_out};
use counterfoil_core::protocol::{Fate, Intent};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::rules::Facts;
use counterfoil_core::wire::{Method, Page, ProtocolError};
use std::cell::RefCell;
use std::rc::Rc;
use worker::{DurableObject, Env, Request, Response, State, WebSocket, WebSocketIncomingMessage, durable_object};

/// Wrong aliases an account may enter in a day.
const ALIAS_ATTEMPTS_PER_DAY: u32 = 30;

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
    pub(crate) drive: Drive,
    pub(crate) feed: Feed,
    name: RefCell<Option<String>>,
}

impl DurableObject for Member {
    fn new(state: State, env: Env) -> Self {
        let storage = SyncStorage::of(&state);
        Feed::answer_pings(&state);
        let inner =
            Inner { state, env, storage, drive: Drive::default(), feed: Feed::default(), name: RefCell::new(None) };
        if let Err(fault) = inner.load() {
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
        finish_alarm(self.inner.ring())
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
        inner.remember_name(&call.name)?;
        due::heal(&inner.storage)?;
        let MemberCall { instance, refresh, op } = call.op;
        if let Some(attributes) = refresh {
            inner.store().refresh(&attributes)?;
        }
        let answer = match op {
            MemberOp::Redeem(redeem) => inner.redeem(redeem, &instance).await?,
            MemberOp::Preview(preview) => {
                inner.preview(preview.code, preview.alias, preview.method, preview.currency, &instance).await?
            }
            MemberOp::Redemption { rid } => match inner.store().redemption(&rid)? {
                Some(redemption) => Answer::json(200, &redemption)?,
                None => Answer::error(&ProtocolError::NotFound, &instance)?,
            },
            MemberOp::Redemptions(query) => inner.history(&query)?,
            MemberOp::Wallet => Answer::json(200, &inner.store().wallet()?)?,
            MemberOp::Ledger(query) => inner.ledger(&query)?,
            MemberOp::Inquire { intent, prepared } => inner.inquire(&intent, &prepared)?,
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

    fn load(&self) -> Result<(), Fault> {
        self.store().create()?;
        *self.name.borrow_mut() = self.store().meta("name")?;
        Ok(())
    }

    fn remember_name(&self, name: &str) -> Result<(), Fault> {
        if self.name.borrow().is_none() {
            self.store().set_meta("name", name)?;
            // A random name for this member in shards, audit and reports.
            self.store().set_meta("pid", &hex::encode(&crate::platform::random::<16>()))?;
            *self.name.borrow_mut() = Some(name.to_owned());
        }
        Ok(())
    }

    pub(crate) fn merchant(&self) -> Result<MerchantId, Fault> {
        let name = self.name.borrow().clone().ok_or_else(|| Fault::new("a member without a name"))?;
        let (merchant, _) = name.split_once('/').ok_or_else(|| Fault::new("a member with a bad name"))?;
        MerchantId::new(merchant).map_err(|_| Fault::new("a member with a bad merchant"))
    }

    pub(crate) fn config(&self) -> Result<Rc<Config>, Fault> {
        Config::of(&self.env)
    }

    /// Wrong codes so far, of the kind this request would add to.
    pub(crate) fn attempts(&self, alias: bool) -> Result<(&'static str, Attempts), Fault> {
        let (kind, allowed) = if alias { ("alias", ALIAS_ATTEMPTS_PER_DAY) } else { ("code", ATTEMPTS_PER_DAY) };
        Ok((kind, self.store().attempts(kind, allowed, now())?))
    }

    /// What the rules read of this member.
    pub(crate) fn facts(&self, code: &ReadCode, method: Method, currency: Option<String>) -> Result<Facts, Fault> {
        Ok(Facts {
            at: now(),
            seq: code.seq,
            epoch: code.epoch,
            profile: code.profile,
            epoch_revoked: code.epoch_revoked,
            method,
            currency,
            attributes: self.store().attributes()?,
            roles: vec![],
            member_uses: self.store().campaign_uses(code.campaign)?,
        })
    }

    /// Asks for everything a redemption would do. A wrong code counts as an attempt here too.
    async fn preview(
        &self,
        code: Option<ReadCode>,
        alias: bool,
        method: Method,
        currency: Option<String>,
        instance: &str,
    ) -> Result<Answer, Fault> {
        let (kind, attempts) = self.attempts(alias)?;
        if let Some(retry_after_s) = locked_out(&attempts, now()) {
            return Answer::refusal(&Refusal::TooManyAttempts { retry_after_s }, instance);
        }
        if let Some(code) = code {
            let facts = self.facts(&code, method, currency)?;
            let op = ShardOp::Preview { facts, mref: self.mref()? };
            let campaign = campaign_name(self.merchant()?.as_str(), code.campaign);
            let answer: PreviewAnswer = Objects(&self.env).shard(&campaign, 0, &op).await?;
            if let Some(preview) = answer.preview {
                return Answer::json(200, &preview);
            }
        }
        self.store().add_attempt(kind, now())?;
        Answer::refusal(&Refusal::CodeNotRecognised, instance)
    }

    fn mref(&self) -> Result<counterfoil_core::ids::Mref, Fault> {
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

    /// Step 7 of the protocol: a shard asks what became of an intent.
    fn inquire(self: &Rc<Self>, intent: &Intent, prepared: &Prepared) -> Result<Answer, Fault> {
        let fate: Fate = self.fate(intent, prepared)?;
        Answer::json(200, &crate::calls::FateAnswer { fate })
    }

    /// The alarm: drives what was accepted, and closes sockets whose token has ended.
    fn ring(self: &Rc<Self>) -> Result<(), Fault> {
        for item in due::take(&self.storage)? {
            match item.split_once(':') {
                Some((OPEN_ITEM, rid)) => match Rid::from_hex(rid) {
                    Some(rid) => self.drive_again(&rid)?,
                    None => due::done(&self.storage, &item)?,
                },
                Some(_) | None if item == SOCKETS_ITEM => self.close_ended_sockets()?,
                Some(_) | None => due::done(&self.storage, &item)?,
            }
        }
        due::rearm(&self.storage)
    }
}

/// Cuts a list that was read one row too far into a page.
fn page<T>(mut rows: Vec<(u64, T)>, limit: u32) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|(number, _)| number.to_string());
    Page { items: rows.into_iter().map(|(_, row)| row).collect(), next_cursor }
}
