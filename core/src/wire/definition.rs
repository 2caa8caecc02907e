//! Reward definitions: what is given, by which flags, and who applies it.

use super::body::{InvalidRequest, object};
use super::campaign::Eligibility;
use crate::limits::{
    ATTEMPTS_MAX_MOST, INTEGER_MAX, LIFETIME_MAX_S, LIST_ENTRIES_MAX, NAME_CHARS_MAX, PROMO_CODE_CHARS_MAX,
};
use serde::{Deserialize, Serialize};

/// What kind of thing is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum RewardType {
    /// Experience.
    Xp,
    /// Tokens.
    Tokens,
    /// Loyalty points.
    Points,
    /// Prepaid money in a currency.
    Credit,
    /// A feature unlocked by key.
    Feature,
    /// Off an order's total, at checkout.
    Discount,
    /// Given by a bonus service.
    Bonus,
    /// Something elsewhere, named by reference.
    External,
    /// Multiplies what missions give, by the mission service.
    MissionBooster,
    /// Multiplies later tokens and points.
    TokenBooster,
    /// Multiplies later experience.
    LevelBooster,
    /// Played before it ends.
    MiniGame,
    /// Given and activated by an administrator.
    Manual,
}

impl RewardType {
    /// Every type.
    pub const ALL: [Self; 13] = [
        Self::Xp,
        Self::Tokens,
        Self::Points,
        Self::Credit,
        Self::Feature,
        Self::Discount,
        Self::Bonus,
        Self::External,
        Self::MissionBooster,
        Self::TokenBooster,
        Self::LevelBooster,
        Self::MiniGame,
        Self::Manual,
    ];

    /// snake_case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xp => "xp",
            Self::Tokens => "tokens",
            Self::Points => "points",
            Self::Credit => "credit",
            Self::Feature => "feature",
            Self::Discount => "discount",
            Self::Bonus => "bonus",
            Self::External => "external",
            Self::MissionBooster => "mission_booster",
            Self::TokenBooster => "token_booster",
            Self::LevelBooster => "level_booster",
            Self::MiniGame => "mini_game",
            Self::Manual => "manual",
        }
    }

    /// Multiplies for a time.
    #[must_use]
    pub const fn is_booster(self) -> bool {
        matches!(self, Self::MissionBooster | Self::TokenBooster | Self::LevelBooster)
    }

    /// Each unit is a reward of its own, because each runs or is played by itself.
    #[must_use]
    pub const fn is_counted_singly(self) -> bool {
        self.is_booster() || matches!(self, Self::MiniGame)
    }

    /// Only a service outside can give it.
    #[must_use]
    pub const fn needs_webhook(self) -> bool {
        matches!(self, Self::Bonus | Self::MiniGame | Self::MissionBooster)
    }

    /// `player_should_claim` and `automatic_activation` where a definition does not say.
    #[must_use]
    pub const fn default_flags(self) -> (bool, bool) {
        match self {
            Self::Xp | Self::Tokens | Self::Points | Self::Credit | Self::Feature | Self::Bonus | Self::External => {
                (false, true)
            }
            Self::MissionBooster | Self::TokenBooster | Self::LevelBooster | Self::MiniGame => (true, false),
            Self::Manual | Self::Discount => (false, false),
        }
    }

    /// Whether a reward of this type may end by the clock after it was granted.
    const fn may_run(self) -> bool {
        !matches!(self, Self::Xp | Self::Tokens | Self::Points | Self::Credit | Self::Discount | Self::MiniGame)
    }

    /// Too valuable for codes with a short tag (code-format.md, "Minting").
    #[must_use]
    pub const fn needs_long_tag(self) -> bool {
        matches!(self, Self::Credit | Self::Points | Self::External | Self::Bonus)
    }
}

