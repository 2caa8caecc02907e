//! What a deployment sets: secrets and variables, read once per isolate.

use crate::jwks::Jwks;
use crate::platform::Fault;
use counterfoil_core::code::Profile;
use counterfoil_core::hex;
use counterfoil_core::ids::IdKey;
use counterfoil_core::keys::{CampaignKeys, EPOCH_MAX, Environment, MerchantId, Root, Roots};
use counterfoil_core::token::TokenPolicy;
use counterfoil_core::webhook::target;
use std::cell::RefCell;
use std::rc::Rc;
use worker::Env;

/// Campaign keys kept in memory; deriving them costs a few HMACs.
const KEYS_KEPT: usize = 256;

/// Fewest bytes of the secret that signs tokens.
const JWT_SECRET_BYTES_MIN: usize = 32;

/// Fewest characters of the token that reads metrics.
const METRICS_TOKEN_CHARS_MIN: usize = 32;

/// Who says whether somebody is a person, where the deployment does not say.
const CHALLENGE_URL: &str = "https://challenges.cloudflare.com/turnstile/v0/siteverify";
/// What the flood guard's binding allows, where the deployment does not say: edge/wrangler.toml has the same …
const FLOOD_GUARD_LIMIT: u32 = 600;
/// … in so many seconds.
const FLOOD_GUARD_PERIOD_S: u32 = 60;

/// Settings of this deployment.
pub(crate) struct Config {
    pub(crate) environment: Environment,
    pub(crate) roots: Roots,
    pub(crate) id_key: IdKey,
    pub(crate) tokens: TokenPolicy,
    /// Signs tokens with HS256, where the deployment shares one.
    pub(crate) jwt_secret: Option<Vec<u8>>,
    /// Whose keys sign tokens otherwise.
    pub(crate) jwks: Option<Jwks>,
    /// Webhooks may go to this machine and to private networks, and by http: local development and tests.
    pub(crate) allow_private_targets: bool,
    /// What reads `GET /metrics`; without it there is no such page.
    pub(crate) metrics_token: Option<String>,
    /// Who says whether somebody is a person; without it no challenge is ever passed.
    pub(crate) challenge: Option<ChallengeHook>,
    /// What the flood guard's binding allows, in so many seconds, as its callers are told.
    pub(crate) flood: (u32, u32),
    origins: Vec<String>,
    revoked_epochs: Vec<u8>,
    keys: RefCell<Vec<(KeyName, Rc<CampaignKeys>)>>,
}

/// A service that speaks the siteverify protocol.
pub(crate) struct ChallengeHook {
    pub(crate) url: String,
    pub(crate) secret: String,
}

type KeyName = (MerchantId, Profile, u8, u16);

thread_local! {
    static CONFIG: RefCell<Option<Rc<Config>>> = const { RefCell::new(None) };
}

impl Config {
    /// The settings, read and checked at first use.
    pub(crate) fn of(env: &Env) -> Result<Rc<Self>, Fault> {
        if let Some(config) = CONFIG.with_borrow(Clone::clone) {
            return Ok(config);
        }
        let config = Rc::new(Self::read(env)?);
        CONFIG.with_borrow_mut(|slot| *slot = Some(config.clone()));
        Ok(config)
    }

