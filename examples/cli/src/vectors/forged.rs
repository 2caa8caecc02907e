//! Codes without a typing error whose tag must be refused, and their honest neighbours.

use super::crafted::Crafted;
use super::keys::{A5, COUNTING, KeyNames};
use super::{Case, VectorFile};
use counterfoil_core::code::{Profile, WellFormedCode, check};
use serde_json::json;

const SEQ: u32 = 7;

pub(super) fn file() -> VectorFile {
    let mut cases = Vec::new();
    for profile in Profile::ALL {
        let keys = KeyNames::new(A5, "m-1", profile, 2, 513);
        cases.extend(wrong_bits(&keys));
        cases.extend(other_keys(&keys));
        cases.extend(two_epochs(profile));
    }
    cases.extend(other_profile());
    VectorFile::new(
        "forged.json",
        "Well-formed codes held against a campaign's keys. An authentic one has a seq; every other must be refused: the tag is wrong, or the code is of another profile, epoch or campaign than the keys.",
        cases,
    )
}

fn case(name: &str, keys: &KeyNames, code: &WellFormedCode) -> Option<Case> {
    let seq = keys.keys()?.verify(code).ok().map(|authentic| authentic.seq());
    let mut case = keys.case(name);
    case.push(("code", json!(code.canonical().as_str())));
    case.push(("authentic", json!(seq.is_some())));
    if let Some(seq) = seq {
        case.push(("seq", json!(seq)));
    }
    Some(case)
}

/// The code with other fields, parity right.
fn altered(code: &WellFormedCode, alter: impl FnOnce(&mut Crafted)) -> Option<WellFormedCode> {
    let mut crafted = Crafted {
        layout: code.profile(),
        kind: code.profile().kind(),
        epoch: code.epoch(),
        reserved: 0,
        campaign: code.campaign(),
        serial: code.serial(),
        tag: code.tag(),
    };
    alter(&mut crafted);
    check(&crafted.text()).ok()
}

fn wrong_bits(keys: &KeyNames) -> Vec<Case> {
    let Some(code) = keys.mint(SEQ) else { return Vec::new() };
    let name = keys.profile.name();
    let mut cases = vec![case(&format!("{name}, the right tag"), keys, &code)];
    for bit in 0..keys.profile.tag_bits() {
        let forged = altered(&code, |crafted| crafted.tag ^= 1 << bit);
        cases.push(forged.and_then(|forged| case(&format!("{name}, tag bit {bit} flipped"), keys, &forged)));
    }
    for bit in 0..keys.profile.serial_bits() {
        let forged = altered(&code, |crafted| crafted.serial ^= 1 << bit);
        cases.push(forged.and_then(|forged| case(&format!("{name}, serial bit {bit} flipped"), keys, &forged)));
    }
    let all = u64::MAX >> (64 - keys.profile.tag_bits());
    for (what, tag) in [("all zeros", 0), ("all ones", all), ("inverted", !code.tag() & all)] {
        let forged = altered(&code, |crafted| crafted.tag = tag);
        cases.push(forged.and_then(|forged| case(&format!("{name}, tag {what}"), keys, &forged)));
    }
    cases.into_iter().flatten().collect()
}

/// A right code of other keys.
fn other_keys(keys: &KeyNames) -> Vec<Case> {
    let name = keys.profile.name();
    let other = |alter: &dyn Fn(&mut KeyNames)| {
        let mut other = keys.clone();
        alter(&mut other);
        other
    };
    let others = [
        ("root", other(&|other| COUNTING.clone_into(&mut other.root_hex))),
        ("environment", other(&|other| "test".clone_into(&mut other.environment))),
        ("merchant", other(&|other| "m-2".clone_into(&mut other.merchant))),
        ("epoch", other(&|other| other.epoch = 3)),
        ("campaign", other(&|other| other.campaign = 514)),
    ];
    let foreign = others
        .iter()
        .filter_map(|(what, other)| case(&format!("{name}, minted for another {what}"), keys, &other.mint(SEQ)?));
    // The same serial and tag under the name of these keys: moving a code's tag over does not help either.
    let moved = others.iter().filter_map(|(what, other)| {
        let code = other.mint(SEQ)?;
        let moved = altered(&code, |crafted| {
            crafted.epoch = keys.epoch;
            crafted.campaign = keys.campaign;
        })?;
        case(&format!("{name}, another {what}'s serial and tag moved here"), keys, &moved)
    });
    foreign.chain(moved).collect()
}

/// One seq minted in two epochs: two codes, each authentic in its own epoch only.
fn two_epochs(profile: Profile) -> Vec<Case> {
    let name = profile.name();
    let [former, later] = [4, 5].map(|epoch| KeyNames::new(COUNTING, "acme", profile, epoch, 9));
    let mut cases = Vec::new();
    for (held, minted) in [(&former, &former), (&later, &later), (&former, &later), (&later, &former)] {
        let title = format!("{name}, one seq in two epochs: code of epoch {}, keys of {}", minted.epoch, held.epoch);
        cases.extend(minted.mint(SEQ).and_then(|code| case(&title, held, &code)));
    }
    cases
}

/// A campaign has one profile. A code of another is as good as forged, however right its tag.
fn other_profile() -> Vec<Case> {
    let mut cases = Vec::new();
    for held in Profile::ALL {
        for minted in Profile::ALL {
            if held == minted {
                continue;
            }
            let [keys, other] = [held, minted].map(|profile| KeyNames::new(COUNTING, "acme", profile, 0, 1));
            let title = format!("a right {} tag on an {} campaign", minted.name(), held.name());
            cases.extend(other.mint(0).and_then(|code| case(&title, &keys, &code)));
        }
    }
    // A longer tag of which only the first bits are right must not pass as the shorter one.
    for bits in [8, 28, 40, 63] {
        let keys = KeyNames::new(COUNTING, "acme", Profile::S25, 0, 1);
        let short = keys.mint(0).and_then(|code| altered(&code, |crafted| crafted.tag = tag_cut(code.tag(), bits)));
        cases.extend(short.and_then(|code| case(&format!("S25, only the first {bits} tag bits right"), &keys, &code)));
    }
    cases
}

/// The tag's first bits, then their opposites.
const fn tag_cut(tag: u64, bits: u32) -> u64 {
    tag ^ u64::MAX >> bits
}
