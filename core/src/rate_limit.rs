//! What a 429 says of the limit that was reached: the fields `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-10), structured fields of RFC 9651, and `Retry-After`.

use serde::{Deserialize, Serialize};

/// Seconds of a day.
const DAY_S: u32 = 86_400;

/// Which limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Wrong codes of one account.
    Attempts,
    /// Unknown aliases of one account.
    AliasAttempts,
    /// Wrong codes from one address.
    Address,
    /// Accounts without an earlier grant, while a campaign's codes are being guessed.
    Breaker,
    /// Requests, by the platform's own counters.
    Flood,
}

impl Policy {
    const fn name(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::AliasAttempts => "alias-attempts",
            Self::Address => "address",
            Self::Breaker => "breaker",
            Self::Flood => "flood",
        }
    }
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Which.
    pub policy: Policy,
    /// How much it allows …
    pub quota: u32,
    /// … in so many seconds.
    pub window_s: u32,
}

impl RateLimit {
    /// Of what a day may have.
    #[must_use]
    pub const fn daily(policy: Policy, quota: u32) -> Self {
        Self { policy, quota, window_s: DAY_S }
    }

    /// `RateLimit-Policy`: a list of one string, with quota and window.
    #[must_use]
    pub fn policy_field(&self) -> String {
        format!("\"{}\";q={};w={}", self.policy.name(), self.quota, self.window_s)
    }

    /// `RateLimit`: nothing is left of it, until after so many seconds.
    #[must_use]
    pub fn field(&self, retry_after_s: u32) -> String {
        format!("\"{}\";r=0;t={retry_after_s}", self.policy.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of one item as RFC 9651 writes it: a string of visible ASCII without escapes, and parameters whose values are
    /// integers of at most 15 digits.
    fn parsed(field: &str) -> Option<(String, Vec<(String, u64)>)> {
        let (name, parameters) = field.strip_prefix('"')?.split_once('"')?;
        let legal = !name.is_empty() && name.bytes().all(|b| (0x20..=0x7e).contains(&b) && b != b'\\');
        let parameter = |text: &str| {
            let (key, value) = text.split_once('=')?;
            let digits = (1..=15).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
            let lower = key.starts_with(|c: char| c.is_ascii_lowercase() || c == '*');
            Some((key.to_owned(), value.parse().ok()?)).filter(|_| digits && lower)
        };
        let parameters = parameters.strip_prefix(';')?.split(';').map(parameter).collect::<Option<_>>()?;
        legal.then_some((name.to_owned(), parameters))
    }

    #[test]
    fn fields_are_structured() {
        for policy in [Policy::Attempts, Policy::AliasAttempts, Policy::Address, Policy::Breaker, Policy::Flood] {
            for quota in [0, 10, u32::MAX] {
                let limit = RateLimit::daily(policy, quota);
                let named = |parameters: [(&str, u32); 2]| {
                    let parameters = parameters.map(|(key, value)| (key.to_owned(), u64::from(value)));
                    Some((policy.name().to_owned(), parameters.to_vec()))
                };
                assert_eq!(parsed(&limit.policy_field()), named([("q", quota), ("w", 86_400)]));
                assert_eq!(parsed(&limit.field(quota)), named([("r", 0), ("t", quota)]));
            }
        }
        let limit = RateLimit { policy: Policy::Flood, quota: 600, window_s: 60 };
        assert_eq!(limit.policy_field(), "\"flood\";q=600;w=60");
        assert_eq!(limit.field(60), "\"flood\";r=0;t=60");
    }

    #[test]
    fn the_reader_refuses_what_is_no_such_field() {
        for bad in
            ["attempts;q=1", "\"\";q=1", "\"a\"", "\"a\";q", "\"a\";q=x", "\"a\";q=-1", "\"a\";Q=1", "\"a\"; q=1"]
        {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
