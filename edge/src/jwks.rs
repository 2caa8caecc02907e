//! The deployment's JWK set: written into its settings, or fetched from its issuer; and verifying with its keys by the
//! platform's WebCrypto.
//!
//! A fetched set is kept for ten minutes. A token that names a key which is not in it has it fetched again, so that an
//! issuer may rotate its keys whenever it likes; whoever makes such names up causes one fetch in half a minute. A fetch
//! that fails changes nothing.

use crate::objects::within;
use crate::platform::{Fault, now};
use counterfoil_core::jwk::{
    Chosen, Fetched, JWKS_BYTES_MAX, JWKS_WAIT_MS, JwksError, PublicKey, Step, choose, read_set,
};
use counterfoil_core::token::{Algorithm, TokenError, UnverifiedToken, VerifiedToken};
use counterfoil_core::webhook::target;
use futures_util::StreamExt;
use js_sys::{Array, JSON, Promise, Uint8Array};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;
use worker::{AbortController, CacheMode, Delay, Fetch, Headers, Request, RequestInit, RequestRedirect};

/// How often a request looks whether another one's fetch has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
    fn import_key(
        format: &str,
        key: &JsValue,
        algorithm: &JsValue,
        extractable: bool,
        usages: &Array,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = verify, catch)]
    fn verify_signature(
        algorithm: &JsValue,
        key: &JsValue,
        signature: &Uint8Array,
        signed: &Uint8Array,
    ) -> Result<Promise, JsValue>;
}

/// Public keys, and what the platform made of them.
#[derive(Default)]
struct Keys {
    public: Vec<PublicKey>,
    /// Beside each of them.
    imported: Vec<RefCell<Imported>>,
}

#[derive(Clone, Default)]
enum Imported {
    /// Nobody has asked yet.
    #[default]
    No,
    /// A `CryptoKey`.
    Key(JsValue),
    /// The platform does not take it: its point is on no curve, for instance.
    Refused,
}

impl Keys {
    /// New keys; what is known of those that stay is kept.
    fn succeed(public: Vec<PublicKey>, former: &Self) -> Self {
        let imported = public.iter().map(|key| {
            let place = former.public.iter().position(|known| known == key);
            RefCell::new(
                place.and_then(|place| former.imported.get(place)).map_or(Imported::No, |known| known.borrow().clone()),
            )
        });
        Self { imported: imported.collect(), public }
    }

    /// The platform's key; `None` where it takes none.
    async fn key(&self, place: usize, public: &PublicKey) -> Result<Option<JsValue>, Fault> {
        let slot = self.imported.get(place).ok_or_else(|| Fault::new("a key has no place"))?;
        let known = slot.borrow().clone();
        match known {
            Imported::Key(key) => return Ok(Some(key)),
            Imported::Refused => return Ok(None),
            Imported::No => {}
        }
        let key = import(public).await;
        if key.is_none() {
            let line = serde_json::json!({ "event": "jwk_refused", "kid": public.kid });
            worker::console_error!("{line}");
        }
        *slot.borrow_mut() = key.clone().map_or(Imported::Refused, Imported::Key);
        Ok(key)
    }
}

