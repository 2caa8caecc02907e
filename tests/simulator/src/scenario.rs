//! What a seed makes people do: a small world, so that they meet.

use crate::fault::{Bias, Cut, Fault, Step};
use crate::message::{Change, RedeemCall};
use crate::prng::Prng;
use counterfoil_core::code::Profile;
use counterfoil_core::ids::{Fingerprint, IdKey, Mref, Rid};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::{INQUIRE_AFTER_MS, INTEGER_MAX};
use counterfoil_core::rules::{IssuedRange, Rules};
use counterfoil_core::wire::{
    CampaignKind, CampaignStatus, Eligibility, Mechanic, RewardDefinition, RewardType, RewardValue,
};
use std::rc::Rc;

/// A member redeems.
#[derive(Clone, Debug)]
pub(crate) struct Redeem {
    pub(crate) member: usize,
    pub(crate) call: Rc<RedeemCall>,
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
    Administer { campaign: usize, change: Change, tries: u32 },
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
    pub(crate) actions: Vec<Action>,
    pub(crate) quiet_after_ms: i64,
    pub(crate) bias: Bias,
}

const CODES: u32 = 3;
/// Codes below this are issued in every campaign from the start.
pub(crate) const ISSUED_FIRST: u32 = 1;

impl Scenario {
    pub(crate) fn of(seed: u64, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mut draw = Prng::new(seed, 0x5ce);
        match draw.below(12) {
            0..=2 => return Self::inquired(&mut draw, id_key, merchant),
            3 => return Self::changing(&mut draw, id_key, merchant),
            4 => return Self::silent(&mut draw, id_key, merchant),
            _ => {}
        }
        let members = 1 + draw.index(3);
        let mrefs = mrefs(id_key, merchant, members);
        let campaigns: Vec<Rules> = (1..=1 + draw.below(2)).map(|n| campaign(&mut draw, n)).collect();
        let mut actions = Vec::new();
        let mut at_ms = 0;
        for _ in 0..=draw.below(3) {
            for _ in 0..=draw.below(5) {
                let close = draw.between(0, 60);
                let redeem = redeem(&mut draw, &mrefs, &campaigns);
                actions.extend(redeem.map(|redeem| Action { at_ms: at_ms + close, what: What::Redeem(redeem) }));
            }
            if draw.once_in(2) {
                let campaign = draw.index(campaigns.len());
                let change = change(&mut draw);
                let what = What::Administer { campaign, change, tries: u32::from(draw.once_in(2)) + 1 };
                let near = draw.between(-40, 400);
                actions.push(Action { at_ms: (at_ms + near).max(0), what });
            }
            at_ms += if draw.once_in(2) { draw.between(50, 3_000) } else { draw.between(3_000, 45_000) };
        }
        let quiet_after_ms = at_ms + draw.between(5_000, 150_000);
        Self { mrefs, campaigns, actions, quiet_after_ms, bias: Bias::default() }
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
        Self { mrefs, campaigns, actions, quiet_after_ms, bias: Bias { focus, ..Bias::default() } }
    }

    /// One Member's word does not come through, or cannot be written, while others redeem at the same shard.
    fn silent(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 3);
        let mut rules = campaign(draw, 1);
        (rules.total, rules.per_member) = (None, None);
        let campaigns = vec![rules];
        let mut actions = Vec::new();
        for (member, at_ms) in [(0, 0), (1, draw.between(20_000, 120_000)), (2, draw.between(20_000, 120_000))] {
            let redeem = redeem(draw, mrefs.get(member..=member).unwrap_or_default(), &campaigns);
            let named = redeem.map(|redeem| Redeem {
                member,
                name: redeem.name.replacen("m0", &format!("m{member}"), 1),
                ..redeem
            });
            actions.extend(named.map(|redeem| Action { at_ms, what: What::Redeem(redeem) }));
        }
        let bias = if draw.once_in(2) {
            let outage = Some((Step::Fate, Fault::WriteFails));
            Bias { outage, focus: Some(Step::Settle), cut: None }
        } else {
            let from_ms = draw.between(10, 150);
            let to_ms = from_ms + draw.between(60_000, 150_000);
            Bias { cut: Some(Cut { member: 0, shard: 0, from_ms, to_ms }), ..Bias::default() }
        };
        Self { mrefs, campaigns, actions, quiet_after_ms: 240_000, bias }
    }

    /// Members who may redeem once try twice, the second time just as the shard asks what became of the first:
    /// when that one died on its way, both are decided at the same moment.
    fn inquired(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, 3);
        let mut rules = campaign(draw, 1);
        (rules.kind, rules.uses_per_code) = (CampaignKind::Unique, Some(1));
        (rules.per_member, rules.total) = (Some(1), None);
        (rules.reward.kind, rules.reward.value) = (RewardType::Points, RewardValue::Points { amount: 25 });
        if let Some(range) = rules.issued.first_mut() {
            range.to = 6;
        }
        let mut actions = Vec::new();
        let mut at_ms = 0;
        for (member, mref) in (0u32..).zip(&mrefs) {
            for (key, after_ms) in [(0, 0), (1, INQUIRE_AFTER_MS + draw.between(-20, 45))] {
                let what = What::Redeem(Redeem {
                    member: usize::try_from(member).unwrap_or(0),
                    name: format!("m{member}/k{key} c1#{}", member * 2 + key),
                    call: call(mref, member, u64::from(key), (1, member * 2 + key), false, None, false),
                    tabs: 1,
                    tries: 1 + key,
                    again: false,
                });
                actions.push(Action { at_ms: at_ms + after_ms, what });
            }
            at_ms += draw.between(0, 20_000);
        }
        let quiet_after_ms = at_ms + draw.between(12_000, 40_000);
        Self {
            mrefs,
            campaigns: vec![rules],
            actions,
            quiet_after_ms,
            bias: Bias { focus: Some(Step::Decide), ..Bias::default() },
        }
    }
}

