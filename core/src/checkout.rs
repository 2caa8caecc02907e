//! Checkouts: discounts and credit kept for one order until the shop's server says how it ended.
//!
//! A [`Book`] is what a Member reads about one order; it changes as plain values change, and [`Book::since`] is what the
//! commit writes. The order is first taken down by its one discount, then by credit in the order in which it was held.
//! What is over by the clock counts no more, whether or not anybody has come by to say so.

mod effects;

pub use effects::{
    Purse, let_go_code, let_go_credit, may_hold_reward, move_code, take_credit, use_code, use_credit, use_reward,
};

use crate::ids::Rid;
use crate::limits::{HOLD_MS, HOLDS_PER_ORDER_MAX, INTEGER_MAX};
use crate::protocol::member::{Decision, MemberView, Settlement, Why, blank, draft, refuse};
use crate::protocol::{Checkout, Intent, Prepared};
use crate::refusal::Refusal;
use crate::reward::work::Work;
use crate::time::Instant;
use crate::wallet::Names;
use crate::wire::{
    self, Credit, HoldState, OrderResource, Redemption, RedemptionStatus, RewardDefinition, RewardType, RewardValue,
};
use serde::{Deserialize, Serialize};

/// What a hold takes off an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// A discount: that many percent of the total, at most a hundred.
    Share(u32),
    /// A discount: an amount in its currency.
    Off(Credit),
    /// Credit; what the order does not need stays the member's.
    Credit(Credit),
}

impl Worth {
    /// What so many of a reward are worth at a checkout; `None` where it cannot be held for one.
    #[must_use]
    pub fn of(reward: &RewardDefinition, quantity: u32) -> Option<Self> {
        if reward.mechanic.endpoint().is_some() || reward.pool_id.is_some() {
            return None;
        }
        let worth = Self::of_value(reward.kind, &reward.value, quantity)?;
        Some(worth)
    }

    /// As [`Worth::of`], for a reward that was given.
    #[must_use]
    pub fn of_value(kind: RewardType, value: &RewardValue, quantity: u32) -> Option<Self> {
        let money = |currency: &String, amount: u64| {
            let amount_minor = amount.saturating_mul(u64::from(quantity)).min(INTEGER_MAX);
            Credit { currency: currency.clone(), amount_minor }
        };
        match (kind, value) {
            (RewardType::Discount, RewardValue::Percent { percent }) => {
                Some(Self::Share(u32::from(*percent).saturating_mul(quantity).min(100)))
            }
            (RewardType::Discount, RewardValue::Credit { currency, amount_minor }) => {
                Some(Self::Off(money(currency, *amount_minor)))
            }
            (RewardType::Credit, RewardValue::Credit { currency, amount_minor }) => {
                Some(Self::Credit(money(currency, *amount_minor)))
            }
            (_, _) => None,
        }
    }

    /// The currency that the order must have; any where it is a share.
    #[must_use]
    pub fn currency(&self) -> Option<&str> {
        match self {
            Self::Share(_) => None,
            Self::Off(money) | Self::Credit(money) => Some(&money.currency),
        }
    }

    /// An order has one discount at most.
    #[must_use]
    pub const fn is_discount(&self) -> bool {
        matches!(self, Self::Share(_) | Self::Off(_))
    }

    /// What it takes off an order that costs `total` and, after what came before it, still `remaining`.
    fn applied(&self, total_minor: u64, remaining_minor: u64) -> u64 {
        let wanted = match self {
            Self::Share(percent) => {
                let share = u128::from(total_minor) * u128::from(*percent) / 100;
                u64::try_from(share).unwrap_or(total_minor)
            }
            Self::Off(money) | Self::Credit(money) => money.amount_minor,
        };
        wanted.min(remaining_minor)
    }
}

/// Where what is held comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "few are read at a time")]
pub enum Source {
    /// A code; the hold has its redemption's name.
    Code {
        /// Campaign number.
        campaign: u16,
        /// The code's number in minting order.
        seq: u32,
        /// What the shard promised: what is given when the order is placed.
        reward: RewardDefinition,
        /// Units.
        quantity: u32,
    },
    /// The wallet, out of which it was taken at once.
    Wallet {
        /// The row that says so.
        ledger_id: String,
    },
    /// A discount that rests.
    Reward {
        /// Its redemption.
        rid: Rid,
        /// Which of its rewards.
        index: u8,
        /// Its public id.
        id: String,
    },
}

