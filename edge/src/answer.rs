//! Answers over HTTP: JSON, problem documents, headers.

use crate::platform::{Fault, random};
use counterfoil_core::hex;
use counterfoil_core::rate_limit::RateLimit;
use counterfoil_core::refusal::Refusal;
use counterfoil_core::wire::{InvalidRequest, Problem, ProtocolError};
use serde::Serialize;
use worker::{Headers, Response, ResponseBody};

/// Tells the Worker to hold an answer back to the common step of unrecognised codes; where it says [`COUNTED`], to count it
/// by address too. Never leaves the edge.
pub(crate) const HOLD_HEADER: &str = "counterfoil-internal-hold";
/// See [`HOLD_HEADER`].
pub(crate) const COUNTED: &str = "counted";

/// Tells the Worker what a request came to, for its log. Never leaves the edge.
pub(crate) const OUTCOME_HEADER: &str = "counterfoil-internal-outcome";

/// What an object's `fetch` returns: its answer, or a fault told and logged.
pub(crate) fn finish(answer: Result<Answer, Fault>, object: &str) -> worker::Result<Response> {
    let answer = answer.unwrap_or_else(|fault| Answer::fault(&fault, object));
    answer.into_response().map_err(worker::Error::from)
}

/// What an object's `alarm` returns. A failure is handed to the platform, which tries a few times; the due-table
/// has armed the next one by then, unless it was the table itself that failed.
pub(crate) fn finish_alarm(rung: Result<(), Fault>) -> worker::Result<Response> {
    match rung {
        Ok(()) => Response::empty(),
        Err(fault) => {
            fault.log("alarm_failed");
            Err(fault.into())
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    content_type: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// A JSON answer.
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Result<Self, Fault> {
        Ok(Self { status, content_type: "application/json", headers: vec![], body: serde_json::to_vec(body)? })
    }

    /// A JSON answer that is stored as text.
    pub(crate) fn json_text(status: u16, body: String) -> Self {
        Self { status, content_type: "application/json", headers: vec![], body: body.into_bytes() }
    }

    /// Plain text of some type.
    pub(crate) fn text(status: u16, content_type: &'static str, text: String) -> Self {
        Self { status, content_type, headers: vec![], body: text.into_bytes() }
    }

    /// What the log is told of it.
    pub(crate) fn outcome(&self) -> Option<&str> {
        self.headers.iter().find(|(name, _)| *name == OUTCOME_HEADER).map(|(_, value)| value.as_str())
    }

    /// Nothing to say.
    pub(crate) const fn empty(status: u16) -> Self {
        Self { status, content_type: "", headers: vec![], body: vec![] }
    }

    /// A refusal. `instance` is the route without its parameters.
    pub(crate) fn refusal(refusal: &Refusal, instance: &str) -> Result<Self, Fault> {
        let answer = Self::problem(&Problem::of_refusal(refusal, instance))?;
        if let Refusal::TooManyAttempts { retry_after_s } = refusal {
            return Ok(answer.header("Retry-After", retry_after_s.to_string()));
        }
        Ok(if *refusal == Refusal::CodeNotRecognised { answer.header(HOLD_HEADER, COUNTED) } else { answer })
    }

    /// Says which limit was reached, and when the next try is looked at.
    pub(crate) fn limited(self, limit: &RateLimit, retry_after_s: u32) -> Self {
        self.header("RateLimit-Policy", limit.policy_field()).header("RateLimit", limit.field(retry_after_s))
    }

    /// 429 `rate_limited`.
    pub(crate) fn rate_limited(limit: &RateLimit, retry_after_s: u32, instance: &str) -> Result<Self, Fault> {
        let answer = Self::error(&ProtocolError::RateLimited, instance)?;
        Ok(answer.header("Retry-After", retry_after_s.to_string()).limited(limit, retry_after_s))
    }

    /// An error of the protocol.
    pub(crate) fn error(error: &ProtocolError, instance: &str) -> Result<Self, Fault> {
        let answer = Self::problem(&Problem::of_error(error, instance))?;
        if *error == ProtocolError::InvalidToken {
            let challenge = "Bearer realm=\"counterfoil\", error=\"invalid_token\"";
            return Ok(answer.header("WWW-Authenticate", challenge));
        }
        Ok(if *error == ProtocolError::Overloaded { answer.header("Retry-After", "1") } else { answer })
    }

    /// 400 `invalid_request`.
    pub(crate) fn invalid(invalid: InvalidRequest, instance: &str) -> Result<Self, Fault> {
        Self::error(&ProtocolError::InvalidRequest(invalid), instance)
    }

    /// 503 where an object could not be reached, else 500 with an id that the log has too.
    pub(crate) fn fault(fault: &Fault, instance: &str) -> Self {
        if fault.passing {
            fault.log("overloaded");
            return Self::error(&ProtocolError::Overloaded, instance).unwrap_or_else(|_| Self::empty(503));
        }
        let id = hex::encode(&random::<8>());
        let line =
            serde_json::json!({ "event": "internal_error", "id": id, "route": instance, "error": fault.message });
        worker::console_error!("{line}");
        Self::error(&ProtocolError::InternalError { id }, instance).unwrap_or_else(|_| Self::empty(500))
    }

    fn problem(problem: &Problem) -> Result<Self, Fault> {
        let body = serde_json::to_vec(problem)?;
        let outcome = problem.extras.get("code").and_then(serde_json::Value::as_str).unwrap_or_default();
        let headers = vec![(OUTCOME_HEADER, outcome.to_owned())];
        Ok(Self { status: problem.status, content_type: "application/problem+json", headers, body })
    }

    /// Its HTTP status.
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    /// Whether it repeats an earlier answer.
    pub(crate) fn is_replayed(&self) -> bool {
        self.headers.iter().any(|(name, _)| *name == "Idempotent-Replayed")
    }

    /// The wrong code of somebody who was given something before: held back like all of them, and not counted by address, or
    /// one account could keep all others out.
    pub(crate) fn trusted(mut self) -> Self {
        for (_, value) in self.headers.iter_mut().filter(|(name, _)| *name == HOLD_HEADER) {
            "trusted".clone_into(value);
        }
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As the platform's response.
    pub(crate) fn into_response(self) -> Result<Response, Fault> {
        let headers = Headers::new();
        if !self.content_type.is_empty() {
            headers.set("Content-Type", self.content_type)?;
        }
        for (name, value) in &self.headers {
            headers.set(name, value)?;
        }
        let body = if self.body.is_empty() { ResponseBody::Empty } else { ResponseBody::Body(self.body) };
        Ok(Response::from_body(body)?.with_status(self.status).with_headers(headers))
    }
}