/// Value by type: credit `{currency, amount_minor}`; points, xp, tokens `{amount}`; feature `{key}`; discount
/// `{percent}` or `{currency, amount_minor}`; boosters `{multiplier_permille}`; mini_game, bonus, external,
/// manual `{reference?}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum RewardValue {
    /// Minor units of a currency (ISO 4217).
    #[serde(rename_all = "snake_case")]
    Credit {
        /// Three capital letters.
        #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Currency"))]
        currency: String,
        /// Minor units, from 1.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
        #[cfg_attr(feature = "typescript", ts(type = "number"))]
        amount_minor: u64,
    },
    /// A feature.
    Feature {
        /// Its key.
        #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Attribute"))]
        key: String,
    },
    /// Points, experience or tokens.
    Amount {
        /// From 1.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
        #[cfg_attr(feature = "typescript", ts(type = "number"))]
        amount: u64,
    },
    /// A share of an order's total.
    Percent {
        /// 1 to 100.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = 100)))]
        percent: u8,
    },
    /// What a booster multiplies by.
    Booster {
        /// 1001 to 100000 thousandths.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1_001, max = 100_000)))]
        multiplier_permille: u32,
    },
    /// Something that is known elsewhere.
    Reference {
        /// Its name there.
        #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "typescript", ts(optional))]
        reference: Option<String>,
    },
}

/// Who applies a reward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Mechanic {
    /// The built-in wallet, in the deciding commit.
    Wallet {},
    /// An external fulfiller, reached by signed webhook.
    Webhook {
        /// Of `POST /v1/webhooks`.
        endpoint_id: String,
    },
}

impl Mechanic {
    /// The endpoint of an external fulfiller.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        match self {
            Self::Wallet {} => None,
            Self::Webhook { endpoint_id } => Some(endpoint_id),
        }
    }
}

/// Body of `POST /v1/reward-definitions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NewRewardDefinition {
    /// `[a-z0-9][a-z0-9_-]{0,63}`; assigned when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Slug>"))]
    pub reward_id: Option<String>,
    /// Shown to people.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Name"))]
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: RewardType,
    /// Value by type.
    #[serde(deserialize_with = "object")]
    pub value: RewardValue,
    /// Whether it rests until the player claims it; by type where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub player_should_claim: Option<bool>,
    /// Whether it is applied without the player's activation; by type where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic_activation: Option<bool>,
    /// How long it may rest unclaimed or not activated; for a mini-game also unplayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::LIFETIME_MAX_S)))]
    pub valid_for_s: Option<u32>,
    /// How long it runs once granted; required for boosters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::LIFETIME_MAX_S)))]
    pub duration_s: Option<u32>,
    /// Most tries to apply it.
    #[serde(default = "attempts_max")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::ATTEMPTS_MAX_MOST)))]
    pub attempts_max: u32,
    /// Longest wait for a fulfiller's late answer.
    #[serde(default = "fulfilment_timeout_s")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::LIFETIME_MAX_S)))]
    pub fulfilment_timeout_s: u32,
    /// Who applies it.
    #[serde(default = "wallet", deserialize_with = "object")]
    pub mechanic: Mechanic,
    /// Points for one unit; without it and `prices`, points do not buy it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points_cost: Option<u64>,
    /// Points for one unit for members with these attributes: most fields win, on a tie the lowest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = crate::limits::LIST_ENTRIES_MAX)))]
    pub prices: Option<Vec<Price>>,
    /// Each unit comes with a promo code of this pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Slug>"))]
    pub pool_id: Option<String>,
    /// Every unit comes with this same promo code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::PromoCode>"))]
    pub promo_code: Option<String>,
    /// Who may buy it with points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligibility: Option<Eligibility>,
}

/// What a unit costs members with these attributes; every attribute that is named must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Price {
    /// The member's tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attribute>"))]
    pub tier: Option<String>,
    /// The member's persona.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attribute>"))]
    pub persona: Option<String>,
    /// One of the member's tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attribute>"))]
    pub tag: Option<String>,
    /// Points for one unit.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points_cost: u64,
}

const fn attempts_max() -> u32 {
    10
}

const fn fulfilment_timeout_s() -> u32 {
    86_400
}

const fn wallet() -> Mechanic {
    Mechanic::Wallet {}
}

/// What is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
    /// How long it may rest unclaimed or not activated; for a mini-game also unplayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for_s: Option<u32>,
    /// How long it runs once granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<u32>,
    /// Most tries to apply it.
    pub attempts_max: u32,
    /// Longest wait for a fulfiller's late answer.
    pub fulfilment_timeout_s: u32,
    /// Who applies it.
    pub mechanic: Mechanic,
    /// Points for one unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points_cost: Option<u64>,
    /// Points for one unit for members with these attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Vec<Price>>,
    /// Each unit comes with a promo code of this pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_id: Option<String>,
    /// Every unit comes with this same promo code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promo_code: Option<String>,
    /// Who may buy it with points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligibility: Option<Eligibility>,
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

