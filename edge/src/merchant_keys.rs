//! A merchant's key epochs: which one mints, and which were revoked.

use crate::answer::Answer;
use crate::calls::Once;
use crate::config::Config;
use crate::due;
use crate::merchant::Merchant;
use crate::merchant_campaigns::CAMPAIGNS_ITEM;
use crate::once::{self, Seen};
use crate::platform::{Fault, SyncStorage, now};
use crate::sql::{first, meta, query, run, set_meta};
use counterfoil_core::audit::Draft;
use counterfoil_core::hex;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{EpochResource, EpochState, InvalidRequest, KeyRing, ProtocolError};
use serde::{Deserialize, Serialize};
use serde_json::json;

const INSTANCE_KEYS: &str = "/v1/keys";
const INSTANCE_ROTATE: &str = "/v1/keys/rotate";
const INSTANCE_REVOKE: &str = "/v1/keys/{epoch}/revoke";

/// Part of the Merchant's schema.
pub(crate) const SCHEMA: [&str; 1] = ["CREATE TABLE IF NOT EXISTS revoked_epochs (
        epoch INTEGER PRIMARY KEY CHECK (epoch BETWEEN 0 AND 7), at INTEGER NOT NULL
    ) STRICT"];

/// Asked of a Merchant.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyOp {
    /// Answered with the ring.
    Read,
    /// Another epoch mints.
    Rotate {
        epoch: Option<u8>,
        reason: Option<String>,
        by: String,
        once: Option<Once>,
    },
    Revoke {
        epoch: u8,
        reason: String,
        by: String,
        once: Option<Once>,
    },
    /// The epoch that mints; answered with [`Minting`].
    Minting,
}

/// See [`KeyOp::Minting`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Minting {
    pub(crate) epoch: Option<u8>,
}

/// Epochs that the merchant revoked, ascending.
pub(crate) fn revoked(storage: &SyncStorage) -> Result<Vec<u8>, Fault> {
    let rows = query(storage, "SELECT epoch FROM revoked_epochs ORDER BY epoch", &[])?;
    Ok(rows.iter().filter_map(|row| u8::try_from(row.number(0)).ok()).collect())
}

/// The epoch that was chosen to mint, whatever became of it since: without a choice, the deployment's first.
fn chosen(storage: &SyncStorage, config: &Config) -> Result<Option<u8>, Fault> {
    match meta(storage, "minting_epoch")? {
        Some(text) => Ok(Some(text.parse().map_err(|_| Fault::new("the minting epoch is no number"))?)),
        None => Ok(config.minting_epoch()),
    }
}

fn choose(storage: &SyncStorage, epoch: u8) -> Result<(), Fault> {
    set_meta(storage, "minting_epoch", &epoch.to_string())
}

/// The epoch that mints; none where it has been revoked and no other was chosen.
pub(crate) fn minting(storage: &SyncStorage, config: &Config) -> Result<Option<u8>, Fault> {
    let revoked = revoked(storage)?;
    let usable = |epoch: &u8| usable(config, &revoked, *epoch);
    Ok(chosen(storage, config)?.filter(usable))
}

fn usable(config: &Config, revoked: &[u8], epoch: u8) -> bool {
    config.roots.epoch(epoch).is_some() && !config.is_revoked(epoch) && !revoked.contains(&epoch)
}

impl Merchant {
    pub(crate) fn keys(&self, op: KeyOp) -> Result<Answer, Fault> {
        let config = Config::of(&self.env)?;
        match op {
            KeyOp::Read => Answer::json(200, &self.ring_of_keys(&config)?),
            KeyOp::Minting => Answer::json(200, &Minting { epoch: minting(&self.storage, &config)? }),
            KeyOp::Rotate { epoch, reason, by, once } => {
                self.decide(&by, Some("keys".to_owned()), INSTANCE_ROTATE, || {
                    self.once_for_keys(once.as_ref(), &config, || self.rotate(epoch, reason.as_deref(), &by, &config))
                })
            }
            KeyOp::Revoke { epoch, reason, by, once } => {
                self.decide(&by, Some("keys".to_owned()), INSTANCE_REVOKE, || {
                    self.once_for_keys(once.as_ref(), &config, || self.revoke(epoch, &reason, &by, &config))
                })
            }
        }
    }

