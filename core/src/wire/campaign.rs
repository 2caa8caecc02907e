//! Campaigns and batches as administrators see them, and the checks on what they send.

use super::body::InvalidRequest;
use super::campaign_limits::Limits;
use super::definition::{RewardDefinition, check_name, valid_currency};
use crate::alias::Alias;
use crate::breaker::BreakerResource;
use crate::code::Profile;
use crate::limits::{ALIASES_MAX, EXPECTED_RATE_MAX, LIST_ENTRIES_MAX, QUANTITY_MAX, SHARD_RATE};
use crate::time::{Date, Instant, Zone};
use crate::token::{Attributes, valid_attribute};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

impl Serialize for Profile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| serde::de::Error::custom("expected S16, S20 or S25"))
    }
}

/// Who may use a campaign's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum CampaignKind {
    /// Each code works `uses_per_code` times in all.
    Unique,
    /// One code for many members.
    Shared,
}

/// Where a campaign stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum CampaignStatus {
    /// Being prepared.
    Draft,
    /// Codes are redeemed.
    Active,
    /// Stopped for now.
    Paused,
    /// Over for ever.
    Ended,
}

impl CampaignStatus {
    /// snake_case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }

    /// The calls that an administrator may make from here, and where they lead.
    #[must_use]
    pub const fn legal_moves(self) -> &'static [(&'static str, Self)] {
        match self {
            Self::Draft | Self::Paused => &[("activate", Self::Active), ("end", Self::Ended)],
            Self::Active => &[("pause", Self::Paused), ("end", Self::Ended)],
            Self::Ended => &[],
        }
    }
}

/// How a redemption came: derived from the token, never claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Method {
    /// A `service` token.
    Api,
    /// A member's token.
    Frontend,
    /// A token sent by e-mail.
    Email,
}

/// For whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Eligibility {
    /// One of these roles, stored on the Member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::AttributesOne>"))]
    pub roles: Option<Vec<String>>,
    /// One of these tiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::AttributesOne>"))]
    pub tiers: Option<Vec<String>>,
    /// One of these personas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::AttributesOne>"))]
    pub personas: Option<Vec<String>>,
    /// At least one of these tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::AttributesOne>"))]
    pub tags_any: Option<Vec<String>>,
    /// None of these tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::AttributesOne>"))]
    pub tags_none: Option<Vec<String>>,
}

impl Eligibility {
    /// Complains about lists that are empty, too long, or hold what no attribute can be.
    pub(crate) fn check(&self, errors: &mut InvalidRequest) {
        let Self { roles, tiers, personas, tags_any, tags_none } = self;
        for (path, entries) in [
            ("eligibility.roles", roles),
            ("eligibility.tiers", tiers),
            ("eligibility.personas", personas),
            ("eligibility.tags_any", tags_any),
            ("eligibility.tags_none", tags_none),
        ] {
            check_list(errors, path, entries.as_deref(), valid_attribute, "1 to 64 characters");
        }
        let unwanted = tags_none.as_deref().unwrap_or_default();
        if let Some(both) = tags_any.iter().flatten().find(|tag| unwanted.contains(tag)) {
            errors.add("eligibility.tags_none", format!("{both} is in tags_any as well"));
        }
    }

    /// Which kinds of attribute do not fit, in the order role, tier, persona, tag.
    #[must_use]
    pub fn unmet(&self, attributes: &Attributes, member_roles: &[String]) -> Vec<String> {
        let Self { roles, tiers, personas, tags_any, tags_none } = self;
        let one_of = |wanted: &Option<Vec<String>>, found: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| found.as_ref().is_some_and(|found| wanted.contains(found)))
        };
        let tags: &[String] = attributes.tags.as_deref().unwrap_or_default();
        let any = |wanted: &Vec<String>, found: &[String]| found.iter().any(|entry| wanted.contains(entry));
        let fits = [
            ("role", roles.as_ref().is_none_or(|wanted| any(wanted, member_roles))),
            ("tier", one_of(tiers, &attributes.tier)),
            ("persona", one_of(personas, &attributes.persona)),
            (
                "tag",
                tags_any.as_ref().is_none_or(|wanted| any(wanted, tags))
                    && !tags_none.as_ref().is_some_and(|unwanted| any(unwanted, tags)),
            ),
        ];
        fits.into_iter().filter(|(_, fits)| !fits).map(|(name, _)| name.to_owned()).collect()
    }
}

/// Complains about a list of a request that is empty, too long, or has an entry that is not `valid`.
fn check_list(
    errors: &mut InvalidRequest,
    path: &str,
    entries: Option<&[String]>,
    valid: fn(&str) -> bool,
    what: &str,
) {
    let Some(entries) = entries else { return };
    if entries.is_empty() || entries.len() > LIST_ENTRIES_MAX {
        errors.add(path, format!("1 to {LIST_ENTRIES_MAX} entries; leave it out for no restriction"));
    } else if let Some(index) = entries.iter().position(|entry| !valid(entry)) {
        errors.add(&format!("{path}[{index}]"), what);
    }
}

