//! What the platform gives: the clock, randomness, time zones, and the storage calls that `worker` lacks.

#![allow(unsafe_code, reason = "wasm-bindgen's generated glue")]

use counterfoil_core::time::{Instant, Zone};
use js_sys::{Array, Date};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// A failure to answer: never shown to a caller, always logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What went wrong, for the log.
    pub(crate) message: String,
    /// An object could not be reached: the same request, with the same key, may well succeed in a moment.
    pub(crate) passing: bool,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), passing: false }
    }

    /// An object could not be reached.
    pub(crate) fn unreachable(error: &worker::Error) -> Self {
        Self { message: format!("unreachable: {error}"), passing: true }
    }

    /// An object did not answer in time; as [`Self::unreachable`].
    pub(crate) fn late(message: impl Into<String>) -> Self {
        Self { message: message.into(), passing: true }
    }

    /// What the platform threw. Two kinds pass, and leave nothing half done: SQLite's memory is shared by all objects of a
    /// process, and idle ones leave it within seconds; and the platform's own failures, which it names by a reference only,
    /// reset the object, and the next request finds it as it was last written.
    fn thrown(message: String) -> Self {
        let passing = message.contains("SQLITE_NOMEM") || message.contains("internal error; reference = ");
        Self { message, passing }
    }

    /// One line of JSON in the log.
    pub(crate) fn log(&self, event: &str) {
        worker::console_error!("{}", serde_json::json!({ "event": event, "error": self.message }));
    }
}

impl From<Fault> for worker::Error {
    fn from(fault: Fault) -> Self {
        Self::RustError(fault.message)
    }
}

impl From<worker::Error> for Fault {
    fn from(error: worker::Error) -> Self {
        Self::thrown(error.to_string())
    }
}

impl From<JsValue> for Fault {
    fn from(error: JsValue) -> Self {
        let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
        Self::thrown(message.or_else(|| error.as_string()).unwrap_or_else(|| "unknown JavaScript error".to_owned()))
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::new(format!("json: {error}"))
    }
}

impl From<counterfoil_core::json::Error> for Fault {
    fn from(error: counterfoil_core::json::Error) -> Self {
        Self::new(format!("json: {error}"))
    }
}

/// The present instant. Inside an event the clock stands still between awaits.
#[allow(clippy::cast_possible_truncation, reason = "milliseconds of this era fit")]
pub(crate) fn now() -> Instant {
    Instant(Date::now() as i64)
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill_random(bytes: &js_sys::Uint8Array);

    #[wasm_bindgen(js_name = Headers)]
    type JsHeaders;
    #[wasm_bindgen(constructor, catch, js_class = "Headers")]
    fn new(init: &JsValue) -> Result<JsHeaders, JsValue>;

    #[wasm_bindgen(js_namespace = Intl)]
    type DateTimeFormat;
    #[wasm_bindgen(constructor, catch, js_namespace = Intl)]
    fn new(locale: &str, options: &js_sys::Object) -> Result<DateTimeFormat, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn format(this: &DateTimeFormat, at_ms: f64) -> Result<String, JsValue>;

    /// Another object, as the platform gives it.
    pub(crate) type RawObject;
    #[wasm_bindgen(method, catch, js_name = fetch)]
    fn fetch_raw(this: &RawObject, url: &str, init: &RawPost) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(js_name = Object)]
    type RawPost;
    #[wasm_bindgen(constructor, js_class = "Object")]
    fn new() -> RawPost;
    #[wasm_bindgen(method, setter)]
    fn set_method(this: &RawPost, method: &str);
    #[wasm_bindgen(method, setter)]
    fn set_body(this: &RawPost, body: &str);

    type RawAnswer;
    #[wasm_bindgen(method, getter)]
    fn status(this: &RawAnswer) -> u16;
    #[wasm_bindgen(method, catch)]
    fn text(this: &RawAnswer) -> Result<js_sys::Promise, JsValue>;

    pub(crate) type SyncStorage;
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &SyncStorage,
        work: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;
    /// Resolves once everything written so far is durable.
    #[wasm_bindgen(method, catch)]
    pub(crate) fn sync(this: &SyncStorage) -> Result<js_sys::Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &SyncStorage, at_ms: f64) -> Result<js_sys::Promise, JsValue>;
    #[wasm_bindgen(method, getter)]
    pub(crate) fn sql(this: &SyncStorage) -> SyncSql;

    pub(crate) type SyncSql;
    #[wasm_bindgen(method, catch, variadic)]
    pub(crate) fn exec(this: &SyncSql, query: &js_sys::JsString, bindings: &Array) -> Result<SyncCursor, JsValue>;

    pub(crate) type SyncCursor;
    #[wasm_bindgen(method, catch)]
    pub(crate) fn raw(this: &SyncCursor) -> Result<SyncRows, JsValue>;

    pub(crate) type SyncRows;
    #[wasm_bindgen(method, catch, js_name = toArray)]
    pub(crate) fn to_array(this: &SyncRows) -> Result<Array, JsValue>;
}

/// A copy of headers, to be changed: those that come from an object cannot be. Copied as a whole, not one by one.
pub(crate) fn copy_headers(headers: &worker::Headers) -> Result<worker::Headers, Fault> {
    let raw: &JsValue = headers.0.as_ref();
    Ok(worker::Headers(JsHeaders::new(raw)?.unchecked_into()))
}

