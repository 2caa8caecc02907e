//! Why not? What each rule says to a wish, put together from what the objects were asked, in order of precedence.
//!
//! Nothing is decided here: the same functions judge as in a redemption, each rule on its own, so that whoever asks
//! sees all that fail and not only the first.

use crate::code::Profile;
use crate::limits::INTEGER_MAX;
use crate::protocol::Purchase;
use crate::protocol::member::{Attempts, Bar, barred};
use crate::protocol::shard::hides;
use crate::refusal::{RULES, Refusal};
use crate::rules::{Facts, Rules};
use crate::time::Instant;
use crate::wire::{PreviewRule, Verdict};

/// Said of a rule that has no say in a wish.
const NOT_ASKED: &str = "not asked";

/// What was found of the rules that have a say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

/// What one rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    rule: &'static str,
    refusal: Option<Refusal>,
    detail: Option<String>,
}

impl Findings {
    /// A rule passes.
    pub fn pass(&mut self, rule: &'static str, detail: Option<String>) {
        self.0.push(Finding { rule, refusal: None, detail });
    }

    /// A rule refuses.
    pub fn fail(&mut self, rule: &'static str, refusal: Refusal) {
        let detail = Some(refusal.detail());
        self.0.push(Finding { rule, refusal: Some(refusal), detail });
    }

    /// Rule 1: the text is no code.
    pub fn malformed(&mut self, refusal: Refusal) {
        self.fail("malformed_code", refusal);
    }

    /// Rule 2, which comes before a code is looked at.
    pub fn attempts(&mut self, attempts: &Attempts, at: Instant) {
        const RULE: &str = "too_many_attempts";
        let Attempts { in_window, allowed, has_grant, .. } = *attempts;
        match barred(attempts, at) {
            Some(Bar::Wait { retry_after_s }) => self.fail(RULE, Refusal::TooManyAttempts { retry_after_s }),
            // The code is not looked at before it is passed, as after too many attempts.
            Some(Bar::Challenge) => self.fail(RULE, Refusal::ChallengeRequired),
            None => {
                let freed = if has_grant { "; never locked out, after an earlier redemption" } else { "" };
                self.pass(RULE, Some(format!("{in_window} of {allowed} wrong ones within a day{freed}")));
            }
        }
    }

    /// Rule 3 fails: nothing further is asked about the code. The reason is for administrators only.
    pub fn unrecognised(&mut self, why: &str) {
        let refusal = Some(Refusal::CodeNotRecognised);
        self.0.push(Finding { rule: "code_not_recognised", refusal, detail: Some(why.to_owned()) });
    }

    /// Rules 4 to 16 as [`evaluate`](crate::rules::evaluate) has judged, and rule 3 by them: whoever enters a word that is
    /// not public learns no more than that it is not known.
    pub fn judged(&mut self, verdicts: Vec<(&'static str, Option<Refusal>)>, hidden: bool) {
        if hidden {
            self.unrecognised("known, but its campaign tells nobody who enters it what is wrong (alias_public)");
        } else {
            self.pass("code_not_recognised", None);
        }
        for (rule, refusal) in verdicts {
            match refusal {
                Some(refusal) => self.fail(rule, refusal),
                None => self.pass(rule, None),
            }
        }
    }

    /// Rules 10, 17 and 18 to a purchase by a member who has so many points. What all of it costs, where it has a price.
    pub fn purchase(&mut self, purchase: &Purchase, points: u64) -> Option<u64> {
        let Purchase { reward, quantity, attributes, roles, unit_cost, .. } = purchase;
        let unmet = reward.eligibility.as_ref().map_or_else(Vec::new, |wanted| wanted.unmet(attributes, roles));
        if unmet.is_empty() {
            self.pass("not_eligible", None);
        } else {
            self.fail("not_eligible", Refusal::NotEligible { unmet });
        }
        let Some(unit) = *unit_cost else {
            self.fail("reward_not_for_sale", Refusal::RewardNotForSale);
            return None;
        };
        self.pass("reward_not_for_sale", Some(format!("{unit} points for one")));
        let total = unit.saturating_mul(u64::from(*quantity));
        let missing = total.saturating_sub(points).min(INTEGER_MAX);
        if missing > 0 {
            self.fail("insufficient_points", Refusal::InsufficientPoints { points_needed: missing, quote_id: None });
        } else {
            self.pass("insufficient_points", Some(format!("costs {total} of {points}")));
        }
        Some(total)
    }

    /// Rule 19, for a reward whose units are promo codes of a pool with so many free ones.
    pub fn pool(&mut self, available: u64, requested: u32) {
        if available < u64::from(requested) {
            self.fail("insufficient_codes", Refusal::InsufficientCodes { available, requested });
        } else {
            self.pass("insufficient_codes", Some(format!("{available} free, {requested} needed")));
        }
    }

    /// Every rule in order of precedence, what the wish would come to, and the first refusal.
    #[must_use]
    pub fn conclude(self) -> (Verdict, Option<Refusal>, Vec<PreviewRule>) {
        let mut first = None;
        let row = |rule: &'static str| {
            let Some(Finding { refusal, detail, .. }) = self.0.iter().find(|finding| finding.rule == rule) else {
                return PreviewRule { rule: rule.to_owned(), passed: true, detail: Some(NOT_ASKED.to_owned()) };
            };
            if first.is_none() {
                first.clone_from(refusal);
            }
            PreviewRule { rule: rule.to_owned(), passed: refusal.is_none(), detail: detail.clone() }
        };
        let rules = RULES.into_iter().map(row).collect();
        let would = if first.is_none() { Verdict::Redeem } else { Verdict::Refuse };
        (would, first, rules)
    }
}

/// Whether the first refusal of these is hidden from whoever entered the code.
#[must_use]
pub fn hidden(rules: &Rules, facts: &Facts, verdicts: &[(&'static str, Option<Refusal>)]) -> bool {
    let first = verdicts.iter().find_map(|(_, refusal)| refusal.as_ref());
    first.is_some_and(|refusal| hides(rules, facts, refusal))
}

/// Why a text that reads as a code is not recognised, as far as the Worker knows.
#[must_use]
pub fn wrong_tag(profile: Profile, epoch: u8) -> String {
    format!("its tag fits no key of profile {} and epoch {epoch} of the campaign that it names", profile.name())
}

/// The rule of a name; `None` where there is none.
#[must_use]
pub fn rule_named(name: &str) -> Option<&'static str> {
    RULES.into_iter().find(|rule| *rule == name)
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
