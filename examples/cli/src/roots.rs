//! Where the root secret comes from, and how it stays out of what is printed.

use crate::args::{KeyArgs, RootArgs};
use crate::failure::Failure;
use crate::{ROOT_VARIABLE, Surroundings};
use counterfoil_core::keys::{CampaignKeys, Environment, MerchantId, RawKeys, Root};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;

/// Most bytes that are read of a root file: a root is a line of digits, anything longer is another file.
const ROOT_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Runs of at least this many hexadecimal digits never reach the error output: shorter than any secret, longer
/// than any number that the program takes.
const SECRET_DIGITS_MIN: usize = 16;

/// The root from the flags or, when they give none, from the environment variable.
fn root(args: &RootArgs, surroundings: &Surroundings<'_>) -> Result<Root, Failure> {
    let (source, text) = if let Some(digits) = &args.root_hex {
        ("--root-hex".to_owned(), digits.clone())
    } else if let Some(path) = &args.root_file {
        let source = format!("the root file {}", path.display());
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(ROOT_FILE_BYTES_MAX).read_to_string(&mut text))
            .map_err(|error| Failure::usage(format!("{source} cannot be read: {error}")))?;
        (source, text)
    } else if let Some(digits) = &surroundings.root_hex {
        // Text that is not Unicode has no hexadecimal digits only, so it is refused below without being shown.
        (ROOT_VARIABLE.to_owned(), digits.to_string_lossy().into_owned())
    } else {
        return Err(Failure::usage(format!(
            "there is no root secret: name a file with --root-file FILE, or set {ROOT_VARIABLE}"
        )));
    };
    Root::from_hex(&text).map_err(|error| Failure::usage(format!("{source}: {error}")))
}

/// Whose codes: one root in one environment for one merchant.
pub(crate) struct Issuer {
    root: Root,
    environment: Environment,
    merchant: MerchantId,
}

impl Issuer {
    pub(crate) fn new(args: &KeyArgs, surroundings: &Surroundings<'_>) -> Result<Self, Failure> {
        // Names first: a wrong one is found without touching the secret.
        let environment =
            Environment::new(&args.environment).map_err(|error| Failure::usage(format!("--environment: {error}")))?;
        let merchant =
            MerchantId::new(&args.merchant).map_err(|error| Failure::usage(format!("--merchant: {error}")))?;
        Ok(Self { root: root(&args.root, surroundings)?, environment, merchant })
    }

    /// The same keys in bytes, for a print shop.
    pub(crate) fn raw_keys(
        &self,
        profile: counterfoil_core::code::Profile,
        epoch: u8,
        campaign: u16,
    ) -> Result<RawKeys, Failure> {
        RawKeys::derive(&self.root, &self.environment, &self.merchant, profile, epoch, campaign).map_err(Failure::usage)
    }

    /// The keys of one campaign in one epoch.
    pub(crate) fn campaign_keys(
        &self,
        profile: counterfoil_core::code::Profile,
        epoch: u8,
        campaign: u16,
    ) -> Result<CampaignKeys, Failure> {
        CampaignKeys::derive(&self.root, &self.environment, &self.merchant, profile, epoch, campaign)
            .map_err(Failure::usage)
    }
}

/// An error text with every secret taken out that the arguments may have brought in: the value of `--root-hex`
/// as it stands, and any long run of hexadecimal digits (a root put where no root belongs).
pub(crate) fn without_secrets(text: &str, arguments: &[OsString]) -> String {
    const HIDDEN: &str = "[hidden]";
    let mut text = text.to_owned();
    let mut previous = String::new();
    for argument in arguments {
        let argument = argument.to_string_lossy().into_owned();
        let secret = match argument.strip_prefix("--root-hex=") {
            Some(value) => value,
            None if previous == "--root-hex" => &argument,
            None => "",
        };
        // A flag that stands where the secret was forgotten is no secret, and the message is about it.
        if !secret.is_empty() && !secret.starts_with("--") {
            text = text.replace(secret, HIDDEN);
        }
        previous = argument;
    }
    let mut shown = String::with_capacity(text.len());
    let mut digits = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        shown.push_str(if digits.len() < SECRET_DIGITS_MIN { &digits } else { HIDDEN });
        digits.clear();
        shown.push(c);
    }
    shown.pop();
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], text: &str, shown: &str) {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        assert_eq!(without_secrets(text, &arguments), shown);
    }

    #[test]
    fn secrets_are_taken_out_of_errors() {
        check(&["--root-hex", "xyz"], "unexpected 'xyz' found", "unexpected '[hidden]' found");
        check(&["--root-hex=xyz"], "unexpected 'xyz' found", "unexpected '[hidden]' found");
        check(&[], "unexpected '0123456789abcdef' found", "unexpected '[hidden]' found");
        check(&[], "unexpected '0123456789abcde' found", "unexpected '0123456789abcde' found");
        check(&["--root-hex", "--count"], "a value is required, not --count", "a value is required, not --count");
    }
}
