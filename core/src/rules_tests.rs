//! A table over every rule, and over pairs of rules for their precedence.

use super::*;
use crate::ids::Mref;
use crate::refusal::RULES;
use crate::wire::{Mechanic, RewardType, RewardValue};

fn rules() -> Rules {
    Rules {
        version: 1,
        campaign: 7,
        name: "Spring".to_owned(),
        status: CampaignStatus::Active,
        profile: Profile::S20,
        kind: CampaignKind::Unique,
        reward: RewardDefinition {
            reward_id: "r".to_owned(),
            name: "Ten".to_owned(),
            kind: RewardType::Points,
            value: RewardValue::Amount { amount: 10 },
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
        starts_at: None,
        ends_at: None,
        uses_per_code: Some(1),
        per_member: None,
        total: None,
        eligibility: Eligibility::default(),
        currencies: None,
        methods: None,
        min_epoch: 0,
        issued: vec![IssuedRange { from: 0, to: 100, epoch: 0, expires_at: None, recalled: false }],
    }
}

fn facts() -> Facts {
    Facts {
        at: Instant(1_000),
        seq: 5,
        epoch: 0,
        profile: Profile::S20,
        epoch_revoked: false,
        method: Method::Frontend,
        currency: None,
        attributes: Attributes::default(),
        roles: vec![],
        member_uses: 0,
    }
}

fn rid() -> Rid {
    Rid::derive(&Mref::from_bytes(&[1; 16]).unwrap(), "member", "ann", "r", "k")
}

/// Everything a case may bend.
#[derive(Clone)]
struct Case {
    rules: Rules,
    facts: Facts,
    checkout: Option<Checkout>,
    usage: Usage,
}

fn checkout(c: &mut Case) -> &mut Checkout {
    c.rules.reward.kind = RewardType::Discount;
    c.rules.reward.value = RewardValue::Credit { currency: "EUR".to_owned(), amount_minor: 500 };
    c.checkout.get_or_insert_with(|| Checkout {
        order: "o".to_owned(),
        currency: "EUR".to_owned(),
        total_minor: 1_000,
        until: Instant(901_000),
    })
}

fn first(case: &Case) -> &'static str {
    evaluate(&case.rules, &case.facts, case.checkout.as_ref(), &case.usage, |_| "rd_x".to_owned())
        .into_iter()
        .find_map(|(name, refusal)| {
            refusal.map(|refusal| {
                assert_eq!(refusal.code(), name);
                name
            })
        })
        .unwrap_or("")
}

