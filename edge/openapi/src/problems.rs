//! Every problem by its code: out of the refusals and the protocol's errors themselves, so that none is missing.

use crate::schemas::{Schemas, normalise};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::wire::{InvalidRequest, Problem, ProtocolError};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One kind of problem.
pub(crate) struct Kind {
    pub(crate) status: u16,
    pub(crate) title: String,
    /// The component's name.
    pub(crate) name: String,
}

/// One problem of a kind, the schemas of its named extras, and which of them are always there.
type Example = (Problem, Map<String, Value>, Vec<String>);

/// All kinds by code, with their components made.
pub(crate) struct Catalogue(BTreeMap<String, Kind>);

impl Catalogue {
    pub(crate) fn new(schemas: &mut Schemas) -> Self {
        let mut kinds: BTreeMap<String, Example> = BTreeMap::new();
        let mut titles: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut add = |problem: Problem, extras: Map<String, Value>, required: Vec<String>| {
            let code = problem.extras.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
            let known = titles.entry(code.clone()).or_default();
            if !known.contains(&problem.title) {
                known.push(problem.title.clone());
            }
            match kinds.get_mut(&code) {
                None => {
                    kinds.insert(code, (problem, extras, required));
                }
                // A refusal and an error of the same name: what only one of them says is not always there.
                Some((_, known, always)) => {
                    always.retain(|name| required.contains(name));
                    known.extend(extras);
                }
            }
        };
        for (problem, extras, required) in refusals(schemas) {
            add(problem, extras, required);
        }
        for error in errors() {
            let (extras, required) = extras_of(&error);
            add(Problem::of_error(&error, ""), extras, required);
        }
        let made = kinds.into_iter().map(|(code, (problem, extras, required))| {
            let name = format!("{}Problem", camel(&code));
            let titles = titles.get(&code).cloned().unwrap_or_default();
            schemas.component(&name, component(&code, (&problem, &titles), extras, &required));
            (code, Kind { status: problem.status, title: problem.title, name })
        });
        Self(made.collect())
    }

    pub(crate) fn kind(&self, code: &str) -> Option<&Kind> {
        self.0.get(code)
    }

    pub(crate) fn codes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn component(
    code: &str,
    (problem, titles): (&Problem, &[String]),
    extras: Map<String, Value>,
    required: &[String],
) -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let mut properties = extras;
    for (name, schema) in [
        ("type", json!({ "const": problem.kind })),
        ("title", json!({ "type": "string", "enum": titles })),
        ("status", json!({ "const": problem.status })),
        ("detail", text("About this very case.")),
        ("instance", text("The route that answered, without its parameters.")),
        ("code", json!({ "const": code })),
    ] {
        properties.insert(name.to_owned(), schema);
    }
    let mut always: Vec<&str> = vec!["type", "title", "status", "detail", "instance", "code"];
    always.extend(required.iter().map(String::as_str));
    json!({ "type": "object", "title": problem.title, "properties": properties, "required": always })
}

/// The refusals, each with an example made out of its own schema.
fn refusals(schemas: &mut Schemas) -> Vec<Example> {
    let mut schema = schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Refusal>()
        .to_value();
    normalise(&mut schema);
    let _ = schemas.answer::<Refusal>();
    let variants = schema.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    let of = |variant: Value| {
        let mut properties = variant.get("properties")?.as_object()?.clone();
        let required: Vec<String> =
            variant.get("required")?.as_array()?.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
        let example: Map<String, Value> =
            required.iter().filter_map(|name| Some((name.clone(), example_of(properties.get(name)?)))).collect();
        let refusal: Refusal = serde_json::from_value(Value::Object(example)).ok()?;
        properties.remove("code");
        let required = required.into_iter().filter(|name| name != "code").collect();
        Some((Problem::of_refusal(&refusal, ""), properties, required))
    };
    let found: Vec<_> = variants.into_iter().filter_map(of).collect();
    assert!(!found.is_empty(), "the refusals are a tagged union");
    found
}

/// The least that fits a schema.
fn example_of(schema: &Value) -> Value {
    if let Some(value) = schema.get("const").or_else(|| schema.pointer("/examples/0")) {
        return value.clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some(_) | None => json!("x"),
    }
}

/// Every error of the protocol.
fn errors() -> Vec<ProtocolError> {
    vec![
        ProtocolError::InvalidRequest(InvalidRequest::default()),
        ProtocolError::IdempotencyKeyRequired,
        ProtocolError::InvalidToken,
        ProtocolError::Forbidden,
        ProtocolError::NotFound,
        ProtocolError::HttpMethodNotAllowed,
        ProtocolError::AlreadyExists { what: "It".to_owned() },
        ProtocolError::IllegalMove { state: String::new(), legal_moves: vec![], unknown_outcome: false },
        ProtocolError::ValueSpent { short_by: 1 },
        ProtocolError::PhoneInUse,
        ProtocolError::MemberNotFound,
        ProtocolError::AlreadyReversed,
        ProtocolError::ReversalWindowOver,
        ProtocolError::VersionMismatch,
        ProtocolError::TooLarge,
        ProtocolError::UnsupportedMediaType,
        ProtocolError::IdempotencyKeyReused,
        ProtocolError::PreconditionRequired,
        ProtocolError::InternalError { id: String::new() },
        ProtocolError::RateLimited,
        ProtocolError::Overloaded,
    ]
}

/// The named extras of an error, and those that are always there. No arm for the rest: a new error must be listed.
fn extras_of(error: &ProtocolError) -> (Map<String, Value>, Vec<String>) {
    let (extras, required) = match error {
        ProtocolError::InvalidRequest(_) => (
            json!({ "errors": {
                "type": "array",
                "description": "Each part that is wrong.",
                "items": { "$ref": "#/components/schemas/PathReason" },
            } }),
            vec!["errors"],
        ),
        ProtocolError::IllegalMove { .. } => (
            json!({
                "state": { "type": "string", "description": "Where it stands." },
                "legal_moves": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "What would be allowed to this caller.",
                },
                "unknown_outcome": {
                    "const": true,
                    "description": "It would be allowed with `unknown_outcome: true`.",
                },
            }),
            vec!["state", "legal_moves"],
        ),
        ProtocolError::ValueSpent { .. } => {
            (json!({ "short_by": { "type": "integer", "description": "How much is missing." } }), vec!["short_by"])
        }
        ProtocolError::InternalError { .. } => {
            (json!({ "id": { "type": "string", "description": "What the log knows it by." } }), vec!["id"])
        }
        ProtocolError::AlreadyExists { .. }
        | ProtocolError::IdempotencyKeyRequired
        | ProtocolError::InvalidToken
        | ProtocolError::Forbidden
        | ProtocolError::NotFound
        | ProtocolError::HttpMethodNotAllowed
        | ProtocolError::PhoneInUse
        | ProtocolError::MemberNotFound
        | ProtocolError::AlreadyReversed
        | ProtocolError::ReversalWindowOver
        | ProtocolError::VersionMismatch
        | ProtocolError::TooLarge
        | ProtocolError::UnsupportedMediaType
        | ProtocolError::IdempotencyKeyReused
        | ProtocolError::PreconditionRequired
        | ProtocolError::RateLimited
        | ProtocolError::Overloaded => (json!({}), vec![]),
    };
    let extras = extras.as_object().cloned().unwrap_or_default();
    (extras, required.into_iter().map(str::to_owned).collect())
}

fn camel(code: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    code.split('_').map(word).collect()
}
