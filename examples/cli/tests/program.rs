//! The program as a whole: help, terminals, the published vectors.

mod common;

use common::{COUNTING, counterfoil, folder, mint, names, refuse, succeed};
use counterfoil_cli::{Surroundings, vectors};
use proptest::prelude::*;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Runs it in this process: status, output, error output.
#[allow(clippy::unwrap_used, reason = "a failure here fails the test")]
fn inside(args: &[&str], mut input: &[u8], stderr_is_terminal: bool) -> (u8, Vec<u8>, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let surroundings = Surroundings {
        root_hex: None,
        stdin: &mut input,
        stdout: &mut stdout,
        stderr: &mut stderr,
        stderr_is_terminal,
    };
    let arguments = ["counterfoil"].iter().chain(args).map(OsString::from);
    let status = counterfoil_cli::run(arguments, surroundings);
    (status, stdout, String::from_utf8(stderr).unwrap())
}

#[test]
fn help_teaches() {
    let help = succeed(&["--help"], b"");
    for word in ["mint", "check", "verify", "vectors", "Examples", "Exit status", "--root-file root.hex"] {
        assert!(help.contains(word), "{word}");
    }
    for command in ["mint", "check", "verify", "vectors"] {
        let help = succeed(&[command, "--help"], b"");
        assert!(help.contains("Usage: counterfoil"), "{command}");
        assert!(help.len() > 500, "{command}");
    }
    assert!(succeed(&["--version"], b"").starts_with("counterfoil "));
    // No example shows how to put a secret on a command line.
    for args in [&["--help"][..], &["mint", "--help"], &["verify", "--help"]] {
        let help = succeed(args, b"");
        assert!(!help.contains("--root-hex \"") && !help.contains("--root-hex $"), "{args:?}");
    }
}

/// What the help shows is what the program answers.
#[test]
fn the_examples_in_the_help_are_true() {
    let all = succeed(&["--help"], b"");
    assert!(all.contains(succeed(&["check"], b"0000-PMHX-FT5W-PPXF-4FNQ\n").trim()));
    let check = succeed(&["check", "--help"], b"");
    for line in succeed(&["check"], b"0000pmhxft5vppxf4fnq\n0000-PMHX-FT?V-PPXF-4FNQ\n").lines() {
        assert!(check.contains(line), "{line}");
    }
    let mint_help = succeed(&["mint", "--help"], b"");
    assert!(mint_help.contains(succeed(&mint("S20", "1", &["--count", "1", "--format", "jsonl"]), b"").trim()));
    let verify = succeed(&["verify", "--help"], b"");
    let flags = ["verify", "--root-hex", COUNTING, "--environment", "live", "--merchant", "acme"];
    assert!(verify.contains(succeed(&flags, b"0000-PMHX-FT5V-PPXF-4FNQ\n").trim()));
}

#[test]
fn a_terminal_is_told_what_remains_and_the_odds() {
    let args = mint("S16", "1", &["--from", "9000", "--count", "1000"]);
    let (status, stdout, stderr) = inside(&args, b"", true);
    assert_eq!(status, 0);
    assert_eq!(stdout.split(|byte| *byte == b'\n').count(), 1_001);
    assert!(stderr.contains("1039576 serials remain in the campaign before this mint"), "{stderr}");
    assert!(stderr.contains("with 10000 issued: 2^-34.7"), "{stderr}");
    let last = succeed(&mint("S16", "1", &["--from", "9000", "--count", "1000", "--format", "csv"]), b"");
    let last: u32 = last.lines().last().unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(stderr.ends_with(&format!("the next mint starts at --from {}.\n", last + 1)), "{stderr}");
    // Elsewhere it says nothing.
    assert_eq!(inside(&args, b"", false).2, "");
    // Progress is drawn over itself and cleared.
    let (_, _, stderr) = inside(&mint("S20", "1", &["--count", "60000"]), b"", true);
    assert!(stderr.contains("\r\u{1b}[2K") && stderr.contains(" of 60000 codes, "), "{stderr}");
}

#[test]
fn a_full_disk_is_an_error_with_status_1() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = counterfoil().args(mint("S20", "1", &["--count", "5"])).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("counterfoil: the output cannot be written"));
    let output = counterfoil().args(mint("S20", "1", &["--count", "5", "--output", "/dev/full"])).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

/// The published vectors are those that the code gives, byte for byte. `npm run generate` writes them anew.
#[test]
fn the_published_vectors_are_current() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let files = vectors::files();
    for file in &files {
        let found = fs::read_to_string(published.join(file.name)).unwrap_or_default();
        assert!(found == file.text(), "tests/vectors/{} is stale: run `npm run generate`", file.name);
    }
    let known: Vec<&str> = files.iter().map(|file| file.name).collect();
    let json = names(&published).into_iter().filter(|name| name.ends_with(".json"));
    assert_eq!(json.collect::<Vec<_>>(), known);
}

#[test]
fn vectors_are_written_to_a_folder_a_file_or_the_output() {
    let folder = folder("vectors");
    let (set, one) = (folder.join("a/set"), folder.join("all.json"));
    succeed(&["vectors", "--output", set.to_str().unwrap()], b"");
    assert_eq!(names(&set).len(), vectors::files().len());
    succeed(&["vectors", "--output", one.to_str().unwrap()], b"");
    let all = fs::read_to_string(&one).unwrap();
    assert_eq!(succeed(&["vectors"], b""), all);
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    for file in vectors::files() {
        let single: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(set.join(file.name)).unwrap()).unwrap();
        assert_eq!(all[file.name], single);
        assert!(file.text().is_ascii());
    }
    refuse(&["vectors", "--output", "/dev/null/x"]);
    fs::remove_dir_all(folder).unwrap();
}

proptest! {
    /// Whatever comes in: one JSON answer a line, and never a failure.
    #[test]
    fn any_input_gets_one_answer_a_line(input in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (status, stdout, stderr) = inside(&["check"], &input, false);
        prop_assert_eq!((status, stderr.as_str()), (0, ""));
        let lines = input.split(|byte| *byte == b'\n').count() - usize::from(input.is_empty() || input.ends_with(b"\n"));
        let answers: Vec<serde_json::Value> =
            std::str::from_utf8(&stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert_eq!(answers.len(), lines);
        prop_assert!(answers.iter().all(|answer| answer["ok"].is_boolean()));
    }
}
