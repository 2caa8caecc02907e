//! Reading requests: tokens, bodies within bounds, queries, keys.

use crate::answer::Answer;
use crate::calls::{Once, PageQuery};
use crate::config::Config;
use crate::log::Line;
use crate::platform::Fault;
use counterfoil_core::ids::Fingerprint;
use counterfoil_core::limits::{KEY_CHARS_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use counterfoil_core::token::{Principal, Role};
use counterfoil_core::wire::{InvalidRequest, ProtocolError, parse};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use std::rc::Rc;
use worker::Request;

/// A request with its route known and its caller proven.
pub(crate) struct Inbound<'a> {
    pub(crate) request: Request,
    pub(crate) config: &'a Config,
    pub(crate) principal: Principal,
    /// Route without parameters: the instance of problem documents.
    pub(crate) instance: &'static str,
    pub(crate) query: Vec<(String, String)>,
    /// Absent when it was larger than allowed.
    pub(crate) body: Option<Vec<u8>>,
    /// What the log will tell of it.
    pub(crate) line: Rc<Line>,
}

/// Reads a body within bounds, before anything else: a connection whose request was left unread cannot be used
/// again. One that says it is too large is not read at all; `None`.
pub(crate) async fn read_body(request: &mut Request, bytes_max: usize) -> Result<Option<Vec<u8>>, Fault> {
    // A length beside chunks says nothing: HTTP has it ignored.
    let chunked = request.headers().has("Transfer-Encoding")?;
    let length = request.headers().get("Content-Length")?.and_then(|text| text.parse::<usize>().ok());
    let length = length.filter(|_| !chunked);
    match length {
        Some(length) if length > bytes_max => return Ok(None),
        // The runtime holds a client to the length it gives: there is never more of it.
        Some(0) => return Ok(Some(vec![])),
        Some(_) => return Ok(Some(request.bytes().await?).filter(|body| body.len() <= bytes_max)),
        None => {}
    }
    let mut body = Vec::new();
    if request.inner().body().is_some() {
        let mut stream = request.stream()?;
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk?);
            if body.len() > bytes_max {
                return Ok(None);
            }
        }
    }
    Ok(Some(body))
}

/// Why a handler stops early: an answer that is not the usual one, or a fault.
pub(crate) enum Stop {
    Answer(Box<Answer>),
    Fault(Fault),
}

impl<T: Into<Fault>> From<T> for Stop {
    fn from(fault: T) -> Self {
        Self::Fault(fault.into())
    }
}

/// Stops with an error of the protocol.
pub(crate) fn stop<T>(error: &ProtocolError, instance: &str) -> Result<T, Stop> {
    Err(Stop::Answer(Box::new(Answer::error(error, instance)?)))
}

/// Stops with 400 for one reason.
pub(crate) fn stop_invalid<T>(invalid: InvalidRequest, instance: &str) -> Result<T, Stop> {
    stop(&ProtocolError::InvalidRequest(invalid), instance)
}

