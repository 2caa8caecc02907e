use super::*;
use crate::protocol::purchase;
use crate::token::Attributes;
use crate::wire::{NewRewardDefinition, parse};

fn purchase(body: &str, tier: &str, quantity: u32) -> Purchase {
    let reward = parse::<NewRewardDefinition>(body.as_bytes()).unwrap().define("mug").unwrap();
    let attributes = Attributes { tier: Some(tier.to_owned()), ..Attributes::default() };
    let unit_cost = crate::price::unit_cost(&reward, &attributes);
    Purchase { reward, quantity, at: Instant(0), attributes, roles: vec![], unit_cost, quote: None }
}

fn failed(rules: &[PreviewRule]) -> Vec<&str> {
    rules.iter().filter(|rule| !rule.passed).map(|rule| rule.rule.as_str()).collect()
}

#[test]
fn every_rule_is_listed_once_in_order_of_precedence() {
    let (would, refusal, rules) = Findings::default().conclude();
    assert_eq!((would, refusal), (Verdict::Redeem, None));
    assert_eq!(rules.iter().map(|rule| rule.rule.as_str()).collect::<Vec<_>>(), RULES);
    assert!(rules.iter().all(|rule| rule.passed && rule.detail.as_deref() == Some(NOT_ASKED)));

    let mut findings = Findings::default();
    findings.pool(3, 10);
    findings.judged(
        vec![
            ("code_recalled", None),
            ("campaign_not_active", Some(Refusal::CampaignNotActive)),
            ("budget_exhausted", Some(Refusal::BudgetExhausted)),
        ],
        false,
    );
    let (would, refusal, rules) = findings.clone().conclude();
    assert_eq!((would, refusal), (Verdict::Refuse, Some(Refusal::CampaignNotActive)));
    assert_eq!(failed(&rules), ["campaign_not_active", "budget_exhausted", "insufficient_codes"]);
    assert_eq!(rules[19].detail.as_deref(), Some("Only 3 code(s) available, you requested 10"));

    findings.malformed(Refusal::MalformedCode { position: None, reason: "empty".to_owned() });
    assert_eq!(findings.conclude().1.unwrap().code(), "malformed_code");
}

#[test]
fn what_is_hidden_is_told_to_whoever_asks_here() {
    let mut findings = Findings::default();
    findings.judged(vec![("campaign_not_active", Some(Refusal::CampaignNotActive))], true);
    let (_, refusal, rules) = findings.conclude();
    assert_eq!(refusal, Some(Refusal::CodeNotRecognised));
    assert_eq!(failed(&rules), ["code_not_recognised", "campaign_not_active"]);
}

#[test]
fn attempts_are_judged_as_in_a_redemption() {
    let base = Attempts { in_window: 3, allowed: 10, ..Attempts::default() };
    let full = Attempts { in_window: 10, earliest: Some(Instant(1_000)), ..base };
    for (attempts, expected) in [
        (base, None),
        (full, Some("too_many_attempts")),
        (Attempts { has_grant: true, ..full }, None),
        (Attempts { bar: Some(Bar::Challenge), ..base }, Some("challenge_required")),
        (Attempts { bar: Some(Bar::Wait { retry_after_s: 60 }), ..base }, Some("too_many_attempts")),
        (Attempts { bar: Some(Bar::Challenge), has_grant: true, ..base }, None),
    ] {
        let mut findings = Findings::default();
        findings.attempts(&attempts, Instant(2_000));
        let (_, refusal, rules) = findings.conclude();
        assert_eq!(refusal.as_ref().map(Refusal::code), expected, "{attempts:?}");
        assert_eq!(rules[1].passed, expected.is_none());
    }
}

#[test]
fn purchases_are_judged_as_in_a_redemption() {
    let priced = r#"{"name":"Mug","type":"external","value":{},"points_cost":100,"eligibility":{"tiers":["gold"]}}"#;
    let plain = r#"{"name":"Mug","type":"external","value":{},"eligibility":{"tiers":["gold"]}}"#;
    for (body, tier, quantity, points, all) in [
        (priced, "gold", 1, 100, &[][..]),
        (priced, "gold", 2, 199, &["insufficient_points"][..]),
        (priced, "silver", 1, 99, &["not_eligible", "insufficient_points"][..]),
        (plain, "gold", 1, 99, &["reward_not_for_sale"][..]),
        (plain, "silver", 1, 99, &["not_eligible", "reward_not_for_sale"][..]),
    ] {
        let purchase = purchase(body, tier, quantity);
        let mut findings = Findings::default();
        findings.purchase(&purchase, points);
        let (_, refusal, rules) = findings.conclude();
        assert_eq!(failed(&rules), all);
        assert_eq!(refusal, purchase::check(&purchase, points, None).err());
    }
}
