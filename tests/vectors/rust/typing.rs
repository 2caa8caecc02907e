//! Grouping while typing.

use crate::{Case, same};
use counterfoil_core::code::{Profile, format};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypingCase {
    text: String,
    caret: usize,
    shown: String,
    caret_shown: usize,
    symbols: usize,
    profile: Option<String>,
    complete: bool,
}

impl Case for TypingCase {
    fn name(&self) -> String {
        format!("{:?}, caret at {}", self.text, self.caret)
    }

    fn run(&self) -> Result<(), String> {
        let formatted = format(&self.text, self.caret);
        same("the text shown", &formatted.text, &self.shown)?;
        same("the caret shown", &formatted.caret, &self.caret_shown)?;
        same("symbols", &formatted.symbols, &self.symbols)?;
        same("profile", &formatted.profile.map(Profile::name), &self.profile.as_deref())?;
        same("complete", &formatted.complete, &self.complete)
    }
}
