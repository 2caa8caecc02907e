//! What a Campaign stores of its rules and of the shards that work by them.

use crate::defect::Defect;
use crate::disk::Stored;
use crate::due::Due;
use crate::message::Change;
use counterfoil_core::alias::Alias;
use counterfoil_core::protocol::portion::{Lot, Meter};
use counterfoil_core::ranges;
use counterfoil_core::rules::{Rules, SeqRange};
use counterfoil_core::wire::CampaignStatus;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is known of one shard's part of a meter.
#[derive(Clone, Debug, Default)]
pub(crate) struct LotRow {
    pub(crate) lot: Lot,
    /// The version of the rules by which the shard last told its part.
    pub(crate) version: u32,
    /// The limit when it was last given something.
    pub(crate) by_limit: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct CampaignState {
    pub(crate) rules: Rc<Rules>,
    /// Shards, with the version that each is known to have.
    pub(crate) shards: BTreeMap<u32, u32>,
    pub(crate) lots: BTreeMap<(Meter, u32), LotRow>,
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
    pub(crate) fn change(&mut self, change: &Change, defect: Option<Defect>) -> bool {
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
            Change::Window(window) => {
                rules.windows.retain(|known| known.per != window.per);
                rules.windows.push(*window);
            }
            Change::Budget(amount_minor) => {
                if let Some(budget) = &mut rules.budget {
                    budget.amount_minor = *amount_minor;
                }
            }
            Change::Recall(range) => rules.recalled = ranges::with(&rules.recalled, *range),
            Change::RecallAll => {
                let minted = rules.issued.last().map_or(0, |range| range.to);
                let word = rules.alias_seq.filter(|_| defect != Some(Defect::WordNotRecalled)).map_or(0, |seq| seq + 1);
                rules.recalled = ranges::with(&rules.recalled, SeqRange { from: 0, to: minted.max(word) });
            }
            Change::AddAlias(word) => {
                rules.aliases.extend(Alias::read(word).filter(|alias| !rules.aliases.contains(alias)));
            }
            Change::DropAlias(word) => {
                let alias = Alias::read(word);
                rules.aliases.retain(|known| Some(known) != alias.as_ref());
            }
            Change::Mint(codes, epoch) => {
                if rules.status == CampaignStatus::Ended {
                    return false;
                }
                if let Some(mut range) = rules.issued.last().cloned() {
                    (range.from, range.to, range.epoch) = (range.to, range.to + codes, *epoch);
                    rules.issued.push(range);
                }
            }
        }
        if rules == *self.rules {
            return false;
        }
        let silent = matches!(change, Change::Recall(_) | Change::RecallAll) && defect == Some(Defect::RecallUnpushed);
        rules.version += u32::from(!silent);
        self.rules = Rc::new(rules);
        true
    }

    /// The merchant has revoked these epochs; answers whether that is news.
    pub(crate) fn revoke(&mut self, epochs: &[u8]) -> bool {
        let mut rules = (*self.rules).clone();
        rules.revoked_epochs.extend(epochs);
        rules.revoked_epochs.sort_unstable();
        rules.revoked_epochs.dedup();
        let news = rules.revoked_epochs != self.rules.revoked_epochs;
        if news {
            rules.version += 1;
            self.rules = Rc::new(rules);
        }
        news
    }

    pub(crate) fn behind(&self, version: u32) -> Vec<u32> {
        self.shards.iter().filter(|(_, known)| **known < version).map(|(shard, _)| *shard).collect()
    }
}
