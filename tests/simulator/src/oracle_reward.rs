//! The invariants of rewards: their moves, what they did to the wallet and at the fulfiller, the ledger, the audit
//! chain, and that what is not finished goes on.

use crate::due::Item;
use crate::member_state::{MemberState, count};
use crate::message::Party;
use crate::oracle::{Checked, armed, ensure, is_parked};
use crate::oracle_pool::payment;
use crate::outcome::Violation;
use crate::world::World;
use counterfoil_core::audit::NOTHING_BEFORE;
use counterfoil_core::limits::BACKOFF_MAX_MS;
use counterfoil_core::reward::{MOVES, RewardRecord};
use counterfoil_core::webhook::schedule::delay_ms;
use counterfoil_core::wire::{
    HoldState, LedgerRow, RedemptionStatus, RewardMove, RewardState, RewardType, RewardValue,
};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Longest `Retry-After` that the fulfiller asks for.
const RETRY_AFTER_MAX_MS: i64 = 7_200_000;

/// After each commit of a Member.
pub(crate) fn rewards(world: &World, n: usize, before: &MemberState, now: &MemberState) -> Checked {
    for (key, record) in &now.rewards {
        let known = before.rewards.get(key);
        if known.is_some_and(|known| Rc::ptr_eq(known, record)) {
            continue;
        }
        moves(world, n, (known.map(|known| &**known), now.erasures != before.erasures), record)?;
        schedule(world, n, record)?;
        guard(world, n, record)?;
    }
    if before.rewards.keys().any(|key| !now.rewards.contains_key(key)) {
        return Err(Violation::new("I4", format!("M{n}: a reward is gone")));
    }
    planned(world, n, now)?;
    effects(n, now)?;
    ledger(n, before, now)?;
    chain(n, before, now)
}

fn name(record: &RewardRecord) -> String {
    format!("{} {}", record.reward.kind.name(), record.reward.state.name())
}

/// Only legal moves, none of them lost, and none of an overdue reward but by the clock.
fn moves(world: &World, n: usize, (known, erased): (Option<&RewardRecord>, bool), record: &RewardRecord) -> Checked {
    let told = known.map_or(&[][..], |known| &known.reward.moves);
    let moves = &record.reward.moves;
    // An erasure takes names and reasons out.
    let went = |step: &RewardMove| (step.from, step.to, step.at);
    let same = |(now, told): (&RewardMove, &RewardMove)| now == told || (erased && went(now) == went(told));
    ensure(moves.len() >= told.len() && moves.iter().zip(told).all(same), "I4", || {
        format!("M{n}: a move of a reward is gone: {}", name(record))
    })?;
    let clock = world.clock(Party::Member(n));
    let mut from = told.last().map(|step| step.to);
    for step in moves.iter().skip(told.len()) {
        let legal = step.from == from && MOVES.iter().any(|legal| legal.from == from && legal.to == step.to);
        ensure(legal, "moves", || format!("M{n}: {from:?} went to {:?}", step.to))?;
        let rested = matches!(from, Some(RewardState::Unclaimed | RewardState::PendingActivation));
        let taken = matches!(step.to, RewardState::PendingActivation | RewardState::InProgress);
        let overdue = record.reward.valid_until.is_some_and(|until| until <= clock);
        ensure(!(rested && taken && overdue), "expiry", || {
            format!("M{n}: an overdue reward was taken: {}", name(record))
        })?;
        from = Some(step.to);
    }
    let ends_there = from == Some(record.state());
    ensure(ends_there, "moves", || format!("M{n}: a reward stands elsewhere than it went: {}", name(record)))
}

/// What failed is tried again no later than the published schedule says, unless its tries are used up.
fn schedule(world: &World, n: usize, record: &RewardRecord) -> Checked {
    if record.state() != RewardState::Failed {
        return Ok(());
    }
    let reward = &record.reward;
    match (reward.next_attempt_at, reward.moves.last()) {
        (Some(next), Some(last)) => {
            let pause = delay_ms(reward.attempts, None, 0).max(RETRY_AFTER_MAX_MS);
            // One that is pulled forward is due now.
            let from = last.at.max(world.clock(Party::Member(n)));
            ensure(next <= from.plus_ms(pause), "I6", || format!("M{n}: the next try is too late: {}", name(record)))
        }
        (_, _) => {
            let over = reward.attempts >= reward.attempts_max || record.delivery.parked;
            ensure(over, "I6", || format!("M{n}: a failed reward has no next try: {}", name(record)))
        }
    }
}

