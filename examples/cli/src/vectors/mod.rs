//! The published test vectors: what the code format gives and refuses, for whoever implements it elsewhere.
//!
//! Everything is computed by `counterfoil_core`, but for words that no honest mint can make, which
//! [`crafted`] assembles. The files are checked in under `tests/vectors`; a test compares them byte for byte.

mod corrections;
mod crafted;
mod forged;
mod keys;
mod minted;
mod readings;
mod refused;
mod texts;
mod typing;
mod words;

use crate::Surroundings;
use crate::args::VectorsArgs;
use crate::failure::Failure;
use crate::output::{Output, Readers};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Version of the code format that the vectors are for.
const FORMAT: u8 = 0;

/// The members of one case, in the order in which they are written.
type Case = Vec<(&'static str, Value)>;

/// The vectors of one subject.
pub struct VectorFile {
    /// File name without folder.
    pub name: &'static str,
    /// What the cases show and how to read their members.
    about: String,
    /// What else the whole file says.
    extra: Case,
    cases: Vec<Case>,
}

impl VectorFile {
    fn new(name: &'static str, about: impl Into<String>, cases: Vec<Case>) -> Self {
        Self { name, about: about.into(), extra: Vec::new(), cases }
    }

    /// The file's text: one case a line, ASCII only, so that invisible characters show.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{{\n  \"format\": {FORMAT},\n  \"about\": {},\n", ascii(&json!(self.about)));
        for (name, value) in &self.extra {
            let _ = writeln!(text, "  {}: {},", ascii(&json!(name)), ascii(value));
        }
        text.push_str("  \"cases\": [\n");
        let last = self.cases.len().saturating_sub(1);
        for (index, case) in self.cases.iter().enumerate() {
            let comma = if index == last { "" } else { "," };
            let members: Vec<String> =
                case.iter().map(|(name, value)| format!("{}:{}", ascii(&json!(name)), ascii(value))).collect();
            let _ = writeln!(text, "    {{{}}}{comma}", members.join(","));
        }
        text.push_str("  ]\n}\n");
        text
    }
}

/// A JSON text of one line with everything beyond ASCII escaped.
fn ascii(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if matches!(c, ' '..='~') {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// Every file of the set, by name.
#[must_use]
pub fn files() -> Vec<VectorFile> {
    vec![
        corrections::file(),
        forged::file(),
        minted::file(),
        keys::names(),
        readings::file(),
        refused::file(),
        keys::roots(),
        typing::file(),
        words::file(),
    ]
}

/// `counterfoil vectors`.
pub(crate) fn run(args: &VectorsArgs, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let files = files();
    match &args.output {
        None => write(None, &combined(&files), surroundings),
        Some(path) if path.extension().is_some_and(|extension| extension == "json") => {
            write(Some(path), &combined(&files), surroundings)
        }
        Some(folder) => {
            fs::create_dir_all(folder)
                .map_err(|error| Failure::usage(format!("{} cannot be made a folder: {error}", folder.display())))?;
            files.iter().try_for_each(|file| write(Some(&folder.join(file.name)), &file.text(), surroundings))
        }
    }
}

fn write(path: Option<&Path>, text: &str, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let mut output = Output::new(path, surroundings.stdout, Readers::Everyone)?;
    output.write(text.as_bytes())?;
    output.finish()
}

/// All files in one JSON value, by name.
fn combined(files: &[VectorFile]) -> String {
    let last = files.len().saturating_sub(1);
    let mut text = "{\n".to_owned();
    for (index, file) in files.iter().enumerate() {
        let comma = if index == last { "" } else { "," };
        let _ = writeln!(text, "\"{}\": {}{comma}", file.name, file.text().trim_end());
    }
    text.push_str("}\n");
    text
}
