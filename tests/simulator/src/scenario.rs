//! What a seed makes people do: a small world, so that they meet.

use crate::draw::{Manner, bonus, campaign, change, mrefs, order, redeem, redeem_as, redemption, rewarding};
use crate::fault::{Bias, Cut};
use crate::member_run::pool_name;
use crate::message::{Change, CheckoutCall, KeyCall, RedeemCall, Stocking, TillCall, Wish};
use crate::prng::Prng;
use crate::shop::codes;
use crate::step::{Fault, Step};
use counterfoil_core::ids::{IdKey, Mref};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::INQUIRE_AFTER_MS;
use counterfoil_core::rules::Rules;
use counterfoil_core::wire::{CampaignKind, Mechanic, RewardDefinition, RewardType, RewardValue};
use std::rc::Rc;

/// A member redeems.
#[derive(Clone, Debug)]
pub(crate) struct Redeem {
    pub(crate) member: usize,
    pub(crate) call: Rc<RedeemCall>,
    /// The same key with another body.
    pub(crate) other: Rc<RedeemCall>,
    /// Another member with the same code, where there is one.
    pub(crate) rival: (usize, Rc<RedeemCall>),
    /// The same offer confirmed at another till, where it is one.
    pub(crate) till: Option<Rc<RedeemCall>>,
    /// Browser tabs that do the same at once.
    pub(crate) tabs: u32,
    /// Requests at most, until there is an answer.
    pub(crate) tries: u32,
    /// Asks once more after the answer.
    pub(crate) again: bool,
    pub(crate) name: String,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Redeem(Redeem),
    Administer {
        campaign: usize,
        change: Change,
        tries: u32,
    },
    /// A player or an operator wants something of one of a member's redemptions, whichever `pick` falls on.
    Order {
        member: usize,
        wish: Wish,
        pick: u64,
        tries: u32,
        definition: Rc<RewardDefinition>,
    },
    /// An administrator fills a pool, or releases its quarantine.
    Stock {
        pool: usize,
        stocking: Stocking,
        tries: u32,
    },
    /// A till offers something, or the shop adjusts a balance.
    Till {
        member: usize,
        call: Rc<TillCall>,
        tries: u32,
    },
    /// Something is held for an order, or the order ends.
    Checkout {
        member: usize,
        call: Rc<CheckoutCall>,
        tries: u32,
    },
    /// An administrator erases a member.
    Erase {
        member: usize,
        tries: u32,
    },
    /// An administrator rotates or revokes keys.
    Keys {
        call: KeyCall,
        tries: u32,
    },
    /// An administrator tests the endpoint, with success.
    Test,
}

#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) at_ms: i64,
    pub(crate) what: What,
}

/// See the module.
pub(crate) struct Scenario {
    pub(crate) mrefs: Vec<Mref>,
    pub(crate) campaigns: Vec<Rules>,
    pub(crate) pools: usize,
    pub(crate) actions: Vec<Action>,
    /// By whom and how it is found out, when everything has settled, whether what is left of limits can be taken.
    pub(crate) probes: Vec<(usize, Redeem)>,
    pub(crate) quiet_after_ms: i64,
    pub(crate) bias: Bias,
}

/// The fulfiller's endpoint.
pub(crate) const ENDPOINT: &str = "ep_1";
/// Codes below this are issued in every campaign from the start.
pub(crate) const ISSUED_FIRST: u32 = 1;

impl Scenario {
    pub(crate) fn of(seed: u64, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mut draw = Prng::new(seed, 0x5ce);
        let mut scenario = Self::drawn(&mut draw, id_key, merchant);
        scenario.erase_some(&mut draw);
        scenario
    }

    /// One without pools, in which nobody finds out in the end what is left of limits.
    pub(crate) fn without_pools(
        (mrefs, campaigns): (Vec<Mref>, Vec<Rules>),
        actions: Vec<Action>,
        quiet_after_ms: i64,
        bias: Bias,
    ) -> Self {
        Self { mrefs, campaigns, pools: 0, actions, probes: vec![], quiet_after_ms, bias }
    }

    /// Now and then somebody is erased, about when they have done something, and mostly comes back.
    fn erase_some(&mut self, draw: &mut Prng) {
        if !draw.once_in(3) {
            return;
        }
        for _ in 0..=draw.below(2) {
            let Some(action) = self.actions.get(draw.index(self.actions.len())) else { return };
            let member = match &action.what {
                What::Redeem(redeem) => redeem.member,
                What::Order { member, .. } | What::Till { member, .. } | What::Checkout { member, .. } => *member,
                What::Administer { .. } | What::Stock { .. } | What::Keys { .. } | What::Erase { .. } | What::Test => {
                    continue;
                }
            };
            let near = [60, 3_000, 14_000, 60_000].get(draw.index(4)).copied().unwrap_or(60);
            let at_ms = action.at_ms + draw.between(0, near);
            self.actions.push(Action { at_ms, what: What::Erase { member, tries: 2 } });
        }
    }

