//! Every kind of tampering is named by its line.

use super::verify::{Finding, Summary, Verifier};
use super::{Draft, Entry, Header, NOTHING_BEFORE, Seal, Tree, export_line, leaf};
use crate::hex;
use crate::time::Instant;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const RECORDER: &str = "acme/2026-11/0";

/// What an honest Recorder would export: `chains` says which object each entry is of, 255 asks for a seal.
#[derive(Clone, Default)]
struct Book {
    heads: BTreeMap<String, (u64, String)>,
    entries: u64,
    seals: u64,
    seal: String,
    lines: Vec<String>,
}

impl Book {
    fn at(&self) -> Instant {
        Instant::parse("2026-11-22T00:00:00Z").unwrap().plus_ms(i64::try_from(self.lines.len()).unwrap() * 1_000)
    }

    fn entry(&mut self, object: &str, data: Value) {
        let (n, prev) = self.heads.get(object).cloned().unwrap_or((0, NOTHING_BEFORE.to_owned()));
        let draft = Draft::new("admin:alice", "campaign.changed").subject("s").data(data);
        let entry = Entry::chain(&prev, object, n + 1, self.at(), &draft);
        self.lines.push(export_line("entry", &entry.canonical(), &entry.hash()));
        self.heads.insert(object.to_owned(), (n + 1, entry.hash()));
        self.entries += 1;
    }

    fn seal(&mut self) {
        let mut tree = Tree::default();
        self.heads.iter().for_each(|(object, (n, head))| tree.add(leaf(object, *n, head)));
        self.seals += 1;
        let seal = Seal {
            recorder: RECORDER.to_owned(),
            n: self.seals,
            at: self.at(),
            entries: self.entries,
            root: hex::encode(&tree.root()),
            prev: if self.seals == 1 { NOTHING_BEFORE.to_owned() } else { self.seal.clone() },
        };
        self.lines.push(export_line("seal", &seal.canonical(), &seal.hash()));
        self.seal = seal.hash();
    }

    fn header(&self) -> Header {
        Header { recorder: RECORDER.to_owned(), at: self.at(), entries: self.entries, seals: self.seals }
    }

    fn export(&self) -> Vec<String> {
        std::iter::once(self.header().line()).chain(self.lines.iter().cloned()).collect()
    }

    /// Objects by turns, a seal after every fourth entry and two entries after the last.
    fn usual() -> Self {
        let mut book = Self::default();
        for round in 0..5 {
            for object in ["campaign/7", "member/a", "merchant", "member/b"] {
                book.entry(object, json!({ "round": round, "note": "näher" }));
            }
            book.seal();
        }
        book.entry("member/a", json!([1]));
        book.entry("member/c", json!(true));
        book
    }
}

fn verify(lines: &[String], anchor: Option<&str>) -> (Vec<Finding>, Summary) {
    let mut verifier = Verifier::new(anchor.map(str::to_owned));
    let mut found: Vec<Finding> = lines.iter().flat_map(|line| verifier.read(line.as_bytes())).collect();
    let (last, summary) = verifier.finish();
    found.extend(last);
    (found, summary)
}

/// Findings as `line: words`, of which only the words given are compared.
#[track_caller]
fn check(lines: &[String], expected: &[(u64, &str)]) {
    let (found, _) = verify(lines, None);
    let fits = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(finding, (line, words))| finding.line == *line && finding.what.contains(words));
    assert!(fits, "expected {expected:?}, found {found:#?}");
}

#[test]
fn an_honest_export_has_no_finding() {
    let book = Book::usual();
    let (found, summary) = verify(&book.export(), Some(&book.seal));
    assert_eq!(found, []);
    let expected = Summary {
        recorder: RECORDER.to_owned(),
        objects: 5,
        begun_earlier: 0,
        entries: 22,
        seals: 5,
        last_seal: Some(book.seal.clone()),
        unsealed: 2,
        from: Instant::parse("2026-11-22T00:00:00Z"),
        to: Instant::parse("2026-11-22T00:00:26Z"),
    };
    assert_eq!(summary, expected);
    let (found, summary) = verify(&Book::default().export(), None);
    assert_eq!((found, summary.entries, summary.from), (vec![], 0, None));
}

