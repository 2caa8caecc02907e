//! Reading request bodies and queries: unknown fields refused, every complaint with its path.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// One complaint about a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PathReason {
    /// Where: `limits.total`, `header Idempotency-Key`, `query since`; `body` for the whole.
    pub path: String,
    /// What was expected.
    pub reason: String,
}

/// Everything that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct InvalidRequest(pub Vec<PathReason>);

impl InvalidRequest {
    /// A single complaint.
    #[must_use]
    pub fn one(path: &str, reason: impl Into<String>) -> Self {
        let mut all = Self::default();
        all.add(path, reason);
        all
    }

    /// Adds a complaint.
    pub fn add(&mut self, path: &str, reason: impl Into<String>) {
        self.0.push(PathReason { path: path.to_owned(), reason: reason.into() });
    }

    /// `Err` when there is a complaint.
    ///
    /// # Errors
    /// Itself.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// Parses a JSON body; an empty one is `{}`.
///
/// # Errors
/// What is wrong, with the path to it.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidRequest> {
    let body = if body.is_empty() { b"{}" } else { body };
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        InvalidRequest::one(if path == "." { "body" } else { &path }, reason(&error.into_inner()))
    })?;
    json.end().map_err(|error| InvalidRequest::one("body", reason(&error)))?;
    Ok(parsed)
}

/// serde_json's message without its line and column, which mean nothing to a caller of one line of JSON.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) if error.is_data() => message.to_owned(),
        _ => format!("not JSON: {text}"),
    }
}

/// Parses query parameters given as name and value; each may stand once.
///
/// # Errors
/// Unknown, repeated or ill-typed parameters, with `query NAME` as path.
pub fn parse_query<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, InvalidRequest> {
    let mut object = serde_json::Map::new();
    for (name, value) in pairs {
        if object.insert(name.clone(), serde_json::Value::String(value.clone())).is_some() {
            return Err(InvalidRequest::one(&format!("query {name}"), "given twice"));
        }
    }
    serde_path_to_error::deserialize(serde_json::Value::Object(object)).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { "query".to_owned() } else { format!("query {path}") };
        InvalidRequest::one(&path, error.into_inner().to_string())
    })
}
