//! Recalls: codes that their issuer withdraws.

use super::body::InvalidRequest;
use super::reward::check_reason;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/campaigns/{campaign}/recalls`: exactly one of a range, a batch, and all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RecallBody {
    /// First place of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_seq: Option<u32>,
    /// First place after the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_seq: Option<u32>,
    /// A whole batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// Everything minted so far, and the aliases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Why.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Reason"))]
    pub reason: String,
}

/// What a recall names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled<'a> {
    /// Places `from` to `to`, the latter exclusive.
    Range {
        /// First place.
        from: u32,
        /// First place after it.
        to: u32,
    },
    /// A batch by its id.
    Batch(&'a str),
    /// Everything minted so far, and the aliases.
    All,
}

impl RecallBody {
    /// What is recalled.
    ///
    /// # Errors
    /// Every field that is out of range or does not fit the others.
    pub fn check(&self) -> Result<Recalled<'_>, InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if let Err(invalid) = check_reason(Some(&self.reason), true) {
            errors.0.extend(invalid.0);
        }
        let wanted = match (self.from_seq, self.to_seq, self.batch_id.as_deref(), self.all) {
            (Some(from), Some(to), None, None | Some(false)) if from < to => Some(Recalled::Range { from, to }),
            (Some(_), Some(_), None, None | Some(false)) => {
                errors.add("to_seq", "must be above from_seq");
                None
            }
            (Some(_), None, None, None | Some(false)) => {
                errors.add("to_seq", "is required with from_seq");
                None
            }
            (None, Some(_), None, None | Some(false)) => {
                errors.add("from_seq", "is required with to_seq");
                None
            }
            (None, None, Some(batch_id), None | Some(false)) => Some(Recalled::Batch(batch_id)),
            (None, None, None, Some(true)) => Some(Recalled::All),
            (_, _, _, _) => {
                errors.add("body", "exactly one of from_seq with to_seq, batch_id, and all: true");
                None
            }
        };
        match wanted {
            Some(wanted) if errors.0.is_empty() => Ok(wanted),
            Some(_) | None => Err(errors),
        }
    }
}

/// A recall as read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RecallResource {
    /// Opaque.
    pub recall_id: String,
    /// First place that is recalled.
    pub from_seq: u32,
    /// First place after it.
    pub to_seq: u32,
    /// The batch that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// Present and true where everything minted until then was recalled, and the aliases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Instant,
    /// Who.
    pub by: String,
    /// Whether every shard works by it.
    pub in_force: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    #[test]
    fn one_thing_is_recalled() {
        for (body, expected) in [
            (r#"{"from_seq":0,"to_seq":1,"reason":"r"}"#, "ok"),
            (r#"{"batch_id":"b","reason":"r"}"#, "ok"),
            (r#"{"all":true,"reason":"r"}"#, "ok"),
            (r#"{"batch_id":"b","all":false,"reason":"r"}"#, "ok"),
            (r#"{"from_seq":1,"to_seq":1,"reason":"r"}"#, "to_seq"),
            (r#"{"from_seq":1,"reason":"r"}"#, "to_seq"),
            (r#"{"to_seq":1,"reason":"r"}"#, "from_seq"),
            (r#"{"from_seq":0,"to_seq":4294967296,"reason":"r"}"#, "to_seq"),
            (r#"{"from_seq":-1,"to_seq":1,"reason":"r"}"#, "from_seq"),
            (r#"{"reason":"r"}"#, "body"),
            (r#"{"all":false,"reason":"r"}"#, "body"),
            (r#"{"all":true,"batch_id":"b","reason":"r"}"#, "body"),
            (r#"{"from_seq":0,"to_seq":1,"batch_id":"b","reason":"r"}"#, "body"),
            (r#"{"all":true}"#, "reason"),
            (r#"{"all":true,"reason":" "}"#, "reason"),
            (r#"{"all":true,"reason":"r","more":1}"#, "more"),
        ] {
            let checked = parse::<RecallBody>(body.as_bytes()).and_then(|body| body.check().map(|_| ()));
            let path = checked.map_or_else(|invalid| invalid.0[0].path.clone(), |()| "ok".to_owned());
            assert_eq!(path, expected, "{body}");
        }
    }
}
