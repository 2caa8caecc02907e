//! What is measured: checking a code, minting codes, one key press.

use crate::contest::{Contender, run};
use counterfoil_core::code::{Mode, Profile, check, suggest};
use counterfoil_core::keys::{CampaignKeys, Environment, KeyError, MerchantId, Root};
use serde_json::Value;
use sha2::block_api::compress256;
use std::hint::black_box;

/// Different texts go round, so that no branch is learnt by heart.
const TEXTS: usize = 1_024;

/// The keys of one campaign; always the same.
fn keys(profile: Profile) -> Result<CampaignKeys, KeyError> {
    let root = Root::new(&[0xa5; 32])?;
    CampaignKeys::derive(&root, &Environment::new("live")?, &MerchantId::new("acme")?, profile, 2, 513)
}

fn texts(keys: &CampaignKeys) -> Vec<String> {
    let count = u32::try_from(TEXTS).unwrap_or(u32::MAX);
    keys.mint_codes(0, count).map(|minted| minted.code.canonical().as_str().to_owned()).collect()
}

/// P2: reading, parity and HMAC of a text, beside two bare SHA-256 compressions, which an HMAC cannot do without.
pub(crate) fn checking(rounds: u64) -> Value {
    let block = [7; 64];
    let mut state = [1; 8];
    let mut blocks = vec![[0u8; 64]; TEXTS];
    for (block, index) in blocks.iter_mut().zip(0u32..) {
        block.as_chunks_mut::<4>().0.iter_mut().for_each(|word| *word = index.to_le_bytes());
    }
    let mut contenders = vec![
        Contender::new("two compressions, each after the one before", move |times| {
            for _ in 0..times {
                compress256(&mut state, &[block]);
                compress256(&mut state, &[block]);
            }
            black_box(state);
        }),
        Contender::new("two compressions, pairs independent", move |times| {
            let mut any = 0;
            for at in blocks.iter().cycle().zip(0..times).map(|(at, _)| at) {
                let mut state = [5; 8];
                compress256(&mut state, &[*at]);
                compress256(&mut state, &[block]);
                let [first, ..] = state;
                any ^= first;
            }
            black_box(any);
        }),
    ];
    for (profile, whole, parity) in [
        (Profile::S20, "S20, text to tag", "S20, text to parity"),
        (Profile::S16, "S16, text to tag", "S16, text to parity"),
        (Profile::S25, "S25, text to tag", "S25, text to parity"),
    ] {
        let Ok(keys) = keys(profile) else { continue };
        let all = texts(&keys);
        let clean = all.clone();
        contenders.push(Contender::new(whole, move |times| {
            assert_eq!(genuine(&all, &keys, times), times, "every text is a genuine code");
        }));
        contenders.push(Contender::new(parity, move |times| {
            assert_eq!(well_formed(&clean, times), times, "every text is a code");
        }));
    }
    run(rounds, contenders)
}

/// Checks texts with their tags; one piece of code for every profile, as a server has it.
#[inline(never)]
fn genuine(texts: &[String], keys: &CampaignKeys, times: u64) -> u64 {
    let fitting =
        texts.iter().cycle().zip(0..times).filter(|(text, _)| check(text).is_ok_and(|code| keys.tag_fits(&code)));
    fitting.map(|_| 1).sum()
}

#[inline(never)]
fn well_formed(texts: &[String], times: u64) -> u64 {
    texts.iter().cycle().zip(0..times).filter(|(text, _)| black_box(check(text)).is_ok()).map(|_| 1).sum()
}

/// P3: minting, without writing anything.
pub(crate) fn minting(rounds: u64) -> Value {
    let mut contenders = Vec::new();
    for (profile, name) in [(Profile::S20, "S20"), (Profile::S16, "S16"), (Profile::S25, "S25")] {
        let Ok(keys) = keys(profile) else { continue };
        contenders.push(Contender::new(name, move |times| {
            let mut left = u32::try_from(times).unwrap_or(u32::MAX);
            while left > 0 {
                let count = left.min(1_000_000);
                let letters: usize =
                    keys.mint_codes(0, count).map(|minted| minted.code.canonical().as_bytes().len()).sum();
                black_box(letters);
                left -= count;
            }
        }));
    }
    run(rounds, contenders)
}

/// P4: what a key press costs: checking, and looking for the repair. Each contender is one kind of text.
pub(crate) fn key_press(rounds: u64) -> Value {
    let mut contenders = Vec::new();
    for (name, text) in worst_texts() {
        contenders.push(Contender::new(name, move |times| {
            for _ in 0..times {
                let _ = black_box(check(black_box(text)));
                black_box(suggest(black_box(text), Mode::Complete));
            }
        }));
    }
    run(rounds, contenders)
}

/// Texts that take the longest way through each decoder.
const fn worst_texts() -> [(&'static str, &'static str); 8] {
    [
        ("a clean code", "H0409-VDF1N-GEMV5-9EV3M-V9QKV"),
        ("one wrong", "H0409-VDF1N-GEMV5-9EV3M-V9QKW"),
        ("two swapped", "H0409-VDF1N-GEMV5-9EV3M-V9KQV"),
        ("one left out", "H0409-VDF1N-GEMV5-9EV3M-V9QV"),
        ("one too many", "H0409-VDF1N-GEMV5-9EV3M-V9QK7-V"),
        ("two groups swapped", "H0409-VDF1N-GEMV5-V9QKV-9EV3M"),
        ("three unreadable", "H04?9-VDF1N-GEM?5-9EV3M-V9?KV"),
        ("beyond repair", "H0409-VD31N-GEMV5-9E63M-V9QKV"),
    ]
}
