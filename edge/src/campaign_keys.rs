//! A campaign's keys for a print shop: whether they may be exported, decided once. The keys themselves are derived by the
//! Worker and are nowhere stored.

use crate::calls::Once;
use crate::campaign::{Campaign, illegal, illegal_state};
use crate::once::{self, Seen};
use crate::platform::{Fault, now};
use counterfoil_core::audit::Draft;
use counterfoil_core::code::Profile;
use counterfoil_core::wire::{CampaignStatus, ProtocolError};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The export that was allowed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Exported {
    pub(crate) profile: Profile,
    pub(crate) epoch: u8,
    pub(crate) replayed: bool,
}

impl Campaign {
    /// Decides whether the keys of an epoch may leave: once, and not after codes of theirs were delivered, for whoever has
    /// the keys could make those codes again.
    pub(crate) fn export_key(
        &self,
        epoch: Option<u8>,
        reason: &str,
        by: &str,
        once: Option<&Once>,
    ) -> Result<Result<Exported, ProtocolError>, Fault> {
        let Some(mut stored) = self.stored()? else { return Ok(Err(ProtocolError::NotFound)) };
        let profile = stored.definition.profile;
        match once::seen(&self.storage, once, now())? {
            Seen::Same(epoch) => {
                let epoch = epoch.parse().map_err(|_| Fault::new("an exported epoch is no number"))?;
                return Ok(Ok(Exported { profile, epoch, replayed: true }));
            }
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => {}
        }
        if stored.status == CampaignStatus::Ended {
            return Ok(Err(illegal(stored.status)));
        }
        let Some(epoch) = epoch else { return Ok(Err(illegal_state("no_minting_epoch"))) };
        if stored.exported_epochs.contains(&epoch) {
            return Ok(Err(illegal_state("exported")));
        }
        if self.has_delivered(epoch)? {
            return Ok(Err(illegal_state("delivered")));
        }
        stored.exported_epochs.push(epoch);
        self.store(&stored)?;
        once::keep(&self.storage, once, &epoch.to_string(), now())?;
        let draft = Draft::new(by, "campaign.key_exported").reason(Some(reason));
        self.note(&draft.data(json!({ "epoch": epoch, "profile": profile.name() })))?;
        Ok(Ok(Exported { profile, epoch, replayed: false }))
    }
}
