//! Who may call what: the one table of the API's operations. The edge asks it before any handler runs, and the
//! OpenAPI document is made from it.

use crate::token::Role;
use crate::wire::Scope;

/// Whom an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: nothing in it is anybody's.
    Anyone,
    /// Whoever has the deployment's own token for metrics.
    Operator,
    /// A fulfiller, by the signature of its endpoint's secret.
    Fulfiller,
    /// A bearer token with one of these roles, all listed.
    Roles(&'static [Role]),
    /// The same; an API key of role `service` needs the scope besides.
    Scoped(&'static [Role], Scope),
}

impl Access {
    /// The roles that may call it; none where it asks for no bearer token.
    #[must_use]
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::Anyone | Self::Operator | Self::Fulfiller => &[],
            Self::Roles(roles) | Self::Scoped(roles, _) => roles,
        }
    }

    /// What an API key must be allowed to do; `None` where no API key may call it.
    #[must_use]
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::Anyone | Self::Operator | Self::Fulfiller | Self::Roles(_) => None,
            Self::Scoped(_, scope) => Some(scope),
        }
    }

    /// Whether a caller may. `scopes` are those of an API key; absent for a token.
    #[must_use]
    pub fn allows(self, role: Role, scopes: Option<&[Scope]>) -> bool {
        let in_scope = scopes.is_none_or(|scopes| self.scope().is_some_and(|needed| scopes.contains(&needed)));
        self.roles().contains(&role) && in_scope
    }
}

/// One method of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// In upper case.
    pub method: &'static str,
    /// With `{parameters}`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
}

const fn op(method: &'static str, path: &'static str, access: Access) -> Operation {
    Operation { method, path, access }
}

const fn member(scope: Scope) -> Access {
    Access::Scoped(&[Role::Member, Role::Service], scope)
}

const TILL: Access = Access::Roles(&[Role::Staff, Role::Manager, Role::Admin]);
const ADMIN: Access = Access::Roles(&[Role::Admin]);
/// A member's own, any of the merchant's for those who work there.
const ANY_READER: Access =
    Access::Scoped(&[Role::Member, Role::Staff, Role::Manager, Role::Admin, Role::Service], Scope::Read);
const READ: Access = member(Scope::Read);
const REDEEM: Access = member(Scope::Redeem);
const ORDERS: Access = member(Scope::Orders);
const REWARDS: Access = member(Scope::Rewards);

