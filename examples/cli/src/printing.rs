//! Print shops: the two keys of one campaign and epoch, and batches that the service has reserved.

use crate::Surroundings;
use crate::args::{ExportKeyArgs, KeyArgs, MintArgs, RootArgs};
use crate::failure::Failure;
use crate::output::{Output, Readers};
use crate::roots::Issuer;
use counterfoil_core::code::Profile;
use counterfoil_core::hex;
use counterfoil_core::keys::{CampaignKeys, RawKeys};
use counterfoil_core::wire::{BatchResource, PrintKey};
use counterfoil_core::words::LIST_VERSION;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most bytes that are read of either file: anything longer is another file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What is to be minted.
pub(crate) struct Order {
    pub(crate) profile: Profile,
    pub(crate) epoch: u8,
    pub(crate) campaign: u16,
    /// First seq.
    pub(crate) from: u32,
    /// First seq that must not be used.
    pub(crate) end: u32,
    /// Codes.
    pub(crate) count: u32,
}

/// `counterfoil campaign export-key`.
pub(crate) fn export_key(args: &ExportKeyArgs, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let issuer = Issuer::new(&args.keys, surroundings)?;
    let profile = Profile::from(args.profile);
    let raw = issuer.raw_keys(profile, args.epoch, args.campaign)?;
    let key = PrintKey {
        merchant: args.keys.merchant.clone(),
        environment: args.keys.environment.clone(),
        campaign: args.campaign,
        profile,
        epoch: args.epoch,
        tag_key: hex::encode(&raw.tag),
        permute_key: hex::encode(&raw.permute),
        word_list: LIST_VERSION,
    };
    let text = serde_json::to_string_pretty(&key).map_err(Failure::usage)?;
    let mut output = Output::new(args.output.as_deref(), surroundings.stdout, Readers::Owner)?;
    output.write(text.as_bytes())?;
    output.write(b"\n")?;
    output.finish()
}

/// What the arguments of a mint ask for, and the keys that make it.
pub(crate) fn order(args: &MintArgs, surroundings: &Surroundings<'_>) -> Result<(Order, CampaignKeys), Failure> {
    let batch = args.batch.as_deref().map(|path| read::<BatchResource>("the batch", path)).transpose()?;
    let (profile, epoch, campaign, keys) = match &args.print_key {
        Some(path) => with_print_key(path)?,
        None => with_root(args, batch.as_ref(), surroundings)?,
    };
    if let Some(batch) = batch.as_ref().filter(|batch| batch.epoch != epoch) {
        return Err(Failure::usage(format!(
            "the batch {} is of epoch {}, the keys are of epoch {epoch}",
            batch.batch_id, batch.epoch
        )));
    }
    let (from, end, count) = match batch {
        Some(batch) => (batch.from_seq, batch.to_seq, batch.count),
        None => (args.from.unwrap_or(0), profile.serial_space(), args.count.unwrap_or(0)),
    };
    Ok((Order { profile, epoch, campaign, from, end, count }, keys))
}

type Keyed = (Profile, u8, u16, CampaignKeys);

fn with_print_key(path: &Path) -> Result<Keyed, Failure> {
    let PrintKey { campaign, profile, epoch, tag_key, permute_key, word_list, .. } = read("the print key", path)?;
    let bytes = |name: &str, text: &str| {
        let bytes = hex::decode(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.ok_or_else(|| {
            Failure::usage(format!("the print key {}: {name} is not 64 hexadecimal digits", path.display()))
        })
    };
    if word_list != LIST_VERSION {
        return Err(Failure::usage(format!(
            "the print key {} is for version {word_list} of the list of offensive words, this program has version {LIST_VERSION}: use the release that fits, or other codes would be skipped",
            path.display()
        )));
    }
    let raw = RawKeys { tag: bytes("tag_key", &tag_key)?, permute: bytes("permute_key", &permute_key)? };
    let keys = CampaignKeys::of(profile, epoch, campaign, &raw).map_err(Failure::usage)?;
    Ok((profile, epoch, campaign, keys))
}

fn with_root(
    args: &MintArgs,
    batch: Option<&BatchResource>,
    surroundings: &Surroundings<'_>,
) -> Result<Keyed, Failure> {
    let RootArgs { root_file, root_hex } = &args.root;
    let root = RootArgs { root_file: root_file.clone(), root_hex: root_hex.clone() };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let keys = KeyArgs { root, environment: text(&args.environment), merchant: text(&args.merchant) };
    let issuer = Issuer::new(&keys, surroundings)?;
    let profile = args.profile.map_or(Profile::S20, Profile::from);
    let epoch = args.epoch.or_else(|| batch.map(|batch| batch.epoch)).unwrap_or(0);
    let campaign = args.campaign.unwrap_or(0);
    Ok((profile, epoch, campaign, issuer.campaign_keys(profile, epoch, campaign)?))
}

/// Reads a JSON file. What it says is never shown: it may be a secret.
fn read<T: DeserializeOwned>(what: &str, path: &Path) -> Result<T, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| Failure::usage(format!("{what} {} cannot be read: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::usage(format!(
            "{what} {} is not what the service answers (line {line}, column {column})",
            path.display()
        ))
    })
}
