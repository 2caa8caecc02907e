//! A Member's orders, as `edge/src/member_holds.rs` and `hold_desk.rs` run them: what is held, and how that ends.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::due::Item;
use crate::member::Member;
use crate::member_state::MemberState;
use crate::message::{Answer, Asked, CheckoutAnswer, CheckoutCall, ReadCode, RedeemCall, Reply, Request, Wanted};
use crate::step::Step;
use counterfoil_core::checkout::{
    Book, CommitStep, Hold, Purse, Source, Worth, ends_at, let_go_code, let_go_credit, move_code, take_credit,
    use_code, use_credit,
};
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::protocol::member::Known;
use counterfoil_core::protocol::report::{Participant, Settled};
use counterfoil_core::protocol::{Checkout, Fate};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::{Actor, Changes, View};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{Credit, Event, HoldState};
use std::rc::Rc;

/// Why something is not held, moved or used; nothing was changed.
type No = &'static str;

/// One transaction about an order: everything it reads and writes.
pub(crate) struct Desk<'a> {
    member: &'a Member,
    state: &'a mut MemberState,
    actor: Actor,
    at: Instant,
    events: Vec<Rc<Event>>,
}

impl Desk<'_> {
    fn with_wallet<T>(&self, work: impl FnOnce(&Purse<'_>) -> T) -> T {
        let names = self.member.world.names();
        let wallet = self.state.wallet_at(self.at, self.member.world.defect);
        let mref = names.key.mref(names.merchant, &self.member.member_id());
        let next_ledger_row = self.state.next_ledger_row();
        work(&Purse { mref, wallet: &wallet, next_ledger_row, actor: &self.actor, names, at: self.at })
    }

    fn with_view<T>(&self, rid: &Rid, work: impl FnOnce(&View<'_>) -> T) -> Result<T, Fault> {
        let held = self.member.held(self.state, rid, self.at).ok_or(Fault("a held redemption is missing"))?;
        Ok(work(&held.view()))
    }

    fn write(&mut self, hold: &Hold, changes: Changes, settled: Vec<Settled>) -> Result<(), Fault> {
        let (pid, defect) = (self.member.pid(), self.member.world.defect);
        self.member.remember_feed(self.state);
        let events = match &hold.source {
            Source::Code { .. } => self.state.write_settling(&hold.rid, changes, settled, &pid, self.at, defect)?,
            Source::Wallet { .. } | Source::Reward { .. } => {
                self.state.write_effects(changes, &pid, settled, self.at, defect)?
            }
        };
        self.member.last_event.set(self.state.remembered);
        self.events.extend(events);
        Ok(())
    }

    /// Ends a hold without the order: its value, or its use, is given back. Ended ones stay as they are.
    pub(crate) fn end(&mut self, rid: &Rid, state: HoldState) -> Result<Option<Hold>, Fault> {
        let defect = self.member.world.defect;
        let Some((order, ended)) = self.state.holds.get(rid).map(|(_, hold)| (hold.order.clone(), hold.state)) else {
            return Ok(None);
        };
        let before = self.state.book(&order);
        let mut book = before.clone();
        if defect == Some(Defect::EndedAgain) && ended == HoldState::Expired {
            let again = self.state.holds.get(rid).map(|(_, hold)| hold.clone());
            if let Some((hold, (money, ledger_id))) =
                again.as_ref().and_then(|hold| Some((hold, hold.wallet_credit()?)))
            {
                let changes = self.with_wallet(|purse| let_go_credit(purse, hold, money, ledger_id));
                self.write(hold, changes.map_err(|_| Fault("too much credit"))?, vec![])?;
            }
            return Ok(None);
        }
        if book.end(rid, state, self.at).is_none() {
            return Ok(None);
        }
        let hold = book.holds.iter().find(|held| held.rid == *rid).cloned().ok_or(Fault("a hold is missing"))?;
        let changes = match hold.wallet_credit() {
            Some(_) if defect == Some(Defect::HeldCreditLost) => self.with_wallet(|purse| purse.noted(&hold)),
            Some((money, ledger_id)) => self
                .with_wallet(|purse| let_go_credit(purse, &hold, money, ledger_id))
                .map_err(|_| Fault("held credit does not fit into the wallet any more"))?,
            None => {
                let names = self.member.world.names();
                let mut changes = self.with_view(rid, |view| let_go_code(view, &hold, &self.actor, &names, self.at))?;
                changes.give_back &= defect != Some(Defect::HeldUseKept);
                changes
            }
        };
        self.write(&hold, changes, vec![])?;
        self.state.write_book(&book.since(&before), self.at, defect);
        Ok(Some(hold))
    }

    /// Moves a hold to another order, or holds it anew.
    fn renew(&mut self, hold: &Hold, order: &str, total: &Credit) -> Result<Result<Hold, No>, Fault> {
        let defect = self.member.world.defect;
        if self.state.book(order).fits(total, Some(&hold.worth), Some(&hold.rid), self.at).is_err() {
            return Ok(Err("it does not fit the order"));
        }
        if hold.worth.currency().is_some_and(|currency| currency != total.currency) {
            return Ok(Err("another currency"));
        }
        let moved = Hold::new(hold.rid, order.to_owned(), hold.source.clone(), hold.worth.clone(), ends_at(self.at));
        if hold.order != order {
            let before = self.state.book(&hold.order);
            let mut book = before.clone();
            book.take_out(&hold.rid, self.at);
            self.state.write_book(&book.since(&before), self.at, defect);
        }
        self.state.add_hold(&moved, total, self.at, defect);
        let moved = self.state.holds.get(&hold.rid).map_or(moved, |(_, hold)| hold.clone());
        let names = self.member.world.names();
        let changes = self.with_view(&hold.rid, |view| move_code(view, &moved, &self.actor, &names, self.at))?;
        self.write(&moved, changes, vec![])?;
        Ok(Ok(moved))
    }

    /// The order is placed: what one of its holds does. Answers what its shard is told.
    fn use_up(&mut self, hold: &Hold) -> Result<Result<Option<Settled>, No>, Fault> {
        let names = self.member.world.names();
        let used = match &hold.source {
            Source::Code { campaign, reward, quantity, .. } => {
                let record = self.state.redemptions.get(&hold.rid).filter(|record| record.decided);
                let fp = record.ok_or(Fault("a held redemption is missing"))?.fp;
                let participant =
                    Participant::Shard { campaign: *campaign, shard: record.map_or(0, |record| record.shard) };
                let settled = Settled { participant, rid: hold.rid, fp };
                let what = (reward, *quantity);
                let used =
                    self.with_view(&hold.rid, |view| use_code(view, hold, what, &self.actor, &names, self.at))?;
                used.map(|changes| (changes, Some(settled)))
            }
            Source::Wallet { .. } | Source::Reward { .. } => {
                let (money, ledger_id) = hold.wallet_credit().ok_or(Fault("held credit without an amount"))?;
                self.with_wallet(|purse| use_credit(purse, hold, money, ledger_id)).map(|changes| (changes, None))
            }
        };
        let Ok((changes, settled)) = used else {
            return Ok(Err("a balance would overflow"));
        };
        self.write(hold, changes, settled.iter().cloned().collect())?;
        Ok(Ok(settled))
    }
}

impl Member {
    /// One transaction about an order. `Err` of the inner result rolls everything back.
    pub(crate) fn at_desk<T>(
        self: &Rc<Self>,
        step: Step,
        actor: Actor,
        work: impl FnOnce(&mut Desk<'_>) -> Result<Result<T, No>, Fault>,
    ) -> Result<Result<T, No>, Fault> {
        let mut no = None;
        let done = self.storage.transaction(step, |state| {
            let mut desk = Desk { member: self, state, actor, at: self.now(), events: vec![] };
            match work(&mut desk)? {
                Ok(done) => Ok((done, desk.events)),
                Err(why) => {
                    no = Some(why);
                    Err(Fault("nothing is changed"))
                }
            }
        });
        match (done, no) {
            (Ok((done, events)), _) => {
                self.publish(events);
                self.start_report();
                Ok(Ok(done))
            }
            (Err(_), Some(no)) => Ok(Err(no)),
            (Err(fault), None) => Err(fault),
        }
    }

    fn shop_or_member(&self, call: &CheckoutCall) -> Actor {
        match call {
            CheckoutCall::Hold { .. } | CheckoutCall::LetGo { .. } => Actor::member(&self.member_id(), &self.pid()),
            CheckoutCall::Commit { .. } | CheckoutCall::Release { .. } => Actor::named("service:shop"),
        }
    }

    pub(crate) async fn checkout(self: &Rc<Self>, call: &CheckoutCall) -> Result<CheckoutAnswer, Fault> {
        let actor = self.shop_or_member(call);
        match call {
            CheckoutCall::Hold { order, rid, fp, total, wanted, key } => {
                self.end_overdue_holds(order).await?;
                if let Some(kept) = self.storage.read()?.kept.get(key).copied() {
                    return Ok(CheckoutAnswer::Held(kept));
                }
                match wanted {
                    Wanted::Code(code) => self.hold_code(order, (*rid, *fp), total, *code, key).await,
                    Wanted::Credit(amount_minor) => {
                        let money = Credit { currency: total.currency.clone(), amount_minor: *amount_minor };
                        self.hold_credit(order, *rid, total, &money, key)
                    }
                }
            }
            CheckoutCall::LetGo { order, rid } => {
                let done = self.at_desk(Step::HoldEnded, actor, |desk| {
                    let hold = desk.state.holds.get(rid).map(|(_, hold)| hold.clone());
                    let Some(hold) = hold.filter(|hold| hold.order == *order) else {
                        return Ok(Err("no such hold"));
                    };
                    if hold.state == HoldState::Used {
                        return Ok(Err("it is used"));
                    }
                    let state = if hold.is_over(desk.at) { HoldState::Expired } else { HoldState::Released };
                    let ended = desk.end(rid, state)?;
                    desk.state.notice(order, desk.at);
                    Ok(Ok(ended))
                })?;
                match done {
                    Ok(ended) => {
                        self.give_holds_back(ended.as_slice()).await;
                        Ok(CheckoutAnswer::Done)
                    }
                    Err(no) => Ok(CheckoutAnswer::No(no)),
                }
            }
            CheckoutCall::Commit { order, total } => self.commit_order(order, total.as_ref(), actor).await,
            CheckoutCall::Release { order } => {
                let done = self.at_desk(Step::HoldEnded, actor, |desk| {
                    let book = desk.state.book(order);
                    if book.order.is_none() || book.is_committed() {
                        return Ok(Err("nothing to release"));
                    }
                    let mut ended = vec![];
                    for hold in book.holds.iter().filter(|hold| hold.state == HoldState::Held) {
                        let state = if hold.is_over(desk.at) { HoldState::Expired } else { HoldState::Released };
                        ended.extend(desk.end(&hold.rid, state)?);
                    }
                    desk.state.notice(order, desk.at);
                    Ok(Ok(ended))
                })?;
                match done {
                    Ok(ended) => {
                        self.give_holds_back(&ended).await;
                        Ok(CheckoutAnswer::Done)
                    }
                    Err(no) => Ok(CheckoutAnswer::No(no)),
                }
            }
        }
    }

    /// A code: moved where this member holds it already, else through its shard.
    async fn hold_code(
        self: &Rc<Self>,
        order: &str,
        (rid, fp): (Rid, Fingerprint),
        total: &Credit,
        code: ReadCode,
        key: &str,
    ) -> Result<CheckoutAnswer, Fault> {
        let _turn = self.take_turn((code.campaign, Some(code.seq))).await;
        if self.known(&rid)? == Known::Absent {
            if self.storage.read()?.book(order).fits(total, None, None, self.now()).is_err() {
                return Ok(CheckoutAnswer::No("it does not fit the order"));
            }
            if let Some(hold) = self.hold_of(code).await? {
                return self.move_code(order, total, &hold, code, key).await;
            }
        }
        let checkout = Checkout {
            order: order.to_owned(),
            currency: total.currency.clone(),
            total_minor: total.amount_minor,
            until: ends_at(self.now()),
        };
        let redeem = RedeemCall {
            rid,
            fp,
            code: Some(code),
            typed: code,
            order: Some(order.to_owned()),
            respond_async: false,
            asked: Asked::Code,
            checkout: Some(checkout),
        };
        let answer = self.redeem(&redeem).await?;
        if matches!(answer, Answer::Created(_)) && self.storage.read()?.holds.contains_key(&rid) {
            return Ok(CheckoutAnswer::Held(rid));
        }
        // What another request has asked for, and was accepted before it was decided: it is moved all the same.
        if matches!(answer, Answer::Refused(_))
            && let Some(hold) = self.hold_of(code).await?
        {
            return self.move_code(order, total, &hold, code, key).await;
        }
        Ok(CheckoutAnswer::Redeemed(answer))
    }

    /// What this member holds of a code. One that is over by the clock is ended first.
    async fn hold_of(self: &Rc<Self>, code: ReadCode) -> Result<Option<Hold>, Fault> {
        let found = self.storage.read()?.hold_of_code(code.campaign, code.seq);
        match found {
            Some(hold) if hold.is_over(self.now()) => {
                self.expire_hold(&hold.rid).await?;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    async fn move_code(
        self: &Rc<Self>,
        order: &str,
        total: &Credit,
        hold: &Hold,
        code: ReadCode,
        key: &str,
    ) -> Result<CheckoutAnswer, Fault> {
        let facts = self.facts(code, Some(total.currency.clone()))?;
        let request = Request::Preview { facts, rid: hold.rid };
        let Reply::Previewed(refusal) = self.ask_keeper((code.campaign, code.shard), Step::Preview, request).await?
        else {
            return Err(Fault("a preview was expected"));
        };
        if refusal.is_some_and(|refusal| !is_about_uses(&refusal)) {
            return Ok(CheckoutAnswer::No("its rules refuse"));
        }
        let actor = Actor::member(&self.member_id(), &self.pid());
        let moved = self.at_desk(Step::HoldMoved, actor, |desk| {
            let found = desk.state.holds.get(&hold.rid).map(|(_, hold)| hold.clone());
            let Some(hold) = found.filter(|hold| hold.is_live(desk.at)) else {
                return Ok(Err("it is over"));
            };
            let moved = desk.renew(&hold, order, total)?;
            desk.state.kept.insert(key.to_owned(), hold.rid);
            Ok(moved)
        })?;
        let moved = match moved {
            Ok(moved) => moved,
            Err(no) => return Ok(CheckoutAnswer::No(no)),
        };
        if let Known::Decided(fp) = self.known(&moved.rid)? {
            let fate = Fate::Held { until: moved.expires_at };
            let request = Request::Settle { rid: moved.rid, fp, fate };
            let shard = self.storage.read()?.redemptions.get(&moved.rid).map_or(0, |record| record.shard);
            let _ = self.ask_shard((code.campaign, shard), Step::Abort, request).await;
        }
        Ok(CheckoutAnswer::Held(moved.rid))
    }

    fn hold_credit(
        self: &Rc<Self>,
        order: &str,
        rid: Rid,
        total: &Credit,
        money: &Credit,
        key: &str,
    ) -> Result<CheckoutAnswer, Fault> {
        let actor = Actor::member(&self.member_id(), &self.pid());
        let defect = self.world.defect;
        let held = self.at_desk(Step::HoldMoved, actor, |desk| {
            let worth = Worth::Credit(money.clone());
            if desk.state.book(order).fits(total, Some(&worth), None, desk.at).is_err() {
                return Ok(Err("it does not fit the order"));
            }
            let Ok((mut changes, ledger_id)) = desk.with_wallet(|purse| take_credit(purse, order, money)) else {
                return Ok(Err("there is not so much"));
            };
            let hold = Hold::new(rid, order.to_owned(), Source::Wallet { ledger_id }, worth, ends_at(desk.at));
            desk.state.add_hold(&hold, total, desk.at, defect);
            changes.audit = desk.with_wallet(|purse| purse.noted(&hold)).audit;
            desk.write(&hold, changes, vec![])?;
            if defect != Some(Defect::HoldKeyUnkept) {
                desk.state.kept.insert(key.to_owned(), rid);
            }
            Ok(Ok(()))
        })?;
        Ok(held.map_or_else(CheckoutAnswer::No, |()| CheckoutAnswer::Held(rid)))
    }

    /// The shop places the order: everything that is held for it is used, or nothing.
    async fn commit_order(
        self: &Rc<Self>,
        order: &str,
        total: Option<&Credit>,
        actor: Actor,
    ) -> Result<CheckoutAnswer, Fault> {
        let defect = self.world.defect;
        let mut later: Vec<Hold> = vec![];
        let done = self.at_desk(Step::OrderPlaced, actor.clone(), |desk| {
            let before = desk.state.book(order);
            let mut book = before.clone();
            let clock = if defect == Some(Defect::OverUnseen) { desk.at.plus_ms(-1_800_000) } else { desk.at };
            let used = match book.commit(total, clock) {
                CommitStep::Use(used) => used,
                CommitStep::Repeat => return Ok(Ok(vec![])),
                CommitStep::Nothing => return Ok(Err("nothing is held")),
                CommitStep::Over => return Ok(Err("something is over")),
                CommitStep::OtherCurrency { .. } => return Ok(Err("another currency")),
            };
            if let Some(order) = book.order.as_mut().filter(|_| defect == Some(Defect::OverUnseen)) {
                order.committed_at = Some(desk.at);
            }
            if defect == Some(Defect::CommittedPartly) {
                desk.state.write_book(&book.since(&before), desk.at, defect);
                later = used;
                return Ok(Ok(vec![]));
            }
            let mut settled = vec![];
            for hold in &used {
                match desk.use_up(hold)? {
                    Ok(told) => settled.extend(told),
                    Err(no) => return Ok(Err(no)),
                }
            }
            desk.state.write_book(&book.since(&before), desk.at, defect);
            Ok(Ok(settled))
        })?;
        let done = if later.is_empty() {
            done
        } else {
            self.at_desk(Step::OrderPlaced, actor, |desk| {
                let mut settled = vec![];
                for hold in &later {
                    match desk.use_up(hold)? {
                        Ok(told) => settled.extend(told),
                        Err(no) => return Ok(Err(no)),
                    }
                }
                Ok(Ok(settled))
            })?
        };
        let settled = match done {
            Ok(settled) => settled,
            Err(no) => return Ok(CheckoutAnswer::No(no)),
        };
        for Settled { participant, rid, fp } in settled {
            if let Participant::Shard { campaign, shard } = participant {
                let request = Request::Settle { rid, fp, fate: Fate::Committed };
                // The Recorder tells it too.
                let _ = self.ask_shard((campaign, shard), Step::Abort, request).await;
            }
        }
        Ok(CheckoutAnswer::Done)
    }

    /// The alarm: ends a hold whose time is over.
    pub(crate) async fn expire_hold(self: &Rc<Self>, rid: &Rid) -> Result<(), Fault> {
        let now = self.now();
        let found = self.storage.read()?.holds.get(rid).map(|(_, hold)| hold.clone());
        let Some(hold) = found.filter(|hold| hold.state == HoldState::Held) else {
            return self.storage.write(|state| state.due.done(Item::Hold(*rid)));
        };
        if !hold.is_over(now) && !self.world.has(Defect::EndedEarly) {
            return self.storage.write(|state| state.due.plan(Item::Hold(*rid), hold.expires_at, now));
        }
        let ended =
            self.at_desk(Step::HoldEnded, Actor::system(), |desk| Ok(Ok(desk.end(rid, HoldState::Expired)?)))?;
        if let Ok(Some(hold)) = ended {
            self.give_holds_back(&[hold]).await;
        }
        Ok(())
    }

    /// Ends whatever of an order is over by the clock, before anything is decided about it.
    async fn end_overdue_holds(self: &Rc<Self>, order: &str) -> Result<(), Fault> {
        let now = self.now();
        let over: Vec<Rid> = {
            let state = self.storage.read()?;
            let holds = state.holds.values().map(|(_, hold)| hold);
            holds.filter(|hold| hold.order == order && hold.is_over(now)).map(|hold| hold.rid).collect()
        };
        for rid in over {
            self.expire_hold(&rid).await?;
        }
        Ok(())
    }

    /// Tells the shards at once which uses are given back; what one does not hear, the alarm tells it.
    async fn give_holds_back(self: &Rc<Self>, ended: &[Hold]) {
        for hold in ended.iter().filter(|hold| matches!(hold.source, Source::Code { .. })) {
            let _ = Rc::clone(self).give_back(hold.rid).await;
        }
    }
}

impl MemberState {
    /// What decides about an order.
    pub(crate) fn book(&self, order: &str) -> Book {
        let mut holds: Vec<&(u64, Hold)> =
            self.holds.values().filter(|(_, hold)| hold.order == order && hold.is_current()).collect();
        holds.sort_by_key(|(n, _)| *n);
        let holds = holds.into_iter().map(|(_, hold)| hold.clone()).collect();
        Book { order: self.orders.get(order).cloned(), holds, twin_until: None }
    }

    pub(crate) fn hold_of_code(&self, campaign: u16, seq: u32) -> Option<Hold> {
        let held = self.holds.values().map(|(_, hold)| hold).filter(|hold| hold.state == HoldState::Held);
        let mut of_code = held.filter(|hold| {
            matches!(&hold.source, Source::Code { campaign: of, seq: number, .. } if (*of, *number) == (campaign, seq))
        });
        of_code.next().cloned()
    }

    pub(crate) fn held_until(&self, rid: &Rid) -> Option<Instant> {
        let hold = self.holds.get(rid).map(|(_, hold)| hold).filter(|hold| hold.state == HoldState::Held);
        hold.map(|hold| hold.expires_at)
    }

    /// A hold gets into its order's book.
    pub(crate) fn add_hold(&mut self, hold: &Hold, total: &Credit, now: Instant, defect: Option<Defect>) {
        let before = self.book(&hold.order);
        let mut book = before.clone();
        book.place(hold.clone(), total, now);
        self.write_book(&book.since(&before), now, defect);
    }

    /// Somebody does something about an order and sees what is left of it.
    pub(crate) fn notice(&mut self, order: &str, now: Instant) {
        let before = self.book(order);
        let mut book = before.clone();
        book.notice();
        self.write_book(&book.since(&before), now, None);
    }

    /// Writes orders and holds, and plans the end of what is kept.
    pub(crate) fn write_book(
        &mut self,
        written: &counterfoil_core::checkout::Written,
        now: Instant,
        defect: Option<Defect>,
    ) {
        for order in &written.orders {
            self.orders.insert(order.name.clone(), order.clone());
        }
        for hold in &written.holds {
            let n = crate::member_state::count(self.holds.len());
            let n = self.holds.get(&hold.rid).map_or(n, |(n, _)| *n);
            self.holds.insert(hold.rid, (n, hold.clone()));
            match hold.state {
                HoldState::Held if defect == Some(Defect::HoldUnplanned) => {}
                HoldState::Held => self.due.plan(Item::Hold(hold.rid), hold.expires_at, now),
                HoldState::Used | HoldState::Released | HoldState::Expired => self.due.done(Item::Hold(hold.rid)),
            }
        }
    }
}

/// Whether a refusal says that the code, the member's limit or the campaign is used up.
const fn is_about_uses(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::AlreadyRedeemedByYou { .. }
            | Refusal::AlreadyRedeemed
            | Refusal::CodeHeld { .. }
            | Refusal::MemberLimitReached { .. }
            | Refusal::CampaignLimitReached { .. }
            | Refusal::BudgetExhausted
            | Refusal::ChallengeRequired
    )
}
