use super::*;
use crate::ids::IdKey;
use crate::keys::MerchantId;
use crate::protocol::Prepared;
use crate::wire::{Mechanic, Method, RewardDefinition, RewardType, RewardValue};

#[test]
fn a_second_promise_is_settled_as_the_first_was_decided() {
    let key = IdKey::new(vec![7; 32]).unwrap();
    let merchant = MerchantId::new("acme").unwrap();
    let names = Names { key: &key, merchant: &merchant };
    let now = Instant(1_800_000_000_000);
    let (mine, other) = (Fingerprint::of(&[b"mine"]), Fingerprint::of(&[b"other"]));
    let intent = Intent {
        v: super::super::MESSAGE_VERSION,
        rid: Rid::derive(&key.mref(&merchant, "ann"), "member", "ann", "POST /v1/redemptions", "key"),
        fp: mine,
        wish: Wish::Code(CodeWish {
            campaign: 1,
            shard: 0,
            facts: crate::rules::Facts {
                at: now,
                seq: 0,
                epoch: 0,
                profile: crate::code::Profile::S20,
                epoch_revoked: false,
                method: Method::Frontend,
                currency: None,
                attributes: crate::token::Attributes::default(),
                roles: vec![],
                member_uses: 0,
                member_days: vec![],
                alias: None,
            },
            checkout: None,
        }),
        order: None,
        actor: None,
        arrived: None,
        deadline: now,
    };
    let reward = RewardDefinition {
        reward_id: "welcome".to_owned(),
        name: "Welcome".to_owned(),
        kind: RewardType::Points,
        value: RewardValue::Amount { amount: 1 },
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
    };
    let answer = PrepareAnswer::Prepared(promised(reward));
    let answers = Answers { shard: Some(&answer), pool: None };
    let wallet = Wallet::default();
    for (known, consumed, step) in [
        (Known::Decided(mine), true, DecideStep::Replay),
        (Known::Decided(mine), false, DecideStep::Abort),
        (Known::Decided(other), true, DecideStep::Abort),
        (Known::Decided(other), false, DecideStep::Abort),
        (Known::Open(other), false, DecideStep::Abort),
    ] {
        let view = MemberView {
            known,
            consumed,
            member_uses: 0,
            member_days: &[],
            wallet: &wallet,
            next_ledger_row: 1,
            opened_at: None,
            quote: None,
            last_bought_at: None,
            book: None,
            member_id: "ann",
            pid: "p1",
        };
        assert_eq!(decide(&view, &intent, answers, &names, now), Ok(step), "{known:?}, consumed: {consumed}");
    }
}

/// A shard's promise without limits.
fn promised(reward: RewardDefinition) -> Prepared {
    let (per_member, member_windows, day) = (None, vec![], Day(0));
    Prepared { reward, quantity: 1, per_member, member_windows, day, batch_id: None, reference: None }
}
