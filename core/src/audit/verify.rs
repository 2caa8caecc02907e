//! Verifying an export, line by line: what was changed, dropped, repeated, put elsewhere or never sealed.
//!
//! Memory grows with the number of chains (each head is part of every seal), not with the number of lines.

use super::{Entry, Header, NOTHING_BEFORE, Seal, Tree, canonical, export_line, hash_of, leaf};
use crate::hex;
use crate::time::Instant;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line of the file, from 1.
    pub line: u64,
    /// What is wrong there.
    pub what: String,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whose export it is.
    pub recorder: String,
    /// Chains.
    pub objects: u64,
    /// Chains whose earlier entries lie in an earlier month.
    pub begun_earlier: u64,
    /// Entries.
    pub entries: u64,
    /// Seals.
    pub seals: u64,
    /// Hash of the last seal: an anchor for the next time.
    pub last_seal: Option<String>,
    /// Entries after the last seal: nothing but their own chain holds them yet.
    pub unsealed: u64,
    /// The earliest entry's instant.
    pub from: Option<Instant>,
    /// The latest entry's instant.
    pub to: Option<Instant>,
}

/// The last entry of a chain, as far as it was read.
struct Head {
    n: u64,
    hash: String,
    line: u64,
    leaf: [u8; 32],
}

/// Reads an export from its first line to its last.
pub struct Verifier {
    anchor: Option<String>,
    anchor_seen: bool,
    line: u64,
    header: Option<Header>,
    heads: BTreeMap<String, Head>,
    seal: Option<(Seal, String)>,
    /// Entries that a seal counted more than were read (or fewer, below zero), as reported already.
    surplus: i128,
    /// Whether the last seal's root was that of the entries read.
    root_fits: bool,
    summary: Summary,
}

impl Verifier {
    /// A verifier. `anchor` is the hash of a seal known from elsewhere, which must occur.
    #[must_use]
    pub fn new(anchor: Option<String>) -> Self {
        Self {
            anchor,
            anchor_seen: false,
            line: 0,
            header: None,
            heads: BTreeMap::new(),
            seal: None,
            surplus: 0,
            root_fits: true,
            summary: Summary::default(),
        }
    }

    /// Reads the next line, without its line end.
    pub fn read(&mut self, line: &[u8]) -> Vec<Finding> {
        self.line += 1;
        let mut found = Vec::new();
        self.judge(line, &mut found);
        found.into_iter().map(|what| Finding { line: self.line, what }).collect()
    }

    /// Says that a line was skipped because nobody writes lines of that length.
    pub fn skip_long(&mut self) -> Vec<Finding> {
        self.line += 1;
        vec![Finding { line: self.line, what: "longer than any line of an export".to_owned() }]
    }

