//! A Member's orders: what is held for them, and how that ends.
//!
//! A code is held through its shard like any redemption; credit and discounts that rest are this Member's alone. Only
//! this Member says how a hold ends, and its alarm ends what nobody else does.

use crate::answer::Answer;
use crate::calls::{Once, Place, RedeemCall, ShardOp};
use crate::due;
use crate::hold_desk::No;
use crate::hold_store::hold_item;
use crate::member::{Inner, page};
use crate::member_till::SEGMENT;
use crate::once::{self, Seen};
use crate::order_calls::{HoldCall, OrderCall, OrderOp, Wanted};
use crate::platform::{Fault, now, random};
use counterfoil_core::checkout::{
    Book, CommitStep, Hold, Source, Unfit, Worth, ends_at, may_hold_reward, resource, take_credit,
};
use counterfoil_core::ids::Rid;
use counterfoil_core::protocol::member::Known;
use counterfoil_core::protocol::report::{Participant, Settled};
use counterfoil_core::protocol::{Checkout, Fate};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::{Actor, Refused};
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{Credit, HoldState, Page, ProtocolError, RewardType};
use futures_util::future::join_all;
use percent_encoding::utf8_percent_encode;
use std::rc::Rc;

/// What every hold is asked for with.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) total: &'a Credit,
    pub(crate) once: Option<&'a Once>,
}

