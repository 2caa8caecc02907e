//! The model of human slips that the format's figures are stated for (code-format.md "What it buys"), and what
//! becomes of each: R4.

use counterfoil_core::code::{Fields, Mode, Profile, SCALARS_MAX, WellFormedCode, check, suggest, symbol};
use serde_json::{Map, Value, json};

/// Kinds of slip with their share, in tenths of a per cent.
pub(crate) const MODEL: [(&str, u64); 10] = [
    ("one wrong symbol", 700),
    ("neighbour swap", 120),
    ("omission", 80),
    ("insertion", 40),
    ("two wrong", 25),
    ("twin", 10),
    ("jump swap", 10),
    ("jump twin", 5),
    ("two groups swapped", 5),
    ("three or more random", 5),
];

/// What became of the slips of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// The right code was suggested.
    pub(crate) corrected: u64,
    /// Refused, nothing suggested.
    pub(crate) refused: u64,
    /// Another code was suggested.
    pub(crate) wrong: u64,
    /// Accepted as it stands, as another code: only the tag is left to stop it.
    pub(crate) undetected: u64,
}

impl Outcomes {
    const fn trials(self) -> u64 {
        self.corrected + self.refused + self.wrong + self.undetected
    }

    #[allow(clippy::cast_precision_loss, reason = "counts far below 2⁵³")]
    pub(crate) fn share(self, count: u64) -> f64 {
        count as f64 / self.trials().max(1) as f64
    }

    fn add(&mut self, other: Self) {
        self.corrected += other.corrected;
        self.refused += other.refused;
        self.wrong += other.wrong;
        self.undetected += other.undetected;
    }

    fn json(self) -> Value {
        json!({
            "trials": self.trials(),
            "corrected": self.share(self.corrected),
            "refused": self.share(self.refused),
            "wrong": self.share(self.wrong),
            "undetected": self.share(self.undetected),
        })
    }
}

/// The figures of every profile, and of each kind of slip over all profiles.
pub(crate) fn report(trials: u64, seed: u64) -> Value {
    let mut by_profile = Map::new();
    let mut by_kind = [Outcomes::default(); MODEL.len()];
    for profile in Profile::ALL {
        let outcomes = simulate(profile, trials, seed);
        let mut all = Outcomes::default();
        for (sum, one) in by_kind.iter_mut().zip(outcomes) {
            sum.add(one);
            all.add(one);
        }
        by_profile.insert(profile.name().to_owned(), all.json());
    }
    let by_kind: Map<String, Value> =
        MODEL.iter().zip(by_kind).map(|((name, _), outcomes)| ((*name).to_owned(), outcomes.json())).collect();
    let model: Map<String, Value> = MODEL
        .iter()
        .map(|(name, tenths)| ((*name).to_owned(), json!(f64::from(u32::try_from(*tenths).unwrap_or(0)) / 10.0)))
        .collect();
    json!({ "seed": seed, "model_percent": model, "by_profile": by_profile, "by_kind": by_kind })
}

/// Makes slips in random codes of a profile and answers what became of them, by kind.
pub(crate) fn simulate(profile: Profile, trials: u64, seed: u64) -> [Outcomes; MODEL.len()] {
    let mut random = Random(seed);
    let mut outcomes = [Outcomes::default(); MODEL.len()];
    for _ in 0..trials {
        let (kind, slot) = random.kind();
        let (meant, typed) = random.visible_slip(kind, profile);
        if let Some(outcome) = outcomes.get_mut(slot) {
            judge(outcome, &meant, &typed);
        }
    }
    outcomes
}

fn judge(outcome: &mut Outcomes, meant: &WellFormedCode, typed: &[u8]) {
    let mut text = [0; SCALARS_MAX];
    for (c, value) in text.iter_mut().zip(typed) {
        *c = symbol(*value);
    }
    let text = text.get(..typed.len()).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or_default();
    let count = match (check(text), suggest(text, Mode::Complete)) {
        (Ok(_), _) => &mut outcome.undetected,
        (Err(_), Some(found)) if found.code() == meant => &mut outcome.corrected,
        (Err(_), Some(_)) => &mut outcome.wrong,
        (Err(_), None) => &mut outcome.refused,
    };
    *count += 1;
}

