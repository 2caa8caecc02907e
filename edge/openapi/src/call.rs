//! One operation, put together call by call.

use crate::problems::Catalogue;
use crate::schemas::Schemas;
use counterfoil_core::access::{self, Access};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const PROBLEM: &str = "application/problem+json";

/// An operation of the document.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    fields: Map<String, Value>,
    parameters: Vec<Value>,
    responses: BTreeMap<String, Value>,
    problems: Vec<&'static str>,
}

/// The document in the making.
pub(crate) struct Api {
    pub(crate) schemas: Schemas,
    pub(crate) problems: Catalogue,
    pub(crate) operations: Vec<Operation>,
}

/// Whether an `Idempotency-Key` is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Required,
    Optional,
}

/// The operation that was begun last.
pub(crate) struct Call<'a> {
    schemas: &'a mut Schemas,
    operation: &'a mut Operation,
}

impl Api {
    pub(crate) fn new() -> Self {
        let mut schemas = Schemas::new();
        let problems = Catalogue::new(&mut schemas);
        Self { schemas, problems, operations: vec![] }
    }

    /// Begins an operation. Its summary is a phrase; its name is what generated clients call it.
    pub(crate) fn call(
        &mut self,
        method: &'static str,
        path: &'static str,
        (tag, name): (&str, &str),
        summary: &str,
    ) -> Call<'_> {
        let mut fields = Map::new();
        fields.insert("operationId".to_owned(), json!(name));
        fields.insert("tags".to_owned(), json!([tag]));
        fields.insert("summary".to_owned(), json!(summary));
        let parameters = path_parameters(path);
        let mut problems = vec!["internal_error", "overloaded"];
        if !parameters.is_empty() {
            problems.push("not_found");
        }
        let access = access::operation(method, path).map_or(Access::Anyone, |operation| operation.access);
        let security = match access {
            Access::Anyone => json!([]),
            Access::Operator => json!([{ "metrics": [] }]),
            Access::Fulfiller => json!([{ "signature": [] }]),
            Access::Roles(_) => json!([{ "token": [] }]),
            Access::Scoped(..) => json!([{ "token": [] }, { "apiKey": [] }]),
        };
        fields.insert("security".to_owned(), security);
        if access != Access::Anyone {
            problems.push("invalid_token");
        }
        if !access.roles().is_empty() {
            problems.extend(["forbidden", "rate_limited"]);
            let roles: Vec<&str> = access.roles().iter().map(|role| role.name()).collect();
            fields.insert("x-roles".to_owned(), json!(roles));
        }
        if let Some(scope) = access.scope() {
            fields.insert("x-scope".to_owned(), json!(scope.name()));
        }
        self.operations.push(Operation { method, path, fields, parameters, responses: BTreeMap::new(), problems });
        let Self { schemas, operations, .. } = self;
        #[allow(clippy::expect_used, reason = "pushed in the line before the last")]
        let operation = operations.last_mut().expect("an operation");
        Call { schemas, operation }
    }
}

impl Operation {
    /// As the document has it.
    pub(crate) fn finish(self, problems: &Catalogue) -> Value {
        let Self { mut fields, parameters, mut responses, problems: codes, path, method } = self;
        let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for code in codes {
            let kind = problems.kind(code);
            assert!(kind.is_some(), "{method} {path}: there is no problem {code}");
            let Some(kind) = kind else { continue };
            let known = by_status.entry(kind.status).or_default();
            if !known.contains(&code) {
                known.push(code);
            }
        }
        for (status, mut codes) in by_status {
            codes.sort_unstable();
            assert!(!responses.contains_key(&status.to_string()), "{method} {path} answers {status} in two ways");
            let response = match codes.as_slice() {
                [only] => json!({ "$ref": format!("#/components/responses/{only}") }),
                several => problem_response(status, several, problems),
            };
            responses.insert(status.to_string(), response);
        }
        if !parameters.is_empty() {
            fields.insert("parameters".to_owned(), Value::Array(parameters));
        }
        fields.insert("responses".to_owned(), Value::Object(responses.into_iter().collect()));
        Value::Object(fields)
    }
}