impl Inner {
    /// Takes up a call about an order.
    pub(crate) async fn order(self: &Rc<Self>, call: OrderCall, instance: &str) -> Result<Answer, Fault> {
        let OrderCall { order, actor, op } = call;
        match op {
            OrderOp::Hold(hold) => self.hold_for(&order, hold, actor, instance).await,
            OrderOp::Holds(query) => {
                self.end_overdue_holds(&order).await?;
                let rows = self.store().holds(&order, query.before, query.limit + 1)?;
                let remaining = self.order_remaining(&order)?;
                let config = self.config()?;
                let merchant = self.merchant()?;
                let names = Names { key: &config.id_key, merchant: &merchant };
                let Page { items, next_cursor } = page(rows, query.limit);
                let items: Vec<_> = items.iter().map(|hold| resource(hold, remaining, &names)).collect();
                Answer::json(200, &Page { items, next_cursor })
            }
            OrderOp::Held { rid } => {
                self.end_overdue_holds(&order).await?;
                match self.store().hold(&rid)?.filter(|hold| hold.order == order) {
                    Some(hold) => self.hold_shown(200, &hold),
                    None => Answer::error(&ProtocolError::NotFound, instance),
                }
            }
            OrderOp::LetGo { rid } => self.let_hold_go(&order, &rid, actor, instance).await,
            OrderOp::Commit { total, once } => {
                let replayed = match once::seen(&self.storage, once.as_ref(), now())? {
                    Seen::Other => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
                    Seen::Same(_) => true,
                    Seen::New => false,
                };
                let answer = self.commit_order(&order, total.as_ref(), actor, once.as_ref(), instance).await?;
                Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer })
            }
            OrderOp::Release { once } => {
                let replayed = match once::seen(&self.storage, once.as_ref(), now())? {
                    Seen::Other => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
                    Seen::Same(_) => true,
                    Seen::New => false,
                };
                let answer = self.release_order(&order, replayed, actor, once.as_ref(), instance).await?;
                Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer })
            }
        }
    }

    async fn hold_for(
        self: &Rc<Self>,
        order: &str,
        call: HoldCall,
        actor: Option<String>,
        instance: &str,
    ) -> Result<Answer, Fault> {
        // First, for it may wait for a shard: between the look at the key and the commit nobody else may come in.
        self.end_overdue_holds(order).await?;
        match once::seen(&self.storage, call.once.as_ref(), now())? {
            Seen::Same(rid) => {
                let hold = Rid::from_hex(&rid).map(|rid| self.store().hold(&rid)).transpose()?.flatten();
                let hold = hold.ok_or_else(|| Fault::new("a hold is missing"))?;
                return Ok(self.hold_shown(201, &hold)?.header("Idempotent-Replayed", "true"));
            }
            Seen::Other => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
            Seen::New => {}
        }
        let who = self.who()?;
        let acting = Actor::of(actor.as_deref(), &who.member_id, &who.pid);
        let HoldCall { rid, fp, total, wanted, once } = call;
        let terms = Terms { total: &total, once: once.as_ref() };
        // A code that went through its shard under this key has left a redemption of its name, or is about to.
        let named = self.store().known(&rid)? != Known::Absent || self.is_running(&rid);
        if named && !matches!(wanted, Wanted::Code { .. }) {
            return Answer::error(&ProtocolError::IdempotencyKeyReused, instance);
        }
        match wanted {
            Wanted::Code { code, claim, guard, alias, method } => {
                let redeem = RedeemCall {
                    rid,
                    fp,
                    code,
                    claim,
                    guard,
                    alias,
                    method,
                    currency: Some(total.currency.clone()),
                    order: Some(order.to_owned()),
                    actor,
                    respond_async: false,
                    checkout: Some(Checkout {
                        order: order.to_owned(),
                        currency: total.currency.clone(),
                        total_minor: total.amount_minor,
                        until: ends_at(now()),
                    }),
                };
                self.hold_code(order, redeem, terms, &acting, instance).await
            }
            Wanted::Credit { amount_minor } => {
                let money = Credit { currency: total.currency.clone(), amount_minor };
                let held = self.hold_credit(order, terms, &money, &acting)?;
                self.hold_concluded(held, instance)
            }
            Wanted::Reward { at } => {
                let held = self.hold_reward(order, terms, at, &acting)?;
                self.hold_concluded(held, instance)
            }
        }
    }

    fn hold_credit(
        &self,
        order: &str,
        terms: Terms<'_>,
        money: &Credit,
        acting: &Actor,
    ) -> Result<Result<Hold, No>, Fault> {
        self.at_desk(acting, |desk| {
            let worth = Worth::Credit(money.clone());
            if let Err(unfit) = desk.store.book(order)?.fits(terms.total, Some(&worth), None, desk.at) {
                return Ok(Err(unfit.into()));
            }
            let (mut changes, ledger_id) = match desk.with_wallet(|purse| take_credit(purse, order, money))? {
                Ok(taken) => taken,
                Err(spent) => return Ok(Err(Refusal::ValueSpent { short_by: spent.short_by }.into())),
            };
            let source = Source::Wallet { ledger_id };
            let rid = Rid::random(&self.mref()?, random());
            desk.place(&Hold::new(rid, order.to_owned(), source, worth, ends_at(desk.at)), terms.total)?;
            let hold = desk.store.hold(&rid)?.ok_or_else(|| Fault::new("a hold is missing"))?;
            changes.audit = desk.with_wallet(|purse| purse.noted(&hold))?.audit;
            desk.write(&hold, &changes, vec![])?;
            once::keep(desk.store.0, terms.once, &rid.to_hex(), desk.at)?;
            Ok(Ok(hold))
        })
    }

    fn hold_reward(&self, order: &str, terms: Terms<'_>, at: Place, acting: &Actor) -> Result<Result<Hold, No>, Fault> {
        self.at_desk(acting, |desk| {
            let rests = desk.store.held(&at.rid)?;
            let Some(record) = rests.iter().find(|record| record.index == at.index) else {
                return Ok(Err(No::Missing));
            };
            let reward = &record.reward;
            let worth = Worth::of_value(reward.kind, &reward.value, reward.quantity);
            let Some(worth) =
                worth.filter(|_| reward.kind == RewardType::Discount && record.mechanic.endpoint().is_none())
            else {
                return Ok(Err(Refusal::RedemptionMethodNotAllowed.into()));
            };
            let index = usize::from(at.index);
            let may = desk.with_view(&at.rid, |view| may_hold_reward(view, index, desk.at))?;
            if let Err(refused) = may {
                return Ok(Err(refused.into()));
            }
            let held = match desk.store.hold_of_reward(&reward.id)? {
                Some(hold) if hold.is_live(desk.at) => desk.renew(&hold, order, terms.total)?,
                over => {
                    if let Some(hold) = over {
                        desk.end(&hold.rid, HoldState::Expired)?;
                    }
                    if let Err(unfit) = desk.store.book(order)?.fits(terms.total, Some(&worth), None, desk.at) {
                        return Ok(Err(unfit.into()));
                    }
                    if worth.currency().is_some_and(|currency| currency != terms.total.currency) {
                        return Ok(Err(Refusal::CurrencyNotAllowed.into()));
                    }
                    let source = Source::Reward { rid: at.rid, index: at.index, id: reward.id.clone() };
                    let rid = Rid::random(&self.mref()?, random());
                    let end = desk.end_of(&source)?;
                    desk.place(&Hold::new(rid, order.to_owned(), source, worth, end), terms.total)?;
                    let hold = desk.store.hold(&rid)?.ok_or_else(|| Fault::new("a hold is missing"))?;
                    let changes = desk.with_wallet(|purse| purse.noted(&hold))?;
                    desk.write(&hold, &changes, vec![])?;
                    Ok(hold)
                }
            };
            if let Ok(hold) = &held {
                once::keep(desk.store.0, terms.once, &hold.rid.to_hex(), desk.at)?;
            }
            Ok(held)
        })
    }

    /// The shop places the order: everything that is held for it is used, or nothing.
    async fn commit_order(
        self: &Rc<Self>,
        order: &str,
        total: Option<&Credit>,
        actor: Option<String>,
        once: Option<&Once>,
        instance: &str,
    ) -> Result<Answer, Fault> {
        let who = self.who()?;
        let acting = Actor::of(actor.as_deref(), &who.member_id, &who.pid);
        let done = self.at_desk(&acting, |desk| {
            let before = desk.store.book(order)?;
            let mut book = before.clone();
            let used = match book.commit(total, desk.at) {
                CommitStep::Use(used) => used,
                CommitStep::Repeat => return Ok(Ok((book, vec![]))),
                CommitStep::Nothing => return Ok(Err(No::Missing)),
                CommitStep::Over => return Ok(Err(Refusal::HoldExpired.into())),
                CommitStep::OtherCurrency { currency } => return Ok(Err(Unfit::OtherCurrency { currency }.into())),
            };
            let mut settled = vec![];
            for hold in &used {
                match desk.use_up(hold)? {
                    Ok(told) => settled.extend(told),
                    // A discount that rests no more is as good as over.
                    Err(Refused::IllegalMove { .. }) => return Ok(Err(Refusal::HoldExpired.into())),
                    Err(refused) => return Ok(Err(refused.into())),
                }
            }
            desk.store.write_book(&book.since(&before), desk.at)?;
            once::keep(desk.store.0, once, "committed", desk.at)?;
            Ok(Ok((book, settled)))
        })?;
        let (book, settled) = match done {
            Ok(done) => done,
            Err(no) => return no.answer(instance),
        };
        // Whoever meets a code of it from now on is told that it is used.
        join_all(settled.iter().map(|settled| self.tell_used(settled))).await;
        self.start_report();
        let used: Vec<Hold> = book.holds.iter().filter(|hold| hold.state == HoldState::Used).cloned().collect();
        self.order_shown(order, &book, &used)
    }

    async fn tell_used(&self, settled: &Settled) {
        let Participant::Shard { campaign, shard } = settled.participant else { return };
        let op = ShardOp::Settle { rid: settled.rid, fp: settled.fp, fate: Fate::Committed, deadline: None };
        // The Recorder tells it too.
        if let Err(fault) = self.ask_shard::<serde_json::Value>((campaign, shard), &op).await {
            self.log_about(&settled.rid, "settle_failed", &fault);
        }
    }

    /// The shop gives the order up: everything that is held for it is let go.
    async fn release_order(
        self: &Rc<Self>,
        order: &str,
        replayed: bool,
        actor: Option<String>,
        once: Option<&Once>,
        instance: &str,
    ) -> Result<Answer, Fault> {
        let who = self.who()?;
        let acting = Actor::of(actor.as_deref(), &who.member_id, &who.pid);
        let done = self.at_desk(&acting, |desk| {
            let book = desk.store.book(order)?;
            if book.order.is_none() {
                return Ok(Err(No::Missing));
            }
            if book.is_committed() {
                return Ok(Err(Unfit::Committed.into()));
            }
            let mut ended = vec![];
            for hold in book.holds.iter().filter(|hold| hold.state == HoldState::Held && !replayed) {
                let state = if hold.is_over(desk.at) { HoldState::Expired } else { HoldState::Released };
                ended.extend(desk.end(&hold.rid, state)?);
            }
            desk.store.notice(order, desk.at)?;
            once::keep(desk.store.0, once, "released", desk.at)?;
            Ok(Ok(ended))
        })?;
        let ended = match done {
            Ok(ended) => ended,
            Err(no) => return no.answer(instance),
        };
        self.give_holds_back(&ended).await;
        let limit = u32::try_from(counterfoil_core::limits::HOLDS_PER_ORDER_MAX).unwrap_or(u32::MAX);
        let mut latest: Vec<Hold> = self.store().holds(order, None, limit)?.into_iter().map(|(_, hold)| hold).collect();
        latest.reverse();
        self.order_shown(order, &self.store().book(order)?, &latest)
    }

    /// The member, or somebody for them, lets one hold go.
    async fn let_hold_go(
        self: &Rc<Self>,
        order: &str,
        rid: &Rid,
        actor: Option<String>,
        instance: &str,
    ) -> Result<Answer, Fault> {
        let who = self.who()?;
        let acting = Actor::of(actor.as_deref(), &who.member_id, &who.pid);
        let done = self.at_desk(&acting, |desk| {
            let Some(hold) = desk.store.hold(rid)?.filter(|hold| hold.order == order) else {
                return Ok(Err(No::Missing));
            };
            if hold.state == HoldState::Used {
                return Ok(Err(Refused::IllegalMove {
                    state: HoldState::Used.name().to_owned(),
                    legal_moves: vec![],
                    unknown_outcome: false,
                }
                .into()));
            }
            let state = if hold.is_over(desk.at) { HoldState::Expired } else { HoldState::Released };
            let ended = desk.end(rid, state)?;
            desk.store.notice(order, desk.at)?;
            Ok(Ok(ended))
        })?;
        match done {
            Ok(ended) => {
                self.give_holds_back(ended.as_slice()).await;
                Ok(Answer::empty(204))
            }
            Err(no) => no.answer(instance),
        }
    }

    /// The alarm: ends a hold whose time is over.
    pub(crate) async fn expire_hold(self: &Rc<Self>, rid: &Rid) -> Result<(), Fault> {
        let Some(hold) = self.store().hold(rid)?.filter(|hold| hold.state == HoldState::Held) else {
            return due::done(&self.storage, &hold_item(rid));
        };
        if !hold.is_over(now()) {
            return due::plan(&self.storage, &hold_item(rid), hold.expires_at);
        }
        let ended = self.at_desk(&Actor::system(), |desk| Ok(Ok(desk.end(rid, HoldState::Expired)?)))?;
        if let Ok(Some(hold)) = ended {
            self.give_holds_back(&[hold]).await;
        }
        Ok(())
    }

    /// Ends whatever of an order is over by the clock, before anything is decided about it.
    async fn end_overdue_holds(self: &Rc<Self>, order: &str) -> Result<(), Fault> {
        for rid in self.store().overdue_holds(order, now())? {
            self.expire_hold(&rid).await?;
        }
        Ok(())
    }

    /// Tells the shards at once which uses are given back; what one does not hear, the alarm tells it.
    async fn give_holds_back(self: &Rc<Self>, ended: &[Hold]) {
        let codes = ended.iter().filter(|hold| matches!(hold.source, Source::Code { .. }));
        for told in join_all(codes.map(|hold| self.give_back(&hold.rid))).await {
            if let Err(fault) = told {
                fault.log("undo_failed");
            }
        }
        if !ended.is_empty() {
            self.start_report();
        }
    }

    pub(crate) fn order_remaining(&self, order: &str) -> Result<u64, Fault> {
        Ok(self.store().book(order)?.order.map_or(0, |order| order.remaining_minor))
    }

    pub(crate) fn hold_concluded(self: &Rc<Self>, held: Result<Hold, No>, instance: &str) -> Result<Answer, Fault> {
        match held {
            Ok(hold) => {
                self.start_report();
                self.hold_shown(201, &hold)
            }
            Err(no) => no.answer(instance),
        }
    }

    /// A hold, and where it is found.
    pub(crate) fn hold_shown(&self, status: u16, hold: &Hold) -> Result<Answer, Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let shown = resource(hold, self.order_remaining(&hold.order)?, &names);
        let order = utf8_percent_encode(&hold.order, &SEGMENT);
        let location = format!("/v1/orders/{order}/holds/{}", shown.hold_id);
        let answer = Answer::json(status, &shown)?;
        Ok(if status == 201 { answer.header("Location", location) } else { answer })
    }

    fn order_shown(&self, order: &str, book: &Book, holds: &[Hold]) -> Result<Answer, Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        Answer::json(200, &book.resource(order, holds, &names))
    }
}
