//! What `npm run bench` runs inside the Workers runtime: checking codes, minting, and one key press, each many times
//! within one call, so that the call itself and the clock outside cost nothing.

use counterfoil_core::code::{Mode, Profile, WellFormedCode, check, suggest};
use counterfoil_core::keys::{CampaignKeys, Environment, KeyError, MerchantId, Root};
use sha2::block_api::compress256;
use std::hint::black_box;
use wasm_bindgen::prelude::wasm_bindgen;

/// Different texts go round, so that no branch is learnt by heart.
const TEXTS: u32 = 4_096;

/// One campaign's keys and some of its codes.
#[wasm_bindgen]
pub struct Bench {
    keys: CampaignKeys,
    texts: Vec<String>,
    codes: Vec<WellFormedCode>,
}

fn keys(profile: Profile) -> Result<CampaignKeys, KeyError> {
    let root = Root::new(&[0xa5; 32])?;
    CampaignKeys::derive(&root, &Environment::new("live")?, &MerchantId::new("acme")?, profile, 2, 513)
}

#[wasm_bindgen]
impl Bench {
    /// Mints the codes of a profile.
    ///
    /// # Errors
    /// When there is no profile of that name.
    #[wasm_bindgen(constructor)]
    pub fn new(profile: &str) -> Result<Self, String> {
        let profile = Profile::from_name(profile).ok_or("there is no such profile")?;
        let keys = keys(profile).map_err(|error| error.to_string())?;
        let codes: Vec<WellFormedCode> = keys.mint_codes(0, TEXTS).map(|minted| minted.code).collect();
        let texts = codes.iter().map(|code| code.canonical().as_str().to_owned()).collect();
        Ok(Self { keys, texts, codes })
    }

    fn texts(&self, times: u32) -> impl Iterator<Item = &String> {
        self.texts.iter().cycle().zip(0..times).map(|(text, _)| text)
    }

    /// P1: reading, parity and HMAC. Answers how many were genuine: all of them.
    #[must_use]
    pub fn text_to_tag(&self, times: u32) -> usize {
        self.texts(times).filter(|text| check(text).is_ok_and(|code| self.keys.tag_fits(&code))).count()
    }

    /// Reading and parity alone.
    #[must_use]
    pub fn text_to_parity(&self, times: u32) -> usize {
        self.texts(times).filter(|text| black_box(check(text)).is_ok()).count()
    }

    /// The same and the seq, which costs ten more HMACs: what the edge needs before it stores anything.
    #[must_use]
    pub fn text_to_seq(&self, times: u32) -> usize {
        self.texts(times).filter(|text| check(text).is_ok_and(|code| self.keys.verify(&code).is_ok())).count()
    }

    /// The tag alone, of codes that were read before.
    #[must_use]
    pub fn tag(&self, times: u32) -> usize {
        self.codes.iter().cycle().zip(0..times).filter(|(code, _)| self.keys.tag_fits(code)).count()
    }

    /// Minting: answers the number of letters.
    #[must_use]
    pub fn mint(&self, times: u32) -> usize {
        self.keys.mint_codes(0, times).map(|minted| minted.code.canonical().as_bytes().len()).sum()
    }
}

/// The floor: two bare SHA-256 compressions, each after the one before.
#[wasm_bindgen]
#[must_use]
pub fn two_compressions(times: u32) -> u32 {
    let block = [7; 64];
    let mut state = [1; 8];
    for _ in 0..times {
        compress256(&mut state, &[block]);
        compress256(&mut state, &[block]);
    }
    let [first, ..] = state;
    first
}

/// P4: one key press, many times: checking a text, and looking for its repair.
#[wasm_bindgen]
#[must_use]
pub fn key_press(text: &str, times: u32) -> usize {
    let press = |_: &u32| {
        let checked = black_box(check(black_box(text)));
        black_box(suggest(black_box(text), Mode::Complete)).is_some() || checked.is_ok()
    };
    (0..times).filter(press).count()
}