/// Every operation, those of one path together.
pub const OPERATIONS: &[Operation] = &[
    // One's own; with `all` an administrator's list of everybody's.
    op("GET", "/v1/redemptions", Access::Scoped(&[Role::Member, Role::Admin, Role::Service], Scope::Read)),
    op("POST", "/v1/redemptions", REDEEM),
    op("GET", "/v1/redemptions/export", ADMIN),
    op("GET", "/v1/redemptions/{id}", ANY_READER),
    op("POST", "/v1/redemptions/{id}/retry", ADMIN),
    op("POST", "/v1/redemptions/{id}/resolve", ADMIN),
    op("POST", "/v1/redemptions/{id}/reset", ADMIN),
    op("POST", "/v1/redemptions/{id}/reversal", TILL),
    op("POST", "/v1/codes/{code}/redemptions", REDEEM),
    op("POST", "/v1/codes/preview", REDEEM),
    op("POST", "/v1/codes/inspect", ADMIN),
    op("POST", "/v1/explain", ADMIN),
    op("GET", "/v1/wallet", READ),
    op("GET", "/v1/ledger", READ),
    op("GET", "/v1/events", READ),
    op("GET", "/v1/catalogue", READ),
    op("GET", "/v1/rewards", READ),
    op("GET", "/v1/rewards/{id}", ANY_READER),
    op("POST", "/v1/rewards/{id}/claim", REWARDS),
    op("POST", "/v1/rewards/{id}/activate", REWARDS),
    op("POST", "/v1/rewards/{id}/decline", REWARDS),
    op("GET", "/v1/orders/{order}/holds", READ),
    op("POST", "/v1/orders/{order}/holds", ORDERS),
    op("GET", "/v1/orders/{order}/holds/{id}", READ),
    op("DELETE", "/v1/orders/{order}/holds/{id}", ORDERS),
    op("POST", "/v1/orders/{order}/commit", Access::Scoped(&[Role::Service], Scope::Orders)),
    op("POST", "/v1/orders/{order}/release", Access::Scoped(&[Role::Service], Scope::Orders)),
    op("POST", "/v1/till/lookup", TILL),
    op("POST", "/v1/till/quotes", TILL),
    op("GET", "/v1/till/quotes/{id}", TILL),
    op("DELETE", "/v1/till/quotes/{id}", TILL),
    op("POST", "/v1/till/quotes/{id}/confirm", TILL),
    op("GET", "/v1/members", ADMIN),
    op("PUT", "/v1/members/{id}", ADMIN),
    op("DELETE", "/v1/members/{id}", ADMIN),
    op("GET", "/v1/members/{id}/wallet", ADMIN),
    op("GET", "/v1/members/{id}/ledger", ADMIN),
    op("GET", "/v1/members/{id}/redemptions", ADMIN),
    op("GET", "/v1/members/{id}/export", ADMIN),
    op("GET", "/v1/members/{id}/rewards", ADMIN),
    op("POST", "/v1/members/{id}/rewards", Access::Scoped(&[Role::Admin, Role::Service], Scope::Rewards)),
    op("DELETE", "/v1/members/{id}/rewards/{rid}", ADMIN),
    op("POST", "/v1/members/{id}/rewards/{rid}/claim", ADMIN),
    op("POST", "/v1/members/{id}/rewards/{rid}/activate", ADMIN),
    op("POST", "/v1/members/{id}/rewards/{rid}/retry", ADMIN),
    op("PATCH", "/v1/members/{id}/rewards/{rid}/fulfilment", ADMIN),
    op(
        "POST",
        "/v1/members/{id}/adjustments",
        Access::Scoped(&[Role::Manager, Role::Admin, Role::Service], Scope::Adjust),
    ),
    op("GET", "/v1/settings", ADMIN),
    op("PATCH", "/v1/settings", ADMIN),
    op("GET", "/v1/reward-definitions", ADMIN),
    op("POST", "/v1/reward-definitions", ADMIN),
    op("GET", "/v1/reward-definitions/{reward_id}", ADMIN),
    op("PATCH", "/v1/reward-definitions/{reward_id}", ADMIN),
    op("GET", "/v1/campaigns", ADMIN),
    op("POST", "/v1/campaigns", ADMIN),
    op("GET", "/v1/campaigns/{campaign}", ADMIN),
    op("PATCH", "/v1/campaigns/{campaign}", ADMIN),
    op("POST", "/v1/campaigns/{campaign}/activate", ADMIN),
    op("POST", "/v1/campaigns/{campaign}/pause", ADMIN),
    op("POST", "/v1/campaigns/{campaign}/end", ADMIN),
    // Whoever may mint reads what was minted: a batch's Location, and how far a stream came.
    op("GET", "/v1/campaigns/{campaign}/batches", Access::Scoped(&[Role::Admin, Role::Service], Scope::Read)),
    op("POST", "/v1/campaigns/{campaign}/batches", Access::Scoped(&[Role::Admin, Role::Service], Scope::Mint)),
    op(
        "GET",
        "/v1/campaigns/{campaign}/batches/{batch_id}",
        Access::Scoped(&[Role::Admin, Role::Service], Scope::Read),
    ),
    op("GET", "/v1/campaigns/{campaign}/recalls", ADMIN),
    op("POST", "/v1/campaigns/{campaign}/recalls", ADMIN),
    op("GET", "/v1/campaigns/{campaign}/recalls/{recall_id}", ADMIN),
    op("POST", "/v1/campaigns/{campaign}/print-key", ADMIN),
    op("POST", "/v1/campaigns/{campaign}/breaker/reset", ADMIN),
    op("GET", "/v1/keys", ADMIN),
    op("POST", "/v1/keys/rotate", ADMIN),
    op("POST", "/v1/keys/{epoch}/revoke", ADMIN),
    op("GET", "/v1/pools", ADMIN),
    op("POST", "/v1/pools", ADMIN),
    op("GET", "/v1/pools/{pool_id}", ADMIN),
    op("PATCH", "/v1/pools/{pool_id}", ADMIN),
    op("POST", "/v1/pools/{pool_id}/codes", ADMIN),
    op("GET", "/v1/pools/{pool_id}/quarantine", ADMIN),
    op("POST", "/v1/pools/{pool_id}/quarantine/release", ADMIN),
    op("GET", "/v1/webhooks", ADMIN),
    op("POST", "/v1/webhooks", ADMIN),
    op("GET", "/v1/webhooks/{endpoint_id}", ADMIN),
    op("DELETE", "/v1/webhooks/{endpoint_id}", ADMIN),
    op("POST", "/v1/webhooks/{endpoint_id}/rotate", ADMIN),
    op("POST", "/v1/webhooks/{endpoint_id}/test", ADMIN),
    op("GET", "/v1/webhooks/{endpoint_id}/deliveries", ADMIN),
    op("POST", "/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/resend", ADMIN),
    op("POST", "/v1/fulfilments/{id}", Access::Fulfiller),
    op("GET", "/v1/api-keys", ADMIN),
    op("POST", "/v1/api-keys", ADMIN),
    op("GET", "/v1/api-keys/{key_id}", ADMIN),
    op("DELETE", "/v1/api-keys/{key_id}", ADMIN),
    op("GET", "/v1/audit", ADMIN),
    op("GET", "/v1/audit/export", ADMIN),
    op("GET", "/v1/stats", ADMIN),
    op("POST", "/v1/verify", ADMIN),
    op("GET", "/metrics", Access::Operator),
    op("GET", "/healthz", Access::Anyone),
    op("GET", "/openapi.json", Access::Anyone),
    op("GET", "/docs", Access::Anyone),
];

