//! SQL of a Member's orders and of what is held for them.

use crate::due;
use crate::member_store::{MemberStore, blob};
use crate::platform::Fault;
use crate::sql::{first, query, run};
use counterfoil_core::checkout::{Book, Hold, Order, Source, Written};
use counterfoil_core::ids::Rid;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{Credit, HoldState};

/// Prefix of due-items that end a hold by the clock.
pub(crate) const HOLD_ITEM: &str = "hold";

/// Part of a Member's schema.
pub(crate) const SCHEMA: [&str; 9] = [
    "CREATE TABLE IF NOT EXISTS orders (name TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS holds (
        n INTEGER PRIMARY KEY, rid BLOB NOT NULL UNIQUE CHECK (length(rid) = 26), order_name TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('held', 'used', 'released', 'expired')), expires_at INTEGER NOT NULL,
        current INTEGER NOT NULL CHECK (current IN (0, 1)), discount INTEGER NOT NULL CHECK (discount IN (0, 1)),
        campaign INTEGER, seq INTEGER, reward TEXT, doc TEXT NOT NULL
    ) STRICT",
    "CREATE INDEX IF NOT EXISTS holds_of_order ON holds (order_name, n)",
    // What is still kept is little beside what was.
    "CREATE INDEX IF NOT EXISTS holds_live ON holds (n) WHERE state = 'held'",
    // One discount for each order, and one hold for each code and for each discount that rests.
    "CREATE UNIQUE INDEX IF NOT EXISTS holds_discount ON holds (order_name) WHERE state = 'held' AND discount = 1",
    "CREATE UNIQUE INDEX IF NOT EXISTS holds_code ON holds (campaign, seq)
     WHERE state = 'held' AND campaign IS NOT NULL",
    "CREATE UNIQUE INDEX IF NOT EXISTS holds_reward ON holds (reward) WHERE state = 'held' AND reward IS NOT NULL",
    // Held credit comes back once, all of it or what the order did not need.
    "CREATE UNIQUE INDEX IF NOT EXISTS ledger_releases ON ledger (json_extract(doc, '$.reverses'))
     WHERE json_extract(doc, '$.kind') = 'release'",
    "CREATE TRIGGER IF NOT EXISTS holds_moves BEFORE UPDATE OF state ON holds
     WHEN OLD.state <> 'held' AND NEW.state <> OLD.state
     BEGIN SELECT RAISE(ABORT, 'an ended hold is moved'); END",
];

pub(crate) fn hold_item(rid: &Rid) -> String {
    format!("{HOLD_ITEM}:{}", rid.to_hex())
}

