//! What a shop sells for points, and what its tills, its pools and its customers do.

use crate::draw::{Manner, bonus, campaign, definition, mrefs, order, redemption};
use crate::fault::Bias;
use crate::member_operate::STAFF;
use crate::member_run::pool_name;
use crate::message::{Asked, CheckoutCall, ReadCode, RedeemCall, Stocking, TillCall, Wanted as Holding, Wish};
use crate::prng::Prng;
use crate::scenario::{Action, Redeem, Scenario, What};
use crate::step::{Fault, Step};
use counterfoil_core::adjustment::Adjustment;
use counterfoil_core::ids::{Fingerprint, IdKey, Mref, Rid};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::HOLD_MS;
use counterfoil_core::wire::{AdjustedAsset, Credit, RewardDefinition, RewardType, RewardValue};
use std::rc::Rc;

const ORDERS: [&str; 2] = ["o-1", "o-2"];
/// Points for one unit of whatever is sold.
pub(crate) const UNIT_COST: u64 = 10;
/// Somebody at another till.
const OTHER_STAFF: &str = "staff:cem";
const MANAGER: &str = "manager:dora";

/// What is for sale.
fn goods(draw: &mut Prng, number: u64, pools: usize) -> RewardDefinition {
    let (kind, value) = match draw.below(4) {
        0 => (RewardType::Points, RewardValue::Amount { amount: 15 }),
        1 => (RewardType::Feature, RewardValue::Feature { key: "early-access".to_owned() }),
        _ => (RewardType::Tokens, RewardValue::Amount { amount: 7 }),
    };
    let mut sold = if draw.once_in(2) {
        definition(draw)
    } else {
        let mechanic = counterfoil_core::wire::Mechanic::Wallet {};
        RewardDefinition { kind, value, mechanic, ..bonus() }
    };
    sold.reward_id = format!("item-{number}");
    sold.points_cost = (!draw.once_in(12)).then_some(UNIT_COST);
    sold.pool_id = (pools > 0 && !draw.once_in(3)).then(|| pool_name(draw.index(pools)));
    sold.promo_code = (sold.pool_id.is_none() && draw.once_in(3)).then(|| "SUMMER".to_owned());
    sold
}

pub(crate) fn codes(from: u64, to: u64) -> Stocking {
    Stocking::Add(Rc::new((from..to).map(|n| format!("c{n}")).collect()))
}

/// Who asks for what comes through no code, and under which key.
struct Wanted<'a> {
    mrefs: &'a [Mref],
    member: usize,
    key: String,
    respond_async: bool,
}

impl Wanted<'_> {
    fn call(&self, member: usize, key: &str, asked: Asked) -> Option<Rc<RedeemCall>> {
        let mref = self.mrefs.get(member)?;
        let (rid, text) = match &asked {
            Asked::Code => return None,
            Asked::Buy { reward, quantity } => {
                let sub = format!("member-{member}");
                let rid = Rid::derive(mref, "member", &sub, "POST /v1/redemptions", key);
                (rid, format!("buy {quantity} {}", reward.reward_id))
            }
            Asked::Gift { reward } => {
                let rid = Rid::derive(mref, "admin", "alice", "POST /v1/members/rewards", key);
                (rid, format!("give {}", reward.reward_id))
            }
            Asked::Confirm { quote, by, override_reason } => {
                let route = format!("POST /v1/till/quotes/confirm/{}", quote.to_hex());
                (Rid::derive(mref, "staff", by, &route, key), format!("confirm {override_reason:?}"))
            }
        };
        let typed = ReadCode::of(0, 0);
        let (fp, respond_async) = (Fingerprint::of(&[text.as_bytes()]), self.respond_async);
        Some(Rc::new(RedeemCall { rid, fp, code: None, typed, order: None, respond_async, asked, checkout: None }))
    }

    /// One intent, and those who may meet it.
    fn redeem(&self, draw: &mut Prng, asked: Asked, other: Asked, till: Option<Asked>, name: String) -> Option<Redeem> {
        let rival = (self.member + 1) % self.mrefs.len().max(1);
        // An offer is one member's: the rival is another key of the same.
        let confirms = matches!(asked, Asked::Confirm { .. });
        let rival = if confirms { self.member } else { rival };
        let rival_key = format!("rival-{}", self.key);
        Some(Redeem {
            member: self.member,
            call: self.call(self.member, &self.key, asked.clone())?,
            other: self.call(self.member, &self.key, other)?,
            rival: (rival, self.call(rival, &rival_key, asked)?),
            till: till.and_then(|till| self.call(self.member, &format!("till-{}", self.key), till)),
            tabs: 1 + u32::from(draw.once_in(6)),
            tries: u32::try_from(1 + draw.below(4)).unwrap_or(1),
            again: draw.once_in(3),
            name,
        })
    }
}

