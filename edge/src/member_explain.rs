//! What the rules read of a member, for an explanation. Nothing is written, and nobody becomes known by being asked about.

use crate::explain::{ExplainCall, MemberFacts};
use crate::member::Inner;
use crate::platform::{Fault, now};

impl Inner {
    pub(crate) fn explain(&self, asked: &ExplainCall) -> Result<MemberFacts, Fault> {
        let ExplainCall { campaign, guard, alias, at } = asked;
        let store = self.store();
        let (uses, days) = match campaign {
            Some(campaign) => store.campaign_uses(*campaign, *at)?,
            None => (0, vec![]),
        };
        Ok(MemberFacts {
            attributes: store.attributes()?,
            roles: store.profile()?.roles.unwrap_or_default(),
            uses,
            days,
            attempts: store.attempts(guard, *alias, *at)?,
            points: store.wallet(now())?.points,
        })
    }
}