/// The guard of cancellation: what the fulfiller may have given does not count as certainly not given.
fn guard(world: &World, n: usize, record: &RewardRecord) -> Checked {
    let fulfiller = world.fulfiller.borrow();
    let id = &record.reward.id;
    let given = fulfiller.given.get(id).copied().unwrap_or(0);
    ensure(given <= 1, "I7", || format!("M{n}: the fulfiller gave it {given} times: {}", name(record)))?;
    let open = matches!(record.state(), RewardState::InProgress | RewardState::Failed);
    let certain = open && !record.outcome_unknown() && record.mechanic.endpoint().is_some();
    let excused = world.stray.borrow().contains(id) || fulfiller.cancelled.contains(id);
    ensure(!certain || given == 0 || excused, "guard", || {
        format!("M{n}: it was given, and counts as certainly not given: {}", name(record))
    })
}

/// I8: what the clock, a participant or the Recorder is owed is planned.
fn planned(world: &World, n: usize, now: &MemberState) -> Checked {
    let party = Party::Member(n);
    let clock = world.clock(party);
    for ((rid, index), record) in &now.rewards {
        if record.due_at().is_some() {
            let item = Item::Reward(*rid, *index);
            armed(world, party, &now.due, item, None, || format!("a reward waits: {}", name(record)))?;
        }
    }
    for (rid, _) in now.undo.keys() {
        let latest = Some(clock.plus_ms(BACKOFF_MAX_MS));
        armed(world, party, &now.due, Item::Undo(*rid), latest, || "a use is to be given back".to_owned())?;
    }
    if now.outbox.is_empty() {
        return Ok(());
    }
    armed(world, party, &now.due, Item::Report, Some(clock.plus_ms(BACKOFF_MAX_MS)), || "rows wait".to_owned())
}

/// I7, I11: each reward has its effect in the wallet once, from when it is granted until it is taken back.
fn effects(n: usize, now: &MemberState) -> Checked {
    for (rid, record) in &now.redemptions {
        let id = &record.doc.redemption_id;
        let rows = now.ledger.iter().filter(|row| row.redemption_id.as_ref() == Some(id));
        let rewards: Vec<_> = now.rewards.range((*rid, 0)..=(*rid, u8::MAX)).map(|(_, held)| held).collect();
        let expected = if record.decided { record.doc.rewards.len() } else { 0 };
        ensure(rewards.len() == expected, "I7", || {
            format!("M{n}: a redemption names {expected} rewards and has {}", rewards.len())
        })?;
        let receipts = rows.clone().filter(|row| row.kind == "redemption").count();
        let each = if record.pool.is_some() { usize::try_from(record.doc.quantity).unwrap_or(0) } else { 1 };
        ensure(receipts == if expected > 0 { each } else { 0 }, "I7", || {
            format!("M{n}: a redemption has {receipts} receipts")
        })?;
        if expected == 0 {
            ensure(rows.count() == 0, "I11", || format!("M{n} has effects of what was not granted"))?;
            continue;
        }
        if now.erasing || now.buried.contains(rid) {
            // What it gave and what it cost was forfeited with the rest.
            continue;
        }
        payment(n, record, &rows.clone().collect::<Vec<_>>())?;
        let spent = record.doc.points_spent.is_some();
        let paid = |id: &String| spent && record.doc.ledger.iter().any(|line| line.ledger_id == *id);
        let taken = |row: &&Rc<LedgerRow>| {
            row.reverses.is_some() || row.asset == "reward" || row.kind == "order" || paid(&row.ledger_id)
        };
        let given: Vec<_> = rows.clone().filter(|row| !taken(row)).map(|row| &row.ledger_id).collect();
        let back: Vec<_> = rows.filter_map(|row| row.reverses.as_ref()).collect();
        let left: Vec<_> = given.iter().filter(|id| !back.contains(id)).collect();
        let applied = rewards.iter().filter_map(|held| held.applied.as_ref());
        let applied: Vec<_> = applied.map(|applied| &applied.ledger_id).collect();
        ensure(left.len() == applied.len() && applied.iter().all(|id| given.contains(id)), "I7", || {
            format!("M{n}: {} rows stand for {} applied rewards", left.len(), applied.len())
        })?;
        for held in rewards {
            let stands = matches!(held.state(), RewardState::Granted | RewardState::Complete);
            ensure(held.applied.is_none() || stands, "I7", || format!("M{n}: an effect is left of {}", name(held)))?;
        }
    }
    Ok(())
}

