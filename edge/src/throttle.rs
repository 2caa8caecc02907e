//! Throttle: wrong codes from one address at one merchant, by the hour. Best effort beside the exact limit of each account:
//! a Worker tells it after a wrong code was answered, and remembers for a while whom to keep waiting.

use crate::answer::{Answer, finish};
use crate::config::Config;
use crate::gate;
use crate::objects::{Objects, read_call, within};
use crate::platform::{Fault, SyncStorage, now};
use crate::sql::{first, query, run};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::throttle::{Network, address_quota, blocked_until, first_hour, forgotten_at, hour_of};
use counterfoil_core::time::Instant;
use counterfoil_core::token::{Principal, Role};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

/// Addresses that an isolate remembers.
const BLOCKED_MAX: usize = 10_000;
/// Longest wait for a Throttle, after the answer has left.
const THROTTLE_WAIT: Duration = Duration::from_secs(5);
/// The platform's header with the caller's address.
pub(crate) const ADDRESS_HEADER: &str = "CF-Connecting-IP";

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS hours (hour INTEGER PRIMARY KEY, count INTEGER NOT NULL CHECK (count > 0)) STRICT";

/// Asked of a Throttle.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ThrottleOp {
    /// One wrong code more, of so many that a day may have; answered with [`Verdict`].
    Wrong { quota: u32 },
}

/// Until when the address is kept waiting.
#[derive(Serialize, Deserialize)]
pub(crate) struct Verdict {
    blocked_until: Option<Instant>,
}

/// See the module.
#[durable_object(alarm)]
pub struct Throttle {
    state: State,
    storage: SyncStorage,
}

impl DurableObject for Throttle {
    fn new(state: State, _: Env) -> Self {
        let storage = SyncStorage::of(&state);
        Self { state, storage }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let answer = match read_call::<ThrottleOp>(&mut request).await {
            Ok(call) => {
                let ThrottleOp::Wrong { quota } = call.op;
                self.storage.transaction(|| self.count(quota))
            }
            Err(fault) => Err(fault),
        };
        finish(answer, "throttle")
    }

    async fn alarm(&self) -> worker::Result<Response> {
        if let Some(hour) = self.storage.transaction(|| self.forget())? {
            self.storage.arm(forgotten_at(hour))?;
        } else {
            // Nothing is left of an address that has behaved for a day.
            self.state.storage().delete_all().await?;
        }
        Response::empty()
    }
}

impl Throttle {
    fn count(&self, quota: u32) -> Result<Answer, Fault> {
        let at = now();
        // Made anew where everything was forgotten.
        run(&self.storage, SCHEMA, &[])?;
        let statement = "INSERT INTO hours VALUES (?, 1) ON CONFLICT (hour) DO UPDATE SET count = count + 1
            RETURNING count";
        let row = first(&self.storage, statement, &[hour_of(at).into()])?;
        if row.is_some_and(|row| row.count(0) == 1)
            && let Some(earliest) = self.forget()?
        {
            self.storage.arm(forgotten_at(earliest))?;
        }
        let rows = query(&self.storage, "SELECT hour, count FROM hours ORDER BY hour", &[])?;
        let hours: Vec<(i64, u64)> = rows.iter().map(|row| (row.integer(0), row.count(1))).collect();
        Answer::json(200, &Verdict { blocked_until: blocked_until(&hours, quota, at) })
    }

    /// Drops what counts no more; answers the earliest hour that still does.
    fn forget(&self) -> Result<Option<i64>, Fault> {
        run(&self.storage, SCHEMA, &[])?;
        run(&self.storage, "DELETE FROM hours WHERE hour < ?", &[first_hour(now()).into()])?;
        let row = first(&self.storage, "SELECT min(hour) FROM hours", &[])?;
        Ok(row.filter(|row| !row.is_null(0)).map(|row| row.integer(0)))
    }
}

/// Where a request comes from, as one merchant's Throttle is named for it.
#[derive(Clone)]
pub(crate) struct Source {
    merchant: MerchantId,
    network: String,
}

thread_local! {
    static BLOCKED: RefCell<HashMap<(MerchantId, String), Instant>> = RefCell::default();
}

/// The network that a request comes from; `None` where its address says nothing about who calls.
pub(crate) fn network(request: &Request) -> Result<Option<Network>, Fault> {
    let address = request.headers().get(ADDRESS_HEADER)?;
    Ok(address.and_then(|address| Network::read(&address)))
}

impl Source {
    /// `None` where the address says nothing about who calls: a service speaks for many.
    pub(crate) fn of(request: &Request, config: &Config, principal: &Principal) -> Result<Option<Self>, Fault> {
        let Principal { merchant, role, .. } = principal;
        let network = network(request)?.filter(|_| *role != Role::Service);
        Ok(network
            .map(|network| Self { merchant: merchant.clone(), network: config.id_key.network(merchant, &network) }))
    }

    /// Until when it is kept waiting, as far as this isolate knows.
    pub(crate) fn blocked_until(&self) -> Option<Instant> {
        let key = (self.merchant.clone(), self.network.clone());
        BLOCKED.with_borrow(|blocked| blocked.get(&key).copied()).filter(|until| *until > now())
    }

    /// Tells its Throttle of a wrong code. Run beside the answer: what it takes says nothing to the caller.
    pub(crate) async fn tell(self, env: Env) {
        match within(THROTTLE_WAIT, "the throttle", self.ask(&env)).await {
            Ok(Verdict { blocked_until: Some(until) }) => self.remember(until),
            Ok(Verdict { blocked_until: None }) => {}
            Err(fault) => fault.log("throttle_failed"),
        }
    }

    async fn ask(&self, env: &Env) -> Result<Verdict, Fault> {
        let objects = Objects(env);
        let quota = address_quota(gate::of(&objects, &self.merchant).await?.settings.attempts_per_day);
        let name = format!("{}/{}", self.merchant.as_str(), self.network);
        objects.throttle(&name, &ThrottleOp::Wrong { quota }).await
    }

    fn remember(&self, until: Instant) {
        BLOCKED.with_borrow_mut(|blocked| {
            if blocked.len() >= BLOCKED_MAX {
                let at = now();
                blocked.retain(|_, until| *until > at);
            }
            // Full of others: one wrong code more from this address finds a place later.
            if blocked.len() < BLOCKED_MAX {
                blocked.insert((self.merchant.clone(), self.network.clone()), until);
            }
        });
    }
}

/// A merchant's limits have changed: who is kept waiting is found out anew.
pub(crate) fn forget(merchant: &MerchantId) {
    BLOCKED.with_borrow_mut(|blocked| blocked.retain(|(of, _), _| of != merchant));
}