/// A hold as its Member keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its name; a code's is that of its redemption.
    pub rid: Rid,
    /// The shop's order.
    pub order: String,
    /// Where it comes from.
    pub source: Source,
    /// What it takes off.
    pub worth: Worth,
    /// What it takes off this order.
    pub applied_minor: u64,
    /// Where it stands.
    pub state: HoldState,
    /// When it ends by itself.
    pub expires_at: Instant,
    /// It ended by the clock, and nobody has done anything about its order since: who commits must learn of it.
    #[serde(default)]
    pub unnoticed: bool,
}

impl Hold {
    /// A hold that no order has yet.
    #[must_use]
    pub const fn new(rid: Rid, order: String, source: Source, worth: Worth, expires_at: Instant) -> Self {
        Self { rid, order, source, worth, applied_minor: 0, state: HoldState::Held, expires_at, unnoticed: false }
    }

    /// Kept, and not over by the clock.
    #[must_use]
    pub fn is_live(&self, now: Instant) -> bool {
        self.state == HoldState::Held && self.expires_at > now
    }

    /// Over by the clock; nobody has come by yet.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.state == HoldState::Held && self.expires_at <= now
    }

    /// Whether decisions about its order read it.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        match self.state {
            HoldState::Held | HoldState::Used => true,
            HoldState::Released => false,
            HoldState::Expired => self.unnoticed,
        }
    }
}

/// An order as its member's Member keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The shop's name of it.
    pub name: String,
    /// The last total given.
    pub total: Credit,
    /// What it still costs.
    pub remaining_minor: u64,
    /// When the shop placed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<Instant>,
}

/// Everything that decides about one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// The order; none before anything was held for it.
    pub order: Option<Order>,
    /// Its current holds (see [`Hold::is_current`]), the oldest first.
    pub holds: Vec<Hold>,
    /// Until when this member holds the code already that is to be held now, for whatever order: who asks again moves
    /// that hold, and takes no second use.
    pub twin_until: Option<Instant>,
}

/// What a commit writes about orders and holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Orders as they stand after it.
    pub orders: Vec<Order>,
    /// Holds that changed or are new.
    pub holds: Vec<Hold>,
}

/// Why nothing more can be held for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It was placed.
    Committed,
    /// What is held for it is in another currency.
    OtherCurrency {
        /// Which.
        currency: String,
    },
    /// It has a discount.
    SecondDiscount,
    /// It has as many holds as an order may have.
    Full,
}

/// What placing an order does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitStep {
    /// These holds are used, each by its effects.
    Use(Vec<Hold>),
    /// It was placed before.
    Repeat,
    /// Nothing is held for it.
    Nothing,
    /// Something that was held for it is over.
    Over,
    /// What is held for it is in another currency.
    OtherCurrency {
        /// Which.
        currency: String,
    },
}