/// Query parameters in order.
pub(crate) fn query_of(request: &Request) -> Vec<(String, String)> {
    let url = request.inner().url();
    let query = url.split_once('?').map_or("", |(_, rest)| rest);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

impl Inbound<'_> {
    /// Stops unless the caller has one of these roles.
    pub(crate) fn need(&self, roles: &[Role]) -> Result<(), Stop> {
        if roles.contains(&self.principal.role) { Ok(()) } else { stop(&ProtocolError::Forbidden, self.instance) }
    }

    fn header(&self, name: &str) -> Result<Option<String>, Fault> {
        Ok(self.request.headers().get(name)?)
    }

    /// The idempotency key, where there is one.
    pub(crate) fn key(&self) -> Result<Option<String>, Stop> {
        let Some(key) = self.header("Idempotency-Key")? else { return Ok(None) };
        let legal = (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|b| (0x21..=0x7e).contains(&b));
        if legal {
            return Ok(Some(key));
        }
        let reason = format!("1 to {KEY_CHARS_MAX} visible ASCII characters");
        stop_invalid(InvalidRequest::one("header Idempotency-Key", reason), self.instance)
    }

    /// The idempotency key of a call that needs one.
    pub(crate) fn key_required(&self) -> Result<String, Stop> {
        match self.key()? {
            Some(key) => Ok(key),
            None => stop(&ProtocolError::IdempotencyKeyRequired, self.instance),
        }
    }

    /// An administrator's key in its scope, with the command it stands for.
    pub(crate) fn once(&self, target: &str, command: &[u8]) -> Result<Option<Once>, Stop> {
        let Some(key) = self.key()? else { return Ok(None) };
        let Principal { role, sub, .. } = &self.principal;
        let scope = Fingerprint::of(&[
            role.name().as_bytes(),
            sub.as_bytes(),
            self.instance.as_bytes(),
            target.as_bytes(),
            key.as_bytes(),
        ]);
        Ok(Some(Once { scope: scope.to_hex(), fp: Fingerprint::of(&[command]) }))
    }

    /// Whether the client asked for an answer before the decision.
    pub(crate) fn prefers_async(&self) -> Result<bool, Stop> {
        let prefer = self.header("Prefer")?.unwrap_or_default();
        Ok(prefer.split(',').any(|preference| preference.trim().eq_ignore_ascii_case("respond-async")))
    }

    /// The version of `If-Match`, as shown in ETags. Anything else matches nothing.
    pub(crate) fn if_match(&self) -> Result<Option<u32>, Stop> {
        let Some(text) = self.header("If-Match")? else { return Ok(None) };
        let version = text.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        Ok(Some(version.and_then(|version| version.parse().ok()).unwrap_or(0)))
    }

    /// The body, of a kind that is understood.
    pub(crate) fn body(&mut self) -> Result<Vec<u8>, Stop> {
        let Some(body) = self.body.take() else { return stop(&ProtocolError::TooLarge, self.instance) };
        let kind = self.header("Content-Type")?.unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !body.is_empty() && kind != "application/json" && kind != "application/merge-patch+json" {
            return stop(&ProtocolError::UnsupportedMediaType, self.instance);
        }
        Ok(body)
    }

    /// A JSON body of a known shape.
    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Stop> {
        let body = self.body()?;
        self.parse(&body)
    }

    /// Parses a body.
    pub(crate) fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Stop> {
        match parse(body) {
            Ok(parsed) => Ok(parsed),
            Err(invalid) => stop_invalid(invalid, self.instance),
        }
    }

    /// Takes a query parameter out; each may stand once.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Stop> {
        let mut values = self.query.extract_if(.., |(known, _)| known == name).map(|(_, value)| value);
        let first = values.next();
        let twice = values.next().is_some();
        drop(values);
        if twice {
            return stop_invalid(InvalidRequest::one(&format!("query {name}"), "given twice"), self.instance);
        }
        Ok(first)
    }

    /// Takes a query parameter that must be of a type.
    pub(crate) fn take_as<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Stop> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        match read(&text) {
            Some(value) => Ok(Some(value)),
            None => stop_invalid(InvalidRequest::one(&format!("query {name}"), expected), self.instance),
        }
    }

    /// Takes `limit`.
    pub(crate) fn take_limit(&mut self) -> Result<u32, Stop> {
        let limits = 1..=PAGE_ROWS_MAX;
        let limit =
            self.take_as("limit", "1 to 200", |text| text.parse().ok().filter(|limit| limits.contains(limit)))?;
        Ok(limit.unwrap_or(PAGE_ROWS_DEFAULT))
    }

    /// Takes `cursor` and `limit`.
    pub(crate) fn take_page(&mut self) -> Result<PageQuery, Stop> {
        let limit = self.take_limit()?;
        let number =
            |text: &str| text.parse().ok().filter(|n: &u64| *n > 0 && text.bytes().all(|b| b.is_ascii_digit()));
        let before = self.take_as("cursor", "a next_cursor of this list", number)?;
        Ok(PageQuery { before, limit })
    }
}
