//! A Member at the till, as `edge/src/member_till.rs` runs it: offers, their confirmation, adjustments, purchases.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::member::Member;
use crate::message::{Answer, Asked, RedeemCall, TillAnswer, TillCall};
use crate::step::Step;
use counterfoil_core::adjustment::{AdjustView, Adjustment, NotAdjusted, adjust};
use counterfoil_core::ids::Rid;
use counterfoil_core::limits::INTENT_DEADLINE_MS;
use counterfoil_core::price::unit_cost;
use counterfoil_core::protocol::{GiftWish, Intent, MESSAGE_VERSION, Purchase, QuoteTerms, Wish};
use counterfoil_core::quote::{Asked as Offered, QuoteState, confirm_check, open};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::Actor;
use counterfoil_core::token::Attributes;
use counterfoil_core::wire::RewardSource;
use std::rc::Rc;

impl Member {
    pub(crate) fn till(self: &Rc<Self>, call: &TillCall) -> Result<TillAnswer, Fault> {
        match call {
            TillCall::Offer { .. } => self.offer(call),
            TillCall::CancelOffer { quote } => self.cancel_offer(quote),
            TillCall::Adjust { key, adjustment } => self.adjust(key, adjustment),
        }
    }

    /// Makes an offer. It moves nothing, but a newer one takes the place of an earlier one.
    fn offer(&self, call: &TillCall) -> Result<TillAnswer, Fault> {
        let TillCall::Offer { quote, reward, quantity, again, by } = call else {
            return Ok(TillAnswer::NotFound);
        };
        let at = self.now();
        self.storage.transaction(Step::Offered, |state| {
            // The key of a call stays known, whatever became of what it made.
            if state.quotes.contains_key(quote) || state.quotes_forgotten.contains(quote) {
                return Ok(TillAnswer::Made);
            }
            let asked = Offered {
                rid: *quote,
                reward,
                quantity: *quantity,
                by,
                again: *again,
                attributes: &Attributes::default(),
                roles: &[],
                points: state.wallet_at(at, self.world.defect).points,
                last_bought_at: state.last_bought_at(&reward.reward_id),
            };
            Ok(match open(&asked, at) {
                Err(refusal) => TillAnswer::Refused(refusal),
                // One that the balance does not cover is made too: it can be confirmed once it does.
                Ok((quote, _)) => {
                    state.add_quote(quote, at, self.world.defect);
                    TillAnswer::Made
                }
            })
        })
    }

    fn cancel_offer(&self, quote: &Rid) -> Result<TillAnswer, Fault> {
        self.storage.transaction(Step::Offered, |state| {
            let confirmed = self.world.has(Defect::ConfirmedCancelled);
            match state.quotes.get_mut(quote) {
                None => Ok(TillAnswer::NotFound),
                Some(quote) if !quote.may_cancel() && !confirmed => Ok(TillAnswer::Illegal),
                Some(quote) => {
                    if quote.state == QuoteState::Open || confirmed {
                        quote.state = QuoteState::Cancelled;
                    }
                    Ok(TillAnswer::Made)
                }
            }
        })
    }

    /// Earned, spent or corrected: one row, once for each key.
    fn adjust(self: &Rc<Self>, key: &str, adjustment: &Adjustment) -> Result<TillAnswer, Fault> {
        let known = self.storage.read()?.once.get(key).cloned();
        if let Some(kept) = known {
            return Ok(kept.map_or(TillAnswer::Made, TillAnswer::Refused));
        }
        let (at, names) = (self.now(), self.world.names());
        let mref = names.key.mref(names.merchant, &self.member_id());
        let (answer, events) = self.storage.transaction(Step::Adjusted, |state| {
            let wallet = state.wallet_at(at, self.world.defect);
            let next_ledger_row = state.next_ledger_row();
            let view = AdjustView { mref, wallet: &wallet, next_ledger_row };
            match adjust(&view, adjustment, &Actor::named("service:shop"), &names, at) {
                Ok((changes, _)) => {
                    self.remember_feed(state);
                    let events = state.write_effects(changes, &self.pid(), vec![], at, self.world.defect)?;
                    self.last_event.set(state.remembered);
                    if !self.world.has(Defect::AdjustmentUnkept) {
                        state.once.insert(key.to_owned(), None);
                    }
                    Ok((TillAnswer::Made, events))
                }
                Err(NotAdjusted::Refused(refusal)) => {
                    if refusal.leaves_record() {
                        state.once.insert(key.to_owned(), Some(refusal.clone()));
                    }
                    Ok((TillAnswer::Refused(refusal), vec![]))
                }
                Err(NotAdjusted::Overflow) => Ok((TillAnswer::Overflow, vec![])),
            }
        })?;
        self.publish(events);
        self.start_report();
        Ok(answer)
    }

    /// The intent of what comes through no code, or the answer where there is none.
    pub(crate) fn wished(&self, call: &RedeemCall) -> Result<Result<Intent, Answer>, Fault> {
        let at = self.now();
        let (attributes, roles) = (Attributes::default(), vec![]);
        let (wish, actor) = match &call.asked {
            Asked::Code => return Ok(Err(Answer::Refused(Refusal::CodeNotRecognised))),
            Asked::Buy { reward, quantity } => {
                let (unit_cost, reward) = (unit_cost(reward, &attributes), (**reward).clone());
                let quantity = *quantity;
                (Wish::Points(Purchase { reward, quantity, at, attributes, roles, unit_cost, quote: None }), None)
            }
            Asked::Gift { reward } => {
                let (source, reason) = (RewardSource::Admin, "support case 7".to_owned());
                let reward = (**reward).clone();
                (Wish::Gift(GiftWish { reward, source, reference: None, reason }), Some("admin:alice"))
            }
            Asked::Confirm { quote, by, override_reason } => {
                let state = self.storage.read()?;
                let own = |known: &str| override_reason.is_some() || known == *by;
                let Some(quote) = state.quotes.get(quote).filter(|quote| own(&quote.by)) else {
                    return Ok(Err(Answer::NotFound));
                };
                let last_bought_at = state.last_bought_at(&quote.reward.reward_id);
                if let Err(refusal) = confirm_check(Some(quote), last_bought_at, at, at) {
                    return Ok(Err(Answer::Refused(refusal)));
                }
                let override_reason = override_reason.map(str::to_owned);
                let purchase = Purchase {
                    reward: quote.reward.clone(),
                    quantity: quote.quantity,
                    at,
                    attributes,
                    roles,
                    unit_cost: Some(quote.unit_cost),
                    quote: Some(QuoteTerms { quote: quote.rid, override_reason }),
                };
                (Wish::Points(purchase), Some(*by))
            }
        };
        let (deadline, actor) = (at.plus_ms(INTENT_DEADLINE_MS), actor.map(str::to_owned));
        let RedeemCall { rid, fp, .. } = *call;
        Ok(Ok(Intent { v: MESSAGE_VERSION, rid, fp, wish, order: None, actor, arrived: None, deadline }))
    }
}
