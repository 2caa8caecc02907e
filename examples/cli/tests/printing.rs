//! Print shops: a campaign's keys without the root, and exactly the batch that was reserved.

mod common;

use common::{COUNTING, folder, mint, refuse, succeed};
use serde_json::{Value, json};
use std::fs;

fn export<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args =
        vec!["campaign", "export-key", "--root-hex", COUNTING, "--environment", "live", "--merchant", "acme"];
    args.extend(more);
    args
}

fn batch(from: u32, count: u32, epoch: u8) -> Value {
    let reserved = count + count / 25 + 64;
    json!({
        "batch_id": "ba_1", "label": "Mailing", "from_seq": from, "to_seq": from + reserved, "count": count, "epoch": epoch,
        "created_at": "2026-11-22T00:00:00Z", "by": "admin:al", "recalled": false,
    })
}

#[test]
fn a_print_shop_mints_the_same_codes_without_the_root() {
    let folder = folder("print-key");
    let (key, reserved) = (folder.join("key.json"), folder.join("batch.json"));
    for (profile, epoch, campaign) in [("S20", 0, "1"), ("S16", 3, "4095"), ("S25", 1, "513")] {
        let epoch_text = epoch.to_string();
        let of = ["--profile", profile, "--epoch", &epoch_text, "--campaign", campaign];
        let exported = succeed(&export(&of), b"");
        assert!(!exported.contains(COUNTING));
        let parsed: Value = serde_json::from_str(&exported).unwrap();
        assert_eq!((&parsed["profile"], &parsed["merchant"]), (&json!(profile), &json!("acme")));
        fs::write(&key, &exported).unwrap();
        fs::write(&reserved, batch(200, 500, epoch).to_string()).unwrap();
        let (key, reserved) = (key.to_str().unwrap(), reserved.to_str().unwrap());
        let shop = succeed(&["mint", "--print-key", key, "--batch", reserved, "--format", "csv"], b"");
        let at_home =
            mint(profile, campaign, &["--epoch", &epoch_text, "--from", "200", "--count", "500", "--format", "csv"]);
        assert_eq!(shop, succeed(&at_home, b""));
        let with_root = mint(profile, campaign, &["--epoch", &epoch_text, "--batch", reserved, "--format", "csv"]);
        assert_eq!(shop, succeed(&with_root, b""));
        let loose = succeed(&["mint", "--print-key", key, "--from", "200", "--count", "500", "--format", "csv"], b"");
        assert_eq!(shop, loose);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_that_do_not_fit_are_refused_and_not_shown() {
    let folder = folder("print-key-refused");
    let (key, reserved) = (folder.join("key.json"), folder.join("batch.json"));
    let good: Value = serde_json::from_str(&succeed(&export(&["--campaign", "1"]), b"")).unwrap();
    let secret = good["tag_key"].as_str().unwrap().to_owned();
    fs::write(&reserved, batch(0, 10, 0).to_string()).unwrap();
    let mint = ["mint", "--print-key", key.to_str().unwrap(), "--batch", reserved.to_str().unwrap()];
    let bend = |change: fn(&mut Value)| {
        let mut bent = good.clone();
        change(&mut bent);
        bent
    };
    for (bent, complaint) in [
        (bend(|key| key["tag_key"] = json!("ab")), "tag_key is not 64 hexadecimal digits"),
        (bend(|key| key["word_list"] = json!(99)), "list of offensive words"),
        (bend(|key| key["campaign"] = json!(0)), "campaign"),
        (bend(|key| key["epoch"] = json!(1)), "is of epoch 0, the keys are of epoch 1"),
        (bend(|key| key["more"] = json!(1)), "is not what the service answers"),
    ] {
        fs::write(&key, bent.to_string()).unwrap();
        let said = refuse(&mint);
        assert!(said.contains(complaint), "{said}");
        assert!(!said.contains(&secret), "{said}");
    }
    fs::write(&key, good.to_string()).unwrap();
    // A batch with less room than its codes need was changed by somebody.
    let mut narrow = batch(0, 1_000, 0);
    narrow["to_seq"] = json!(1_000);
    fs::write(&reserved, narrow.to_string()).unwrap();
    let output = folder.join("codes.txt");
    let mut args = mint.to_vec();
    args.extend(["--output", output.to_str().unwrap()]);
    assert!(refuse(&args).contains("codes fit into it"));
    assert!(!output.exists());
    for wrong in [
        &["mint", "--print-key", "none.json", "--count", "1"][..],
        &["mint", "--print-key", mint[2], "--campaign", "1", "--count", "1"],
        &["mint", "--print-key", mint[2], "--root-hex", COUNTING, "--count", "1"],
        &["mint", "--print-key", mint[2], "--batch", mint[4], "--count", "1"],
        &["mint", "--print-key", mint[2]],
        &["campaign", "export-key", "--root-hex", COUNTING, "--environment", "live", "--merchant", "acme"],
    ] {
        refuse(wrong);
    }
    fs::remove_dir_all(folder).unwrap();
}
