//! What lists and exports of redemptions can be narrowed to.

use crate::time::Instant;
use crate::wire::{Redemption, RedemptionStatus};
use serde::{Deserialize, Serialize};

/// Every condition that is present must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RedemptionStatus>,
    /// Whose code it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<u16>,
    /// Number of that code in minting order; never without its campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u32>,
    /// The batch that the code was minted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// Whatever that batch is found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The shop's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Who made it for the member: `staff:zoe`, or their id alone, whatever their role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff: Option<String>,
    /// Began at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Instant>,
    /// Began before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Instant>,
    /// Changed at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
    /// Testers' too.
    #[serde(default)]
    pub testers: bool,
}

impl Filter {
    /// Whether no redemption passes, whatever there is: a time that ends before it begins.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.to), (Some(from), Some(to)) if from >= to)
    }

    /// Whether a redemption passes. `seq` is the number of its code, `tester` whether its member is one.
    #[must_use]
    pub fn admits(&self, redemption: &Redemption, seq: Option<u32>, tester: bool) -> bool {
        let Redemption { status, campaign, batch_id, reference, order, by, created_at, updated_at, .. } = redemption;
        self.status.is_none_or(|wanted| wanted == *status)
            && self.campaign.is_none_or(|wanted| *campaign == Some(wanted))
            && self.seq.is_none_or(|wanted| seq == Some(wanted))
            && fits(self.batch_id.as_ref(), batch_id.as_ref())
            && fits(self.reference.as_ref(), reference.as_ref())
            && fits(self.order.as_ref(), order.as_ref())
            && self.staff.as_deref().is_none_or(|wanted| by.as_deref().is_some_and(|by| is_actor(by, wanted)))
            && self.from.is_none_or(|from| *created_at >= from)
            && self.to.is_none_or(|to| *created_at < to)
            && self.since.is_none_or(|since| *updated_at >= since)
            && (self.testers || !tester)
    }
}

fn fits(wanted: Option<&String>, found: Option<&String>) -> bool {
    wanted.is_none() || wanted == found
}

/// Whether an actor such as `staff:zoe` is the one that is looked for, in full or by the id alone.
fn is_actor(by: &str, wanted: &str) -> bool {
    by == wanted || by.split_once(':').is_some_and(|(_, id)| id == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redemption() -> Redemption {
        crate::json::read(
            r#"{"redemption_id":"rd_1","status":"granted","kind":"code","campaign":7,"reward_id":"mug","quantity":1,
            "ledger":[],"rewards":[],"attempts":1,"attempts_max":10,"created_at":"2026-11-22T09:00:00Z",
            "updated_at":"2026-11-22T09:30:00Z","by":"staff:zoe","order":"o-1","batch_id":"b1","reference":"mail"}"#,
        )
        .unwrap()
    }

    #[test]
    fn each_condition_alone_and_all_together() {
        let at = |text: &str| Instant::parse(text);
        let text = |text: &str| Some(text.to_owned());
        let all = Filter {
            status: Some(RedemptionStatus::Granted),
            campaign: Some(7),
            seq: Some(3),
            batch_id: text("b1"),
            reference: text("mail"),
            order: text("o-1"),
            staff: text("zoe"),
            from: at("2026-11-22T09:00:00Z"),
            to: at("2026-11-22T09:00:01Z"),
            since: at("2026-11-22T09:30:00Z"),
            testers: false,
        };
        let found = redemption();
        assert!(all.admits(&found, Some(3), false) && Filter::default().admits(&found, None, false));
        for other in [
            Filter { status: Some(RedemptionStatus::Refused), ..all.clone() },
            Filter { campaign: Some(8), ..all.clone() },
            Filter { seq: Some(4), ..all.clone() },
            Filter { batch_id: text("b"), ..all.clone() },
            Filter { reference: text("mai"), ..all.clone() },
            Filter { order: text("O-1"), ..all.clone() },
            Filter { staff: text("staff:zo"), ..all.clone() },
            Filter { from: at("2026-11-22T09:00:00.001Z"), ..all.clone() },
            Filter { to: at("2026-11-22T09:00:00Z"), ..all.clone() },
            Filter { since: at("2026-11-22T09:30:00.001Z"), ..all.clone() },
        ] {
            assert!(!other.admits(&found, Some(3), false), "{other:?}");
        }
        assert!(!all.admits(&found, None, false) && !all.admits(&found, Some(3), true));
        assert!(Filter { testers: true, ..all }.admits(&found, Some(3), true));
    }

    #[test]
    fn actors_in_full_or_by_id() {
        for (by, wanted, same) in [
            ("staff:zoe", "staff:zoe", true),
            ("staff:zoe", "zoe", true),
            ("manager:zoe", "zoe", true),
            ("staff:zoe", "manager:zoe", false),
            ("staff:zoey", "zoe", false),
            ("service:a:b", "a:b", true),
            ("service:a:b", "b", false),
            ("system", "system", true),
            ("staff:zoe", "", false),
        ] {
            assert_eq!(is_actor(by, wanted), same, "{by} {wanted}");
        }
    }

    #[test]
    fn a_time_that_ends_before_it_begins_holds_nothing() {
        for (from, to, empty) in
            [(None, None, false), (Some(1), None, false), (Some(1), Some(2), false), (Some(2), Some(2), true)]
        {
            let filter = Filter { from: from.map(Instant), to: to.map(Instant), ..Filter::default() };
            assert_eq!(filter.is_empty(), empty);
        }
    }
}