thread_local! {
    /// Every message is posted alike, but for its body.
    static POST: RawPost = {
        let post = RawPost::new();
        post.set_method("POST");
        post
    };
}

impl RawObject {
    /// Posts a message and answers status and text. Past `worker`'s wrappers, which look into the headers, the socket and
    /// the stream of each answer: each look makes an object of the platform's, and they cost more than the message.
    pub(crate) async fn post(&self, body: &str) -> Result<(u16, String), worker::Error> {
        let sent = POST.with(|post| {
            post.set_body(body);
            self.fetch_raw("http://object/", post)
        })?;
        let answer: RawAnswer = JsFuture::from(sent).await?.unchecked_into();
        let text = JsFuture::from(answer.text()?).await?;
        Ok((answer.status(), text.as_string().unwrap_or_default()))
    }
}

/// Random bytes from the platform's CSPRNG.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let array = js_sys::Uint8Array::new_with_length(u32::try_from(N).unwrap_or_default());
    fill_random(&array);
    let mut bytes = [0; N];
    array.copy_to(&mut bytes);
    bytes
}

/// A random number for jitter and ids.
pub(crate) fn random_u32() -> u32 {
    u32::from_be_bytes(random())
}

impl SyncStorage {
    /// An object's storage, with the synchronous calls that `worker` does not bind.
    pub(crate) fn of(state: &worker::State) -> Self {
        let storage = state.storage();
        let raw: &JsValue = storage.as_raw().as_ref();
        raw.clone().unchecked_into()
    }

    /// Runs `work` in one transaction: all of it is written, or, when it fails, nothing.
    pub(crate) fn transaction<T>(&self, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let mut work = Some(work);
        let mut outcome = None;
        let thrown = self.transaction_sync(&mut || {
            let result = work.take().map_or_else(|| Err(Fault::new("transaction ran twice")), |work| work());
            let failed = result.is_err();
            outcome = Some(result);
            // Throwing is what rolls back.
            if failed { Err(JsValue::NULL) } else { Ok(JsValue::UNDEFINED) }
        });
        match (outcome, thrown) {
            (Some(Ok(_)), Err(error)) => Err(Fault::from(error)),
            (Some(result), _) => result,
            (None, Err(error)) => Err(Fault::from(error)),
            (None, Ok(_)) => Err(Fault::new("transaction did not run")),
        }
    }

    /// Sets this object's alarm, as part of the transaction under way. The promise only reports completion,
    /// which the output gate waits for anyway.
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of this era are exact in a double")]
    pub(crate) fn arm(&self, at: Instant) -> Result<(), Fault> {
        self.set_alarm(at.0 as f64).map(drop).map_err(Fault::from)
    }
}

/// An IANA time zone, by the platform's own tables.
pub(crate) struct IanaZone(DateTimeFormat);

impl IanaZone {
    /// The zone of that name; `None` where the platform does not know it. Bare offsets are not zones.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let options = js_sys::Object::new();
        for (key, value) in [("timeZone", name), ("timeZoneName", "longOffset")] {
            js_sys::Reflect::set(&options, &key.into(), &value.into()).ok()?;
        }
        DateTimeFormat::new("en-US", &options).ok().map(Self)
    }
}

impl Zone for IanaZone {
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of this era are exact in a double")]
    fn offset_s(&self, at: Instant) -> i64 {
        self.0.format(at.0 as f64).ok().and_then(|text| parse_long_offset(&text)).unwrap_or_default()
    }
}

/// Seconds of the `GMT+01:00`, `GMT-00:44:30` or `GMT` at the end of a formatted date.
fn parse_long_offset(text: &str) -> Option<i64> {
    let (_, offset) = text.rsplit_once("GMT")?;
    if offset.is_empty() {
        return Some(0);
    }
    let sign = if offset.starts_with('+') { 1 } else { -1 };
    let digits = offset.strip_prefix(['+', '-', '\u{2212}'])?;
    let mut seconds = 0;
    for (part, unit) in digits.split(':').zip([3_600, 60, 1]) {
        seconds += part.parse::<i64>().ok()? * unit;
    }
    Some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: Option<i64>) {
        assert_eq!(parse_long_offset(text), seconds, "{text}");
    }

    #[test]
    fn long_offsets() {
        check("11/21/2026, GMT", Some(0));
        check("11/21/2026, GMT+01:00", Some(3_600));
        check("11/21/2026, GMT-09:30", Some(-34_200));
        check("1/1/1880, GMT\u{2212}00:44:30", Some(-2_670));
        check("11/21/2026, CET", None);
        check("11/21/2026, GMT+x", None);
    }

    #[test]
    fn what_the_platform_throws_passes_only_where_the_same_request_may_succeed() {
        for (message, passing) in [
            ("out of memory: SQLITE_NOMEM", true),
            ("Error: out of memory: SQLITE_NOMEM", true),
            ("internal error; reference = 2cgnt7kh4uqn5ohl02arrb64", true),
            ("UNIQUE constraint failed: codes.seq: SQLITE_CONSTRAINT", false),
            ("no such table: rewards: SQLITE_ERROR", false),
            ("internal error", false),
        ] {
            assert_eq!(Fault::thrown(message.to_owned()).passing, passing, "{message}");
        }
    }
}
