//! The audit log: each object chains its own entries by hashes, Recorders seal all chains every minute, and an
//! export of both can be verified by anybody, offline ([`verify`]).
//!
//! An entry's hash is SHA-256 over its canonical form (RFC 8785), which names the hash before it. So whoever
//! changes, drops or inserts an entry has to change every later one of that object; and whoever does that has to
//! change every later seal, one of which was sent out each day.

mod canonical;
mod merkle;
pub mod verify;
#[cfg(test)]
mod verify_tests;

pub use canonical::canonical;
pub use merkle::{Tree, leaf};

use crate::hex;
use crate::limits::INTEGER_MAX;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// `prev` of the first entry of a chain, and of the first seal.
pub const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What deciding code says about a change; the object that commits it makes the [`Entry`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Who did it: `member:<pid>`, `admin:alice`, `service:shop`, `system`, `fulfiller:<endpoint_id>`.
    pub actor: String,
    /// What was done, such as `reward.granted`.
    pub action: String,
    /// To what: the id of a redemption, a reward, a definition …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Why, in the words of whoever did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Particulars. No personal data: entries are never erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl Draft {
    /// A change without particulars.
    #[must_use]
    pub fn new(actor: impl Into<String>, action: impl Into<String>) -> Self {
        Self { actor: actor.into(), action: action.into(), subject: None, reason: None, data: None }
    }

    /// Names what was changed.
    #[must_use]
    pub fn subject(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// Adds why, where somebody said why.
    #[must_use]
    pub fn reason(self, reason: Option<impl Into<String>>) -> Self {
        Self { reason: reason.map(Into::into), ..self }
    }

    /// Adds particulars.
    #[must_use]
    pub fn data(self, data: Value) -> Self {
        Self { data: Some(data), ..self }
    }
}

/// One link of an object's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields, rename = "AuditEntry"))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "AuditEntry"))]
pub struct Entry {
    /// Whose chain: `member/<pid>`, `campaign/<number>`, `pool/<pool_id>`, `merchant`.
    pub object: String,
    /// Place in it, from 1.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub n: u64,
    /// When it was committed; never earlier than the entry before.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub at: Instant,
    /// Who did it.
    pub actor: String,
    /// What was done, such as `reward.granted`.
    pub action: String,
    /// To what: the id of a redemption, a reward, a definition …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Why, in the words of whoever did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Particulars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "unknown"))]
    pub data: Option<Value>,
    /// Hash of the entry before; zeros for the first.
    pub prev: String,
}

impl Entry {
    /// The entry that comes after the one with the hash `prev`. Numbers that are not exact everywhere (fractions,
    /// and integers beyond 2⁵³ − 1) are kept as text.
    #[must_use]
    pub fn chain(prev: &str, object: &str, n: u64, at: Instant, draft: &Draft) -> Self {
        let Draft { actor, action, subject, reason, data } = draft.clone();
        let data = data.map(exact);
        Self { object: object.to_owned(), n, at, actor, action, subject, reason, data, prev: prev.to_owned() }
    }

    /// What is hashed: RFC 8785.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("object", self.object.as_str().into());
        put("n", self.n.into());
        put("at", self.at.to_string().into());
        put("actor", self.actor.as_str().into());
        put("action", self.action.as_str().into());
        put("prev", self.prev.as_str().into());
        for (name, text) in [("subject", &self.subject), ("reason", &self.reason)] {
            if let Some(text) = text {
                put(name, text.as_str().into());
            }
        }
        if let Some(data) = &self.data {
            put("data", data.clone());
        }
        canonical(&Value::Object(fields))
    }

    /// SHA-256 of the canonical form, as lower-case hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        hash_of(&self.canonical())
    }
}

/// Numbers as every reader of JSON keeps them.
fn exact(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let magnitude = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
            if magnitude.is_some_and(|magnitude| magnitude <= INTEGER_MAX) {
                Value::Number(number)
            } else {
                Value::String(number.to_string())
            }
        }
        Value::Array(items) => items.into_iter().map(exact).collect(),
        Value::Object(mut fields) => {
            fields.values_mut().for_each(|value| *value = exact(value.take()));
            Value::Object(fields)
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

/// What a Recorder says about everything it has recorded so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "AuditSeal"))]
pub struct Seal {
    /// `<merchant>/<YYYY-MM>/<k>`.
    pub recorder: String,
    /// Place in this Recorder's chain of seals, from 1.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub n: u64,
    /// When it was made.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub at: Instant,
    /// Entries recorded before it.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub entries: u64,
    /// Merkle tree hash (RFC 6962) over the head of every chain, sorted by object: see [`leaf`].
    pub root: String,
    /// Hash of the seal before; zeros for the first.
    pub prev: String,
}

impl Seal {
    /// What is hashed: RFC 8785.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical(&serde_json::json!({
            "recorder": self.recorder,
            "n": self.n,
            "at": self.at.to_string(),
            "entries": self.entries,
            "root": self.root,
            "prev": self.prev,
        }))
    }

    /// SHA-256 of the canonical form, as lower-case hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        hash_of(&self.canonical())
    }
}

