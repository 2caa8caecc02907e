//! `counterfoil audit verify`: files as a service exports them, and what happens to them afterwards.

mod common;

use common::{folder, refuse, run, succeed, text};
use counterfoil_core::audit::{Draft, Entry, Header, NOTHING_BEFORE, Seal, Tree, export_line, leaf};
use counterfoil_core::hex;
use counterfoil_core::time::Instant;
use std::fs;

const RECORDER: &str = "acme/2026-11/0";

/// An export of one campaign's chain: `entries` entries, all but the last sealed.
#[allow(clippy::unwrap_used, reason = "a failure here fails the test")]
fn export(entries: u64) -> (Vec<String>, String) {
    let at = Instant::parse("2026-11-22T10:00:00Z").unwrap();
    let mut lines = vec![Header { recorder: RECORDER.to_owned(), at, entries, seals: 1 }.line()];
    let (mut prev, mut sealed) = (NOTHING_BEFORE.to_owned(), String::new());
    for n in 1..=entries {
        if n == entries {
            let mut tree = Tree::default();
            tree.add(leaf("campaign/7", n - 1, &prev));
            let (recorder, root) = (RECORDER.to_owned(), hex::encode(&tree.root()));
            let seal = Seal { recorder, n: 1, at, entries: n - 1, root, prev: NOTHING_BEFORE.to_owned() };
            lines.push(export_line("seal", &seal.canonical(), &seal.hash()));
            sealed = seal.hash();
        }
        let entry = Entry::chain(&prev, "campaign/7", n, at, &Draft::new("admin:alice", "campaign.changed"));
        lines.push(export_line("entry", &entry.canonical(), &entry.hash()));
        prev = entry.hash();
    }
    (lines, sealed)
}

fn file(lines: &[String]) -> Vec<u8> {
    (lines.join("\n") + "\n").into_bytes()
}

/// Verifies what has findings and answers them.
#[track_caller]
fn findings(input: &[u8], flags: &[&str]) -> Vec<String> {
    let output = run(&[&["audit", "verify", "-"], flags].concat(), input);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).starts_with("counterfoil: "), "{}", text(&output.stderr));
    assert!(text(&output.stderr).ends_with("not as it was written\n"));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn an_export_as_it_was_written() {
    let (lines, seal) = export(4);
    let folder = folder("audit");
    let path = folder.join("2026-11.jsonl");
    fs::write(&path, file(&lines)).unwrap();
    let expected = format!(
        "acme/2026-11/0 is as it was written.\nobjects:   1\nentries:   4\nseals:     1\nfrom:      \
         2026-11-22T10:00:00.000Z\nto:        2026-11-22T10:00:00.000Z\nunsealed:  1\nlast seal: {seal}\n"
    );
    assert_eq!(succeed(&["audit", "verify", path.to_str().unwrap()], b""), expected);
    assert_eq!(succeed(&["audit", "verify", "-"], &file(&lines)), expected);
    assert_eq!(succeed(&["audit", "verify", "-", "--anchor", &seal.to_uppercase()], &file(&lines)), expected);
    // The last line end is no content.
    assert_eq!(succeed(&["audit", "verify", "-"], lines.join("\n").as_bytes()), expected);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn tampering_is_named_by_line() {
    let (lines, _) = export(4);
    let mut bent = lines.clone();
    bent[2] = bent[2].replace("alice", "bob");
    let found = findings(&file(&bent), &[]);
    assert!(found.len() == 1 && found[0].starts_with("line 3: changed: its hash is "), "{found:?}");
    bent.remove(2);
    let found = findings(&file(&bent), &[]);
    assert!(found[0].starts_with("line 3: entry 3 of campaign/7 leaves a gap: number 2 is missing"), "{found:?}");
    let found = findings(&file(&lines), &["--anchor", NOTHING_BEFORE]);
    assert_eq!(found, [format!("line 6: the file ends without a seal of the hash {NOTHING_BEFORE}")]);
    let found = findings(b"", &[]);
    assert_eq!(found, ["line 1: the file is empty"]);
}

#[test]
fn a_hundred_findings_are_enough() {
    let found = findings("rubbish\n".repeat(250).as_bytes(), &[]);
    assert_eq!(found.len(), 101);
    assert_eq!(found[99], "line 100: not a line of an export: no JSON object");
    assert_eq!(found[100], "… and 150 more");
    // A line as long as a file takes no room.
    assert_eq!(findings(&[b'{'; 3_000_000], &[]), ["line 1: longer than any line of an export"]);
}

#[test]
fn bad_usage_and_unreadable_files() {
    assert!(refuse(&["audit", "verify", "/no/such/file"]).contains("/no/such/file cannot be read"));
    assert!(refuse(&["audit", "verify", "/"]).contains("cannot be read"));
    assert!(refuse(&["audit", "verify", "-", "--anchor", "5f0c"]).contains("64 hexadecimal digits"));
    for args in [&["audit"][..], &["audit", "verify"], &["audit", "mend", "-"]] {
        refuse(args);
    }
}

#[test]
fn help_teaches() {
    let help = succeed(&["audit", "verify", "--help"], b"");
    for word in ["Usage: counterfoil audit verify", "--anchor", "unsealed", "Exit status", "Examples", "audit.seal"] {
        assert!(help.contains(word), "{word}");
    }
    assert!(succeed(&["--help"], b"").contains("counterfoil audit verify"));
}
