//! Ways to write one and the same code, and characters that no code has.

use super::VectorFile;
use super::texts::{SHAPE, finished};

pub(super) fn file() -> VectorFile {
    const CODE: &str = "0000-PMHX-FT5V-PPXF-4FNQ";
    let with = |separator: &str| CODE.replace('-', separator);
    let shifted = |text: &str| text.chars().filter_map(|c| char::from_u32(u32::from(c) + 0xfee0)).collect::<String>();
    let mut cases = vec![
        finished("canonical", CODE),
        finished("lower case", &CODE.to_lowercase()),
        finished("no separators", &with("")),
        finished("spaces", &with(" ")),
        finished("O for 0", &CODE.replace('0', "O")),
        finished("o for 0", &CODE.replace('0', "o")),
        finished("I for 1", &"0000-X2SV-W170-PE2M-HAHD".replace('1', "I")),
        finished("l for 1", &"0000-X2SV-W170-PE2M-HAHD".replace('1', "l")),
        finished("full width", &shifted(CODE)),
        finished("full width, lower case", &shifted(&CODE.to_lowercase())),
        finished("full width O for 0", &CODE.replace('0', "\u{ff2f}")),
        finished("separators around and in odd places", "\u{feff} 0.0_0-0PM\t\u{200b}HX--FT5VPPXF4F NQ\u{a0}\r"),
        finished("64 scalar values", &format!("{CODE}{}", " ".repeat(40))),
        finished("65 scalar values", &format!("{CODE}{}", " ".repeat(41))),
        finished("64 scalar values of four bytes each", &"\u{10ead}".repeat(64)),
        finished("65 symbols", &"0".repeat(65)),
        finished("nothing", ""),
        finished("only separators", " -._\u{2014}"),
    ];
    for (name, separator) in SEPARATORS {
        cases.push(finished(&format!("separated by {name}"), &with(separator)));
    }
    for (name, symbol) in FOREIGN {
        cases.push(finished(&format!("foreign symbol: {name}"), &CODE.replace("FT5V", &format!("FT5{symbol}"))));
    }
    cases.push(finished("foreign symbol first", "*000-PMHX-FT5V-PPXF-4FNQ"));
    cases.push(finished("foreign symbol last", "0000-PMHX-FT5V-PPXF-4FN*"));
    cases.push(finished("two foreign symbols: the first counts", "0000-P/HX-FT5V-PP*F-4FNQ"));
    cases.push(finished("too long and foreign: too long", &"*".repeat(65)));
    VectorFile::new(
        "readings.json",
        format!("Ways to write a code, by the reading table, and characters outside it. {SHAPE}"),
        cases,
    )
}

const SEPARATORS: [(&str, &str); 19] = [
    ("U+2010 hyphen", "\u{2010}"),
    ("U+2011 no-break hyphen", "\u{2011}"),
    ("U+2013 en dash", "\u{2013}"),
    ("U+2014 em dash", "\u{2014}"),
    ("U+2212 minus", "\u{2212}"),
    ("U+FE63 small hyphen", "\u{fe63}"),
    ("U+FF0D full-width hyphen", "\u{ff0d}"),
    ("U+30A0 katakana double hyphen", "\u{30a0}"),
    ("U+10EAD Yezidi hyphen", "\u{10ead}"),
    ("U+00AD soft hyphen", "\u{ad}"),
    ("U+00A0 no-break space", "\u{a0}"),
    ("U+2003 em space", "\u{2003}"),
    ("U+3000 ideographic space", "\u{3000}"),
    ("U+2028 line separator", "\u{2028}"),
    ("U+0085 next line", "\u{85}"),
    ("U+200B zero-width space", "\u{200b}"),
    ("U+2060 word joiner", "\u{2060}"),
    ("full stop", "."),
    ("full-width low line", "\u{ff3f}"),
];

const FOREIGN: [(&str, &str); 16] = [
    ("U+212A kelvin sign is not K", "\u{212a}"),
    ("U+0412 Cyrillic Ve is not B", "\u{412}"),
    ("U+0391 Greek Alpha is not A", "\u{391}"),
    ("U+0660 Arabic-Indic zero is not 0", "\u{660}"),
    ("U+2460 circled one is not 1", "\u{2460}"),
    ("U+1D7CE mathematical zero is not 0", "\u{1d7ce}"),
    ("U+0130 I with dot is not I", "\u{130}"),
    ("U+017F long s is not S", "\u{17f}"),
    ("U+00B2 superscript two is not 2", "\u{b2}"),
    ("combining accent", "\u{301}"),
    ("asterisk", "*"),
    ("slash", "/"),
    ("plus", "+"),
    ("NUL", "\u{0}"),
    ("U+200E left-to-right mark", "\u{200e}"),
    ("U+FF01 full-width exclamation mark", "\u{ff01}"),
];