/// First line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Whose export it is.
    pub recorder: String,
    /// When it was made.
    pub at: Instant,
    /// Entry lines that follow.
    pub entries: u64,
    /// Seal lines that follow.
    pub seals: u64,
}

impl Header {
    /// The line, without its line end.
    #[must_use]
    pub fn line(&self) -> String {
        let canonical = canonical(&serde_json::json!({
            "recorder": self.recorder,
            "at": self.at.to_string(),
            "entries": self.entries,
            "seals": self.seals,
        }));
        export_line("export", &canonical, &hash_of(&canonical))
    }
}

/// A line of an export, without its line end: `{"kind":…, the canonical form's fields, "hash":…}`.
#[must_use]
pub fn export_line(kind: &str, canonical: &str, hash: &str) -> String {
    let fields = canonical.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    format!("{{\"kind\":\"{kind}\",{fields},\"hash\":\"{hash}\"}}")
}

/// SHA-256 of a text, as lower-case hexadecimal.
#[must_use]
pub fn hash_of(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at() -> Instant {
        Instant::parse("2026-11-22T01:02:03.004Z").unwrap()
    }

    #[test]
    fn an_entry_is_hashed_over_its_canonical_form() {
        let draft = Draft::new("admin:alice", "campaign.changed")
            .subject("7")
            .reason(Some("spelling"))
            .data(json!({ "z": 1, "a": "é" }));
        let entry = Entry::chain(NOTHING_BEFORE, "campaign/7", 1, at(), &draft);
        let canonical = format!(
            "{{\"action\":\"campaign.changed\",\"actor\":\"admin:alice\",\"at\":\"2026-11-22T01:02:03.004Z\",\
             \"data\":{{\"a\":\"é\",\"z\":1}},\"n\":1,\"object\":\"campaign/7\",\"prev\":\"{NOTHING_BEFORE}\",\
             \"reason\":\"spelling\",\"subject\":\"7\"}}"
        );
        assert_eq!(entry.canonical(), canonical);
        assert_eq!(entry.hash(), hash_of(&canonical));
        // What is stored and sent reads back as the same entry, whatever the order of its fields.
        let sent: Entry = serde_json::from_str(&serde_json::to_string(&entry).unwrap()).unwrap();
        assert_eq!(sent, entry);
        assert_eq!(serde_json::from_str::<Entry>(&canonical).unwrap().canonical(), canonical);
        let bare = Entry::chain(&entry.hash(), "campaign/7", 2, at(), &Draft::new("system", "campaign.ended"));
        assert!(!bare.canonical().contains("null"));
        assert_eq!(bare.prev, entry.hash());
    }

    #[test]
    fn numbers_that_are_not_exact_everywhere_become_text() {
        for (given, kept) in [
            (json!({ "a": 1.5, "b": [9_007_199_254_740_992_u64] }), json!({ "a": "1.5", "b": ["9007199254740992"] })),
            (json!([-9_007_199_254_740_991_i64, true, null]), json!([-9_007_199_254_740_991_i64, true, null])),
        ] {
            let draft = Draft::new("system", "member.changed").data(given);
            assert_eq!(Entry::chain(NOTHING_BEFORE, "merchant", 1, at(), &draft).data, Some(kept));
        }
    }

    #[test]
    fn an_export_begins_with_what_follows() {
        let line = Header { recorder: "acme/2026-11/0".to_owned(), at: at(), entries: 2, seals: 1 }.line();
        let read: Value = serde_json::from_str(&line).unwrap();
        assert!(line.starts_with("{\"kind\":\"export\",\"at\":"), "{line}");
        assert_eq!(
            (&read["entries"], &read["seals"], &read["recorder"]),
            (&json!(2), &json!(1), &json!("acme/2026-11/0"))
        );
    }
}
