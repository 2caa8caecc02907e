//! SQL of one object: constant statements, few conversions, cursors consumed at once.

use crate::platform::{Fault, SyncStorage};
use counterfoil_core::ids::Fingerprint;
use js_sys::{Array, JsString, Uint8Array};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
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

/// A statement as the platform takes it, made once: decoding its text anew at each call costs as much as running it.
struct Prepared {
    text: JsString,
    /// Whether it answers rows, so that there is something to collect.
    answers: bool,
}

thread_local! {
    /// By place and length of the text, which is part of the program and never moves.
    static PREPARED: RefCell<HashMap<(usize, usize), Prepared>> = RefCell::default();
}

/// Runs a statement; `None` where it answers no rows.
fn execute(storage: &SyncStorage, statement: &'static str, values: &[Value<'_>]) -> Result<Option<Array>, Fault> {
    let bindings: Array = values.iter().map(Value::to_js).collect();
    let sql = storage.sql();
    let (cursor, answers) = PREPARED.with_borrow_mut(|prepared| {
        let known = prepared.entry((statement.as_ptr().addr(), statement.len())).or_insert_with(|| Prepared {
            text: JsString::from(statement),
            answers: ["SELECT", "WITH"].iter().any(|word| statement.trim_start().starts_with(word))
                || statement.contains("RETURNING"),
        });
        sql.exec(&known.text, &bindings).map(|cursor| (cursor, known.answers))
    })?;
    // What answers no rows has run to its end.
    if answers { Ok(Some(cursor.raw()?.to_array()?)) } else { Ok(None) }
}

/// Runs a statement and collects its rows.
pub(crate) fn query(storage: &SyncStorage, statement: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
    let rows = execute(storage, statement, values)?;
    Ok(rows.iter().flat_map(Array::iter).map(|row| Row(row.unchecked_into())).collect())
}

/// Runs a statement for its effect; answers whether it returned a row (with RETURNING: whether it applied).
pub(crate) fn run(storage: &SyncStorage, statement: &'static str, values: &[Value<'_>]) -> Result<bool, Fault> {
    Ok(execute(storage, statement, values)?.is_some_and(|rows| rows.length() > 0))
}

/// Makes an object's tables. Which statements were run last is remembered by their hash, so that an instance that wakes
/// runs two statements instead of all; each of them must be one that may be run again.
pub(crate) fn create(storage: &SyncStorage, statements: &[&str]) -> Result<(), Fault> {
    let table = "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID";
    run(storage, table, &[])?;
    let parts: Vec<&[u8]> = statements.iter().map(|statement| statement.as_bytes()).collect();
    let hash = Fingerprint::of(&parts).to_hex();
    if meta(storage, "schema")?.as_ref() == Some(&hash) {
        return Ok(());
    }
    storage.transaction(|| {
        for statement in statements {
            storage.sql().exec(&JsString::from(*statement), &Array::new())?;
        }
        set_meta(storage, "schema", &hash)
    })
}

/// What an object keeps by a name, in the table that [`create`] makes first.
pub(crate) fn meta(storage: &SyncStorage, key: &str) -> Result<Option<String>, Fault> {
    first(storage, "SELECT value FROM meta WHERE key = ?", &[key.into()])?.map(|row| row.text(0)).transpose()
}

/// Keeps something by a name, in place of what was kept by it.
pub(crate) fn set_meta(storage: &SyncStorage, key: &str, value: &str) -> Result<(), Fault> {
    let statement = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    run(storage, statement, &[key.into(), value.into()]).map(drop)
}

/// Whether an object has made its tables and read what it keeps in memory. A constructor cannot refuse, and may fail for want
/// of memory: nothing may be done by such an object before it has loaded after all.
#[derive(Default)]
pub(crate) struct Loaded(Cell<bool>);

impl Loaded {
    /// Loads unless that was done. Each step of `load` must be one that may be done again.
    pub(crate) fn ensure(&self, load: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        if !self.0.get() {
            load()?;
            self.0.set(true);
        }
        Ok(())
    }
}

/// The first row, if any.
pub(crate) fn first(
    storage: &SyncStorage,
    statement: &'static str,
    values: &[Value<'_>],
) -> Result<Option<Row>, Fault> {
    let rows = execute(storage, statement, values)?;
    Ok(rows.filter(|rows| rows.length() > 0).map(|rows| Row(rows.get(0).unchecked_into())))
}
