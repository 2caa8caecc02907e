//! `counterfoil mint`, driven as people and scripts drive it.

mod common;

use common::{COUNTING, counterfoil, folder, mint, names, refuse, run, succeed, text};
use std::fs;
use std::io::Read;
use std::process::Stdio;

#[test]
fn the_worked_vectors_in_every_format() {
    let two = ["--count", "2"];
    assert_eq!(succeed(&mint("S20", "1", &two), b""), "0000-PMHX-FT5V-PPXF-4FNQ\n0000-X2SV-W170-PE2M-HAHD\n");
    assert_eq!(
        succeed(&mint("S20", "1", &["--count", "2", "--format", "csv"]), b""),
        "seq,code\n0,0000-PMHX-FT5V-PPXF-4FNQ\n1,0000-X2SV-W170-PE2M-HAHD\n"
    );
    assert_eq!(
        succeed(&mint("S20", "1", &["--count", "2", "--format", "jsonl"]), b""),
        "{\"seq\":0,\"serial\":6965167,\"tag_hex\":\"d1776b75e4\",\"code\":\"0000-PMHX-FT5V-PPXF-4FNQ\"}\n\
         {\"seq\":1,\"serial\":13723516,\"tag_hex\":\"09c1670a91\",\"code\":\"0000-X2SV-W170-PE2M-HAHD\"}\n"
    );
    for (profile, epoch, campaign, seq, line) in [
        ("S20", "7", "65535", "16777215", "7ZZZ-WEHF-JAHY-P1B9-AS6P\n"),
        ("S16", "3", "4095", "1048575", "BZZY-XZBP-PHSF-AWRC\n"),
        ("S25", "1", "513", "123456", "H0409-VDF1N-GEMV5-9EV3M-V9QKV\n"),
        ("s25", "1", "513", "123456", "H0409-VDF1N-GEMV5-9EV3M-V9QKV\n"),
    ] {
        assert_eq!(succeed(&mint(profile, campaign, &["--epoch", epoch, "--from", seq, "--count", "1"]), b""), line);
    }
}

/// Every JSONL line is JSON, its tag has the whole width, and its code says the same.
#[test]
fn jsonl_is_json_with_padded_tags() {
    for (profile, digits) in [("S20", 10), ("S16", 7), ("S25", 16)] {
        let lines = succeed(&mint(profile, "2", &["--from", "500", "--count", "300", "--format", "jsonl"]), b"");
        let mut padded = 0;
        for line in lines.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let tag = value["tag_hex"].as_str().unwrap();
            assert_eq!(tag.len(), digits);
            padded += usize::from(tag.starts_with('0'));
            let code = counterfoil_core::code::check(value["code"].as_str().unwrap()).unwrap();
            assert_eq!(code.tag(), u64::from_str_radix(tag, 16).unwrap());
            assert_eq!(u64::from(code.serial()), value["serial"].as_u64().unwrap());
        }
        assert!(padded > 0, "{profile}: some of 300 tags begin with 0");
        assert_eq!(lines.lines().count(), 300);
    }
}

#[test]
fn a_long_mint_is_the_same_as_its_parts() {
    let whole = succeed(&mint("S20", "9", &["--count", "20000", "--format", "csv"]), b"");
    let mut parts = "seq,code\n".to_owned();
    let mut from = 0;
    for count in [1, 7_000, 12_999] {
        let arguments = [from.to_string(), count.to_string()];
        let part =
            succeed(&mint("S20", "9", &["--from", &arguments[0], "--count", &arguments[1], "--format", "csv"]), b"");
        let last = part.lines().last().unwrap().split(',').next().unwrap().parse::<u32>().unwrap();
        parts.push_str(part.strip_prefix("seq,code\n").unwrap());
        from = last + 1;
    }
    assert_eq!(whole, parts);
}

