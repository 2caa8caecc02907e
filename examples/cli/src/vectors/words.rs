//! The seqs that minting skips because their code would spell an offensive word.

use super::keys::{A5, COUNTING, KeyNames};
use super::{Case, VectorFile};
use counterfoil_core::code::Profile;
use counterfoil_core::words::LIST_VERSION;
use serde_json::json;

const COUNT: u32 = 1_000;

pub(super) fn file() -> VectorFile {
    let mut cases = Vec::new();
    for profile in Profile::ALL {
        for (root, from) in [(COUNTING, 0), (A5, profile.serial_space() - COUNT * 2)] {
            cases.extend(case(&KeyNames::new(root, "acme", profile, 0, 1), from));
        }
    }
    let mut file = VectorFile::new(
        "words.json",
        "Minting `count` codes from seq `from` on uses the seqs up to `last_seq`, but for the skipped ones. Verification never looks at the list: a skipped code is authentic.",
        cases,
    );
    file.extra.push(("list_version", json!(LIST_VERSION)));
    file
}

fn case(keys: &KeyNames, from: u32) -> Option<Case> {
    let seqs: Vec<u32> = keys.keys()?.mint_codes(from, COUNT).map(|minted| minted.seq).collect();
    let last = seqs.last().copied()?;
    let skipped: Vec<u32> = (from..=last).filter(|seq| seqs.binary_search(seq).is_err()).collect();
    let mut case = keys.case(&format!("{} from seq {from}", keys.profile.name()));
    case.push(("from", json!(from)));
    case.push(("count", json!(COUNT)));
    case.push(("last_seq", json!(last)));
    case.push(("skipped", json!(skipped)));
    Some(case)
}
