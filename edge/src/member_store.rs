//! SQL of a Member: redemptions, wallet, ledger, rewards, feed, attempts.

use crate::audit_log;
use crate::calls::Guard;
use crate::due;
use crate::hold_store;
use crate::member_phone;
use crate::member_till;
use crate::once;
use crate::platform::{Fault, SyncStorage};
use crate::reward_store::{self, Told};
use crate::sql::{self, Row, create, first, query, run};
use counterfoil_core::audit::Draft;
use counterfoil_core::breaker::Claim;
use counterfoil_core::calendar::{Day, DayCounts};
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{DAY_MS, EVENTS_KEPT, EVENTS_KEPT_MS};
use counterfoil_core::protocol::member::{Attempts, Decision, Known};
use counterfoil_core::protocol::recorder::UNRECOGNISED;
use counterfoil_core::protocol::report::Record;
use counterfoil_core::protocol::{CodeWish, Intent, Wish};
use counterfoil_core::rate_limit::RateLimit;
use counterfoil_core::reward::Changes;
use counterfoil_core::time::Instant;
use counterfoil_core::token::Attributes;
use counterfoil_core::wallet::booster;
use counterfoil_core::wire::{Credit, Event, LedgerRow, ProfileBody, Redemption, Wallet};
use serde_json::Value as Json;

/// Statements for one event, two, three and four.
const EVENTS_TOGETHER: [&str; 4] = [
    "INSERT INTO events VALUES (?, ?, ?, ?)",
    "INSERT INTO events VALUES (?, ?, ?, ?), (?, ?, ?, ?)",
    "INSERT INTO events VALUES (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?)",
    "INSERT INTO events VALUES (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?)",
];
/// Days that the windows of an instant reach back: a month, and what zones differ by.
const DAYS_READ: i64 = 33;
/// Old events are dropped each time so many new ones have come.
const PRUNE_EVERY: u64 = 16;

pub(crate) struct MemberStore<'a>(pub(crate) &'a SyncStorage);

/// A redemption's row beside its document.
struct Put<'a> {
    rid: &'a Rid,
    fp: &'a Fingerprint,
    /// 0 where it came through no code.
    campaign: u16,
    seq: u32,
    /// The shard that keeps its use.
    shard: u32,
    decided: bool,
    /// The use belongs to it, charged to this local day of its campaign.
    consumes: Option<Day>,
    /// Whose promo codes it has.
    pool_id: Option<&'a str>,
    /// What points have bought with it.
    bought: Option<&'a str>,
}

impl<'a> Put<'a> {
    fn of(intent: &'a Intent, decided: bool, consumes: Option<Day>, pool_id: Option<&'a str>) -> Self {
        let Intent { rid, fp, wish, .. } = intent;
        let (campaign, seq, shard) =
            intent.code().map_or((0, 0, 0), |code| (code.campaign, code.facts.seq, code.shard));
        let bought = match wish {
            Wish::Points(purchase) if consumes.is_some() => Some(purchase.reward.reward_id.as_str()),
            Wish::Points(_) | Wish::Code(_) | Wish::Gift(_) => None,
        };
        let pool_id = pool_id.filter(|_| consumes.is_some());
        Self { rid, fp, campaign, seq, shard, decided, consumes, pool_id, bought }
    }
}

/// An accepted redemption that is not decided yet.
pub(crate) struct Open {
    pub(crate) intent: Intent,
    pub(crate) opened_at: Instant,
    pub(crate) tries: u32,
}

/// The first day whose redemptions any window of an instant counts, whatever the campaign's zone.
fn earliest_day(at: Instant) -> i64 {
    at.0.div_euclid(DAY_MS) - DAYS_READ
}

pub(crate) fn blob<'a>(rid: &'a Rid) -> crate::sql::Value<'a> {
    rid.as_bytes().as_slice().into()
}

