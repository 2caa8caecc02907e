//! What a fulfiller's answer means.

use super::schedule::retry_after_s;
use crate::limits::{FULFILMENT_DATA_BYTES_MAX, INTEGER_MAX, NOTE_CHARS_MAX};
use crate::time::Instant;
use crate::wire::{FulfilmentReport, ReportedOutcome};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A fulfiller's own JSON, stored on the reward.
type Data = Map<String, Value>;

/// What one try came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Applied.
    Granted {
        /// The fulfiller's own answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Data>,
    },
    /// Not applied, by the fulfiller's own word.
    Failed {
        /// Why.
        error: String,
        /// The fulfiller's own answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Data>,
    },
    /// Accepted; a callback will say.
    Later,
    /// Try again.
    Retry {
        /// What went wrong, for operators and the member: nothing that the fulfiller wrote.
        error: String,
        /// Whether it may have been applied all the same.
        unknown: bool,
        /// Pause that the fulfiller asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u32>,
    },
    /// The endpoint is no more: nothing is sent there until a test succeeds.
    Gone,
}

impl From<FulfilmentReport> for Outcome {
    fn from(report: FulfilmentReport) -> Self {
        let FulfilmentReport { outcome, data, error } = report;
        match outcome {
            ReportedOutcome::Granted => Self::Granted { data },
            ReportedOutcome::Failed => {
                let error = error.map(|text| shorten(&text)).filter(|text| !text.is_empty());
                Self::Failed { error: error.unwrap_or_else(|| "the fulfiller reported a failure".to_owned()), data }
            }
        }
    }
}

/// What an HTTP answer means. `body` is absent where it could not be read to its end or was too long.
///
/// An outcome that can be read stands, even where the data beside it cannot be kept: an annotation is worth less
/// than knowing that a reward was applied. A 2xx without one says nothing, so the outcome is unknown, as it is
/// after a redirect or a server's error; other 4xx say that this try was not taken.
#[must_use]
pub fn classify(status: u16, retry_after: Option<&str>, body: Option<&str>, now: Instant) -> Outcome {
    let retry = |error: String, unknown: bool| Outcome::Retry {
        error,
        unknown,
        retry_after_s: retry_after.and_then(|field| retry_after_s(field, now)),
    };
    match status {
        202 => Outcome::Later,
        200..=299 => match body.and_then(read) {
            Some(report) => report.into(),
            None => retry(format!("HTTP {status} without a readable outcome"), true),
        },
        410 => Outcome::Gone,
        400..=499 => retry(format!("HTTP {status}"), false),
        0..=199 | 300..=u16::MAX => retry(format!("HTTP {status}"), true),
    }
}

/// Reads an answer: strictly where it decides, generously beside it.
fn read(body: &str) -> Option<FulfilmentReport> {
    let Ok(Value::Object(mut fields)) = crate::json::read(body) else { return None };
    let outcome = match fields.get("outcome")?.as_str()? {
        "granted" => ReportedOutcome::Granted,
        "failed" => ReportedOutcome::Failed,
        _ => return None,
    };
    let data = match fields.remove("data") {
        Some(Value::Object(data)) => Some(without_nulls(data)).filter(storable),
        Some(_) | None => None,
    };
    let error = fields.get("error").and_then(Value::as_str).map(str::to_owned);
    Some(FulfilmentReport { outcome, data, error })
}

/// The API knows no null: what is absent is left out.
fn without_nulls(mut data: Data) -> Data {
    data.retain(|_, value| !value.is_null());
    data.values_mut().for_each(|value| *value = tidy(value.take()));
    data
}

