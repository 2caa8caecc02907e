//! Roots, names, and codes as they are minted.

use crate::{Case, same};
use counterfoil_core::code::{Profile, WellFormedCode, check};
use counterfoil_core::hex;
use counterfoil_core::keys::{CampaignKeys, Environment, MerchantId, Root};
use serde::Deserialize;

/// The keys of a campaign by the names that a case gives.
///
/// # Errors
/// Which of them is not legal.
pub(crate) fn derive(
    (root_hex, environment, merchant): (&str, &str, &str),
    (profile, epoch, campaign): (&str, u8, u16),
) -> Result<CampaignKeys, String> {
    let root = Root::from_hex(root_hex).map_err(|error| error.to_string())?;
    let environment = Environment::new(environment).map_err(|error| error.to_string())?;
    let merchant = MerchantId::new(merchant).map_err(|error| error.to_string())?;
    let profile = Profile::from_name(profile).ok_or_else(|| format!("there is no profile {profile}"))?;
    CampaignKeys::derive(&root, &environment, &merchant, profile, epoch, campaign).map_err(|error| error.to_string())
}

/// A tag as the vectors write it.
pub(crate) fn tag_hex(code: &WellFormedCode) -> String {
    let digits = usize::try_from(code.profile().tag_bits() / 4).unwrap_or_default();
    format!("{:0digits$x}", code.tag())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MintedCase {
    name: String,
    root_hex: String,
    environment: String,
    merchant: String,
    profile: String,
    epoch: u8,
    campaign: u16,
    seq: u32,
    serial: u32,
    tag_hex: String,
    code: String,
}

impl Case for MintedCase {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run(&self) -> Result<(), String> {
        let secret = (self.root_hex.as_str(), self.environment.as_str(), self.merchant.as_str());
        let keys = derive(secret, (&self.profile, self.epoch, self.campaign))?;
        let minted = keys.mint(self.seq).ok_or("the seq is past the end")?;
        same("serial", &minted.serial(), &self.serial)?;
        same("tag", &tag_hex(&minted), &self.tag_hex)?;
        same("code", &minted.canonical().as_str(), &self.code.as_str())?;
        let read = check(&self.code).map_err(|error| error.reason().to_owned())?;
        same("the code read back", &read, &minted)?;
        same("epoch", &read.epoch(), &self.epoch)?;
        same("campaign", &read.campaign(), &self.campaign)?;
        let authentic = keys.verify(&read).map_err(|_| "not authentic")?;
        same("seq", &authentic.seq(), &self.seq)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RootCase {
    name: String,
    root_hex: String,
    check_value_hex: Option<String>,
}

impl Case for RootCase {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run(&self) -> Result<(), String> {
        let found = Root::from_hex(&self.root_hex).ok().map(|root| hex::encode(&root.check_value()));
        same("check value", &found, &self.check_value_hex)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameCase {
    what: String,
    text: String,
    legal: bool,
}

impl Case for NameCase {
    fn name(&self) -> String {
        format!("{} {:?}", self.what, self.text)
    }

    fn run(&self) -> Result<(), String> {
        let found = match self.what.as_str() {
            "environment" => Environment::new(&self.text).is_ok(),
            "merchant" => MerchantId::new(&self.text).is_ok(),
            other => return Err(format!("there are no names of a {other}")),
        };
        same("legal", &found, &self.legal)
    }
}
