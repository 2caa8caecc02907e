//! Texts: read, refused, repaired.

use crate::keys::tag_hex;
use crate::{Case, same};
use counterfoil_core::code::{Mode, check, suggest};
use serde::Deserialize;

/// A text and everything that is said of it: fields of a code, or a reason and what was probably meant. What does
/// not apply is absent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TextCase {
    name: String,
    text: String,
    mode: Option<String>,
    ok: bool,
    profile: Option<String>,
    epoch: Option<u8>,
    campaign: Option<u16>,
    serial: Option<u32>,
    tag_hex: Option<String>,
    canonical: Option<String>,
    reason: Option<String>,
    position: Option<usize>,
    suggestion: Option<String>,
    correction: Option<String>,
    changed: Option<Vec<usize>>,
    unverified: Option<bool>,
}

impl Case for TextCase {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run(&self) -> Result<(), String> {
        let mode = match self.mode.as_deref() {
            None => Mode::Complete,
            Some("typing") => Mode::Typing,
            Some(other) => return Err(format!("there is no mode {other}")),
        };
        let asked =
            Self { name: self.name.clone(), text: self.text.clone(), mode: self.mode.clone(), ..Self::default() };
        same("the answer", &asked.answered(mode), self)?;
        // Whatever is suggested is itself a code.
        match &self.suggestion {
            Some(suggestion) => check(suggestion).map(|_| ()).map_err(|error| error.reason().to_owned()),
            None => Ok(()),
        }
    }
}

impl TextCase {
    /// What the core says of the text.
    fn answered(self, mode: Mode) -> Self {
        let suggestion = suggest(&self.text, mode);
        let found = Self {
            suggestion: suggestion.map(|found| found.code().canonical().as_str().to_owned()),
            correction: suggestion.map(|found| found.correction().name().to_owned()),
            changed: suggestion.map(|found| found.changed().iter().collect()),
            unverified: suggestion.map(|found| found.unverified()),
            ..self
        };
        match check(&found.text) {
            Ok(code) => Self {
                ok: true,
                profile: Some(code.profile().name().to_owned()),
                epoch: Some(code.epoch()),
                campaign: Some(code.campaign()),
                serial: Some(code.serial()),
                tag_hex: Some(tag_hex(&code)),
                canonical: Some(code.canonical().as_str().to_owned()),
                ..found
            },
            Err(error) => Self { reason: Some(error.reason().to_owned()), position: error.position(), ..found },
        }
    }
}
