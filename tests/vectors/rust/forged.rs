//! Well-formed codes held against keys.

use crate::keys::derive;
use crate::{Case, same};
use counterfoil_core::code::check;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgedCase {
    name: String,
    root_hex: String,
    environment: String,
    merchant: String,
    profile: String,
    epoch: u8,
    campaign: u16,
    code: String,
    authentic: bool,
    #[serde(default)]
    seq: Option<u32>,
}

impl Case for ForgedCase {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run(&self) -> Result<(), String> {
        let secret = (self.root_hex.as_str(), self.environment.as_str(), self.merchant.as_str());
        let keys = derive(secret, (&self.profile, self.epoch, self.campaign))?;
        let code = check(&self.code).map_err(|error| error.reason().to_owned())?;
        let seq = keys.verify(&code).ok().map(|authentic| authentic.seq());
        same("authentic", &seq.is_some(), &self.authentic)?;
        same("the tag's fit", &keys.tag_fits(&code), &self.authentic)?;
        same("seq", &seq, &self.seq)
    }
}
