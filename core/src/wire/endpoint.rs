//! Webhook endpoints, their deliveries, and what a fulfiller reports.

use super::body::InvalidRequest;
use super::redemption::RedemptionStatus;
use super::reward::RewardState;
use crate::limits::{FULFILMENT_DATA_BYTES_MAX, LIST_ENTRIES_MAX, NOTE_CHARS_MAX};
use crate::time::Instant;
use crate::webhook::outcome::storable;
use crate::webhook::target;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Events that are neither a redemption's nor a reward's present state.
const OTHER_EVENTS: [&str; 6] =
    ["reward.expiring", "pool.low", "campaign.ending", "campaign.ended", "brute_force.alarm", "audit.seal"];

/// Body of `POST /v1/webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NewEndpoint {
    /// Where to: https, a public host.
    pub url: String,
    /// Types of events (`redemption.granted`), groups of them (`reward.*`) or `*`; an empty list for an endpoint that
    /// only fulfils rewards. Required: what is left out by mistake would never be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(length(max = crate::limits::LIST_ENTRIES_MAX), extend("uniqueItems" = true)))]
    pub events: Option<Vec<String>>,
}

impl NewEndpoint {
    /// Checks it. `allow_private` lets http and private hosts pass, for local development.
    ///
    /// # Errors
    /// Every field that is out of range.
    pub fn validate(&self, allow_private: bool) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if let Err(error) = target::check(&self.url, allow_private) {
            errors.add("url", error.to_string());
        }
        let Some(events) = &self.events else {
            errors.add("events", "is required");
            return errors.into_result();
        };
        if events.len() > LIST_ENTRIES_MAX {
            errors.add("events", format!("at most {LIST_ENTRIES_MAX}"));
        }
        for (index, event) in events.iter().enumerate().take(LIST_ENTRIES_MAX) {
            if !known_pattern(event) {
                errors.add(
                    &format!("events[{index}]"),
                    "no such event; see the list of events, or use a group such as reward.*",
                );
            } else if events.iter().take(index).any(|earlier| earlier == event) {
                errors.add(&format!("events[{index}]"), "given twice");
            }
        }
        errors.into_result()
    }
}

fn known_pattern(pattern: &str) -> bool {
    if pattern == "*" || OTHER_EVENTS.contains(&pattern) {
        return true;
    }
    let Some((group, name)) = pattern.split_once('.') else { return false };
    let name_known = match group {
        "redemption" => RedemptionStatus::deserialize(IntoDeserializer::<ValueError>::into_deserializer(name)).is_ok(),
        "reward" => RewardState::deserialize(IntoDeserializer::<ValueError>::into_deserializer(name)).is_ok(),
        _ => false,
    };
    let group_known = matches!(group, "redemption" | "reward")
        || OTHER_EVENTS.iter().any(|event| event.split_once('.').is_some_and(|(known, _)| known == group));
    name_known || (name == "*" && group_known)
}

/// Whether an endpoint with these types and groups is told of an event.
#[must_use]
pub fn wants_event(events: &[String], kind: &str) -> bool {
    events.iter().any(|pattern| {
        pattern == "*"
            || pattern == kind
            || pattern.strip_suffix('*').is_some_and(|group| group.ends_with('.') && kind.starts_with(group))
    })
}

/// A webhook endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct EndpointResource {
    /// Opaque.
    pub endpoint_id: String,
    /// Where to.
    pub url: String,
    /// What it is told of.
    pub events: Vec<String>,
    /// Nothing is sent until a test succeeds: it answered 410.
    pub disabled: bool,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub disabled_at: Option<Instant>,
    /// When it was made.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub created_at: Instant,
    /// Its newest secret: only in the answers that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How many secrets sign at present: 1, and more for a day after each rotation.
    pub secrets: u32,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum DeliveryState {
    /// The last try failed; there will be another.
    Waiting,
    /// The last try failed and was the last.
    Failed,
    /// It arrived.
    Delivered,
}

/// What is known of a delivery. An endpoint that is told very much lists all that failed and some of what succeeded
/// at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "WebhookDelivery", optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "WebhookDelivery"))]
pub struct DeliveryResource {
    /// The message's `webhook-id`.
    pub delivery_id: String,
    /// `reward.fulfil`, `redemption.granted` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Tries so far.
    pub attempts: u32,
    /// The next one, where it has a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub next_attempt_at: Option<Instant>,
    /// What went wrong at the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The last try.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub updated_at: Instant,
}

/// Answer of `POST /v1/webhooks/{id}/test`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TestResult {
    /// Whether it answered with a 2xx.
    pub delivered: bool,
    /// Its status, where it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a fulfiller says became of a reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum ReportedOutcome {
    /// It was applied.
    Granted,
    /// It was not, and nothing of it was.
    Failed,
}

/// Body of a fulfiller's answer, and of `POST /v1/fulfilments/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FulfilmentReport {
    /// What became of it.
    pub outcome: ReportedOutcome,
    /// The fulfiller's own object, at most 4 KiB as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, unknown>"))]
    pub data: Option<Map<String, Value>>,
    /// Why it failed, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(length(max = crate::limits::NOTE_CHARS_MAX)))]
    pub error: Option<String>,
}