pub(crate) fn problem_response(status: u16, codes: &[&str], problems: &Catalogue) -> Value {
    let kinds: Vec<_> = codes.iter().filter_map(|code| Some((*code, problems.kind(code)?))).collect();
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let schema = match kinds.as_slice() {
        [(_, only)] => reference(&only.name),
        several => json!({ "oneOf": several.iter().map(|(_, kind)| reference(&kind.name)).collect::<Vec<_>>() }),
    };
    let lines: Vec<String> = kinds.iter().map(|(code, kind)| format!("- `{code}`: {}", kind.title)).collect();
    let mut response = json!({ "description": lines.join("\n"), "content": { PROBLEM: { "schema": schema } } });
    let headers: &[&str] = match status {
        401 => &["WWW-Authenticate"],
        429 => &["Retry-After", "RateLimit", "RateLimit-Policy"],
        503 => &["Retry-After"],
        _ => &[],
    };
    if let (false, Value::Object(fields)) = (headers.is_empty(), &mut response) {
        fields.insert("headers".to_owned(), headers_of(headers));
    }
    response
}

fn headers_of(names: &[&str]) -> Value {
    let headers: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })))
        .collect();
    Value::Object(headers)
}

impl Call<'_> {
    /// More than the summary says.
    pub(crate) fn about(self, text: &str) -> Self {
        self.operation.fields.insert("description".to_owned(), json!(text));
        self
    }

    /// Takes an `Idempotency-Key`.
    pub(crate) fn key(self, key: Key) -> Self {
        let name = match key {
            Key::Required => "IdempotencyKeyRequired",
            Key::Optional => "IdempotencyKey",
        };
        self.operation.parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
        if key == Key::Required {
            self.operation.problems.push("idempotency_key_required");
        }
        self.problems(&["invalid_request", "idempotency_key_reused"])
    }

    /// A parameter of the components.
    pub(crate) fn takes(self, name: &str) -> Self {
        self.operation.parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
        self
    }

    /// The pages of a list.
    pub(crate) fn pages(self) -> Self {
        self.takes("Cursor").takes("Limit").problems(&["invalid_request"])
    }

    /// For `service` callers: whose.
    pub(crate) fn member_id(self) -> Self {
        self.takes("MemberId").problems(&["invalid_request"])
    }

    /// A parameter of the query.
    pub(crate) fn query(self, name: &str, description: &str, schema: Value) -> Self {
        self.operation
            .parameters
            .push(json!({ "name": name, "in": "query", "description": description, "schema": schema }));
        self.problems(&["invalid_request"])
    }

    /// The same, which must be there.
    pub(crate) fn required_query(self, name: &str, description: &str, schema: Value) -> Self {
        let parameter =
            json!({ "name": name, "in": "query", "required": true, "description": description, "schema": schema });
        self.operation.parameters.push(parameter);
        self.problems(&["invalid_request"])
    }

    /// A header that must be there.
    pub(crate) fn header(self, name: &str, description: &str) -> Self {
        let schema = json!({ "type": "string" });
        let parameter =
            json!({ "name": name, "in": "header", "required": true, "description": description, "schema": schema });
        self.operation.parameters.push(parameter);
        self
    }

    /// A reference to what is answered.
    pub(crate) fn schema_of<T: JsonSchema>(&mut self) -> Value {
        self.schemas.answer::<T>()
    }

    /// `If-Match`, which a change asks for.
    pub(crate) fn if_match(self) -> Self {
        self.takes("IfMatch").problems(&["version_mismatch", "precondition_required"])
    }

    fn content(self, media_types: &[&str], schema: &Value, examples: &[(&str, Value)], required: bool) -> Self {
        let named: Map<String, Value> =
            examples.iter().map(|(name, value)| ((*name).to_owned(), json!({ "value": value }))).collect();
        let content = media_types.iter().map(|media_type| {
            let mut content = json!({ "schema": schema });
            if let (false, Value::Object(fields)) = (named.is_empty(), &mut content) {
                fields.insert("examples".to_owned(), Value::Object(named.clone()));
            }
            ((*media_type).to_owned(), content)
        });
        let body = json!({ "required": required, "content": Value::Object(content.collect()) });
        self.operation.fields.insert("requestBody".to_owned(), body);
        self.problems(&["invalid_request", "too_large", "unsupported_media_type"])
    }

    /// A JSON body, with examples by name.
    pub(crate) fn body<T: JsonSchema>(self, examples: &[(&str, Value)]) -> Self {
        let schema = self.schemas.request::<T>();
        self.content(&[JSON], &schema, examples, true)
    }

    /// A JSON body that may be left out: everything in it may.
    pub(crate) fn body_or_none<T: JsonSchema>(self, examples: &[(&str, Value)]) -> Self {
        let schema = self.schemas.request::<T>();
        self.content(&[JSON], &schema, examples, false)
    }

    /// A body that says nothing.
    pub(crate) fn empty_body(self) -> Self {
        let schema =
            json!({ "type": "object", "additionalProperties": false, "description": "Nothing; it may be left out." });
        self.content(&[JSON], &schema, &[], false)
    }

    /// A merge patch of `T`.
    pub(crate) fn patch<T: JsonSchema>(self, name: &str, examples: &[(&str, Value)]) -> Self {
        let schema = self.schemas.patch::<T>(name);
        self.content(&[MERGE_PATCH, JSON], &schema, examples, true)
    }

    /// A body that is no JSON.
    pub(crate) fn text_body(self, media_types: &[&str], example: &str) -> Self {
        // Whatever is written is text.
        let schema = json!({});
        self.content(media_types, &schema, &[("lines", json!(example))], true)
    }

    /// A success.
    pub(crate) fn answer<T: JsonSchema>(self, status: u16, description: &str, headers: &[&str]) -> Self {
        let schema = self.schemas.answer::<T>();
        self.answers(status, description, headers, &[(JSON, schema)])
    }

    /// A success in one of several shapes or kinds.
    pub(crate) fn answers(self, status: u16, description: &str, headers: &[&str], content: &[(&str, Value)]) -> Self {
        let mut response = json!({ "description": description });
        if let Value::Object(fields) = &mut response {
            if !content.is_empty() {
                let content =
                    content.iter().map(|(media_type, schema)| ((*media_type).to_owned(), json!({ "schema": schema })));
                fields.insert("content".to_owned(), Value::Object(content.collect()));
            }
            if !headers.is_empty() {
                fields.insert("headers".to_owned(), headers_of(headers));
            }
        }
        self.operation.responses.insert(status.to_string(), response);
        self
    }

    /// One of two shapes.
    pub(crate) fn either<A: JsonSchema, B: JsonSchema>(self, status: u16, description: &str) -> Self {
        let schema = json!({ "oneOf": [self.schemas.answer::<A>(), self.schemas.answer::<B>()] });
        self.answers(status, description, &[], &[(JSON, schema)])
    }

    /// One of two shapes, or what is both.
    pub(crate) fn any_of<A: JsonSchema, B: JsonSchema>(self, status: u16, description: &str) -> Self {
        let schema = json!({ "anyOf": [self.schemas.answer::<A>(), self.schemas.answer::<B>()] });
        self.answers(status, description, &[], &[(JSON, schema)])
    }

    /// Nothing is left of it.
    pub(crate) fn gone(self) -> Self {
        self.answers(204, "It is gone; also where it was before.", &[], &[])
    }

    /// What else may be answered, by code.
    pub(crate) fn problems(self, codes: &[&'static str]) -> Self {
        self.operation.problems.extend(codes);
        self
    }

    /// What links the answer to other operations.
    pub(crate) fn links(self, status: u16, links: Value) -> Self {
        if let Some(Value::Object(response)) = self.operation.responses.get_mut(&status.to_string()) {
            response.insert("links".to_owned(), links);
        }
        self
    }
}