#[test]
fn the_root_comes_from_a_file_or_the_environment() {
    let folder = folder("mint-root");
    let file = folder.join("root.hex");
    fs::write(&file, format!("  {}\r\n", COUNTING.to_uppercase())).unwrap();
    let names = ["--environment", "live", "--merchant", "acme", "--campaign", "1", "--count", "1"];
    let mint = || {
        let mut command = counterfoil();
        command.arg("mint").args(names);
        command
    };
    let expected = "0000-PMHX-FT5V-PPXF-4FNQ\n";
    assert_eq!(text(&mint().arg("--root-file").arg(&file).output().unwrap().stdout), expected);
    assert_eq!(text(&mint().env("COUNTERFOIL_ROOT_HEX", COUNTING).output().unwrap().stdout), expected);
    // A flag wins over the environment.
    let both = mint().env("COUNTERFOIL_ROOT_HEX", "5a".repeat(32)).arg("--root-file").arg(&file).output().unwrap();
    assert_eq!(text(&both.stdout), expected);
    let neither = mint().output().unwrap();
    assert_eq!(neither.status.code(), Some(2));
    assert!(text(&neither.stderr).contains("--root-file FILE, or set COUNTERFOIL_ROOT_HEX"));
    let two_flags = mint().args(["--root-hex", COUNTING]).arg("--root-file").arg(&file).output().unwrap();
    assert_eq!(two_flags.status.code(), Some(2));
    let missing = mint().arg("--root-file").arg(folder.join("none")).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    fs::remove_dir_all(folder).unwrap();
}

