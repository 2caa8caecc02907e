//! A table over every rule, and over pairs of rules for their precedence.

use super::*;
use crate::ids::Mref;
use crate::refusal::RULES;
use crate::time::Utc;
use crate::wire::{Mechanic, RewardType, RewardValue, WindowKind};

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
        time_zone: "UTC".to_owned(),
        starts_at: None,
        ends_at: None,
        uses_per_code: Some(1),
        per_member: None,
        total: None,
        windows: vec![],
        budget: None,
        eligibility: Eligibility::default(),
        currencies: None,
        methods: None,
        min_epoch: 0,
        revoked_epochs: vec![],
        issued: vec![IssuedRange {
            from: 0,
            to: 100,
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
        member_days: vec![],
        alias: None,
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
    let calendar = Calendar::at(case.facts.at, &Utc);
    evaluate(&case.rules, &calendar, &case.facts, case.checkout.as_ref(), &case.usage, |_| "rd_x".to_owned())
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
const BENDS: [Bend; 18] = [
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
        c.usage =
            Usage { of_code: 1, mine: Some(rid()), mine_count: 1, left: c.usage.left.clone(), ..Usage::default() };
    }),
    ("already_redeemed", |c| (c.usage.of_code, c.usage.held) = (1, 0)),
    ("code_held", |c| (c.usage.of_code, c.usage.held, c.usage.held_until) = (1, 1, Some(Instant(9)))),
    ("member_limit_reached", |c| (c.rules.per_member, c.facts.member_uses) = (Some(1), 1)),
    ("member_limit_reached", |c| {
        c.rules.windows = vec![window(WindowKind::Week, Some(2), None)];
        c.facts.member_days = vec![(Day(-2), 1), (Day(0), 1)];
    }),
    ("campaign_limit_reached", |c| (c.rules.total, c.usage.left) = (Some(1), vec![(Meter::Total, 0)])),
    ("campaign_limit_reached", |c| {
        c.rules.windows = vec![window(WindowKind::Day, None, Some(5))];
        c.usage.left.push((Meter::Window(WindowKind::Day, Day(0)), 0));
    }),
    ("budget_exhausted", |c| {
        c.rules.reward.kind = RewardType::Credit;
        c.rules.reward.value = RewardValue::Credit { currency: "EUR".to_owned(), amount_minor: 500 };
        c.rules.budget = Some(Budget { currency: "EUR".to_owned(), amount_minor: 10_000 });
        c.usage.left.push((Meter::Budget, 499));
    }),
];

fn window(per: WindowKind, per_member: Option<u64>, total: Option<u64>) -> WindowLimit {
    WindowLimit { per, per_member, total }
}

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
    check(|c| c.rules.revoked_epochs = vec![0], "code_recalled");
    check(|c| c.rules.recalled = vec![SeqRange { from: 0, to: 2 }, SeqRange { from: 5, to: 6 }], "code_recalled");
    check(|c| c.rules.recalled = vec![SeqRange { from: 0, to: 5 }, SeqRange { from: 6, to: 9 }], "");
    // The last use is usable.
    check(|c| (c.rules.total, c.usage.left) = (Some(10), vec![(Meter::Total, 1)]), "");
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
        (Box::new(|c| (c.rules.total, c.usage.left) = (Some(1), vec![(Meter::Total, 0)])), "campaign_limit_reached"),
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

#[test]
fn a_window_that_is_full_says_when_it_ends() {
    let at = Instant::parse("2026-11-22T12:00:00Z").unwrap();
    let calendar = Calendar::at(at, &Utc);
    let (today, monday) = (calendar.today(), calendar.window(WindowKind::Week).first);
    let ends = |text: &str| Some(Instant::parse(text).unwrap());
    let mut rules = rules();
    rules.windows = vec![window(WindowKind::Day, Some(1), Some(3)), window(WindowKind::Month, Some(4), Some(9))];
    let decide = |days: DayCounts, left: Vec<(Meter, u64)>| {
        let facts = Facts { at, member_days: days, ..facts() };
        let usage = Usage { left, ..Usage::default() };
        evaluate(&rules, &calendar, &facts, None, &usage, |_| String::new())
            .into_iter()
            .find_map(|(_, refusal)| refusal)
    };
    let member = |window_ends_at| Some(Refusal::MemberLimitReached { window_ends_at });
    let campaign = |window_ends_at| Some(Refusal::CampaignLimitReached { window_ends_at });
    assert_eq!(decide(vec![(monday, 3)], vec![]), None);
    assert_eq!(decide(vec![(today, 1)], vec![]), member(ends("2026-11-23T00:00:00Z")));
    assert_eq!(decide(vec![(monday, 3), (today, 1)], vec![]), member(ends("2026-12-01T00:00:00Z")));
    let (day, month) = (
        Meter::Window(WindowKind::Day, today),
        Meter::Window(WindowKind::Month, calendar.window(WindowKind::Month).first),
    );
    assert_eq!(decide(vec![], vec![(day, 1), (month, 1)]), None);
    assert_eq!(decide(vec![], vec![(day, 0), (month, 1)]), campaign(ends("2026-11-23T00:00:00Z")));
    assert_eq!(decide(vec![], vec![(day, 0), (month, 0)]), campaign(ends("2026-12-01T00:00:00Z")));
    // That of another day says nothing about today.
    assert_eq!(decide(vec![], vec![(Meter::Window(WindowKind::Day, monday), 0)]), None);
}

