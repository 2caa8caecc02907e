//! JSON Schemas of what a derive cannot see: texts with bounds, instants, and types that write themselves. Field
//! attributes name the types here; they hold nothing.

use crate::code::Profile;
use crate::limits::{
    ATTRIBUTE_CHARS_MAX, KEY_CHARS_MAX, LIST_ENTRIES_MAX, NAME_CHARS_MAX, NOTE_CHARS_MAX, PROMO_CODE_CHARS_MAX,
};
use crate::phone::{Country, Phone};
use crate::time::{Date, Instant};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// No control characters, and one character at least that can be seen.
const SEEN: &str =
    "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// The same with line ends.
const SEEN_LINES: &str = "^[^\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]*$";
/// No control characters.
const PRINTED: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// No control characters, and no white space around it.
const TRIMMED: &str =
    "^[^\\s\\u0000-\\u001f\\u007f-\\u009f]([^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f])?$";

/// Types that stand for a schema, written in place.
macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

schemas! {
    /// ISO 4217 in form.
    Currency = json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"] });
    /// The merchant's own id of a member, an order, a reference.
    Text = json_schema!({ "type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX, "pattern": SEEN });
    /// A name shown to people.
    Name = json_schema!({ "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": SEEN });
    /// Why somebody did something.
    Reason = json_schema!({ "type": "string", "minLength": 1, "maxLength": NOTE_CHARS_MAX, "pattern": SEEN_LINES });
    /// An id that an administrator may choose.
    Slug = json_schema!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$" });
    /// A tier, persona, tag or role.
    Attribute = json_schema!({ "type": "string", "minLength": 1, "maxLength": ATTRIBUTE_CHARS_MAX, "pattern": PRINTED });
    /// Some attributes.
    Attributes = list(0, attribute());
    /// Some attributes, one at least.
    AttributesOne = list(1, attribute());
    /// Some currencies, one at least.
    Currencies = list(1, json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$" }));
    /// A promo code.
    PromoCode = json_schema!({ "type": "string", "minLength": 1, "maxLength": PROMO_CODE_CHARS_MAX, "pattern": TRIMMED });
    /// A memorable word.
    AliasText = json_schema!({ "type": "string", "minLength": 3, "maxLength": 64, "examples": ["WELCOME10"] });
    /// A telephone number that null takes away. `oneOf`, so that this null is kept.
    PhoneOrNull = json_schema!({ "oneOf": [{ "type": "string", "minLength": 1 }, { "type": "null" }] });
    /// A country whose telephone numbers are known.
    CountryCode = json_schema!({ "type": "string", "enum": countries() });
}

fn attribute() -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": ATTRIBUTE_CHARS_MAX, "pattern": PRINTED })
}

fn list(least: usize, items: Schema) -> Schema {
    json_schema!({ "type": "array", "minItems": least, "maxItems": LIST_ENTRIES_MAX, "items": items })
}

fn countries() -> Vec<String> {
    let letters = || 'A'..='Z';
    let all = letters().flat_map(|first| letters().map(move |second| format!("{first}{second}")));
    all.filter(|name| Country::named(name).is_some()).collect()
}

/// A type of its own module, written in place.
macro_rules! written {
    ($name:ty, $text:literal, $schema:expr) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $text.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

written!(
    Instant,
    "Instant",
    json_schema!({ "type": "string", "format": "date-time", "examples": ["2026-11-22T09:30:00Z"] })
);
written!(Date, "Date", json_schema!({ "type": "string", "format": "date", "examples": ["2026-11-22"] }));
written!(Profile, "Profile", json_schema!({ "type": "string", "enum": Profile::ALL.map(Profile::name) }));
written!(
    Phone,
    "Phone",
    json_schema!({ "type": "string", "pattern": "^\\+[0-9]{1,15}$", "examples": ["+4915112345678"] })
);
