//! Refusals: expected answers with a stable code. An error, by contrast, is a failure to answer.

use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// Why a redemption is not made; the last ones, why an action of staff or of a shop is not. The order of the variants is
/// the order of precedence; names never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Refusal {
    /// 1: the text is not a code as it stands.
    MalformedCode {
        /// Symbol position from 0, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "typescript", ts(optional))]
        position: Option<u32>,
        /// Stable name of what is wrong.
        reason: String,
    },
    /// 2: too many wrong codes from an account without an earlier grant.
    TooManyAttempts {
        /// Seconds until the next try is looked at.
        retry_after_s: u32,
    },
    /// 3: one answer for every code that the bearer does not provably hold.
    CodeNotRecognised,
    /// 4: recalled by batch, range, campaign or epoch.
    CodeRecalled,
    /// 5: draft or paused.
    CampaignNotActive,
    /// 6
    CampaignNotStarted {
        /// First instant.
        #[cfg_attr(feature = "typescript", ts(type = "string"))]
        starts_at: Instant,
    },
    /// 7: over, by the clock or by hand.
    CampaignEnded {
        /// First instant after the end, where the clock ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "typescript", ts(type = "string", optional))]
        ends_at: Option<Instant>,
    },
    /// 7: the batch's own end.
    CodeExpired {
        /// First instant after the end.
        #[cfg_attr(feature = "typescript", ts(type = "string"))]
        expires_at: Instant,
    },
    /// 8
    RedemptionMethodNotAllowed,
    /// 9
    CurrencyNotAllowed,
    /// 10
    NotEligible {
        /// Which of role, tier, persona, tag did not fit.
        unmet: Vec<String>,
    },
    /// 11: this very code, used up by this member.
    AlreadyRedeemedByYou {
        /// The redemption that used it.
        earlier_redemption_id: String,
    },
    /// 12
    AlreadyRedeemed,
    /// 13: kept for a checkout.
    CodeHeld {
        /// When the hold ends.
        #[cfg_attr(feature = "typescript", ts(type = "string"))]
        held_until: Instant,
    },
    /// 14
    MemberLimitReached {
        /// When the window ends whose limit was reached, where it was one of those.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "typescript", ts(type = "string", optional))]
        window_ends_at: Option<Instant>,
    },
    /// 15
    CampaignLimitReached {
        /// When the window ends whose limit was reached, where it was one of those.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "typescript", ts(type = "string", optional))]
        window_ends_at: Option<Instant>,
    },
    /// 16: what is left of the campaign's money does not cover this redemption.
    BudgetExhausted,
    /// 17: points asked for a reward without a price for this member.
    RewardNotForSale,
    /// 18
    InsufficientPoints {
        /// How many are missing.
        #[cfg_attr(feature = "typescript", ts(type = "number"))]
        points_needed: u64,
        /// At the till: the offer that only a manager's override confirms.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "typescript", ts(optional))]
        quote_id: Option<String>,
    },
    /// 19: nothing was taken.
    InsufficientCodes {
        /// Free promo codes.
        #[cfg_attr(feature = "typescript", ts(type = "number"))]
        available: u64,
        /// Units asked for.
        requested: u32,
    },
    /// A till's offer cannot be confirmed any more.
    QuoteExpired {
        /// `time`, `replaced`, `confirmed` or `cancelled`.
        reason: String,
    },
    /// The same reward for the same member a moment ago; `again: true` means it.
    JustRedeemed,
    /// What was held for this order is over.
    HoldExpired,
    /// There is not so much of it, or what was given has been spent.
    ValueSpent {
        /// How much is missing.
        #[cfg_attr(feature = "typescript", ts(type = "number"))]
        short_by: u64,
    },
    /// An order has one discount at most.
    AlreadyExists {
        /// What the order has.
        what: String,
    },
    /// Somebody guesses this campaign's codes: accounts without an earlier grant must show that they are people.
    ChallengeRequired,
}

/// The rules of a redemption by the names of their refusals, in order of precedence.
pub const RULES: [&str; 20] = [
    "malformed_code",
    "too_many_attempts",
    "code_not_recognised",
    "code_recalled",
    "campaign_not_active",
    "campaign_not_started",
    "campaign_ended",
    "code_expired",
    "redemption_method_not_allowed",
    "currency_not_allowed",
    "not_eligible",
    "already_redeemed_by_you",
    "already_redeemed",
    "code_held",
    "member_limit_reached",
    "campaign_limit_reached",
    "budget_exhausted",
    "reward_not_for_sale",
    "insufficient_points",
    "insufficient_codes",
];

