//! The whole document.

use crate::call::{Api, problem_response};
use crate::{operations, refine, webhooks};
use counterfoil_core::limits::{KEY_CHARS_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use counterfoil_core::wire::PathReason;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

const DESCRIPTION: &str = "\
Counterfoil turns codes and points into rewards, exactly once.

**Shapes.** JSON in UTF-8, snake_case. Instants are RFC 3339 in UTC. Money is `amount_minor`, integer minor units, with a \
`currency` of ISO 4217. Integers stay within 2^53 − 1. Ids are opaque strings, except a campaign's number. What is not \
there is absent, never null; in a merge patch (RFC 7396) null removes. Unknown fields of a body are refused; an empty body \
is `{}`. Bodies have 64 KiB at most, uploads 16 MiB. New fields may be added to answers at any time.

**Problems** are RFC 9457 documents with a stable `code` and named extras. Besides those listed with each operation, any \
path may answer 404 `not_found` and 405 `http_method_not_allowed` (with `Allow`).

**Idempotency.** A POST that changes something takes an `Idempotency-Key`, made once for each intent and kept over retries. \
The same command under the same key is answered again with `Idempotent-Replayed: true`; another command under it is 422 \
`idempotency_key_reused`. Redemptions keep their key for ever, refusals 40 days, all else 30 days.

**Callers.** `Authorization: Bearer` with a JWT: `sub`, `merchant`, `exp`, `role` (`member` where absent, `staff`, `manager`, \
`admin`, `service`), optional `tier`, `persona`, `tags`, `via`; or with an API key, which is a `service` with scopes. `x-roles` \
of an operation are the roles that may call it, `x-scope` is what an API key needs. Another merchant's or member's id is a 404.

**Rate limits.** A 429 carries `Retry-After` and, where a limit is known, `RateLimit` and `RateLimit-Policy`.";

const TAGS: [(&str, &str); 14] = [
    ("Redeeming", "Codes and points into rewards."),
    ("Wallet", "What a member has, and what became of it."),
    ("Rewards", "Given things and their moves."),
    ("Checkout", "Discounts and credit kept for an order, until the shop says how it ended."),
    ("Live feed", "What happens to a member, as it happens."),
    ("Till", "Staff: finding members, offers, confirmations, reversals."),
    ("Members", "One member, as administrators see them."),
    ("Campaigns", "Rules, codes, recalls."),
    ("Reward definitions", "What can be given, and what points buy."),
    ("Pools", "Stocks of imported promo codes."),
    ("Recovery", "What operators do about redemptions that did not end well."),
    ("Webhooks", "Endpoints, deliveries, and a fulfiller's late answer."),
    ("Keys and access", "Key epochs, API keys, settings."),
    ("Audit and figures", "Who did what; whether everything adds up; how much there was of it."),
];

/// The document, complete.
pub(crate) fn document() -> Value {
    let mut api = Api::new();
    api.schemas.answer::<PathReason>();
    operations::all(&mut api);
    let hooks = webhooks::all(&mut api);
    let Api { mut schemas, problems, operations } = api;
    let any = json!({
        "type": "object",
        "description": "RFC 9457. Each code has a schema of its own with its named extras.",
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "instance": { "type": "string" },
            "code": { "type": "string", "enum": problems.codes().collect::<Vec<_>>() },
        },
        "required": ["type", "title", "status", "detail", "instance", "code"],
    });
    schemas.component("Problem", any);
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let (path, method) = (operation.path, operation.method.to_ascii_lowercase());
        let finished = operation.finish(&problems);
        if let Value::Object(methods) = paths.entry(path).or_insert_with(|| json!({})) {
            methods.insert(method, finished);
        }
    }
    let responses: Map<String, Value> = problems
        .codes()
        .filter_map(|code| Some((code.to_owned(), problem_response(problems.kind(code)?.status, &[code], &problems))))
        .collect();
    let tags: Vec<Value> = TAGS.iter().map(|(name, text)| json!({ "name": name, "description": text })).collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Counterfoil",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Codes and points into rewards, exactly once.",
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "servers": [{ "url": "/", "description": "Where this document comes from." }],
        "tags": tags,
        "paths": paths,
        "webhooks": hooks,
    });
    let mut components = json!({
        "securitySchemes": security_schemes(),
        "parameters": parameters(),
        "headers": headers(),
        "responses": responses,
    });
    let all = schemas.finish(&mut document, refine::refine);
    if let Value::Object(fields) = &mut components {
        fields.insert("schemas".to_owned(), Value::Object(all));
    }
    if let Value::Object(fields) = &mut document {
        fields.insert("components".to_owned(), components);
    }
    document
}

