//! A merchant's key epochs, and how its campaigns learn which were revoked: `edge/src/merchant_keys.rs` and the part of
//! `edge/src/merchant_campaigns.rs` that tells them.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::due::Item;
use crate::merchant::{Merchant, MerchantState};
use crate::message::{KeyCall, Party, Reply, Request, Ring};
use crate::step::Step;
use counterfoil_core::protocol::backoff_ms;
use futures_util::future::{Either, join_all, select};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;

/// Epochs that the deployment has roots of.
pub(crate) const EPOCHS: u8 = 4;
/// Longest wait for a campaign.
const CAMPAIGN_WAIT_MS: i64 = 8_000;
/// Pause before campaigns are told again.
const TELL_TRIES: u32 = 2;

/// What a Merchant stores of keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// The epoch that was chosen to mint, whatever became of it since.
    pub(crate) chosen: u8,
    pub(crate) revoked: BTreeSet<u8>,
    /// Revoked epochs that each campaign is known to have in force.
    pub(crate) informed: BTreeMap<usize, BTreeSet<u8>>,
    /// Keys of commands that were carried out.
    pub(crate) once: BTreeSet<String>,
}

impl Keys {
    pub(crate) fn is_behind(&self, campaign: usize) -> bool {
        !self.informed.get(&campaign).is_some_and(|has| has.is_superset(&self.revoked)) && !self.revoked.is_empty()
    }
}

impl Merchant {
    pub(crate) fn keys(&self, call: &KeyCall) -> Result<Reply, Fault> {
        match call {
            KeyCall::Rotate(key) => self.storage.step(Step::KeysWritten, |state| self.rotate(state, key))?,
            KeyCall::Revoke(epoch) => self.storage.step(Step::KeysWritten, |state| self.revoke(state, *epoch))?,
            KeyCall::Read => {}
        }
        let (state, campaigns) = (self.storage.read()?, self.world.campaigns.len());
        let keys = &state.keys;
        let mints = !keys.revoked.contains(&keys.chosen) || self.world.has(Defect::RevokedMints);
        let has = |epoch: &u8, campaign| keys.informed.get(&campaign).is_some_and(|has| has.contains(epoch));
        let in_force = |epoch: &u8| (0..campaigns).all(|campaign| has(epoch, campaign));
        Ok(Reply::Keys(Ring {
            minting: mints.then_some(keys.chosen),
            revoked: keys.revoked.iter().map(|epoch| (*epoch, in_force(epoch))).collect(),
        }))
    }

    /// The next epoch mints, where there is one.
    fn rotate(&self, state: &mut MerchantState, key: &str) {
        let keys = &mut state.keys;
        if keys.once.contains(key) {
            return;
        }
        let usable = |epoch: &u8| !keys.revoked.contains(epoch);
        let next = (keys.chosen + 1..EPOCHS).find(usable);
        keys.chosen = next.unwrap_or(keys.chosen);
        if next.is_some() && !self.world.has(Defect::RotationUnkept) {
            keys.once.insert(key.to_owned());
        }
    }

    fn revoke(&self, state: &mut MerchantState, epoch: u8) {
        let now = self.now();
        if state.keys.revoked.insert(epoch) && !self.world.has(Defect::RevokedUnplanned) {
            state.due.plan(Item::Campaigns, now, now);
        }
    }

    /// The alarm's turn: tells campaigns what they lack.
    pub(crate) async fn tell_campaigns(&self) -> Result<(), Fault> {
        let (epochs, behind) = {
            let state = self.storage.read()?;
            let behind = (0..self.world.campaigns.len()).filter(|campaign| state.keys.is_behind(*campaign));
            (state.keys.revoked.clone(), behind.collect::<Vec<_>>())
        };
        let message: Rc<Vec<u8>> = Rc::new(epochs.iter().copied().collect());
        let calls = behind.iter().map(|campaign| self.tell_one(*campaign, Rc::clone(&message)));
        let answered = join_all(calls).await;
        let (now, random) = (self.now(), self.world.random_u32());
        self.storage.step(Step::Informed, |state| {
            for (campaign, in_force) in behind.iter().zip(answered) {
                if in_force {
                    state.keys.informed.entry(*campaign).or_default().extend(&epochs);
                }
            }
            // Others may have been revoked meanwhile.
            let since = state.keys.revoked != epochs && self.world.has(Defect::RevokedMeanwhile);
            let left = (0..self.world.campaigns.len()).any(|campaign| state.keys.is_behind(campaign));
            if left && !since {
                state.due.plan(Item::Campaigns, now.plus_ms(backoff_ms(TELL_TRIES, random)), now);
            } else {
                state.due.done(Item::Campaigns);
            }
        })
    }

    /// Whether a campaign has it in force.
    async fn tell_one(&self, campaign: usize, epochs: Rc<Vec<u8>>) -> bool {
        let asking = self.world.call(Party::Campaign(campaign), Step::Revoked, Request::Revoked(epochs));
        match select(asking, pin!(self.world.delay(CAMPAIGN_WAIT_MS))).await {
            Either::Left((Ok(Ok(Reply::Administered { in_force, .. })), _)) => {
                in_force || self.world.has(Defect::InformedEarly)
            }
            Either::Left(_) | Either::Right(_) => false,
        }
    }
}
