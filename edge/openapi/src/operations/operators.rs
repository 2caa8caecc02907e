//! What operators do and read: recovery, webhooks, the audit log, figures.

use super::{LOCATION, REPLAYED, any_text, instant};
use crate::call::{Api, Key};
use counterfoil_core::wire::{
    AuditRow, DeliveryResource, EndpointResource, FulfilmentReport, NewEndpoint, Page, ReasonBody, Redemption,
    RequiredReasonBody, ResolveBody, RewardState, Stats, TestResult, VerifyAnswer, VerifyBody,
};
use serde_json::json;

pub(super) fn all(api: &mut Api) {
    recovery(api);
    webhooks(api);
    audit(api);
    service(api);
}

fn recovery(api: &mut Api) {
    let tag = "Recovery";
    api.call("POST", "/v1/redemptions/{id}/retry", (tag, "retryRedemption"), "Try again now")
        .key(Key::Optional)
        .body_or_none::<ReasonBody>(&[("repaired", json!({ "reason": "the fulfiller is back" }))])
        .answer::<Redemption>(200, "The redemption.", REPLAYED)
        .problems(&["illegal_move"]);
    api.call("POST", "/v1/redemptions/{id}/resolve", (tag, "resolveRedemption"), "Decide it by hand")
        .about("`granted`: it was given by other means. `cancelled`: it is not given, and the use is given back.")
        .key(Key::Optional)
        .body::<ResolveBody>(&[("given", json!({ "as": "granted", "reason": "sent by post" }))])
        .answer::<Redemption>(200, "The redemption.", REPLAYED)
        .problems(&["illegal_move", "value_spent"]);
    api.call("POST", "/v1/redemptions/{id}/reset", (tag, "resetRedemption"), "Let the member redeem again")
        .about("From `cancelled` or `reversed`; for testers from any status.")
        .key(Key::Optional)
        .body::<RequiredReasonBody>(&[("again", json!({ "reason": "a second chance" }))])
        .answer::<Redemption>(200, "The redemption.", REPLAYED)
        .problems(&["illegal_move", "value_spent"]);
}

fn webhooks(api: &mut Api) {
    let tag = "Webhooks";
    api.call("POST", "/v1/webhooks", (tag, "createEndpoint"), "Create an endpoint")
        .about("Its secret is in this answer and nowhere else.")
        .key(Key::Optional)
        .body::<NewEndpoint>(&[
            ("events", json!({ "url": "https://shop.example/hooks", "events": ["redemption.*", "pool.low"] })),
            ("fulfiller", json!({ "url": "https://games.example/fulfil", "events": [] })),
        ])
        .answer::<EndpointResource>(201, "The endpoint, with its secret.", LOCATION);
    api.call("GET", "/v1/webhooks", (tag, "listEndpoints"), "All endpoints").pages().answer::<Page<EndpointResource>>(
        200,
        "A page.",
        &[],
    );
    api.call("GET", "/v1/webhooks/{endpoint_id}", (tag, "readEndpoint"), "One endpoint").answer::<EndpointResource>(
        200,
        "As it is now.",
        &[],
    );
    api.call("DELETE", "/v1/webhooks/{endpoint_id}", (tag, "deleteEndpoint"), "Delete an endpoint")
        .about("Refused while a definition names it.")
        .gone()
        .problems(&["illegal_move"]);
    api.call("POST", "/v1/webhooks/{endpoint_id}/rotate", (tag, "rotateSecret"), "A new secret")
        .about("The old one signs too for a day.")
        .key(Key::Optional)
        .empty_body()
        .answer::<EndpointResource>(200, "The endpoint; its new secret where this is not a repeat.", REPLAYED)
        .problems(&["illegal_move"]);
    api.call("POST", "/v1/webhooks/{endpoint_id}/test", (tag, "testEndpoint"), "Send a test")
        .about("A success enables an endpoint that was disabled by a 410.")
        .key(Key::Optional)
        .empty_body()
        .answer::<TestResult>(200, "What came of it.", &[]);
    api.call("GET", "/v1/webhooks/{endpoint_id}/deliveries", (tag, "listDeliveries"), "What was sent to it")
        .pages()
        .answer::<Page<DeliveryResource>>(200, "A page, the latest first.", &[]);
    api.call(
        "POST",
        "/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/resend",
        (tag, "resend"),
        "Send it once more",
    )
    .key(Key::Optional)
    .empty_body()
    .answer::<DeliveryResource>(200, "The delivery.", &[])
    .problems(&["illegal_move"]);
    let header = |name: &str, about: &str| (name.to_owned(), about.to_owned());
    let call = api
        .call("POST", "/v1/fulfilments/{id}", (tag, "reportFulfilment"), "A fulfiller's late answer")
        .about("Signed as Standard Webhooks, with the endpoint's secret, at most five minutes old; `{id}` is the reward's.")
        .body::<FulfilmentReport>(&[
            ("given", json!({ "outcome": "granted", "data": { "ticket": "A-17" } })),
            ("failed", json!({ "outcome": "failed", "error": "unknown player" })),
        ]);
    let call = [header("webhook-id", "The message's id."), header("webhook-timestamp", "Seconds since 1970.")]
        .into_iter()
        .fold(call, |call, (name, about)| call.header(&name, &about));
    call.answers(
        200,
        "Where the reward stands now.",
        &[],
        &[(
            "application/json",
            json!({
                "type": "object",
                "properties": {
                    "id": { "type": "string" },
                    "state": { "type": "string", "enum": RewardState::ALL.map(RewardState::name) },
                },
                "required": ["id", "state"],
            }),
        )],
    )
    .problems(&["illegal_move"]);
}