impl Book {
    fn live(&self, now: Instant) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |hold| hold.is_live(now))
    }

    /// The currency of an order is that of its first live hold.
    fn currency(&self, now: Instant) -> Option<&str> {
        self.live(now).next()?;
        self.order.as_ref().map(|order| order.total.currency.as_str())
    }

    /// Whether the order was placed.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.order.as_ref().is_some_and(|order| order.committed_at.is_some())
    }

    /// Whether one more may be held for the order. `worth` is absent where nobody knows yet; `moving` is the hold that
    /// comes from elsewhere, or from this very order.
    ///
    /// # Errors
    /// Why not.
    pub fn fits(&self, total: &Credit, worth: Option<&Worth>, moving: Option<&Rid>, now: Instant) -> Result<(), Unfit> {
        if self.is_committed() {
            return Err(Unfit::Committed);
        }
        let others = || self.live(now).filter(|hold| Some(&hold.rid) != moving);
        if let Some(currency) = self.currency(now)
            && others().next().is_some()
            && currency != total.currency
        {
            return Err(Unfit::OtherCurrency { currency: currency.to_owned() });
        }
        if worth.is_some_and(Worth::is_discount) && others().any(|hold| hold.worth.is_discount()) {
            return Err(Unfit::SecondDiscount);
        }
        if others().count() >= HOLDS_PER_ORDER_MAX {
            return Err(Unfit::Full);
        }
        Ok(())
    }

    /// Holds it for the order, or holds it anew. The last total given wins.
    pub fn place(&mut self, hold: Hold, total: &Credit, now: Instant) {
        let name = hold.order.clone();
        match self.holds.iter_mut().find(|known| known.rid == hold.rid) {
            Some(known) => *known = hold,
            None => self.holds.push(hold),
        }
        let committed_at = self.order.as_ref().and_then(|order| order.committed_at);
        self.order = Some(Order { name, total: total.clone(), remaining_minor: total.amount_minor, committed_at });
        self.notice();
        self.recompute(now);
    }

    /// Takes a hold out that goes to another order.
    pub fn take_out(&mut self, rid: &Rid, now: Instant) {
        self.holds.retain(|hold| hold.rid != *rid);
        self.recompute(now);
    }

    /// Ends a live hold. Answers it as it was, unless it has ended before.
    pub fn end(&mut self, rid: &Rid, state: HoldState, now: Instant) -> Option<Hold> {
        let hold = self.holds.iter_mut().find(|hold| hold.rid == *rid && hold.state == HoldState::Held)?;
        let before = hold.clone();
        hold.state = state;
        hold.applied_minor = 0;
        hold.unnoticed = state == HoldState::Expired;
        self.recompute(now);
        Some(before)
    }

    /// Somebody does something about the order and sees what is left.
    pub fn notice(&mut self) {
        for hold in &mut self.holds {
            hold.unnoticed = false;
        }
    }

    /// The shop places the order: everything that is held for it is used, or nothing.
    pub fn commit(&mut self, total: Option<&Credit>, now: Instant) -> CommitStep {
        if self.is_committed() {
            return CommitStep::Repeat;
        }
        if self.holds.iter().any(|hold| hold.is_over(now) || hold.unnoticed) {
            return CommitStep::Over;
        }
        let Some(currency) = self.currency(now).map(str::to_owned) else { return CommitStep::Nothing };
        let Some(order) = &mut self.order else { return CommitStep::Nothing };
        if let Some(total) = total {
            if total.currency != currency {
                return CommitStep::OtherCurrency { currency };
            }
            order.total = total.clone();
        }
        self.recompute(now);
        if let Some(order) = &mut self.order {
            order.committed_at = Some(now);
        }
        let mut used = vec![];
        for hold in self.holds.iter_mut().filter(|hold| hold.is_live(now)) {
            hold.state = HoldState::Used;
            used.push(hold.clone());
        }
        CommitStep::Use(used)
    }

    /// What each live hold takes off: the discount first, then credit, the oldest first.
    fn recompute(&mut self, now: Instant) {
        let Some(order) = &mut self.order else { return };
        let total = order.total.amount_minor;
        let mut remaining = total;
        for discounts in [true, false] {
            for hold in &mut self.holds {
                if hold.is_live(now) && hold.worth.is_discount() == discounts {
                    hold.applied_minor = hold.worth.applied(total, remaining);
                    remaining -= hold.applied_minor;
                }
            }
        }
        order.remaining_minor = remaining;
    }

    /// What has changed since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Written {
        let known = |hold: &&Hold| !before.holds.contains(hold);
        Written {
            orders: self.order.iter().filter(|order| Some(*order) != before.order.as_ref()).cloned().collect(),
            holds: self.holds.iter().filter(known).cloned().collect(),
        }
    }

    /// As the API shows the order, with these of its holds.
    #[must_use]
    pub fn resource(&self, name: &str, holds: &[Hold], names: &Names<'_>) -> OrderResource {
        let total = self.order.as_ref().map(|order| order.total.clone());
        let remaining_minor = self.order.as_ref().map_or(0, |order| order.remaining_minor);
        let applied_minor = total.as_ref().map_or(0, |total| total.amount_minor.saturating_sub(remaining_minor));
        let holds = holds.iter().map(|hold| resource(hold, remaining_minor, names)).collect();
        OrderResource { order: name.to_owned(), holds, total, applied_minor, remaining_minor }
    }
}

