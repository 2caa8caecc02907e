//! RFC 8785, the canonical form of JSON.

use core::fmt::Write;
use serde_json::Value;

/// The canonical form of a value: no white space, keys sorted by their UTF-16 code units, one spelling of every
/// string. Numbers must be integers, whose canonical form is their decimal digits; [`super::Entry::chain`] sees
/// to that.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            // serde_json's own order is that of UTF-8, which differs beyond the Basic Multilingual Plane.
            fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                quote(name, text);
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::String(string) => quote(string, text),
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&number.to_string()),
    }
}

/// A string as RFC 8785 (and ECMAScript's `JSON.stringify`) writes it.
fn quote(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            control if control < ' ' => {
                // Writing to a String does not fail.
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_in_the_rfc() {
        for (json, expected) in [
            // RFC 8785, 3.2.2 to 3.2.4, without its fractions.
            (
                "{\"string\":\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\"literals\":[null,true,false]}",
                "{\"literals\":[null,true,false],\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
            ),
            (
                "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\
                 \"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\",\
                 \"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
                "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\
                 \"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
            ),
            ("[ 56, {\"d\":true,\"10\":null,\"1\":[ ]} ]", "[56,{\"1\":[],\"10\":null,\"d\":true}]"),
            ("-9007199254740991", "-9007199254740991"),
        ] {
            assert_eq!(canonical(&serde_json::from_str(json).unwrap()), expected);
        }
    }

    /// Code elsewhere compares and stores serde_json's own texts of values: its maps must stay sorted, and its
    /// numbers numbers, whatever features another crate of the workspace asks for.
    #[test]
    fn serde_json_has_neither_preserve_order_nor_arbitrary_precision() {
        assert_eq!(serde_json::from_str::<Value>("{\"b\":1,\"a\":2}").unwrap().to_string(), "{\"a\":2,\"b\":1}");
        assert_eq!(serde_json::from_str::<Value>("1.0e1").unwrap().to_string(), "10.0");
    }

    proptest! {
        #[test]
        fn strings_read_back_and_are_those_of_serde_json(string in any::<String>()) {
            let text = canonical(&Value::String(string.clone()));
            prop_assert_eq!(&text, &serde_json::to_string(&string).unwrap());
            prop_assert_eq!(serde_json::from_str::<String>(&text).unwrap(), string);
        }
    }
}
