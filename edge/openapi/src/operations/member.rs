//! What members do, and services for them.

use super::{CODE, LOCATION, POINTS, REPLAYED, campaign_number, instant, redemption_status};
use crate::call::{Api, Call, Key};
use counterfoil_core::limits::POLL_WAIT_MAX_S;
use counterfoil_core::wire::{
    CatalogueItem, CommitOrderBody, EventPage, FeedReset, Hold, HoldBody, LedgerRow, ListedRedemption, OrderResource,
    Page, PlayerMoveBody, Preview, PreviewBody, RedeemBody, RedeemPathBody, Redemption, ReleaseOrderBody, Reward,
    RewardState, Wallet,
};
use serde_json::{Value, json};

const REDEEMING: &str = "\
Answered 201 as soon as the use is consumed, whatever is still being applied; with the problem where it is refused within two \
seconds; 202 where it is undecided by then, or where `Prefer: respond-async` asked for it. What was accepted is brought to \
its end by the server: read it again, or follow the live feed.

The same key gives the same redemption for ever. A code that needs a correction is `malformed_code`, and never searched for.";

pub(super) fn all(api: &mut Api) {
    redeeming(api);
    wallet(api);
    rewards(api);
    checkout(api);
    feed(api);
}

/// What both ways of redeeming share.
fn redeems(call: Call<'_>) -> Call<'_> {
    call.about(REDEEMING)
        .key(Key::Required)
        .takes("Prefer")
        .takes("Challenge")
        .answer::<Redemption>(201, "Decided: the use is consumed.", LOCATION)
        .answer::<Redemption>(
            202,
            "Accepted, and not decided yet.",
            &["Location", "Idempotent-Replayed", "Preference-Applied"],
        )
        .problems(CODE)
        .problems(&["insufficient_codes"])
}

fn redeeming(api: &mut Api) {
    let tag = "Redeeming";
    redeems(api.call("POST", "/v1/redemptions", (tag, "redeem"), "Redeem a code, or buy with points"))
        .body::<RedeemBody>(&[
            ("code", json!({ "code": "0000-PMHX-FT5V-PPXF-4FNQ" })),
            ("points", json!({ "reward_id": "mug", "quantity": 2 })),
            ("service", json!({ "code": "WELCOME10", "currency": "EUR", "member_id": "ann" })),
        ])
        .problems(POINTS)
        .problems(&["not_found"])
        .links(201, json!({ "read": { "operationId": "readRedemption", "parameters": { "id": "$response.body#/redemption_id" } } }));
    redeems(api.call("POST", "/v1/codes/{code}/redemptions", (tag, "redeemPath"), "Redeem the code of the path"))
        .body_or_none::<RedeemPathBody>(&[("member", json!({}))]);
    api.call("POST", "/v1/codes/preview", (tag, "preview"), "What a code would give, with every rule")
        .about("Consumes nothing. A wrong code counts as an attempt.")
        .takes("Challenge")
        .body::<PreviewBody>(&[("code", json!({ "code": "0000-PMHX-FT5V-PPXF-4FNQ" }))])
        .answer::<Preview>(200, "What redeeming would come to now.", &[])
        .problems(&["malformed_code", "too_many_attempts", "challenge_required", "code_not_recognised"]);
    let list = api
        .call("GET", "/v1/redemptions", (tag, "listRedemptions"), "One's own history, or everybody's")
        .about(
            "Without `all`, the caller's own redemptions, the latest first. With `all=1`, for `admin` alone, those of every \
             member out of the Recorders, which lag by seconds; then the other filters count too.",
        )
        .pages()
        .member_id()
        .query("all", "`admin`: those of all members.", super::flag());
    let list = filters(list);
    // Pages of both kinds may be empty, so that they cannot be told apart.
    list.any_of::<Page<Redemption>, Page<ListedRedemption>>(200, "A page.").problems(&["not_found", "malformed_code"]);
    let export = api
        .call(
            "GET",
            "/v1/redemptions/export",
            ("Audit and figures", "exportRedemptions"),
            "Everybody's history as a file",
        )
        .about("The filters are those of the list. Streamed; the latest first.")
        .query(
            "format",
            "CSV with a header line, or one JSON object a line.",
            json!({ "type": "string", "enum": ["csv", "jsonl"], "default": "csv" }),
        );
    filters(export.query("member_id", "Of one member.", super::text()))
        .answers(
            200,
            "The file.",
            &[],
            &[("text/csv", json!({ "type": "string" })), ("application/x-ndjson", json!({ "type": "string" }))],
        )
        .problems(&["malformed_code"]);
    api.call("GET", "/v1/redemptions/{id}", (tag, "readRedemption"), "One redemption as it stands")
        .about("One's own; staff and those above them read any of their merchant's.")
        .query("member_id", "For `service` callers, who must say it: whose.", json!({ "type": "string" }))
        .answer::<Redemption>(200, "As it stands now.", &[]);
}

/// The filters of histories.
fn filters(call: Call<'_>) -> Call<'_> {
    call.query("status", "Only those in this status.", redemption_status())
        .query("campaign", "Only of this campaign.", campaign_number())
        .query("from", "Requested at or after.", instant())
        .query("to", "Requested before.", instant())
        .query("since", "With `all`: changed at or after.", instant())
        .query("phone", "With `all`: of the member with this number.", super::text())
        .query("code", "With `all`: of this code.", super::text())
        .query("batch_id", "With `all`: of a code of this batch.", super::text())
        .query("reference", "With `all`: with this reference.", super::text())
        .query("order", "With `all`: with this order.", super::text())
        .query("staff", "With `all`: by this actor.", super::text())
        .query("testers", "With `all`: those of testers too.", super::flag())
}

fn wallet(api: &mut Api) {
    let tag = "Wallet";
    api.call("GET", "/v1/wallet", (tag, "wallet"), "Points, credit, features, boosters").member_id().answer::<Wallet>(
        200,
        "As it is now.",
        &[],
    );
    api.call("GET", "/v1/ledger", (tag, "ledger"), "Every change of a balance, the latest first")
        .pages()
        .member_id()
        .answer::<Page<LedgerRow>>(200, "A page.", &[]);
    api.call("GET", "/v1/catalogue", (tag, "catalogue"), "What points buy")
        .pages()
        .member_id()
        .answer::<Page<CatalogueItem>>(200, "A page, with costs for this member.", &[]);
}

fn reward_state() -> Value {
    json!({ "type": "string", "enum": RewardState::ALL.map(RewardState::name) })
}

/// The list of a member's rewards.
pub(super) fn lists_rewards(call: Call<'_>) -> Call<'_> {
    call.pages().query("state", "Only those in this state.", reward_state()).answer::<Page<Reward>>(
        200,
        "A page, the latest first.",
        &[],
    )
}

fn rewards(api: &mut Api) {
    let tag = "Rewards";
    lists_rewards(api.call("GET", "/v1/rewards", (tag, "listRewards"), "One's own rewards").member_id());
    api.call("GET", "/v1/rewards/{id}", (tag, "readReward"), "One reward as it stands")
        .about("One's own; staff and those above them read any of their merchant's.")
        .query("member_id", "For `service` callers, who must say it: whose.", json!({ "type": "string" }))
        .answer::<Reward>(200, "As it stands now.", &["ETag"]);
    for (path, name, summary) in [
        ("/v1/rewards/{id}/claim", "claimReward", "Claim a reward that rests"),
        ("/v1/rewards/{id}/activate", "activateReward", "Activate a reward"),
        ("/v1/rewards/{id}/decline", "declineReward", "Decline a reward"),
    ] {
        api.call("POST", path, (tag, name), summary)
            .about("A repeat answers as before and moves nothing.")
            .key(Key::Optional)
            .body_or_none::<PlayerMoveBody>(&[("member", json!({}))])
            .answer::<Reward>(200, "As it stands now.", &["ETag"])
            .problems(&["illegal_move"]);
    }
}

fn checkout(api: &mut Api) {
    let tag = "Checkout";
    api.call("POST", "/v1/orders/{order}/holds", (tag, "hold"), "Keep a discount or credit for an order")
        .about("One discount and any credits for each order, for fifteen minutes. A hold of the same member for another order moves here.")
        .key(Key::Optional)
        .takes("Challenge")
        .body::<HoldBody>(&[
            ("code", json!({ "code": "0000-PMHX-FT5V-PPXF-4FNQ", "total": { "currency": "EUR", "amount_minor": 4990 } })),
            ("credit", json!({ "credit_minor": 500, "total": { "currency": "EUR", "amount_minor": 4990 } })),
        ])
        .answer::<Hold>(201, "Kept.", LOCATION)
        .answer::<counterfoil_core::wire::Redemption>(202, "Accepted, and not decided yet.", &["Location", "Idempotent-Replayed"])
        .problems(CODE)
        .problems(&["value_spent", "already_exists", "hold_expired", "insufficient_codes", "illegal_move"]);
    api.call("GET", "/v1/orders/{order}/holds", (tag, "listHolds"), "What is, or was, held for an order")
        .pages()
        .member_id()
        .answer::<Page<Hold>>(200, "All of it.", &[]);
    api.call("GET", "/v1/orders/{order}/holds/{id}", (tag, "readHold"), "One hold").member_id().answer::<Hold>(
        200,
        "As it stands now.",
        &[],
    );
    api.call("DELETE", "/v1/orders/{order}/holds/{id}", (tag, "releaseHold"), "Give a hold back")
        .member_id()
        .gone()
        .problems(&["illegal_move"]);
    api.call("POST", "/v1/orders/{order}/commit", (tag, "commitOrder"), "The order was placed")
        .about("Everything held for it is used; credit that is left over returns to the wallet.")
        .key(Key::Optional)
        .body::<CommitOrderBody>(&[(
            "placed",
            json!({ "member_id": "ann", "total": { "currency": "EUR", "amount_minor": 4990 } }),
        )])
        .answer::<OrderResource>(200, "The order with its holds.", REPLAYED)
        .problems(&["hold_expired", "illegal_move", "value_spent", "already_exists"]);
    api.call("POST", "/v1/orders/{order}/release", (tag, "releaseOrder"), "The order was not placed")
        .about("Everything held for it is given back.")
        .key(Key::Optional)
        .body::<ReleaseOrderBody>(&[("abandoned", json!({ "member_id": "ann" }))])
        .answer::<OrderResource>(200, "The order with its holds.", REPLAYED)
        .problems(&["illegal_move"]);
}

fn feed(api: &mut Api) {
    api.call("GET", "/v1/events", ("Live feed", "events"), "What happens to a member: WebSocket, or long poll")
        .about(
            "**WebSocket**: an upgrade with the subprotocols `counterfoil.v1`, which the server selects, and `bearer.<jwt>`. Each text \
             frame is one event `{seq, at, type, data}` or a reset; `ping` is answered with `pong`; closed with 4401 when the token \
             ends.\n\n**Long poll**: without an upgrade, the events after `since`, at most 500; `wait` holds the answer until there is \
             one. A `since` that is older than what is kept (10,000 events or 90 days), or ahead of the feed, is answered with a reset: \
             the member as they stand, and where to go on.",
        )
        .member_id()
        .query(
            "since",
            "The last seq that is known; the first is 1. Absent: from now on.",
            json!({ "type": "integer", "minimum": 0, "maximum": counterfoil_core::limits::INTEGER_MAX }),
        )
        .query("wait", "Seconds to wait for an event.", json!({ "type": "integer", "minimum": 0, "maximum": POLL_WAIT_MAX_S, "default": 0 }))
        .answers(101, "The socket, where one was asked for.", &[], &[])
        .either::<EventPage, FeedReset>(200, "Events, or a reset.");
}
