//! The invariants of key epochs: what was revoked reaches every campaign and shard, and is said to be in force only then.

use crate::due::Item;
use crate::message::{Party, Ring};
use crate::oracle::{Checked, Oracle, armed, ensure, is_parked};
use crate::world::World;
use std::collections::BTreeSet;

/// What is remembered of a merchant's keys.
#[derive(Default)]
pub(crate) struct KnownKeys {
    /// Rotations that somebody asked for, by their keys.
    pub(crate) rotations: BTreeSet<String>,
    /// Epochs whose revocation was acknowledged.
    pub(crate) revoked: BTreeSet<u8>,
    /// … and said to be in force everywhere.
    pub(crate) in_force: BTreeSet<u8>,
}

impl Oracle {
    /// After each commit of the Merchant.
    pub(crate) fn keys(&self, world: &World) -> Checked {
        let state = world.endpoint.safe();
        let keys = &state.keys;
        // Each goes on to the next epoch that is not revoked.
        let most = self.keys.rotations.len() + keys.revoked.len();
        ensure(usize::from(keys.chosen) <= most, "I5", || {
            format!("epoch {} mints after {} rotations", keys.chosen, self.keys.rotations.len())
        })?;
        for (campaign, has) in &keys.informed {
            let rules = world.campaigns.get(*campaign).map(|disk| std::rc::Rc::clone(&disk.safe().rules));
            let lacks =
                has.iter().find(|epoch| !rules.as_ref().is_some_and(|rules| rules.revoked_epochs.contains(epoch)));
            ensure(lacks.is_none(), "rules", || format!("C{campaign} is said to know that {lacks:?} is revoked"))?;
        }
        if (0..world.campaigns.len()).any(|campaign| keys.is_behind(campaign)) {
            let what = || "a campaign lacks what was revoked".to_owned();
            armed(world, Party::Merchant, &state.due, Item::Campaigns, None, what)?;
        }
        Ok(())
    }

    /// Somebody was shown the keys; `revoked` are epochs whose revocation was acknowledged before they asked.
    pub(crate) fn shown_keys(&mut self, world: &World, ring: &Ring, revoked: &BTreeSet<u8>) -> Checked {
        ensure(ring.minting.is_none_or(|epoch| !revoked.contains(&epoch)), "keys", || {
            format!("epoch {:?} mints, and was revoked", ring.minting)
        })?;
        let gone = revoked.iter().find(|epoch| !ring.revoked.iter().any(|(known, _)| known == *epoch));
        ensure(gone.is_none(), "I4", || format!("{gone:?} was revoked, and that is gone"))?;
        for (epoch, _) in ring.revoked.iter().filter(|(_, in_force)| *in_force) {
            for (n, disk) in world.shards.iter().enumerate() {
                let rules = disk.safe().rules.clone();
                ensure(rules.is_none_or(|rules| rules.revoked_epochs.contains(epoch)), "rules", || {
                    format!("epoch {epoch} is said to be revoked everywhere, P{n} does not know it")
                })?;
            }
            self.keys.in_force.insert(*epoch);
        }
        Ok(())
    }

    /// At the end everybody knows.
    pub(crate) fn keys_known(&self, world: &World) -> Checked {
        let state = world.endpoint.safe();
        if is_parked(world, Party::Merchant, &state.due, Item::Campaigns) {
            return Ok(());
        }
        let behind = (0..world.campaigns.len()).find(|campaign| state.keys.is_behind(*campaign));
        ensure(behind.is_none(), "rules", || format!("C{behind:?} never heard what was revoked"))
    }
}
