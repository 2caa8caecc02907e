//! Portions of a campaign's limits, given out to its shards (`core::protocol::portion`).
//!
//! Nothing is given of a meter before every registered shard has told, under the present rules, what it took without.
//! Nothing is refused before every shard that has anything of it was asked to return what is free.

use crate::answer::Answer;
use crate::calls::ShardOp;
use crate::campaign::Campaign;
use crate::platform::{Fault, now};
use crate::shard_portions::{HandedBack, Taken};
use crate::sql::{Row, first, query, run};
use crate::turns::Turns;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::protocol::portion::{Allotment, Ask, Lot, Meter, Need, Portion, allot};
use counterfoil_core::time::Instant;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use worker::Delay;

/// Asked of a Campaign by one of its shards.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PortionOp {
    /// It needs more of a limit, by the rules of this version; answered with [`Allotted`].
    Ask { shard: u32, version: u32, ask: Ask },
    /// It has returned something.
    Returned { shard: u32, portions: Vec<PortionOf> },
    /// What is left of limits, for one who only looks: meters with what is left of them. What cannot be told is left out.
    Left { needs: Vec<Need> },
}

/// A shard's part of a limit.
#[derive(Serialize, Deserialize)]
pub(crate) struct PortionOf {
    pub(crate) meter: Meter,
    pub(crate) portion: Portion,
}

/// The answer to a shard that needs more.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Allotted {
    /// So much is given to it by now, in all.
    Given(u64),
    /// Nothing is left, and every shard has said so.
    Exhausted,
    /// A shard that may have something left is out of reach: later, never no.
    Later,
    /// The rules are others by now.
    Changed,
}

/// Part of a Campaign's schema.
pub(crate) const SCHEMA: [&str; 1] = ["CREATE TABLE IF NOT EXISTS lots (
    meter TEXT NOT NULL, shard INTEGER NOT NULL, given INTEGER NOT NULL, base INTEGER NOT NULL, returned INTEGER NOT NULL,
    -- The version of the rules by which the shard last told its part, and the limit when it was last given something.
    version INTEGER NOT NULL, by_limit INTEGER NOT NULL DEFAULT 0,
    last_day INTEGER, PRIMARY KEY (meter, shard), CHECK (returned <= given + base)
) STRICT, WITHOUT ROWID"];

/// Pause between two rounds of recalls of a meter, for each shard that was asked: where everything is used up, whoever
/// comes meanwhile shares the next round.
const PAUSE_MS: usize = 1;
const PAUSE_MS_MIN: usize = 20;
/// Rounds for one request, where others are given something while the shards are asked.
const ROUNDS_MAX: u32 = 3;
/// How long what is known of the last round of a window is kept after its end, by UTC.
const ROUNDS_KEPT_DAYS: i64 = 2;

/// What is known of portions in memory only.
#[derive(Default)]
pub(crate) struct Portions {
    /// One round of recalls at a time for each meter.
    turns: Turns<Meter>,
    /// The last round of each meter.
    rounds: RefCell<HashMap<Meter, Round>>,
    /// What was counted at all shards last for those who only look, and when that began by [`Portions::clock`].
    looks: Turns<()>,
    seen: RefCell<HashMap<Meter, (u64, u64)>>,
    /// Counts events, so that a round speaks for those only who were there before it began.
    clock: Cell<u64>,
}

/// A round of recalls: every shard was asked to return what is free of a meter.
#[derive(Clone, Copy)]
struct Round {
    /// When it began, by [`Portions::clock`].
    begun: u64,
    ended_at: Instant,
    asked: usize,
    /// Every shard has answered, nothing came of it, and nothing was given since.
    dry: bool,
    /// When something was given last, by the same clock.
    gave: u64,
}

impl Portions {
    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    fn round(&self, meter: &Meter) -> Option<Round> {
        self.rounds.borrow().get(meter).copied()
    }