/// Body of `POST /v1/campaigns`; with a merge patch applied, of PATCH too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NewCampaign {
    /// Number in range for the profile; assigned at random when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    pub campaign: Option<u16>,
    /// Shown to people.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Name"))]
    pub name: String,
    /// Layout of its codes.
    #[serde(default = "default_profile")]
    pub profile: Profile,
    /// Unique or shared codes.
    pub kind: CampaignKind,
    /// What is given.
    pub reward_id: String,
    /// Units of it.
    #[serde(default = "one")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::QUANTITY_MAX)))]
    pub quantity: u32,
    /// IANA zone of the local dates.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// First local day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_on: Option<Date>,
    /// First instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Instant>,
    /// Last local day, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_on: Option<Date>,
    /// First instant after the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Instant>,
    /// How often.
    #[serde(default)]
    pub limits: Limits,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligibility: Option<Eligibility>,
    /// Only with one of these currencies named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Currencies>"))]
    pub currencies: Option<Vec<String>>,
    /// Only by these ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
    pub methods: Option<Vec<Method>>,
    /// Codes of earlier epochs count as recalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(max = crate::keys::EPOCH_MAX)))]
    pub min_epoch: Option<u8>,
    /// Memorable words that stand for a shared campaign's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<crate::wire::schema::AliasText>>", length(min = 1, max = crate::limits::ALIASES_MAX)))]
    pub aliases: Option<Vec<String>>,
    /// Whether who enters an alias learns why it is refused; otherwise it is not recognised.
    #[serde(default = "yes")]
    pub alias_public: bool,
    /// Redemptions in a second that are expected at most: what one shard cannot take is spread over several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::EXPECTED_RATE_MAX)))]
    pub expected_rate: Option<u32>,
}

const fn yes() -> bool {
    true
}

const fn default_profile() -> Profile {
    Profile::S20
}

const fn one() -> u32 {
    1
}

fn utc() -> String {
    "UTC".to_owned()
}

impl NewCampaign {
    /// Checks every field and their combinations. `reward` is the named definition, where it exists; `zone` the named
    /// time zone, where the platform knows it.
    ///
    /// # Errors
    /// Every complaint at once.
    pub fn validate(&self, reward: Option<&RewardDefinition>, zone: Option<&impl Zone>) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        check_name(&mut errors, &self.name);
        let max = self.profile.campaign_max();
        if self.campaign.is_some_and(|campaign| campaign == 0 || campaign > max) {
            errors.add("campaign", format!("1 to {max} for {}", self.profile.name()));
        }
        match reward {
            None => errors.add("reward_id", "no such reward definition"),
            Some(reward)
                if self.profile == Profile::S16 && (reward.kind.needs_long_tag() || reward.pool_id.is_some()) =>
            {
                errors.add(
                    "profile",
                    "S16 has a 28-bit tag, below NIST's 32-bit floor: not for credit, points, external, bonus or promo codes; use S20 or S25",
                );
            }
            Some(_) => {}
        }
        if !(1..=QUANTITY_MAX).contains(&self.quantity) {
            errors.add("quantity", format!("1 to {QUANTITY_MAX}"));
        }
        if zone.is_none() {
            errors.add("time_zone", "not an IANA time zone such as Europe/Berlin");
        }
        if self.starts_on.is_some() && self.starts_at.is_some() {
            errors.add("starts_at", "give starts_on or starts_at, not both");
        }
        if self.ends_on.is_some() && self.ends_at.is_some() {
            errors.add("ends_at", "give ends_on or ends_at, not both");
        }
        if let Some(zone) = zone {
            let (starts, ends) = self.instants(zone);
            if let (Some(starts), Some(ends)) = (starts, ends)
                && starts >= ends
            {
                errors.add(if self.ends_on.is_some() { "ends_on" } else { "ends_at" }, "must be after the start");
            }
        }
        self.limits.check(&mut errors, reward);
        self.validate_lists(&mut errors);
        self.validate_aliases(&mut errors);
        self.validate_rate(&mut errors);
        if self.min_epoch.is_some_and(|epoch| epoch > crate::keys::EPOCH_MAX) {
            errors.add("min_epoch", "0 to 7");
        }
        errors.into_result()
    }

    fn validate_aliases(&self, errors: &mut InvalidRequest) {
        let Some(aliases) = &self.aliases else { return };
        if self.kind != CampaignKind::Shared {
            errors.add("aliases", "only a shared campaign's code can have aliases");
        }
        if !(1..=ALIASES_MAX).contains(&aliases.len()) {
            errors.add("aliases", format!("1 to {ALIASES_MAX} words; leave it out for none"));
            return;
        }
        let read: Vec<Option<Alias>> = aliases.iter().map(|text| Alias::read(text)).collect();
        for (index, alias) in read.iter().enumerate() {
            let path = format!("aliases[{index}]");
            match alias {
                None => errors.add(&path, "3 to 14 letters and digits"),
                Some(_) if read.iter().take(index).any(|earlier| earlier == alias) => {
                    errors.add(&path, "reads like an earlier one");
                }
                Some(_) => {}
            }
        }
    }

    fn validate_rate(&self, errors: &mut InvalidRequest) {
        let Some(rate) = self.expected_rate else { return };
        if !(1..=EXPECTED_RATE_MAX).contains(&rate) {
            errors.add("expected_rate", format!("1 to {EXPECTED_RATE_MAX} redemptions in a second"));
        } else if self.shards() > 1 && self.kind == CampaignKind::Shared && self.limits.uses_per_code.is_some() {
            // The shards of a shared campaign are its members', so none of them could hold this limit.
            errors.add("limits.uses_per_code", "not with an expected_rate that takes several shards; use limits.total");
        }
    }

    /// How many shards keep its uses.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.expected_rate.map_or(1, |rate| rate.div_ceil(SHARD_RATE).max(1))
    }

    /// Its aliases as they are read.
    #[must_use]
    pub fn aliases_read(&self) -> Vec<Alias> {
        self.aliases.iter().flatten().filter_map(|text| Alias::read(text)).collect()
    }

    fn validate_lists(&self, errors: &mut InvalidRequest) {
        if let Some(eligibility) = &self.eligibility {
            eligibility.check(errors);
        }
        let three = "three capital letters (ISO 4217)";
        check_list(errors, "currencies", self.currencies.as_deref(), valid_currency, three);
        if self.methods.as_ref().is_some_and(Vec::is_empty) {
            errors.add("methods", "at least one of api, frontend, email; leave it out for no restriction");
        }
    }

    /// First instant and first instant after the end, local days resolved in the zone.
    #[must_use]
    pub fn instants(&self, zone: &impl Zone) -> (Option<Instant>, Option<Instant>) {
        let starts = self.starts_at.or_else(|| self.starts_on.map(|day| day.start_in(zone)));
        let ends = self.ends_at.or_else(|| self.ends_on.map(|day| day.next().start_in(zone)));
        (starts, ends)
    }
}

