//! What every Worker has to know of a merchant before it lets a code through: settings, which campaigns have several
//! shards, and whose codes are being guessed.
//!
//! A Worker asks the Merchant at most once a second and remembers the answer in its isolate. An administrator's change that
//! comes through the same isolate is forgotten at once, so that it counts for the very next request.

use crate::answer::Answer;
use crate::calls::Guard;
use crate::merchant_aliases::{self, AliasTarget};
use crate::merchant_calls::MerchantOp;
use crate::merchant_settings;
use crate::objects::{Objects, read_json, within};
use crate::platform::{Fault, SyncStorage, now};
use crate::sql::{query, run};
use counterfoil_core::alias::Alias;
use counterfoil_core::breaker::{BreakerState, Claim};
use counterfoil_core::ids::Mref;
use counterfoil_core::keys::MerchantId;
use counterfoil_core::protocol::member::Bar;
use counterfoil_core::rate_limit::{Policy, RateLimit};
use counterfoil_core::rules::shard_of;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{CampaignKind, Settings};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use worker::Delay;

/// An answer so old is used as it is …
const FRESH_MS: i64 = 900;
/// … and one so old while somebody asks anew.
const KEPT_MS: i64 = 1_000;
/// When the Merchant cannot be reached, what it said last still counts for so long.
const STALE_MS: i64 = 60_000;
/// How often a request looks whether another one's question was answered.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Words of one merchant that are kept.
const WORDS_KEPT: usize = 256;
/// Longest wait for the Merchant.
const MERCHANT_WAIT: Duration = Duration::from_secs(2);
/// When a question has not come back for so long another request asks too: the first may have been dropped, with the request
/// that asked.
const LOST_MS: i64 = 500;
/// Merchants that are remembered.
const MERCHANTS_KEPT: usize = 1_000;
/// Seconds that accounts without an earlier grant wait while a campaign's codes are being guessed.
const REFUSE_NEW_S: u32 = 3_600;

/// Part of a Merchant's schema: campaigns whose codes are being guessed, in the order of their changes.
pub(crate) const SCHEMA: [&str; 1] = ["CREATE TABLE IF NOT EXISTS tripped (
    campaign INTEGER PRIMARY KEY, version INTEGER NOT NULL, keys TEXT NOT NULL
) STRICT"];

/// Answered by a Merchant.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Gate {
    pub(crate) settings: Settings,
    /// Campaigns with more than one shard. A Worker that does not know is put right by the shard it asks.
    pub(crate) spread: Vec<Spread>,
    /// Campaign keys whose tags are being guessed, from a challenge on.
    pub(crate) tripped: Vec<(Claim, BreakerState)>,
}

/// See [`Gate::spread`].
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) campaign: u16,
    pub(crate) kind: CampaignKind,
    pub(crate) shards: u32,
}

/// Which of some campaigns a Merchant has.
#[derive(Serialize, Deserialize)]
pub(crate) struct Existing {
    pub(crate) campaigns: Vec<u16>,
}

impl Gate {
    /// The shard that keeps a code's uses.
    pub(crate) fn shard(&self, campaign: u16, seq: u32, mref: &Mref) -> u32 {
        let spread = self.spread.iter().find(|spread| spread.campaign == campaign);
        spread.map_or(0, |spread| shard_of(spread.kind, spread.shards, seq, mref))
    }

    /// What a Member reads about wrong codes, as far as the merchant alone says it. `exempt` from challenges: services.
    pub(crate) fn guard(&self, claim: Option<Claim>, exempt: bool) -> Guard {
        let Settings { attempts_per_day, alias_attempts_per_day, .. } = self.settings;
        let tripped = self.tripped.iter().find(|(key, _)| claim.as_ref() == Some(key)).map(|(_, state)| *state);
        let (bar, limit) = match tripped {
            Some(BreakerState::RefuseNew) => {
                let limit = RateLimit { policy: Policy::Breaker, quota: 0, window_s: REFUSE_NEW_S };
                (Some(Bar::Wait { retry_after_s: REFUSE_NEW_S }), Some(limit))
            }
            Some(BreakerState::Challenge) if !exempt => (Some(Bar::Challenge), None),
            Some(BreakerState::Challenge | BreakerState::Alarm | BreakerState::Closed) | None => (None, None),
        };
        Guard { attempts_per_day, alias_attempts_per_day, bar, limit }
    }
}

/// What this isolate knows of one merchant.
#[derive(Default)]
struct Known {
    gate: Option<(Rc<Gate>, Instant)>,
    /// Words that stand for something, for as long as the gate: the shard judges by its own rules whether one still does.
    words: HashMap<Alias, (AliasTarget, Instant)>,
    /// Since when somebody asks.
    asking: Option<Instant>,
    /// Grows with each change: what was asked before it is not kept.
    changes: u32,
}

thread_local! {
    static KNOWN: RefCell<HashMap<MerchantId, Known>> = RefCell::default();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Use,
    Wait,
    Ask,
}

