//! The rules of a redemption: one flat run of checks in order of precedence, each with a named answer.
//!
//! Whoever needs only the first refusal takes the first; a preview lists them all. Facts are frozen in the
//! intent, so that every retry decides by the same ones.

use crate::checkout::Worth;
use crate::code::Profile;
use crate::ids::Rid;
use crate::protocol::Checkout;
use crate::refusal::Refusal;
use crate::time::Instant;
use crate::token::Attributes;
use crate::wire::{CampaignKind, CampaignStatus, Eligibility, Method, RewardDefinition};
use serde::{Deserialize, Serialize};

/// A batch as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedRange {
    /// First seq.
    pub from: u32,
    /// First seq after it.
    pub to: u32,
    /// Key epoch it was minted in.
    pub epoch: u8,
    /// First instant after its own end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// Withdrawn.
    #[serde(default)]
    pub recalled: bool,
}

/// A campaign's rules in one version, as copied to its shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Raised by every change.
    pub version: u32,
    /// Campaign number.
    pub campaign: u16,
    /// Shown to people.
    pub name: String,
    /// Where it stands.
    pub status: CampaignStatus,
    /// Layout of its codes.
    pub profile: Profile,
    /// Unique or shared.
    pub kind: CampaignKind,
    /// What is given, in the version that counts now.
    pub reward: RewardDefinition,
    /// Units of it.
    pub quantity: u32,
    /// First instant.
    pub starts_at: Option<Instant>,
    /// First instant after the end.
    pub ends_at: Option<Instant>,
    /// Uses of each code; none for no limit of its own.
    pub uses_per_code: Option<u64>,
    /// Redemptions by one member; none for no limit.
    pub per_member: Option<u64>,
    /// Redemptions in all; none for no limit.
    pub total: Option<u64>,
    /// For whom.
    pub eligibility: Eligibility,
    /// Only with one of these.
    pub currencies: Option<Vec<String>>,
    /// Only by these.
    pub methods: Option<Vec<Method>>,
    /// Codes of earlier epochs count as recalled.
    pub min_epoch: u8,
    /// What was minted, ascending by seq.
    pub issued: Vec<IssuedRange>,
}

/// What is known about the attempt, frozen when it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Rule time.
    pub at: Instant,
    /// The code's number in minting order.
    pub seq: u32,
    /// The code's epoch.
    pub epoch: u8,
    /// The code's profile.
    pub profile: Profile,
    /// Whether the deployment revoked the code's epoch.
    pub epoch_revoked: bool,
    /// How it came.
    pub method: Method,
    /// Currency named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Attributes stored on the Member.
    pub attributes: Attributes,
    /// Roles stored on the Member.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The Member's redemptions of this campaign so far.
    pub member_uses: u64,
}

/// What the shard knows about uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// Uses of this very code, prepared and held ones included.
    pub of_code: u64,
    /// How many of them are only held for a checkout.
    pub held: u64,
    /// When the first of those ends by itself.
    pub held_until: Option<Instant>,
    /// When this member's own ends, where one is theirs.
    pub mine_held_until: Option<Instant>,
    /// This member's earliest use of this very code that is not only held.
    pub mine: Option<Rid>,
    /// How many of this code's uses are this member's, held ones included.
    pub mine_count: u64,
    /// Uses of the whole campaign, prepared ones included.
    pub of_campaign: u64,
}

/// Whether a code of this seq, epoch and profile was issued at all.
#[must_use]
pub fn recognised(rules: Option<&Rules>, facts: &Facts) -> bool {
    rules.is_some_and(|rules| rules.profile == facts.profile && issued_range(rules, facts).is_some())
}

fn issued_range<'a>(rules: &'a Rules, facts: &Facts) -> Option<&'a IssuedRange> {
    rules.issued.iter().find(|range| range.epoch == facts.epoch && (range.from..range.to).contains(&facts.seq))
}