/// What step 2 asks about.
#[derive(Clone, Copy)]
pub(crate) struct Arriving<'a> {
    pub(crate) rid: &'a Rid,
    /// 0 where no code that is known was given.
    pub(crate) campaign: u16,
    /// What keeps this account from trying, beside its own wrong codes.
    pub(crate) guard: &'a Guard,
    /// A memorable word was entered: it is counted apart from codes.
    pub(crate) alias: bool,
}

/// See [`MemberStore::arrival`].
pub(crate) struct Arrival {
    pub(crate) known: Known,
    pub(crate) attempts: Attempts,
    pub(crate) attributes: Attributes,
    pub(crate) profile: ProfileBody,
    pub(crate) member_uses: u64,
    pub(crate) member_days: DayCounts,
}

/// See [`MemberStore::standing`].
pub(crate) struct Standing {
    pub(crate) known: Known,
    pub(crate) consumed: bool,
    pub(crate) member_uses: u64,
    pub(crate) member_days: DayCounts,
    pub(crate) next_ledger_row: u64,
    pub(crate) opened_at: Option<Instant>,
}

/// What is known of a redemption by its first two columns, `decided` and `fp`; both NULL where there is none.
fn known(row: &Row) -> Result<Known, Fault> {
    if row.is_null(0) {
        return Ok(Known::Absent);
    }
    let fp = Fingerprint::from_bytes(&row.blob(1)).ok_or_else(|| Fault::new("a stored fingerprint is broken"))?;
    Ok(if row.integer(0) == 1 { Known::Decided(fp) } else { Known::Open(fp) })
}

fn event(row: &Row) -> Result<Event, Fault> {
    Ok(Event { seq: row.count(0), at: Instant(row.integer(1)), kind: row.text(2)?, data: row.json(3)? })
}