/// What a request does, by the ages of what is known and of the question under way. A negative age is no age: the clock was
/// put back.
fn step(known_ms: Option<i64>, asking_ms: Option<i64>) -> Step {
    let asked = asking_ms.is_some_and(|age| (0..LOST_MS).contains(&age));
    match known_ms {
        Some(age) if (0..FRESH_MS).contains(&age) => Step::Use,
        Some(age) if asked && (0..KEPT_MS).contains(&age) => Step::Use,
        Some(_) | None if asked => Step::Wait,
        Some(_) | None => Step::Ask,
    }
}

/// What this Worker has to know of a merchant.
pub(crate) async fn of(objects: &Objects<'_>, merchant: &MerchantId) -> Result<Rc<Gate>, Fault> {
    loop {
        let at = now();
        let (step, gate, changes) = KNOWN.with_borrow_mut(|all| {
            let known = entry(all, merchant, at);
            let age = |since: Instant| at.0 - since.0;
            let step = step(known.gate.as_ref().map(|(_, since)| age(*since)), known.asking.map(age));
            if step == Step::Ask {
                known.asking = Some(at);
            }
            (step, known.gate.clone(), known.changes)
        });
        match (step, gate) {
            (Step::Use, Some((gate, _))) => return Ok(gate),
            (Step::Wait, _) => Delay::from(LOOK_AGAIN).await,
            (Step::Ask | Step::Use, gate) => return ask(objects, merchant, gate, changes).await,
        }
    }
}

/// The entry of a merchant. When there are too many, those go that nobody has asked for in the last second.
fn entry<'a>(all: &'a mut HashMap<MerchantId, Known>, merchant: &MerchantId, at: Instant) -> &'a mut Known {
    if all.len() >= MERCHANTS_KEPT && !all.contains_key(merchant) {
        all.retain(|_, known| known.gate.as_ref().is_some_and(|(_, since)| at.0 - since.0 < KEPT_MS));
        if all.len() >= MERCHANTS_KEPT {
            all.clear();
        }
    }
    all.entry(merchant.clone()).or_default()
}

async fn ask(
    objects: &Objects<'_>,
    merchant: &MerchantId,
    last: Option<(Rc<Gate>, Instant)>,
    changes: u32,
) -> Result<Rc<Gate>, Fault> {
    let asked_at = now();
    let asking = async { read_json::<Gate>(objects.merchant(merchant.as_str(), &MerchantOp::Gate).await?).await };
    let answer = within(MERCHANT_WAIT, "the merchant", asking).await.map(Rc::new);
    KNOWN.with_borrow_mut(|all| {
        if let Some(known) = all.get_mut(merchant).filter(|known| known.changes == changes) {
            known.asking = None;
            if let Ok(gate) = &answer {
                known.gate = Some((Rc::clone(gate), asked_at));
            }
        }
    });
    match (answer, last) {
        (Err(fault), Some((gate, since))) if asked_at.0 - since.0 < STALE_MS => {
            fault.log("gate_stale");
            Ok(gate)
        }
        (answer, _) => answer,
    }
}

/// Something of a merchant has changed: what is known of it counts no more.
pub(crate) fn forget(merchant: &MerchantId) {
    KNOWN.with_borrow_mut(|all| {
        if let Some(known) = all.get_mut(merchant) {
            *known = Known { changes: known.changes.wrapping_add(1), ..Known::default() };
        }
    });
}

/// What a word stands for, where this isolate has heard it within the last second.
pub(crate) fn word(merchant: &MerchantId, alias: &Alias) -> Option<AliasTarget> {
    let at = now();
    KNOWN.with_borrow(|all| {
        let (target, since) = all.get(merchant)?.words.get(alias)?;
        (0..KEPT_MS).contains(&(at.0 - since.0)).then_some(*target)
    })
}

/// Keeps what a word stands for, asked for when so many changes were known ([`changes`]).
pub(crate) fn keep_word(merchant: &MerchantId, alias: &Alias, target: AliasTarget, asked: (u32, Instant)) {
    KNOWN.with_borrow_mut(|all| {
        let (changes, asked_at) = asked;
        let Some(known) = all.get_mut(merchant).filter(|known| known.changes == changes) else { return };
        if known.words.len() >= WORDS_KEPT {
            known.words.clear();
        }
        known.words.insert(alias.clone(), (target, asked_at));
    });
}

/// How often something of a merchant has changed here.
pub(crate) fn changes(merchant: &MerchantId) -> u32 {
    KNOWN.with_borrow(|all| all.get(merchant).map_or(0, |known| known.changes))
}

/// How many days before its end something is announced, where this isolate knows.
pub(crate) fn notify_days(merchant: &MerchantId) -> Option<u32> {
    let at = now();
    KNOWN.with_borrow(|all| {
        let (gate, since) = all.get(merchant)?.gate.as_ref()?;
        (0..KEPT_MS).contains(&(at.0 - since.0)).then_some(gate.settings.notify_days_before)
    })
}