/// Rules 4 to 16 in order, each with its refusal where it fails. `earlier` names a redemption for the holder.
///
/// The caller has made sure that the code is [`recognised`]. With a `checkout`, the code is to be kept for one.
#[must_use]
pub fn evaluate(
    rules: &Rules,
    facts: &Facts,
    checkout: Option<&Checkout>,
    usage: &Usage,
    earlier: impl Fn(&Rid) -> String,
) -> Vec<(&'static str, Option<Refusal>)> {
    let range = issued_range(rules, facts);
    let reaches = |uses: u64| rules.uses_per_code.is_some_and(|limit| uses >= limit);
    let exhausted = reaches(usage.of_code);
    // Not counting what a checkout may still give back.
    let used_up = reaches(usage.of_code.saturating_sub(usage.held));
    let member_full = rules.per_member.is_some_and(|limit| facts.member_uses >= limit);
    // A shared code is used up for a member when the campaign's limit for members is reached through it.
    let full_by_it = rules.kind == CampaignKind::Shared && member_full;
    let mine = usage.mine.filter(|_| used_up || full_by_it);
    let held_by_me = usage.mine_held_until.filter(|_| full_by_it && mine.is_none());
    let held_until = usage.held_until.filter(|_| exhausted && !used_up).or(held_by_me);
    let unmet = rules.eligibility.unmet(&facts.attributes, &facts.roles);
    let refuse = |fails: bool, refusal: Refusal| fails.then_some(refusal);
    let recalled = facts.epoch_revoked || facts.epoch < rules.min_epoch || range.is_some_and(|range| range.recalled);
    let not_active = matches!(rules.status, CampaignStatus::Draft | CampaignStatus::Paused);
    let ends_at = rules.ends_at.filter(|ends_at| *ends_at <= facts.at);
    let ended_by_hand = rules.status == CampaignStatus::Ended;
    // Only discounts and credit can be kept for a checkout, and only where the wallet applies them.
    let worth = checkout.map(|_| Worth::of(&rules.reward, rules.quantity));
    let method_allowed =
        rules.methods.as_ref().is_none_or(|methods| methods.contains(&facts.method)) && worth != Some(None);
    let fits_order = |checkout: &Checkout| {
        let currency = worth.as_ref().and_then(|worth| worth.as_ref()?.currency());
        currency.is_none_or(|currency| currency == checkout.currency)
    };
    let currency_allowed = rules
        .currencies
        .as_ref()
        .is_none_or(|allowed| facts.currency.as_ref().is_some_and(|currency| allowed.contains(currency)))
        && checkout.is_none_or(fits_order);
    vec![
        ("code_recalled", refuse(recalled, Refusal::CodeRecalled)),
        ("campaign_not_active", refuse(not_active, Refusal::CampaignNotActive)),
        (
            "campaign_not_started",
            rules
                .starts_at
                .filter(|starts_at| *starts_at > facts.at)
                .map(|starts_at| Refusal::CampaignNotStarted { starts_at }),
        ),
        ("campaign_ended", refuse(ended_by_hand || ends_at.is_some(), Refusal::CampaignEnded { ends_at })),
        (
            "code_expired",
            range
                .and_then(|range| range.expires_at)
                .filter(|expires_at| *expires_at <= facts.at)
                .map(|expires_at| Refusal::CodeExpired { expires_at }),
        ),
        ("redemption_method_not_allowed", refuse(!method_allowed, Refusal::RedemptionMethodNotAllowed)),
        ("currency_not_allowed", refuse(!currency_allowed, Refusal::CurrencyNotAllowed)),
        ("not_eligible", refuse(!unmet.is_empty(), Refusal::NotEligible { unmet })),
        (
            "already_redeemed_by_you",
            mine.map(|rid| Refusal::AlreadyRedeemedByYou { earlier_redemption_id: earlier(&rid) }),
        ),
        ("already_redeemed", refuse(used_up && mine.is_none(), Refusal::AlreadyRedeemed)),
        ("code_held", held_until.map(|held_until| Refusal::CodeHeld { held_until })),
        (
            "member_limit_reached",
            refuse(member_full && mine.is_none() && held_by_me.is_none(), Refusal::MemberLimitReached),
        ),
        (
            "campaign_limit_reached",
            refuse(rules.total.is_some_and(|total| usage.of_campaign >= total), Refusal::CampaignLimitReached),
        ),
    ]
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
