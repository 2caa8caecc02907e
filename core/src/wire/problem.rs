//! RFC 9457 problem documents.

use super::body::{InvalidRequest, PathReason};
use crate::refusal::Refusal;
use serde::Serialize;

/// `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of this kind.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// About this very case.
    pub detail: String,
    /// The route that answered; never contains a code or a token.
    pub instance: String,
    /// Stable name, and the refusal's named extras beside it.
    #[serde(flatten)]
    pub extras: serde_json::Map<String, serde_json::Value>,
}

/// Failures of the protocol itself, before any rule is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// 400
    InvalidRequest(InvalidRequest),
    /// 400
    IdempotencyKeyRequired,
    /// 401: missing or bad token.
    InvalidToken,
    /// 403: wrong role.
    Forbidden,
    /// 404: no such thing, or not yours.
    NotFound,
    /// 405
    HttpMethodNotAllowed,
    /// 409
    AlreadyExists {
        /// What exists.
        what: String,
    },
    /// 409: the thing's state does not allow the move.
    IllegalMove {
        /// Where it stands.
        state: String,
        /// Where it may go.
        legal_moves: Vec<String>,
        /// It would be allowed with `unknown_outcome: true`.
        unknown_outcome: bool,
    },
    /// 409: what was given has been spent, so it cannot be taken back.
    ValueSpent {
        /// How much is missing.
        short_by: u64,
    },
    /// 409: another member has this telephone number.
    PhoneInUse,
    /// 404: no member has this telephone number.
    MemberNotFound,
    /// 409: this redemption was taken back before.
    AlreadyReversed,
    /// 403: the time in which staff may take a redemption back is over.
    ReversalWindowOver,
    /// 412
    VersionMismatch,
    /// 413
    TooLarge,
    /// 415
    UnsupportedMediaType,
    /// 422: same key, other command.
    IdempotencyKeyReused,
    /// 428: PATCH without `If-Match`.
    PreconditionRequired,
    /// 429: more requests than anybody needs.
    RateLimited,
    /// 500: the id is in the log too.
    InternalError {
        /// Opaque.
        id: String,
    },
    /// 503
    Overloaded,
}

impl ProtocolError {
    /// Stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::IdempotencyKeyRequired => "idempotency_key_required",
            Self::InvalidToken => "invalid_token",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::HttpMethodNotAllowed => "http_method_not_allowed",
            Self::AlreadyExists { .. } => "already_exists",
            Self::IllegalMove { .. } => "illegal_move",
            Self::ValueSpent { .. } => "value_spent",
            Self::PhoneInUse => "phone_in_use",
            Self::MemberNotFound => "member_not_found",
            Self::AlreadyReversed => "already_reversed",
            Self::ReversalWindowOver => "reversal_window_over",
            Self::VersionMismatch => "version_mismatch",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::PreconditionRequired => "precondition_required",
            Self::RateLimited => "rate_limited",
            Self::InternalError { .. } => "internal_error",
            Self::Overloaded => "overloaded",
        }
    }

    const fn describe(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::InvalidRequest(_) => (400, "The request is not valid", "See `errors` for each part that is wrong."),
            Self::IdempotencyKeyRequired => (
                400,
                "An Idempotency-Key is required",
                "Send a header Idempotency-Key of 1 to 255 visible ASCII characters, made once for this intent.",
            ),
            Self::InvalidToken => (401, "The token is missing or not valid", "Send a fresh bearer token."),
            Self::Forbidden => (403, "This role may not do that", "The token's role does not allow this call."),
            Self::NotFound => (404, "Not found", "There is nothing here for this token."),
            Self::HttpMethodNotAllowed => {
                (405, "This method is not allowed here", "See the Allow header for those that are.")
            }
            Self::AlreadyExists { .. } => (409, "It exists already", "Choose another id, or none."),
            Self::IllegalMove { .. } => (409, "This move is not allowed now", "See `legal_moves`."),
            Self::ValueSpent { .. } => {
                (409, "What was given has been spent", "Correct the balance first: `short_by` is missing.")
            }
            Self::PhoneInUse => (409, "This number belongs to somebody else", "Take it from its member first."),
            Self::MemberNotFound => (404, "No member has this number", "Ask for the number, or register it."),
            Self::AlreadyReversed => (409, "It was reversed before", "What it gave was taken back then."),
            Self::ReversalWindowOver => (403, "It is too late to reverse this", "Staff may for a time; ask a manager."),
            Self::VersionMismatch => {
                (412, "It has changed in the meantime", "Read it again and send its ETag in If-Match.")
            }
            Self::TooLarge => (413, "The body is too large", "Bodies may have 64 KiB, uploads 16 MiB."),
            Self::UnsupportedMediaType => (
                415,
                "This kind of body is not understood",
                "Send Content-Type: application/json; promo codes as text/plain or text/csv in UTF-8.",
            ),
            Self::IdempotencyKeyReused => (
                422,
                "This Idempotency-Key belongs to another request",
                "A key stands for one command; make a new key for a new intent.",
            ),
            Self::PreconditionRequired => {
                (428, "If-Match is required", "Send the ETag of the version that you are changing in If-Match.")
            }
            Self::RateLimited => (429, "Too many requests", "Try again after Retry-After seconds."),
            Self::InternalError { .. } => (500, "Something went wrong here", "Give this id to support."),
            Self::Overloaded => (503, "Too busy at the moment", "Try again after Retry-After seconds, same key."),
        }
    }
}

