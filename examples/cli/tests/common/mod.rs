//! Runs the program: as a process, or in this one.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses some of it; a failure here fails the test")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

pub(crate) const COUNTING: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The program, without anything of the environment that could matter to it.
pub(crate) fn counterfoil() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
    command.env_remove("COUNTERFOIL_ROOT_HEX").stdin(Stdio::null());
    command
}

/// Runs it with these arguments and this input.
pub(crate) fn run(args: &[&str], input: &[u8]) -> Output {
    let mut child =
        counterfoil().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // Whoever refuses its flags does not read its input.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// Arguments of a mint with the counting root; `more` comes last.
pub(crate) fn mint<'a>(profile: &'a str, campaign: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["mint", "--root-hex", COUNTING, "--environment", "live", "--merchant", "acme"];
    args.extend(["--profile", profile, "--campaign", campaign]);
    args.extend(more);
    args
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs it where it must succeed, silently, and answers what it wrote.
pub(crate) fn succeed(args: &[&str], input: &[u8]) -> String {
    let output = run(args, input);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "{args:?}");
    text(&output.stdout).to_owned()
}

/// Runs it where it must refuse with status 2, nothing on the standard output, and answers the complaint.
pub(crate) fn refuse(args: &[&str]) -> String {
    let output = run(args, b"");
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    assert_eq!(text(&output.stdout), "", "{args:?}");
    let complaint = text(&output.stderr).to_owned();
    assert!(!complaint.trim().is_empty(), "{args:?}");
    complaint
}

/// An empty folder of this test's own.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The names in a folder.
pub(crate) fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
