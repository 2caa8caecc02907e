//! Erasing a member: what is under way ends, balances are forfeited by ledger rows, and whoever they were is forgotten.
//!
//! What stays is a tombstone: rows that say nothing about anybody, and the counters that keep limits from being reset when
//! the same person comes back. Written down with a due-item first, so that an erasure that is cut off goes on by itself.

use crate::answer::Answer;
use crate::calls::MemberOp;
use crate::due;
use crate::inbound::{Inbound, Stop, stop_invalid};
use crate::member::{Inner, Who};
use crate::member_store::{MemberStore, blob};
use crate::objects::Objects;
use crate::platform::{Fault, now, random};
use crate::sql::{first, query, run};
use counterfoil_core::ids::Rid;
use counterfoil_core::protocol::member::Known;
use counterfoil_core::protocol::{Fate, Intent};
use counterfoil_core::reward::erasure::{ERASED, anonymous, end, forfeit};
use counterfoil_core::reward::{Actor, RewardRecord};
use counterfoil_core::time::Instant;
use counterfoil_core::token::{Attributes, Role};
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{HoldState, LedgerRow, ProfileBody, ReasonBody, check_reason};
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::time::Duration;
use worker::{Delay, Response};

/// Due-item that goes on with an erasure.
pub(crate) const ERASE_ITEM: &str = "erase";
/// When an erasure that was cut off goes on.
const GO_ON_MS: i64 = 30_000;
/// How often it is looked whether what is under way has come to its end …
const LOOK: Duration = Duration::from_millis(50);
/// … and how often at most: redemptions that take longer are ended by the erasure, calls that do leave it to the alarm.
const RUNS_LOOKS: u32 = 40;
const CALLS_LOOKS: u32 = 200;
/// Close code of a socket whose member is gone.
const GONE: u16 = 4401;

/// An erasure under way.
#[derive(Serialize, Deserialize)]
struct Erasing {
    actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What is left of an erased member: when, and the numbers of the last redemption and reward that were theirs. Ledger rows
/// stay to be read: they say that everything was forfeited, and not whose it was.
#[derive(Serialize, Deserialize)]
struct Tombstone {
    at: Instant,
    redemptions: u64,
    rewards: u64,
}

/// `DELETE /v1/members/{id}`.
pub(crate) async fn erase(mut inbound: Inbound<'_>, objects: &Objects<'_>, id: &str) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let query = inbound.take("reason")?;
    let ReasonBody { reason } = inbound.json()?;
    let reason = reason.or(query);
    if let Err(invalid) = check_reason(reason.as_deref(), false) {
        return stop_invalid(invalid, inbound.instance);
    }
    let target = inbound.target_of_path(id)?;
    let op = MemberOp::Erase { reason, actor: inbound.principal.actor() };
    // The id is not handed over: erasing somebody must not be what makes them known.
    inbound.send_to(objects, &target.mref, op).await
}

impl Inner {
    /// Erases the member; once is as good as twice.
    pub(crate) async fn erase(self: &Rc<Self>, reason: Option<String>, actor: String) -> Result<Answer, Fault> {
        if self.who().is_err() || self.is_erased() {
            return Ok(Answer::empty(204));
        }
        self.storage.transaction(|| {
            let erasing = serde_json::to_string(&Erasing { actor, reason })?;
            self.store().set_meta("erasing", &erasing)?;
            due::plan(&self.storage, ERASE_ITEM, now().plus_ms(GO_ON_MS))
        })?;
        self.erasing.set(true);
        self.go_on_erasing().await?;
        Ok(Answer::empty(204))
    }

    /// Somebody comes, or comes back; nobody does while they are being erased, or something of theirs would outlive it.
    pub(crate) fn let_in(self: &Rc<Self>) -> Result<Guest, Fault> {
        if self.erasing.get() {
            // What is remembered may be old, where it could not be read again after the last step.
            self.load_who()?;
        }
        if self.erasing.get() {
            return Err(Fault::late("the member is being erased"));
        }
        self.guests.set(self.guests.get() + 1);
        Ok(Guest(Rc::clone(self)))
    }

    /// The member's own id for something of that time; none for what was before they were erased.
    pub(crate) fn identity(&self, at: Instant) -> Result<Option<String>, Fault> {
        let erased: Option<Tombstone> =
            self.store().meta("erased")?.map(|text| counterfoil_core::json::read(&text)).transpose()?;
        let gone = self.is_erased() || erased.is_some_and(|erased| at <= erased.at);
        Ok(self.who().ok().map(|who| who.member_id).filter(|_| !gone))
    }

