//! Codes kept for a checkout: held through their shard like any redemption, and moved where this member holds them already.

use crate::answer::Answer;
use crate::calls::{PreviewAnswer, ReadCode, RedeemCall, ShardOp};
use crate::hold_desk::No;
use crate::member::Inner;
use crate::member_holds::Terms;
use crate::once;
use crate::platform::{Fault, now};
use counterfoil_core::checkout::Hold;
use counterfoil_core::protocol::Fate;
use counterfoil_core::protocol::member::Known;
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::Actor;
use counterfoil_core::wire::Method;
use std::rc::Rc;

impl Inner {
    /// A code: moved where this member holds it already, else through its shard.
    pub(crate) async fn hold_code(
        self: &Rc<Self>,
        order: &str,
        redeem: RedeemCall,
        terms: Terms<'_>,
        acting: &Actor,
        instance: &str,
    ) -> Result<Answer, Fault> {
        let (rid, method) = (redeem.rid, redeem.method);
        let code = redeem.code.clone();
        let _turn = match &code {
            Some(code) => Some(self.holding.take((code.campaign, code.seq)).await),
            None => None,
        };
        if self.store().known(&rid)? == Known::Absent {
            if let Err(unfit) = self.store().book(order)?.fits(terms.total, None, None, now()) {
                return No::from(unfit).answer(instance);
            }
            if let Some(code) = &code
                && let Some(hold) = self.hold_of(code).await?
                && let Some(moved) = self.move_code(order, terms, (&hold, code, method), acting, instance).await?
            {
                return Ok(moved);
            }
        }
        let answer = self.redeem(redeem, instance).await?;
        if let Some(hold) = self.store().hold(&rid)?.filter(|_| answer.status() == 201) {
            let shown = self.hold_shown(201, &hold)?;
            return Ok(if answer.is_replayed() { shown.header("Idempotent-Replayed", "true") } else { shown });
        }
        // What another request has asked for, and was accepted before it was decided: it is moved all the same.
        if let Some(code) = code.filter(|_| answer.status() == 409 && !answer.is_replayed())
            && let Some(hold) = self.hold_of(&code).await?
            && let Some(moved) = self.move_code(order, terms, (&hold, &code, method), acting, instance).await?
        {
            return Ok(moved);
        }
        // The order has been placed meanwhile, or is full.
        match self.store().book(order)?.fits(terms.total, None, None, now()) {
            Err(unfit) if answer.status() == 410 && !answer.is_replayed() => No::from(unfit).answer(instance),
            Err(_) | Ok(()) => Ok(answer),
        }
    }

    /// What this member holds of a code. One that is over by the clock is ended first.
    async fn hold_of(self: &Rc<Self>, code: &ReadCode) -> Result<Option<Hold>, Fault> {
        match self.store().hold_of_code(code.campaign, code.seq)? {
            Some(hold) if hold.is_over(now()) => {
                self.expire_hold(&hold.rid).await?;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// Moves a code to another order, or holds it anew. The rules are asked again: what ended meanwhile is not held on.
    /// `None` where the hold itself has ended meanwhile.
    async fn move_code(
        self: &Rc<Self>,
        order: &str,
        terms: Terms<'_>,
        (hold, code, method): (&Hold, &ReadCode, Method),
        acting: &Actor,
        instance: &str,
    ) -> Result<Option<Answer>, Fault> {
        let facts = self.facts(code, method, Some(terms.total.currency.clone()))?;
        let op = ShardOp::Preview { facts, mref: self.mref()? };
        let (shard, previewed) = self.ask_keeper::<PreviewAnswer>((code.campaign, code.shard), &op).await?;
        let Some(preview) = previewed.preview else {
            return Answer::refusal(&Refusal::CodeNotRecognised, instance).map(Some);
        };
        if let Some(refusal) = preview.refusal.filter(|refusal| !is_about_uses(refusal)) {
            return Answer::refusal(&refusal, instance).map(Some);
        }
        let moved = self.at_desk(acting, |desk| {
            let Some(hold) = desk.store.hold(&hold.rid)?.filter(|hold| hold.is_live(desk.at)) else {
                return Ok(Ok(None));
            };
            let moved = desk.renew(&hold, order, terms.total)?;
            once::keep(desk.store.0, terms.once, &hold.rid.to_hex(), desk.at)?;
            Ok(moved.map(Some))
        })?;
        let moved = match moved {
            Ok(Some(hold)) => Ok(hold),
            Ok(None) => return Ok(None),
            Err(no) => Err(no),
        };
        if let (Ok(hold), Known::Decided(fp)) = (&moved, self.store().known(&hold.rid)?) {
            // Others who meet the code are told the new end.
            let op = ShardOp::Settle { rid: hold.rid, fp, fate: Fate::Held { until: hold.expires_at }, deadline: None };
            if let Err(fault) = self.ask_shard::<serde_json::Value>((code.campaign, shard), &op).await {
                self.log_about(&hold.rid, "settle_failed", &fault);
            }
        }
        self.hold_concluded(moved, instance).map(Some)
    }
}

/// Whether a refusal says that the code, the member's limit or the campaign's limits are used up: a use that is held
/// already is among those counted.
const fn is_about_uses(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::AlreadyRedeemedByYou { .. }
            | Refusal::AlreadyRedeemed
            | Refusal::CodeHeld { .. }
            | Refusal::MemberLimitReached { .. }
            | Refusal::CampaignLimitReached { .. }
            | Refusal::BudgetExhausted
    )
}
