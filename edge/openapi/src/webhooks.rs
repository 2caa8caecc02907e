//! What is sent to the merchant's own endpoints.

use crate::call::Api;
use counterfoil_core::wire::{FulfilmentReport, PoolResource, Redemption, RedemptionStatus, Reward, RewardState};
use serde_json::{Map, Value, json};

const SIGNED: &str = "\
Standard Webhooks: `webhook-id` is the same on every try, `webhook-timestamp`, `webhook-signature` (`v1`, base64 HMAC-SHA256 over \
`id.timestamp.body`; several during a rotation). Tries at 0 s, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h after the one \
before; time-out 20 s; `Retry-After` is honoured; 410 disables the endpoint. Any 2xx means that it arrived.";

/// Every kind of message.
pub(crate) fn all(api: &mut Api) -> Map<String, Value> {
    let redemption = api.schemas.answer::<Redemption>();
    let reward = api.schemas.answer::<Reward>();
    let pool = api.schemas.answer::<PoolResource>();
    let report = api.schemas.request::<FulfilmentReport>();
    let open = |about: &str| json!({ "type": "object", "description": about });
    let with_member =
        |of: Value| json!({ "allOf": [of, { "type": "object", "properties": { "member_id": { "type": "string" } } }] });
    let names = |group: &str, names: &[&str]| names.iter().map(|name| format!("{group}.{name}")).collect::<Vec<_>>();
    let redemptions = names("redemption", &RedemptionStatus::ALL.map(RedemptionStatus::name));
    let rewards = names("reward", &RewardState::ALL.map(RewardState::name));
    let one = |name: &str| vec![name.to_owned()];
    let mut all = Map::new();
    for (name, summary, types, data) in [
        ("redemption", "A redemption reached a status", redemptions, with_member(redemption)),
        ("reward", "A reward reached a state", rewards, with_member(reward.clone())),
        ("reward.expiring", "A reward that rests will soon expire", one("reward.expiring"), with_member(reward)),
        ("pool.low", "A pool runs low", one("pool.low"), pool),
        ("campaign.ending", "A campaign will soon end", one("campaign.ending"), open("The campaign.")),
        ("campaign.ended", "A campaign has ended", one("campaign.ended"), open("The campaign.")),
        (
            "brute_force.alarm",
            "Somebody guesses codes",
            one("brute_force.alarm"),
            open("The campaign, the epoch, and how many wrong tags there were."),
        ),
        (
            "audit.seal",
            "The day's seal over all audit chains",
            one("audit.seal"),
            open("The seal: keep it, as an anchor outside."),
        ),
    ] {
        let message = json!({
            "type": "object",
            "properties": {
                "type": { "type": "string", "enum": types },
                "timestamp": { "type": "string", "format": "date-time" },
                "data": data,
            },
            "required": ["type", "timestamp", "data"],
        });
        all.insert(name.to_owned(), hook(name, summary, message, json!({ "2XX": { "description": "It arrived." } })));
    }
    let order = json!({
        "type": "object",
        "properties": {
            "type": { "const": "reward.fulfil" },
            "timestamp": { "type": "string", "format": "date-time" },
            "data": {
                "type": "object",
                "properties": {
                    "id": { "type": "string", "description": "The reward's id: the same on every try, so give it once." },
                    "reward_id": { "type": "string" },
                    "type": { "type": "string" },
                    "value": { "type": "object" },
                    "quantity": { "type": "integer" },
                    "member_id": { "type": "string" },
                    "redemption_id": { "type": "string" },
                    "attempt": { "type": "integer" },
                },
                "required": ["id", "reward_id", "type", "value", "quantity", "member_id", "attempt"],
            },
        },
        "required": ["type", "timestamp", "data"],
    });
    let answers = json!({
        "200": { "description": "What became of it.", "content": { "application/json": { "schema": report } } },
        "202": { "description": "Later, by POST /v1/fulfilments/{id}." },
        "default": { "description": "It is tried again." },
    });
    all.insert("reward.fulfil".to_owned(), hook("reward.fulfil", "Apply a reward", order, answers));
    all
}

fn hook(name: &str, summary: &str, message: Value, responses: Value) -> Value {
    let header = |name: &str| json!({ "name": name, "in": "header", "required": true, "schema": { "type": "string" } });
    json!({ "post": {
        "operationId": format!("told:{name}"),
        "tags": ["Webhooks"],
        "summary": summary,
        "description": SIGNED,
        "security": [{ "signature": [] }],
        "parameters": [header("webhook-id"), header("webhook-timestamp"), header("webhook-signature")],
        "requestBody": { "required": true, "content": { "application/json": { "schema": message } } },
        "responses": responses,
    } })
}
