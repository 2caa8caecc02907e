//! Reading JSON: one way for bodies, messages between objects and stored documents.
//!
//! serde's derive is compiled anew for every deserializer that a type is read with, and a streaming one makes it
//! large. So the text is taken apart first, by serde_json, and all types are read from its parts: a complaint knows
//! its path, and a struct is written as an object, never as an array of its fields.

use crate::limits::INTEGER_MAX;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use std::borrow::Cow;

/// Reads a value.
///
/// # Errors
/// What is wrong, with the path to it.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    T::deserialize(&parts(text)?)
}

/// Takes a text apart. Not generic, so that serde_json's parser is compiled once.
#[inline(never)]
pub(crate) fn parts(text: &str) -> Result<Node<'_>, serde_json::Error> {
    serde_json::from_str(text)
}

/// Why a text could not be read.
#[derive(Debug)]
pub struct Error(Box<Complaint>);

#[derive(Debug)]
struct Complaint {
    /// The innermost segment first: it is put together on the way out.
    path: Vec<String>,
    inner: serde_json::Error,
}

impl Error {
    /// Where: `limits.total`, `list[1]`; empty for the whole.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.0.path.iter().rev() {
            if !path.is_empty() && !segment.starts_with('[') {
                path.push('.');
            }
            path.push_str(segment);
        }
        path
    }

    /// What serde_json says.
    pub(crate) const fn inner(&self) -> &serde_json::Error {
        &self.0.inner
    }

    #[cold]
    #[inline(never)]
    fn within(mut self, segment: &str) -> Self {
        self.0.path.push(segment.to_owned());
        self
    }

    #[cold]
    #[inline(never)]
    fn at(self, index: usize) -> Self {
        self.within(&format!("[{index}]"))
    }
}

impl From<serde_json::Error> for Error {
    fn from(inner: serde_json::Error) -> Self {
        Self(Box::new(Complaint { path: Vec::new(), inner }))
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let path = self.path();
        if path.is_empty() { write!(f, "{}", self.0.inner) } else { write!(f, "{path}: {}", self.0.inner) }
    }
}

impl core::error::Error for Error {}

impl serde::de::Error for Error {
    #[cold]
    fn custom<T: core::fmt::Display>(message: T) -> Self {
        serde_json::Error::custom(message).into()
    }

    #[cold]
    #[inline(never)]
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("invalid type: {}, expected {expected}", Found(unexpected)))
    }

    #[cold]
    #[inline(never)]
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("invalid value: {}, expected {expected}", Found(unexpected)))
    }

    #[cold]
    #[inline(never)]
    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        serde_json::Error::invalid_length(length, expected).into()
    }

    #[cold]
    #[inline(never)]
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        serde_json::Error::unknown_variant(variant, expected).into()
    }

    #[cold]
    #[inline(never)]
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        serde_json::Error::unknown_field(field, expected).into()
    }

    #[cold]
    #[inline(never)]
    fn missing_field(field: &'static str) -> Self {
        serde_json::Error::missing_field(field).into()
    }

    #[cold]
    #[inline(never)]
    fn duplicate_field(field: &'static str) -> Self {
        serde_json::Error::duplicate_field(field).into()
    }
}

/// What stands there, as serde_json says it. serde's own way of saying it has the whole of Rust's float formatting
/// behind it, which nothing else needs.
struct Found<'a>(Unexpected<'a>);

impl core::fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let name = match self.0 {
            Unexpected::Bool(value) => return write!(f, "boolean `{value}`"),
            Unexpected::Unsigned(value) => return write!(f, "integer `{value}`"),
            Unexpected::Signed(value) => return write!(f, "integer `{value}`"),
            Unexpected::Float(value) => return write!(f, "floating point `{}`", serde_json::Value::from(value)),
            Unexpected::Char(value) => return write!(f, "character `{value}`"),
            Unexpected::Str(value) => return write!(f, "string {value:?}"),
            Unexpected::Bytes(_) => "byte array",
            Unexpected::Unit => "null",
            Unexpected::Option => "Option value",
            Unexpected::NewtypeStruct => "newtype struct",
            Unexpected::Seq => "sequence",
            Unexpected::Map => "map",
            Unexpected::Enum => "enum",
            Unexpected::UnitVariant => "unit variant",
            Unexpected::NewtypeVariant => "newtype variant",
            Unexpected::TupleVariant => "tuple variant",
            Unexpected::StructVariant => "struct variant",
            Unexpected::Other(other) => other,
        };
        f.write_str(name)
    }
}

/// A part of a text. An object keeps a name that occurs twice, for the type to refuse.
#[derive(Debug)]
pub(crate) enum Node<'t> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'t, str>),
    List(Vec<Self>),
    Object(Vec<(Cow<'t, str>, Self)>),
}

/// JSON has one kind of number: `36.0` is the integer 36, as far as integers are exact.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "whole, and below 2⁵³"
)]
fn whole(value: f64) -> Option<Node<'static>> {
    if value.fract() != 0.0 || value.abs() > INTEGER_MAX as f64 {
        return None;
    }
    Some(if value < 0.0 { Node::Signed(value as i64) } else { Node::Unsigned(value as u64) })
}