#[test]
fn a_budget_that_counts_nothing_covers_nothing() {
    let mut rules = rules();
    rules.budget = Some(Budget { currency: "EUR".to_owned(), amount_minor: 10_000 });
    let charge = |rules: &Rules| rules.needs(&Calendar::at(Instant(0), &Utc))[0].amount;
    assert_eq!(charge(&rules), u64::MAX);
    rules.reward.kind = RewardType::Discount;
    rules.reward.value = RewardValue::Credit { currency: "EUR".to_owned(), amount_minor: 500 };
    rules.quantity = 3;
    assert_eq!(charge(&rules), 1_500);
    rules.reward.value = RewardValue::Credit { currency: "USD".to_owned(), amount_minor: 500 };
    assert_eq!(charge(&rules), u64::MAX);
}

#[test]
fn a_word_stands_for_the_campaigns_code() {
    let mut rules = rules();
    let word = Alias::read("WELCOME10");
    (rules.kind, rules.uses_per_code, rules.per_member) = (CampaignKind::Shared, None, Some(1));
    (rules.aliases, rules.alias_seq) = (word.clone().into_iter().collect(), Some(200));
    // The same code was printed, in another epoch than the word is sent with or in the same; that batch is over.
    let batch = |epoch| IssuedRange {
        from: 200,
        to: 201,
        epoch,
        expires_at: Some(Instant(0)),
        batch_id: "ba_2".to_owned(),
        reference: Some("mailing".to_owned()),
    };
    rules.issued.extend([batch(6), batch(7)]);
    let entered = |alias: &Option<Alias>, seq| Facts { alias: alias.clone(), seq, epoch: 7, ..facts() };
    // It was never minted, and no key befalls it.
    assert!(recognised(Some(&rules), &entered(&word, 200)));
    assert!(!recognised(Some(&rules), &entered(&word, 5)));
    assert!(!recognised(Some(&rules), &entered(&Alias::read("OTHER"), 200)));
    assert!(!recognised(Some(&rules), &entered(&None, 199)));
    assert_eq!(issued_range(&rules, &entered(&word, 200)), None);
    let first = |rules: &Rules| {
        let facts = Facts { epoch_revoked: true, ..entered(&word, 200) };
        let calendar = Calendar::at(facts.at, &Utc);
        let verdicts = evaluate(rules, &calendar, &facts, None, &Usage::default(), |_| String::new());
        verdicts.into_iter().find_map(|(_, refusal)| refusal)
    };
    (rules.min_epoch, rules.revoked_epochs) = (7, vec![7]);
    assert_eq!(first(&rules), None);
    rules.recalled = vec![SeqRange { from: 200, to: 201 }];
    assert_eq!(first(&rules), Some(Refusal::CodeRecalled));
}

#[test]
fn shards_share_codes_evenly_and_members_by_their_reference() {
    let mref = |byte: u8| Mref::from_bytes(&[byte; 16]).unwrap();
    for (shards, seq, expected) in [(1, 77, 0), (5, 77, 2), (5, 0, 0), (0, 3, 0)] {
        assert_eq!(shard_of(CampaignKind::Unique, shards, seq, &mref(9)), expected);
    }
    let shared = |seq| shard_of(CampaignKind::Shared, 7, seq, &mref(3));
    assert_eq!(shared(1), shared(2));
    assert_eq!(shared(1), 0x0303_0303 % 7);
}
