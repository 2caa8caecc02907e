//! Everything that is kept of one member, for whoever asks for their own data.

use super::audit::AuditRow;
use super::feed::Event;
use super::hold::Hold;
use super::redemption::Redemption;
use super::reward::{MemberResource, Reward};
use super::wallet::{LedgerRow, Wallet};
use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/members/{id}/export`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct MemberExport {
    /// Who they are.
    pub member: MemberResource,
    /// What they have.
    pub wallet: Wallet,
    /// Every row, the latest first.
    pub ledger: Vec<LedgerRow>,
    /// Every redemption, the latest first.
    pub redemptions: Vec<Redemption>,
    /// Every reward, the latest first.
    pub rewards: Vec<Reward>,
    /// Every hold that is kept.
    pub holds: Vec<Hold>,
    /// What their feed still has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
    /// Their chain of entries, the earliest first.
    pub audit: Vec<AuditRow>,
}