/// A campaign as read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CampaignResource {
    /// Its definition; `campaign` is always there.
    #[serde(flatten)]
    pub definition: NewCampaign,
    /// Where it stands.
    pub status: CampaignStatus,
    /// Raised by every change.
    pub version: u32,
    /// Whether every shard works by this version.
    pub in_force: bool,
    /// Codes minted.
    pub issued: u64,
    /// Uses consumed.
    pub redeemed: u64,
    /// Redemptions that were refused, by the code of their refusal; lags by seconds.
    pub refused: BTreeMap<String, u64>,
    /// Wrong tags that named this campaign, in all; lags by seconds.
    pub failed_tags: u64,
    /// How far guessing has gone.
    pub breaker: BreakerResource,
}

/// Format of a streamed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum BatchFormat {
    /// `seq,code` with a header line.
    #[default]
    Csv,
    /// One `{seq, code}` per line.
    Jsonl,
}

/// Body of `POST /v1/campaigns/{id}/batches`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NewBatch {
    /// Codes wanted, from 1.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    pub count: u32,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub label: Option<String>,
    /// Of the stream.
    #[serde(default)]
    pub format: BatchFormat,
    /// Reserve only; the companion CLI mints.
    #[serde(default)]
    pub offline: bool,
    /// Last local day in the campaign's zone, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<Date>,
    /// First instant after the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// Order, mailing: whatever it is found by later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub reference: Option<String>,
}

impl NewBatch {
    /// Checks every field.
    ///
    /// # Errors
    /// Every complaint at once.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if self.count == 0 {
            errors.add("count", "at least 1");
        }
        if self.expires_on.is_some() && self.expires_at.is_some() {
            errors.add("expires_at", "give expires_on or expires_at, not both");
        }
        for (path, text) in [("label", &self.label), ("reference", &self.reference)] {
            if text.as_ref().is_some_and(|text| !crate::token::valid_sub(text)) {
                errors.add(path, "1 to 255 characters, not blank, no control characters");
            }
        }
        errors.into_result()
    }
}

/// A range of seqs minted together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BatchResource {
    /// Opaque.
    pub batch_id: String,
    /// For people.
    pub label: String,
    /// First seq.
    pub from_seq: u32,
    /// First seq after it; the range holds spare seqs for those that are skipped.
    pub to_seq: u32,
    /// Codes in it.
    pub count: u32,
    /// Key epoch.
    pub epoch: u8,
    /// First instant after its own end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// Whatever it is found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When.
    pub created_at: Instant,
    /// Actor.
    pub by: String,
    /// Whether all of it was recalled.
    pub recalled: bool,
    /// Codes that were streamed so far; absent for one that is minted elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<u32>,
}