/// What WebCrypto calls an algorithm, to import its keys and to verify.
const fn names(algorithm: Algorithm) -> Option<(&'static str, &'static str)> {
    match algorithm {
        Algorithm::Hs256 => None,
        Algorithm::Rs256 => {
            let name = r#"{"name":"RSASSA-PKCS1-v1_5","hash":"SHA-256"}"#;
            Some((name, name))
        }
        Algorithm::Es256 => Some((r#"{"name":"ECDSA","namedCurve":"P-256"}"#, r#"{"name":"ECDSA","hash":"SHA-256"}"#)),
        Algorithm::EdDsa => Some((r#"{"name":"Ed25519"}"#, r#"{"name":"Ed25519"}"#)),
    }
}

async fn import(public: &PublicKey) -> Option<JsValue> {
    let (algorithm, _) = names(public.algorithm)?;
    let (algorithm, jwk) = (JSON::parse(algorithm).ok()?, JSON::parse(&public.material).ok()?);
    let usages = Array::of1(&JsValue::from_str("verify"));
    JsFuture::from(import_key("jwk", &jwk, &algorithm, false, &usages).ok()?).await.ok()
}

/// Where the set comes from.
enum Source {
    Inline,
    Url(String),
}

/// The deployment's JWK set.
pub(crate) struct Jwks {
    source: Source,
    keys: RefCell<Rc<Keys>>,
    fetched: Cell<Fetched>,
}

impl Jwks {
    /// A set that is written into the settings.
    pub(crate) fn inline(text: &str) -> Result<Self, JwksError> {
        let keys = Keys::succeed(read_set(text)?, &Keys::default());
        Ok(Self { source: Source::Inline, keys: RefCell::new(Rc::new(keys)), fetched: Cell::default() })
    }

    /// A set to be fetched: over https, from a public host, unless the deployment allows others.
    pub(crate) fn at(url: String, allow_private: bool) -> Result<Self, target::TargetError> {
        target::check(&url, allow_private)?;
        Ok(Self { source: Source::Url(url), keys: RefCell::default(), fetched: Cell::default() })
    }

    fn known(&self) -> Rc<Keys> {
        self.keys.borrow().clone()
    }

    /// Verifies a token with the key that it must have been signed with. A fault where no key could be got at all.
    pub(crate) async fn verify<'t>(
        &self,
        token: &UnverifiedToken<'t>,
        secret: Option<&[u8]>,
    ) -> Result<Result<VerifiedToken<'t>, TokenError>, Fault> {
        let keys = self.keys_for(token).await?;
        match (choose(token, secret.is_some(), &keys.public), secret) {
            (Ok(Chosen::Secret), Some(secret)) => Ok(token.verify_hs256(secret)),
            (Ok(Chosen::Secret), None) => Ok(Err(TokenError::Algorithm)),
            (Ok(Chosen::Public(place, public)), _) => {
                let Some(key) = keys.key(place, public).await? else { return Ok(Err(TokenError::KeyUnknown)) };
                Ok(token.judged(public.algorithm, fits(public.algorithm, &key, token).await?))
            }
            (Err(error), _) => Ok(Err(error)),
        }
    }

    /// The keys to choose from, fetched where they are missing or old. The shared secret needs none of them.
    async fn keys_for(&self, token: &UnverifiedToken<'_>) -> Result<Rc<Keys>, Fault> {
        let Source::Url(url) = &self.source else { return Ok(self.known()) };
        if token.alg() == Algorithm::Hs256 {
            return Ok(self.known());
        }
        loop {
            let missing = choose(token, false, &self.known().public) == Err(TokenError::KeyUnknown);
            match self.fetched.get().step(missing, now()) {
                Step::Use => return Ok(self.known()),
                Step::Wait => Delay::from(LOOK_AGAIN).await,
                Step::GiveUp => return Err(Fault::late("the JWK set could not be fetched")),
                Step::Fetch => {
                    self.renew(url, missing).await;
                    return match self.fetched.get().at {
                        Some(_) => Ok(self.known()),
                        None => Err(Fault::late("the JWK set could not be fetched")),
                    };
                }
            }
        }
    }

    /// Fetches the set. Requests that come meanwhile use what is known.
    async fn renew(&self, url: &str, missing: bool) {
        let began = now();
        let before = self.fetched.get();
        // The first fetch is for no key in particular.
        let missed_at = if missing && before.at.is_some() { Some(began) } else { before.missed_at };
        self.fetched.set(Fetched { tried_at: Some(began), tried: false, missed_at, ..before });
        let read =
            fetch_text(url).await.and_then(|text| read_set(&text).map_err(|error| Fault::new(error.to_string())));
        let at = match read {
            Ok(public) => {
                let keys = Keys::succeed(public, &self.known());
                self.keys.replace(Rc::new(keys));
                Some(began)
            }
            Err(fault) => {
                fault.log("jwks_not_fetched");
                self.fetched.get().at
            }
        };
        self.fetched.set(Fetched { at, tried: true, ..self.fetched.get() });
    }
}

/// Whether a token's signature is one of this key's.
async fn fits(algorithm: Algorithm, key: &JsValue, token: &UnverifiedToken<'_>) -> Result<bool, Fault> {
    let (_, algorithm) = names(algorithm).ok_or_else(|| Fault::new("no public key signs so"))?;
    let (signature, signed) = (Uint8Array::from(token.signature()), Uint8Array::from(token.signed()));
    let verified = JsFuture::from(verify_signature(&JSON::parse(algorithm)?, key, &signature, &signed)?).await?;
    Ok(verified.as_bool() == Some(true))
}

/// Fetches a text, within bounds of time and length.
async fn fetch_text(url: &str) -> Result<String, Fault> {
    let controller = AbortController::default();
    let signal = controller.signal();
    let exchange = async {
        let headers = Headers::new();
        headers.set("Accept", "application/jwk-set+json, application/json")?;
        let mut init = RequestInit::new();
        // A redirect is an answer like any other that is no set: where it leads was never checked.
        init.with_headers(headers).with_redirect(RequestRedirect::Manual);
        // A cache on the way would answer with the set that lacks the key.
        init.cache = Some(CacheMode::NoStore);
        let request = Request::new_with_init(url, &init)?;
        let mut response = Fetch::Request(request).send_with_signal(&signal).await?;
        if response.status_code() != 200 {
            return Err(Fault::new(format!("HTTP {}", response.status_code())));
        }
        let mut bytes = Vec::new();
        let mut stream = response.stream()?;
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() > JWKS_BYTES_MAX {
                return Err(Fault::new("more than 64 KiB"));
            }
        }
        String::from_utf8(bytes).map_err(|_| Fault::new("not UTF-8"))
    };
    let wait = Duration::from_millis(u64::try_from(JWKS_WAIT_MS).unwrap_or_default());
    let text = within(wait, "the issuer", exchange).await;
    // Ends whatever is still under way.
    controller.abort();
    text
}