impl FulfilmentReport {
    /// Checks a callback's body.
    ///
    /// # Errors
    /// Every field that is out of range.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if self.data.as_ref().is_some_and(|data| !storable(data)) {
            errors.add("data", format!("an object of at most {FULFILMENT_DATA_BYTES_MAX} bytes, integers below 2^53"));
        }
        if self.error.as_ref().is_some_and(|error| error.chars().count() > NOTE_CHARS_MAX) {
            errors.add("error", format!("at most {NOTE_CHARS_MAX} characters"));
        }
        if self.outcome == ReportedOutcome::Granted && self.error.is_some() {
            errors.add("error", "only with outcome failed");
        }
        errors.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    fn paths(checked: Result<(), InvalidRequest>) -> Vec<String> {
        checked.map_or_else(|invalid| invalid.0.into_iter().map(|error| error.path).collect(), |()| vec![])
    }

    fn check_endpoint(body: &str, allow_private: bool, expected: &[&str]) {
        let checked = parse::<NewEndpoint>(body.as_bytes()).and_then(|new| new.validate(allow_private));
        assert_eq!(paths(checked), expected, "{body}");
    }

    #[test]
    fn endpoints() {
        check_endpoint(r#"{"url":"https://a.example/","events":[]}"#, false, &[]);
        let all = r#"["*","redemption.*","redemption.granted","redemption.grant_failed","reward.*","reward.failed","audit.seal","pool.*","campaign.ended"]"#;
        check_endpoint(&format!(r#"{{"url":"https://a.example/","events":{all}}}"#), false, &[]);
        check_endpoint(r#"{"url":"http://127.0.0.1:1/","events":[]}"#, true, &[]);
        check_endpoint(r#"{"url":"http://127.0.0.1:1/","events":[]}"#, false, &["url"]);
        check_endpoint(r#"{"url":"https://127.0.0.1:1/","events":["nothing"]}"#, false, &["url", "events[0]"]);
        check_endpoint("", false, &["url"]);
        check_endpoint(r#"{"url":"https://a.example/"}"#, false, &["events"]);
        check_endpoint(r#"{"url":"http://a.example/"}"#, false, &["url", "events"]);
        check_endpoint(r#"{"url":"https://a.example/","events":null}"#, false, &["events"]);
        check_endpoint(r#"{"url":"https://a.example/","events":[],"secret":"x"}"#, false, &["secret"]);
        check_endpoint(r#"{"url":7,"events":[]}"#, false, &["url"]);
        check_endpoint(r#"{"url":"https://a.example/","events":[1]}"#, false, &["events[0]"]);
        let bad = r#"["reward.grantd","reward.","reward","*.granted","other.*","reward.*.x","Reward.*","audit.seal","audit.seal"]"#;
        let paths =
            ["events[0]", "events[1]", "events[2]", "events[3]", "events[4]", "events[5]", "events[6]", "events[8]"];
        check_endpoint(&format!(r#"{{"url":"https://a.example/","events":{bad}}}"#), false, &paths);
        let many = serde_json::to_string(&vec!["*"; LIST_ENTRIES_MAX + 1]).unwrap();
        let checked = parse::<NewEndpoint>(format!(r#"{{"url":"https://a.example/","events":{many}}}"#).as_bytes());
        assert!(checked.unwrap().validate(false).is_err());
    }

    #[test]
    fn events_by_type_group_and_all() {
        for (events, kind, expected) in [
            (vec![], "reward.granted", false),
            (vec!["*"], "reward.granted", true),
            (vec!["reward.*"], "reward.granted", true),
            (vec!["reward.granted"], "reward.granted", true),
            (vec!["reward.grant"], "reward.granted", false),
            (vec!["redemption.*", "audit.seal"], "reward.granted", false),
            (vec!["redemption.*", "audit.seal"], "audit.seal", true),
        ] {
            let events: Vec<String> = events.into_iter().map(str::to_owned).collect();
            assert_eq!(wants_event(&events, kind), expected, "{events:?} {kind}");
        }
    }

    #[test]
    fn reports() {
        let large = format!(r#"{{"outcome":"granted","data":{{"x":"{}"}}}}"#, "x".repeat(FULFILMENT_DATA_BYTES_MAX));
        let long = format!(r#"{{"outcome":"failed","error":"{}"}}"#, "x".repeat(NOTE_CHARS_MAX + 1));
        for (body, expected) in [
            (r#"{"outcome":"granted"}"#, vec![]),
            (r#"{"outcome":"failed","error":"x","data":{}}"#, vec![]),
            ("", vec!["outcome"]),
            ("[]", vec!["body"]),
            (r#"{"outcome":"done"}"#, vec!["outcome"]),
            (r#"{"outcome":"granted","extra":1}"#, vec!["extra"]),
            (r#"{"outcome":"granted","data":[]}"#, vec!["data"]),
            (r#"{"outcome":"granted","data":{"a":null}}"#, vec!["data.a"]),
            (r#"{"outcome":"granted","data":{"n":9007199254740992}}"#, vec!["data"]),
            (r#"{"outcome":"granted","error":"x"}"#, vec!["error"]),
            (&large, vec!["data"]),
            (&long, vec!["error"]),
        ] {
            let checked = parse::<FulfilmentReport>(body.as_bytes()).and_then(|report| report.validate());
            assert_eq!(paths(checked), expected, "{body}");
        }
    }
}