/// I10, I12: replaying the ledger gives the balances, after each row and in all; and each row says what boosters made.
fn ledger(n: usize, before: &MemberState, now: &MemberState) -> Checked {
    let erased = now.erasures != before.erasures;
    let but_who = |now: &LedgerRow, before: &LedgerRow| LedgerRow { by: before.by.clone(), ..now.clone() } == *before;
    let same =
        |now: &Rc<LedgerRow>, before: &Rc<LedgerRow>| Rc::ptr_eq(now, before) || (erased && but_who(now, before));
    let kept = now.ledger.iter().zip(&before.ledger).all(|(now, before)| same(now, before));
    ensure(kept && now.ledger.len() >= before.ledger.len(), "I12", || format!("M{n}: a ledger row changed"))?;
    let mut sums: BTreeMap<(&str, Option<&str>), i64> = BTreeMap::new();
    for row in now.ledger.iter().filter(|row| row.asset != "reward") {
        let sum = sums.entry((&row.asset, row.currency.as_deref().or(row.feature.as_deref()))).or_default();
        *sum += row.amount;
        ensure(u64::try_from(*sum) == Ok(row.balance_after), "I12", || {
            format!("M{n}: {} is {sum} after a row that says {}", row.asset, row.balance_after)
        })?;
    }
    let sum = |asset: &str| sums.iter().filter(|((of, _), _)| *of == asset).map(|(_, sum)| *sum).sum::<i64>();
    let wallet = &now.wallet;
    let credit: u64 = wallet.credit.iter().map(|credit| credit.amount_minor).sum();
    let balances = [
        ("points", wallet.points),
        ("xp", wallet.xp),
        ("tokens", wallet.tokens),
        ("credit", credit),
        ("feature", count(wallet.features.len())),
    ];
    for (asset, balance) in balances {
        ensure(u64::try_from(sum(asset)) == Ok(balance), "I10", || {
            format!("M{n}: {asset} is {balance}, the ledger says {}", sum(asset))
        })?;
    }
    for row in now.ledger.iter().skip(before.ledger.len()).filter(|row| row.reverses.is_none()) {
        boosted(n, before, now, row)?;
    }
    Ok(())
}

/// The highest booster that runs counts, once.
fn boosted(n: usize, before: &MemberState, now: &MemberState, row: &LedgerRow) -> Checked {
    let of_row = |held: &&Rc<RewardRecord>| held.applied.as_ref().is_some_and(|done| done.ledger_id == row.ledger_id);
    let Some(held) = now.rewards.values().find(of_row) else {
        return Ok(());
    };
    let RewardValue::Amount { amount } = held.reward.value else {
        return Ok(());
    };
    let booster = if row.asset == "xp" { RewardType::LevelBooster } else { RewardType::TokenBooster };
    let running = before.rewards.values().filter(|held| {
        let runs = held.reward.runs_until.is_some_and(|until| until > row.at);
        held.reward.kind == booster && held.state() == RewardState::Granted && runs
    });
    let permille = running.filter_map(|held| match held.reward.value {
        RewardValue::Booster { multiplier_permille } => Some(u64::from(multiplier_permille)),
        RewardValue::Credit { .. }
        | RewardValue::Feature { .. }
        | RewardValue::Amount { .. }
        | RewardValue::Percent { .. }
        | RewardValue::Reference { .. } => None,
    });
    let expected = u128::from(amount) * u128::from(held.reward.quantity) * u128::from(permille.max().unwrap_or(1_000));
    ensure(u128::try_from(row.amount) == Ok(expected / 1_000), "boosters", || {
        format!("M{n}: {} {} were given where {} were due", row.amount, row.asset, expected / 1_000)
    })
}