/// A hold as the API shows it; `remaining_minor` is what its order still costs.
#[must_use]
pub fn resource(hold: &Hold, remaining_minor: u64, names: &Names<'_>) -> wire::Hold {
    let (redemption_id, reward) = match &hold.source {
        Source::Code { .. } => (Some(names.redemption(&hold.rid)), None),
        Source::Wallet { .. } => (None, None),
        Source::Reward { rid, id, .. } => (Some(names.redemption(rid)), Some(id.clone())),
    };
    wire::Hold {
        hold_id: names.hold(&hold.rid),
        order: hold.order.clone(),
        redemption_id,
        reward,
        applied_minor: hold.applied_minor,
        remaining_minor,
        expires_at: hold.expires_at,
        state: hold.state,
    }
}

/// When something that is held now ends by itself.
#[must_use]
pub const fn ends_at(now: Instant) -> Instant {
    now.plus_ms(HOLD_MS)
}

/// Step 5 for a code that is kept for an order: the shard has promised it, the Member holds it. Nothing is given before
/// the shop places the order.
#[must_use]
pub fn hold(
    view: &MemberView<'_>,
    intent: &Intent,
    prepared: &Prepared,
    checkout: &Checkout,
    names: &Names<'_>,
    now: Instant,
) -> Decision {
    let reward_id = Some(prepared.reward.reward_id.clone());
    let hold = match may_hold(view.book, intent, prepared, checkout, now) {
        Ok(hold) => hold,
        Err(refusal) => return refuse(view, intent, Why::promised(refusal, prepared), Settlement::Abort, names, now),
    };
    let redemption = Redemption {
        reward_id,
        quantity: prepared.quantity,
        attempts_max: prepared.reward.attempts_max,
        batch_id: prepared.batch_id.clone(),
        reference: prepared.reference.clone(),
        ..blank(intent, RedemptionStatus::Held, names, view.opened_at.unwrap_or(now), now)
    };
    let work = Work::deciding(view.wallet, view.next_ledger_row, intent.rid, *names, now);
    let changes = work.finish(None, redemption, draft(view, intent, "redemption.held", names));
    Decision {
        changes,
        consumes: Some(prepared.day),
        attempt: false,
        refusal: None,
        // The shard keeps its pending row: it asks, and only the Member's word ends it.
        settlement: Settlement::None,
        quote_confirmed: None,
        hold: Some(Box::new(hold)),
    }
}

fn may_hold(
    book: Option<&Book>,
    intent: &Intent,
    prepared: &Prepared,
    checkout: &Checkout,
    now: Instant,
) -> Result<Hold, Refusal> {
    let worth = Worth::of(&prepared.reward, prepared.quantity).ok_or(Refusal::RedemptionMethodNotAllowed)?;
    let code = intent.code().ok_or(Refusal::RedemptionMethodNotAllowed)?;
    if checkout.until <= now {
        return Err(Refusal::HoldExpired);
    }
    let empty = Book::default();
    let book = book.unwrap_or(&empty);
    if let Some(held_until) = book.twin_until {
        return Err(Refusal::CodeHeld { held_until });
    }
    book.fits(&checkout.total(), Some(&worth), None, now).map_err(|unfit| match unfit {
        Unfit::SecondDiscount => Refusal::AlreadyExists { what: "A discount for this order".to_owned() },
        // Both were asked before the shard was; the order has moved on meanwhile.
        Unfit::Committed | Unfit::Full => Refusal::HoldExpired,
        Unfit::OtherCurrency { .. } => Refusal::CurrencyNotAllowed,
    })?;
    let source = Source::Code {
        campaign: code.campaign,
        seq: code.facts.seq,
        reward: prepared.reward.clone(),
        quantity: prepared.quantity,
    };
    Ok(Hold::new(intent.rid, checkout.order.clone(), source, worth, checkout.until))
}

impl Checkout {
    /// What the order costs.
    #[must_use]
    pub fn total(&self) -> Credit {
        Credit { currency: self.currency.clone(), amount_minor: self.total_minor }
    }
}

#[cfg(test)]
mod tests;