fn audit(api: &mut Api) {
    let tag = "Audit and figures";
    api.call("GET", "/v1/audit", (tag, "audit"), "Who did what, the latest first")
        .pages()
        .query("object", "Only of this chain, such as `campaign/7`.", any_text())
        .query("action", "Only this action, such as `reward.granted`.", any_text())
        .query("subject", "Only about this.", any_text())
        .query("from", "At or after.", instant())
        .query("to", "Before.", instant())
        .answer::<Page<AuditRow>>(200, "A page.", &[]);
    api.call("GET", "/v1/audit/export", (tag, "exportAudit"), "A month's entries and seals as a file")
        .about("`counterfoil audit` verifies it offline.")
        .query(
            "month",
            "This one where absent.",
            json!({ "type": "string", "pattern": "^[1-9][0-9]{3}-(0[1-9]|1[0-2])$" }),
        )
        .answers(200, "One JSON object a line.", &[], &[("application/x-ndjson", json!({ "type": "string" }))])
        .problems(&["not_found"]);
    api.call("POST", "/v1/verify", (tag, "verify"), "Whether everything adds up")
        .body::<VerifyBody>(&[("member", json!({ "member_id": "ann" })), ("campaign", json!({ "campaign": 7 }))])
        .answer::<VerifyAnswer>(200, "What was found.", &[])
        .problems(&["not_found"]);
    api.call("GET", "/v1/stats", (tag, "stats"), "Figures").answer::<Stats>(
        200,
        "Over all months; they lag by seconds.",
        &[],
    );
}

fn service(api: &mut Api) {
    let tag = "Audit and figures";
    api.call("GET", "/metrics", (tag, "metrics"), "Figures for Prometheus")
        .about("With the deployment's own token; where none is set there is no such page.")
        .query("merchant", "Of one merchant alone.", any_text())
        .answers(200, "The text format.", &[], &[("text/plain", json!({ "type": "string" }))])
        .problems(&["not_found"]);
    api.call("GET", "/healthz", (tag, "health"), "Whether it serves").answers(
        200,
        "It does.",
        &[],
        &[(
            "application/json",
            json!({
                "type": "object",
                "properties": {
                    "ok": { "const": true },
                    "version": { "type": "string" },
                    "environment": { "type": "string" },
                    "epochs": { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 7 } },
                },
                "required": ["ok", "version", "environment", "epochs"],
            }),
        )],
    );
    api.call("GET", "/openapi.json", (tag, "openapi"), "This document").answers(
        200,
        "OpenAPI 3.1.",
        &["ETag"],
        &[("application/json", json!({ "type": "object", "required": ["openapi", "info", "paths"] }))],
    );
    api.call("GET", "/docs", (tag, "docs"), "This document as a page").answers(
        200,
        "A page for people, which needs nothing from elsewhere.",
        &["ETag"],
        &[("text/html", json!({ "type": "string" }))],
    );
}
