//! Rules between the fields of a shape, which no derive can say: what goes together, and what does not.

use crate::schemas::Way;
use serde_json::{Value, json};

/// Adds the rules of the shape `name`.
pub(crate) fn refine(way: Way, name: &str, schema: &mut Value) {
    let added = match way {
        Way::In => request(name),
        Way::Out => answer(name),
    };
    merge(schema, added);
}

fn request(name: &str) -> Value {
    match name {
        "RedeemBody" => json!({ "oneOf": [
            { "required": ["code"], "properties": { "reward_id": false, "quantity": false } },
            { "required": ["reward_id"], "properties": { "code": false, "currency": false, "order": false } },
        ] }),
        "ExplainBody" => json!({ "oneOf": [
            { "required": ["code"], "properties": { "reward_id": false, "quantity": false } },
            { "required": ["reward_id"], "properties": { "code": false, "currency": false, "method": false } },
        ] }),
        "HoldBody" => one_of(&["code", "credit_minor", "reward"]),
        "VerifyBody" => one_of(&["member_id", "campaign", "pool_id"]),
        "RecallBody" => json!({ "oneOf": [
            {
                "required": ["from_seq", "to_seq"],
                "properties": { "batch_id": false, "all": { "const": false } },
            },
            {
                "required": ["batch_id"],
                "properties": { "from_seq": false, "to_seq": false, "all": { "const": false } },
            },
            {
                "required": ["all"],
                "properties": { "from_seq": false, "to_seq": false, "batch_id": false, "all": { "const": true } },
            },
        ] }),
        "ReleaseBody" => json!({ "oneOf": [
            { "required": ["codes"], "properties": { "all": { "const": false } } },
            { "required": ["all"], "properties": { "codes": false, "all": { "const": true } } },
        ] }),
        "AdjustmentBody" => json!({ "oneOf": [
            {
                "required": ["amount"],
                "properties": {
                    "asset": { "enum": ["points", "xp", "tokens"] },
                    "amount": { "not": { "const": 0 } },
                    "amount_minor": false,
                    "currency": false,
                },
            },
            {
                "required": ["amount_minor", "currency"],
                "properties": { "asset": { "const": "credit" }, "amount_minor": { "not": { "const": 0 } }, "amount": false },
            },
        ] }),
        "Price" => at_least_one(&["tier", "persona", "tag"]),
        "WindowLimit" => at_least_one(&["per_member", "total"]),
        "NewCampaign" => json!({ "allOf": [not_both("starts_on", "starts_at"), not_both("ends_on", "ends_at")] }),
        "NewBatch" => not_both("expires_on", "expires_at"),
        "NewRewardDefinition" => reward_definition(),
        "NewEndpoint" => json!({ "required": ["events"] }),
        "FulfilmentReport" => json!({ "oneOf": [
            { "properties": { "outcome": { "const": "granted" }, "error": false } },
            { "properties": { "outcome": { "const": "failed" } } },
        ] }),
        _ => json!({}),
    }
}

fn answer(name: &str) -> Value {
    match name {
        "CampaignResource" => json!({ "required": ["campaign"] }),
        "FeedReset" => json!({ "properties": { "reset": { "const": true } } }),
        _ => json!({}),
    }
}

/// Exactly one of these fields.
fn one_of(names: &[&str]) -> Value {
    let options = names.iter().map(|name| {
        let others = names.iter().filter(|other| *other != name).map(|other| ((*other).to_owned(), json!(false)));
        json!({ "required": [name], "properties": Value::Object(others.collect()) })
    });
    json!({ "oneOf": options.collect::<Vec<_>>() })
}

fn at_least_one(names: &[&str]) -> Value {
    json!({ "anyOf": names.iter().map(|name| json!({ "required": [name] })).collect::<Vec<_>>() })
}

fn not_both(first: &str, second: &str) -> Value {
    json!({ "not": { "required": [first, second] } })
}

/// What each type of reward asks for.
fn reward_definition() -> Value {
    let fields = |required: &[&str]| json!({ "type": "object", "required": required });
    let value = |names: &[&str], of: Value| json!({ "properties": { "type": { "enum": names }, "value": of } });
    let forbidding = |mut option: Value, field: &str, schema: Value| {
        if let Some(properties) = option.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(field.to_owned(), schema);
        }
        option
    };
    let webhook = json!({ "type": "object", "required": ["endpoint_id"] });
    let wallet = json!({ "type": "object", "properties": { "kind": { "const": "wallet" } } });
    let reference = || json!({ "type": "object", "properties": { "reference": {} }, "maxProperties": 1, "propertyNames": { "const": "reference" } });
    let no_duration = |option: Value| forbidding(option, "duration_s", json!(false));
    let off = || json!({ "const": false });
    let mut options = vec![
        no_duration(value(&["credit"], fields(&["currency", "amount_minor"]))),
        no_duration(value(&["xp", "tokens", "points"], fields(&["amount"]))),
        value(&["feature"], fields(&["key"])),
        value(&["external"], reference()),
        forbidding(value(&["manual"], reference()), "automatic_activation", off()),
        forbidding(value(&["bonus"], reference()), "mechanic", webhook.clone()),
        forbidding(no_duration(value(&["mini_game"], reference())), "mechanic", webhook.clone()),
        value(&["token_booster", "level_booster"], fields(&["multiplier_permille"])),
        forbidding(value(&["mission_booster"], fields(&["multiplier_permille"])), "mechanic", webhook),
    ];
    for shape in [fields(&["percent"]), fields(&["currency", "amount_minor"])] {
        let discount = forbidding(no_duration(value(&["discount"], shape)), "automatic_activation", off());
        options.push(forbidding(discount, "mechanic", wallet.clone()));
    }
    for option in &mut options {
        let kind = option.pointer("/properties/type/enum/0").and_then(Value::as_str).unwrap_or_default();
        let required: &[&str] = match kind {
            "bonus" | "mini_game" => &["mechanic"],
            "mission_booster" => &["mechanic", "duration_s"],
            "token_booster" => &["duration_s"],
            _ => &[],
        };
        if !required.is_empty() {
            merge(option, json!({ "required": required }));
        }
    }
    json!({ "anyOf": options, "not": { "required": ["pool_id", "promo_code"] } })
}

/// Adds fields; lists grow, objects merge.
fn merge(target: &mut Value, added: Value) {
    match (target, added) {
        (Value::Object(target), Value::Object(added)) => {
            for (name, value) in added {
                match target.get_mut(&name) {
                    Some(known) => merge(known, value),
                    None => {
                        target.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(target), Value::Array(added)) => target.extend(added),
        (target, added) => *target = added,
    }
}
