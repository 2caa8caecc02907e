//! Seqs that minting skips.

use crate::keys::derive;
use crate::{Case, same};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WordsCase {
    name: String,
    root_hex: String,
    environment: String,
    merchant: String,
    profile: String,
    epoch: u8,
    campaign: u16,
    from: u32,
    count: u32,
    last_seq: u32,
    skipped: Vec<u32>,
}

impl Case for WordsCase {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run(&self) -> Result<(), String> {
        let secret = (self.root_hex.as_str(), self.environment.as_str(), self.merchant.as_str());
        let keys = derive(secret, (&self.profile, self.epoch, self.campaign))?;
        let wanted: Vec<u32> =
            (self.from..=self.last_seq).filter(|seq| self.skipped.binary_search(seq).is_err()).collect();
        let found: Vec<u32> = keys.mint_codes(self.from, self.count).map(|minted| minted.seq).collect();
        same("seqs", &found, &wanted)?;
        let authentic = |seq: &u32| keys.mint(*seq).is_some_and(|code| keys.verify(&code).is_ok());
        same("that skipped codes are authentic", &self.skipped.iter().all(authentic), &true)
    }
}
