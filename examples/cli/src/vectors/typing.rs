//! Grouping while typing, with the caret kept.

use super::{Case, VectorFile};
use counterfoil_core::code::{Profile, format};
use serde_json::json;

pub(super) fn file() -> VectorFile {
    let texts = [
        ("", 0),
        ("0", 1),
        ("0000", 4),
        ("0000p", 5),
        ("0000p", 4),
        ("0000-", 5),
        ("0000-p", 6),
        ("00x00-pmhx", 3),
        ("g000bh", 6),
        ("g000bh8j8vv047380je3zqhfd", 25),
        ("800dkm2jwnb5qfat", 16),
        ("0000pmhxft5vppxf4fnq", 20),
        ("0000pmhxft5vppxf4fnq", 7),
        ("0000pmhxft5vppxf4fnqq", 21),
        ("oil?u", 5),
        ("00*0", 4),
        (" 0000 pmhx ", 11),
        ("\u{ff10}\u{ff10}00pm", 6),
        ("0\u{1f600}0", 3),
        ("0\u{1f600}0", 4),
        ("0000pm", 99),
        ("z000pm", 6),
        ("?000pm", 6),
    ];
    let mut cases: Vec<Case> = texts.into_iter().map(|(text, caret)| case(text, caret)).collect();
    cases.push(case(&"0".repeat(64), 64));
    cases.push(case(&"0".repeat(65), 65));
    VectorFile::new(
        "typing.json",
        "What an input field shows for a text with the caret at `caret`, and where the caret goes; both in UTF-16 units. `profile` is what the first symbol asks for, `symbols` counts what was typed, `complete` says that the profile's number is reached.",
        cases,
    )
}

fn case(text: &str, caret: usize) -> Case {
    let formatted = format(text, caret);
    vec![
        ("text", json!(text)),
        ("caret", json!(caret)),
        ("shown", json!(formatted.text)),
        ("caret_shown", json!(formatted.caret)),
        ("symbols", json!(formatted.symbols)),
        ("profile", json!(formatted.profile.map(Profile::name))),
        ("complete", json!(formatted.complete)),
    ]
}