impl MemberStore<'_> {
    pub(crate) fn create(&self) -> Result<(), Fault> {
        let trigger = reward_store::moves_trigger();
        let statements: Vec<&str> = [
            due::SCHEMA,
            "CREATE TABLE IF NOT EXISTS redemptions (
                n INTEGER PRIMARY KEY, rid BLOB NOT NULL UNIQUE, fp BLOB NOT NULL, decided INTEGER NOT NULL CHECK (decided IN (0, 1)),
                status TEXT NOT NULL, campaign INTEGER NOT NULL, created_at INTEGER NOT NULL, doc TEXT NOT NULL,
                seq INTEGER NOT NULL DEFAULT 0, consumed INTEGER NOT NULL DEFAULT 0 CHECK (consumed IN (0, 1)),
                pool TEXT, bought TEXT, decided_at INTEGER NOT NULL, shard INTEGER NOT NULL, day INTEGER NOT NULL
            ) STRICT",
            // Whether points have bought the same a moment ago.
            "CREATE INDEX IF NOT EXISTS redemptions_bought ON redemptions (bought, n) WHERE bought IS NOT NULL",
            "CREATE TABLE IF NOT EXISTS open (
                rid BLOB PRIMARY KEY, intent TEXT NOT NULL, opened_at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0
            ) STRICT, WITHOUT ROWID",
            // Redemptions by the campaign's local day: a limit within a window may be set later.
            "CREATE TABLE IF NOT EXISTS campaign_days (
                campaign INTEGER NOT NULL, day INTEGER NOT NULL,
                uses INTEGER NOT NULL CHECK (uses BETWEEN 0 AND 9007199254740991), PRIMARY KEY (campaign, day)
            ) STRICT, WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS attempts (at INTEGER NOT NULL, kind TEXT NOT NULL) STRICT",
            "CREATE TABLE IF NOT EXISTS balances (
                asset TEXT NOT NULL, currency TEXT NOT NULL,
                amount INTEGER NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991), PRIMARY KEY (asset, currency)
            ) STRICT, WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS features (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS ledger (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL) STRICT",
            "CREATE TABLE IF NOT EXISTS events (
                seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL
            ) STRICT",
        ]
        .into_iter()
        .chain(once::SCHEMA)
        .chain(audit_log::SCHEMA)
        .chain(reward_store::SCHEMA)
        .chain(member_phone::SCHEMA)
        .chain(member_till::SCHEMA)
        .chain(hold_store::SCHEMA)
        .chain([trigger.as_str()])
        .collect();
        create(self.0, &statements)
    }

    pub(crate) fn meta(&self, key: &str) -> Result<Option<String>, Fault> {
        sql::meta(self.0, key)
    }

    pub(crate) fn set_meta(&self, key: &str, value: &str) -> Result<(), Fault> {
        sql::set_meta(self.0, key, value)
    }

    pub(crate) fn attributes(&self) -> Result<Attributes, Fault> {
        Ok(self.meta("attributes")?.map(|text| counterfoil_core::json::read(&text)).transpose()?.unwrap_or_default())
    }

    /// A member's own token refreshes what it names and leaves the rest.
    pub(crate) fn refresh(&self, token: &Attributes) -> Result<(), Fault> {
        let stored = self.attributes()?;
        let fresh = Attributes {
            tier: token.tier.clone().or_else(|| stored.tier.clone()),
            persona: token.persona.clone().or_else(|| stored.persona.clone()),
            tags: token.tags.clone().or_else(|| stored.tags.clone()),
        };
        if fresh == stored { Ok(()) } else { self.set_attributes(&fresh) }
    }

    pub(crate) fn set_attributes(&self, attributes: &Attributes) -> Result<(), Fault> {
        self.set_meta("attributes", &serde_json::to_string(attributes)?)
    }

    /// What administrators set, beside the attributes.
    pub(crate) fn profile(&self) -> Result<ProfileBody, Fault> {
        Ok(self.meta("profile")?.map(|text| counterfoil_core::json::read(&text)).transpose()?.unwrap_or_default())
    }

    pub(crate) fn set_profile(&self, profile: &ProfileBody) -> Result<(), Fault> {
        self.set_meta("profile", &serde_json::to_string(profile)?)
    }

    pub(crate) fn known(&self, rid: &Rid) -> Result<Known, Fault> {
        let row = first(self.0, "SELECT decided, fp FROM redemptions WHERE rid = ?", &[blob(rid)])?;
        row.map_or(Ok(Known::Absent), |row| known(&row))
    }

    /// What step 2 reads, at once: each call to the platform costs more than what it looks up.
    pub(crate) fn arrival(&self, asked: &Arriving<'_>, now: Instant) -> Result<Arrival, Fault> {
        let Arriving { rid, campaign, guard, alias } = *asked;
        let (kind, RateLimit { quota: allowed, .. }) = guard.attempts(alias);
        let since = now.plus_ms(-DAY_MS);
        let statement = "SELECT r.decided, r.fp,
                (SELECT count(*) FROM (SELECT 1 FROM attempts WHERE kind = ?2 AND at > ?3 LIMIT ?4)),
                (SELECT min(at) FROM (SELECT at FROM attempts WHERE kind = ?2 AND at > ?3 ORDER BY at DESC LIMIT ?4)),
                EXISTS (SELECT 1 FROM rewards),
                (SELECT value FROM meta WHERE key = 'attributes'), (SELECT value FROM meta WHERE key = 'profile'),
                (SELECT sum(uses) FROM campaign_days WHERE campaign = ?5),
                (SELECT json_group_array(json_array(day, uses)) FROM campaign_days WHERE campaign = ?5 AND day >= ?6)
            FROM (SELECT 1) LEFT JOIN redemptions r ON r.rid = ?1";
        let values = [
            blob(rid),
            kind.into(),
            since.0.into(),
            allowed.into(),
            u32::from(campaign).into(),
            earliest_day(now).into(),
        ];
        let row = first(self.0, statement, &values)?.ok_or_else(|| Fault::new("nothing was read"))?;
        Ok(Arrival {
            known: known(&row)?,
            attempts: Attempts {
                in_window: row.number(2),
                earliest: (!row.is_null(3)).then(|| Instant(row.integer(3))),
                allowed,
                has_grant: row.integer(4) == 1,
                bar: guard.bar,
            },
            attributes: if row.is_null(5) { Attributes::default() } else { row.json(5)? },
            profile: if row.is_null(6) { ProfileBody::default() } else { row.json(6)? },
            member_uses: row.count(7),
            member_days: row.json(8)?,
        })
    }

    /// What a decision reads beside the wallet, at once. `at` is when the code was entered, where it is one.
    pub(crate) fn standing(&self, rid: &Rid, campaign: u16, at: Instant) -> Result<Standing, Fault> {
        let statement = "SELECT r.decided, r.fp, r.consumed, (SELECT sum(uses) FROM campaign_days WHERE campaign = ?2),
                (SELECT coalesce(max(n), 0) + 1 FROM ledger), (SELECT opened_at FROM open WHERE rid = ?1),
                (SELECT json_group_array(json_array(day, uses)) FROM campaign_days WHERE campaign = ?2 AND day >= ?3)
            FROM (SELECT 1) LEFT JOIN redemptions r ON r.rid = ?1";
        let row = first(self.0, statement, &[blob(rid), u32::from(campaign).into(), earliest_day(at).into()])?;
        let row = row.ok_or_else(|| Fault::new("nothing was read"))?;
        Ok(Standing {
            known: known(&row)?,
            consumed: row.integer(2) == 1,
            member_uses: row.count(3),
            next_ledger_row: row.count(4),
            opened_at: (!row.is_null(5)).then(|| Instant(row.integer(5))),
            member_days: row.json(6)?,
        })
    }

    /// A redemption as it is stored: where it stands, and the text of its document.
    pub(crate) fn redemption_text(&self, rid: &Rid) -> Result<Option<(String, String)>, Fault> {
        let row = first(self.0, "SELECT status, doc FROM redemptions WHERE rid = ?", &[blob(rid)])?;
        row.map(|row| Ok((row.text(0)?, row.text(1)?))).transpose()
    }

    /// It waits for its decision no more.
    pub(crate) fn close_open(&self, rid: &Rid) -> Result<(), Fault> {
        run(self.0, "DELETE FROM open WHERE rid = ?", &[blob(rid)]).map(drop)
    }

    pub(crate) fn redemption(&self, rid: &Rid) -> Result<Option<Redemption>, Fault> {
        let row = first(self.0, "SELECT doc FROM redemptions WHERE rid = ?", &[blob(rid)])?;
        row.map(|row| row.json(0)).transpose()
    }

    /// What keeps this account from trying now: its wrong codes of one kind in the last day, and what its request came with.
    pub(crate) fn attempts(&self, guard: &Guard, alias: bool, now: Instant) -> Result<Attempts, Fault> {
        let (kind, RateLimit { quota: allowed, .. }) = guard.attempts(alias);
        let since = now.plus_ms(-DAY_MS);
        let statement = "SELECT count(*), min(at) FROM (
            SELECT at FROM attempts WHERE kind = ? AND at > ? ORDER BY at DESC LIMIT ?)";
        let row = first(self.0, statement, &[kind.into(), since.0.into(), allowed.into()])?;
        // Whatever it came through, and whatever became of it since; what is only held has none.
        let has_grant = run(self.0, "SELECT 1 FROM rewards LIMIT 1", &[])?;
        Ok(Attempts {
            in_window: row.as_ref().map_or(0, |row| row.number(0)),
            earliest: row.filter(|row| !row.is_null(1)).map(|row| Instant(row.integer(1))),
            allowed,
            has_grant,
            bar: guard.bar,
        })
    }

    /// Counts a wrong code, and leaves its entry: what was claimed of a campaign is no fact, so only whether it was a code
    /// or a word is kept. The breaker hears of the claim. Run inside a transaction.
    pub(crate) fn unrecognised(
        &self,
        (alias, claim): (bool, Option<Claim>),
        actor: Option<&str>,
        told: &Told<'_>,
        now: Instant,
    ) -> Result<(), Fault> {
        let kind = if alias { "alias" } else { "code" };
        self.add_attempt(kind, now)?;
        let (action, named) = UNRECOGNISED;
        let actor = actor.map_or_else(|| format!("member:{}", told.pid), str::to_owned);
        let draft = Draft::new(actor, action).subject(told.pid).data(serde_json::json!({ named: kind }));
        audit_log::append_claimed(self.0, (told.object, told.tester), &draft, claim, now)
    }

    fn add_attempt(&self, kind: &str, now: Instant) -> Result<(), Fault> {
        run(self.0, "DELETE FROM attempts WHERE at <= ?", &[now.plus_ms(-DAY_MS).0.into()])?;
        run(self.0, "INSERT INTO attempts VALUES (?, ?)", &[now.0.into(), kind.into()]).map(drop)
    }

    /// Redemptions of a campaign: all of them, and those of the days that matter at an instant.
    pub(crate) fn campaign_uses(&self, campaign: u16, at: Instant) -> Result<(u64, DayCounts), Fault> {
        let statement = "SELECT sum(uses), json_group_array(json_array(day, uses)) FILTER (WHERE day >= ?2)
            FROM campaign_days WHERE campaign = ?1";
        let row = first(self.0, statement, &[u32::from(campaign).into(), earliest_day(at).into()])?;
        let row = row.ok_or_else(|| Fault::new("an aggregate without a row"))?;
        Ok((row.count(0), row.json(1)?))
    }

    /// The campaign whose code a redemption came through, and the shard that keeps its use.
    pub(crate) fn keeper(&self, rid: &Rid) -> Result<Option<(u16, u32)>, Fault> {
        let statement = "SELECT campaign, shard FROM redemptions WHERE rid = ? AND campaign > 0";
        let row = first(self.0, statement, &[blob(rid)])?;
        Ok(row.map(|row| (u16::try_from(row.number(0)).unwrap_or_default(), row.number(1))))
    }

    /// What the member has at `now`, with the boosters that run.
    pub(crate) fn wallet(&self, now: Instant) -> Result<Wallet, Fault> {
        let statement = "SELECT
            (SELECT json_group_array(json_array(asset, currency, amount))
                FROM (SELECT asset, currency, amount FROM balances ORDER BY asset, currency)),
            (SELECT json_group_array(key) FROM (SELECT key FROM features ORDER BY key)),
            (SELECT count(*) FROM rewards WHERE running = 1),
            (SELECT json_group_array(json_object('currency', currency, 'amount_minor', amount)) FROM (
                SELECT json_extract(doc, '$.worth.credit.currency') AS currency,
                    sum(json_extract(doc, '$.worth.credit.amount_minor')) AS amount
                FROM holds WHERE state = 'held' AND campaign IS NULL AND reward IS NULL GROUP BY 1))";
        let row = first(self.0, statement, &[])?.ok_or_else(|| Fault::new("nothing was read"))?;
        let mut wallet = Wallet { features: row.json(1)?, held: row.json(3)?, ..Wallet::default() };
        for (asset, currency, amount) in row.json::<Vec<(String, String, u64)>>(0)? {
            match asset.as_str() {
                "points" => wallet.points = amount,
                "xp" => wallet.xp = amount,
                "tokens" => wallet.tokens = amount,
                _ => wallet.credit.push(Credit { currency, amount_minor: amount }),
            }
        }
        if row.integer(2) > 0 {
            wallet.boosters = self.running()?.iter().filter_map(|record| booster(&record.reward)).collect();
            wallet.boosters.retain(|booster| booster.runs_until > now);
            wallet.boosters.sort_by_key(|booster| booster.runs_until);
        }
        Ok(wallet)
    }

    pub(crate) fn set_wallet(&self, before: &Wallet, after: &Wallet) -> Result<(), Fault> {
        let set = |asset: &str, currency: &str, amount: u64| {
            let statement = "INSERT INTO balances VALUES (?, ?, ?)
                ON CONFLICT (asset, currency) DO UPDATE SET amount = excluded.amount";
            run(self.0, statement, &[asset.into(), currency.into(), amount.into()]).map(drop)
        };
        for (asset, now, then) in [
            ("points", after.points, before.points),
            ("xp", after.xp, before.xp),
            ("tokens", after.tokens, before.tokens),
        ] {
            if now != then {
                set(asset, "", now)?;
            }
        }
        for credit in after.credit.iter().filter(|credit| !before.credit.contains(credit)) {
            set("credit", &credit.currency, credit.amount_minor)?;
        }
        for feature in after.features.iter().filter(|feature| !before.features.contains(feature)) {
            run(self.0, "INSERT INTO features VALUES (?) ON CONFLICT DO NOTHING", &[feature.into()])?;
        }
        for feature in before.features.iter().filter(|feature| !after.features.contains(feature)) {
            run(self.0, "DELETE FROM features WHERE key = ?", &[feature.into()])?;
        }
        Ok(())
    }

    pub(crate) fn next_ledger_row(&self) -> Result<u64, Fault> {
        Ok(first(self.0, "SELECT coalesce(max(n), 0) + 1 FROM ledger", &[])?.map_or(1, |row| row.count(0)))
    }

    /// Writes a redemption; a decided one is never overwritten. Answers whether it was written.
    fn put_redemption(&self, put: &Put<'_>, redemption: &Redemption) -> Result<bool, Fault> {
        let doc = serde_json::to_string(redemption)?;
        run(
            self.0,
            "INSERT INTO redemptions
                (rid, fp, decided, status, campaign, created_at, doc, seq, consumed, pool, bought, decided_at, shard, day)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (rid) DO UPDATE SET decided = excluded.decided, status = excluded.status, doc = excluded.doc,
             consumed = excluded.consumed, pool = excluded.pool, bought = excluded.bought,
             decided_at = excluded.decided_at, shard = excluded.shard, day = excluded.day WHERE decided = 0 AND fp = excluded.fp RETURNING n",
            &[
                blob(put.rid),
                put.fp.as_bytes().as_slice().into(),
                u32::from(put.decided).into(),
                redemption.status.name().into(),
                u32::from(put.campaign).into(),
                redemption.created_at.0.into(),
                (&doc).into(),
                put.seq.into(),
                u32::from(put.consumes.is_some()).into(),
                put.pool_id.into(),
                put.bought.into(),
                redemption.updated_at.0.into(),
                put.shard.into(),
                i64::from(put.consumes.unwrap_or_default().0).into(),
            ],
        )
    }

    /// Whether this command was decided for with promo codes of a pool, whatever became of it since.
    pub(crate) fn has_promo_codes(&self, rid: &Rid, fp: &Fingerprint) -> Result<bool, Fault> {
        let statement = "SELECT 1 FROM redemptions WHERE rid = ? AND fp = ? AND decided = 1 AND pool IS NOT NULL";
        run(self.0, statement, &[blob(rid), fp.as_bytes().as_slice().into()])
    }

    /// When points last bought this reward; what was taken back since does not count.
    pub(crate) fn last_bought_at(&self, reward_id: &str) -> Result<Option<Instant>, Fault> {
        let statement = "SELECT decided_at FROM redemptions
            WHERE bought = ? AND status NOT IN ('reversed', 'cancelled') ORDER BY n DESC LIMIT 1";
        Ok(first(self.0, statement, &[reward_id.into()])?.map(|row| Instant(row.integer(0))))
    }

    pub(crate) fn opened(&self, rid: &Rid) -> Result<Option<Open>, Fault> {
        let row = first(self.0, "SELECT intent, opened_at, tries FROM open WHERE rid = ?", &[blob(rid)])?;
        row.map(|row| Ok(Open { intent: row.json(0)?, opened_at: Instant(row.integer(1)), tries: row.number(2) }))
            .transpose()
    }

    /// Keeps an accepted redemption: the row that drives it, its record, its event. Run inside a transaction.
    pub(crate) fn open(
        &self,
        intent: &Intent,
        redemption: &Redemption,
        tries: u32,
        told: Told<'_>,
    ) -> Result<Vec<Event>, Fault> {
        let text = serde_json::to_string(intent)?;
        let statement = "INSERT INTO open VALUES (?, ?, ?, ?)
            ON CONFLICT (rid) DO UPDATE SET intent = excluded.intent, tries = excluded.tries";
        let opened_at = redemption.created_at.0;
        run(self.0, statement, &[blob(&intent.rid), (&text).into(), opened_at.into(), tries.into()])?;
        if !self.put_redemption(&Put::of(intent, false, None, None), redemption)? {
            return Err(Fault::new("a decided redemption cannot be opened"));
        }
        let at = redemption.updated_at;
        // Operators see what waits; each further try is no news to them.
        if tries <= 1 {
            let draft = Draft::new("system", format!("redemption.{}", redemption.status.name()))
                .subject(redemption.redemption_id.clone());
            let seq = intent.code().map(|code| code.facts.seq);
            let record = Record { redemption: redemption.clone(), pid: told.pid.to_owned(), tester: told.tester, seq };
            let end = (vec![], told.took);
            audit_log::append_timed(self.0, (told.object, told.tester), &draft, Some(record), vec![], end, at)?;
        }
        let event = serde_json::to_value(redemption)?;
        self.add_events(&[("redemption.updated", event)], at)
    }

    /// Writes everything a decision says. Run inside a transaction.
    pub(crate) fn apply(
        &self,
        intent: &Intent,
        decision: &Decision,
        pool_id: Option<&str>,
        told: Told<'_>,
        now: Instant,
    ) -> Result<Vec<Event>, Fault> {
        if let Some(redemption) = &decision.changes.redemption
            && !self.put_redemption(&Put::of(intent, true, decision.consumes, pool_id), redemption)?
        {
            return Err(Fault::new("a redemption was decided twice"));
        }
        if decision.attempt {
            // Its tag fits: it counts for the account, and not for the breaker.
            self.unrecognised((intent.is_by_alias(), None), intent.actor.as_deref(), &told, now)?;
        }
        if let Some(CodeWish { campaign, shard, facts, .. }) = intent.code() {
            let campaign = u32::from(*campaign);
            if let Some(day) = decision.consumes {
                let statement = "INSERT INTO campaign_days VALUES (?, ?, 1)
                    ON CONFLICT (campaign, day) DO UPDATE SET uses = uses + 1";
                run(self.0, statement, &[campaign.into(), i64::from(day.0).into()])?;
            }
            if decision.changes.give_back {
                self.add_undo(&intent.rid, (campaign, *shard), facts.seq, now)?;
            }
        }
        if let Some(quote) = &decision.quote_confirmed {
            self.confirm_quote(quote)?;
        }
        if let (Some(hold), Some(checkout)) = (&decision.hold, intent.checkout()) {
            self.add_hold(hold, &checkout.total(), now)?;
        }
        let told = Told { seq: intent.code().map(|code| code.facts.seq), ..told };
        self.write_effects(&intent.rid, &decision.changes, told, now)
    }

    /// Writes a gift, which no participant has a say in. Run inside a transaction.
    pub(crate) fn apply_gift(
        &self,
        rid: &Rid,
        fp: &Fingerprint,
        changes: &Changes,
        told: Told<'_>,
        now: Instant,
    ) -> Result<Vec<Event>, Fault> {
        let put = Put {
            rid,
            fp,
            campaign: 0,
            seq: 0,
            shard: 0,
            decided: true,
            consumes: Some(Day::default()),
            pool_id: None,
            bought: None,
        };
        if let Some(redemption) = &changes.redemption
            && !self.put_redemption(&put, redemption)?
        {
            return Err(Fault::new("a gift was given twice"));
        }
        self.write_effects(rid, changes, told, now)
    }

    pub(crate) fn add_events(&self, events: &[(&'static str, Json)], now: Instant) -> Result<Vec<Event>, Fault> {
        if events.is_empty() {
            return Ok(vec![]);
        }
        let mut seq = self.last_event()?;
        let mut added = Vec::with_capacity(events.len());
        for together in events.chunks(EVENTS_TOGETHER.len()) {
            let texts: Vec<String> =
                together.iter().map(|(_, data)| serde_json::to_string(data)).collect::<Result<_, _>>()?;
            let mut values = Vec::with_capacity(together.len() * 4);
            for ((kind, data), text) in together.iter().zip(&texts) {
                seq += 1;
                values.extend([seq.into(), now.0.into(), (*kind).into(), text.into()]);
                added.push(Event { seq, at: now, kind: (*kind).to_owned(), data: data.clone() });
            }
            let statement = EVENTS_TOGETHER.get(together.len() - 1).ok_or_else(|| Fault::new("too many at once"))?;
            run(self.0, statement, &values)?;
        }
        // What is too old goes now and then: a few rows more than promised cost less than asking at each commit.
        let crossed = (seq - u64::try_from(events.len()).unwrap_or_default()) / PRUNE_EVERY != seq / PRUNE_EVERY;
        if crossed {
            let oldest = seq.saturating_sub(EVENTS_KEPT);
            run(self.0, "DELETE FROM events WHERE seq <= ?", &[oldest.into()])?;
            let statement = "DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT 64) AND at < ?";
            run(self.0, statement, &[now.plus_ms(-EVENTS_KEPT_MS).0.into()])?;
        }
        Ok(added)
    }

    pub(crate) fn last_event(&self) -> Result<u64, Fault> {
        Ok(first(self.0, "SELECT coalesce(max(seq), 0) FROM events", &[])?.map_or(0, |row| row.count(0)))
    }

    pub(crate) fn first_event(&self) -> Result<u64, Fault> {
        Ok(first(self.0, "SELECT coalesce(min(seq), 1) FROM events", &[])?.map_or(1, |row| row.count(0)))
    }

    pub(crate) fn events(&self, since: u64, limit: u32) -> Result<Vec<Event>, Fault> {
        let statement = "SELECT seq, at, kind, data FROM events WHERE seq > ? ORDER BY seq LIMIT ?";
        query(self.0, statement, &[since.into(), limit.into()])?.iter().map(event).collect()
    }

    /// The latest redemptions before `before`, that pass the filters, with their numbers.
    pub(crate) fn history(&self, query_for: &crate::calls::HistoryQuery) -> Result<Vec<(u64, Redemption)>, Fault> {
        let crate::calls::HistoryQuery { page, status, campaign, from, to } = query_for;
        let rows = query(
            self.0,
            "SELECT n, doc FROM redemptions
             WHERE n > coalesce((SELECT json_extract(value, '$.redemptions') FROM meta WHERE key = 'erased'), 0)
             AND (?1 IS NULL OR n < ?1) AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR campaign = ?3) AND (?4 IS NULL OR created_at >= ?4) AND (?5 IS NULL OR created_at < ?5)
             ORDER BY n DESC LIMIT ?6",
            &[
                page.before.into(),
                status.as_deref().into(),
                campaign.map(u32::from).into(),
                from.map(|at| at.0).into(),
                to.map(|at| at.0).into(),
                (page.limit + 1).into(),
            ],
        )?;
        rows.iter().map(|row| Ok((row.count(0), row.json(1)?))).collect()
    }

    /// The latest redemptions.
    pub(crate) fn latest(&self, limit: u32) -> Result<Vec<Redemption>, Fault> {
        let statement = "SELECT doc FROM redemptions
            WHERE n > coalesce((SELECT json_extract(value, '$.redemptions') FROM meta WHERE key = 'erased'), 0)
            ORDER BY n DESC LIMIT ?";
        let rows = query(self.0, statement, &[limit.into()])?;
        rows.iter().map(|row| row.json(0)).collect()
    }

    pub(crate) fn ledger(&self, before: Option<u64>, limit: u32) -> Result<Vec<(u64, LedgerRow)>, Fault> {
        let statement = "SELECT n, doc FROM ledger WHERE (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2";
        let rows = query(self.0, statement, &[before.into(), limit.into()])?;
        rows.iter().map(|row| Ok((row.count(0), row.json(1)?))).collect()
    }
}