    fn drawn(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        match draw.below(50) {
            38..=49 => return Self::limits(draw, id_key, merchant),
            34..=37 => return Self::checkout(draw, id_key, merchant),
            26..=33 => return Self::shop(draw, id_key, merchant),
            23..=25 => return Self::cancelled(draw, id_key, merchant),
            21 | 22 => return Self::disabled(draw, id_key, merchant),
            20 => return Self::boosted(draw, id_key, merchant),
            13..=18 => return Self::fulfilled(draw, id_key, merchant),
            19 => return Self::disabled(draw, id_key, merchant),
            12 => return Self::crowd(draw, id_key, merchant),
            0..=2 => return Self::inquired(draw, id_key, merchant),
            3 => return Self::changing(draw, id_key, merchant),
            4 => return Self::silent(draw, id_key, merchant),
            _ => {}
        }
        let members = 1 + draw.index(3);
        let mrefs = mrefs(id_key, merchant, members);
        let campaigns: Vec<Rules> = (1..=1 + draw.below(2)).map(|n| campaign(draw, n)).collect();
        let mut actions = Vec::new();
        let mut at_ms = 0;
        for _ in 0..=draw.below(3) {
            for _ in 0..=draw.below(5) {
                let close = draw.between(0, 60);
                let redeem = redeem(draw, &mrefs, &campaigns);
                actions.extend(redeem.map(|redeem| Action { at_ms: at_ms + close, what: What::Redeem(redeem) }));
            }
            if draw.once_in(2) {
                let campaign = draw.index(campaigns.len());
                let change = change(draw);
                let what = What::Administer { campaign, change, tries: u32::from(draw.once_in(2)) + 1 };
                let near = draw.between(-40, 400);
                actions.push(Action { at_ms: (at_ms + near).max(0), what });
            }
            at_ms += if draw.once_in(2) { draw.between(50, 3_000) } else { draw.between(3_000, 45_000) };
        }
        let hours = if draw.once_in(6) { draw.between(1, 4) * 3_600_000 } else { 0 };
        let quiet_after_ms = at_ms + draw.between(5_000, 150_000) + hours;
        Self::without_pools((mrefs, campaigns), actions, quiet_after_ms, Bias::default())
    }