fn check_value(errors: &mut InvalidRequest, kind: RewardType, value: &RewardValue) {
    use RewardType as T;
    use RewardValue as V;
    match (kind, value) {
        (T::Credit | T::Discount, V::Credit { currency, amount_minor }) => {
            if !valid_currency(currency) {
                errors.add("value.currency", "three capital letters (ISO 4217)");
            }
            if !(1..=INTEGER_MAX).contains(amount_minor) {
                errors.add("value.amount_minor", format!("1 to {INTEGER_MAX}"));
            }
        }
        (T::Discount, V::Percent { percent }) => {
            if !(1..=100).contains(percent) {
                errors.add("value.percent", "1 to 100");
            }
        }
        (T::Feature, V::Feature { key }) => {
            if !crate::token::valid_attribute(key) {
                errors.add("value.key", "1 to 64 characters");
            }
        }
        (T::Xp | T::Tokens | T::Points, V::Amount { amount }) => {
            if !(1..=INTEGER_MAX).contains(amount) {
                errors.add("value.amount", format!("1 to {INTEGER_MAX}"));
            }
        }
        (T::MissionBooster | T::TokenBooster | T::LevelBooster, V::Booster { multiplier_permille }) => {
            if !(1_001..=100_000).contains(multiplier_permille) {
                errors.add("value.multiplier_permille", "1001 to 100000");
            }
        }
        (T::MiniGame | T::Bonus | T::External | T::Manual, V::Reference { reference }) => {
            if reference.as_ref().is_some_and(|text| !crate::token::valid_sub(text)) {
                errors.add("value.reference", "1 to 255 characters, not blank, no control characters");
            }
        }
        (T::Credit, _) => errors.add("value", "credit needs {currency, amount_minor}"),
        (T::Discount, _) => errors.add("value", "a discount needs {percent} or {currency, amount_minor}"),
        (T::Feature, _) => errors.add("value", "a feature needs {key}"),
        (T::Xp | T::Tokens | T::Points, _) => errors.add("value", format!("{} need {{amount}}", kind.name())),
        (T::MissionBooster | T::TokenBooster | T::LevelBooster, _) => {
            errors.add("value", "a booster needs {multiplier_permille}");
        }
        (T::MiniGame | T::Bonus | T::External | T::Manual, _) => {
            errors.add("value", format!("{} takes {{reference?}}", kind.name()));
        }
    }
}

impl NewRewardDefinition {
    /// The definition, version 1. `fallback_id` is used where none was given.
    ///
    /// # Errors
    /// Every field that is out of range or contradicts another.
    pub fn define(self, fallback_id: &str) -> Result<RewardDefinition, InvalidRequest> {
        let mut errors = InvalidRequest::default();
        self.check_sale(&mut errors);
        let reward_id = self.reward_id.unwrap_or_else(|| fallback_id.to_owned());
        if !valid_slug(&reward_id) {
            errors.add("reward_id", "1 to 64 characters of a-z, 0-9, - and _, the first a letter or digit");
        }
        check_name(&mut errors, &self.name);
        let kind = self.kind;
        check_value(&mut errors, kind, &self.value);
        let (claim, automatic) = kind.default_flags();
        let player_should_claim = self.player_should_claim.unwrap_or(claim);
        let automatic_activation = self.automatic_activation.unwrap_or(automatic);
        if kind == RewardType::Discount && automatic_activation {
            errors.add("automatic_activation", "must be false: a discount is used at a checkout");
        }
        if kind == RewardType::Manual && automatic_activation {
            errors.add("automatic_activation", "must be false: what is given by hand is activated by hand");
        }
        let span = 1..=LIFETIME_MAX_S;
        if self.valid_for_s.is_some_and(|seconds| !span.contains(&seconds)) {
            errors.add("valid_for_s", format!("1 to {LIFETIME_MAX_S}"));
        }
        match self.duration_s {
            None if kind.is_booster() => errors.add("duration_s", "is required for boosters"),
            Some(_) if !kind.may_run() => errors.add("duration_s", format!("{} has no duration", kind.name())),
            Some(seconds) if !span.contains(&seconds) => errors.add("duration_s", format!("1 to {LIFETIME_MAX_S}")),
            None | Some(_) => {}
        }
        if !(1..=ATTEMPTS_MAX_MOST).contains(&self.attempts_max) {
            errors.add("attempts_max", format!("1 to {ATTEMPTS_MAX_MOST}"));
        }
        if !span.contains(&self.fulfilment_timeout_s) {
            errors.add("fulfilment_timeout_s", format!("1 to {LIFETIME_MAX_S}"));
        }
        match &self.mechanic {
            Mechanic::Wallet {} if kind.needs_webhook() => {
                errors.add("mechanic", format!("{} needs {{kind: \"webhook\", endpoint_id}}", kind.name()));
            }
            Mechanic::Webhook { .. } if kind == RewardType::Discount => {
                errors.add("mechanic", "a discount is applied at a checkout, not by a webhook");
            }
            Mechanic::Webhook { endpoint_id } if !valid_slug(endpoint_id) => {
                errors.add("mechanic.endpoint_id", "no such endpoint");
            }
            Mechanic::Wallet {} | Mechanic::Webhook { .. } => {}
        }
        errors.into_result()?;
        Ok(RewardDefinition {
            reward_id,
            name: self.name,
            kind,
            value: self.value,
            player_should_claim,
            automatic_activation,
            valid_for_s: self.valid_for_s,
            duration_s: self.duration_s,
            attempts_max: self.attempts_max,
            fulfilment_timeout_s: self.fulfilment_timeout_s,
            mechanic: self.mechanic,
            points_cost: self.points_cost,
            prices: self.prices,
            pool_id: self.pool_id,
            promo_code: self.promo_code,
            eligibility: self.eligibility,
            version: 1,
        })
    }

