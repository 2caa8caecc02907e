//! A merchant's API keys, in its Merchant: hashes of their secrets, never the secrets.

use crate::answer::Answer;
use crate::audit_log;
use crate::calls::{Once, PageQuery};
use crate::merchant::{CHAIN, cut};
use crate::once::{self, Seen};
use crate::platform::{Fault, SyncStorage, now};
use crate::sql::{first, query, run};
use counterfoil_core::audit::Draft;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{ApiKeyResource, NewApiKey, Page, ProtocolError, Scope};
use serde::{Deserialize, Serialize};
use serde_json::json;

const INSTANCE_KEYS: &str = "/v1/api-keys";
const INSTANCE_KEY: &str = "/v1/api-keys/{key_id}";

/// Part of the Merchant's schema. A deleted key keeps its row, so that deleting it again is known for what it is.
pub(crate) const SCHEMA: [&str; 1] = ["CREATE TABLE IF NOT EXISTS api_keys (
        n INTEGER PRIMARY KEY, key_id TEXT NOT NULL UNIQUE, hash TEXT NOT NULL CHECK (length(hash) = 64),
        doc TEXT NOT NULL, deleted_at INTEGER
    ) STRICT"];

/// Asked of a Merchant.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ApiKeyOp {
    Create {
        new: NewApiKey,
        key_id: String,
        /// SHA-256 of its secret, in hexadecimal.
        hash: String,
        /// The key itself: for the answer alone.
        key: String,
        by: String,
        once: Option<Once>,
    },
    List(PageQuery),
    Read {
        key_id: String,
    },
    Delete {
        key_id: String,
        by: String,
    },
    /// Is this key good? Answered with [`Standing`], or null.
    Standing {
        key_id: String,
        hash: String,
    },
}

/// What a key may do.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) scopes: Vec<Scope>,
    pub(crate) expires_at: Option<Instant>,
}

/// Answers one call, in one transaction.
pub(crate) fn answer(storage: &SyncStorage, op: ApiKeyOp) -> Result<Answer, Fault> {
    storage.transaction(|| match op {
        ApiKeyOp::Create { new, key_id, hash, key, by, once } => {
            match create(storage, new, (&key_id, &hash), key, &by, once.as_ref())? {
                Ok(answer) => Ok(answer),
                Err(error) => {
                    note(storage, &audit_log::refused(&by, None, INSTANCE_KEYS, &error))?;
                    Answer::error(&error, INSTANCE_KEYS)
                }
            }
        }
        ApiKeyOp::List(page) => list(storage, &page),
        ApiKeyOp::Read { key_id } => match live(storage, &key_id)? {
            Some((resource, _)) => Answer::json(200, &resource),
            None => Answer::error(&ProtocolError::NotFound, INSTANCE_KEY),
        },
        ApiKeyOp::Delete { key_id, by } => delete(storage, &key_id, &by),
        ApiKeyOp::Standing { key_id, hash } => {
            let standing = live(storage, &key_id)?.filter(|(_, stored)| *stored == hash);
            let standing =
                standing.map(|(ApiKeyResource { scopes, expires_at, .. }, _)| Standing { scopes, expires_at });
            Answer::json(200, &standing)
        }
    })
}

fn note(storage: &SyncStorage, draft: &Draft) -> Result<(), Fault> {
    audit_log::append(storage, (CHAIN, false), draft, None, vec![], vec![], now())
}

/// A key that is not deleted, and the hash of its secret.
fn live(storage: &SyncStorage, key_id: &str) -> Result<Option<(ApiKeyResource, String)>, Fault> {
    let statement = "SELECT doc, hash FROM api_keys WHERE key_id = ? AND deleted_at IS NULL";
    first(storage, statement, &[key_id.into()])?.map(|row| Ok((row.json(0)?, row.text(1)?))).transpose()
}

fn create(
    storage: &SyncStorage,
    new: NewApiKey,
    (key_id, hash): (&str, &str),
    key: String,
    by: &str,
    once: Option<&Once>,
) -> Result<Result<Answer, ProtocolError>, Fault> {
    match once::seen(storage, once, now())? {
        // What was made then, without the key; also where it has been deleted since.
        Seen::Same(key_id) => {
            let row = first(storage, "SELECT doc FROM api_keys WHERE key_id = ?", &[(&key_id).into()])?;
            let resource = row.ok_or_else(|| Fault::new("an API key is missing"))?.json(0)?;
            return Ok(Ok(created(&resource)?.header("Idempotent-Replayed", "true")));
        }
        Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
        Seen::New => {}
    }
    let NewApiKey { name, scopes, expires_at } = new;
    let (key_id, by, created_at) = (key_id.to_owned(), by.to_owned(), now());
    let resource = ApiKeyResource { key_id, name, scopes, key: None, created_at, by, expires_at };
    let doc = serde_json::to_string(&resource)?;
    let values = [(&resource.key_id).into(), hash.into(), (&doc).into()];
    run(storage, "INSERT INTO api_keys (key_id, hash, doc) VALUES (?, ?, ?)", &values)?;
    once::keep(storage, once, &resource.key_id, now())?;
    let ApiKeyResource { key_id, name, scopes, by, expires_at, .. } = &resource;
    let data = expires_at.map_or_else(
        || json!({ "name": name, "scopes": scopes }),
        |at| json!({ "name": name, "scopes": scopes, "expires_at": at }),
    );
    note(storage, &Draft::new(by.clone(), "api_key.created").subject(key_id).data(data))?;
    created(&ApiKeyResource { key: Some(key), ..resource }).map(Ok)
}

fn created(resource: &ApiKeyResource) -> Result<Answer, Fault> {
    Ok(Answer::json(201, resource)?.header("Location", format!("{INSTANCE_KEYS}/{}", resource.key_id)))
}

fn list(storage: &SyncStorage, page: &PageQuery) -> Result<Answer, Fault> {
    let statement = "SELECT n, doc FROM api_keys WHERE deleted_at IS NULL AND (?1 IS NULL OR n < ?1)
        ORDER BY n DESC LIMIT ?2";
    let mut rows = query(storage, statement, &[page.before.into(), (page.limit + 1).into()])?;
    let next_cursor = cut(&mut rows, page.limit);
    let items: Vec<ApiKeyResource> = rows.iter().map(|row| row.json(1)).collect::<Result<_, _>>()?;
    Answer::json(200, &Page { items, next_cursor })
}

fn delete(storage: &SyncStorage, key_id: &str, by: &str) -> Result<Answer, Fault> {
    let statement = "UPDATE api_keys SET deleted_at = ?2 WHERE key_id = ?1 AND deleted_at IS NULL RETURNING n";
    if run(storage, statement, &[key_id.into(), now().0.into()])? {
        note(storage, &Draft::new(by, "api_key.deleted").subject(key_id))?;
        return Ok(Answer::empty(204));
    }
    if run(storage, "SELECT 1 FROM api_keys WHERE key_id = ?", &[key_id.into()])? {
        Ok(Answer::empty(204))
    } else {
        Answer::error(&ProtocolError::NotFound, INSTANCE_KEY)
    }
}
