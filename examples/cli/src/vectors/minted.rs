//! Codes as they are minted: the worked vectors of the format, and every edge of every field.

use super::keys::{A5, COUNTING, KeyNames, root_of_length, tag_hex};
use super::{Case, VectorFile};
use counterfoil_core::code::Profile;
use serde_json::json;

pub(super) fn file() -> VectorFile {
    let cases = worked().into_iter().chain(edges()).chain(other_secrets());
    VectorFile::new(
        "minted.json",
        "Minted codes. From the keys' names and seq follow serial, tag (hexadecimal, padded to its width) and code; from the code and the keys follow that it is authentic, and its seq.",
        cases.filter_map(|(name, keys, seq)| case(&name, &keys, seq)).collect(),
    )
}

type Minting = (String, KeyNames, u32);

fn case(name: &str, keys: &KeyNames, seq: u32) -> Option<Case> {
    let code = keys.mint(seq)?;
    let mut case = keys.case(name);
    case.push(("seq", json!(seq)));
    case.push(("serial", json!(code.serial())));
    case.push(("tag_hex", json!(tag_hex(&code))));
    case.push(("code", json!(code.canonical().as_str())));
    Some(case)
}

/// In the order of the format's table.
fn worked() -> Vec<Minting> {
    use Profile::{S16, S20, S25};
    let mut test = KeyNames::new(COUNTING, "acme", S20, 0, 1);
    "test".clone_into(&mut test.environment);
    let rows = [
        (KeyNames::new(COUNTING, "acme", S20, 0, 1), 0),
        (KeyNames::new(COUNTING, "acme", S20, 0, 1), 1),
        (KeyNames::new(COUNTING, "acme", S20, 7, 65_535), 16_777_215),
        (test, 0),
        (KeyNames::new(COUNTING, "acme", S16, 0, 1), 0),
        (KeyNames::new(COUNTING, "acme", S16, 3, 4_095), 1_048_575),
        (KeyNames::new(COUNTING, "acme", S25, 0, 1), 0),
        (KeyNames::new(COUNTING, "acme", S25, 1, 513), 123_456),
        (KeyNames::new(A5, "m-1", S20, 2, 513), 99),
    ];
    (1..).zip(rows).map(|(number, (keys, seq))| (format!("worked vector {number}"), keys, seq)).collect()
}

/// Every epoch and both ends of every number, in every profile.
fn edges() -> Vec<Minting> {
    let mut cases = Vec::new();
    for profile in Profile::ALL {
        let name = profile.name();
        let last = profile.serial_space() - 1;
        for epoch in 0..8 {
            let campaign = profile.campaign_max() - u16::from(epoch) * 500;
            let keys = KeyNames::new(A5, "m-1", profile, epoch, campaign);
            cases.push((format!("{name}, epoch {epoch}"), keys, u32::from(epoch) * 1_000 + 7));
        }
        for campaign in [1, 2, 255, 256, profile.campaign_max() / 2 + 1, profile.campaign_max()] {
            for seq in [0, 1, last / 2, last / 2 + 1, last] {
                let keys = KeyNames::new(COUNTING, "acme", profile, 0, campaign);
                cases.push((format!("{name}, campaign {campaign}, seq {seq}"), keys, seq));
            }
        }
    }
    cases
}

/// Every length a root or a name can have at its ends.
fn other_secrets() -> Vec<Minting> {
    let mut cases = Vec::new();
    for profile in Profile::ALL {
        let name = profile.name();
        for bytes in [33, 64, 65, 128] {
            let keys = KeyNames::new(&root_of_length(bytes), "acme", profile, 5, 77);
            cases.push((format!("{name}, root of {bytes} bytes"), keys, 12_345));
        }
        for (environment, merchant) in
            [("a", "0"), ("sixteen-letters-", "thirty-two-characters-merchant-9"), ("-", "a-")]
        {
            let mut keys = KeyNames::new(COUNTING, merchant, profile, 6, 4_000);
            environment.clone_into(&mut keys.environment);
            cases.push((format!("{name}, environment {environment}, merchant {merchant}"), keys, 54_321));
        }
    }
    cases
}
