//! The challenge hook: whether somebody has shown to be a person, as the deployment's service for that says (the siteverify
//! protocol that Turnstile and hCaptcha share).

use crate::config::Config;
use crate::objects::within;
use crate::platform::Fault;
use futures_util::StreamExt;
use serde::Deserialize;
use std::time::Duration;
use wasm_bindgen::JsValue;
use worker::{AbortController, AbortSignal, Fetch, Headers, Method, Request, RequestInit, RequestRedirect};

/// What a page sends: the service's response to its widget.
pub(crate) const CHALLENGE_HEADER: &str = "Counterfoil-Challenge";
/// Most characters of it.
const RESPONSE_CHARS_MAX: usize = 4_096;
/// Longest wait for the service.
const HOOK_WAIT: Duration = Duration::from_secs(5);
/// Most bytes that are read of its answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The service's answer; the rest of it is its own business.
#[derive(Deserialize)]
struct Verified {
    success: bool,
}

/// Whether a response passes. What cannot be asked has not passed.
pub(crate) async fn passes(config: &Config, response: &str, address: Option<&str>) -> bool {
    let Some(hook) = &config.challenge else { return false };
    if response.is_empty() || response.len() > RESPONSE_CHARS_MAX {
        return false;
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("secret", &hook.secret).append_pair("response", response);
    if let Some(address) = address {
        form.append_pair("remoteip", address);
    }
    let controller = AbortController::default();
    let signal = controller.signal();
    let verified = within(HOOK_WAIT, "the verifier", ask(&hook.url, form.finish(), &signal)).await;
    // Ends whatever is still under way.
    controller.abort();
    verified.unwrap_or_else(|fault| {
        fault.log("challenge_not_verified");
        false
    })
}

async fn ask(url: &str, form: String, signal: &AbortSignal) -> Result<bool, Fault> {
    let headers = Headers::new();
    headers.set("Content-Type", "application/x-www-form-urlencoded")?;
    headers.set("Accept", "application/json")?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_headers(headers).with_redirect(RequestRedirect::Manual);
    init.with_body(Some(JsValue::from_str(&form)));
    let request = Request::new_with_init(url, &init)?;
    let mut response = Fetch::Request(request).send_with_signal(signal).await?;
    if response.status_code() != 200 {
        return Err(Fault::new(format!("HTTP {}", response.status_code())));
    }
    let mut bytes = Vec::new();
    let mut stream = response.stream()?;
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(Fault::new("more than 16 KiB"));
        }
    }
    let verified: Verified = serde_json::from_slice(&bytes)?;
    Ok(verified.success)
}