pub(crate) fn adjust(member: usize, key: String, asset: AdjustedAsset, amount: i64) -> What {
    let currency = (asset == AdjustedAsset::Credit).then(|| "EUR".to_owned());
    // The reason tells which it was.
    let adjustment = Adjustment { asset, currency, amount, reason: key.clone(), order: None };
    What::Till { member, call: Rc::new(TillCall::Adjust { key, adjustment }), tries: 2 }
}

impl Scenario {
    /// Points buy rewards with and without promo codes, at tills and elsewhere; some are taken back.
    pub(crate) fn shop(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 2 + draw.index(2));
        let pools = 1 + usize::from(draw.once_in(3));
        // Points go elsewhere while a pool is asked: what it has promised is given back.
        let raced = draw.once_in(2);
        let shelf: Vec<Rc<RewardDefinition>> = (0..2 + draw.below(2)).map(|n| Rc::new(goods(draw, n, pools))).collect();
        let mut rules = campaign(draw, 1);
        rules.per_member = rules.per_member.map(|limit| limit + 1);
        rules.quantity = 1 + u32::from(draw.once_in(3));
        if draw.once_in(3) {
            rules.reward = definition(draw);
        }
        // More than a balance can be is not modelled with a pool.
        if let RewardValue::Amount { amount } = &mut rules.reward.value {
            *amount = (*amount).min(25);
        }
        rules.reward.pool_id = (!draw.once_in(4)).then(|| pool_name(0));
        let campaigns = vec![rules];
        let mut actions = vec![];
        let mut push = |at_ms: i64, what: What| actions.push(Action { at_ms: at_ms.max(0), what });
        for pool in 0..pools {
            let stock = draw.below(6) + if raced { 6 } else { 0 };
            push(0, What::Stock { pool, stocking: codes(0, stock), tries: 3 });
        }
        for member in 0..mrefs.len() {
            let units = if raced { 0 } else { draw.below(6) };
            let points = i64::try_from(UNIT_COST * units).unwrap_or(0) + draw.between(1, 9);
            push(draw.between(0, 40), adjust(member, format!("start-{member}"), AdjustedAsset::Points, points));
        }
        let mut at_ms = 300;
        for round in 0..2 + draw.below(3) {
            for n in 0..2 + draw.below(5) {
                let member = draw.index(mrefs.len());
                let at_ms = at_ms + draw.between(0, 120);
                let reward = shelf.get(draw.index(shelf.len())).cloned();
                let Some(reward) = reward else { continue };
                let key = format!("shop-{}", draw.below(4));
                let quantity = 1 + u32::try_from(draw.below(3)).unwrap_or(0);
                let wanted = Wanted { mrefs: &mrefs, member, key, respond_async: draw.once_in(4) };
                match if raced { draw.below(4) } else { draw.below(8) } {
                    0..=2 => {
                        let asked = Asked::Buy { reward: Rc::clone(&reward), quantity };
                        let other = Asked::Buy { reward: Rc::clone(&reward), quantity: quantity + 1 };
                        let name = format!("m{member}/{} buys {quantity} {}", wanted.key, reward.reward_id);
                        let redeem = wanted.redeem(draw, asked, other, None, name);
                        redeem.into_iter().for_each(|redeem| push(at_ms, What::Redeem(redeem)));
                        if raced {
                            let points = AdjustedAsset::Points;
                            let cost = i64::try_from(UNIT_COST).unwrap_or(0) * i64::from(quantity);
                            push(at_ms - 40, adjust(member, format!("more-{round}-{n}"), points, cost));
                            for turn in 0..3 {
                                let (key, less) = (format!("less-{round}-{n}-{turn}"), -draw.between(4, cost));
                                push(at_ms + draw.between(0, 26), adjust(member, key, points, less));
                            }
                        }
                    }
                    3 | 4 => {
                        for (at_ms, what) in at_till(draw, &wanted, (round, n), (&reward, quantity), at_ms) {
                            push(at_ms, what);
                        }
                    }
                    5 => {
                        let asked = Asked::Gift { reward: Rc::clone(&reward) };
                        if reward.pool_id.is_some() {
                            let other = shelf.first().cloned().unwrap_or(reward);
                            let name = format!("m{member}/{} gift", wanted.key);
                            let redeem = wanted.redeem(draw, asked, Asked::Gift { reward: other }, None, name);
                            redeem.into_iter().for_each(|redeem| push(at_ms, What::Redeem(redeem)));
                        }
                    }
                    _ => {
                        let manner = if draw.once_in(3) { Manner::accepted() } else { Manner::default() };
                        let code = (1, u32::from(draw.once_in(2)));
                        let redeem = redemption(&mrefs, member, draw.below(3), code, &manner);
                        let redeem = redeem.map(|redeem| Redeem { tries: 2, ..redeem });
                        redeem.into_iter().for_each(|redeem| push(at_ms, What::Redeem(redeem)));
                    }
                }
            }
            for _ in 0..draw.below(5) {
                let near = [60, 3_000, 14_000, 60_000].get(draw.index(4)).copied().unwrap_or(60);
                push(at_ms + draw.between(0, near), taken_back(draw, mrefs.len()));
            }
            if draw.once_in(2) {
                let from = draw.below(8);
                let (to, pool) = (from + 1 + draw.below(4), draw.index(pools));
                let near = draw.between(-20, 200);
                push(at_ms + near, What::Stock { pool, stocking: codes(from, to), tries: 2 });
            }
            if draw.once_in(3) {
                let pool = draw.index(pools);
                push(at_ms + draw.between(0, 5_000), What::Stock { pool, stocking: Stocking::Release, tries: 1 });
            }
            if draw.once_in(2) {
                let member = draw.index(mrefs.len());
                let amount = draw.between(-25, 60);
                let amount = if amount == 0 { 1 } else { amount };
                let near = draw.between(-20, 120);
                push(at_ms + near, adjust(member, format!("later-{round}"), AdjustedAsset::Points, amount));
            }
            at_ms += if draw.once_in(2) { draw.between(50, 3_000) } else { draw.between(3_000, 30_000) };
        }
        let focus = match draw.below(if raced { 2 } else { 12 }) {
            0 => Some(Step::PoolAbort),
            1 | 6 => Some(Step::Take),
            2 => Some(Step::PoolUndo),
            3 => Some(Step::Decide),
            4 => Some(Step::PoolSettled),
            5 => Some(Step::Taken),
            _ => None,
        };
        let outage = draw.once_in(10).then_some((Step::Take, Fault::Duplicated));
        let quiet_after_ms = at_ms + draw.between(5_000, 120_000);
        let bias = Bias { focus, outage, near: draw.once_in(4), ..Bias::default() };
        Self { mrefs, campaigns, pools, actions, probes: vec![], quiet_after_ms, bias }
    }
}

