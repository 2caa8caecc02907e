//! An external fulfiller as its makers would build it: what it gives it gives once for each `webhook-id`, and a
//! repeat is answered as the first. Everything else about it goes wrong.

use crate::message::{Http, Party, Reply, Request, Webhook};
use crate::prng::scramble;
use crate::step::{Fault as Kind, Step};
use crate::world::World;
use counterfoil_core::webhook::Outcome;
use futures_util::future::{Either, select};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;

const GRANTED: &str = r#"{"outcome":"granted"}"#;
const FAILED: &str = r#"{"outcome":"failed","error":"out of stock"}"#;
/// Times that a callback is tried.
const CALLBACKS_MAX: u32 = 8;
const CALLBACK_WAIT_MS: i64 = 10_000;

/// How it treats one reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    AtOnce,
    /// 202, and a callback.
    Later,
    /// 202, and the callback twice.
    LaterTwice,
    /// 202, and nothing.
    Never,
    /// Says no so many times.
    Fails(u32),
    /// Says no by callback, then gives it.
    FailsLater,
    /// Says no for ever.
    FailsAlways,
}

/// What it keeps.
#[derive(Debug, Default)]
pub(crate) struct Fulfiller {
    /// Messages it has seen.
    seen: BTreeSet<String>,
    /// How often each reward was given.
    pub(crate) given: BTreeMap<String, u32>,
    /// What it was told is not to be given, and took back where it had been.
    pub(crate) cancelled: BTreeSet<String>,
    /// What it said no to.
    refusals: BTreeMap<String, u32>,
    callbacks: u32,
}

impl Fulfiller {
    fn next_callback(&mut self) -> u32 {
        self.callbacks += 1;
        self.callbacks
    }

    fn give(&mut self, webhook: &Webhook) {
        if self.cancelled.contains(&webhook.reward) {
            return;
        }
        if self.seen.insert(webhook.id.clone()) {
            *self.given.entry(webhook.reward.clone()).or_default() += 1;
        }
    }
}

impl World {
    fn manner(&self, reward: &str) -> Manner {
        let bytes = reward.bytes().fold(self.seed, |mixed, byte| scramble(mixed ^ u64::from(byte)));
        match bytes % 16 {
            0..=4 => Manner::AtOnce,
            5..=7 => Manner::Later,
            8 => Manner::LaterTwice,
            9 => Manner::Never,
            10 | 11 => Manner::Fails(1),
            12 => Manner::Fails(3),
            13 | 14 => Manner::FailsLater,
            _ => Manner::FailsAlways,
        }
    }

    /// A message arrives at the fulfiller.
    pub(crate) async fn fulfil(self: Rc<Self>, webhook: Rc<Webhook>) -> Reply {
        let step = if webhook.cancelled { Step::Cancelled } else { Step::Fulfil };
        let http = |status, body| Reply::Http(Http { status, retry_after: None, body });
        if self.strikes(step, Kind::Answers410) {
            return http(410, None);
        }
        if let Some(how) = self.strikes_how(step, Kind::Answers429) {
            let retry_after = [None, Some("30"), Some("7200")].get(usize::try_from(how % 3).unwrap_or(0)).copied();
            return Reply::Http(Http { status: 429, retry_after: retry_after.flatten(), body: None });
        }
        let broken = self.strikes_how(step, Kind::Answers500);
        if broken.is_some_and(|how| how % 2 == 0) {
            return http(500, None);
        }
        let silent = self.strikes_how(step, Kind::TimesOut);
        if silent.is_some_and(|how| how % 2 == 0) {
            self.delay(60_000).await;
            return http(504, None);
        }
        if let Some(how) = self.strikes_how(step, Kind::Slow) {
            self.stray.borrow_mut().insert(webhook.reward.clone());
            self.delay(i64::try_from(15_000 + how % 10_000).unwrap_or(15_000)).await;
        }
        let reply = if webhook.cancelled { self.take_back(&webhook) } else { self.treat(&webhook) };
        if silent.is_some() {
            self.delay(60_000).await;
        }
        if broken.is_some() { http(500, None) } else { reply }
    }

    fn take_back(&self, webhook: &Webhook) -> Reply {
        let mut fulfiller = self.fulfiller.borrow_mut();
        fulfiller.cancelled.insert(webhook.reward.clone());
        Reply::Http(Http { status: 200, retry_after: None, body: Some("{}") })
    }

    fn treat(self: &Rc<Self>, webhook: &Rc<Webhook>) -> Reply {
        let http = |status, body| Reply::Http(Http { status, retry_after: None, body });
        let seen = self.fulfiller.borrow().seen.contains(&webhook.id);
        let cancelled = self.fulfiller.borrow().cancelled.contains(&webhook.reward);
        let refusals = self.fulfiller.borrow().refusals.get(&webhook.reward).copied().unwrap_or(0);
        if cancelled {
            return http(200, Some(FAILED));
        }
        if seen {
            return http(200, Some(GRANTED));
        }
        let refuse = || {
            *self.fulfiller.borrow_mut().refusals.entry(webhook.reward.clone()).or_default() += 1;
        };
        match self.manner(&webhook.reward) {
            Manner::AtOnce => {
                self.fulfiller.borrow_mut().give(webhook);
                http(200, Some(GRANTED))
            }
            Manner::Fails(times) if refusals < times => {
                refuse();
                http(200, Some(FAILED))
            }
            Manner::FailsAlways => http(200, Some(FAILED)),
            Manner::FailsLater if refusals == 0 => {
                refuse();
                self.call_back(webhook, false);
                http(202, None)
            }
            Manner::Fails(_) | Manner::FailsLater => {
                self.fulfiller.borrow_mut().give(webhook);
                http(200, Some(GRANTED))
            }
            Manner::Later => {
                self.call_back(webhook, true);
                http(202, None)
            }
            Manner::LaterTwice => {
                self.call_back(webhook, true);
                self.call_back(webhook, true);
                http(202, None)
            }
            Manner::Never => http(202, None),
        }
    }

    /// Gives it after a while, or not, and says so until it is heard.
    fn call_back(self: &Rc<Self>, webhook: &Rc<Webhook>, gives: bool) {
        let (world, webhook) = (Rc::clone(self), Rc::clone(webhook));
        let after_ms = self.network.borrow_mut().between(0, 90_000);
        let number = self.fulfiller.borrow_mut().next_callback();
        self.spawn(Party::Fulfiller, async move {
            world.delay(after_ms).await;
            if gives {
                world.fulfiller.borrow_mut().give(&webhook);
            }
            let outcome = if gives && world.fulfiller.borrow().seen.contains(&webhook.id) {
                Outcome::Granted { data: None }
            } else {
                Outcome::Failed { error: "out of stock".to_owned(), data: None }
            };
            for attempt in 0..CALLBACKS_MAX {
                let request = Request::Callback {
                    id: webhook.reward.clone(),
                    webhook_id: format!("msg_{number}"),
                    outcome: outcome.clone(),
                    signed_at: world.now(),
                };
                let asking = world.call(Party::Member(webhook.member), Step::Callback, request);
                if let Either::Left((Ok(Ok(Reply::Heard(_))), _)) =
                    select(asking, pin!(world.delay(CALLBACK_WAIT_MS))).await
                {
                    return;
                }
                world.delay(2_000 << attempt).await;
            }
        });
    }
}
