//! `check` and `verify`: one text per line in, one JSON value per line out.

use crate::Surroundings;
use crate::args::{CheckArgs, Typing, VerifyArgs};
use crate::failure::Failure;
use crate::lines::{Line, Lines};
use crate::roots::Issuer;
use counterfoil_core::code::{self, CodeText, Mode, Profile, WellFormedCode};
use counterfoil_core::keys::CampaignKeys;
use serde::Serialize;
use std::collections::HashMap;
use std::io::{BufWriter, Write};

/// Most campaigns whose keys are kept: input that names a new one in every line must not fill the memory.
const KEYS_KEPT_MAX: usize = 4_096;

/// The answer to one line.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Code(CodeAnswer),
    NoCode(NoCodeAnswer),
}

#[derive(Serialize)]
struct CodeAnswer {
    ok: bool,
    profile: &'static str,
    epoch: u8,
    campaign: u16,
    serial: u32,
    #[serde(serialize_with = "as_text")]
    canonical: CodeText,
    #[serde(flatten)]
    proof: Proof,
}

#[derive(Serialize)]
struct NoCodeAnswer {
    ok: bool,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    #[serde(serialize_with = "as_texts")]
    suggestions: Option<CodeText>,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    unverified: bool,
    #[serde(flatten)]
    proof: Proof,
}

/// What the keys say; empty when there are none (`check`).
#[derive(Clone, Copy, Default, Serialize)]
struct Proof {
    #[serde(skip_serializing_if = "Option::is_none")]
    authentic: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u32>,
}

fn as_text<S: serde::Serializer>(text: &CodeText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.as_str())
}

fn as_texts<S: serde::Serializer>(text: &Option<CodeText>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(text.iter().map(CodeText::as_str))
}

/// `counterfoil check`.
pub(crate) fn check(args: &CheckArgs, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let mode = mode(args.mode);
    answer_lines(surroundings, |line| judge(line, mode, Proof::default(), |_| Proof::default()))
}

/// `counterfoil verify`.
pub(crate) fn verify(args: &VerifyArgs, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let mut keyring = Keyring::new(args, surroundings)?;
    let mode = mode(args.mode);
    let forged = Proof { authentic: Some(false), seq: None };
    answer_lines(surroundings, |line| judge(line, mode, forged, |code| keyring.prove(code).unwrap_or(forged)))
}

const fn mode(typing: Typing) -> Mode {
    match typing {
        Typing::Typing => Mode::Typing,
        Typing::Complete => Mode::Complete,
    }
}

fn answer_lines(surroundings: &mut Surroundings<'_>, mut judge: impl FnMut(Line<'_>) -> Answer) -> Result<(), Failure> {
    let mut lines = Lines::new(surroundings.stdin);
    let mut output = Output { inner: BufWriter::new(&mut *surroundings.stdout), failed: false };
    loop {
        let line = lines.next_line(&mut output);
        let line = match line {
            Ok(Some(line)) => line,
            Ok(None) => return output.flush().map_err(Failure::output),
            Err(error) if output.failed => return Err(Failure::output(error)),
            Err(error) => return Err(Failure::Io("the input cannot be read".to_owned(), error)),
        };
        serde_json::to_writer(&mut output, &judge(line)).map_err(|error| Failure::output(error.into()))?;
        output.write_all(b"\n").map_err(Failure::output)?;
    }
}

/// Remembers whether the output failed, to tell it from a failing input.
struct Output<W> {
    inner: W,
    failed: bool,
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush().inspect_err(|_| self.failed = true)
    }
}

/// `proof_of_none` goes with a text that is no code, `prove` looks at one that is.
fn judge(line: Line<'_>, mode: Mode, proof_of_none: Proof, prove: impl FnOnce(&WellFormedCode) -> Proof) -> Answer {
    let refused = |reason, position| NoCodeAnswer {
        ok: false,
        reason,
        position,
        suggestions: None,
        unverified: false,
        proof: proof_of_none,
    };
    let text = match line {
        Line::Text(text) => text,
        Line::TooLong => return Answer::NoCode(refused("too_long", None)),
        Line::NotUtf8 => return Answer::NoCode(refused("not_utf8", None)),
    };
    match code::check(text) {
        Ok(code) => Answer::Code(CodeAnswer {
            ok: true,
            profile: code.profile().name(),
            epoch: code.epoch(),
            campaign: code.campaign(),
            serial: code.serial(),
            canonical: code.canonical(),
            proof: prove(&code),
        }),
        Err(error) => {
            let suggestion = code::suggest(text, mode);
            Answer::NoCode(NoCodeAnswer {
                suggestions: suggestion.map(|suggestion| suggestion.code().canonical()),
                unverified: suggestion.is_some_and(|suggestion| suggestion.unverified()),
                ..refused(error.reason(), error.position())
            })
        }
    }
}

/// The keys of the campaigns that the input has named so far.
struct Keyring {
    issuer: Issuer,
    only_profile: Option<Profile>,
    only_epoch: Option<u8>,
    only_campaign: Option<u16>,
    keys: HashMap<(Profile, u8, u16), CampaignKeys>,
}

impl Keyring {
    fn new(args: &VerifyArgs, surroundings: &Surroundings<'_>) -> Result<Self, Failure> {
        let only_profile = args.profile.map(Profile::from);
        // A campaign that the profile cannot have is a mistake, not a filter that nothing passes.
        if let (Some(profile), Some(campaign)) = (only_profile, args.campaign)
            && campaign > profile.campaign_max()
        {
            let (name, max) = (profile.name(), profile.campaign_max());
            return Err(Failure::usage(format!("--campaign {campaign}: {name} has campaigns 1 to {max}")));
        }
        let issuer = Issuer::new(&args.keys, surroundings)?;
        Ok(Self { issuer, only_profile, only_epoch: args.epoch, only_campaign: args.campaign, keys: HashMap::new() })
    }

    /// `None` for every code that the flags leave out and every tag that does not fit.
    fn prove(&mut self, code: &WellFormedCode) -> Option<Proof> {
        let name = (code.profile(), code.epoch(), code.campaign());
        let meant = self.only_profile.is_none_or(|only| only == name.0)
            && self.only_epoch.is_none_or(|only| only == name.1)
            && self.only_campaign.is_none_or(|only| only == name.2);
        if !meant {
            return None;
        }
        if !self.keys.contains_key(&name) {
            if self.keys.len() >= KEYS_KEPT_MAX {
                self.keys.clear();
            }
            let keys = self.issuer.campaign_keys(name.0, name.1, name.2).ok()?;
            self.keys.insert(name, keys);
        }
        let authentic = self.keys.get(&name)?.verify(code).ok()?;
        Some(Proof { authentic: Some(true), seq: Some(authentic.seq()) })
    }
}
