//! SQL of one object: constant statements, few conversions, cursors consumed at once.

use crate::platform::{Fault, SyncStorage};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

/// A bound value. Numbers bind as REAL and are stored as INTEGER by STRICT tables; wider ones go as text.
pub(crate) enum Value<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        // Everything stored is below 2⁵³; what is not would be refused by the table's CHECK.
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Blob(value)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

impl Value<'_> {
    #[allow(clippy::cast_precision_loss, reason = "stored integers are below 2⁵³")]
    fn to_js(&self) -> JsValue {
        match self {
            Self::Null => JsValue::NULL,
            Self::Integer(value) => JsValue::from_f64(*value as f64),
            Self::Text(text) => JsValue::from_str(text),
            Self::Blob(bytes) => Uint8Array::from(*bytes).into(),
        }
    }
}

/// One row of an answer.
pub(crate) struct Row(Array);

impl Row {
    /// An integer column; 0 for NULL.
    #[allow(clippy::cast_possible_truncation, reason = "stored integers are below 2⁵³")]
    pub(crate) fn integer(&self, column: u32) -> i64 {
        self.0.get(column).as_f64().unwrap_or_default() as i64
    }

    /// A count or amount; 0 for NULL.
    pub(crate) fn count(&self, column: u32) -> u64 {
        u64::try_from(self.integer(column)).unwrap_or_default()
    }

    /// A small number; 0 for NULL.
    pub(crate) fn number(&self, column: u32) -> u32 {
        u32::try_from(self.integer(column)).unwrap_or_default()
    }

    /// Whether a column is NULL.
    pub(crate) fn is_null(&self, column: u32) -> bool {
        self.0.get(column).is_null()
    }

    /// A text column.
    pub(crate) fn text(&self, column: u32) -> Result<String, Fault> {
        self.0.get(column).as_string().ok_or_else(|| Fault::new("a text column holds something else"))
    }

    /// A BLOB column.
    pub(crate) fn blob(&self, column: u32) -> Vec<u8> {
        let value = self.0.get(column);
        if value.is_object() { Uint8Array::new(&value).to_vec() } else { Vec::new() }
    }

    /// A text column of JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: u32) -> Result<T, Fault> {
        Ok(counterfoil_core::json::read(&self.text(column)?)?)
    }
}

/// Runs a statement and collects its rows.
pub(crate) fn query(storage: &SyncStorage, statement: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
    let bindings: Array = values.iter().map(Value::to_js).collect();
    let rows = storage.sql().exec(statement, &bindings)?.raw()?.to_array()?;
    Ok(rows.iter().map(|row| Row(row.unchecked_into())).collect())
}

/// Runs a statement for its effect; answers whether it returned a row (with RETURNING: whether it applied).
pub(crate) fn run(storage: &SyncStorage, statement: &str, values: &[Value<'_>]) -> Result<bool, Fault> {
    query(storage, statement, values).map(|rows| !rows.is_empty())
}

/// The first row, if any.
pub(crate) fn first(storage: &SyncStorage, statement: &str, values: &[Value<'_>]) -> Result<Option<Row>, Fault> {
    query(storage, statement, values).map(|rows| rows.into_iter().next())
}