/// The parameters of a path, by their names.
fn path_parameters(path: &str) -> Vec<Value> {
    let segments: Vec<&str> = path.split('/').collect();
    let named = segments.iter().enumerate().filter_map(|(index, segment)| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        let of = segments.get(index.checked_sub(1)?).copied().unwrap_or_default();
        let text = json!({ "type": "string", "minLength": 1, "maxLength": 500 });
        let (description, schema) = match (of, name) {
            (_, "campaign") => {
                ("The campaign's number.", json!({ "type": "integer", "minimum": 1, "maximum": u16::MAX }))
            }
            (_, "epoch") => (
                "The epoch's number.",
                json!({ "type": "integer", "minimum": 0, "maximum": counterfoil_core::keys::EPOCH_MAX }),
            ),
            (_, "code") => ("The code or alias as typed or scanned.", text),
            ("members", _) => ("The merchant's own id of the member.", text),
            ("orders", _) => ("The shop's id of the order.", crate::document::named()),
            ("redemptions", _) => ("The redemption's id.", text),
            ("rewards" | "fulfilments", _) => ("The reward's id.", text),
            ("quotes", _) => ("The offer's id.", text),
            ("holds", _) => ("The hold's id.", text),
            _ => ("Its id.", text),
        };
        Some(json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema }))
    });
    named.collect()
}