/// I12: the chain is unbroken, and whatever changed is told in it.
fn chain(n: usize, before: &MemberState, now: &MemberState) -> Checked {
    let mut prev = before.chain.last().map_or(NOTHING_BEFORE, |link| &link.hash);
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    let mut subjects = vec![];
    for (at, link) in now.chain.iter().enumerate().skip(before.chain.len()) {
        let linked = link.entry.n == count(at) + 1 && link.entry.prev == prev && link.entry.hash() == link.hash;
        ensure(linked, "I12", || format!("M{n}: entry {} breaks the chain", link.entry.n))?;
        prev = &link.hash;
        subjects.extend(link.entry.subject.as_deref());
        let data = link.entry.data.as_ref();
        let moves = data.and_then(|data| data.get("moves")).and_then(serde_json::Value::as_array);
        for step in moves.into_iter().flatten() {
            let reward = step.get("reward").and_then(serde_json::Value::as_str).unwrap_or_default();
            *told.entry(reward).or_default() += 1;
        }
    }
    for (key, held) in &now.rewards {
        let known = before.rewards.get(key);
        if known.is_some_and(|known| Rc::ptr_eq(known, held)) {
            continue;
        }
        let new = held.reward.moves.len() - known.map_or(0, |known| known.reward.moves.len());
        let told = told.get(held.reward.id.as_str()).copied().unwrap_or(0);
        ensure(told == new, "I12", || {
            format!("M{n}: {new} moves and {told} of them in the audit log: {}", name(held))
        })?;
    }
    for (rid, record) in now.redemptions.iter().filter(|(_, record)| record.decided) {
        let new = !before.redemptions.get(rid).is_some_and(|known| known.decided);
        let told = !new || subjects.contains(&record.doc.redemption_id.as_str());
        ensure(told, "I12", || format!("M{n}: a decision without an audit entry"))?;
    }
    Ok(())
}

/// The Recorder has each row once, and every chain without a gap.
pub(crate) fn recorder(world: &World, n: usize) -> Checked {
    let Some(state) = world.recorders.get(n).map(|disk| disk.safe()) else {
        return Ok(());
    };
    ensure(state.counted == count(state.rows.len()), "recorder", || {
        format!("R{n} has counted {} rows and has {}", state.counted, state.rows.len())
    })?;
    for (member, disk) in world.members.iter().enumerate() {
        let member_state = disk.safe();
        let source = format!("member/p{member}");
        let rows = state.rows.range((source.clone(), 0)..=(source, u64::MAX));
        let mut last: Option<u64> = None;
        for ((_, at), row) in rows {
            ensure(last.is_none_or(|last| last + 1 == *at), "recorder", || {
                format!("R{n}: M{member}'s row {at} follows {last:?}")
            })?;
            last = Some(*at);
            let place = usize::try_from(*at).unwrap_or(0).checked_sub(1);
            let link = place.and_then(|place| member_state.chain.get(place));
            ensure(link.is_some_and(|link| link.hash == row.hash), "recorder", || {
                format!("R{n} has a row {at} of M{member} that is not its own")
            })?;
        }
    }
    Ok(())
}

/// I8 for the Merchant: whoever is to be woken is planned.
pub(crate) fn endpoint(world: &World) -> Checked {
    let state = world.endpoint.safe();
    if state.waiters.values().all(|waiter| waiter.wake_at.is_none()) {
        return Ok(());
    }
    armed(world, Party::Merchant, &state.due, Item::Wake, None, || "somebody is to be woken".to_owned())
}

/// I6, a minute after faults have stopped: what is not finished has a next step, and no later than the schedule says.
pub(crate) fn unfinished(world: &World, n: usize, state: &MemberState) -> Checked {
    let now = world.now();
    let endpoint = world.endpoint.safe();
    // Who waits for an endpoint that works is woken, and does not find out hours later.
    let woken = endpoint.disabled
        || is_parked(world, Party::Merchant, &endpoint.due, Item::Wake)
        || endpoint.waiters.get(&n).is_some_and(|waiter| waiter.wake_at.is_some());
    for ((rid, index), record) in &state.rewards {
        let waits = record.state() == RewardState::Failed && record.delivery.parked;
        ensure(woken || !waits, "I6", || format!("M{n}: nobody wakes what waits for the endpoint: {}", name(record)))?;
        let item = Item::Reward(*rid, *index);
        if is_parked(world, Party::Member(n), &state.due, item) {
            continue;
        }
        let latest = match record.state() {
            RewardState::Failed if record.reward.next_attempt_at.is_some() => {
                delay_ms(record.reward.attempts, None, 0).max(RETRY_AFTER_MAX_MS)
            }
            RewardState::InProgress if !record.is_played() => i64::from(record.fulfilment_timeout_s).max(60) * 1_000,
            RewardState::InProgress
            | RewardState::Unclaimed
            | RewardState::PendingActivation
            | RewardState::Granted
            | RewardState::Complete
            | RewardState::Expired
            | RewardState::Failed
            | RewardState::Declined
            | RewardState::Deleted
            | RewardState::Bounced => continue,
        };
        let planned = state.due.items.get(&item).map(|planned| planned.at);
        let in_time = planned.is_some_and(|at| at <= now.plus_ms(latest) && at >= now.plus_ms(-60_000));
        ensure(in_time, "I6", || {
            let at = planned.map(|at| (at.0 - now.0) / 1_000);
            format!("M{n}: the next step is {at:?} s away: {}", name(record))
        })?;
    }
    Ok(())
}

