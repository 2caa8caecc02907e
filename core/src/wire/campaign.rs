//! Campaigns and batches as administrators see them, and the checks on what they send.

use super::body::InvalidRequest;
use super::definition::{RewardType, check_name, valid_currency};
use crate::code::Profile;
use crate::limits::{INTEGER_MAX, LIST_ENTRIES_MAX, QUANTITY_MAX, USES_PER_CODE_MAX};
use crate::time::{Date, Instant, Zone};
use crate::token::{Attributes, valid_attribute};
use serde::{Deserialize, Serialize};

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
pub enum Method {
    /// A `service` token.
    Api,
    /// A member's token.
    Frontend,
    /// A token sent by e-mail.
    Email,
}

/// How often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
pub struct Limits {
    /// Uses of each code; default 1 for unique, no limit of its own for shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub uses_per_code: Option<u64>,
    /// Redemptions of the whole campaign by one member; default 1 for shared, no limit for unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub per_member: Option<u64>,
    /// Redemptions in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub total: Option<u64>,
}

/// For whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
pub struct Eligibility {
    /// One of these roles, stored on the Member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// One of these tiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<String>>,
    /// One of these personas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personas: Option<Vec<String>>,
    /// At least one of these tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags_any: Option<Vec<String>>,
    /// None of these tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
pub struct NewCampaign {
    /// Number in range for the profile; assigned at random when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<u16>,
    /// Shown to people.
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
    pub currencies: Option<Vec<String>>,
    /// Only by these ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<Method>>,
    /// Codes of earlier epochs count as recalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_epoch: Option<u8>,
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
    /// Checks every field and their combinations. `reward` is the type of the named definition, where it
    /// exists; `zone` the named time zone, where the platform knows it.
    ///
    /// # Errors
    /// Every complaint at once.
    pub fn validate(&self, reward: Option<RewardType>, zone: Option<&impl Zone>) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        check_name(&mut errors, &self.name);
        let max = self.profile.campaign_max();
        if self.campaign.is_some_and(|campaign| campaign == 0 || campaign > max) {
            errors.add("campaign", format!("1 to {max} for {}", self.profile.name()));
        }
        match reward {
            None => errors.add("reward_id", "no such reward definition"),
            Some(kind) if kind.needs_long_tag() && self.profile == Profile::S16 => errors.add(
                "profile",
                "S16 has a 28-bit tag, below NIST's 32-bit floor: not for credit, points, external or bonus; use S20 or S25",
            ),
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
        self.validate_limits(&mut errors);
        self.validate_lists(&mut errors);
        if self.min_epoch.is_some_and(|epoch| epoch > crate::keys::EPOCH_MAX) {
            errors.add("min_epoch", "0 to 7");
        }
        errors.into_result()
    }

    fn validate_limits(&self, errors: &mut InvalidRequest) {
        let Limits { uses_per_code, per_member, total } = self.limits;
        if uses_per_code.is_some_and(|uses| !(1..=USES_PER_CODE_MAX).contains(&uses)) {
            errors.add("limits.uses_per_code", format!("1 to {USES_PER_CODE_MAX}"));
        }
        for (path, limit) in [("limits.per_member", per_member), ("limits.total", total)] {
            if limit.is_some_and(|limit| !(1..=INTEGER_MAX).contains(&limit)) {
                errors.add(path, format!("1 to {INTEGER_MAX}"));
            }
        }
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
}

/// Format of a streamed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
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
pub struct NewBatch {
    /// Codes wanted, from 1.
    pub count: u32,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// Whether it was recalled.
    pub recalled: bool,
}
