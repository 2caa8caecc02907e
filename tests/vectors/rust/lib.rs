//! Runs the published test vectors (`tests/vectors/*.json`) against `counterfoil_core`.
//!
//! One runner for every place the core runs in: natively, in Node and in a browser by wasm-pack, and in workerd,
//! which loads the wasm module and calls [`run_file`]. Every member of every case is read: an unknown one is an
//! error, so that nothing in the files goes untested.

mod forged;
mod keys;
mod texts;
mod typing;
mod words;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::wasm_bindgen;

/// The files as they are checked in, by name.
pub const FILES: [(&str, &str); 9] = [
    ("corrections.json", include_str!("../corrections.json")),
    ("forged.json", include_str!("../forged.json")),
    ("minted.json", include_str!("../minted.json")),
    ("names.json", include_str!("../names.json")),
    ("readings.json", include_str!("../readings.json")),
    ("refused.json", include_str!("../refused.json")),
    ("roots.json", include_str!("../roots.json")),
    ("typing.json", include_str!("../typing.json")),
    ("words.json", include_str!("../words.json")),
];

/// A file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<C> {
    format: u8,
    #[allow(dead_code, reason = "for people; it must be there")]
    about: String,
    #[serde(default)]
    list_version: Option<u32>,
    cases: Vec<C>,
}

/// What a case says the core must do.
trait Case: DeserializeOwned {
    /// What to call the case in a report.
    fn name(&self) -> String;

    /// # Errors
    /// What the core did instead.
    fn run(&self) -> Result<(), String>;
}

/// Runs the cases of a file and answers how many there were.
///
/// # Errors
/// All failures, one a line; also when the file cannot be read, or is of another format or word list.
pub fn run(name: &str, text: &str) -> Result<usize, String> {
    match name {
        "corrections.json" | "readings.json" | "refused.json" => cases::<texts::TextCase>(text),
        "forged.json" => cases::<forged::ForgedCase>(text),
        "minted.json" => cases::<keys::MintedCase>(text),
        "names.json" => cases::<keys::NameCase>(text),
        "roots.json" => cases::<keys::RootCase>(text),
        "typing.json" => cases::<typing::TypingCase>(text),
        "words.json" => cases::<words::WordsCase>(text),
        other => Err(format!("no vectors are called {other}")),
    }
}

/// [`run`] for JavaScript: the number of cases, or an error with all failures.
///
/// # Errors
/// As [`run`].
#[wasm_bindgen]
pub fn run_file(name: &str, text: &str) -> Result<usize, String> {
    run(name, text)
}

fn cases<C: Case>(text: &str) -> Result<usize, String> {
    let file: File<C> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if file.format != 0 {
        return Err(format!("the vectors are of format {}, the code is of format 0", file.format));
    }
    if let Some(version) = file.list_version.filter(|version| *version != counterfoil_core::words::LIST_VERSION) {
        return Err(format!("the vectors are of word list {version}"));
    }
    if file.cases.is_empty() {
        return Err("no cases".to_owned());
    }
    let failures: Vec<String> = file
        .cases
        .iter()
        .filter_map(|case| case.run().err().map(|failure| format!("{}: {failure}", case.name())))
        .collect();
    if failures.is_empty() { Ok(file.cases.len()) } else { Err(failures.join("\n")) }
}

/// # Errors
/// Says what was compared when the two differ.
fn same<T: PartialEq + core::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what} is {found:?}, should be {wanted:?}")) }
}