/// No lost grants: at the end each acknowledged redemption is granted, ended by an operator, or out of tries; and
/// the Recorder has heard everything.
pub(crate) fn finished(world: &World, n: usize, state: &MemberState) -> Checked {
    let party = Party::Member(n);
    let fulfiller = world.fulfiller.borrow();
    for (rid, record) in state.redemptions.iter().filter(|(_, record)| record.accepted()) {
        let held = || state.rewards.range((*rid, 0)..=(*rid, u8::MAX)).map(|(_, held)| held);
        let parked = held().any(|held| is_parked(world, party, &state.due, Item::Reward(*rid, held.index)));
        let ended = match record.doc.status {
            RedemptionStatus::Granted | RedemptionStatus::Cancelled | RedemptionStatus::Reversed => true,
            RedemptionStatus::GrantFailed => {
                let used_up = |held: &Rc<RewardRecord>| held.reward.attempts >= held.reward.attempts_max;
                let failed = || held().filter(|held| held.state() == RewardState::Failed);
                record.doc.next_attempt_at.is_none() && failed().all(used_up)
            }
            RedemptionStatus::Redeemed
            | RedemptionStatus::Granting
            | RedemptionStatus::Redeeming
            | RedemptionStatus::RedeemFailed
            | RedemptionStatus::Refused
            | RedemptionStatus::Held => false,
        };
        let status = record.doc.status.name();
        ensure(ended || parked, "I6", || format!("M{n}: a redemption is lost: {status}"))?;
        for held in held().filter(|held| held.mechanic.endpoint().is_some()) {
            let by_hand = held.reward.moves.iter().any(|step| step.actor.starts_with("admin:"));
            let given = fulfiller.given.get(&held.reward.id).copied().unwrap_or(0);
            let granted = matches!(held.state(), RewardState::Granted | RewardState::Complete);
            ensure(!granted || by_hand || given == 1, "I7", || format!("M{n}: {given} times given: {}", name(held)))?;
            let kept = given == 1 && !fulfiller.cancelled.contains(&held.reward.id);
            let told = held.reward.state != RewardState::Deleted || !kept || held.delivery.notice.is_some();
            let unheard = state.chain.iter().any(|link| link.entry.action == "fulfilment.cancellation_unheard");
            ensure(told || unheard, "I7", || {
                format!("M{n}: the fulfiller gave it and was never told: {}", name(held))
            })?;
        }
    }
    let waits = |item| is_parked(world, party, &state.due, item);
    let left = state.holds.values().any(|(_, hold)| hold.state == HoldState::Held && !waits(Item::Hold(hold.rid)));
    ensure(!left, "holds", || format!("M{n}: something is held for ever"))?;
    let told = state.outbox.is_empty() || waits(Item::Report);
    ensure(told, "recorder", || format!("M{n}: {} rows never reached the Recorder", state.outbox.len()))?;
    let back = state.undo.keys().all(|(rid, _)| waits(Item::Undo(*rid)));
    ensure(back, "I6", || format!("M{n}: a use was never given back"))?;
    recorded(world, n, state)
}

/// Everything that happened is in the Recorders, and lists show redemptions as they stand.
fn recorded(world: &World, n: usize, state: &MemberState) -> Checked {
    if !state.outbox.is_empty() {
        return Ok(());
    }
    let source = format!("member/p{n}");
    let recorders: Vec<_> = world.recorders.iter().map(|disk| disk.safe()).collect();
    let rows: usize = recorders
        .iter()
        .map(|recorder| recorder.rows.range((source.clone(), 0)..=(source.clone(), u64::MAX)).count())
        .sum();
    ensure(rows == state.chain.len(), "recorder", || {
        format!("M{n} has {} entries, the Recorders {rows}", state.chain.len())
    })?;
    for record in state.redemptions.values().filter(|record| record.decided) {
        let id = &record.doc.redemption_id;
        let listed = recorders.iter().find_map(|recorder| recorder.records.get(id)).map(|(_, status)| *status);
        ensure(listed == Some(record.doc.status), "recorder", || {
            format!("M{n}: a redemption is {}, lists show {listed:?}", record.doc.status.name())
        })?;
    }
    Ok(())
}
