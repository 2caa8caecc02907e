//! Everything that is stored about a member, for whoever asks for their own data.

use crate::answer::Answer;
use crate::calls::MemberOp;
use crate::inbound::{Inbound, Stop};
use crate::member::Inner;
use crate::objects::Objects;
use crate::platform::{Fault, now};
use crate::redeem::Target;
use crate::sql::{Row, query};
use counterfoil_core::checkout::resource;
use counterfoil_core::token::Role;
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{AuditRow, MemberExport, ProtocolError};
use worker::Response;

/// More rows than anybody has: everything.
const ALL: u32 = i32::MAX.unsigned_abs();

/// `GET /v1/members/{id}/export`.
pub(crate) async fn export(inbound: Inbound<'_>, objects: &Objects<'_>, target: &Target) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    // The id is not handed over: asking for somebody must not be what makes them known.
    inbound.send_to(objects, &target.mref, MemberOp::Export).await
}

impl Inner {
    /// The whole of it; a member who is not known, or no more, has nothing.
    pub(crate) fn export(&self, instance: &str) -> Result<Answer, Fault> {
        if self.who().is_err() || self.is_erased() {
            return Answer::error(&ProtocolError::NotFound, instance);
        }
        let store = self.store();
        let (config, merchant) = (self.config()?, self.merchant()?);
        let names = Names { key: &config.id_key, merchant: &merchant };
        let mut holds = vec![];
        for hold in store.all_holds()? {
            let remaining = self.order_remaining(&hold.order)?;
            holds.push(resource(&hold, remaining, &names));
        }
        let entry = |row: &Row| Ok(AuditRow { entry: row.json(0)?, hash: row.text(1)? });
        let audit = query(&self.storage, "SELECT entry, hash FROM audit ORDER BY n", &[])?;
        let whole = MemberExport {
            member: self.resource()?,
            wallet: store.wallet(now())?,
            ledger: store.ledger(None, ALL)?.into_iter().map(|(_, row)| row).collect(),
            redemptions: store.latest(ALL)?,
            rewards: store.rewards(None, None, ALL)?.into_iter().map(|(_, reward)| reward).collect(),
            holds,
            events: Some(store.events(0, ALL)?),
            audit: audit.iter().map(entry).collect::<Result<_, Fault>>()?,
        };
        let name = format!("attachment; filename=\"member-{}.json\"", whole.member.member);
        Ok(Answer::json(200, &whole)?.header("Content-Disposition", name))
    }
}
