//! From Rust values to plain JavaScript ones, for the few shapes that cross here.
//!
//! `serde-wasm-bindgen` does this for every shape; it and the default allocator made half of the module (22 KB
//! of gzip against 15), and a checkout page loads all of it. The derives stay the source of the shapes.

use core::fmt::Display;

use serde::Serialize;
use serde::ser::{self, Impossible};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    type Object;
    #[wasm_bindgen(constructor)]
    fn new() -> Object;
    #[wasm_bindgen(method, indexing_setter)]
    fn set(this: &Object, name: &str, value: JsValue);

    type Array;
    #[wasm_bindgen(constructor)]
    fn new() -> Array;
    #[wasm_bindgen(method)]
    fn push(this: &Array, value: JsValue);

    #[wasm_bindgen(js_name = Error)]
    type CodedError;
    #[wasm_bindgen(constructor, js_class = "Error")]
    fn new(message: &str) -> CodedError;
    #[wasm_bindgen(method, setter)]
    fn set_name(this: &CodedError, name: &str);
    #[wasm_bindgen(method, setter)]
    fn set_code(this: &CodedError, code: &str);
}

/// Makes a plain object, array, string, number or boolean.
///
/// # Errors
/// [`NotPlain`] for a shape that is none of these; no type of this crate has one.
pub(crate) fn to_js<T: Serialize>(value: &T) -> Result<JsValue, NotPlain> {
    value.serialize(Plain)
}

/// A shape that the plain serializer does not make.
#[derive(Debug)]
pub(crate) struct NotPlain;

impl From<NotPlain> for JsValue {
    /// An `Error` with the `name` and a `code` of the package's own errors.
    fn from(_: NotPlain) -> Self {
        let error = CodedError::new("The answer could not be made into a JavaScript value.");
        error.set_name("CounterfoilError");
        error.set_code("unexpected_answer");
        error.into()
    }
}

impl Display for NotPlain {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a plain value")
    }
}

impl core::error::Error for NotPlain {}

impl ser::Error for NotPlain {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

struct Plain;

struct Fields(Object);

struct Items(Array);

impl ser::SerializeStruct for Fields {
    type Ok = JsValue;
    type Error = NotPlain;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), NotPlain> {
        self.0.set(name, value.serialize(Plain)?);
        Ok(())
    }

    fn end(self) -> Result<JsValue, NotPlain> {
        Ok(self.0.into())
    }
}

impl ser::SerializeSeq for Items {
    type Ok = JsValue;
    type Error = NotPlain;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotPlain> {
        self.0.push(value.serialize(Plain)?);
        Ok(())
    }

    fn end(self) -> Result<JsValue, NotPlain> {
        Ok(self.0.into())
    }
}

impl ser::Serializer for Plain {
    type Ok = JsValue;
    type Error = NotPlain;
    type SerializeSeq = Items;
    type SerializeStruct = Fields;
    type SerializeTuple = Impossible<JsValue, NotPlain>;
    type SerializeTupleStruct = Impossible<JsValue, NotPlain>;
    type SerializeTupleVariant = Impossible<JsValue, NotPlain>;
    type SerializeMap = Impossible<JsValue, NotPlain>;
    type SerializeStructVariant = Impossible<JsValue, NotPlain>;

    fn serialize_bool(self, value: bool) -> Result<JsValue, NotPlain> {
        Ok(value.into())
    }

    fn serialize_u8(self, value: u8) -> Result<JsValue, NotPlain> {
        self.serialize_u32(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<JsValue, NotPlain> {
        self.serialize_u32(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<JsValue, NotPlain> {
        Ok(value.into())
    }

    fn serialize_str(self, value: &str) -> Result<JsValue, NotPlain> {
        Ok(value.into())
    }

    fn serialize_none(self) -> Result<JsValue, NotPlain> {
        Ok(JsValue::UNDEFINED)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<JsValue, NotPlain> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, NotPlain> {
        Ok(Items(Array::new()))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, NotPlain> {
        Ok(Fields(Object::new()))
    }

    fn serialize_i8(self, _: i8) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_i16(self, _: i16) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_i32(self, _: i32) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_i64(self, _: i64) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_u64(self, _: u64) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_f32(self, _: f32) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_f64(self, _: f64) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_char(self, _: char) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_unit(self) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, NotPlain> {
        Err(NotPlain)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NotPlain> {
        Err(NotPlain)
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<JsValue, NotPlain> {
        Err(NotPlain)
    }
}