/// A small seeded generator (SplitMix64), so that every run can be repeated.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(1).max(1);
        usize::try_from(self.next() % limit).unwrap_or_default()
    }

    /// A symbol's value that differs from `value`.
    fn other_than(&mut self, value: u8) -> u8 {
        let by = u8::try_from(1 + self.below(31)).unwrap_or(1);
        value ^ by
    }

    /// Any code: what is in it does not matter to the parity.
    fn code(&mut self, profile: Profile) -> Option<WellFormedCode> {
        let campaign = u16::try_from(1 + self.below(usize::from(profile.campaign_max()))).ok()?;
        let serial = u32::try_from(self.next() % u64::from(profile.serial_space())).ok()?;
        let epoch = u8::try_from(self.below(8)).ok()?;
        let tag = self.next() >> (64 - profile.tag_bits());
        WellFormedCode::from_fields(Fields { profile, epoch, campaign, serial, tag })
    }

    /// A kind of slip by the model, with its place in it.
    fn kind(&mut self) -> (&'static str, usize) {
        let mut left = self.next() % 1_000;
        for (slot, (name, share)) in MODEL.iter().enumerate() {
            if left < *share {
                return (name, slot);
            }
            left -= share;
        }
        ("", 0)
    }

    /// A random code, and what was typed for it. A swap of equal symbols leaves no trace, and most codes have no
    /// twins at a given place: other codes are drawn until there is an error that anybody could see.
    fn visible_slip(&mut self, kind: &str, profile: Profile) -> (WellFormedCode, Vec<u8>) {
        loop {
            let Some(meant) = self.code(profile) else { continue };
            let typed = self.slip(kind, &meant.symbols(), profile.group());
            if typed != *meant.symbols() {
                return (meant, typed);
            }
        }
    }

    /// The symbols as typed. Where the slip has no place (no twins in the code), they come back as they were.
    #[allow(clippy::indexing_slicing, reason = "positions are drawn below the length")]
    fn slip(&mut self, kind: &str, meant: &[u8], group: usize) -> Vec<u8> {
        let mut typed = meant.to_vec();
        match kind {
            "one wrong symbol" => self.replace(&mut typed, 1),
            "two wrong" => self.replace(&mut typed, 2),
            "three or more random" => {
                let count = 3 + self.below(4);
                self.replace(&mut typed, count);
            }
            "neighbour swap" | "jump swap" => {
                let step = if kind == "jump swap" { 2 } else { 1 };
                let at = self.below(typed.len() - step);
                typed.swap(at, at + step);
            }
            "twin" | "jump twin" => {
                let step = if kind == "jump twin" { 2 } else { 1 };
                let at = self.below(typed.len() - step);
                if typed[at] == typed[at + step] {
                    let other = self.other_than(typed[at]);
                    typed[at] = other;
                    typed[at + step] = other;
                }
            }
            "omission" => {
                typed.remove(self.below(meant.len()));
            }
            "insertion" => {
                let extra = u8::try_from(self.below(32)).unwrap_or_default();
                typed.insert(self.below(meant.len() + 1), extra);
            }
            "two groups swapped" => {
                let (first, second) = (self.below(meant.len() / group), self.below(meant.len() / group));
                for offset in 0..group {
                    typed[first * group + offset] = meant[second * group + offset];
                    typed[second * group + offset] = meant[first * group + offset];
                }
            }
            _ => {}
        }
        typed
    }

    /// Makes `count` different symbols wrong.
    #[allow(clippy::indexing_slicing, reason = "positions are drawn below the length")]
    fn replace(&mut self, typed: &mut [u8], count: usize) {
        let mut places = Vec::with_capacity(count);
        while places.len() < count {
            let place = self.below(typed.len());
            if !places.contains(&place) {
                places.push(place);
                typed[place] = self.other_than(typed[place]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_a_hundred_per_cent() {
        assert_eq!(MODEL.iter().map(|(_, share)| share).sum::<u64>(), 1_000);
    }

    /// R4, with fewer trials than the bench has: the bounds are those of the goals.
    #[test]
    fn modelled_slips_are_repaired() {
        for profile in Profile::ALL {
            let outcomes = simulate(profile, 60_000, 20_261_121);
            let mut all = Outcomes::default();
            for ((kind, _), outcomes) in MODEL.iter().zip(outcomes) {
                assert!(outcomes.trials() > 0, "{kind}");
                if ["one wrong symbol", "neighbour swap", "jump swap", "twin", "jump twin"].contains(kind) {
                    assert_eq!(outcomes.corrected, outcomes.trials(), "{profile:?}, {kind}: {outcomes:?}");
                }
                all.add(outcomes);
            }
            assert!(all.share(all.corrected) >= 0.96, "{profile:?}: {all:?}");
            assert!(all.share(all.wrong) < 0.002, "{profile:?}: {all:?}");
            assert_eq!(all.undetected, 0, "{profile:?}: one in a million or less");
        }
    }
}