    /// What points buy, for whom, and the promo codes that come with it.
    fn check_sale(&self, errors: &mut InvalidRequest) {
        if self.points_cost.is_some_and(|points| points > INTEGER_MAX) {
            errors.add("points_cost", format!("0 to {INTEGER_MAX}"));
        }
        if let Some(prices) = &self.prices {
            if !(1..=LIST_ENTRIES_MAX).contains(&prices.len()) {
                errors.add("prices", format!("1 to {LIST_ENTRIES_MAX} prices"));
            }
            for (index, price) in prices.iter().enumerate() {
                let Price { tier, persona, tag, points_cost } = price;
                if *points_cost > INTEGER_MAX {
                    errors.add(&format!("prices[{index}].points_cost"), format!("0 to {INTEGER_MAX}"));
                }
                if tier.is_none() && persona.is_none() && tag.is_none() {
                    errors.add(&format!("prices[{index}]"), "names at least one of tier, persona and tag");
                }
                for (name, attribute) in [("tier", tier), ("persona", persona), ("tag", tag)] {
                    if attribute.as_ref().is_some_and(|text| !crate::token::valid_attribute(text)) {
                        errors.add(&format!("prices[{index}].{name}"), "1 to 64 characters");
                    }
                }
            }
        }
        match (&self.pool_id, &self.promo_code) {
            (Some(_), Some(_)) => errors.add("promo_code", "not together with pool_id"),
            (Some(pool_id), None) if !valid_slug(pool_id) => errors.add("pool_id", "no such pool"),
            (None, Some(promo_code)) if !valid_promo_code(promo_code) => {
                errors.add("promo_code", format!("1 to {PROMO_CODE_CHARS_MAX} characters without controls, not blank"));
            }
            (_, _) => {}
        }
        if let Some(eligibility) = &self.eligibility {
            eligibility.check(errors);
        }
    }
}

/// Whether a text can be a promo code: as it is shown and compared, without white space around it.
#[must_use]
pub fn valid_promo_code(text: &str) -> bool {
    let long = text.chars().count();
    (1..=PROMO_CODE_CHARS_MAX).contains(&long) && text.trim() == text && !text.chars().any(char::is_control)
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
            player_should_claim: Some(self.player_should_claim),
            automatic_activation: Some(self.automatic_activation),
            valid_for_s: self.valid_for_s,
            duration_s: self.duration_s,
            attempts_max: self.attempts_max,
            fulfilment_timeout_s: self.fulfilment_timeout_s,
            mechanic: self.mechanic.clone(),
            points_cost: self.points_cost,
            prices: self.prices.clone(),
            pool_id: self.pool_id.clone(),
            promo_code: self.promo_code.clone(),
            eligibility: self.eligibility.clone(),
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
