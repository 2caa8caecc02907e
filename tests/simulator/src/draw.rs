//! What a seed draws: campaigns, rewards, redemptions, orders, changes.

use crate::message::{Asked, Change, ReadCode, RedeemCall, Wish};
use crate::prng::Prng;
use crate::scenario::{ENDPOINT, Redeem, What};
use counterfoil_core::code::Profile;
use counterfoil_core::ids::{Fingerprint, IdKey, Mref, Rid};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::INTEGER_MAX;
use counterfoil_core::rules::{IssuedRange, Rules};
use counterfoil_core::wire::{
    CampaignKind, CampaignStatus, Eligibility, Mechanic, RewardDefinition, RewardType, RewardValue,
};
use std::rc::Rc;

const CODES: u32 = 3;

pub(crate) fn mrefs(id_key: &IdKey, merchant: &MerchantId, members: usize) -> Vec<Mref> {
    (0..members).map(|n| id_key.mref(merchant, &format!("member-{n}"))).collect()
}

pub(crate) fn campaign(draw: &mut Prng, number: u64) -> Rules {
    let shared = draw.once_in(2);
    let (kind, reward_kind) = match draw.below(6) {
        0 => (RewardValue::Feature { key: "early-access".to_owned() }, RewardType::Feature),
        // Two of these are more than a balance can be.
        1 => (RewardValue::Amount { amount: INTEGER_MAX / 2 + 1 }, RewardType::Points),
        2 | 3 => (RewardValue::Amount { amount: 25 }, RewardType::Points),
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
            valid_for_s: None,
            duration_s: None,
            attempts_max: 10,
            fulfilment_timeout_s: 86_400,
            mechanic: Mechanic::Wallet {},
            points_cost: None,
            prices: None,
            pool_id: None,
            promo_code: None,
            eligibility: None,
            version: 1,
        },
        quantity: 1,
        time_zone: "UTC".to_owned(),
        starts_at: None,
        ends_at: None,
        uses_per_code,
        per_member,
        total,
        windows: vec![],
        budget: None,
        eligibility: Eligibility::default(),
        currencies: None,
        methods: None,
        min_epoch: 0,
        revoked_epochs: vec![],
        issued: vec![IssuedRange {
            from: 0,
            to: if shared { 1 } else { CODES },
            epoch: 0,
            expires_at: None,
            batch_id: "ba_1".to_owned(),
            reference: None,
        }],
        recalled: vec![],
        aliases: vec![],
        alias_seq: None,
        alias_public: true,
        shards: 1,
    }
}

/// A campaign that gives anything but what the wallet applies at once.
pub(crate) fn rewarding(draw: &mut Prng, number: u64) -> Rules {
    let mut rules = campaign(draw, number);
    rules.per_member = rules.per_member.map(|limit| limit + 1);
    rules.reward = definition(draw);
    rules.quantity = if draw.once_in(4) { 2 } else { 1 };
    rules
}

pub(crate) fn bonus() -> RewardDefinition {
    RewardDefinition {
        reward_id: "bonus".to_owned(),
        name: "Bonus".to_owned(),
        kind: RewardType::Bonus,
        value: RewardValue::Reference { reference: None },
        player_should_claim: false,
        automatic_activation: true,
        valid_for_s: None,
        duration_s: None,
        attempts_max: 4,
        fulfilment_timeout_s: 60,
        mechanic: Mechanic::Webhook { endpoint_id: ENDPOINT.to_owned() },
        points_cost: None,
        prices: None,
        pool_id: None,
        promo_code: None,
        eligibility: None,
        version: 1,
    }
}

/// Any reward.
pub(crate) fn definition(draw: &mut Prng) -> RewardDefinition {
    let webhook = Mechanic::Webhook { endpoint_id: ENDPOINT.to_owned() };
    let (wallet, reference) = (Mechanic::Wallet {}, RewardValue::Reference { reference: None });
    let (kind, value, mechanic) = match draw.below(12) {
        0..=3 => (RewardType::Bonus, reference, webhook),
        4 => (RewardType::External, reference, webhook),
        5 => (RewardType::MiniGame, reference, webhook),
        6 => (RewardType::TokenBooster, RewardValue::Booster { multiplier_permille: 2_500 }, wallet),
        7 => (RewardType::LevelBooster, RewardValue::Booster { multiplier_permille: 1_500 }, wallet),
        8 => (RewardType::Tokens, RewardValue::Amount { amount: 7 }, wallet),
        9 => (RewardType::Xp, RewardValue::Amount { amount: 11 }, wallet),
        10 => (RewardType::Manual, reference, wallet),
        _ => (RewardType::Feature, RewardValue::Feature { key: "early-access".to_owned() }, wallet),
    };
    let (claim, automatic) = kind.default_flags();
    let other = draw.once_in(3);
    let rests = claim || !automatic || other;
    let runs = kind.is_booster() || (kind == RewardType::Feature && draw.once_in(2));
    let seconds = |draw: &mut Prng| [20, 120, 3_600].get(draw.index(3)).copied().unwrap_or(120);
    RewardDefinition {
        reward_id: kind.name().replace('_', "-"),
        name: "Reward".to_owned(),
        kind,
        value,
        player_should_claim: claim != other,
        automatic_activation: automatic,
        valid_for_s: (rests && draw.once_in(2)).then(|| seconds(draw)),
        duration_s: runs.then(|| seconds(draw)),
        attempts_max: [1, 2, 4, 10].get(draw.index(4)).copied().unwrap_or(2),
        fulfilment_timeout_s: [30, 90, 7_200].get(draw.index(3)).copied().unwrap_or(90),
        mechanic,
        ..bonus()
    }
}