impl Scenario {
    /// Codes and credit are held for orders; orders are placed, given up, or left to the clock.
    pub(crate) fn checkout(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 1 + draw.index(3));
        let campaigns: Vec<_> = (1..=1 + draw.below(2))
            .map(|number| {
                let mut rules = campaign(draw, number);
                let money = RewardValue::Credit { currency: "EUR".to_owned(), amount_minor: 500 };
                let (kind, value) = match draw.below(4) {
                    0 => (RewardType::Discount, RewardValue::Percent { percent: 20 }),
                    1 => (RewardType::Discount, money),
                    _ => (RewardType::Credit, money),
                };
                let mechanic = counterfoil_core::wire::Mechanic::Wallet {};
                rules.reward = RewardDefinition { kind, value, mechanic, ..bonus() };
                if draw.once_in(2) {
                    (rules.total, rules.per_member) = (None, None);
                }
                rules
            })
            .collect();
        let mut actions = vec![];
        let mut push = |at_ms: i64, what: What| actions.push(Action { at_ms: at_ms.max(0), what });
        for member in 0..mrefs.len() {
            let credit = draw.between(100, 1_500);
            push(0, adjust(member, format!("start-{member}"), AdjustedAsset::Credit, credit));
        }
        let mut at_ms = 300;
        let mut made: Vec<(usize, &'static str, Rid)> = vec![];
        for round in 0..3 + draw.below(4) {
            for n in 0..1 + draw.below(4) {
                let (member, order) = (draw.index(mrefs.len()), ORDERS.get(draw.index(2)).copied().unwrap_or("o-1"));
                let Some(mref) = mrefs.get(member) else { continue };
                let number = |n: u64| u8::try_from(n).unwrap_or(0);
                let total = Credit { currency: "EUR".to_owned(), amount_minor: 200 * (1 + draw.below(8)) };
                let key = format!("hold-{round}-{n}");
                let close = draw.between(0, 90);
                let campaign = u16::try_from(1 + draw.index(campaigns.len())).unwrap_or(1);
                let seq = u32::from(campaigns.iter().any(|rules| rules.uses_per_code.is_some()) && draw.once_in(3));
                if draw.once_in(5) {
                    let code = (campaign, seq);
                    let redeem = redemption(&mrefs, member, draw.below(3), code, &Manner::default());
                    redeem.into_iter().for_each(|redeem| push(at_ms + close, What::Redeem(redeem)));
                    continue;
                }
                let (wanted, rid) = if draw.once_in(3) {
                    let rid = Rid::random(mref, [number(round), number(n), 9, 9, 9, 9, 9, 9, 9, 9]);
                    (Holding::Credit(100 * (1 + draw.below(9))), rid)
                } else {
                    let rid = Rid::derive(mref, "member", &format!("member-{member}"), "POST /v1/orders/holds", &key);
                    (Holding::Code(ReadCode::of(campaign, seq)), rid)
                };
                let fp = Fingerprint::of(&[format!("{wanted:?} {order} {total:?}").as_bytes()]);
                made.push((member, order, rid));
                let call = Rc::new(CheckoutCall::Hold { order, rid, fp, total, wanted, key });
                let tries = 1 + u32::from(draw.once_in(2));
                push(at_ms + close, What::Checkout { member, call, tries });
            }
            for _ in 0..draw.below(4) {
                let Some((member, order, rid)) = made.get(draw.index(made.len().max(1))).copied() else { continue };
                let total = draw.once_in(4).then(|| Credit { currency: "EUR".to_owned(), amount_minor: 350 });
                let call = Rc::new(match draw.below(5) {
                    0 | 1 => CheckoutCall::Commit { order, total },
                    2 => CheckoutCall::Release { order },
                    _ => CheckoutCall::LetGo { order, rid },
                });
                let near = [60, 300, 5_000, HOLD_MS].get(draw.index(4)).copied().unwrap_or(60);
                let at_ms = at_ms + near + draw.between(-60, 60);
                push(at_ms, What::Checkout { member, call, tries: 1 + u32::from(draw.once_in(2)) });
            }
            if draw.once_in(3) {
                push(at_ms + draw.between(0, 3_000), taken_back(draw, mrefs.len()));
            }
            at_ms += match draw.below(4) {
                0 => HOLD_MS + draw.between(-100, 6_000),
                1 => draw.between(3_000, 60_000),
                _ => draw.between(50, 3_000),
            };
        }
        let focus = [Step::Checkout, Step::OrderPlaced, Step::HoldMoved, Step::HoldEnded, Step::Preview, Step::Fate];
        let focus = focus.get(draw.index(12)).copied();
        let quiet_after_ms = at_ms + draw.between(5_000, 120_000);
        Self::without_pools((mrefs, campaigns), actions, quiet_after_ms, Bias { focus, ..Bias::default() })
    }
}

