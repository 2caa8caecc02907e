//! The rules of a redemption: one flat run of checks in order of precedence, each with a named answer.
//!
//! Whoever needs only the first refusal takes the first; a preview lists them all. Facts are frozen in the
//! intent, so that every retry decides by the same ones.

use crate::alias::Alias;
use crate::calendar::{Calendar, Day, DayCounts, Window};
use crate::checkout::Worth;
use crate::code::Profile;
use crate::ids::{Mref, Rid};
use crate::protocol::Checkout;
use crate::protocol::portion::{Meter, Need};
use crate::refusal::Refusal;
use crate::time::Instant;
use crate::token::Attributes;
use crate::wire::{Budget, CampaignKind, CampaignStatus, Eligibility, Method, RewardDefinition, WindowLimit, money};
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
    /// Batch it was minted as.
    pub batch_id: String,
    /// Whatever the batch is found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A range of seqs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeqRange {
    /// First seq.
    pub from: u32,
    /// First seq after it.
    pub to: u32,
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
    /// IANA zone of its days.
    pub time_zone: String,
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
    /// Limits within windows.
    #[serde(default)]
    pub windows: Vec<WindowLimit>,
    /// How much may be given in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// For whom.
    pub eligibility: Eligibility,
    /// Only with one of these.
    pub currencies: Option<Vec<String>>,
    /// Only by these.
    pub methods: Option<Vec<Method>>,
    /// Codes of earlier epochs count as recalled.
    pub min_epoch: u8,
    /// Epochs that the merchant revoked.
    #[serde(default)]
    pub revoked_epochs: Vec<u8>,
    /// What was minted, ascending by seq.
    pub issued: Vec<IssuedRange>,
    /// What was recalled.
    #[serde(default)]
    pub recalled: Vec<SeqRange>,
    /// Words that stand for the campaign's code.
    #[serde(default)]
    pub aliases: Vec<Alias>,
    /// The code that they stand for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_seq: Option<u32>,
    /// Whether who enters one learns why it is refused.
    pub alias_public: bool,
    /// How many shards keep its uses.
    pub shards: u32,
}

impl Rules {
    /// What a redemption of these windows takes of each limit of the whole campaign.
    #[must_use]
    pub fn needs(&self, calendar: &Calendar) -> Vec<Need> {
        let total = self.total.map(|limit| Need { meter: Meter::Total, limit, amount: 1 });
        let windows = self.windows.iter().filter_map(|window| {
            let meter = Meter::Window(window.per, calendar.window(window.per).first);
            Some(Need { meter, limit: window.total?, amount: 1 })
        });
        let budget = self.budget.as_ref().map(|budget| Need {
            meter: Meter::Budget,
            limit: budget.amount_minor,
            // A reward that is worth no money of this currency any more is covered by no budget.
            amount: self.charge().unwrap_or(u64::MAX),
        });
        total.into_iter().chain(windows).chain(budget).collect()
    }

    /// What a redemption takes of the budget, in minor units; `None` where the reward is not worth money of its currency.
    #[must_use]
    pub fn charge(&self) -> Option<u64> {
        let (currency, amount) = money(&self.reward)?;
        let budget = self.budget.as_ref()?;
        (currency == budget.currency).then(|| amount.saturating_mul(u64::from(self.quantity)))
    }

    /// The shard that keeps a code's uses: by code where each has its own, by member where all share one.
    #[must_use]
    pub fn shard_of(&self, seq: u32, mref: &Mref) -> u32 {
        shard_of(self.kind, self.shards, seq, mref)
    }
}

/// See [`Rules::shard_of`].
#[must_use]
pub fn shard_of(kind: CampaignKind, shards: u32, seq: u32, mref: &Mref) -> u32 {
    let spread = match kind {
        CampaignKind::Unique => seq,
        CampaignKind::Shared => mref.as_bytes().iter().rev().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte)),
    };
    spread.checked_rem(shards).unwrap_or_default()
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
    /// Those of the last days, by the campaign's local day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member_days: DayCounts,
    /// The word that was entered instead of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
}

/// What the shard knows about uses.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
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
    /// What is left of each limit of the whole campaign, prepared uses taken off. A limit that is not here is not reached.
    pub left: Vec<(Meter, u64)>,
}

