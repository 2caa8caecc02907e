//! Reward definitions, rewards, wallets and ledger rows.

use super::body::{InvalidRequest, object};
use crate::limits::{INTEGER_MAX, NAME_CHARS_MAX};
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// What kind of thing is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum RewardType {
    /// Prepaid money in a currency.
    Credit,
    /// A feature unlocked by key.
    Feature,
    /// Loyalty points.
    Points,
}

/// Value by type: credit `{currency, amount_minor}`, feature `{key}`, points `{amount}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum RewardValue {
    /// Minor units of a currency (ISO 4217).
    #[serde(rename_all = "snake_case")]
    Credit {
        /// Three capital letters.
        currency: String,
        /// Minor units, from 1.
        #[cfg_attr(feature = "typescript", ts(type = "number"))]
        amount_minor: u64,
    },
    /// A feature.
    Feature {
        /// Its key.
        key: String,
    },
    /// Points.
    Points {
        /// From 1.
        #[cfg_attr(feature = "typescript", ts(type = "number"))]
        amount: u64,
    },
}

/// Who applies a reward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Mechanic {
    /// The built-in wallet, in the deciding commit.
    Wallet {},
}

/// Body of `POST /v1/reward-definitions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRewardDefinition {
    /// `[a-z0-9][a-z0-9_-]{0,63}`; assigned when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_id: Option<String>,
    /// Shown to people.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: RewardType,
    /// Value by type.
    #[serde(deserialize_with = "object")]
    pub value: RewardValue,
    /// Must be false: these types are applied at once.
    #[serde(default)]
    pub player_should_claim: bool,
    /// Must be true: these types are applied at once.
    #[serde(default = "yes")]
    pub automatic_activation: bool,
    /// The wallet.
    #[serde(default = "wallet", deserialize_with = "object")]
    pub mechanic: Mechanic,
}

const fn yes() -> bool {
    true
}

const fn wallet() -> Mechanic {
    Mechanic::Wallet {}
}

/// What is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct RewardDefinition {
    /// Unique in the merchant.
    pub reward_id: String,
    /// Shown to people.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: RewardType,
    /// Value by type.
    pub value: RewardValue,
    /// Whether it rests until the player claims it.
    pub player_should_claim: bool,
    /// Whether it is applied without the player's activation.
    pub automatic_activation: bool,
    /// Most tries to apply it.
    pub attempts_max: u32,
    /// Longest wait for a mechanic's late answer.
    pub fulfilment_timeout_s: u32,
    /// Who applies it.
    pub mechanic: Mechanic,
    /// From 1.
    pub version: u32,
}

/// Whether a text can be an id given by an administrator.
#[must_use]
pub(crate) fn valid_slug(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first && text.len() <= 64 && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// A name shown to people: 1 to 200 characters, not blank, no control characters.
pub(crate) fn check_name(errors: &mut InvalidRequest, name: &str) {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        errors.add("name", format!("1 to {NAME_CHARS_MAX} characters, not blank, no control characters"));
    }
}

/// Whether a text is an ISO 4217 code in form.
pub(crate) fn valid_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}

impl NewRewardDefinition {
    /// The definition, version 1. `fallback_id` is used where none was given.
    ///
    /// # Errors
    /// Every field that is out of range or contradicts another.
    pub fn define(self, fallback_id: &str) -> Result<RewardDefinition, InvalidRequest> {
        let mut errors = InvalidRequest::default();
        let reward_id = self.reward_id.unwrap_or_else(|| fallback_id.to_owned());
        if !valid_slug(&reward_id) {
            errors.add("reward_id", "1 to 64 characters of a-z, 0-9, - and _, the first a letter or digit");
        }
        check_name(&mut errors, &self.name);
        match (self.kind, &self.value) {
            (RewardType::Credit, RewardValue::Credit { currency, amount_minor }) => {
                if !valid_currency(currency) {
                    errors.add("value.currency", "three capital letters (ISO 4217)");
                }
                if !(1..=INTEGER_MAX).contains(amount_minor) {
                    errors.add("value.amount_minor", format!("1 to {INTEGER_MAX}"));
                }
            }
            (RewardType::Feature, RewardValue::Feature { key }) => {
                if !crate::token::valid_attribute(key) {
                    errors.add("value.key", "1 to 64 characters");
                }
            }
            (RewardType::Points, RewardValue::Points { amount }) => {
                if !(1..=INTEGER_MAX).contains(amount) {
                    errors.add("value.amount", format!("1 to {INTEGER_MAX}"));
                }
            }
            (RewardType::Credit, _) => errors.add("value", "credit needs {currency, amount_minor}"),
            (RewardType::Feature, _) => errors.add("value", "feature needs {key}"),
            (RewardType::Points, _) => errors.add("value", "points need {amount}"),
        }
        if self.player_should_claim {
            errors.add("player_should_claim", "must be false: credit, feature and points are applied at once");
        }
        if !self.automatic_activation {
            errors.add("automatic_activation", "must be true: credit, feature and points are applied at once");
        }
        errors.into_result()?;
        Ok(RewardDefinition {
            reward_id,
            name: self.name,
            kind: self.kind,
            value: self.value,
            player_should_claim: false,
            automatic_activation: true,
            attempts_max: 10,
            fulfilment_timeout_s: 86_400,
            mechanic: self.mechanic,
            version: 1,
        })
    }
}

