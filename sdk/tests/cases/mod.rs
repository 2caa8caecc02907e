//! What the exports must do, whichever engine runs them. Vectors are those of the code format document.

use counterfoil_sdk::{check_code, format_code, suggest_code};
use js_sys::Reflect;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

struct Vector {
    code: &'static str,
    profile: &'static str,
    epoch: u8,
    campaign: u16,
    serial: u32,
}

const VECTORS: [Vector; 9] = [
    Vector { code: "0000-PMHX-FT5V-PPXF-4FNQ", profile: "S20", epoch: 0, campaign: 1, serial: 6_965_167 },
    Vector { code: "0000-X2SV-W170-PE2M-HAHD", profile: "S20", epoch: 0, campaign: 1, serial: 13_723_516 },
    Vector { code: "7ZZZ-WEHF-JAHY-P1B9-AS6P", profile: "S20", epoch: 7, campaign: 65_535, serial: 13_059_570 },
    Vector { code: "0000-JC5K-V4KB-6SYK-8HBT", profile: "S20", epoch: 0, campaign: 1, serial: 2_496_123 },
    Vector { code: "800D-KM2J-WNB5-QFAT", profile: "S16", epoch: 0, campaign: 1, serial: 735_754 },
    Vector { code: "BZZY-XZBP-PHSF-AWRC", profile: "S16", epoch: 3, campaign: 4_095, serial: 909_230 },
    Vector { code: "G000B-H8J8V-V0473-80JE3-ZQHFD", profile: "S25", epoch: 0, campaign: 1, serial: 7_423_121 },
    Vector { code: "H0409-VDF1N-GEMV5-9EV3M-V9QKV", profile: "S25", epoch: 1, campaign: 513, serial: 3_894_211 },
    Vector { code: "2080-J4A3-5EBX-9W9T-VTHF", profile: "S20", epoch: 2, campaign: 513, serial: 2_238_565 },
];

#[wasm_bindgen_test]
fn worked_vectors_are_codes() {
    for vector in VECTORS {
        for text in [vector.code.to_owned(), vector.code.to_lowercase(), vector.code.replace('-', " ")] {
            let checked: JsValue = check_code(&text).unwrap().into();
            assert_field(&checked, "ok", true);
            assert_field(&checked, "profile", vector.profile);
            assert_field(&checked, "epoch", vector.epoch);
            assert_field(&checked, "campaign", vector.campaign);
            assert_field(&checked, "serial", vector.serial);
            assert_field(&checked, "canonical", vector.code);
        }
        assert!(suggest_code(vector.code, false).unwrap().is_none());
    }
}

#[wasm_bindgen_test]
fn a_slip_is_found_and_its_repair_suggested() {
    for vector in VECTORS {
        let (slipped, position) = slip(vector.code);
        let checked: JsValue = check_code(&slipped).unwrap().into();
        assert_field(&checked, "ok", false);
        assert_field(&checked, "reason", "parity_mismatch");

        let suggestion: JsValue = suggest_code(&slipped, true).unwrap().unwrap().into();
        assert_field(&suggestion, "code", vector.code);
        assert_field(&suggestion, "correction", "single");
        assert_field(&suggestion, "unverified", false);
        let changed = js_sys::Array::from(&field(&suggestion, "changed"));
        assert_eq!(changed.to_vec(), vec![JsValue::from(position)]);
    }
}

#[wasm_bindgen_test]
fn nothing_is_suggested_while_typing() {
    let unfinished = "0000-PMHX-FT5V-PPXF-4FN";
    assert!(suggest_code(unfinished, true).unwrap().is_none());
    let suggestion: JsValue = suggest_code(unfinished, false).unwrap().unwrap().into();
    assert_field(&suggestion, "code", "0000-PMHX-FT5V-PPXF-4FNQ");
}

#[wasm_bindgen_test]
fn formatting_keeps_the_caret_and_leaves_out_what_is_not_known() {
    let formatted: JsValue = format_code("0000pmh", 5).unwrap().into();
    assert_field(&formatted, "text", "0000-PMH");
    assert_field(&formatted, "caret", 6);
    assert_field(&formatted, "symbols", 7);
    assert_field(&formatted, "complete", false);
    assert_field(&formatted, "profile", "S20");

    let empty: JsValue = format_code("", 0).unwrap().into();
    assert!(!Reflect::has(&empty, &"profile".into()).unwrap());
    let malformed: JsValue = check_code("").unwrap().into();
    assert!(!Reflect::has(&malformed, &"position".into()).unwrap());
}

/// Changes the last symbol of the second group, and tells its position.
fn slip(code: &str) -> (String, u32) {
    let symbols: String = code.replace('-', "");
    let position = 7;
    let typed = if symbols.as_bytes()[position] == b'7' { "3" } else { "7" };
    (format!("{}{typed}{}", &symbols[..position], &symbols[position + 1..]), 7)
}

fn assert_field(object: &JsValue, name: &str, value: impl Into<JsValue>) {
    assert_eq!(field(object, name), value.into(), "{name}");
}

fn field(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap()
}