impl MemberStore<'_> {
    /// What decides about an order.
    pub(crate) fn book(&self, order: &str) -> Result<Book, Fault> {
        let row = first(self.0, "SELECT doc FROM orders WHERE name = ?", &[order.into()])?;
        let statement = "SELECT doc FROM holds WHERE order_name = ? AND current = 1 ORDER BY n";
        let holds = query(self.0, statement, &[order.into()])?;
        Ok(Book {
            order: row.map(|row| row.json::<Order>(0)).transpose()?,
            holds: holds.iter().map(|row| row.json(0)).collect::<Result<_, _>>()?,
            twin_until: None,
        })
    }

    pub(crate) fn hold(&self, rid: &Rid) -> Result<Option<Hold>, Fault> {
        let row = first(self.0, "SELECT doc FROM holds WHERE rid = ?", &[blob(rid)])?;
        row.map(|row| row.json(0)).transpose()
    }

    /// The hold of a code, while it is kept.
    pub(crate) fn hold_of_code(&self, campaign: u16, seq: u32) -> Result<Option<Hold>, Fault> {
        let statement = "SELECT doc FROM holds WHERE campaign = ? AND seq = ? AND state = 'held'";
        let row = first(self.0, statement, &[u32::from(campaign).into(), seq.into()])?;
        row.map(|row| row.json(0)).transpose()
    }

    /// The hold of a discount that rests, while it is kept.
    pub(crate) fn hold_of_reward(&self, id: &str) -> Result<Option<Hold>, Fault> {
        let row = first(self.0, "SELECT doc FROM holds WHERE reward = ? AND state = 'held'", &[id.into()])?;
        row.map(|row| row.json(0)).transpose()
    }

    /// The discount that is held is there no more: its hold ends, and its order costs more. Run inside the transaction
    /// that takes it.
    pub(crate) fn end_reward_hold(&self, id: &str, state: HoldState, now: Instant) -> Result<(), Fault> {
        let Some(hold) = self.hold_of_reward(id)? else { return Ok(()) };
        let before = self.book(&hold.order)?;
        let mut book = before.clone();
        book.end(&hold.rid, state, now);
        self.write_book(&book.since(&before), now)
    }

    /// When the hold of a redemption ends by itself, while it is kept.
    pub(crate) fn held_until(&self, rid: &Rid) -> Result<Option<Instant>, Fault> {
        let statement = "SELECT expires_at FROM holds WHERE rid = ? AND state = 'held'";
        Ok(first(self.0, statement, &[blob(rid)])?.map(|row| Instant(row.integer(0))))
    }

    /// Holds of an order that are over by the clock.
    pub(crate) fn overdue_holds(&self, order: &str, now: Instant) -> Result<Vec<Rid>, Fault> {
        let statement = "SELECT rid FROM holds WHERE order_name = ? AND state = 'held' AND expires_at <= ?";
        let rows = query(self.0, statement, &[order.into(), now.0.into()])?;
        Ok(rows.iter().filter_map(|row| Rid::from_bytes(&row.blob(0))).collect())
    }

    /// The latest holds of an order before `before`, with their numbers.
    pub(crate) fn holds(&self, order: &str, before: Option<u64>, limit: u32) -> Result<Vec<(u64, Hold)>, Fault> {
        let statement = "SELECT n, doc FROM holds WHERE order_name = ?1 AND (?2 IS NULL OR n < ?2)
            ORDER BY n DESC LIMIT ?3";
        let rows = query(self.0, statement, &[order.into(), before.into(), limit.into()])?;
        rows.iter().map(|row| Ok((row.count(0), row.json(1)?))).collect()
    }

    /// The latest holds of every order.
    pub(crate) fn all_holds(&self) -> Result<Vec<Hold>, Fault> {
        let rows = query(self.0, "SELECT doc FROM holds ORDER BY n DESC", &[])?;
        rows.iter().map(|row| row.json(0)).collect()
    }

    /// A decision keeps a code for an order. Run inside its transaction.
    pub(crate) fn add_hold(&self, hold: &Hold, total: &Credit, now: Instant) -> Result<(), Fault> {
        let before = self.book(&hold.order)?;
        let mut book = before.clone();
        book.place(hold.clone(), total, now);
        self.write_book(&book.since(&before), now)
    }

    /// Somebody does something about an order and sees what is left of it. Run inside a transaction.
    pub(crate) fn notice(&self, order: &str, now: Instant) -> Result<(), Fault> {
        let before = self.book(order)?;
        let mut book = before.clone();
        book.notice();
        self.write_book(&book.since(&before), now)
    }

    /// Writes orders and holds, and plans the end of what is kept. Run inside a transaction.
    pub(crate) fn write_book(&self, written: &Written, now: Instant) -> Result<(), Fault> {
        for order in &written.orders {
            let doc = serde_json::to_string(order)?;
            let statement = "INSERT INTO orders VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc";
            run(self.0, statement, &[(&order.name).into(), (&doc).into()])?;
        }
        // What ends goes first: two of them must never stand for one thing.
        let (ended, kept): (Vec<&Hold>, Vec<&Hold>) =
            written.holds.iter().partition(|hold| hold.state != HoldState::Held);
        for hold in ended.into_iter().chain(kept) {
            self.put_hold(hold, now)?;
        }
        Ok(())
    }

    fn put_hold(&self, hold: &Hold, now: Instant) -> Result<(), Fault> {
        // One that is over by the clock is the order's discount no more, whether or not the alarm has come by.
        let over = "UPDATE holds SET discount = 0 WHERE order_name = ? AND state = 'held' AND expires_at <= ?";
        run(self.0, over, &[(&hold.order).into(), now.0.into()])?;
        let (campaign, seq, reward) = match &hold.source {
            Source::Code { campaign, seq, .. } => (Some(u32::from(*campaign)), Some(*seq), None),
            Source::Wallet { .. } => (None, None, None),
            Source::Reward { id, .. } => (None, None, Some(id.as_str())),
        };
        let doc = serde_json::to_string(hold)?;
        run(
            self.0,
            "INSERT INTO holds (rid, order_name, state, expires_at, current, discount, campaign, seq, reward, doc)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (rid) DO UPDATE SET order_name = excluded.order_name, state = excluded.state,
             expires_at = excluded.expires_at, current = excluded.current, discount = excluded.discount,
             doc = excluded.doc",
            &[
                blob(&hold.rid),
                (&hold.order).into(),
                hold.state.name().into(),
                hold.expires_at.0.into(),
                u32::from(hold.is_current()).into(),
                u32::from(hold.worth.is_discount()).into(),
                campaign.into(),
                seq.into(),
                reward.into(),
                (&doc).into(),
            ],
        )?;
        let item = hold_item(&hold.rid);
        if hold.state == HoldState::Held { due::plan(self.0, &item, hold.expires_at) } else { due::done(self.0, &item) }
    }
}