/// A file appears whole or not at all.
#[test]
fn output_files_are_atomic() {
    let folder = folder("mint-output");
    let path = folder.join("codes.csv");
    let name = path.to_str().unwrap();
    let good = ["--count", "1000", "--format", "csv", "--output", name];
    assert_eq!(succeed(&mint("S20", "1", &good), b""), "");
    let first = fs::read_to_string(&path).unwrap();
    assert_eq!(first.lines().count(), 1_001);
    assert_eq!(names(&folder), ["codes.csv"]);
    // A refused mint leaves what was there.
    refuse(&mint("S20", "1", &["--from", "16777216", "--count", "1", "--output", name]));
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
    // A later mint replaces it.
    succeed(&mint("S20", "2", &good), b"");
    assert_ne!(fs::read_to_string(&path).unwrap(), first);
    assert_eq!(names(&folder), ["codes.csv"]);
    // Nowhere to write to.
    let nowhere = folder.join("none/codes.csv");
    refuse(&mint("S20", "1", &["--count", "1", "--output", nowhere.to_str().unwrap()]));
    refuse(&mint("S20", "1", &["--count", "1", "--output", folder.to_str().unwrap()]));
    refuse(&mint("S20", "1", &["--count", "1", "--output", ""]));
    assert_eq!(names(&folder), ["codes.csv"]);
    fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn devices_links_and_permissions() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    succeed(&mint("S20", "1", &["--count", "1000", "--output", "/dev/null"]), b"");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let folder = folder("mint-links");
    let (real, link) = (folder.join("real"), folder.join("link"));
    fs::write(&real, "old").unwrap();
    symlink(&real, &link).unwrap();
    succeed(&mint("S20", "1", &["--count", "1", "--output", link.to_str().unwrap()]), b"");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "0000-PMHX-FT5V-PPXF-4FNQ\n");
    // Codes are worth what they redeem: nobody else reads them.
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn an_interrupted_mint_leaves_nothing() {
    let folder = folder("mint-interrupted");
    let path = folder.join("codes");
    let arguments = ["--count", "16000000", "--output", path.to_str().unwrap()];
    let mut child = counterfoil().args(mint("S25", "1", &arguments)).stderr(Stdio::piped()).spawn().unwrap();
    while names(&folder).is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
        std::thread::yield_now();
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut complaint = String::new();
    child.stderr.unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!(complaint, "counterfoil: interrupted; nothing was written\n");
    assert!(names(&folder).is_empty());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let mut child = counterfoil()
        .args(mint("S20", "1", &["--count", "16000000"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 25];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&first), "0000-PMHX-FT5V-PPXF-4FNQ\n");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn the_serial_space_has_an_end() {
    let last = succeed(&mint("S16", "1", &["--from", "1048575", "--count", "1"]), b"");
    assert_eq!(last.lines().count(), 1);
    for (profile, from, count) in [
        ("S16", "1048575", "2"),
        ("S16", "1048576", "1"),
        ("S16", "0", "1048577"),
        ("S20", "16777216", "1"),
        ("S20", "4294967295", "4294967295"),
        ("S25", "16777000", "217"),
    ] {
        let complaint = refuse(&mint(profile, "1", &["--from", from, "--count", count]));
        assert!(complaint.contains("past the end of the serial space"), "{complaint}");
    }
    // The last 2000 seqs give fewer codes than seqs, and the complaint says how many.
    let complaint = refuse(&mint("S16", "1", &["--from", "1046576", "--count", "2000"]));
    let possible = complaint.split("which give ").nth(1).unwrap().split(' ').next().unwrap();
    let codes = succeed(&mint("S16", "1", &["--from", "1046576", "--count", possible]), b"");
    assert_eq!(codes.lines().count().to_string(), possible);
}

#[test]
fn wrong_flags_are_refused_with_a_reason() {
    let good = mint("S20", "1", &["--epoch", "0", "--from", "0", "--count", "2", "--format", "csv"]);
    assert_eq!(run(&good, b"").status.code(), Some(0));
    let change = |flag: &str, value: &'static str| {
        let at = good.iter().position(|word| *word == flag).unwrap() + 1;
        let mut args = good.clone();
        args[at] = value;
        args
    };
    for (args, says) in [
        (change("--root-hex", ""), "at least 32 bytes, found 0"),
        (change("--root-hex", "5a5a"), "at least 32 bytes, found 2"),
        (change("--root-hex", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1"), "hexadecimal"),
        (change("--environment", "Live!"), "--environment: an environment is 1 to 16 characters"),
        (change("--environment", ""), "--environment"),
        (change("--merchant", "-acme"), "--merchant: a merchant is 1 to 32 characters"),
        (change("--merchant", "acme.shop"), "--merchant"),
        (change("--profile", "S21"), "possible values: S20, S16, S25"),
        (change("--epoch", "8"), "8 is not in 0..=7"),
        (change("--epoch", "-1"), "--epoch"),
        (change("--campaign", "0"), "0 is not in 1..=65535"),
        (change("--campaign", "65536"), "65536 is not in 1..=65535"),
        (change("--campaign", "one"), "--campaign"),
        (change("--campaign", "40166"), "spell an offensive word"),
        (change("--from", "-1"), "--from"),
        (change("--from", "4294967296"), "--from"),
        (change("--count", "0"), "0 is not in 1.."),
        (change("--count", "1e3"), "--count"),
        (change("--format", "xml"), "possible values: text, csv, jsonl"),
        ([&good[..], &["--surprise"]].concat(), "--surprise"),
        ([&good[..], &["--count", "3"]].concat(), "--count"),
        (mint("S16", "4096", &["--count", "1"]), "1 to 4095"),
        (mint("S20", "1", &[]), "--count"),
        (vec!["mint"], "--environment"),
        (vec!["conjure"], "conjure"),
        (vec![], "Usage"),
    ] {
        let complaint = refuse(&args);
        assert!(complaint.contains(says), "{args:?} says {complaint}");
    }
}

/// Whatever is wrong, and wherever the secret was put by mistake, no error shows it.
#[test]
fn errors_never_show_the_secret() {
    let secret = "f00dfeedf00dfeedf00dfeedf00dfeedf00dfeedf00dfeedf00dfeedf00dfeed";
    let odd = "f00dfeedf00dfeedf00dfeedf00dfeedf00dfeedf00dfeedf00dfeedf00dfeez";
    let names = ["--environment", "live", "--merchant", "acme", "--campaign", "1", "--count", "1"];
    let with = |more: &[&'static str]| [&["mint"][..], &names, more].concat();
    for args in [
        with(&["--root-hex", odd]),
        with(&["--root-hex", &secret[1..]]),
        with(&["--root-hex", secret, secret]),
        with(&["--root-hex", secret, "--root-hex", odd]),
        with(&["--root-file", "x", "--root-hex", secret]),
        with(&["--root", secret]),
        with(&["--roothex=f00dfeedf00dfeedf00dfeedf00dfeedf00dfeedf00dfeedf00dfeedf00dfeed"]),
        with(&[secret]),
        with(&["--from", secret]),
        with(&["--format", secret]),
        vec!["mint", "--environment", secret, "--merchant", secret, "--campaign", "1", "--count", "1"],
        vec![secret],
        vec!["check", odd],
        vec!["verify", secret],
    ] {
        let complaint = refuse(&args).to_lowercase();
        assert!(!complaint.contains("f00dfeed"), "{args:?} says {complaint}");
    }
    let environment = counterfoil().arg("mint").args(names).env("COUNTERFOIL_ROOT_HEX", odd).output().unwrap();
    assert_eq!(environment.status.code(), Some(2));
    assert!(!text(&environment.stderr).contains("feed"), "{}", text(&environment.stderr));
    let help = counterfoil().args(["mint", "--help"]).env("COUNTERFOIL_ROOT_HEX", secret).output().unwrap();
    assert!(!text(&help.stdout).contains("feed"));
}
