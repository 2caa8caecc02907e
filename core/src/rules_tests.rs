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
    usage: Usage,
}

fn first(case: &Case) -> &'static str {
    evaluate(&case.rules, &case.facts, &case.usage, |_| "rd_x".to_owned())
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
const BENDS: [Bend; 12] = [
    ("code_recalled", |c| c.facts.epoch_revoked = true),
    ("campaign_not_active", |c| c.rules.status = CampaignStatus::Paused),
    ("campaign_not_started", |c| c.rules.starts_at = Some(Instant(1_001))),
    ("campaign_ended", |c| c.rules.ends_at = Some(Instant(1_000))),
    ("code_expired", |c| c.rules.issued[0].expires_at = Some(Instant(1_000))),
    ("redemption_method_not_allowed", |c| c.rules.methods = Some(vec![Method::Api])),
    ("currency_not_allowed", |c| c.rules.currencies = Some(vec!["EUR".to_owned()])),
    ("not_eligible", |c| c.rules.eligibility.tiers = Some(vec!["gold".to_owned()])),
    ("already_redeemed_by_you", |c| (c.usage.of_code, c.usage.mine, c.usage.mine_count) = (1, Some(rid()), 1)),
    ("already_redeemed", |c| c.usage.of_code = 1),
    ("member_limit_reached", |c| (c.rules.per_member, c.facts.member_uses) = (Some(1), 1)),
    ("campaign_limit_reached", |c| (c.rules.total, c.usage.of_campaign) = (Some(1), 1)),
];

#[test]
fn each_rule_alone_and_every_pair_by_precedence() {
    let clean = Case { rules: rules(), facts: facts(), usage: Usage::default() };
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
    assert!(BENDS.windows(2).all(|pair| order(pair[0].0) < order(pair[1].0)));
}

fn check(bend: fn(&mut Case), expected: &str) {
    let mut case = Case { rules: rules(), facts: facts(), usage: Usage::default() };
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
    assert_eq!(unmet(&eligibility, &facts), ["role", "tier", "persona", "tag"]);
    facts.roles = vec!["vip".to_owned()];
    facts.attributes = Attributes {
        tier: Some("gold".to_owned()),
        persona: Some("gamer".to_owned()),
        tags: Some(vec!["beta".to_owned()]),
    };
    assert!(unmet(&eligibility, &facts).is_empty());
    facts.attributes.tags = Some(vec!["beta".to_owned(), "banned".to_owned()]);
    assert_eq!(unmet(&eligibility, &facts), ["tag"]);
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