    /// Whether something was given of a meter since its last round began.
    fn gave_since_round(&self, meter: &Meter) -> bool {
        self.round(meter).is_some_and(|round| round.gave > round.begun)
    }

    /// Waits until the next round of a meter may begin.
    async fn pause(&self, meter: &Meter) {
        let Some(last) = self.round(meter) else { return };
        let pause = PAUSE_MS_MIN.max(last.asked * PAUSE_MS);
        let gone = usize::try_from(now().0 - last.ended_at.0).unwrap_or_default();
        if let Ok(rest) = u64::try_from(pause.saturating_sub(gone)) {
            Delay::from(Duration::from_millis(rest)).await;
        }
    }
}

/// A meter at this Campaign.
struct Book {
    lots: HashMap<u32, Lot>,
    /// Those that have told their part by the present rules.
    told: HashSet<u32>,
}

impl Book {
    fn out(&self) -> u64 {
        self.lots.values().map(Lot::out).fold(0, u64::saturating_add)
    }

    fn lot(&self, shard: u32) -> Lot {
        self.lots.get(&shard).copied().unwrap_or_default()
    }
}

impl Campaign {
    pub(crate) async fn portion(&self, op: PortionOp) -> Result<Answer, Fault> {
        match op {
            PortionOp::Ask { shard, version, ask } => Answer::json(200, &self.allotted(shard, version, ask).await?),
            PortionOp::Returned { shard, portions } => {
                self.storage.transaction(|| {
                    portions.iter().try_for_each(|told| self.hear(&told.meter, shard, &told.portion, 0))
                })?;
                Answer::json(200, &serde_json::json!({}))
            }
            PortionOp::Left { needs } => Answer::json(200, &self.left_by_count(&needs).await?),
        }
    }

    async fn allotted(&self, shard: u32, version: u32, mut ask: Ask) -> Result<Allotted, Fault> {
        let meter = ask.need.meter;
        let arrived = self.portions.tick();
        if self.limit(&meter, version)?.is_none() {
            return Ok(Allotted::Changed);
        }
        self.storage.transaction(|| self.hear(&meter, shard, &ask.portion, version))?;
        if let Some(allotted) = self.give(shard, version, &ask)? {
            return Ok(allotted);
        }
        let _turn = self.portions.turns.take(meter).await;
        // Others may have been asked for somebody else while this one waited.
        if let Some(allotted) = self.give(shard, version, &ask)? {
            return Ok(allotted);
        }
        if self.portions.round(&meter).is_some_and(|round| round.dry && round.begun > arrived) {
            return Ok(Allotted::Exhausted);
        }
        for _ in 0..ROUNDS_MAX {
            self.portions.pause(&meter).await;
            let complete = self.call_in(&meter, version, (shard, &mut ask)).await?;
            if let Some(allotted) = self.give(shard, version, &ask)? {
                return Ok(allotted);
            }
            if !complete || !self.all_told(&meter)? {
                return Ok(Allotted::Later);
            }
            if self.portions.gave_since_round(&meter) {
                // Whoever got it while the others were asked may not need it.
                continue;
            }
            if let Some(round) = self.portions.rounds.borrow_mut().get_mut(&meter) {
                round.dry = true;
            }
            return Ok(Allotted::Exhausted);
        }
        Ok(Allotted::Later)
    }

    /// The limit of a meter, and how many shards share it; `None` where the rules are others by now.
    fn limit(&self, meter: &Meter, version: u32) -> Result<Option<(u64, u32)>, Fault> {
        let Some(stored) = self.stored()?.filter(|stored| stored.version == version) else { return Ok(None) };
        let limits = &stored.definition.limits;
        let limit = meter.limit(limits.total, limits.windows.as_deref().unwrap_or_default(), limits.budget.as_ref());
        Ok(limit.map(|(limit, _)| (limit, stored.definition.shards())))
    }