#[test]
fn a_chain_may_have_begun_in_an_earlier_month() {
    let mut book = Book::default();
    book.heads.insert("member/a".to_owned(), (41, "ab".repeat(32)));
    book.entry("member/a", json!(1));
    book.heads.retain(|object, _| object == "member/a");
    book.entry("member/a", json!(2));
    book.seal();
    let (found, summary) = verify(&book.export(), None);
    assert_eq!((found, summary.begun_earlier, summary.objects), (vec![], 1, 1));
}

#[test]
fn changed_content() {
    let mut lines = Book::usual().export();
    lines[3] = lines[3].replace("\"round\":0", "\"round\":9");
    check(&lines, &[(4, "changed: its hash is")]);
    // With a fresh hash: the next seal and the next entry of the chain say so.
    let (content, _) = lines[3].rsplit_once(",\"hash\":").unwrap();
    let content = content.replacen("\"kind\":\"entry\",", "", 1) + "}";
    lines[3] = export_line("entry", &content, &super::hash_of(&content));
    let unsealed = (6, "seal 1 is not of the entries before it");
    check(&lines, &[unsealed, (9, "entry 2 of merchant does not follow the entry in line 4")]);
    // The last entry of a chain has no next one, but a seal.
    let mut lines = Book::usual().export();
    let (content, _) = lines[24].rsplit_once(",\"hash\":").unwrap();
    let content = content.replacen("\"kind\":\"entry\",", "", 1).replace("\"round\":4", "\"round\":9") + "}";
    assert!(content.contains("member/b"), "{content}");
    lines[24] = export_line("entry", &content, &super::hash_of(&content));
    check(&lines, &[(26, "seal 5 is not of the entries before it")]);
}

#[test]
fn one_reading_only() {
    let book = Book::usual();
    for (from, to) in [
        ("\"round\":0", "\"round\":9,\"round\":0"),
        ("\"n\":1,", "\"n\": 1,"),
        ("näher", "n\\u00e4her"),
        ("{\"kind\":\"entry\",", "{\"kind\":\"entry\",\"kind\":\"entry\","),
        ("\"n\":1,", "\"n\":1.0,"),
    ] {
        let mut lines = book.export();
        lines[2] = lines[2].replacen(from, to, 1);
        assert_ne!(lines[2], book.export()[2], "{from}");
        let (found, _) = verify(&lines, None);
        assert!(found.iter().any(|finding| finding.line == 3), "{to}: {found:?}");
    }
}

#[test]
fn missing_repeated_and_moved_entries() {
    let honest = Book::usual().export();
    let mut lines = honest.clone();
    lines.remove(7);
    check(
        &lines,
        &[
            (10, "seal 2 counts 8 entries before it, but 7 were read"),
            (10, "its root does not fit"),
            (12, "entry 3 of member/a leaves a gap: number 2 is missing"),
            (27, "the file ends with 21 entries, but its first line announces 22"),
        ],
    );
    let mut lines = honest.clone();
    lines.insert(8, honest[7].clone());
    check(
        &lines,
        &[
            (9, "entry 2 of member/a is repeated or out of order: line 8 has entry 2"),
            (12, "seal 2 counts 8 entries before it, but 9 were read"),
            (29, "ends with 23 entries"),
        ],
    );
    let mut lines = honest.clone();
    lines.swap(7, 12);
    check(
        &lines,
        &[
            (8, "entry 3 of member/a leaves a gap: number 2 is missing"),
            (11, "its root does not fit"),
            (13, "entry 2 of member/a is repeated or out of order"),
        ],
    );
}