impl RewardDefinition {
    /// What an administrator may change, as a body again.
    #[must_use]
    pub fn editable(&self) -> NewRewardDefinition {
        NewRewardDefinition {
            reward_id: Some(self.reward_id.clone()),
            name: self.name.clone(),
            kind: self.kind,
            value: self.value.clone(),
            player_should_claim: self.player_should_claim,
            automatic_activation: self.automatic_activation,
            mechanic: self.mechanic.clone(),
        }
    }

    /// This definition with another body, one version on. Its id and type never change: campaigns were checked
    /// against them.
    ///
    /// # Errors
    /// Every field that is out of range or fixed.
    pub fn revise(&self, body: NewRewardDefinition) -> Result<Self, InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if body.reward_id.as_ref() != Some(&self.reward_id) {
            errors.add("reward_id", "never changes");
        }
        if body.kind != self.kind {
            errors.add("type", "never changes; make another definition");
        }
        errors.into_result()?;
        let revised = body.define(&self.reward_id)?;
        Ok(Self { version: self.version + 1, ..revised })
    }
}

/// Where a reward stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum RewardState {
    /// Made, not applied.
    PendingActivation,
    /// Being applied.
    InProgress,
    /// Applied.
    Granted,
}

/// One move of a reward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
pub struct RewardMove {
    /// Absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RewardState>,
    /// Where to.
    pub to: RewardState,
    /// When.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub at: Instant,
    /// Who.
    pub actor: String,
}

/// One given thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Reward {
    /// Opaque.
    pub id: String,
    /// Definition.
    pub reward_id: String,
    /// Shown to people.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: RewardType,
    /// Value by type.
    pub value: RewardValue,
    /// Units.
    pub quantity: u32,
    /// Where it stands.
    pub state: RewardState,
    /// The redemption that made it.
    pub redemption_id: String,
    /// Tries so far to apply it.
    pub attempts: u32,
    /// Most tries.
    pub attempts_max: u32,
    /// Its life so far.
    pub moves: Vec<RewardMove>,
}

/// Credit in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "Money"))]
pub struct Credit {
    /// ISO 4217.
    pub currency: String,
    /// Minor units.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub amount_minor: u64,
}

/// Running boosters: none of the present reward types runs.
pub type Boosters = [(); 0];

/// What a member has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Wallet {
    /// Points.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points: u64,
    /// Experience.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub xp: u64,
    /// Tokens.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub tokens: u64,
    /// One entry per currency.
    pub credit: Vec<Credit>,
    /// Keys of unlocked features, ascending.
    pub features: Vec<String>,
    /// Running boosters.
    #[cfg_attr(feature = "typescript", ts(type = "unknown[]"))]
    pub boosters: Boosters,
}

/// An append-only ledger row; a balance is their sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
pub struct LedgerRow {
    /// Opaque.
    pub ledger_id: String,
    /// Short and readable, for receipts.
    pub number: String,
    /// When.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub at: Instant,
    /// `points`, `credit` or `feature`.
    pub asset: String,
    /// Of credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Key of a feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// Change, in minor units for credit.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub amount: u64,
    /// Balance after it.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub balance_after: u64,
    /// Why it was written: `redemption`.
    pub kind: String,
    /// The redemption that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redemption_id: Option<String>,
    /// Units.
    pub quantity: u32,
    /// Actor.
    pub by: String,
}
