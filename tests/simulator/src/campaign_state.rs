//! What a Campaign stores of its rules and of the shards that work by them.

use crate::disk::Stored;
use crate::due::Due;
use crate::message::Change;
use counterfoil_core::rules::Rules;
use counterfoil_core::wire::CampaignStatus;
use std::collections::BTreeMap;
use std::rc::Rc;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct CampaignState {
    pub(crate) rules: Rc<Rules>,
    /// Shards, with the version that each is known to have.
    pub(crate) shards: BTreeMap<u32, u32>,
    pub(crate) due: Due,
}

impl Stored for CampaignState {
    fn due(&self) -> &Due {
        &self.due
    }

    fn due_mut(&mut self) -> &mut Due {
        &mut self.due
    }
}

impl CampaignState {
    /// Applies a change in a new version; `false` where nothing changes or the move is not legal.
    pub(crate) fn change(&mut self, change: &Change) -> bool {
        let mut rules = (*self.rules).clone();
        match change {
            Change::Move(to) => {
                if !rules.status.legal_moves().iter().any(|(_, reached)| reached == to) {
                    return false;
                }
                rules.status = *to;
            }
            Change::Total(total) => rules.total = *total,
            Change::PerMember(limit) => rules.per_member = *limit,
            Change::Worth(value) => {
                rules.reward.value = value.clone();
                rules.reward.version += 1;
            }
            Change::MinEpoch(epoch) => rules.min_epoch = *epoch,
            Change::Mint(codes) => {
                if rules.status == CampaignStatus::Ended {
                    return false;
                }
                if let Some(mut range) = rules.issued.last().cloned() {
                    (range.from, range.to) = (range.to, range.to + codes);
                    rules.issued.push(range);
                }
            }
        }
        if rules == *self.rules {
            return false;
        }
        rules.version += 1;
        self.rules = Rc::new(rules);
        true
    }

    pub(crate) fn behind(&self, version: u32) -> Vec<u32> {
        self.shards.iter().filter(|(_, known)| **known < version).map(|(shard, _)| *shard).collect()
    }
}
