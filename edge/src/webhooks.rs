//! Sending one webhook: signed, bounded in time and in what is read of the answer. Used by whoever has something
//! to deliver; when it is tried again is their own decision.

use crate::config::Config;
use crate::platform::{Fault, now};
use counterfoil_core::limits::DELIVERY_WAIT_MS;
use counterfoil_core::webhook::outcome::classify;
use counterfoil_core::webhook::{ID_HEADER, Outcome, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, sign, target};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;
use wasm_bindgen::JsValue;
use worker::{
    AbortController, AbortSignal, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response,
};

/// Most bytes that are read of an answer.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
const USER_AGENT: &str = concat!("Counterfoil/", env!("CARGO_PKG_VERSION"));

/// What one try came to.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    /// There was an answer. `body` is absent where it broke off, was too long or is no text.
    Answered { status: u16, retry_after: Option<String>, body: Option<String> },
    /// It was sent, perhaps, and nothing says what became of it.
    Unknown { error: &'static str },
    /// It was not sent.
    Refused { error: String },
}

impl Sent {
    /// Whether the receiver took it.
    pub(crate) const fn delivered(&self) -> bool {
        matches!(self, Self::Answered { status: 200..=299, .. })
    }

    /// The answer's status, where there was one.
    pub(crate) const fn status(&self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } => Some(*status),
            Self::Unknown { .. } | Self::Refused { .. } => None,
        }
    }

    /// What it means for the reward that it was to fulfil.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Answered { status, retry_after, body } => {
                classify(*status, retry_after.as_deref(), body.as_deref(), now())
            }
            Self::Unknown { error } => {
                Outcome::Retry { error: (*error).to_owned(), unknown: true, retry_after_s: None }
            }
            Self::Refused { error } => Outcome::Retry { error: error.clone(), unknown: false, retry_after_s: None },
        }
    }

    /// What went wrong, unless it was delivered.
    pub(crate) fn error(&self) -> Option<String> {
        match self {
            Self::Answered { status: 200..=299, .. } => None,
            Self::Answered { status, .. } => Some(format!("HTTP {status}")),
            Self::Unknown { error } => Some((*error).to_owned()),
            Self::Refused { error } => Some(error.clone()),
        }
    }
}

/// Sends a message and waits for its answer. Redirects are not followed: the new address was never checked.
pub(crate) async fn send(config: &Config, url: &str, secrets: &[Secret], id: &str, body: &str) -> Sent {
    // What was allowed when the endpoint was made need not be by now.
    if let Err(error) = target::check(url, config.allow_private_targets) {
        return Sent::Refused { error: format!("the endpoint's url {error}") };
    }
    let request = match compose(url, secrets, id, body) {
        Ok(request) => request,
        Err(fault) => {
            fault.log("webhook_refused");
            return Sent::Refused { error: "the message could not be composed".to_owned() };
        }
    };
    let controller = AbortController::default();
    let signal = controller.signal();
    let exchange = pin!(exchange(request, &signal));
    let wait = Duration::from_millis(u64::try_from(DELIVERY_WAIT_MS).unwrap_or_default());
    let sent = match select(exchange, pin!(Delay::from(wait))).await {
        Either::Left((Ok(sent), _)) => sent,
        Either::Left((Err(fault), _)) => {
            fault.log("webhook_broken");
            Sent::Unknown { error: "the connection failed or broke off" }
        }
        Either::Right(_) => Sent::Unknown { error: "no answer in time" },
    };
    // Ends whatever is still under way: a slow answer, or one that was too long to read.
    controller.abort();
    sent
}

fn compose(url: &str, secrets: &[Secret], id: &str, body: &str) -> Result<Request, Fault> {
    let signed = sign(secrets, id, now(), body);
    let headers = Headers::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", USER_AGENT),
        (ID_HEADER, &signed.id),
        (TIMESTAMP_HEADER, &signed.timestamp),
        (SIGNATURE_HEADER, &signed.signature),
    ] {
        headers.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_headers(headers).with_redirect(RequestRedirect::Manual);
    init.with_body(Some(JsValue::from_str(body)));
    Ok(Request::new_with_init(url, &init)?)
}

async fn exchange(request: Request, signal: &AbortSignal) -> Result<Sent, Fault> {
    let mut response = Fetch::Request(request).send_with_signal(signal).await?;
    let status = response.status_code();
    let retry_after = response.headers().get("retry-after")?;
    Ok(Sent::Answered { status, retry_after, body: read(&mut response).await })
}

/// The answer's text. A status that arrived counts, even where the body after it breaks off.
async fn read(response: &mut Response) -> Option<String> {
    let mut bytes = Vec::new();
    // An answer without a body, such as 204, has no stream.
    let mut stream = response.stream().ok()?;
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.ok()?);
        if bytes.len() > ANSWER_BYTES_MAX {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}
