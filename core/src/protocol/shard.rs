//! Decisions of a CodeShard: which uses are taken, and by which redemption.
//!
//! Per (rid, fp): absent → prepared (use row and pending row) → committed (use row) | absent (abort).
//! A prepared use counts as used in every answer. One that is kept for a checkout stays pending: it says "held", not
//! "used", until the Member's word ends it, however long its time is over.

use super::{CodeWish, Fate, Intent, PrepareAnswer, Prepared};
use crate::calendar::Calendar;
use crate::ids::Rid;
use crate::refusal::{RULES, Refusal};
use crate::rules::{Facts, Rules, Usage, evaluate, issued_range, member_windows, recognised};
use crate::time::Instant;
use crate::wire::CampaignKind;

/// What a shard reads before it answers an intent.
#[derive(Clone, Debug)]
pub struct ShardView<'a> {
    /// The campaign's rules; none for a campaign that does not exist.
    pub rules: Option<&'a Rules>,
    /// The windows of the intent's instant in the campaign's zone.
    pub calendar: &'a Calendar,
    /// This shard's own number.
    pub shard: u32,
    /// The pending row of this very (rid, fp).
    pub pending: Option<Prepared>,
    /// Whether this rid is pending here under another command: the first request died on its way back and its
    /// key came again with another body.
    pub other_pending: bool,
    /// Whether this rid already uses this code.
    pub used_by_rid: bool,
    /// Uses so far.
    pub usage: Usage,
}

/// What a shard does with an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrepareStep {
    /// Answer; nothing changes.
    Answer(PrepareAnswer),
    /// This member has uses here that their Member does not count: a try that died before it was decided, or a use
    /// that is being given back. Ask the Member about its pending rows at once, and answer that it is too late.
    AskFirst,
    /// Write the use row and the pending row, count the use, arm the alarm; then answer. What is for a checkout counts
    /// as held until the Member says otherwise.
    Consume(Prepared),
}

/// Step 4. A known (rid, fp) gets the same answer, whatever the rules say now.
#[must_use]
pub fn prepare(view: &ShardView<'_>, intent: &Intent, now: Instant, earlier: impl Fn(&Rid) -> String) -> PrepareStep {
    if let Some(prepared) = &view.pending {
        return PrepareStep::Answer(PrepareAnswer::Prepared(prepared.clone()));
    }
    let unknown = PrepareStep::Answer(PrepareAnswer::Refused {
        refusal: Refusal::CodeNotRecognised,
        reward_id: None,
        batch_id: None,
        reference: None,
    });
    let Some(CodeWish { facts, checkout, .. }) = intent.code() else { return unknown };
    let Some(rules) = view.rules.filter(|rules| recognised(Some(rules), facts)) else { return unknown };
    let range = issued_range(rules, facts);
    let prepared = Prepared {
        reward: rules.reward.clone(),
        quantity: rules.quantity,
        per_member: rules.per_member,
        member_windows: member_windows(rules, view.calendar),
        day: view.calendar.today(),
        batch_id: range.map(|range| range.batch_id.clone()),
        reference: range.and_then(|range| range.reference.clone()),
    };
    if view.other_pending {
        // Its use is given back as soon as the Member is asked; nothing can be promised on top of it before.
        return PrepareStep::Answer(PrepareAnswer::Late);
    }
    if view.used_by_rid {
        // Settled already: a late duplicate of the message. The Member has decided and will not ask again.
        return PrepareStep::Answer(PrepareAnswer::Prepared(prepared));
    }
    let shard = rules.shard_of(facts.seq, &intent.rid.mref());
    if shard != view.shard {
        return PrepareStep::Answer(PrepareAnswer::Elsewhere { shard });
    }
    if intent.deadline < now {
        return PrepareStep::Answer(PrepareAnswer::Late);
    }
    if rules.kind == CampaignKind::Shared && view.usage.mine_count > facts.member_uses {
        return PrepareStep::AskFirst;
    }
    let verdicts = evaluate(rules, view.calendar, facts, checkout.as_ref(), &view.usage, earlier);
    match verdicts.into_iter().find_map(|(_, refusal)| refusal) {
        Some(refusal) if hides(rules, facts, &refusal) => unknown,
        Some(refusal) => {
            let Prepared { reward, batch_id, reference, .. } = prepared;
            let reward_id = Some(reward.reward_id);
            PrepareStep::Answer(PrepareAnswer::Refused { refusal, reward_id, batch_id, reference })
        }
        None => PrepareStep::Consume(prepared),
    }
}

/// Whether who entered a word that anybody may try learns only that it is not known (refusals 4 to 11).
#[must_use]
pub fn hides(rules: &Rules, facts: &Facts, refusal: &Refusal) -> bool {
    let place = |name: &str| RULES.iter().position(|rule| *rule == name);
    let hidden = place("code_recalled")..=place("already_redeemed_by_you");
    facts.alias.is_some() && !rules.alias_public && hidden.contains(&place(refusal.code()))
}

/// What happens to a pending row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingStep {
    /// Drop the pending row; the use stays.
    Commit,
    /// Drop the pending row and the use.
    GiveBack,
    /// Leave it and ask again later.
    Keep,
    /// Leave it, kept for a checkout until then, and ask again when that is over.
    Hold {
        /// When the hold ends by itself.
        until: Instant,
    },
}

/// What a shard does with the Member's answer about a pending row. A row that is gone is left alone: settled
/// uses are given back by an explicit undo only, never by a late abort.
#[must_use]
pub const fn settle(pending: bool, fate: Fate) -> PendingStep {
    match (pending, fate) {
        (true, Fate::Committed) => PendingStep::Commit,
        (true, Fate::Aborted) => PendingStep::GiveBack,
        (true, Fate::Held { until }) => PendingStep::Hold { until },
        (true, Fate::Running) | (false, _) => PendingStep::Keep,
    }
}

/// What a shard does when a Member gives a decided use back. Repeats find nothing and are acknowledged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undo {
    /// Drop the use row and count one use less.
    pub drop_use: bool,
    /// Drop the pending rows of this redemption with their uses: its Member has decided, whatever it is asked.
    pub drop_pending: bool,
}

/// See [`Undo`].
#[must_use]
pub const fn undo(used_by_rid: bool, pending: bool) -> Undo {
    Undo { drop_use: used_by_rid, drop_pending: pending }
}