/// In the Merchant: what its Workers have to know.
pub(crate) fn answer(storage: &SyncStorage) -> Result<Answer, Fault> {
    let rows = query(storage, "SELECT keys FROM tripped WHERE keys <> '[]' ORDER BY campaign", &[])?;
    let tripped: Vec<Vec<_>> = rows.iter().map(|row| row.json(0)).collect::<Result<_, _>>()?;
    let (settings, spread) = (merchant_settings::current(storage)?, merchant_aliases::spread(storage)?);
    Answer::json(200, &Gate { settings, spread, tripped: tripped.concat() })
}

/// In the Merchant: a campaign says which of its keys are being guessed. What it has said since counts.
pub(crate) fn tripped(
    storage: &SyncStorage,
    campaign: u16,
    version: u32,
    keys: &[(Claim, BreakerState)],
) -> Result<Answer, Fault> {
    let statement = "INSERT INTO tripped VALUES (?, ?, ?) ON CONFLICT (campaign) DO UPDATE
        SET version = excluded.version, keys = excluded.keys WHERE excluded.version > version";
    run(storage, statement, &[u32::from(campaign).into(), version.into(), (&serde_json::to_string(keys)?).into()])?;
    Ok(Answer::empty(204))
}

/// In the Merchant: which of these campaigns there are.
pub(crate) fn existing(storage: &SyncStorage, campaigns: &[u16]) -> Result<Answer, Fault> {
    let statement = "SELECT campaign FROM campaigns WHERE campaign IN (SELECT value FROM json_each(?))";
    let rows = query(storage, statement, &[(&serde_json::to_string(campaigns)?).into()])?;
    let campaigns = rows.iter().filter_map(|row| u16::try_from(row.number(0)).ok()).collect();
    Answer::json(200, &Existing { campaigns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::code::Profile;

    fn gate(tripped: Vec<(Claim, BreakerState)>) -> Gate {
        let spread = vec![Spread { campaign: 7, kind: CampaignKind::Unique, shards: 4 }];
        Gate { settings: Settings { attempts_per_day: 3, ..Settings::default() }, spread, tripped }
    }

    #[test]
    fn only_the_key_that_is_guessed_is_guarded() {
        let claim = |profile, epoch, campaign| Claim { profile, epoch, campaign };
        let guessed = claim(Profile::S20, 1, 7);
        for (state, of, exempt, bar) in [
            (BreakerState::Challenge, Some(guessed), false, Some(Bar::Challenge)),
            (BreakerState::Challenge, Some(guessed), true, None),
            (BreakerState::Challenge, Some(claim(Profile::S20, 0, 7)), false, None),
            (BreakerState::Challenge, Some(claim(Profile::S25, 1, 7)), false, None),
            (BreakerState::Challenge, Some(claim(Profile::S20, 1, 8)), false, None),
            (BreakerState::Challenge, None, false, None),
            (BreakerState::RefuseNew, Some(guessed), false, Some(Bar::Wait { retry_after_s: REFUSE_NEW_S })),
            (BreakerState::RefuseNew, Some(guessed), true, Some(Bar::Wait { retry_after_s: REFUSE_NEW_S })),
            (BreakerState::RefuseNew, None, false, None),
            (BreakerState::Alarm, Some(guessed), false, None),
        ] {
            let guard = gate(vec![(guessed, state)]).guard(of, exempt);
            assert_eq!((guard.bar, guard.attempts_per_day), (bar, 3), "{state:?} {of:?} {exempt}");
            assert_eq!(guard.limit.is_some(), matches!(bar, Some(Bar::Wait { .. })));
        }
    }

    #[test]
    fn codes_find_their_shards() {
        let mref = Mref::from_bytes(&[0; 16]).unwrap_or_else(|| unreachable!());
        for (campaign, seq, shard) in [(7, 0, 0), (7, 5, 1), (7, 7, 3), (8, 7, 0)] {
            assert_eq!(gate(vec![]).shard(campaign, seq, &mref), shard, "{campaign} {seq}");
        }
    }

    #[test]
    fn one_asks_while_the_others_use_what_is_known() {
        for (known_ms, asking_ms, expected) in [
            (None, None, Step::Ask),
            (None, Some(0), Step::Wait),
            (None, Some(LOST_MS), Step::Ask),
            (None, Some(-1), Step::Ask),
            (Some(0), None, Step::Use),
            (Some(FRESH_MS - 1), Some(1), Step::Use),
            (Some(FRESH_MS), None, Step::Ask),
            (Some(FRESH_MS), Some(1), Step::Use),
            (Some(KEPT_MS - 1), Some(1), Step::Use),
            (Some(KEPT_MS), Some(1), Step::Wait),
            (Some(KEPT_MS), None, Step::Ask),
            (Some(-1), None, Step::Ask),
        ] {
            assert_eq!(step(known_ms, asking_ms), expected, "{known_ms:?} {asking_ms:?}");
        }
    }
}