fn mrefs(id_key: &IdKey, merchant: &MerchantId, members: usize) -> Vec<Mref> {
    (0..members).map(|n| id_key.mref(merchant, &format!("member-{n}"))).collect()
}

fn campaign(draw: &mut Prng, number: u64) -> Rules {
    let shared = draw.once_in(2);
    let (kind, reward_kind) = match draw.below(6) {
        0 => (RewardValue::Feature { key: "early-access".to_owned() }, RewardType::Feature),
        // Two of these are more than a balance can be.
        1 => (RewardValue::Points { amount: INTEGER_MAX / 2 + 1 }, RewardType::Points),
        2 | 3 => (RewardValue::Points { amount: 25 }, RewardType::Points),
        _ => (RewardValue::Credit { currency: "EUR".to_owned(), amount_minor: 500 }, RewardType::Credit),
    };
    let uses_per_code = if shared { None } else { Some(1 + u64::from(draw.once_in(4))) };
    let per_member = if shared || draw.once_in(3) { Some(1 + draw.below(2)) } else { None };
    let total = draw.once_in(2).then(|| 1 + draw.below(3));
    Rules {
        version: 1,
        campaign: u16::try_from(number).unwrap_or(1),
        name: "Spring".to_owned(),
        status: CampaignStatus::Active,
        profile: Profile::S20,
        kind: if shared { CampaignKind::Shared } else { CampaignKind::Unique },
        reward: RewardDefinition {
            reward_id: "welcome".to_owned(),
            name: "Welcome".to_owned(),
            kind: reward_kind,
            value: kind,
            player_should_claim: false,
            automatic_activation: true,
            attempts_max: 10,
            fulfilment_timeout_s: 86_400,
            mechanic: Mechanic::Wallet {},
            version: 1,
        },
        quantity: 1,
        starts_at: None,
        ends_at: None,
        uses_per_code,
        per_member,
        total,
        eligibility: Eligibility::default(),
        currencies: None,
        methods: None,
        min_epoch: 0,
        issued: vec![IssuedRange {
            from: 0,
            to: if shared { 1 } else { CODES },
            epoch: 0,
            expires_at: None,
            recalled: false,
        }],
    }
}

fn redeem(draw: &mut Prng, mrefs: &[Mref], campaigns: &[Rules]) -> Option<Redeem> {
    let member = draw.index(mrefs.len());
    let mref = mrefs.get(member)?;
    let rules = draw.index(campaigns.len());
    let shared = campaigns.get(rules)?.kind == CampaignKind::Shared;
    // A seq beyond what is issued is known only once more codes have been minted.
    let beyond = u64::from(draw.once_in(12));
    let seq = if shared { beyond } else { draw.below(2) + beyond * u64::from(CODES - 1) };
    let key = draw.below(3);
    let wrong = draw.once_in(24);
    let order = draw.once_in(5).then(|| "order-7".to_owned());
    let campaign = u16::try_from(rules + 1).unwrap_or(1);
    let seq = u32::try_from(seq).unwrap_or(0);
    let number = u32::try_from(member).unwrap_or(0);
    let order_mark = if order.is_some() { " +order" } else { "" };
    let wrong_mark = if wrong { " wrong" } else { "" };
    Some(Redeem {
        member,
        name: format!("m{member}/k{key} c{campaign}#{seq}{wrong_mark}{order_mark}"),
        call: call(mref, number, key, (campaign, seq), wrong, order, draw.once_in(3)),
        tabs: 1 + u32::from(draw.once_in(5)),
        tries: u32::try_from(1 + draw.below(4)).unwrap_or(1),
        again: draw.once_in(3),
    })
}

fn call(
    mref: &Mref,
    member: u32,
    key: u64,
    code: (u16, u32),
    wrong: bool,
    order: Option<String>,
    respond_async: bool,
) -> Rc<RedeemCall> {
    let text = format!("{code:?}/{wrong}/{order:?}");
    Rc::new(RedeemCall {
        rid: Rid::derive(mref, "member", &format!("member-{member}"), "POST /v1/redemptions", &format!("key-{key}")),
        fp: Fingerprint::of(&[text.as_bytes()]),
        code: (!wrong).then_some(code),
        order,
        respond_async,
    })
}

fn change(draw: &mut Prng) -> Change {
    match draw.below(8) {
        0 | 1 => Change::Move(CampaignStatus::Paused),
        2 => Change::Move(CampaignStatus::Active),
        3 => Change::Move(CampaignStatus::Ended),
        4 => Change::Total(Some(1 + draw.below(3))),
        5 => Change::PerMember(Some(1 + draw.below(3))),
        6 => Change::Worth(RewardValue::Points { amount: 10 }),
        _ => Change::Mint(4),
    }
}