impl Refusal {
    /// Stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MalformedCode { .. } => "malformed_code",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::CodeNotRecognised => "code_not_recognised",
            Self::CodeRecalled => "code_recalled",
            Self::CampaignNotActive => "campaign_not_active",
            Self::CampaignNotStarted { .. } => "campaign_not_started",
            Self::CampaignEnded { .. } => "campaign_ended",
            Self::CodeExpired { .. } => "code_expired",
            Self::RedemptionMethodNotAllowed => "redemption_method_not_allowed",
            Self::CurrencyNotAllowed => "currency_not_allowed",
            Self::NotEligible { .. } => "not_eligible",
            Self::AlreadyRedeemedByYou { .. } => "already_redeemed_by_you",
            Self::AlreadyRedeemed => "already_redeemed",
            Self::CodeHeld { .. } => "code_held",
            Self::MemberLimitReached { .. } => "member_limit_reached",
            Self::CampaignLimitReached { .. } => "campaign_limit_reached",
            Self::BudgetExhausted => "budget_exhausted",
            Self::RewardNotForSale => "reward_not_for_sale",
            Self::InsufficientPoints { .. } => "insufficient_points",
            Self::InsufficientCodes { .. } => "insufficient_codes",
            Self::QuoteExpired { .. } => "quote_expired",
            Self::JustRedeemed => "just_redeemed",
            Self::HoldExpired => "hold_expired",
            Self::ValueSpent { .. } => "value_spent",
            Self::AlreadyExists { .. } => "already_exists",
            Self::ChallengeRequired => "challenge_required",
        }
    }

    /// HTTP status of its problem document.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::MalformedCode { .. } => 422,
            Self::TooManyAttempts { .. } => 429,
            Self::CodeNotRecognised => 404,
            Self::CodeRecalled
            | Self::CampaignEnded { .. }
            | Self::CodeExpired { .. }
            | Self::QuoteExpired { .. }
            | Self::HoldExpired => 410,
            Self::RedemptionMethodNotAllowed
            | Self::CurrencyNotAllowed
            | Self::NotEligible { .. }
            | Self::ChallengeRequired => 403,
            Self::CampaignNotActive
            | Self::CampaignNotStarted { .. }
            | Self::AlreadyRedeemedByYou { .. }
            | Self::AlreadyRedeemed
            | Self::CodeHeld { .. }
            | Self::MemberLimitReached { .. }
            | Self::CampaignLimitReached { .. }
            | Self::BudgetExhausted
            | Self::RewardNotForSale
            | Self::InsufficientPoints { .. }
            | Self::InsufficientCodes { .. }
            | Self::JustRedeemed
            | Self::ValueSpent { .. }
            | Self::AlreadyExists { .. } => 409,
        }
    }

    /// Short human title.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        match self {
            Self::MalformedCode { .. } => "This is not a code as it stands",
            Self::TooManyAttempts { .. } => "Too many wrong codes",
            Self::CodeNotRecognised => "Code not recognised",
            Self::CodeRecalled => "This code was recalled",
            Self::CampaignNotActive => "The campaign is not active",
            Self::CampaignNotStarted { .. } => "The campaign has not started",
            Self::CampaignEnded { .. } => "The campaign has ended",
            Self::CodeExpired { .. } => "This code has expired",
            Self::RedemptionMethodNotAllowed => "This code cannot be redeemed this way",
            Self::CurrencyNotAllowed => "This code cannot be redeemed in this currency",
            Self::NotEligible { .. } => "This code is not for this account",
            Self::AlreadyRedeemedByYou { .. } => "You have redeemed this code already",
            Self::AlreadyRedeemed => "This code has been redeemed already",
            Self::CodeHeld { .. } => "This code is kept for a checkout",
            Self::MemberLimitReached { .. } => "You have reached this campaign's limit",
            Self::CampaignLimitReached { .. } => "This campaign is used up",
            Self::BudgetExhausted => "This campaign's budget is used up",
            Self::RewardNotForSale => "Points do not buy this reward",
            Self::InsufficientPoints { .. } => "Not enough points",
            Self::InsufficientCodes { .. } => "Not enough promo codes",
            Self::QuoteExpired { .. } => "This offer is over",
            Self::JustRedeemed => "Redeemed a moment ago",
            Self::HoldExpired => "The hold is over",
            Self::ValueSpent { .. } => "Not enough is left",
            Self::AlreadyExists { .. } => "It exists already",
            Self::ChallengeRequired => "Show that you are a person",
        }
    }

    /// One sentence about this very case.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::MalformedCode { position: Some(position), reason } => {
                format!("Symbol {} does not fit ({reason}). Check it against the printed code.", position + 1)
            }
            Self::MalformedCode { position: None, reason } => format!("The text is not a code ({reason})."),
            Self::TooManyAttempts { retry_after_s } => format!("Try again in {retry_after_s} seconds."),
            Self::CodeNotRecognised => "This code is not known here. Check that it was typed completely.".to_owned(),
            Self::CodeRecalled => "Its issuer has withdrawn this code.".to_owned(),
            Self::CampaignNotActive => "It is being prepared or paused. Try again later.".to_owned(),
            Self::CampaignNotStarted { starts_at } => format!("It starts at {starts_at}."),
            Self::CampaignEnded { ends_at: Some(ends_at) } => format!("It ended at {ends_at}."),
            Self::CampaignEnded { ends_at: None } => "It was ended by its issuer.".to_owned(),
            Self::CodeExpired { expires_at } => format!("It expired at {expires_at}."),
            Self::RedemptionMethodNotAllowed => "The campaign allows other ways of redeeming.".to_owned(),
            Self::CurrencyNotAllowed => "Name one of the campaign's currencies.".to_owned(),
            Self::NotEligible { unmet } => format!("The campaign asks for another {}.", unmet.join(", ")),
            Self::AlreadyRedeemedByYou { .. } => "The reward was given to you with the earlier redemption.".to_owned(),
            Self::AlreadyRedeemed => "Each code of this campaign works a set number of times.".to_owned(),
            Self::CodeHeld { held_until } => format!("It is free again at {held_until} unless the order is placed."),
            Self::MemberLimitReached { window_ends_at: Some(ends_at) }
            | Self::CampaignLimitReached { window_ends_at: Some(ends_at) } => format!("Try again from {ends_at} on."),
            Self::MemberLimitReached { window_ends_at: None } => {
                "No more redemptions of this campaign for this account.".to_owned()
            }
            Self::CampaignLimitReached { window_ends_at: None } => "All uses of this campaign are taken.".to_owned(),
            Self::BudgetExhausted => "What is left of its money does not cover this redemption.".to_owned(),
            Self::RewardNotForSale => "It has no price in points for this account.".to_owned(),
            Self::InsufficientPoints { points_needed, .. } => format!("{points_needed} more points are needed."),
            Self::InsufficientCodes { available, requested } => {
                format!("Only {available} code(s) available, you requested {requested}")
            }
            Self::QuoteExpired { reason } => match reason.as_str() {
                "replaced" => "A newer offer of this reward has replaced it.".to_owned(),
                "confirmed" => "It has been confirmed already.".to_owned(),
                "cancelled" => "It was cancelled.".to_owned(),
                _ => "Offers hold for two minutes. Make another.".to_owned(),
            },
            Self::JustRedeemed => {
                "This member has redeemed this reward within the last ten seconds. Ask again if that is meant."
                    .to_owned()
            }
            Self::HoldExpired => "Its fifteen minutes are over; nothing was taken.".to_owned(),
            Self::ValueSpent { short_by } => format!("{short_by} are missing; nothing was changed."),
            Self::AlreadyExists { what } => format!("{what} exists already."),
            Self::ChallengeRequired => {
                "Somebody is guessing codes. Pass the challenge, and send its response with the code.".to_owned()
            }
        }
    }

    /// Refusals 1 to 3, and those of staff's actions, leave no record of a redemption and are never replayed.
    #[must_use]
    pub const fn leaves_record(&self) -> bool {
        !matches!(
            self,
            Self::MalformedCode { .. }
                | Self::TooManyAttempts { .. }
                | Self::CodeNotRecognised
                | Self::QuoteExpired { .. }
                | Self::JustRedeemed
                | Self::HoldExpired
                | Self::ValueSpent { .. }
                | Self::AlreadyExists { .. }
                | Self::ChallengeRequired
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_tags_are_the_codes() {
        let all = [
            Refusal::MalformedCode { position: None, reason: "empty".to_owned() },
            Refusal::TooManyAttempts { retry_after_s: 1 },
            Refusal::CodeNotRecognised,
            Refusal::CodeRecalled,
            Refusal::CampaignNotActive,
            Refusal::CampaignNotStarted { starts_at: Instant(0) },
            Refusal::CampaignEnded { ends_at: None },
            Refusal::CodeExpired { expires_at: Instant(0) },
            Refusal::RedemptionMethodNotAllowed,
            Refusal::CurrencyNotAllowed,
            Refusal::NotEligible { unmet: vec!["tier".to_owned()] },
            Refusal::AlreadyRedeemedByYou { earlier_redemption_id: "rd_x".to_owned() },
            Refusal::AlreadyRedeemed,
            Refusal::CodeHeld { held_until: Instant(0) },
            Refusal::MemberLimitReached { window_ends_at: None },
            Refusal::CampaignLimitReached { window_ends_at: Some(Instant(0)) },
            Refusal::BudgetExhausted,
            Refusal::RewardNotForSale,
            Refusal::InsufficientPoints { points_needed: 3, quote_id: None },
            Refusal::InsufficientCodes { available: 7, requested: 10 },
            Refusal::QuoteExpired { reason: "time".to_owned() },
            Refusal::JustRedeemed,
            Refusal::HoldExpired,
            Refusal::ValueSpent { short_by: 1 },
            Refusal::AlreadyExists { what: "x".to_owned() },
            Refusal::ChallengeRequired,
        ];
        let actions =
            ["quote_expired", "just_redeemed", "hold_expired", "value_spent", "already_exists", "challenge_required"];
        assert_eq!(all.len(), RULES.len() + actions.len());
        assert_eq!(all[19].detail(), "Only 7 code(s) available, you requested 10");
        for (refusal, name) in all.iter().zip(RULES.into_iter().chain(actions)) {
            assert_eq!(refusal.code(), name);
            let json = serde_json::to_value(refusal).unwrap();
            assert_eq!(json["code"], name);
            assert_eq!(&serde_json::from_value::<Refusal>(json).unwrap(), refusal);
            assert!(!refusal.detail().is_empty() && !refusal.title().is_empty());
        }
    }
}
