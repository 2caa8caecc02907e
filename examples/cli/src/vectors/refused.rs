//! Words with right parity that are no codes, and words whose parity is wrong.

use super::VectorFile;
use super::crafted::{Crafted, grouped};
use super::texts::{SHAPE, altered, finished, samples};
use counterfoil_core::code::Profile;

pub(super) fn file() -> VectorFile {
    let mut cases = Vec::new();
    for code in samples() {
        let layout = code.profile();
        let right = Crafted {
            layout,
            kind: layout.kind(),
            epoch: code.epoch(),
            reserved: 0,
            campaign: code.campaign(),
            serial: code.serial(),
            tag: code.tag(),
        };
        let name = layout.name();
        let mut add = |what: &str, crafted: Crafted| cases.push(finished(&format!("{name}, {what}"), &crafted.text()));
        add("all in order", right);
        for kind in (0..4).filter(|kind| *kind != layout.kind()) {
            let what = match Profile::from_kind(kind) {
                Some(other) => format!("kind of {} against the length", other.name()),
                None => "kind 3, kept for an extension".to_owned(),
            };
            add(&what, Crafted { kind, ..right });
        }
        for epoch in [0, 7] {
            add(&format!("kind 3, epoch {epoch}"), Crafted { kind: 3, epoch, ..right });
        }
        add("campaign 0", Crafted { campaign: 0, ..right });
        add("campaign 0, all else 0 too", Crafted { campaign: 0, serial: 0, tag: 0, ..right });
        if layout.reserved_bits() > 0 {
            add("reserved bit set", Crafted { reserved: 1, ..right });
            add("reserved bit set, campaign 0", Crafted { reserved: 1, campaign: 0, ..right });
        }
        let word = right.symbols();
        for place in layout.data_symbols()..word.len() {
            for bit in 0..5 {
                let typed = altered(&word, |typed| typed.xor(place, 1 << bit));
                let text = grouped(&typed, layout.group());
                cases.push(finished(&format!("{name}, parity symbol {place} wrong in bit {bit}"), &text));
            }
        }
        let unmasked = altered(&word, |typed| {
            let masks = Crafted { kind: 0, epoch: 0, campaign: 0, serial: 0, tag: 0, ..right }.symbols();
            (layout.data_symbols()..word.len())
                .zip(masks.into_iter().skip(layout.data_symbols()))
                .for_each(|(place, mask)| typed.xor(place, mask));
        });
        cases.push(finished(&format!("{name}, parity without its mask"), &grouped(&unmasked, layout.group())));
        cases.push(finished(&format!("{name}, all zeros"), &grouped(&vec![0; word.len()], layout.group())));
        let shifted = altered(&word, |typed| typed.0.rotate_left(1));
        cases.push(finished(&format!("{name}, shifted round by one"), &grouped(&shifted, layout.group())));
        cases.push(finished(
            &format!("{name}, written twice"),
            &grouped(&[&word[..], &word[..]].concat(), layout.group()),
        ));
    }
    cases.push(finished("a word from another shop", "WELCOME10"));
    VectorFile::new(
        "refused.json",
        format!("Words that are no codes although their parity is right, and words whose parity is wrong. {SHAPE}"),
        cases,
    )
}
