//! The breaker: what is done when somebody guesses tags of one campaign key. Nothing is ever stopped or rotated by
//! itself, because that would hand attackers a switch: accounts that have been given something before are let alone.

use crate::code::Profile;
use serde::{Deserialize, Serialize};

/// How far guessing has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum BreakerState {
    /// As usual.
    #[default]
    Closed,
    /// Somebody was told.
    Alarm,
    /// Accounts without an earlier grant must pass a challenge.
    Challenge,
    /// Accounts without an earlier grant are refused.
    RefuseNew,
}

impl BreakerState {
    /// snake_case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Alarm => "alarm",
            Self::Challenge => "challenge",
            Self::RefuseNew => "refuse_new",
        }
    }
}

/// The numbers of wrong tags at which the breaker moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Somebody is told.
    pub alarm: u64,
    /// New accounts must pass a challenge.
    pub challenge: u64,
    /// New accounts are refused.
    pub refuse: u64,
}

impl Thresholds {
    /// Those of a profile (code-format.md "Breaker").
    #[must_use]
    pub const fn of(profile: Profile) -> Self {
        match profile {
            Profile::S16 => Self { alarm: 1 << 8, challenge: 1 << 10, refuse: 1 << 14 },
            Profile::S20 | Profile::S25 => Self { alarm: 1 << 10, challenge: 1 << 16, refuse: 1 << 20 },
        }
    }

    /// Where so many wrong tags lead.
    #[must_use]
    pub const fn state(&self, failed: u64) -> BreakerState {
        if failed >= self.refuse {
            BreakerState::RefuseNew
        } else if failed >= self.challenge {
            BreakerState::Challenge
        } else if failed >= self.alarm {
            BreakerState::Alarm
        } else {
            BreakerState::Closed
        }
    }

    /// The state that so many wrong tags raise the breaker to; `None` where it stands so high already. Only an
    /// administrator lowers it.
    #[must_use]
    pub fn raises(&self, from: BreakerState, failed: u64) -> Option<BreakerState> {
        Some(self.state(failed)).filter(|state| *state > from)
    }
}

/// The campaign key that a code with a wrong tag names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Layout.
    pub profile: Profile,
    /// Key epoch.
    pub epoch: u8,
    /// Campaign number.
    pub campaign: u16,
}

/// The breaker of a campaign as administrators see it: the worst of its epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BreakerResource {
    /// How far guessing has gone.
    pub state: BreakerState,
    /// Wrong tags since it was last reset.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub failed_tags: u64,
    /// Somebody is told at so many.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub alarm_at: u64,
    /// New accounts must pass a challenge from so many on.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub challenge_at: u64,
    /// New accounts are refused from so many on.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub refuse_at: u64,
    /// When it came to this state, unless it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub since: Option<crate::time::Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_by_failures() {
        for (profile, failed, state) in [
            (Profile::S16, 0, BreakerState::Closed),
            (Profile::S16, 255, BreakerState::Closed),
            (Profile::S16, 256, BreakerState::Alarm),
            (Profile::S16, 1_024, BreakerState::Challenge),
            (Profile::S16, 16_384, BreakerState::RefuseNew),
            (Profile::S20, 1_023, BreakerState::Closed),
            (Profile::S20, 65_536, BreakerState::Challenge),
            (Profile::S25, 1 << 20, BreakerState::RefuseNew),
        ] {
            assert_eq!(Thresholds::of(profile).state(failed), state, "{profile:?} {failed}");
        }
    }

    #[test]
    fn nothing_but_a_reset_lowers_it() {
        use BreakerState::{Alarm, Challenge, Closed, RefuseNew};
        for (from, failed, raised) in [
            (Closed, 255, None),
            (Closed, 256, Some(Alarm)),
            (Closed, 20_000, Some(RefuseNew)),
            (Alarm, 1_023, None),
            (Alarm, 1_024, Some(Challenge)),
            (Challenge, 256, None),
            (RefuseNew, 1 << 40, None),
        ] {
            assert_eq!(Thresholds::of(Profile::S16).raises(from, failed), raised, "{from:?} {failed}");
        }
    }
}
