//! What staff do at a till.

use super::{LOCATION, POINTS, REPLAYED};
use crate::call::{Api, Key};
use counterfoil_core::wire::{
    AdjustmentBody, ConfirmBody, LedgerRow, LookupBody, QuoteBody, QuoteResource, Redemption, ReversalBody, TillMember,
};
use serde_json::json;

pub(super) fn all(api: &mut Api) {
    let tag = "Till";
    api.call("POST", "/v1/till/lookup", (tag, "lookup"), "Find a member by telephone number")
        .body::<LookupBody>(&[("number", json!({ "phone": "+4915112345678" }))])
        .answer::<TillMember>(200, "The member, with what they can have now.", &[])
        .problems(&["member_not_found"]);
    api.call("POST", "/v1/till/quotes", (tag, "quote"), "Offer a reward for points")
        .about("Pins the price for two minutes and holds no points. A newer offer of the same reward for the same member replaces it.")
        .key(Key::Optional)
        .body::<QuoteBody>(&[("mug", json!({ "member_id": "ann", "reward_id": "mug" }))])
        .answer::<QuoteResource>(201, "The offer.", LOCATION)
        .problems(&["not_found", "just_redeemed"])
        .problems(POINTS);
    api.call("GET", "/v1/till/quotes/{id}", (tag, "readQuote"), "One offer")
        .about("One's own; a manager reads any.")
        .answer::<QuoteResource>(200, "As it stands now.", &[]);
    api.call("DELETE", "/v1/till/quotes/{id}", (tag, "cancelQuote"), "Cancel an offer")
        .gone()
        .problems(&["illegal_move", "quote_expired"]);
    api.call("POST", "/v1/till/quotes/{id}/confirm", (tag, "confirmQuote"), "Confirm an offer")
        .about(
            "The balance is looked at again in the deciding commit. Once for each offer, whatever the key. A manager alone may override: \
             the points there are are taken, and the rest is `goodwill_points`, with name and reason.",
        )
        .key(Key::Required)
        .takes("Prefer")
        .body_or_none::<ConfirmBody>(&[("plain", json!({})), ("goodwill", json!({ "override": { "reason": "a regular" } }))])
        .answer::<Redemption>(201, "Decided: the points are taken.", LOCATION)
        .answer::<Redemption>(202, "Accepted, and not decided yet.", &["Location", "Idempotent-Replayed", "Preference-Applied"])
        .problems(POINTS)
        .problems(&["quote_expired", "just_redeemed", "illegal_move"]);
    api.call("POST", "/v1/redemptions/{id}/reversal", (tag, "reverse"), "Take a redemption back")
        .about(
            "Matching ledger rows; its rewards are deleted; promo codes go to quarantine. Staff: their own, within the merchant's \
             window. Managers: any.",
        )
        .key(Key::Required)
        .body::<ReversalBody>(&[("mistake", json!({ "reason": "wrong customer" }))])
        .answer::<Redemption>(200, "The redemption, reversed.", REPLAYED)
        .problems(&["illegal_move", "already_reversed", "reversal_window_over", "value_spent"]);
    api.call("POST", "/v1/members/{id}/adjustments", (tag, "adjust"), "Earn, spend or correct")
        .about("Never below zero. Running boosters apply to what is earned.")
        .key(Key::Required)
        .body::<AdjustmentBody>(&[
            ("points", json!({ "asset": "points", "amount": 50, "reason": "order 1001", "order": "1001" })),
            ("credit", json!({ "asset": "credit", "amount_minor": -500, "currency": "EUR", "reason": "paid out" })),
        ])
        .answer::<LedgerRow>(201, "The ledger row.", LOCATION)
        .problems(&["value_spent", "insufficient_points"]);
}
