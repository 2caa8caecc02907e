//! A Merchant's settings; and, in the environment's own object, the list of merchants that exist.

use crate::answer::Answer;
use crate::audit_log;
use crate::due;
use crate::merchant::{CHAIN, ENVIRONMENT_OBJECT};
use crate::merchant_calls::{MerchantNames, MerchantOp};
use crate::objects::{Objects, within};
use crate::platform::{Fault, SyncStorage, now};
use crate::sql::{meta, query, run, set_meta};
use counterfoil_core::audit::Draft;
use counterfoil_core::wire::{ProtocolError, Settings};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use worker::Env;

pub(crate) const INSTANCE: &str = "/v1/settings";
/// Due-item that tells the environment's object of this merchant.
pub(crate) const LISTED_ITEM: &str = "listed";
/// Longest wait for the environment's object.
const ENVIRONMENT_WAIT: Duration = Duration::from_secs(8);

/// Part of the schema: merchants that exist, in the environment's object.
pub(crate) const SCHEMA: [&str; 1] =
    ["CREATE TABLE IF NOT EXISTS merchants (merchant TEXT PRIMARY KEY) STRICT, WITHOUT ROWID"];

/// Settings as they are stored.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    settings: Settings,
}

fn kept(storage: &SyncStorage) -> Result<Kept, Fault> {
    match meta(storage, "settings")? {
        Some(text) => Ok(counterfoil_core::json::read(&text)?),
        None => Ok(Kept { version: 1, settings: Settings::default() }),
    }
}

/// The settings.
pub(crate) fn current(storage: &SyncStorage) -> Result<Settings, Fault> {
    Ok(kept(storage)?.settings)
}

fn shown(kept: &Kept) -> Result<Answer, Fault> {
    Ok(Answer::json(200, &kept.settings)?.header("ETag", format!("\"{}\"", kept.version)))
}

/// The settings, with their version as ETag.
pub(crate) fn read(storage: &SyncStorage) -> Result<Answer, Fault> {
    shown(&kept(storage)?)
}

/// Applies a merge patch. Run inside a transaction.
pub(crate) fn patch(
    storage: &SyncStorage,
    if_match: Option<u32>,
    patch: &Value,
    by: &str,
) -> Result<Result<Answer, ProtocolError>, Fault> {
    let before = kept(storage)?;
    let Some(if_match) = if_match else { return Ok(Err(ProtocolError::PreconditionRequired)) };
    if if_match != before.version {
        return Ok(Err(ProtocolError::VersionMismatch));
    }
    let settings = match before.settings.patched(patch) {
        Ok(settings) => settings,
        Err(invalid) => return Ok(Err(ProtocolError::InvalidRequest(invalid))),
    };
    if settings == before.settings {
        return shown(&before).map(Ok);
    }
    let after = Kept { version: before.version + 1, settings };
    set_meta(storage, "settings", &serde_json::to_string(&after)?)?;
    let data = serde_json::json!({ "version": after.version, "patch": patch });
    let draft = Draft::new(by, "settings.changed").subject("settings").data(data);
    audit_log::append(storage, (CHAIN, false), &draft, None, vec![], vec![], now())?;
    shown(&after).map(Ok)
}

/// Plans to tell the environment's object of this merchant, where it has not been told.
pub(crate) fn enlist(storage: &SyncStorage) -> Result<(), Fault> {
    let known = "SELECT 1 FROM meta WHERE key = 'listed' UNION ALL SELECT 1 FROM due WHERE id = ? LIMIT 1";
    if run(storage, known, &[LISTED_ITEM.into()])? { Ok(()) } else { due::plan(storage, LISTED_ITEM, now()) }
}

/// The alarm's turn: tells it. A failure is tried again with growing pauses.
pub(crate) async fn tell_environment(storage: &SyncStorage, env: &Env, name: &str) -> Result<(), Fault> {
    let (objects, op) = (Objects(env), MerchantOp::MerchantBorn { merchant: name.to_owned() });
    let answer = within(ENVIRONMENT_WAIT, "the environment's list", objects.merchant(ENVIRONMENT_OBJECT, &op)).await?;
    if answer.status_code() != 204 {
        return Err(Fault::late("the environment's list was not told of this merchant"));
    }
    storage.transaction(|| {
        set_meta(storage, "listed", "1")?;
        due::done(storage, LISTED_ITEM)
    })
}

/// In the environment's object: a merchant exists.
pub(crate) fn born(storage: &SyncStorage, merchant: &str) -> Result<Answer, Fault> {
    run(storage, "INSERT INTO merchants VALUES (?) ON CONFLICT DO NOTHING", &[merchant.into()])?;
    Ok(Answer::empty(204))
}

/// In the environment's object: merchants by name, after `after`.
pub(crate) fn merchants(storage: &SyncStorage, after: &str, limit: u32) -> Result<Answer, Fault> {
    let statement = "SELECT merchant FROM merchants WHERE merchant > ? ORDER BY merchant LIMIT ?";
    let rows = query(storage, statement, &[after.into(), limit.into()])?;
    let merchants = rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
    Answer::json(200, &MerchantNames { merchants })
}
