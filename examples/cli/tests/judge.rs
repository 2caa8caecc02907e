//! `counterfoil check` and `counterfoil verify`.

mod common;

use common::{COUNTING, counterfoil, refuse, run, succeed, text};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

const S20: &str = "0000-PMHX-FT5V-PPXF-4FNQ";

fn check_table(args: &[&str], rows: &[(&str, &str)]) {
    let input: String = rows.iter().map(|(text, _)| format!("{text}\n")).collect();
    let answers = succeed(args, input.as_bytes());
    assert_eq!(answers.lines().count(), rows.len());
    for (answer, (text, expected)) in answers.lines().zip(rows) {
        assert_eq!(answer, *expected, "{text}");
    }
}

#[test]
fn every_kind_of_answer() {
    let code =
        r#"{"ok":true,"profile":"S20","epoch":0,"campaign":1,"serial":6965167,"canonical":"0000-PMHX-FT5V-PPXF-4FNQ"}"#;
    check_table(
        &["check"],
        &[
            (S20, code),
            ("  oooo pmhx ft5v ppxf 4fnq ", code),
            (
                "0000-PMHX-FT5W-PPXF-4FNQ",
                r#"{"ok":false,"reason":"parity_mismatch","position":11,"suggestions":["0000-PMHX-FT5V-PPXF-4FNQ"]}"#,
            ),
            (
                "0000-PMHX-FT5V-PPXF-4FN",
                r#"{"ok":false,"reason":"wrong_length","suggestions":["0000-PMHX-FT5V-PPXF-4FNQ"]}"#,
            ),
            (
                "?000-PMH?-FT5V-PPXF-4FN?",
                r#"{"ok":false,"reason":"unreadable_symbol","position":0,"suggestions":["0000-PMHX-FT5V-PPXF-4FNQ"],"unverified":true}"#,
            ),
            ("", r#"{"ok":false,"reason":"empty","suggestions":[]}"#),
            ("WELCOME10", r#"{"ok":false,"reason":"wrong_length","suggestions":[]}"#),
            (
                "0000-PMHX-FT5\u{212a}-PPXF-4FNQ",
                r#"{"ok":false,"reason":"invalid_symbol","position":11,"suggestions":[]}"#,
            ),
            (&"0".repeat(65), r#"{"ok":false,"reason":"too_long","suggestions":[]}"#),
            ("R000-PMHX-FT5V-PPXF-448V", r#"{"ok":false,"reason":"unsupported_kind","position":0,"suggestions":[]}"#),
        ],
    );
    check_table(
        &["check", "--mode", "typing"],
        &[
            (S20, code),
            ("0000-PMHX-FT5V-PPXF-4FN", r#"{"ok":false,"reason":"wrong_length","suggestions":[]}"#),
            (
                "0000-PMHX-FT5W-PPXF-4FNQ",
                r#"{"ok":false,"reason":"parity_mismatch","position":11,"suggestions":["0000-PMHX-FT5V-PPXF-4FNQ"]}"#,
            ),
        ],
    );
}

#[test]
fn lines_end_as_lines_do() {
    assert_eq!(succeed(&["check"], b""), "");
    let one = succeed(&["check"], S20.as_bytes());
    assert_eq!(succeed(&["check"], format!("{S20}\n").as_bytes()), one);
    assert_eq!(succeed(&["check"], format!("{S20}\r\n").as_bytes()), one);
    assert_eq!(succeed(&["check"], b"\n\n").lines().count(), 2);
    // 64 scalar values and a line end are not 65.
    let padded = format!("{S20}{}", " ".repeat(64 - S20.len()));
    assert_eq!(succeed(&["check"], format!("{padded}\r\n").as_bytes()), one);
    assert!(succeed(&["check"], format!("{padded} \n").as_bytes()).contains("too_long"));
}

#[test]
fn any_bytes_get_an_answer_each_line() {
    let mut input = Vec::new();
    input.extend(b"\xff\xfe\n");
    input.extend(b"0000-PMHX\xc3\n");
    input.extend(vec![b'0'; 3_000_000]);
    input.push(b'\n');
    input.extend(vec![0xff; 100_000]);
    input.push(b'\n');
    input.extend(b"\0\0\0\n");
    input.extend(S20.as_bytes());
    let answers = succeed(&["check"], &input);
    let reasons: Vec<serde_json::Value> = answers
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["reason"].clone())
        .collect();
    assert_eq!(
        reasons,
        ["not_utf8", "not_utf8", "too_long", "too_long", "invalid_symbol"]
            .map(serde_json::Value::from)
            .into_iter()
            .chain([serde_json::Value::Null])
            .collect::<Vec<_>>()
    );
}

/// A line without an end must not fill the memory.
#[cfg(target_os = "linux")]
#[test]
fn memory_is_bounded() {
    let mut child = counterfoil().arg("check").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let piece = vec![b'A'; 1 << 20];
    for _ in 0..128 {
        stdin.write_all(&piece).unwrap();
    }
    // An answer proves that everything before it was read.
    stdin.write_all(b"\n").unwrap();
    let mut answer = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut answer).unwrap();
    assert!(answer.contains("too_long"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 32 * 1024, "{peak}");
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// Another program can ask a line and wait for the answer.
#[test]
fn each_line_is_answered_before_the_next_comes() {
    for args in [&["check"][..], &["verify", "--root-hex", COUNTING, "--environment", "live", "--merchant", "acme"]] {
        let mut child = counterfoil().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..3 {
            writeln!(stdin, "{S20}").unwrap();
            let mut answer = String::new();
            stdout.read_line(&mut answer).unwrap();
            assert!(answer.starts_with("{\"ok\":true"), "{answer}");
        }
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

fn verify<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["verify", "--root-hex", COUNTING, "--environment", "live", "--merchant", "acme"], more].concat()
}

#[test]
fn verify_tells_genuine_from_forged() {
    check_table(
        &verify(&[]),
        &[
            (
                S20,
                r#"{"ok":true,"profile":"S20","epoch":0,"campaign":1,"serial":6965167,"canonical":"0000-PMHX-FT5V-PPXF-4FNQ","authentic":true,"seq":0}"#,
            ),
            (
                "7zzz wehf jahy p1b9 as6p",
                r#"{"ok":true,"profile":"S20","epoch":7,"campaign":65535,"serial":13059570,"canonical":"7ZZZ-WEHF-JAHY-P1B9-AS6P","authentic":true,"seq":16777215}"#,
            ),
            (
                "800D-KM2J-WNB5-QFAT",
                r#"{"ok":true,"profile":"S16","epoch":0,"campaign":1,"serial":735754,"canonical":"800D-KM2J-WNB5-QFAT","authentic":true,"seq":0}"#,
            ),
            // Another environment's, another root's.
            (
                "0000-JC5K-V4KB-6SYK-8HBT",
                r#"{"ok":true,"profile":"S20","epoch":0,"campaign":1,"serial":2496123,"canonical":"0000-JC5K-V4KB-6SYK-8HBT","authentic":false}"#,
            ),
            (
                "2080-J4A3-5EBX-9W9T-VTHF",
                r#"{"ok":true,"profile":"S20","epoch":2,"campaign":513,"serial":2238565,"canonical":"2080-J4A3-5EBX-9W9T-VTHF","authentic":false}"#,
            ),
            (
                "0000-PMHX-FT5W-PPXF-4FNQ",
                r#"{"ok":false,"reason":"parity_mismatch","position":11,"suggestions":["0000-PMHX-FT5V-PPXF-4FNQ"],"authentic":false}"#,
            ),
        ],
    );
}

#[test]
fn verify_can_be_held_to_one_epoch_campaign_and_profile() {
    let input = format!("{S20}\n7ZZZ-WEHF-JAHY-P1B9-AS6P\n800D-KM2J-WNB5-QFAT\n");
    for (flags, authentic) in [
        (&[][..], [true, true, true]),
        (&["--epoch", "0"], [true, false, true]),
        (&["--epoch", "7"], [false, true, false]),
        (&["--campaign", "1"], [true, false, true]),
        (&["--profile", "S20"], [true, true, false]),
        (&["--profile", "s16", "--epoch", "0", "--campaign", "1"], [false, false, true]),
    ] {
        let answers = succeed(&verify(flags), input.as_bytes());
        let found: Vec<bool> = answers
            .lines()
            .map(|line| {
                let answer: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(answer["seq"].is_u64(), answer["authentic"].as_bool().unwrap());
                answer["authentic"].as_bool().unwrap()
            })
            .collect();
        assert_eq!(found, authentic, "{flags:?}");
    }
    assert!(refuse(&verify(&["--profile", "S16", "--campaign", "5000"])).contains("1 to 4095"));
    assert!(refuse(&verify(&["--epoch", "8"])).contains("0..=7"));
}

/// More campaigns than are remembered: each line is still judged by its own keys.
#[test]
fn verify_goes_through_any_number_of_campaigns() {
    use counterfoil_core::code::Profile;
    use counterfoil_core::keys::{CampaignKeys, Environment, MerchantId, Root};
    let (environment, merchant) = (Environment::new("live").unwrap(), MerchantId::new("acme").unwrap());
    let root = Root::from_hex(COUNTING).unwrap();
    let code = |campaign| {
        let keys = CampaignKeys::derive(&root, &environment, &merchant, Profile::S20, 1, campaign).unwrap();
        keys.mint(u32::from(campaign)).unwrap().canonical()
    };
    let input: String = (1..=9_000u16).chain([1, 2]).map(|campaign| format!("{}\n", code(campaign))).collect();
    let answers = succeed(&verify(&[]), input.as_bytes());
    for (line, campaign) in answers.lines().zip((1..=9_000u32).chain([1, 2])) {
        assert!(line.ends_with(&format!("\"authentic\":true,\"seq\":{campaign}}}")), "{line}");
    }
    assert_eq!(answers.lines().count(), 9_002);
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let mut child =
        counterfoil().arg("check").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // Sooner or later the program has gone, and so has its input.
    while stdin.write_all(S20.as_bytes()).and_then(|()| stdin.write_all(b"\n")).is_ok() {}
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn wrong_flags_are_refused() {
    for args in [&["check", "--mode", "half"][..], &["check", "x"], &["verify"], &["check", "--epoch", "1"]] {
        refuse(args);
    }
    let output = run(&["verify", "--root-hex", "00", "--environment", "live", "--merchant", "acme"], b"x\n");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
}