    /// Gives what a shard asks for, where so much is free and every shard has told its part.
    fn give(&self, shard: u32, version: u32, ask: &Ask) -> Result<Option<Allotted>, Fault> {
        let meter = ask.need.meter;
        self.storage.transaction(|| {
            let Some((limit, shards)) = self.limit(&meter, version)? else { return Ok(Some(Allotted::Changed)) };
            if !self.all_told(&meter)? {
                return Ok(None);
            }
            let book = self.book(&meter)?;
            match allot(limit, book.lot(shard), book.out(), shards, ask) {
                Allotment::Given(given) => {
                    let statement = "UPDATE lots SET given = ?3, by_limit = ?4 WHERE meter = ?1 AND shard = ?2";
                    let name = meter.name();
                    let values = [(&name).into(), shard.into(), given.into(), limit.into()];
                    run(&self.storage, statement, &values)?;
                    if let Some(round) = self.portions.rounds.borrow_mut().get_mut(&meter) {
                        round.dry = false;
                        round.gave = self.portions.tick();
                    }
                    Ok(Some(Allotted::Given(given)))
                }
                Allotment::Recall => Ok(None),
            }
        })
    }

    /// Asks every shard that has something of a meter, or has not told its part of it, to return what is free. Answers
    /// whether all have; `asking` learns what its own shard has left.
    async fn call_in(&self, meter: &Meter, version: u32, asking: (u32, &mut Ask)) -> Result<bool, Fault> {
        // Before anybody is asked, so that what is given meanwhile is noticed.
        let round = Round { begun: self.portions.tick(), ended_at: now(), asked: 0, dry: false, gave: 0 };
        self.portions.rounds.borrow_mut().insert(*meter, round);
        let book = self.book(meter)?;
        let (asker, ask) = asking;
        let mut asked = vec![];
        for shard in self.shards()? {
            let lot = book.lot(shard);
            if lot.out() > 0 || !book.told.contains(&shard) {
                let (given, heard) = (lot.given, lot.returned);
                asked.push((shard, ShardOp::HandBack { meter: *meter, given, heard, version }));
            }
        }
        let count = asked.len();
        let mut waiting = count;
        self.ask_each(asked, |shard, HandedBack { portion, complete }| {
            waiting -= usize::from(complete);
            if shard == asker {
                ask.portion = portion;
            }
            self.storage.transaction(|| self.hear(meter, shard, &portion, version))
        })
        .await?;
        if let Some(round) = self.portions.rounds.borrow_mut().get_mut(meter) {
            (round.ended_at, round.asked) = (now(), count);
        }
        Ok(waiting == 0)
    }

    /// A shard has told its part of a meter, by the rules of this version at least.
    fn hear(&self, meter: &Meter, shard: u32, portion: &Portion, version: u32) -> Result<(), Fault> {
        let name = meter.name();
        let statement = "SELECT given, base, returned, version FROM lots WHERE meter = ? AND shard = ?";
        let known = first(&self.storage, statement, &[(&name).into(), shard.into()])?;
        let before = known.as_ref().map(lot);
        let after = before.unwrap_or_default().hear(portion);
        // Most say nothing new: what is not written need not be waited for.
        if before == Some(after) && known.is_some_and(|row| row.number(3) >= version) {
            return Ok(());
        }
        let last_day = meter.last_day().map(|last| i64::from(last.0));
        if before.is_none() {
            // A new one is rare: what is known of rounds of windows that are over goes with it. Their lots stay: a shard's part
            // of what an old redemption is charged to must never look as if it were the first.
            let over = now().0.div_euclid(DAY_MS) - ROUNDS_KEPT_DAYS;
            let kept = |known: &Meter, _: &mut Round| {
                known == meter || known.last_day().is_none_or(|last| i64::from(last.0) >= over)
            };
            self.portions.rounds.borrow_mut().retain(kept);
        }
        run(
            &self.storage,
            "INSERT INTO lots (meter, shard, given, base, returned, version, last_day) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (meter, shard) DO UPDATE SET given = excluded.given, base = excluded.base,
             returned = excluded.returned, version = max(version, excluded.version)",
            &[
                (&name).into(),
                shard.into(),
                after.given.into(),
                after.base.into(),
                after.returned.into(),
                version.into(),
                last_day.into(),
            ],
        )
        .map(drop)
    }

