//! API keys as administrators see them.

use super::body::InvalidRequest;
use super::definition::check_name;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// What an API key can be limited to. A service's token is not limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Scope {
    /// Redeem and preview for members.
    Redeem,
    /// Hold, commit and release for orders.
    Orders,
    /// Give rewards, and claim, activate and decline them for members.
    Rewards,
    /// Adjust balances.
    Adjust,
    /// Mint batches of codes.
    Mint,
    /// Read whatever a service may read.
    Read,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Redeem, Self::Orders, Self::Rewards, Self::Adjust, Self::Mint, Self::Read];

    /// As written in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redeem => "redeem",
            Self::Orders => "orders",
            Self::Rewards => "rewards",
            Self::Adjust => "adjust",
            Self::Mint => "mint",
            Self::Read => "read",
        }
    }
}

/// Body of `POST /v1/api-keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NewApiKey {
    /// What it is for, shown to people.
    pub name: String,
    /// What it may do: at least one.
    pub scopes: Vec<Scope>,
    /// When it ends; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
}

impl NewApiKey {
    /// Checks it.
    ///
    /// # Errors
    /// Every field that is out of range.
    pub fn check(&self, now: Instant) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        check_name(&mut errors, &self.name);
        if self.scopes.is_empty() {
            errors.add("scopes", "at least one");
        }
        for (index, scope) in self.scopes.iter().enumerate().take(Scope::ALL.len() + 1) {
            if self.scopes.iter().take(index).any(|earlier| earlier == scope) {
                errors.add(&format!("scopes[{index}]"), "given twice");
            }
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            errors.add("expires_at", "must be in the future");
        }
        errors.into_result()
    }
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ApiKeyResource {
    /// Opaque; `service:<key_id>` is who acts with it.
    pub key_id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The key itself: only in the answer that made it, and in no repetition of that answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it was made.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub created_at: Instant,
    /// By whom.
    pub by: String,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub expires_at: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    fn check(body: &str, expected: &[&str]) {
        let paths = match parse::<NewApiKey>(body.as_bytes()).and_then(|new| new.check(Instant(1_000_000_000_000))) {
            Ok(()) => vec![],
            Err(invalid) => invalid.0.into_iter().map(|complaint| complaint.path).collect(),
        };
        assert_eq!(paths, expected, "{body}");
    }

    #[test]
    fn new_keys() {
        check(r#"{"name":"Till","scopes":["redeem"]}"#, &[]);
        let all = r#"["redeem","orders","rewards","adjust","mint","read"]"#;
        check(&format!(r#"{{"name":"Shop","scopes":{all},"expires_at":"2030-01-01T00:00:00Z"}}"#), &[]);
        check("{}", &["name"]);
        check(r#"{"name":"Till"}"#, &["scopes"]);
        check(r#"{"name":" ","scopes":[]}"#, &["name", "scopes"]);
        check(r#"{"name":"Till","scopes":["all"]}"#, &["scopes[0]"]);
        check(r#"{"name":"Till","scopes":["read","Redeem"]}"#, &["scopes[1]"]);
        check(r#"{"name":"Till","scopes":"read"}"#, &["scopes"]);
        check(r#"{"name":"Till","scopes":["read","mint","read"]}"#, &["scopes[2]"]);
        check(r#"{"name":"Till","scopes":["read"],"expires_at":"2001-01-01T00:00:00Z"}"#, &["expires_at"]);
        check(r#"{"name":"Till","scopes":["read"],"expires_at":"tomorrow"}"#, &["expires_at"]);
        check(r#"{"name":"Till","scopes":["read"],"key":"cfk_x"}"#, &["key"]);
    }
}
