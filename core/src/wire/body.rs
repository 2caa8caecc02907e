//! Reading request bodies and queries: unknown fields refused, every complaint with its path.

use crate::json::{self, Node, parts};
use core::marker::PhantomData;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// One complaint about a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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

/// The text of a body; an empty one is `{}`.
fn text_of(body: &[u8]) -> Result<&str, InvalidRequest> {
    let body = if body.is_empty() { b"{}" } else { body };
    core::str::from_utf8(body).map_err(|_| InvalidRequest::one("body", "not JSON: not UTF-8"))
}

/// Parses a JSON body; an empty one is `{}`.
///
/// # Errors
/// What is wrong, with the path to it.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidRequest> {
    parse_nullable(body, None)
}

/// Parses a JSON body in which null in one field takes its value away.
///
/// # Errors
/// What is wrong, with the path to it.
pub fn parse_nullable<T: DeserializeOwned>(body: &[u8], nullable: Option<&str>) -> Result<T, InvalidRequest> {
    let body = body_parts(body)?;
    let parsed = T::deserialize(&body).map_err(|error| complaint(&error))?;
    // Absent is absent: elsewhere null is for merge patches only.
    match body.null_path(nullable) {
        None => Ok(parsed),
        Some(path) => Err(InvalidRequest::one(&path, "null is not a value here; leave the field out")),
    }
}

/// `deserialize_with` for a field in which null takes the value away: `Some(None)`.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A body taken apart: an object. Apart from [`parse`], which is compiled for every kind of body.
fn body_parts(body: &[u8]) -> Result<Node<'_>, InvalidRequest> {
    let body = parts(text_of(body)?).map_err(|error| InvalidRequest::one("body", reason(&error)))?;
    if matches!(body, Node::Object(_)) { Ok(body) } else { Err(complaint(&body.mismatch(&"an object"))) }
}

/// A complaint about a body's fields, with its path.
fn complaint(error: &json::Error) -> InvalidRequest {
    let (path, reason) = (error.path(), reason(error.inner()));
    // A missing field is reported at its own path, not at that of the object around it.
    let missing = reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let path = match (path.as_str(), missing) {
        ("", None) => "body".to_owned(),
        (path, None) => path.to_owned(),
        ("", Some(field)) => field.to_owned(),
        (path, Some(field)) => format!("{path}.{field}"),
    };
    InvalidRequest::one(&path, if missing.is_some() { "is required".to_owned() } else { reason })
}

/// Parses a merge patch (RFC 7396): an object, in which null removes.
///
/// # Errors
/// What is wrong.
pub fn parse_patch(body: &[u8]) -> Result<serde_json::Value, InvalidRequest> {
    let patch: serde_json::Value =
        json::read(text_of(body)?).map_err(|error| InvalidRequest::one("body", reason(error.inner())))?;
    if patch.is_object() { Ok(patch) } else { Err(InvalidRequest::one("body", "an object (RFC 7396 merge patch)")) }
}

/// `deserialize_with` for an enum's field that must be written as an object: serde's derive would take an array too.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Fields<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
        type Value = T;

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Fields(PhantomData))
}

/// serde_json's message, but for what only somebody who knows the program understands.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("data did not match any variant of untagged enum") {
        return "has none of the shapes that are possible here".to_owned();
    }
    if error.is_data() { text } else { format!("not JSON: {text}") }
}

/// Applies a merge patch (RFC 7396): null removes, objects merge, the rest replaces.
pub fn merge_patch(target: &mut serde_json::Value, patch: &serde_json::Value) {
    let serde_json::Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = serde_json::Value::Object(serde_json::Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge_patch(target.entry(key.clone()).or_insert(serde_json::Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        name: Option<String>,
        list: Option<Vec<u8>>,
        #[serde(default)]
        inner: Option<Box<Shape>>,
        #[serde(default)]
        pair: Option<Pair>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Pair {
        left: u8,
    }

    fn path(body: &str) -> String {
        parse::<Shape>(body.as_bytes()).map_or_else(|invalid| invalid.0[0].path.clone(), |_| "ok".to_owned())
    }

    #[test]
    fn complaints_name_their_path() {
        for (body, expected) in [
            ("", "ok"),
            ("{}", "ok"),
            (r#"{"name":"null"}"#, "ok"),
            (r#"{"name":null}"#, "name"),
            (r#"{"inner":{"list":[1],"name":null}}"#, "inner.name"),
            (r#"{"inner":{"list":[1,300]}}"#, "inner.list[1]"),
            (r#"{"other":1}"#, "other"),
            (r#"{"pair":{}}"#, "pair.left"),
            ("\u{ff}", "body"),
            (r#"{"name":1}"#, "name"),
            (r#"{"name":"a","name":"b"}"#, "body"),
            (r#"["a",[1]]"#, "body"),
            (r#"{"inner":["a",[1],{}]}"#, "inner"),
            ("[]", "body"),
            ("null", "body"),
            ("{", "body"),
            ("{} {}", "body"),
            ("\u{1}", "body"),
        ] {
            assert_eq!(path(body), expected, "{body}");
        }
    }

    #[test]
    fn null_takes_one_field_away_and_no_other() {
        use crate::wire::ProfileBody;
        let read = |body: &str| {
            let body = parse_nullable::<ProfileBody>(body.as_bytes(), Some("phone"));
            body.map(|body| body.phone).map_err(|invalid| invalid.0[0].path.clone())
        };
        for (body, expected) in [
            (r"{}", Ok(None)),
            (r#"{"phone":null}"#, Ok(Some(None))),
            (r#"{"phone":"+1"}"#, Ok(Some(Some("+1".to_owned())))),
            (r#"{"phone":null,"name":null}"#, Err("name")),
            (r#"{"name":null,"phone":null}"#, Err("name")),
            (r#"{"tags":[null],"phone":null}"#, Err("tags[0]")),
            (r#"{"phone":[null]}"#, Err("phone")),
            (r#"{"phone":1}"#, Err("phone")),
            (r#"{"phone":null,"phone":null}"#, Err("body")),
        ] {
            assert_eq!(read(body), expected.map_err(str::to_owned), "{body}");
        }
        assert!(parse::<ProfileBody>(br#"{"phone":null}"#).is_err());
    }

    #[test]
    fn merge_patches_follow_the_rfc() {
        for (target, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let mut value: serde_json::Value = serde_json::from_str(target).unwrap();
            merge_patch(&mut value, &serde_json::from_str(patch).unwrap());
            assert_eq!(value, serde_json::from_str::<serde_json::Value>(expected).unwrap());
        }
    }

    #[test]
    fn patches_are_objects() {
        assert!(parse_patch(br#"{"a":null}"#).is_ok());
        for bad in ["[]", "1", "null", "{"] {
            assert!(parse_patch(bad.as_bytes()).is_err());
        }
    }
}
