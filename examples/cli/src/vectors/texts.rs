//! What is said about a text, and how the texts of the vectors are put together.

use super::Case;
use super::keys::{COUNTING, KeyNames, tag_hex};
use counterfoil_core::code::{Mode, Profile, WellFormedCode, check, suggest};
use serde_json::json;

/// How the cases of [`case`] are read.
pub(super) const SHAPE: &str = "An accepted text has its fields and canonical form. Every other has a reason, the position of the symbol in question (from 0, separators not counted) and the suggested code, each where there is one; `changed` lists the suggested code's symbols that differ from the text. `mode` is `complete` unless it says `typing`.";

/// One clean code of each profile.
pub(super) fn samples() -> Vec<WellFormedCode> {
    let sample = |profile, campaign, seq| KeyNames::new(COUNTING, "acme", profile, 0, campaign).mint(seq);
    [(Profile::S20, 1, 0), (Profile::S16, 1, 0), (Profile::S25, 513, 123_456)]
        .into_iter()
        .filter_map(|(profile, campaign, seq)| sample(profile, campaign, seq))
        .collect()
}

/// Everything that is to be said about a text.
pub(super) fn case(name: &str, text: &str, mode: Mode) -> Case {
    let mut case = Case::new();
    case.push(("name", json!(name)));
    case.push(("text", json!(text)));
    if mode == Mode::Typing {
        case.push(("mode", json!("typing")));
    }
    match check(text) {
        Ok(code) => {
            case.push(("ok", json!(true)));
            case.push(("profile", json!(code.profile().name())));
            case.push(("epoch", json!(code.epoch())));
            case.push(("campaign", json!(code.campaign())));
            case.push(("serial", json!(code.serial())));
            case.push(("tag_hex", json!(tag_hex(&code))));
            case.push(("canonical", json!(code.canonical().as_str())));
        }
        Err(error) => {
            case.push(("ok", json!(false)));
            case.push(("reason", json!(error.reason())));
            if let Some(position) = error.position() {
                case.push(("position", json!(position)));
            }
            if let Some(suggestion) = suggest(text, mode) {
                case.push(("suggestion", json!(suggestion.code().canonical().as_str())));
                case.push(("correction", json!(suggestion.correction().name())));
                case.push(("changed", json!(suggestion.changed().iter().collect::<Vec<_>>())));
                case.push(("unverified", json!(suggestion.unverified())));
            }
        }
    }
    case
}

pub(super) fn finished(name: &str, text: &str) -> Case {
    case(name, text, Mode::Complete)
}

/// Stands for an unreadable symbol; written as `?`.
pub(super) const UNREADABLE: u8 = 32;

/// Symbols under change. Every change is at a place that exists; elsewhere nothing happens.
pub(super) struct Typed(pub(super) Vec<u8>);

impl Typed {
    pub(super) fn remove(&mut self, place: usize) {
        if place < self.0.len() {
            self.0.remove(place);
        }
    }

    pub(super) fn set(&mut self, place: usize, value: u8) {
        self.0.iter_mut().skip(place).take(1).for_each(|symbol| *symbol = value);
    }

    pub(super) fn xor(&mut self, place: usize, value: u8) {
        self.0.iter_mut().skip(place).take(1).for_each(|symbol| *symbol ^= value);
    }
}

pub(super) fn altered(word: &[u8], alter: impl FnOnce(&mut Typed)) -> Vec<u8> {
    let mut typed = Typed(word.to_vec());
    alter(&mut typed);
    typed.0
}