    /// Does what is left of an erasure, once nobody is at anything any more.
    pub(crate) async fn go_on_erasing(self: &Rc<Self>) -> Result<(), Fault> {
        for look in 0..CALLS_LOOKS {
            if !self.erasing.get() {
                // Another call has done it.
                return Ok(());
            }
            let runs = look < RUNS_LOOKS && !self.drive.runs.borrow().is_empty();
            if !runs && self.guests.get() == 0 {
                return self.erase_now();
            }
            Delay::from(LOOK).await;
        }
        Err(Fault::late("calls are under way that do not end"))
    }

    /// Without a pause: nobody comes in between.
    fn erase_now(self: &Rc<Self>) -> Result<(), Fault> {
        let Some(text) = self.store().meta("erasing")? else { return due::done(&self.storage, ERASE_ITEM) };
        let Erasing { actor, reason } = counterfoil_core::json::read(&text)?;
        let (actor, reason) = (Actor::named(&actor), reason.as_deref());
        self.cancel_undecided(&actor, reason)?;
        self.release_holds(&actor)?;
        for rid in self.store().unfinished()? {
            self.change(&rid, |view, names, at| (end(view, (&actor, reason), names, at), ()))?;
        }
        self.bury(&actor, reason)?;
        for socket in self.state.get_websockets() {
            // One that is closed already is as good as gone.
            let _ = socket.close(Some(GONE), Some("the member was erased"));
        }
        self.load_who()?;
        self.start_report();
        Ok(())
    }

    /// Ends what was accepted and is not decided; a run that is still under way finds it decided.
    fn cancel_undecided(self: &Rc<Self>, actor: &Actor, reason: Option<&str>) -> Result<(), Fault> {
        let running = self.drive.intents();
        let store = self.store();
        let mut intents: Vec<Intent> = vec![];
        for row in query(&self.storage, "SELECT rid FROM open", &[])? {
            if let Some(rid) = Rid::from_bytes(&row.blob(0))
                && let Some(open) = store.opened(&rid)?
            {
                intents.push(open.intent);
            }
        }
        for intent in running {
            if store.known(&intent.rid)? == Known::Absent {
                intents.push(intent);
            }
        }
        intents.iter().try_for_each(|intent| self.cancel(intent, (actor, reason.unwrap_or(ERASED))).map(drop))
    }

    /// What a participant hears that asks about somebody who was erased and has not come back: nothing becomes theirs. It is
    /// kept, for they may come back with the same key.
    pub(crate) fn fate_when_erased(self: &Rc<Self>, intent: &Intent) -> Result<Option<Fate>, Fault> {
        if !self.is_erased() {
            return Ok(None);
        }
        self.cancel(intent, (&Actor::system(), ERASED))?;
        // It belongs to what was theirs.
        self.storage.transaction(|| self.store().seal(now()))?;
        self.start_report();
        Ok(Some(Fate::Aborted))
    }

    /// Ends what is kept for checkouts; credit comes back to the wallet, to be forfeited with the rest.
    fn release_holds(self: &Rc<Self>, actor: &Actor) -> Result<(), Fault> {
        for row in query(&self.storage, "SELECT rid FROM holds WHERE state = 'held'", &[])? {
            let Some(rid) = Rid::from_bytes(&row.blob(0)) else { continue };
            if self.at_desk(actor, |desk| desk.end(&rid, HoldState::Released).map(Ok))?.is_err() {
                return Err(Fault::new("a hold could not be ended"));
            }
        }
        Ok(())
    }

    /// The last commit: forfeits, forgets, and leaves the tombstone.
    fn bury(self: &Rc<Self>, actor: &Actor, reason: Option<&str>) -> Result<(), Fault> {
        let (config, merchant, who) = (self.config()?, self.merchant()?, self.who()?);
        let names = Names { key: &config.id_key, merchant: &merchant };
        let mref = self.mref()?;
        let at = now();
        self.storage.transaction(|| {
            let store = self.store();
            let purse = (store.wallet(at)?, store.next_ledger_row()?);
            let mut changes = forfeit((&purse.0, purse.1), mref, (actor, reason), &names, at)
                .map_err(|_| Fault::new("a wallet holds less than it says"))?;
            changes.audit = changes.audit.map(|draft| draft.subject(who.pid.clone()));
            store.write_effects(&Rid::random(&mref, random()), &changes, who.told(vec![]), at)?;
            self.forget_phone()?;
            store.forget(&who, at)?;
            due::done(&self.storage, ERASE_ITEM)
        })
    }
}