/// One till offers, it or another confirms, or somebody thinks better of it.
fn at_till(
    draw: &mut Prng,
    wanted: &Wanted<'_>,
    (round, n): (u64, u64),
    (reward, quantity): (&Rc<RewardDefinition>, u32),
    at_ms: i64,
) -> Vec<(i64, What)> {
    let Some(mref) = wanted.mrefs.get(wanted.member) else { return vec![] };
    let number = |n: u64| u8::try_from(n).unwrap_or(0);
    let quote = Rid::random(mref, [number(round), number(n), 7, 7, 7, 7, 7, 7, 7, 7]);
    let by = if draw.once_in(3) { OTHER_STAFF } else { STAFF };
    let (member, again) = (wanted.member, draw.once_in(2));
    let offer = TillCall::Offer { quote, reward: Rc::clone(reward), quantity, again, by };
    let mut made = vec![(at_ms, What::Till { member, call: Rc::new(offer), tries: 2 })];
    let overridden = draw.once_in(3).then_some("a birthday");
    let who = if overridden.is_some() { MANAGER } else { by };
    let asked = Asked::Confirm { quote, by: who, override_reason: overridden };
    let other = Asked::Confirm { quote, by: who, override_reason: Some("another reason") };
    let till = Asked::Confirm { quote, by: MANAGER, override_reason: Some("the other till") };
    let name = format!("m{member}/{} confirms {quantity} {}", wanted.key, reward.reward_id);
    let wait_ms = [60, 400, 9_000, 119_980].get(draw.index(4)).copied().unwrap_or(60);
    let confirm = wanted.redeem(draw, asked, other, Some(till), name);
    made.extend(confirm.map(|redeem| (at_ms + wait_ms + draw.between(0, 60), What::Redeem(redeem))));
    if draw.once_in(5) {
        let call = Rc::new(TillCall::CancelOffer { quote });
        made.push((at_ms + wait_ms + draw.between(-30, 60), What::Till { member, call, tries: 2 }));
    }
    made
}

/// Something is cancelled, reversed, deleted or reset.
fn taken_back(draw: &mut Prng, members: usize) -> What {
    let wish = match draw.below(8) {
        0..=3 => Wish::Reverse { give_back: draw.once_in(2), staff: draw.once_in(2) },
        4 | 5 => Wish::ResolveCancelled { unknown_outcome: draw.once_in(2) },
        6 => Wish::Delete,
        _ => return order(draw, members),
    };
    let tries = 1 + u32::from(draw.once_in(2));
    What::Order { member: draw.index(members), wish, pick: draw.below(1_000), tries, definition: Rc::new(bonus()) }
}