/// The merchant's own id of something.
pub(crate) fn named() -> Value {
    counterfoil_core::wire::schema::Text::json_schema(&mut schemars::SchemaGenerator::default()).to_value()
}

fn security_schemes() -> Value {
    json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "Signed by the merchant's own server (HS256 with a shared secret; RS256, ES256 or EdDSA with a JWKS).",
        },
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "cfk_…",
            "description": "A service key of POST /v1/api-keys; each operation names the scope that it needs.",
        },
        "metrics": { "type": "http", "scheme": "bearer", "description": "The deployment's own token for scrapers." },
        "signature": {
            "type": "apiKey",
            "in": "header",
            "name": "webhook-signature",
            "description": "Standard Webhooks: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, with the endpoint's secret.",
        },
    })
}

fn parameters() -> Value {
    let key = |required: bool, text: &str| {
        json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": required,
            "description": text,
            "schema": { "type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX, "pattern": "^[\\u0021-\\u007e]+$" },
        })
    };
    let query = |name: &str, text: &str, schema: Value| json!({ "name": name, "in": "query", "description": text, "schema": schema });
    let if_match = |required: bool| {
        json!({
            "name": "If-Match",
            "in": "header",
            "required": required,
            "description": "The ETag of the version that is changed.",
            "schema": { "type": "string", "pattern": "^\"[0-9]{1,9}\"$" },
            "example": "\"1\"",
        })
    };
    json!({
        "IdempotencyKeyRequired": key(true, "Made once for this intent and kept over retries."),
        "IdempotencyKey": key(false, "Made once for this intent and kept over retries; recommended."),
        "IfMatch": if_match(true),
        "IfMatchOptional": if_match(false),
        "Prefer": {
            "name": "Prefer",
            "in": "header",
            "description": "`respond-async` answers 202 before the decision; other preferences are ignored (RFC 7240).",
            "schema": { "type": "string" },
            "example": "respond-async",
        },
        "Challenge": {
            "name": "Counterfoil-Challenge",
            "in": "header",
            "description": "What the deployment's challenge gave the browser, where 403 `challenge_required` asked for one.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 2048, "pattern": "^[\\u0021-\\u007e]+$" },
        },
        "Cursor": query("cursor", "`next_cursor` of the page before.", json!({ "type": "string", "minLength": 1 })),
        "Limit": query(
            "limit",
            "Rows of a page.",
            json!({ "type": "integer", "minimum": 1, "maximum": PAGE_ROWS_MAX, "default": PAGE_ROWS_DEFAULT }),
        ),
        "MemberId": query(
            "member_id",
            "For `service` callers, who must say it: whose.",
            named(),
        ),
    })
}

fn headers() -> Value {
    let text = |description: &str, required: bool| json!({ "description": description, "required": required, "schema": { "type": "string" } });
    let number = |description: &str, required: bool| json!({ "description": description, "required": required, "schema": { "type": "integer", "minimum": 0 } });
    json!({
        "Location": text("Where it can be read.", true),
        "ETag": text("Its version, for `If-Match`.", true),
        "Idempotent-Replayed": {
            "description": "The answer repeats that of an earlier request under the same key.",
            "schema": { "type": "string", "enum": ["true"] },
        },
        "Preference-Applied": text("`respond-async` where it was asked for.", false),
        "Retry-After": number("Seconds until another try makes sense.", true),
        "RateLimit": text("What is left of the limit (IETF draft-ietf-httpapi-ratelimit-headers-10).", false),
        "RateLimit-Policy": text("The limit itself.", false),
        "WWW-Authenticate": text("What is asked for.", true),
        "Counterfoil-Batch": text("The batch's id.", true),
        "Counterfoil-Count": number("Codes in the batch.", true),
        "Counterfoil-Remaining": number("Places that the campaign has left.", true),
        "Counterfoil-Odds": text("Odds of one guess hitting an issued code, as a power of two.", true),
    })
}