pub(crate) fn order(draw: &mut Prng, members: usize) -> What {
    let wish = match draw.below(20) {
        0..=2 => Wish::Claim,
        3..=5 => Wish::Activate,
        6 => Wish::Decline,
        7 => Wish::ClaimFor,
        8 => Wish::ActivateFor,
        9 | 10 => Wish::Retry,
        11 => Wish::RetryReward,
        12 => Wish::ResolveGranted,
        13 => Wish::ResolveCancelled { unknown_outcome: true },
        14 | 15 => Wish::ResolveCancelled { unknown_outcome: false },
        16 => Wish::Reset { tester: draw.once_in(2) },
        17 => Wish::Delete,
        _ => Wish::Give,
    };
    let definition = Rc::new(definition(draw));
    let tries = u32::try_from(1 + draw.below(3)).unwrap_or(1);
    What::Order { member: draw.index(members), wish, pick: draw.below(1_000), tries, definition }
}

/// Some member redeems something.
pub(crate) fn redeem(draw: &mut Prng, mrefs: &[Mref], campaigns: &[Rules]) -> Option<Redeem> {
    let member = draw.index(mrefs.len());
    redeem_as(draw, mrefs, member, campaigns)
}

pub(crate) fn redeem_as(draw: &mut Prng, mrefs: &[Mref], member: usize, campaigns: &[Rules]) -> Option<Redeem> {
    let rules = draw.index(campaigns.len());
    let shared = campaigns.get(rules)?.kind == CampaignKind::Shared;
    // A seq beyond what is issued is known only once more codes have been minted.
    let beyond = u64::from(draw.once_in(12));
    let seq = if shared { beyond } else { draw.below(2) + beyond * u64::from(CODES - 1) };
    let key = draw.below(3);
    let order = draw.once_in(5).then(|| "order-7".to_owned());
    let manner = Manner { wrong: draw.once_in(24), order, respond_async: draw.once_in(3) };
    let code = (u16::try_from(rules + 1).unwrap_or(1), u32::try_from(seq).unwrap_or(0));
    let redeem = redemption(mrefs, member, key, code, &manner)?;
    Some(Redeem {
        tabs: 1 + u32::from(draw.once_in(5)),
        tries: u32::try_from(1 + draw.below(4)).unwrap_or(1),
        again: draw.once_in(3),
        ..redeem
    })
}

/// How a code is redeemed.
#[derive(Clone, Default)]
pub(crate) struct Manner {
    /// The tag does not fit.
    wrong: bool,
    order: Option<String>,
    respond_async: bool,
}

impl Manner {
    /// With a 202 before the decision.
    pub(crate) fn accepted() -> Self {
        Self { respond_async: true, ..Self::default() }
    }
}

/// One intent of one member, and those who may meet it.
pub(crate) fn redemption(mrefs: &[Mref], member: usize, key: u64, code: (u16, u32), manner: &Manner) -> Option<Redeem> {
    let key = format!("key-{key}");
    let (other_order, rival_key) = (Some("order-8".to_owned()), format!("rival-{key}"));
    let rival = (member + 1) % mrefs.len().max(1);
    let other = Manner { order: other_order, ..manner.clone() };
    let order_mark = if manner.order.is_some() { " +order" } else { "" };
    let wrong_mark = if manner.wrong { " wrong" } else { "" };
    Some(Redeem {
        member,
        call: call(mrefs, member, &key, code, manner)?,
        other: call(mrefs, member, &key, code, &other)?,
        rival: (rival, call(mrefs, rival, &rival_key, code, manner)?),
        till: None,
        tabs: 1,
        tries: 1,
        again: false,
        name: format!("m{member}/{key} c{}#{}{wrong_mark}{order_mark}", code.0, code.1),
    })
}

/// The same with another code: a later epoch's, or a word that stands for it.
pub(crate) fn with_code(redeem: Redeem, code: ReadCode) -> Redeem {
    let change = |call: &Rc<RedeemCall>| {
        let text = format!("{:?}/{:?}", call.fp, code.alias);
        let fp = if code.alias.is_some() { Fingerprint::of(&[text.as_bytes()]) } else { call.fp };
        Rc::new(RedeemCall { fp, code: Some(code), typed: code, ..(**call).clone() })
    };
    let mark = code.alias.map(|word| format!(" {word}")).unwrap_or_default();
    Redeem {
        call: change(&redeem.call),
        other: change(&redeem.other),
        rival: (redeem.rival.0, change(&redeem.rival.1)),
        name: format!("{}{mark}", redeem.name),
        ..redeem
    }
}

fn call(mrefs: &[Mref], member: usize, key: &str, code: (u16, u32), manner: &Manner) -> Option<Rc<RedeemCall>> {
    let Manner { wrong, order, respond_async } = manner.clone();
    let text = format!("{code:?}/{wrong}/{order:?}");
    let (campaign, seq) = code;
    let typed = ReadCode::of(campaign, seq);
    Some(Rc::new(RedeemCall {
        rid: Rid::derive(mrefs.get(member)?, "member", &format!("member-{member}"), "POST /v1/redemptions", key),
        fp: Fingerprint::of(&[text.as_bytes()]),
        code: (!wrong).then_some(typed),
        typed,
        order,
        respond_async,
        asked: Asked::Code,
        checkout: None,
    }))
}

pub(crate) fn change(draw: &mut Prng) -> Change {
    match draw.below(8) {
        0 | 1 => Change::Move(CampaignStatus::Paused),
        2 => Change::Move(CampaignStatus::Active),
        3 => Change::Move(CampaignStatus::Ended),
        4 => Change::Total(Some(1 + draw.below(3))),
        5 => Change::PerMember(Some(1 + draw.below(3))),
        6 => Change::Worth(RewardValue::Amount { amount: 10 }),
        _ => Change::Mint(4, 0),
    }
}