#[test]
fn seals() {
    let honest = Book::usual().export();
    for (from, to, expected) in [
        ("\"entries\":8", "\"entries\":9", "counts 9 entries before it, but 8 were read"),
        ("\"root\":\"", "\"root\":\"0", "its root does not fit"),
        ("\"prev\":\"", "\"prev\":\"0", "does not follow the seal before it"),
        (RECORDER, "acme/2026-10/0", "of another Recorder"),
    ] {
        let mut lines = honest.clone();
        let (content, _) = lines[10].rsplit_once(",\"hash\":").unwrap();
        let content = content.replacen("\"kind\":\"seal\",", "", 1).replacen(from, to, 1) + "}";
        lines[10] = export_line("seal", &content, &super::hash_of(&content));
        let (found, _) = verify(&lines, None);
        assert!(found[0].line == 11 && found[0].what.contains(expected), "{found:?}");
        // The seal that follows names the hash that it had.
        assert!(found.iter().any(|f| f.line == 16 && f.what.contains("seal 3 does not follow")), "{found:?}");
    }
    let mut lines = honest.clone();
    lines.remove(10);
    check(&lines, &[(15, "seal 3 leaves a gap: number 2 is missing"), (27, "ends with 4 seals")]);
    let mut lines = honest.clone();
    lines.insert(11, honest[10].clone());
    check(&lines, &[(12, "seal 2 is repeated"), (29, "ends with 6 seals")]);
}

#[test]
fn the_file_as_a_whole() {
    let book = Book::usual();
    check(&[], &[(1, "the file is empty")]);
    check(&book.lines[..1], &[(1, "an export's first line is missing before it")]);
    check(
        &book.export()[..20],
        &[
            (20, "ends with 16 entries, but its first line announces 22"),
            (20, "ends with 3 seals, but its first line announces 5"),
        ],
    );
    let mut lines = book.export();
    lines.insert(4, "not JSON".to_owned());
    check(&lines, &[(5, "no JSON object")]);
    let mut lines = book.export();
    lines.insert(4, book.export()[0].clone());
    check(&lines, &[(5, "another export begins")]);
    let mut verifier = Verifier::new(None);
    assert_eq!(verifier.read(b"{\"kind\":\"\xff\"}").len(), 1);
    assert_eq!(verifier.skip_long()[0].line, 2);
}

#[test]
fn an_anchor_must_occur() {
    let book = Book::usual();
    assert_eq!(verify(&book.export(), Some(&book.seal)).0, []);
    let (found, _) = verify(&book.export(), Some(NOTHING_BEFORE));
    assert_eq!((found.len(), found[0].line), (1, 28));
    // Rewritten from the start with chains and seals that fit each other: only the anchor tells.
    let mut other = Book::default();
    other.entry("merchant", json!("a better story"));
    other.seal();
    assert_eq!(verify(&other.export(), None).0, []);
    assert_eq!(verify(&other.export(), Some(&book.seal)).0.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any one line changed in any way, dropped or doubled, is found, at that line or after it.
    #[test]
    fn any_single_change_of_any_line_is_found(
        chains in prop::collection::vec(0_u8..6, 1..40),
        line in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        change in 0_u8..5,
        with in any::<char>(),
    ) {
        let mut book = Book::default();
        for chain in chains {
            if chain == 5 { book.seal() } else { book.entry(&format!("member/{chain}"), json!({ "amount": chain })) }
        }
        let mut lines = book.export();
        let honest = lines.clone();
        let index = line.index(lines.len());
        let mut text: Vec<char> = lines[index].chars().collect();
        match change {
            0 => { lines.remove(index); }
            1 => { let same = lines[index].clone(); lines.insert(index, same); }
            2 => { text.remove(place.index(text.len())); lines[index] = text.into_iter().collect(); }
            3 => { text.insert(place.index(text.len() + 1), with); lines[index] = text.into_iter().collect(); }
            _ => { let at = place.index(text.len()); text[at] = with; lines[index] = text.into_iter().collect(); }
        }
        prop_assume!(lines != honest);
        let (found, _) = verify(&lines, None);
        prop_assert!(!found.is_empty(), "line {}", index + 1);
        // A last line that was dropped is missed at the end of the file.
        let first = u64::try_from((index + 1).min(lines.len())).unwrap();
        prop_assert!(found.iter().all(|finding| finding.line >= first), "line {}: {:?}", index + 1, found);
    }
}