    fn book(&self, meter: &Meter) -> Result<Book, Fault> {
        let since = self.limits_version()?;
        let statement = "SELECT given, base, returned, shard, version FROM lots WHERE meter = ?";
        let rows = query(&self.storage, statement, &[(&meter.name()).into()])?;
        let told = rows.iter().filter(|row| row.number(4) >= since).map(|row| row.number(3)).collect();
        Ok(Book { lots: rows.iter().map(|row| (row.number(3), lot(row))).collect(), told })
    }

    /// The version of the rules that set the limits as they are. A mint or a recall since then changes nothing about what was
    /// told of them.
    fn limits_version(&self) -> Result<u32, Fault> {
        Ok(self.stored()?.map_or(u32::MAX, |stored| stored.limits_version))
    }

    /// Whether every registered shard has told its part of a meter by the limits as they are.
    fn all_told(&self, meter: &Meter) -> Result<bool, Fault> {
        let since = self.limits_version()?;
        let statement = "SELECT 1 FROM shards s WHERE NOT EXISTS (
            SELECT 1 FROM lots l WHERE l.meter = ? AND l.shard = s.shard AND l.version >= ?) LIMIT 1";
        Ok(!run(&self.storage, statement, &[(&meter.name()).into(), since.into()])?)
    }

    /// What was given out of each limit and not returned, with the highest limit by which any of it was.
    pub(crate) fn given_out(&self) -> Result<Vec<(String, u64, u64)>, Fault> {
        let statement = "SELECT meter, max(by_limit), max(sum(given - returned), 0) FROM lots GROUP BY meter";
        let rows = query(&self.storage, statement, &[])?;
        rows.iter().map(|row| Ok((row.text(0)?, row.count(1), row.count(2)))).collect()
    }

    /// What is left, by what all shards have counted.
    async fn left_by_count(&self, needs: &[Need]) -> Result<Vec<(Meter, u64)>, Fault> {
        let arrived = self.portions.tick();
        let _turn = self.portions.looks.take(()).await;
        let fresh = |need: &Need| {
            let (taken, begun) = self.portions.seen.borrow().get(&need.meter).copied()?;
            (begun > arrived).then(|| (need.meter, need.limit.saturating_sub(taken)))
        };
        // Whoever looks at what is used up asks every shard: one at a time, for all who came before it began.
        if let Some(left) = needs.iter().map(fresh).collect() {
            return Ok(left);
        }
        let begun = self.portions.tick();
        let shards = self.shards()?;
        let (mut taken, mut answered) = (vec![0_u64; needs.len()], 0);
        let op = ShardOp::Taken { meters: needs.iter().map(|need| need.meter).collect() };
        self.ask_shards(shards.clone(), &op, |_, told: Taken| {
            answered += 1;
            for (sum, more) in taken.iter_mut().zip(told.taken) {
                *sum = sum.saturating_add(more);
            }
            Ok(())
        })
        .await?;
        if answered < shards.len() {
            return Ok(vec![]);
        }
        let mut seen = self.portions.seen.borrow_mut();
        seen.clear();
        seen.extend(needs.iter().zip(&taken).map(|(need, taken)| (need.meter, (*taken, begun))));
        drop(seen);
        let left = |(need, taken): (&Need, u64)| (need.meter, need.limit.saturating_sub(taken));
        Ok(needs.iter().zip(taken).map(left).collect())
    }
}

fn lot(row: &Row) -> Lot {
    Lot { given: row.count(0), base: row.count(1), returned: row.count(2) }
}