/// A call by which somebody is there, as long as it is under way.
pub(crate) struct Guest(Rc<Inner>);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.guests.set(self.0.guests.get().saturating_sub(1));
    }
}

impl MemberStore<'_> {
    /// Whether a redemption was a member's who has been erased since.
    pub(crate) fn is_buried(&self, rid: &Rid) -> Result<bool, Fault> {
        let statement = "SELECT 1 FROM redemptions WHERE rid = ?
            AND n <= (SELECT json_extract(value, '$.redemptions') FROM meta WHERE key = 'erased')";
        run(self.0, statement, &[blob(rid)])
    }

    /// Keeps the merchant's setting, where it has changed.
    pub(crate) fn set_notify_days(&self, days: u32) -> Result<(), Fault> {
        let text = days.to_string();
        let statement = "INSERT INTO meta VALUES ('notify_days', ?1)
            ON CONFLICT (key) DO UPDATE SET value = ?1 WHERE value <> ?1";
        run(self.0, statement, &[(&text).into()]).map(drop)
    }

    /// Redemptions of which something may still become something.
    fn unfinished(&self) -> Result<Vec<Rid>, Fault> {
        let statement =
            "SELECT rid FROM redemptions WHERE decided = 1 AND status IN ('redeemed', 'granting', 'grant_failed')
            UNION SELECT rid FROM rewards
            WHERE running = 1 OR state IN ('unclaimed', 'pending_activation', 'in_progress', 'failed')";
        let rows = query(self.0, statement, &[])?;
        Ok(rows.iter().filter_map(|row| Rid::from_bytes(&row.blob(0))).collect())
    }

    /// Takes out who they were, row by row, and writes the tombstone.
    fn forget(&self, who: &Who, at: Instant) -> Result<(), Fault> {
        for row in query(self.0, "SELECT n, doc FROM rewards", &[])? {
            let doc = serde_json::to_string(&anonymous(row.json::<RewardRecord>(1)?))?;
            run(
                self.0,
                "UPDATE rewards SET feature = NULL, doc = ? WHERE n = ?",
                &[(&doc).into(), row.count(0).into()],
            )?;
        }
        let by = format!("member:{}", who.member_id);
        for row in query(self.0, "SELECT id, doc FROM ledger WHERE json_extract(doc, '$.by') = ?", &[(&by).into()])? {
            let (id, mut ledger) = (row.text(0)?, row.json::<LedgerRow>(1)?);
            ledger.by = format!("member:{ERASED}");
            let doc = serde_json::to_string(&ledger)?;
            run(self.0, "UPDATE ledger SET doc = ? WHERE id = ?", &[(&doc).into(), (&id).into()])?;
        }
        let statement = "UPDATE redemptions SET doc = json_remove(doc, '$.reason', '$.last_error')
            WHERE json_extract(doc, '$.reason') IS NOT NULL OR json_extract(doc, '$.last_error') IS NOT NULL";
        run(self.0, statement, &[])?;
        run(self.0, "DELETE FROM quotes", &[])?;
        run(self.0, "DELETE FROM balances WHERE amount = 0", &[])?;
        let tester = self.profile()?.tester;
        self.set_profile(&ProfileBody { tester, ..ProfileBody::default() })?;
        self.set_attributes(&Attributes::default())?;
        run(self.0, "DELETE FROM meta WHERE key IN ('member_id', 'erasing')", &[])?;
        self.seal(at)
    }

    /// Writes the tombstone over everything up to now, and empties the feed.
    fn seal(&self, at: Instant) -> Result<(), Fault> {
        // The feed keeps its numbers, and nothing else.
        let emptied = "UPDATE events SET kind = 'notice', data = '{\"kind\":\"erased\"}'
            WHERE seq = (SELECT max(seq) FROM events)";
        run(self.0, emptied, &[])?;
        run(self.0, "DELETE FROM events WHERE seq < (SELECT max(seq) FROM events)", &[])?;
        let last =
            |statement: &'static str| Ok::<_, Fault>(first(self.0, statement, &[])?.map_or(0, |row| row.count(0)));
        let tombstone = Tombstone {
            at,
            redemptions: last("SELECT coalesce(max(n), 0) FROM redemptions")?,
            rewards: last("SELECT coalesce(max(n), 0) FROM rewards")?,
        };
        self.set_meta("erased", &serde_json::to_string(&tombstone)?)
    }
}
