//! What the log tells of redemptions: one line of JSON for each request, and for each failure on the way. Nothing in it
//! could be redeemed, and nobody is named.

use crate::answer::OUTCOME_HEADER;
use crate::inbound::Stop;
use crate::member::Inner;
use crate::platform::{Fault, now};
use counterfoil_core::ids::{IdKey, IdKind, Rid};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::time::Instant;
use serde::Serialize;
use std::cell::RefCell;
use worker::Response;

/// Symbols of a code that may be shown: its first group, which says the campaign at most.
const GROUP: usize = 4;

impl Inner {
    /// A failure on the way of a redemption: an operator finds it by the id that its holder reads out.
    pub(crate) fn log_about(&self, rid: &Rid, event: &str, fault: &Fault) {
        let (Ok(config), Ok(merchant)) = (self.config(), self.merchant()) else { return fault.log(event) };
        let line = serde_json::json!({
            "event": event,
            "redemption_id": config.id_key.id(IdKind::Redemption, &merchant, rid),
            "merchant": merchant.as_str(),
            "error": fault.message,
        });
        worker::console_error!("{line}");
    }
}

/// The line of one request, filled in while it is answered.
pub(crate) struct Line {
    arrived: Instant,
    noted: RefCell<Noted>,
}

#[derive(Default)]
struct Noted {
    redemption_id: Option<String>,
    code: Option<String>,
    code_ref: Option<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    redemption_id: Option<&'a str>,
    merchant: &'a str,
    route: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_ref: Option<&'a str>,
    status: u16,
    outcome: &'a str,
    ms: i64,
}

impl Line {
    pub(crate) fn new(arrived: Instant) -> Self {
        Self { arrived, noted: RefCell::default() }
    }

    pub(crate) const fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Which redemption it is about.
    pub(crate) fn redemption(&self, key: &IdKey, merchant: &MerchantId, rid: &Rid) {
        self.noted.borrow_mut().redemption_id = Some(key.id(IdKind::Redemption, merchant, rid));
    }

    /// Which code: its first group, and a hash that lines about the same code share. Of an alias, which is as good as its
    /// code, the hash alone.
    pub(crate) fn code(&self, key: &IdKey, merchant: &MerchantId, canonical: &str, alias: bool) {
        let mut noted = self.noted.borrow_mut();
        noted.code = (!alias).then(|| canonical.chars().take(GROUP).collect());
        noted.code_ref = Some(key.code_ref(merchant, canonical));
    }

    /// Writes it.
    pub(crate) fn write(&self, merchant: &MerchantId, route: &str, answered: &Result<Response, Stop>) {
        let (status, outcome) = match answered {
            Ok(response) => {
                let outcome = response.headers().get(OUTCOME_HEADER).ok().flatten();
                (response.status_code(), outcome)
            }
            Err(Stop::Answer(answer)) => (answer.status(), answer.outcome().map(str::to_owned)),
            Err(Stop::Fault(fault)) if fault.passing => (503, Some("overloaded".to_owned())),
            Err(Stop::Fault(_)) => (500, Some("internal_error".to_owned())),
        };
        let noted = self.noted.borrow();
        let line = Written {
            event: "redemption",
            redemption_id: noted.redemption_id.as_deref(),
            merchant: merchant.as_str(),
            route,
            code: noted.code.as_deref(),
            code_ref: noted.code_ref.as_deref(),
            status,
            outcome: outcome.as_deref().unwrap_or("answered"),
            ms: now().0 - self.arrived.0,
        };
        // A struct of texts and numbers becomes JSON.
        if let Ok(text) = serde_json::to_string(&line) {
            worker::console_log!("{text}");
        }
    }
}
