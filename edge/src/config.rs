//! What a deployment sets: secrets and variables, read once per isolate.

use crate::platform::Fault;
use counterfoil_core::code::Profile;
use counterfoil_core::hex;
use counterfoil_core::ids::IdKey;
use counterfoil_core::keys::{CampaignKeys, EPOCH_MAX, Environment, MerchantId, Root, Roots};
use counterfoil_core::token::TokenPolicy;
use std::cell::RefCell;
use std::rc::Rc;
use worker::Env;

/// Campaign keys kept in memory; deriving them costs a few HMACs.
const KEYS_KEPT: usize = 256;

/// Fewest characters of the token that reads metrics.
const METRICS_TOKEN_CHARS_MIN: usize = 32;

/// Settings of this deployment.
pub(crate) struct Config {
    pub(crate) environment: Environment,
    pub(crate) roots: Roots,
    pub(crate) id_key: IdKey,
    pub(crate) tokens: TokenPolicy,
    /// Webhooks may go to this machine and to private networks, and by http: local development and tests.
    pub(crate) allow_private_targets: bool,
    /// What reads `GET /metrics`; without it there is no such page.
    pub(crate) metrics_token: Option<String>,
    origins: Vec<String>,
    revoked_epochs: Vec<u8>,
    keys: RefCell<Vec<(KeyName, Rc<CampaignKeys>)>>,
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
        let secret = required("JWT_SECRET")?.into_bytes();
        if secret.len() < 32 {
            return Err(Fault::new("JWT_SECRET has fewer than 32 bytes"));
        }
        let metrics_token = optional("METRICS_TOKEN");
        if metrics_token.as_ref().is_some_and(|token| token.chars().count() < METRICS_TOKEN_CHARS_MIN) {
            return Err(Fault::new("METRICS_TOKEN has fewer than 32 characters"));
        }
        let revoked =
            list("REVOKED_EPOCHS").iter().map(|text| text.parse().ok().filter(|epoch| *epoch <= EPOCH_MAX)).collect();
        Ok(Self {
            environment,
            roots,
            id_key: id_key.ok_or_else(|| Fault::new("ID_KEY is not at least 32 bytes in hexadecimal"))?,
            tokens: TokenPolicy { secret, issuer: optional("JWT_ISSUER"), audience: optional("JWT_AUDIENCE") },
            allow_private_targets: optional("ALLOW_PRIVATE_TARGETS").is_some_and(|text| text == "1"),
            metrics_token,
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