type Bend = (&'static str, fn(&mut Case));

/// One way to fail each rule, in order of precedence.
const BENDS: [Bend; 15] = [
    ("code_recalled", |c| c.facts.epoch_revoked = true),
    ("campaign_not_active", |c| c.rules.status = CampaignStatus::Paused),
    ("campaign_not_started", |c| c.rules.starts_at = Some(Instant(1_001))),
    ("campaign_ended", |c| c.rules.ends_at = Some(Instant(1_000))),
    ("code_expired", |c| c.rules.issued[0].expires_at = Some(Instant(1_000))),
    ("redemption_method_not_allowed", |c| c.rules.methods = Some(vec![Method::Api])),
    ("redemption_method_not_allowed", |c| {
        checkout(c);
        c.rules.reward.pool_id = Some("p".to_owned());
    }),
    ("currency_not_allowed", |c| c.rules.currencies = Some(vec!["EUR".to_owned()])),
    ("currency_not_allowed", |c| checkout(c).currency = "USD".to_owned()),
    ("not_eligible", |c| c.rules.eligibility.tiers = Some(vec!["gold".to_owned()])),
    ("already_redeemed_by_you", |c| {
        c.usage = Usage {
            of_code: 1,
            mine: Some(rid()),
            mine_count: 1,
            of_campaign: c.usage.of_campaign,
            ..Usage::default()
        };
    }),
    ("already_redeemed", |c| (c.usage.of_code, c.usage.held) = (1, 0)),
    ("code_held", |c| (c.usage.of_code, c.usage.held, c.usage.held_until) = (1, 1, Some(Instant(9)))),
    ("member_limit_reached", |c| (c.rules.per_member, c.facts.member_uses) = (Some(1), 1)),
    ("campaign_limit_reached", |c| (c.rules.total, c.usage.of_campaign) = (Some(1), 1)),
];

#[test]
fn each_rule_alone_and_every_pair_by_precedence() {
    let clean = Case { rules: rules(), facts: facts(), checkout: None, usage: Usage::default() };
    assert_eq!(first(&clean), "");
    for (index, (name, bend)) in BENDS.iter().enumerate() {
        let mut one = clean.clone();
        bend(&mut one);
        assert_eq!(first(&one), *name);
        for (_, later) in BENDS.iter().skip(index + 1) {
            let mut two = clean.clone();
            later(&mut two);
            bend(&mut two);
            assert_eq!(first(&two), *name);
        }
    }
}

#[test]
fn precedence_is_the_published_one() {
    let order = |name: &str| RULES.iter().position(|rule| *rule == name).unwrap();
    assert!(BENDS.windows(2).all(|pair| order(pair[0].0) <= order(pair[1].0)));
}

fn check(bend: fn(&mut Case), expected: &str) {
    let mut case = Case { rules: rules(), facts: facts(), checkout: None, usage: Usage::default() };
    bend(&mut case);
    assert_eq!(first(&case), expected);
}

#[test]
fn edges() {
    check(|c| c.rules.starts_at = Some(Instant(1_000)), "");
    check(|c| c.rules.ends_at = Some(Instant(1_001)), "");
    check(|c| c.rules.status = CampaignStatus::Draft, "campaign_not_active");
    check(|c| c.rules.status = CampaignStatus::Ended, "campaign_ended");
    check(|c| (c.rules.min_epoch, c.facts.epoch) = (1, 0), "code_recalled");
    check(|c| c.rules.issued[0].recalled = true, "code_recalled");
    // The last use is usable.
    check(|c| (c.rules.total, c.usage.of_campaign) = (Some(10), 9), "");
    check(|c| (c.rules.uses_per_code, c.usage.of_code) = (Some(3), 2), "");
    check(|c| (c.rules.per_member, c.facts.member_uses) = (Some(2), 1), "");
    // A code of three uses, one of them mine: mine again until all are gone.
    check(|c| (c.rules.uses_per_code, c.usage.of_code, c.usage.mine) = (Some(3), 1, Some(rid())), "");
    check(
        |c| (c.rules.uses_per_code, c.usage.of_code, c.usage.mine) = (Some(3), 3, Some(rid())),
        "already_redeemed_by_you",
    );
    // Shared: the same code again is mine; another code of the campaign is the member's limit.
    check(
        |c| {
            (c.rules.kind, c.rules.uses_per_code) = (CampaignKind::Shared, None);
            (c.rules.per_member, c.facts.member_uses) = (Some(1), 1);
            (c.usage.of_code, c.usage.mine) = (40, Some(rid()));
        },
        "already_redeemed_by_you",
    );
    check(
        |c| {
            (c.rules.kind, c.rules.uses_per_code) = (CampaignKind::Shared, None);
            (c.rules.per_member, c.facts.member_uses) = (Some(1), 1);
            c.usage.of_code = 40;
        },
        "member_limit_reached",
    );
    check(|c| (c.rules.kind, c.rules.uses_per_code, c.usage.of_code) = (CampaignKind::Shared, None, 40), "");
    check(
        |c| (c.rules.kind, c.rules.uses_per_code, c.usage.of_code) = (CampaignKind::Shared, Some(40), 40),
        "already_redeemed",
    );
    check(|c| (c.rules.currencies, c.facts.currency) = (Some(vec!["EUR".to_owned()]), Some("EUR".to_owned())), "");
    check(
        |c| (c.rules.currencies, c.facts.currency) = (Some(vec!["EUR".to_owned()]), Some("USD".to_owned())),
        "currency_not_allowed",
    );
}

#[test]
fn what_is_held_is_not_used() {
    let (until, mine) = (Some(Instant(9)), Some(Instant(8)));
    let held = |c: &mut Case, limit, of_code, held| {
        (c.rules.uses_per_code, c.usage.of_code, c.usage.held) = (limit, of_code, held);
        c.usage.held_until = until.filter(|_| held > 0);
    };
    for (bend, expected) in [
        // A code of three uses: one is left, whoever holds the others.
        (Box::new(move |c: &mut Case| held(c, Some(3), 2, 2)) as Box<dyn Fn(&mut Case)>, ""),
        (Box::new(move |c| held(c, Some(3), 3, 1)), "code_held"),
        (Box::new(move |c| held(c, Some(3), 3, 0)), "already_redeemed"),
        // One of the uses is mine, but the code is only held up.
        (
            Box::new(move |c| {
                held(c, Some(2), 2, 1);
                c.usage.mine = Some(rid());
            }),
            "code_held",
        ),
        // A shared code that I hold: my limit is reached by it, and says so.
        (
            Box::new(move |c| {
                held(c, None, 40, 1);
                (c.rules.kind, c.rules.per_member, c.facts.member_uses) = (CampaignKind::Shared, Some(1), 1);
                c.usage.mine_held_until = mine;
            }),
            "code_held",
        ),
        // Another code of the campaign reached it.
        (
            Box::new(move |c| {
                held(c, None, 40, 1);
                (c.rules.kind, c.rules.per_member, c.facts.member_uses) = (CampaignKind::Shared, Some(1), 1);
            }),
            "member_limit_reached",
        ),
        // What is held counts towards the campaign's total.
        (Box::new(|c| (c.rules.total, c.usage.of_campaign) = (Some(1), 1)), "campaign_limit_reached"),
    ] {
        let mut case = Case { rules: rules(), facts: facts(), checkout: None, usage: Usage::default() };
        bend(&mut case);
        assert_eq!(first(&case), expected);
    }
}

#[test]
fn a_checkout_takes_discounts_and_credit_of_its_currency() {
    check(
        |c| {
            checkout(c);
        },
        "",
    );
    check(|c| checkout(c).currency = "USD".to_owned(), "currency_not_allowed");
    check(
        |c| {
            checkout(c).currency = "USD".to_owned();
            c.rules.reward.value = RewardValue::Percent { percent: 10 };
        },
        "",
    );
    check(
        |c| {
            checkout(c);
            c.rules.reward.kind = RewardType::Credit;
        },
        "",
    );
    check(
        |c| {
            checkout(c);
            (c.rules.reward.kind, c.rules.reward.value) = (RewardType::Points, RewardValue::Amount { amount: 1 });
        },
        "redemption_method_not_allowed",
    );
    check(
        |c| {
            checkout(c);
            c.rules.reward.mechanic = Mechanic::Webhook { endpoint_id: "e".to_owned() };
        },
        "redemption_method_not_allowed",
    );
}

#[test]
fn eligibility_names_everything_unmet() {
    let list = |text: &str| Some(vec![text.to_owned()]);
    let eligibility = Eligibility {
        roles: list("vip"),
        tiers: list("gold"),
        personas: list("gamer"),
        tags_any: list("beta"),
        tags_none: list("banned"),
    };
    let mut facts = facts();
    assert_eq!(eligibility.unmet(&facts.attributes, &facts.roles), ["role", "tier", "persona", "tag"]);
    facts.roles = vec!["vip".to_owned()];
    facts.attributes = Attributes {
        tier: Some("gold".to_owned()),
        persona: Some("gamer".to_owned()),
        tags: Some(vec!["beta".to_owned()]),
    };
    assert!(eligibility.unmet(&facts.attributes, &facts.roles).is_empty());
    facts.attributes.tags = Some(vec!["beta".to_owned(), "banned".to_owned()]);
    assert_eq!(eligibility.unmet(&facts.attributes, &facts.roles), ["tag"]);
}

#[test]
fn only_issued_codes_of_the_right_kind_are_recognised() {
    let rules = rules();
    let known = |bend: fn(&mut Facts)| {
        let mut facts = facts();
        bend(&mut facts);
        recognised(Some(&rules), &facts)
    };
    assert!(known(|_| {}));
    assert!(known(|f| f.seq = 99));
    assert!(!known(|f| f.seq = 100));
    assert!(!known(|f| f.epoch = 1));
    assert!(!known(|f| f.profile = Profile::S16));
    assert!(!recognised(None, &facts()));
}