fn tidy(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(without_nulls(fields)),
        Value::Array(items) => Value::Array(items.into_iter().filter(|item| !item.is_null()).map(tidy).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Whether data fits the API's own bounds: its length, and integers that every client keeps exactly.
pub(crate) fn storable(data: &Data) -> bool {
    serde_json::to_vec(data).is_ok_and(|json| json.len() <= FULFILMENT_DATA_BYTES_MAX) && data.values().all(exact)
}

fn exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(integer), _, _) => integer <= INTEGER_MAX,
            (None, Some(integer), _) => integer.unsigned_abs() <= INTEGER_MAX,
            #[allow(clippy::cast_precision_loss, reason = "2⁵³ − 1 is exact in a double")]
            (None, None, Some(number)) => number.abs() <= INTEGER_MAX as f64,
            (None, None, None) => false,
        },
        Value::Object(fields) => fields.values().all(exact),
        Value::Array(items) => items.iter().all(exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// A text from outside, as one short line.
fn shorten(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(NOTE_CHARS_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Instant = Instant(1_700_000_000_000);

    fn check(status: u16, body: &str, expected: Outcome) {
        assert_eq!(classify(status, None, Some(body), NOW), expected, "{status} {body}");
    }

    fn data(value: Value) -> Option<Data> {
        value.as_object().cloned()
    }

    fn retry(error: &str, unknown: bool) -> Outcome {
        Outcome::Retry { error: error.to_owned(), unknown, retry_after_s: None }
    }

    #[test]
    fn outcomes_that_can_be_read() {
        check(200, r#"{"outcome":"granted"}"#, Outcome::Granted { data: None });
        check(
            201,
            r#"{"outcome":"granted","data":{"voucher":"X"}}"#,
            Outcome::Granted { data: data(json!({"voucher": "X"})) },
        );
        check(
            200,
            r#"{"outcome":"granted","data":{"a":null,"b":[1,null,{"c":null}]}}"#,
            Outcome::Granted { data: data(json!({"b": [1, {}]})) },
        );
        check(200, r#"{"outcome":"granted","other":1,"error":"none"}"#, Outcome::Granted { data: None });
        check(
            200,
            r#"{"outcome":"failed","error":" out\nof stock "}"#,
            Outcome::Failed { error: "out of stock".to_owned(), data: None },
        );
        let unsaid = "the fulfiller reported a failure".to_owned();
        check(
            200,
            r#"{"outcome":"failed","error":7,"data":{"n":1}}"#,
            Outcome::Failed { error: unsaid.clone(), data: data(json!({"n": 1})) },
        );
        check(200, r#"{"outcome":"failed","error":" "}"#, Outcome::Failed { error: unsaid, data: None });
        check(202, "", Outcome::Later);
        check(202, r#"{"outcome":"granted"}"#, Outcome::Later);
        let long = format!(r#"{{"outcome":"failed","error":"{}"}}"#, "é".repeat(900));
        check(200, &long, Outcome::Failed { error: "é".repeat(NOTE_CHARS_MAX), data: None });
    }

    #[test]
    fn data_that_cannot_be_kept_does_not_hide_the_outcome() {
        let large = format!(r#"{{"outcome":"granted","data":{{"x":"{}"}}}}"#, "x".repeat(FULFILMENT_DATA_BYTES_MAX));
        for body in [
            large.as_str(),
            r#"{"outcome":"granted","data":[1]}"#,
            r#"{"outcome":"granted","data":"text"}"#,
            r#"{"outcome":"granted","data":{"n":9007199254740992}}"#,
            r#"{"outcome":"granted","data":{"n":[{"m":-9007199254740992}]}}"#,
            r#"{"outcome":"granted","data":{"n":1e300}}"#,
        ] {
            check(200, body, Outcome::Granted { data: None });
        }
        let longest = format!(r#"{{"x":"{}"}}"#, "x".repeat(FULFILMENT_DATA_BYTES_MAX - 8));
        let kept = classify(200, None, Some(&format!(r#"{{"outcome":"granted","data":{longest}}}"#)), NOW);
        assert_eq!(kept, Outcome::Granted { data: serde_json::from_str(&longest).ok() });
    }

    #[test]
    fn answers_that_say_nothing_leave_the_outcome_unknown() {
        for body in
            ["", "ok", "[]", "null", "{}", r#"{"outcome":"done"}"#, r#"{"outcome":true}"#, r#"{"outcome":"granted""#]
        {
            check(200, body, retry("HTTP 200 without a readable outcome", true));
        }
        assert_eq!(classify(204, None, None, NOW), retry("HTTP 204 without a readable outcome", true));
        for status in [100, 301, 302, 304, 307, 308, 500, 502, 503, 504, 599, 0, 999] {
            check(status, r#"{"outcome":"granted"}"#, retry(&format!("HTTP {status}"), true));
        }
        for status in [400, 401, 403, 404, 408, 409, 411, 422, 429, 499] {
            check(status, r#"{"outcome":"granted"}"#, retry(&format!("HTTP {status}"), false));
        }
        check(410, "", Outcome::Gone);
    }

    #[test]
    fn retry_after_is_read_where_it_stands() {
        for (field, expected) in [("7", Some(7)), ("Tue, 14 Nov 2023 22:13:30 GMT", Some(10)), ("soon", None)] {
            let outcome = classify(429, Some(field), Some(""), NOW);
            assert_eq!(
                outcome,
                Outcome::Retry { error: "HTTP 429".to_owned(), unknown: false, retry_after_s: expected }
            );
        }
    }
}