fn problem(code: &str, status: u16, title: &str, detail: String, instance: &str) -> Problem {
    let mut extras = serde_json::Map::new();
    extras.insert("code".to_owned(), code.into());
    Problem {
        kind: format!("urn:counterfoil:problem:{code}"),
        title: title.to_owned(),
        status,
        detail,
        instance: instance.to_owned(),
        extras,
    }
}

impl Problem {
    /// Of a refusal. `instance` is the route that answered, without its parameters.
    #[must_use]
    pub fn of_refusal(refusal: &Refusal, instance: &str) -> Self {
        let mut problem = problem(refusal.code(), refusal.status(), refusal.title(), refusal.detail(), instance);
        if let Ok(serde_json::Value::Object(extras)) = serde_json::to_value(refusal) {
            problem.extras = extras;
        }
        problem
    }

    /// Of an error.
    #[must_use]
    pub fn of_error(error: &ProtocolError, instance: &str) -> Self {
        let (status, title, detail) = error.describe();
        let mut problem = problem(error.code(), status, title, detail.to_owned(), instance);
        let mut extra = |name: &str, value: serde_json::Value| problem.extras.insert(name.to_owned(), value);
        match error {
            ProtocolError::InvalidRequest(invalid) => {
                let errors: &[PathReason] = &invalid.0;
                extra("errors", serde_json::to_value(errors).unwrap_or_default());
                if let Some(first) = errors.first() {
                    problem.detail = format!("{}: {}", first.path, first.reason);
                }
            }
            ProtocolError::AlreadyExists { what } => problem.detail = format!("{what} exists already."),
            ProtocolError::IllegalMove { state, legal_moves, unknown_outcome } => {
                extra("state", state.clone().into());
                extra("legal_moves", legal_moves.clone().into());
                if *unknown_outcome {
                    extra("unknown_outcome", true.into());
                    problem.detail = "A delivery is under way, or nobody knows what became of one: wait for it, or \
                                      say `unknown_outcome: true`."
                        .to_owned();
                }
            }
            ProtocolError::ValueSpent { short_by } => {
                extra("short_by", (*short_by).into());
            }
            ProtocolError::InternalError { id } => {
                extra("id", id.clone().into());
            }
            ProtocolError::IdempotencyKeyRequired
            | ProtocolError::InvalidToken
            | ProtocolError::Forbidden
            | ProtocolError::NotFound
            | ProtocolError::HttpMethodNotAllowed
            | ProtocolError::PhoneInUse
            | ProtocolError::MemberNotFound
            | ProtocolError::AlreadyReversed
            | ProtocolError::ReversalWindowOver
            | ProtocolError::VersionMismatch
            | ProtocolError::TooLarge
            | ProtocolError::UnsupportedMediaType
            | ProtocolError::IdempotencyKeyReused
            | ProtocolError::PreconditionRequired
            | ProtocolError::RateLimited
            | ProtocolError::Overloaded => {}
        }
        problem
    }
}
