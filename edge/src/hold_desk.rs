//! One transaction about an order of a member: what it reads, what holding, using and letting go write.

use crate::answer::Answer;
use crate::member::{Inner, Who};
use crate::member_rewards::refusal;
use crate::member_store::MemberStore;
use crate::platform::Fault;
use crate::platform::now;
use counterfoil_core::checkout::{
    Hold, Purse, Source, Unfit, ends_at, let_go_code, let_go_credit, move_code, use_code, use_credit, use_reward,
};
use counterfoil_core::ids::Rid;
use counterfoil_core::protocol::member::Known;
use counterfoil_core::protocol::report::{Participant, Settled};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::{Actor, Changes, Refused, View};
use counterfoil_core::time::Instant;
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{Credit, Event, HoldState, InvalidRequest, ProtocolError, Wallet};

/// Why something is not held, moved or used; nothing was changed.
pub(crate) enum No {
    Unfit(Unfit),
    Refused(Refused),
    Refusal(Refusal),
    Missing,
}

impl From<Unfit> for No {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

impl From<Refused> for No {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl No {
    pub(crate) fn answer(&self, instance: &str) -> Result<Answer, Fault> {
        let illegal = |state: &str, legal: &[&str]| {
            let legal_moves = legal.iter().map(|name| (*name).to_owned()).collect();
            ProtocolError::IllegalMove { state: state.to_owned(), legal_moves, unknown_outcome: false }
        };
        match self {
            Self::Unfit(Unfit::Committed) => Answer::error(&illegal("committed", &[]), instance),
            Self::Unfit(Unfit::Full) => Answer::error(&illegal("full", &["commit", "release"]), instance),
            Self::Unfit(Unfit::SecondDiscount) => {
                let what = "A discount for this order".to_owned();
                Answer::error(&ProtocolError::AlreadyExists { what }, instance)
            }
            Self::Unfit(Unfit::OtherCurrency { currency }) => {
                let reason = format!("what is held for this order is in {currency}");
                Answer::invalid(InvalidRequest::one("total.currency", reason), instance)
            }
            Self::Refused(refused) => refusal(refused, instance),
            Self::Refusal(refusal) => Answer::refusal(refusal, instance),
            Self::Missing => Answer::error(&ProtocolError::NotFound, instance),
        }
    }
}

/// One transaction about an order: everything it reads and writes.
pub(crate) struct Desk<'a> {
    inner: &'a Inner,
    pub(crate) store: MemberStore<'a>,
    who: &'a Who,
    names: Names<'a>,
    actor: &'a Actor,
    pub(crate) at: Instant,
    /// What the feed is told when it is over.
    events: Vec<Event>,
}

impl Desk<'_> {
    pub(crate) fn with_wallet<T>(&self, work: impl FnOnce(&Purse<'_>) -> T) -> Result<T, Fault> {
        let wallet: Wallet = self.store.wallet(self.at)?;
        Ok(work(&Purse {
            mref: self.inner.mref()?,
            wallet: &wallet,
            next_ledger_row: self.store.next_ledger_row()?,
            actor: self.actor,
            names: self.names,
            at: self.at,
        }))
    }

    pub(crate) fn with_view<T>(&self, rid: &Rid, work: impl FnOnce(&View<'_>) -> T) -> Result<T, Fault> {
        let redemption = self.store.decided(rid)?.ok_or_else(|| Fault::new("a held redemption is missing"))?;
        let (rewards, wallet) = (self.store.held(rid)?, self.store.wallet(self.at)?);
        Ok(work(&View {
            redemption: &redemption,
            rid: *rid,
            rewards: &rewards,
            wallet: &wallet,
            next_ledger_row: self.store.next_ledger_row()?,
            paid: &[],
            // Neither discounts nor credit give features.
            features_elsewhere: &[],
            consumed: self.store.consumed(rid)?,
            member_id: &self.who.member_id,
            pid: &self.who.pid,
        }))
    }

    /// Writes what a hold's change does beside the hold.
    pub(crate) fn write(&mut self, hold: &Hold, changes: &Changes, settled: Vec<Settled>) -> Result<(), Fault> {
        let told = self.who.told(settled);
        let events = match &hold.source {
            Source::Code { .. } => self.store.write(&hold.rid, changes, told, self.at)?,
            Source::Reward { rid, .. } => self.store.write(rid, changes, told, self.at)?,
            Source::Wallet { .. } => self.store.write_effects(&hold.rid, changes, told, self.at)?,
        };
        self.events.extend(events);
        Ok(())
    }

    /// Ends a hold without the order: its value, or its use, is given back. Ended ones stay as they are.
    pub(crate) fn end(&mut self, rid: &Rid, state: HoldState) -> Result<Option<Hold>, Fault> {
        let Some(hold) = self.store.hold(rid)? else { return Ok(None) };
        let before = self.store.book(&hold.order)?;
        let mut book = before.clone();
        if book.end(rid, state, self.at).is_none() {
            return Ok(None);
        }
        let hold = book.holds.iter().find(|held| held.rid == *rid).cloned().unwrap_or(hold);
        let changes = match hold.wallet_credit() {
            Some((money, ledger_id)) => self
                .with_wallet(|purse| let_go_credit(purse, &hold, money, ledger_id))?
                .map_err(|_| Fault::new("held credit does not fit into the wallet any more"))?,
            None if matches!(hold.source, Source::Code { .. }) => {
                self.with_view(rid, |view| let_go_code(view, &hold, self.actor, &self.names, self.at))?
            }
            None => self.with_wallet(|purse| purse.noted(&hold))?,
        };
        self.write(&hold, &changes, vec![])?;
        self.store.write_book(&book.since(&before), self.at)?;
        Ok(Some(hold))
    }

    /// Puts a hold into its order's book.
    pub(crate) fn place(&self, hold: &Hold, total: &Credit) -> Result<(), Fault> {
        self.store.add_hold(hold, total, self.at)
    }

    /// Moves a hold to another order, or holds it anew.
    pub(crate) fn renew(&mut self, hold: &Hold, order: &str, total: &Credit) -> Result<Result<Hold, No>, Fault> {
        let fits = self.store.book(order)?.fits(total, Some(&hold.worth), Some(&hold.rid), self.at);
        if let Err(unfit) = fits {
            return Ok(Err(unfit.into()));
        }
        if hold.worth.currency().is_some_and(|currency| currency != total.currency) {
            return Ok(Err(Refusal::CurrencyNotAllowed.into()));
        }
        let expires_at = self.end_of(&hold.source)?;
        let moved = Hold::new(hold.rid, order.to_owned(), hold.source.clone(), hold.worth.clone(), expires_at);
        if hold.order != order {
            let before = self.store.book(&hold.order)?;
            let mut book = before.clone();
            book.take_out(&hold.rid, self.at);
            // The hold itself is written with its new order.
            self.store.write_book(&book.since(&before), self.at)?;
        }
        self.place(&moved, total)?;
        let moved = self.store.hold(&hold.rid)?.unwrap_or(moved);
        let changes = match &moved.source {
            Source::Code { .. } => {
                self.with_view(&hold.rid, |view| move_code(view, &moved, self.actor, &self.names, self.at))?
            }
            Source::Wallet { .. } | Source::Reward { .. } => self.with_wallet(|purse| purse.noted(&moved))?,
        };
        self.write(&moved, &changes, vec![])?;
        Ok(Ok(moved))
    }

    /// When what is held now ends by itself: a discount that rests ends no later than it would have without.
    pub(crate) fn end_of(&self, source: &Source) -> Result<Instant, Fault> {
        let end = ends_at(self.at);
        let Source::Reward { rid, index, .. } = source else { return Ok(end) };
        let rests = self.store.held(rid)?;
        let valid_until =
            rests.iter().find(|record| record.index == *index).and_then(|record| record.reward.valid_until);
        Ok(valid_until.map_or(end, |until| until.min(end)))
    }

    /// The order is placed: what one of its holds does. Answers what its shard is told.
    pub(crate) fn use_up(&mut self, hold: &Hold) -> Result<Result<Option<Settled>, Refused>, Fault> {
        let used = match &hold.source {
            Source::Code { campaign, reward, quantity, .. } => {
                let Known::Decided(fp) = self.store.known(&hold.rid)? else {
                    return Err(Fault::new("a held redemption is missing"));
                };
                let (_, shard) = self.store.keeper(&hold.rid)?.unwrap_or_default();
                let participant = Participant::Shard { campaign: *campaign, shard };
                let settled = Settled { participant, rid: hold.rid, fp };
                let what = (reward, *quantity);
                self.with_view(&hold.rid, |view| use_code(view, hold, what, self.actor, &self.names, self.at))?
                    .map(|changes| (changes, Some(settled)))
                    .map_err(Refused::from)
            }
            Source::Reward { rid, index, .. } => {
                let index = usize::from(*index);
                self.with_view(rid, |view| use_reward(view, index, hold, self.actor, &self.names, self.at))?
                    .map(|changes| (changes, None))
            }
            Source::Wallet { .. } => {
                let Some((money, ledger_id)) = hold.wallet_credit() else {
                    return Err(Fault::new("held credit without an amount"));
                };
                self.with_wallet(|purse| use_credit(purse, hold, money, ledger_id))?
                    .map(|changes| (changes, None))
                    .map_err(Refused::from)
            }
        };
        Ok(match used {
            Ok((changes, settled)) => {
                self.write(hold, &changes, settled.iter().cloned().collect())?;
                Ok(settled)
            }
            Err(refused) => Err(refused),
        })
    }
}

impl Inner {
    /// One transaction about an order. `Err` of the inner result rolls everything back.
    pub(crate) fn at_desk<T>(
        &self,
        actor: &Actor,
        work: impl FnOnce(&mut Desk<'_>) -> Result<Result<T, No>, Fault>,
    ) -> Result<Result<T, No>, Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let who = self.who()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let mut no = None;
        let done = self.storage.transaction(|| {
            let mut desk =
                Desk { inner: self, store: self.store(), who: &who, names, actor, at: now(), events: vec![] };
            match work(&mut desk)? {
                Ok(done) => Ok((done, desk.events)),
                Err(why) => {
                    no = Some(why);
                    Err(Fault::new("nothing is changed"))
                }
            }
        });
        match (done, no) {
            (Ok((done, events)), _) => {
                self.publish(&events);
                Ok(Ok(done))
            }
            (Err(_), Some(no)) => Ok(Err(no)),
            (Err(fault), None) => Err(fault),
        }
    }
}