impl Usage {
    /// Whether a limit does not cover what a redemption takes of it.
    fn lacks(&self, need: &Need) -> bool {
        self.left.iter().any(|(meter, left)| *meter == need.meter && *left < need.amount)
    }
}

/// Whether a code of this seq, epoch and profile was issued at all, or a word stands for it.
#[must_use]
pub fn recognised(rules: Option<&Rules>, facts: &Facts) -> bool {
    rules.is_some_and(|rules| match &facts.alias {
        Some(alias) => rules.alias_seq == Some(facts.seq) && rules.aliases.contains(alias),
        None => rules.profile == facts.profile && issued_range(rules, facts).is_some(),
    })
}

/// A limit for one member within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberWindow {
    /// Which.
    pub window: Window,
    /// Redemptions within it.
    pub limit: u64,
}

impl MemberWindow {
    /// Whether a member with these redemptions has reached it.
    #[must_use]
    pub fn reached(&self, days: &[(Day, u64)]) -> bool {
        self.window.sum(days) >= self.limit
    }
}

/// The limits for one member within windows, at an instant.
#[must_use]
pub fn member_windows(rules: &Rules, calendar: &Calendar) -> Vec<MemberWindow> {
    let limit =
        |window: &WindowLimit| Some(MemberWindow { window: *calendar.window(window.per), limit: window.per_member? });
    rules.windows.iter().filter_map(limit).collect()
}

/// The refusal of a member who has reached one of these limits: it names the end of the last window that is full.
#[must_use]
pub fn member_window_full(windows: &[MemberWindow], days: &[(Day, u64)]) -> Option<Refusal> {
    let full = windows.iter().filter(|window| window.reached(days)).map(|window| window.window.ends_at).max();
    full.map(|ends_at| Refusal::MemberLimitReached { window_ends_at: Some(ends_at) })
}

/// The batch that a code was minted with.
#[must_use]
pub fn issued_range<'a>(rules: &'a Rules, facts: &Facts) -> Option<&'a IssuedRange> {
    // A word is of no batch, even where its code was printed too.
    rules
        .issued
        .iter()
        .filter(|_| facts.alias.is_none())
        .find(|range| range.epoch == facts.epoch && (range.from..range.to).contains(&facts.seq))
}

/// Rules 4 to 16 in order, each with its refusal where it fails. `earlier` names a redemption for the holder, `calendar` is
/// that of the facts' instant in the campaign's zone.
///
/// The caller has made sure that the code is [`recognised`]. With a `checkout`, the code is to be kept for one.
#[must_use]
pub fn evaluate(
    rules: &Rules,
    calendar: &Calendar,
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
    // A word was never signed: what befalls keys does not befall it.
    let revoked = facts.epoch_revoked || facts.epoch < rules.min_epoch || rules.revoked_epochs.contains(&facts.epoch);
    let recalled = revoked && facts.alias.is_none()
        || rules.recalled.iter().any(|range| (range.from..range.to).contains(&facts.seq));
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
    let window_full = member_window_full(&member_windows(rules, calendar), &facts.member_days);
    let member_refusal = if member_full {
        Some(Refusal::MemberLimitReached { window_ends_at: None }).filter(|_| mine.is_none() && held_by_me.is_none())
    } else {
        window_full
    };
    let needs = rules.needs(calendar);
    let spent_total = needs.iter().any(|need| need.meter == Meter::Total && usage.lacks(need));
    let spent_window = needs
        .iter()
        .filter(|need| usage.lacks(need))
        .filter_map(|need| match need.meter {
            Meter::Window(kind, _) => Some(calendar.window(kind).ends_at),
            Meter::Total | Meter::Budget => None,
        })
        .max();
    let campaign_refusal = if spent_total {
        Some(Refusal::CampaignLimitReached { window_ends_at: None })
    } else {
        spent_window.map(|ends_at| Refusal::CampaignLimitReached { window_ends_at: Some(ends_at) })
    };
    let budget_spent = needs.iter().any(|need| need.meter == Meter::Budget && usage.lacks(need));
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
        ("member_limit_reached", member_refusal),
        ("campaign_limit_reached", campaign_refusal),
        ("budget_exhausted", refuse(budget_spent, Refusal::BudgetExhausted)),
    ]
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