    /// Rules change again and again while shards pull and are pushed to.
    fn changing(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 3);
        let campaigns = vec![campaign(draw, 1)];
        let mut actions = Vec::new();
        let mut at_ms = 0;
        for n in 0..4 + draw.below(4) {
            let redeem = redeem(draw, &mrefs, &campaigns);
            actions.extend(redeem.map(|redeem| Action { at_ms, what: What::Redeem(redeem) }));
            if n > 0 {
                let what = What::Administer { campaign: 0, change: change(draw), tries: 1 };
                actions.push(Action { at_ms: at_ms + draw.between(0, 1_500), what });
            }
            at_ms += draw.between(20, 4_000);
        }
        let focus = Some(if draw.once_in(2) { Step::Pull } else { Step::Push });
        let quiet_after_ms = at_ms + draw.between(5_000, 60_000);
        Self::without_pools((mrefs, campaigns), actions, quiet_after_ms, Bias { focus, ..Bias::default() })
    }

    /// Rewards of every kind, with players, operators and a fulfiller who do what they want.
    fn fulfilled(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 1 + draw.index(2));
        let campaigns: Vec<Rules> = (1..=1 + draw.below(3)).map(|n| rewarding(draw, n)).collect();
        let mut actions = Vec::new();
        let mut at_ms = 0;
        for _ in 0..=draw.below(3) {
            for _ in 0..=draw.below(3) {
                let redeem = redeem(draw, &mrefs, &campaigns);
                let close = draw.between(0, 60);
                actions.extend(redeem.map(|redeem| Action { at_ms: at_ms + close, what: What::Redeem(redeem) }));
            }
            for _ in 0..draw.below(8) {
                let what = order(draw, mrefs.len());
                let near = [200, 3_000, 40_000, 400_000].get(draw.index(4)).copied().unwrap_or(200);
                actions.push(Action { at_ms: at_ms + draw.between(0, near), what });
            }
            if draw.once_in(4) {
                actions.push(Action { at_ms: at_ms + draw.between(0, 60_000), what: What::Test });
            }
            at_ms += if draw.once_in(2) { draw.between(50, 10_000) } else { draw.between(10_000, 400_000) };
        }
        let hours = if draw.once_in(4) { draw.between(1, 40) * 3_600_000 } else { 0 };
        let quiet_after_ms = at_ms + draw.between(5_000, 400_000) + hours;
        let bias = match draw.below(8) {
            // Who tells the Merchant waits for it, while the next try comes due.
            0 => {
                let outage = Some((Step::EndpointResult, Fault::ReplyLost));
                Bias { outage, focus: Some(Step::Fulfil), ..Bias::default() }
            }
            // Something that cannot be written comes first whenever the alarm rings.
            1 => {
                let cut = Some(Cut { member: 0, shard: 0, from_ms: 0, to_ms: draw.between(30_000, 400_000) });
                Bias { outage: Some((Step::Redrive, Fault::WriteFails)), cut, ..Bias::default() }
            }
            _ => Bias::default(),
        };
        Self::without_pools((mrefs, campaigns), actions, quiet_after_ms, bias)
    }

    /// An operator cancels what is just being decided.
    fn cancelled(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 2);
        let campaigns = vec![rewarding(draw, 1)];
        let mut actions = Vec::new();
        let mut at_ms = 0;
        for key in 0..4 {
            let member = draw.index(mrefs.len());
            let manner = Manner::accepted();
            let redeem = redemption(&mrefs, member, key, (1, u32::from(draw.once_in(2))), &manner);
            actions.extend(redeem.map(|redeem| Action { at_ms, what: What::Redeem(Redeem { tries: 2, ..redeem }) }));
            for _ in 0..2 {
                let (wish, definition) = (Wish::ResolveCancelled { unknown_outcome: false }, Rc::new(bonus()));
                let what = What::Order { member, wish, pick: draw.below(1_000), tries: 1, definition };
                actions.push(Action { at_ms: at_ms + draw.between(20, 90), what });
            }
            at_ms += draw.between(200, 12_000);
        }
        let focus = [Step::GiveBack, Step::Abort, Step::UseBack, Step::Undo].get(draw.index(4)).copied();
        let quiet_after_ms = at_ms + draw.between(5_000, 60_000);
        Self::without_pools((mrefs, campaigns), actions, quiet_after_ms, Bias { focus, ..Bias::default() })
    }

    /// Boosters run, end, and something is given before, during and after.
    fn boosted(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 1);
        let (booster, asset) = if draw.once_in(2) {
            (RewardType::TokenBooster, RewardType::Tokens)
        } else {
            (RewardType::LevelBooster, RewardType::Xp)
        };
        let rules = |draw: &mut Prng, number, kind, value| {
            let mut rules = campaign(draw, number);
            let duration_s = (number == 1).then_some(20);
            let mechanic = Mechanic::Wallet {};
            rules.reward = RewardDefinition { kind, value, duration_s, mechanic, ..bonus() };
            (rules.total, rules.per_member, rules.uses_per_code) = (None, None, None);
            rules
        };
        let campaigns = vec![
            rules(draw, 1, booster, RewardValue::Booster { multiplier_permille: 2_500 }),
            rules(draw, 2, asset, RewardValue::Amount { amount: 7 }),
        ];
        let mut actions = Vec::new();
        for (key, campaign) in [(0, 1), (1, 2), (2, 2), (3, 2), (4, 1), (5, 2)] {
            let at_ms = draw.between(0, 45_000);
            let redeem = redemption(&mrefs, 0, key, (campaign, 0), &Manner::default());
            let redeem = redeem.map(|redeem| Redeem { tries: 3, ..redeem });
            actions.extend(redeem.map(|redeem| Action { at_ms, what: What::Redeem(redeem) }));
        }
        let quiet_after_ms = 50_000 + draw.between(0, 60_000);
        Self::without_pools((mrefs, campaigns), actions, quiet_after_ms, Bias::default())
    }

    /// The endpoint answers 410, is tested and answers 410 again, while rewards are on their way.
    fn disabled(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 3);
        let mut rules = campaign(draw, 1);
        rules.reward = bonus();
        (rules.total, rules.per_member) = (None, Some(3));
        let campaigns = vec![rules];
        let mut actions = Vec::new();
        for _ in 0..4 + draw.below(4) {
            let redeem = redeem(draw, &mrefs, &campaigns);
            let at_ms = draw.between(0, 4_000);
            actions.extend(redeem.map(|redeem| Action { at_ms, what: What::Redeem(redeem) }));
            // About when its first try ends.
            actions.push(Action { at_ms: at_ms + draw.between(20, 140), what: What::Test });
        }
        for _ in 0..4 + draw.below(4) {
            actions.push(Action { at_ms: draw.between(100, 8_000), what: What::Test });
        }
        let outage = Some((Step::Fulfil, Fault::Answers410));
        let focus = draw.once_in(2).then_some(Step::Hurry);
        let bias = Bias { outage, focus, ..Bias::default() };
        Self::without_pools((mrefs, campaigns), actions, 12_000 + draw.between(0, 60_000), bias)
    }

    /// Many members at one moment at one shard, so that it commits in groups; or at one pool.
    fn crowd(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 6);
        let mut rules = campaign(draw, 1);
        let mut actions = Vec::new();
        let pools = usize::from(draw.once_in(2));
        if pools > 0 {
            rules.reward.pool_id = Some(pool_name(0));
            (rules.kind, rules.uses_per_code) = (CampaignKind::Shared, None);
            (rules.per_member, rules.total) = (Some(3), None);
            // More than a balance can be is not modelled with a pool.
            if let RewardValue::Amount { amount } = &mut rules.reward.value {
                *amount = (*amount).min(25);
            }
            actions.push(Action { at_ms: 0, what: What::Stock { pool: 0, stocking: codes(0, 8), tries: 3 } });
        }
        let campaigns = vec![rules];
        for (wave, at_ms) in [(0, 0), (1, 4_000), (2, 8_000)] {
            // The first one alone makes the shard pull its rules.
            for member in 0..if wave == 0 { 1 } else { mrefs.len() } {
                let redeem = redeem_as(draw, &mrefs, member, &campaigns);
                actions.extend(redeem.map(|redeem| Action { at_ms, what: What::Redeem(redeem) }));
            }
        }
        let bias =
            Bias { focus: Some(if pools > 0 { Step::Taken } else { Step::Consume }), near: true, ..Bias::default() };
        Self {
            mrefs,
            campaigns,
            pools,
            actions,
            probes: vec![],
            quiet_after_ms: 8_000 + draw.between(5_000, 60_000),
            bias,
        }
    }

    /// One Member's word does not come through, or cannot be written, while others redeem at the same shard.
    fn silent(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 3);
        let mut rules = campaign(draw, 1);
        (rules.total, rules.per_member) = (None, None);
        let campaigns = vec![rules];
        let mut actions = Vec::new();
        for (member, at_ms) in [(0, 0), (1, draw.between(20_000, 120_000)), (2, draw.between(20_000, 120_000))] {
            let redeem = redeem_as(draw, &mrefs, member, &campaigns);
            actions.extend(redeem.map(|redeem| Action { at_ms, what: What::Redeem(redeem) }));
        }
        let bias = if draw.once_in(2) {
            let outage = Some((Step::Fate, Fault::WriteFails));
            Bias { outage, focus: Some(Step::Settled), ..Bias::default() }
        } else {
            let from_ms = draw.between(10, 150);
            let to_ms = from_ms + draw.between(60_000, 150_000);
            Bias { cut: Some(Cut { member: 0, shard: 0, from_ms, to_ms }), ..Bias::default() }
        };
        Self::without_pools((mrefs, campaigns), actions, 240_000, bias)
    }

    /// Members who may redeem once try twice, the second time just as the shard asks what became of the first:
    /// when that one died on its way, both are decided at the same moment. Some are erased in between, and come back with the
    /// same key.
    fn inquired(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 3);
        let mut rules = campaign(draw, 1);
        (rules.kind, rules.uses_per_code) = (CampaignKind::Unique, Some(1));
        (rules.per_member, rules.total) = (Some(1), None);
        (rules.reward.kind, rules.reward.value) = (RewardType::Points, RewardValue::Amount { amount: 25 });
        if let Some(range) = rules.issued.first_mut() {
            range.to = 6;
        }
        let mut actions = Vec::new();
        let mut at_ms = 0;
        for (member, seq) in (0..mrefs.len()).zip((0..).step_by(2)) {
            let erased = draw.once_in(3);
            if erased {
                let at_ms = at_ms + draw.between(500, INQUIRE_AFTER_MS - 500);
                actions.push(Action { at_ms, what: What::Erase { member, tries: 1 } });
            }
            for (key, after_ms) in [(0, 0), (1, INQUIRE_AFTER_MS + draw.between(if erased { 15 } else { -20 }, 55))] {
                let (name, seq) = if erased { (0, seq) } else { (key, seq + key) };
                let redeem = redemption(&mrefs, member, u64::from(name), (1, seq), &Manner::default());
                let redeem = redeem.map(|redeem| Redeem { tries: 1 + key, ..redeem });
                actions.extend(redeem.map(|redeem| Action { at_ms: at_ms + after_ms, what: What::Redeem(redeem) }));
            }
            at_ms += draw.between(0, 20_000);
        }
        let focus = [Step::Decide, Step::Abort, Step::GiveBack].get(draw.index(3)).copied();
        let quiet_after_ms = at_ms + draw.between(12_000, 40_000);
        Self::without_pools((mrefs, vec![rules]), actions, quiet_after_ms, Bias { focus, ..Bias::default() })
    }
}