    /// Ends the reading: what only the whole file can show, and what it holds.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Finding>, Summary) {
        let mut found = Vec::new();
        match &self.header {
            None if self.line == 0 => found.push("the file is empty".to_owned()),
            None => {}
            Some(header) => {
                for (what, announced, read) in
                    [("entries", header.entries, self.summary.entries), ("seals", header.seals, self.summary.seals)]
                {
                    if announced != read {
                        found.push(format!(
                            "the file ends with {read} {what}, but its first line announces {announced}"
                        ));
                    }
                }
            }
        }
        if let Some(anchor) = self.anchor.as_ref().filter(|_| !self.anchor_seen) {
            found.push(format!("the file ends without a seal of the hash {anchor}"));
        }
        self.summary.objects = u64::try_from(self.heads.len()).unwrap_or(u64::MAX);
        let line = self.line.max(1);
        (found.into_iter().map(|what| Finding { line, what }).collect(), self.summary)
    }

    fn judge(&mut self, line: &[u8], found: &mut Vec<String>) {
        let parsed = core::str::from_utf8(line).ok().and_then(|text| {
            let fields = crate::json::read::<Map<String, Value>>(text).ok()?;
            Some((text, fields))
        });
        let Some((text, mut fields)) = parsed else {
            found.push("not a line of an export: no JSON object".to_owned());
            return;
        };
        let mut text_field = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => text,
            Some(_) | None => String::new(),
        };
        let (kind, hash) = (text_field("kind"), text_field("hash"));
        let content = canonical(&Value::Object(fields.clone()));
        if hash_of(&content) != hash {
            found.push(format!("changed: its hash is {}, not {}", hash_of(&content), shown(&hash)));
        } else if export_line(&kind, &content, &hash) != text {
            // Two readings of one line (a field given twice, say) must not pass as one.
            found.push("changed: not written as an export writes it".to_owned());
        }
        match kind.as_str() {
            "export" if self.line == 1 => match typed::<Header>(fields) {
                Some(header) => {
                    self.summary.recorder.clone_from(&header.recorder);
                    self.header = Some(header);
                }
                None => found.push("it lacks what an export begins with".to_owned()),
            },
            "export" => found.push("another export begins in the middle".to_owned()),
            "entry" => match typed::<Entry>(fields) {
                Some(entry) => self.entry(&entry, hash, found),
                None => found.push("it lacks what an entry has".to_owned()),
            },
            "seal" => match typed::<Seal>(fields) {
                Some(seal) => self.seal(seal, hash, found),
                None => found.push("it lacks what a seal has".to_owned()),
            },
            _ => found.push(format!("no line of an export is of the kind {}", shown(&kind))),
        }
        if self.line == 1 && kind != "export" {
            found.push("an export's first line is missing before it".to_owned());
        }
    }

    fn entry(&mut self, entry: &Entry, hash: String, found: &mut Vec<String>) {
        let Entry { object, n, at, prev, .. } = entry;
        self.summary.entries += 1;
        self.summary.unsealed += 1;
        self.summary.from = Some(self.summary.from.map_or(*at, |from| from.min(*at)));
        self.summary.to = Some(self.summary.to.map_or(*at, |to| to.max(*at)));
        match self.heads.get(object) {
            Some(head) if *n <= head.n => {
                // The chain goes on from its latest entry, so that one line out of place is one finding.
                found.push(format!(
                    "entry {n} of {object} is repeated or out of order: line {} has entry {} already",
                    head.line, head.n
                ));
                return;
            }
            Some(head) if *n > head.n + 1 => {
                found
                    .push(format!("entry {n} of {object} leaves a gap: {} missing before it", missing(head.n + 1, *n)));
            }
            Some(head) if *prev != head.hash => found.push(format!(
                "entry {n} of {object} does not follow the entry in line {}: prev is {}, that line's hash {}",
                head.line,
                shown(prev),
                shown(&head.hash)
            )),
            Some(_) => {}
            None if *n > 1 => self.summary.begun_earlier += 1,
            None if *prev != NOTHING_BEFORE => {
                found.push(format!("entry {n} of {object} is its first, but names an entry before it"));
            }
            None => {}
        }
        let leaf = leaf(object, *n, &hash);
        self.heads.insert(object.clone(), Head { n: *n, hash, line: self.line, leaf });
    }

    fn seal(&mut self, seal: Seal, hash: String, found: &mut Vec<String>) {
        self.summary.seals += 1;
        self.summary.unsealed = 0;
        self.anchor_seen |= self.anchor.as_ref() == Some(&hash);
        let (last_n, last_hash) =
            self.seal.as_ref().map_or((0, NOTHING_BEFORE), |(last, hash)| (last.n, hash.as_str()));
        if seal.n <= last_n {
            found.push(format!("seal {} is repeated or out of order: seal {last_n} came before it", seal.n));
            return;
        }
        if seal.n > last_n + 1 {
            found.push(format!("seal {} leaves a gap: {} missing before it", seal.n, missing(last_n + 1, seal.n)));
        } else if seal.prev != last_hash {
            found.push(format!("seal {} does not follow the seal before it", seal.n));
        }
        if self.header.as_ref().is_some_and(|header| header.recorder != seal.recorder) {
            found.push(format!("seal {} is of another Recorder, {}", seal.n, shown(&seal.recorder)));
        }
        // What is wrong with one seal stays wrong with all later ones, and is said once.
        let surplus = i128::from(seal.entries) - i128::from(self.summary.entries);
        if surplus != self.surplus {
            found.push(format!(
                "seal {} counts {} entries before it, but {} were read",
                seal.n, seal.entries, self.summary.entries
            ));
        }
        self.surplus = surplus;
        let mut tree = Tree::default();
        self.heads.values().for_each(|head| tree.add(head.leaf));
        let fits = hex::encode(&tree.root()) == seal.root;
        if self.root_fits && !fits {
            found.push(format!("seal {} is not of the entries before it: its root does not fit their chains", seal.n));
        }
        self.root_fits = fits;
        self.summary.last_seal = Some(hash.clone());
        self.seal = Some((seal, hash));
    }
}

fn typed<T: DeserializeOwned>(fields: Map<String, Value>) -> Option<T> {
    serde_json::from_value(Value::Object(fields)).ok()
}

/// `number 5 is`, `numbers 5 to 7 are`.
fn missing(from: u64, before: u64) -> String {
    if from + 1 == before { format!("number {from} is") } else { format!("numbers {from} to {} are", before - 1) }
}

/// A text of a file that nobody vouches for, short enough for a message, on one line.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    format!("{short:?}")
}