impl Node<'_> {
    /// A complaint that this is something else.
    #[cold]
    #[inline(never)]
    pub(crate) fn mismatch(&self, expected: &dyn Expected) -> Error {
        let unexpected = match self {
            Self::Null => Unexpected::Unit,
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Unsigned(value) => Unexpected::Unsigned(*value),
            Self::Signed(value) => Unexpected::Signed(*value),
            Self::Float(value) => Unexpected::Float(*value),
            Self::Text(text) => Unexpected::Str(text),
            Self::List(_) => Unexpected::Seq,
            Self::Object(_) => Unexpected::Map,
        };
        Error::invalid_type(unexpected, expected)
    }

    /// Path to the first null, but in the field of that name.
    pub(crate) fn null_path(&self, nullable: Option<&str>) -> Option<String> {
        let join = |head: String, rest: String| match rest.as_str() {
            "" => head,
            _ if rest.starts_with('[') => head + &rest,
            _ => format!("{head}.{rest}"),
        };
        match self {
            Self::Null => Some(String::new()),
            Self::Object(fields) => fields
                .iter()
                .filter(|(key, value)| nullable != Some(key.as_ref()) || !matches!(value, Self::Null))
                .find_map(|(key, value)| value.null_path(None).map(|rest| join(key.clone().into_owned(), rest))),
            Self::List(items) => items
                .iter()
                .enumerate()
                .find_map(|(index, value)| value.null_path(None).map(|rest| join(format!("[{index}]"), rest))),
            Self::Bool(_) | Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) | Self::Text(_) => None,
        }
    }

    fn object(&self) -> Option<Fields<'_>> {
        if let Self::Object(fields) = self { Some(Fields { rest: fields.iter(), value: None }) } else { None }
    }

    fn list(&self) -> Option<Items<'_>> {
        if let Self::List(items) = self { Some(Items(items.iter().enumerate())) } else { None }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        impl<'de> Visitor<'de> for Parts {
            type Value = Node<'de>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Node<'de>, E> {
                Ok(Node::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
                Ok(Node::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
                Ok(Node::Unsigned(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
                Ok(Node::Signed(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Node<'de>, E> {
                Ok(whole(value).unwrap_or(Node::Float(value)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
                Ok(Node::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
                Ok(Node::Text(Cow::Borrowed(text)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(key) = map.next_key::<Node<'de>>()? {
                    // A key of JSON is always text.
                    if let Node::Text(key) = key {
                        fields.push((key, map.next_value()?));
                    }
                }
                Ok(Node::Object(fields))
            }
        }

        deserializer.deserialize_any(Parts)
    }
}

/// Each kind of value is taken from its kind of part only, so that no type carries code for the others.
impl<'de> Deserializer<'de> for &'de Node<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Unsigned(_) | Node::Signed(_) | Node::Float(_) => self.deserialize_u64(visitor),
            Node::Text(text) => visitor.visit_borrowed_str(text),
            Node::List(_) => self.deserialize_seq(visitor),
            Node::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Node::Bool(value) = self { visitor.visit_bool(*value) } else { Err(self.mismatch(&visitor)) }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Node::Unsigned(value) => visitor.visit_u64(*value),
            Node::Signed(value) => visitor.visit_i64(*value),
            Node::Float(value) => visitor.visit_f64(*value),
            Node::Null | Node::Bool(_) | Node::Text(_) | Node::List(_) | Node::Object(_) => {
                Err(self.mismatch(&visitor))
            }
        }
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Node::Text(text) = self { visitor.visit_borrowed_str(text) } else { Err(self.mismatch(&visitor)) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if matches!(self, Node::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.list() {
            Some(items) => visitor.visit_seq(items),
            None => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        match self.list() {
            Some(items) if items.0.len() > length => Err(Error::invalid_length(items.0.len(), &visitor)),
            Some(items) => visitor.visit_seq(items),
            None => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.object() {
            Some(fields) => visitor.visit_map(fields),
            None => Err(self.mismatch(&"an object")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.object() {
            Some(fields) => visitor.visit_map(fields),
            None => Err(self.mismatch(&"an object")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.variant() {
            Some(variant) => visitor.visit_enum(variant),
            None => Err(self.mismatch(&"string or map")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { char bytes byte_buf unit unit_struct identifier }
}

/// The fields of an object.
struct Fields<'n> {
    rest: core::slice::Iter<'n, (Cow<'n, str>, Node<'n>)>,
    value: Option<(&'n str, &'n Node<'n>)>,
}

impl<'n> Fields<'n> {
    fn advance(&mut self) -> Option<&'n str> {
        self.value = self.rest.next().map(|(key, value)| (&**key, value));
        self.value.map(|(key, _)| key)
    }
}

impl<'n> MapAccess<'n> for Fields<'n> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'n>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.advance() {
            Some(key) => match seed.deserialize(BorrowedStrDeserializer::<Error>::new(key)) {
                Ok(field) => Ok(Some(field)),
                Err(error) => Err(error.within(key)),
            },
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'n>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.value {
            Some((key, value)) => seed.deserialize(value).map_err(|error| error.within(key)),
            None => Err(Error::custom("a value without a key")),
        }
    }
}

/// The items of an array.
struct Items<'n>(core::iter::Enumerate<core::slice::Iter<'n, Node<'n>>>);

impl<'n> SeqAccess<'n> for Items<'n> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        match self.0.next() {
            Some((index, item)) => seed.deserialize(item).map(Some).map_err(|error| error.at(index)),
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// A variant of an enum: its name alone, or an object of that one field.
struct Variant<'n> {
    name: &'n str,
    content: &'n Node<'n>,
}

impl Node<'_> {
    fn variant(&self) -> Option<Variant<'_>> {
        match self {
            Self::Text(name) => Some(Variant { name, content: &Node::Null }),
            Self::Object(fields) => match fields.as_slice() {
                [(name, content)] => Some(Variant { name, content }),
                _ => None,
            },
            Self::Null | Self::Bool(_) | Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) | Self::List(_) => None,
        }
    }
}

impl<'n> EnumAccess<'n> for Variant<'n> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'n>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        Ok((seed.deserialize(BorrowedStrDeserializer::<Error>::new(self.name))?, self))
    }
}

impl<'n> VariantAccess<'n> for Variant<'n> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if matches!(self.content, Node::Null) { Ok(()) } else { Err(self.content.mismatch(&"null").within(self.name)) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'n>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.content).map_err(|error| error.within(self.name))
    }

    fn tuple_variant<V: Visitor<'n>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.content.deserialize_tuple(length, visitor).map_err(|error| error.within(self.name))
    }

    fn struct_variant<V: Visitor<'n>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.content.deserialize_struct("", fields, visitor).map_err(|error| error.within(self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Step {
        Rest,
        Walk(u8),
        Leap { far: i32 },
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Way {
        steps: Vec<Step>,
        #[serde(default)]
        pair: Option<(u8, f64)>,
    }

    #[test]
    fn types_are_read_as_serde_json_reads_them() {
        for text in [
            r#"{"steps":["rest",{"walk":3},{"leap":{"far":-4}}],"pair":[1,0.5],"more":[null]}"#,
            r#"{"steps":[{"rest":null}],"pair":null}"#,
            r#"{"steps":[],"st\u0065ps2":"\n"}"#,
        ] {
            assert_eq!(read::<Way>(text).ok(), serde_json::from_str(text).ok(), "{text}");
        }
        let any = r#"{"b":[1,-2,0.25,18446744073709551615,1e300,true,null],"a":{"":"\u00e9"},"a2":"x\"y"}"#;
        assert_eq!(read::<Value>(any).ok(), serde_json::from_str(any).ok());
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        for (text, expected) in [
            ("3.0", Some(3)),
            ("30e-1", Some(3)),
            ("3e0", Some(3)),
            ("-0.0", Some(0)),
            ("255.0", Some(255)),
            ("256.0", None),
            ("-1.0", None),
            ("3.5", None),
            ("1e300", None),
        ] {
            let text = format!(r#"{{"steps":[{{"walk":{text}}}]}}"#);
            let read = read::<Way>(&text).ok().map(|way| way.steps);
            assert_eq!(read, expected.map(|far| vec![Step::Walk(far)]), "{text}");
        }
        let read = |text: &str| read::<Way>(text).ok().map(|way| way.steps);
        assert_eq!(read(r#"{"steps":[{"leap":{"far":-4.0}}]}"#), Some(vec![Step::Leap { far: -4 }]));
    }

    #[test]
    fn complaints_know_their_path() {
        for (text, path) in [
            (r#"{"steps":["run"]}"#, "steps[0]"),
            (r#"{"steps":[{"walk":300}]}"#, "steps[0].walk"),
            (r#"{"steps":["rest",{"leap":[4]}]}"#, "steps[1].leap"),
            (r#"{"steps":["walk"]}"#, "steps[0].walk"),
            (r#"{"steps":[{"walk":1,"leap":2}]}"#, "steps[0]"),
            (r#"{"steps":[],"steps":[]}"#, ""),
            (r#"{"steps":[],"pair":[1,2,3]}"#, "pair"),
            (r#"{"steps":[],"pair":[1]}"#, "pair"),
            ("[[]]", ""),
            ("{}", ""),
            ("{", ""),
        ] {
            assert_eq!(read::<Way>(text).map_err(|error| error.path()), Err(path.to_owned()), "{text}");
        }
    }
}