    /// A command about keys: a repeated one shows the keys as they are now.
    fn once_for_keys(
        &self,
        once: Option<&Once>,
        config: &Config,
        command: impl FnOnce() -> Result<Result<(), ProtocolError>, Fault>,
    ) -> Result<Result<Answer, ProtocolError>, Fault> {
        let replayed = match once::seen(&self.storage, once, now())? {
            Seen::Same(_) => true,
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => false,
        };
        if !replayed {
            if let Err(error) = command()? {
                return Ok(Err(error));
            }
            once::keep(&self.storage, once, "", now())?;
        }
        let answer = Answer::json(202, &self.ring_of_keys(config)?)?.header("Location", INSTANCE_KEYS);
        Ok(Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer }))
    }

    /// Another epoch mints: the named one, or the next that there is.
    fn rotate(
        &self,
        epoch: Option<u8>,
        reason: Option<&str>,
        by: &str,
        config: &Config,
    ) -> Result<Result<(), ProtocolError>, Fault> {
        let revoked = revoked(&self.storage)?;
        let before = chosen(&self.storage, config)?;
        let invalid = |reason: &str| Ok(Err(ProtocolError::InvalidRequest(InvalidRequest::one("epoch", reason))));
        let next = match epoch {
            Some(epoch) if config.roots.epoch(epoch).is_none() => {
                return invalid("this deployment has no root of this epoch");
            }
            Some(epoch) if !usable(config, &revoked, epoch) => return invalid("is revoked"),
            Some(epoch) => epoch,
            None => {
                let later =
                    |epoch: &u8| before.is_none_or(|before| *epoch > before) && usable(config, &revoked, *epoch);
                let Some(next) = config.roots.epochs().map(|(epoch, _)| epoch).find(later) else {
                    let state = "no_next_root".to_owned();
                    return Ok(Err(ProtocolError::IllegalMove { state, legal_moves: vec![], unknown_outcome: false }));
                };
                next
            }
        };
        if before != Some(next) {
            choose(&self.storage, next)?;
            let data =
                before.map_or_else(|| json!({ "epoch": next }), |before| json!({ "from": before, "epoch": next }));
            self.note(&Draft::new(by, "keys.rotated").subject("keys").reason(reason).data(data))?;
        }
        Ok(Ok(()))
    }

    /// No code of this epoch is redeemed any more, once every campaign has been told.
    fn revoke(&self, epoch: u8, reason: &str, by: &str, config: &Config) -> Result<Result<(), ProtocolError>, Fault> {
        if config.roots.epoch(epoch).is_none() {
            return Ok(Err(ProtocolError::NotFound));
        }
        if let Some(chosen) = chosen(&self.storage, config)? {
            // From now on the choice does not move by itself: where this epoch minted, nothing mints until somebody says.
            choose(&self.storage, chosen)?;
        }
        let statement = "INSERT INTO revoked_epochs VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING epoch";
        if run(&self.storage, statement, &[u32::from(epoch).into(), now().0.into()])? {
            due::plan(&self.storage, CAMPAIGNS_ITEM, now())?;
            let draft = Draft::new(by, "keys.revoked").subject("keys").reason(Some(reason));
            self.note(&draft.data(json!({ "epoch": epoch })))?;
        }
        Ok(Ok(()))
    }

    fn ring_of_keys(&self, config: &Config) -> Result<KeyRing, Fault> {
        let minting_epoch = minting(&self.storage, config)?;
        let count = |row: crate::sql::Row| (row.number(0), row.number(1));
        let epoch = |epoch: u8, check_value: String| {
            let row =
                first(&self.storage, "SELECT at FROM revoked_epochs WHERE epoch = ?", &[u32::from(epoch).into()])?;
            let revoked_at = row.map(|row| Instant(row.integer(0)));
            let counts = "SELECT count(*), coalesce(sum(revoked >> ?1 & 1), 0) FROM campaign_facts";
            let (campaigns, done) = first(&self.storage, counts, &[u32::from(epoch).into()])?.map_or((0, 0), count);
            let state = match revoked_at {
                _ if config.is_revoked(epoch) => EpochState::Revoked,
                Some(_) if done < campaigns => EpochState::Revoking,
                Some(_) => EpochState::Revoked,
                None if minting_epoch == Some(epoch) => EpochState::Minting,
                None => EpochState::Active,
            };
            Ok(EpochResource {
                epoch,
                state,
                check_value,
                revoked_at,
                campaigns: revoked_at.map(|_| campaigns),
                campaigns_done: revoked_at.map(|_| done),
            })
        };
        let roots = config.roots.epochs().map(|(number, root)| epoch(number, hex::encode(&root.check_value())));
        Ok(KeyRing { minting_epoch, epochs: roots.collect::<Result<_, Fault>>()? })
    }
}