    fn read(env: &Env) -> Result<Self, Fault> {
        let optional = |name: &str| env.var(name).ok().map(|value| value.to_string()).filter(|text| !text.is_empty());
        let required = |name: &str| optional(name).ok_or_else(|| Fault::new(format!("{name} is not set")));
        let list = |name: &str| -> Vec<String> {
            optional(name)
                .unwrap_or_default()
                .split(',')
                .map(str::trim)
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let environment =
            Environment::new(&required("ENVIRONMENT")?).map_err(|e| Fault::new(format!("ENVIRONMENT: {e}")))?;
        let mut roots = Roots::default();
        for epoch in 0..=EPOCH_MAX {
            if let Some(text) = optional(&format!("ROOT_{epoch}")) {
                Root::from_hex(&text)
                    .and_then(|root| roots.insert(epoch, root))
                    .map_err(|e| Fault::new(format!("ROOT_{epoch}: {e}")))?;
            }
        }
        if roots.epochs().next().is_none() {
            return Err(Fault::new("no ROOT_0 … ROOT_7 is set"));
        }
        let id_key = hex::decode(required("ID_KEY")?.trim()).and_then(IdKey::new);
        let allow_private_targets = optional("ALLOW_PRIVATE_TARGETS").is_some_and(|text| text == "1");
        let jwt_secret = optional("JWT_SECRET").map(String::into_bytes);
        if jwt_secret.as_ref().is_some_and(|secret| secret.len() < JWT_SECRET_BYTES_MIN) {
            return Err(Fault::new("JWT_SECRET has fewer than 32 bytes"));
        }
        let jwks = match (optional("JWKS"), optional("JWKS_URL")) {
            (None, None) => None,
            (Some(text), None) => Some(Jwks::inline(&text).map_err(|e| Fault::new(format!("JWKS: {e}")))?),
            (None, Some(url)) => {
                let jwks = Jwks::at(url, allow_private_targets);
                Some(jwks.map_err(|e| Fault::new(format!("JWKS_URL {e}")))?)
            }
            (Some(_), Some(_)) => return Err(Fault::new("JWKS and JWKS_URL are both set: one of them is meant")),
        };
        if jwt_secret.is_none() && jwks.is_none() {
            return Err(Fault::new("none of JWT_SECRET, JWKS and JWKS_URL is set: nobody could call"));
        }
        let metrics_token = optional("METRICS_TOKEN");
        if metrics_token.as_ref().is_some_and(|token| token.chars().count() < METRICS_TOKEN_CHARS_MIN) {
            return Err(Fault::new("METRICS_TOKEN has fewer than 32 characters"));
        }
        let url = optional("CHALLENGE_URL").unwrap_or_else(|| CHALLENGE_URL.to_owned());
        target::check(&url, allow_private_targets).map_err(|e| Fault::new(format!("CHALLENGE_URL {e}")))?;
        let challenge = optional("CHALLENGE_SECRET").map(|secret| ChallengeHook { url, secret });
        let number = |name: &str, default: u32| match optional(name) {
            Some(text) => text.parse().map_err(|_| Fault::new(format!("{name} is no whole number"))),
            None => Ok(default),
        };
        let revoked =
            list("REVOKED_EPOCHS").iter().map(|text| text.parse().ok().filter(|epoch| *epoch <= EPOCH_MAX)).collect();
        Ok(Self {
            environment,
            roots,
            id_key: id_key.ok_or_else(|| Fault::new("ID_KEY is not at least 32 bytes in hexadecimal"))?,
            tokens: TokenPolicy { issuer: optional("JWT_ISSUER"), audience: optional("JWT_AUDIENCE") },
            jwt_secret,
            jwks,
            allow_private_targets,
            metrics_token,
            challenge,
            flood: (
                number("FLOOD_GUARD_LIMIT", FLOOD_GUARD_LIMIT)?,
                number("FLOOD_GUARD_PERIOD_S", FLOOD_GUARD_PERIOD_S)?,
            ),
            origins: list("CORS_ORIGINS"),
            revoked_epochs: Option::<Vec<u8>>::ok_or_else(revoked, || {
                Fault::new("REVOKED_EPOCHS is not a list of 0 to 7")
            })?,
            keys: RefCell::new(Vec::new()),
        })
    }

    /// The epoch that mints: the earliest that this environment has and has not revoked.
    pub(crate) fn minting_epoch(&self) -> Option<u8> {
        self.roots.epochs().map(|(epoch, _)| epoch).find(|epoch| !self.is_revoked(*epoch))
    }

    /// Whether the deployment revoked an epoch.
    pub(crate) fn is_revoked(&self, epoch: u8) -> bool {
        self.revoked_epochs.contains(&epoch)
    }

    /// Whether a browser page of this origin may call. `http://127.0.0.1:*` allows any port.
    pub(crate) fn allows_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| match allowed.strip_suffix(":*") {
            Some(host) => origin
                .strip_prefix(host)
                .and_then(|rest| rest.strip_prefix(':'))
                .is_some_and(|port| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit())),
            None => allowed == origin,
        })
    }

    /// A campaign's keys; `None` when this environment has no such epoch or number.
    pub(crate) fn campaign_keys(
        &self,
        merchant: &MerchantId,
        profile: Profile,
        epoch: u8,
        campaign: u16,
    ) -> Option<Rc<CampaignKeys>> {
        let name = (merchant.clone(), profile, epoch, campaign);
        if let Some(known) = self.keys.borrow().iter().find(|(known, _)| *known == name) {
            return Some(known.1.clone());
        }
        let root = self.roots.epoch(epoch)?;
        let keys = Rc::new(CampaignKeys::derive(root, &self.environment, merchant, profile, epoch, campaign).ok()?);
        let mut kept = self.keys.borrow_mut();
        if kept.len() >= KEYS_KEPT {
            kept.remove(0);
        }
        kept.push((name, keys.clone()));
        Some(keys)
    }
}