/// The operation of a path, by its template, and a method.
#[must_use]
pub fn operation(method: &str, path: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.path == path && operation.method == method)
}

/// A path's methods, as the header `Allow` lists them.
#[must_use]
pub fn methods(path: &str) -> String {
    let mut listed = String::new();
    for operation in OPERATIONS.iter().filter(|operation| operation.path == path) {
        listed.push_str(operation.method);
        listed.push_str(", ");
    }
    listed + "OPTIONS"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_listed_once() {
        for (n, operation) in OPERATIONS.iter().enumerate() {
            assert!(
                OPERATIONS[..n]
                    .iter()
                    .all(|earlier| (earlier.method, earlier.path) != (operation.method, operation.path))
            );
            assert_eq!(super::operation(operation.method, operation.path), Some(operation));
            assert!(operation.path.starts_with('/') && !operation.path.ends_with('/'), "{}", operation.path);
        }
        assert_eq!(super::operation("PUT", "/v1/wallet"), None);
        assert_eq!(methods("/v1/till/quotes/{id}"), "GET, DELETE, OPTIONS");
    }

    /// Whoever stands above another may what that one may; a service stands beside them.
    #[test]
    fn roles_above_may_what_those_below_may() {
        for operation in OPERATIONS {
            let roles = operation.access.roles();
            for (below, above) in [(Role::Staff, Role::Manager), (Role::Manager, Role::Admin)] {
                assert!(!roles.contains(&below) || roles.contains(&above), "{} {}", operation.method, operation.path);
            }
            // What a service may, a key of one scope may, and nothing that a service may not.
            assert_eq!(roles.contains(&Role::Service), operation.access.scope().is_some(), "{}", operation.path);
            assert!(!roles.is_empty() || operation.access.scope().is_none());
        }
    }

    #[test]
    fn scopes_limit_keys_and_not_tokens() {
        let batches = operation("POST", "/v1/campaigns/{campaign}/batches").unwrap().access;
        assert!(batches.allows(Role::Service, None));
        assert!(batches.allows(Role::Service, Some(&[Scope::Read, Scope::Mint])));
        assert!(!batches.allows(Role::Service, Some(&[Scope::Read, Scope::Redeem])));
        assert!(!batches.allows(Role::Service, Some(&[])));
        assert!(!batches.allows(Role::Manager, None));
        let pools = operation("GET", "/v1/pools").unwrap().access;
        assert!(pools.allows(Role::Admin, None));
        assert!(!pools.allows(Role::Service, Some(&Scope::ALL)));
    }

    /// Reading is `read`, whatever it is about, and no key that reads changes anything.
    #[test]
    fn to_read_is_not_to_change() {
        for Operation { method, path, access } in OPERATIONS {
            if let Some(scope) = access.scope() {
                assert_eq!(scope == Scope::Read, *method == "GET", "{method} {path}");
            }
        }
    }
}
