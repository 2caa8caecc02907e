//! A Member's rewards: the player's moves, gifts, operators' commands, and the fulfiller's late answers.

use crate::answer::Answer;
use crate::audit_log;
use crate::calls::{Command, EndpointOf, GiveCall, OperateCall, Place};
use crate::member::Inner;
use crate::once::{self, Seen};
use crate::platform::{Fault, now, random_u32};
use counterfoil_core::audit::Draft;
use counterfoil_core::ids::Rid;
use counterfoil_core::protocol::member::{Known, MemberView, gift};
use counterfoil_core::protocol::{GiftWish, Wish};
use counterfoil_core::reward::life::{Gift, PlayerMove, Verdict, player_move};
use counterfoil_core::reward::{Actor, By, Changes, Refused, View, delivery, erasure, recovery};
use counterfoil_core::time::Instant;
use counterfoil_core::wallet::Names;
use counterfoil_core::webhook::Outcome;
use counterfoil_core::wire::{
    FulfilmentBody, InvalidRequest, ProtocolError, RedemptionStatus, Resolution, Reward, RewardState, RewardType,
    merge_patch, parse,
};
use std::rc::Rc;

/// What a command did, as its caller is told.
enum Done {
    /// As asked, or asked before.
    Made,
    /// The state does not allow it.
    Refused(Refused),
    /// The body does not fit what is there.
    Invalid(InvalidRequest),
    /// It has changed in the meantime.
    Mismatch,
    /// No such thing.
    Missing,
}

impl Inner {
    /// Changes a decided redemption and its rewards in one transaction: reads, asks core, writes. `None` where there
    /// is no such redemption.
    pub(crate) fn change<T>(
        self: &Rc<Self>,
        rid: &Rid,
        decide: impl FnOnce(&View<'_>, &Names<'_>, Instant) -> (Option<Changes>, T),
    ) -> Result<Option<T>, Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let who = self.who()?;
        let at = now();
        let (answer, events, changed) = self.storage.transaction(|| {
            let store = self.store();
            let Some(redemption) = store.decided(rid)? else { return Ok((None, vec![], false)) };
            let (rewards, wallet) = (store.held(rid)?, store.wallet(at)?);
            // Only a feature that goes has to know who else gives it.
            let feature = rewards.iter().any(|record| record.reward.kind == RewardType::Feature);
            let features_elsewhere = if feature { store.features_elsewhere(rid)? } else { vec![] };
            let paid = store.paid(&redemption)?;
            let view = View {
                redemption: &redemption,
                rid: *rid,
                rewards: &rewards,
                wallet: &wallet,
                next_ledger_row: store.next_ledger_row()?,
                paid: &paid,
                features_elsewhere: &features_elsewhere,
                consumed: store.consumed(rid)?,
                member_id: &who.member_id,
                pid: &who.pid,
            };
            let (changes, answer) = decide(&view, &names, at);
            let changed = changes.is_some();
            let events = match changes {
                Some(changes) => store.write(rid, &changes, who.told(vec![]), at)?,
                None => vec![],
            };
            Ok((Some(answer), events, changed))
        })?;
        self.publish(&events);
        if changed {
            self.start_tries(rid);
            self.start_report();
        }
        Ok(answer)
    }

    /// One reward as it stands, with its version for `If-Match`.
    pub(crate) fn reward(&self, at: Place, instance: &str) -> Result<Answer, Fault> {
        match self.held_reward(at)? {
            Some(reward) => shown(200, &reward),
            None => Answer::error(&ProtocolError::NotFound, instance),
        }
    }

    fn held_reward(&self, at: Place) -> Result<Option<Reward>, Fault> {
        let held = self.store().held(&at.rid)?;
        Ok(held.into_iter().find(|record| record.index == at.index).map(|record| record.reward))
    }

    /// Claims, activates or declines; a repeat is answered and moves nothing.
    pub(crate) fn player_move(
        self: &Rc<Self>,
        at: Place,
        wanted: PlayerMove,
        actor: Option<&str>,
        reason: Option<&str>,
        instance: &str,
    ) -> Result<Answer, Fault> {
        let who = self.who()?;
        let by = if actor.is_some_and(|actor| actor.starts_with("admin:")) { By::Administrator } else { By::Member };
        let acting = Actor::of(actor, &who.member_id, &who.pid);
        let index = usize::from(at.index);
        let refused = self.change(&at.rid, |view, names, now| {
            let verdict = player_move(view, index, wanted, (by, &acting), reason, names, now);
            (verdict.changes, verdict.refused)
        })?;
        match refused {
            None => Answer::error(&ProtocolError::NotFound, instance),
            Some(Some(refused)) => {
                if by == By::Administrator {
                    let command = (self.public_id(&at.rid, Some(at.index))?, wanted.name());
                    self.audit_refusal(command, actor.unwrap_or_default(), reason, &refused)?;
                }
                refusal(&refused, instance)
            }
            Some(None) => self.reward(at, instance),
        }
    }

    /// Gives by hand, or for a mission or a tournament.
    pub(crate) async fn give(self: &Rc<Self>, call: GiveCall, instance: &str) -> Result<Answer, Fault> {
        if call.definition.pool_id.is_some() {
            return self.give_with_codes(call, instance).await;
        }
        let GiveCall { rid, fp, definition, source, reference, reason, actor } = call;
        let first = Place { rid, index: 0 };
        match self.store().known(&rid)? {
            Known::Decided(known) if known == fp => {
                return Ok(self.given(first)?.header("Idempotent-Replayed", "true"));
            }
            Known::Decided(_) | Known::Open(_) => {
                return Answer::error(&ProtocolError::IdempotencyKeyReused, instance);
            }
            Known::Absent => {}
        }
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let who = self.who()?;
        let at = now();
        let what = Gift { definition: &definition, quantity: 1, source: Some(source), reference: reference.as_deref() };
        let given = self.storage.transaction(|| {
            let store = self.store();
            let wallet = store.wallet(at)?;
            let view = MemberView {
                known: Known::Absent,
                consumed: false,
                member_uses: 0,
                member_days: &[],
                wallet: &wallet,
                next_ledger_row: store.next_ledger_row()?,
                opened_at: None,
                quote: None,
                last_bought_at: None,
                book: None,
                member_id: &who.member_id,
                pid: &who.pid,
            };
            match gift(&view, rid, &what, (&Actor::named(&actor), &reason), &names, at) {
                Ok(changes) => store.apply_gift(&rid, &fp, &changes, who.told(vec![]), at).map(Some),
                Err(_) => Ok(None),
            }
        })?;
        let Some(events) = given else { return refusal(&Refused::Overflow, instance) };
        self.publish(&events);
        self.start_tries(&rid);
        self.start_report();
        self.given(first)
    }

    /// A gift that comes with a pool's promo codes: the pool has a say, so it is driven like any redemption.
    async fn give_with_codes(self: &Rc<Self>, call: GiveCall, instance: &str) -> Result<Answer, Fault> {
        let GiveCall { rid, fp, definition, source, reference, reason, actor } = call;
        let answer = match self.seen(&rid, &fp, false, instance).await? {
            Some(answer) => answer,
            None => {
                let wish = Wish::Gift(GiftWish { reward: definition, source, reference, reason });
                self.begin(self.wishing(rid, fp, wish, Some(actor)), false, instance).await?
            }
        };
        match self.held_reward(Place { rid, index: 0 })? {
            // Decided for: the reward itself is what was asked for.
            Some(reward) if answer.status() == 201 => {
                let given = shown(201, &reward)?.header("Location", format!("/v1/rewards/{}", reward.id));
                Ok(if answer.is_replayed() { given.header("Idempotent-Replayed", "true") } else { given })
            }
            Some(_) | None => Ok(answer),
        }
    }

    fn given(&self, at: Place) -> Result<Answer, Fault> {
        let reward = self.held_reward(at)?.ok_or_else(|| Fault::new("a gift is missing"))?;
        Ok(shown(201, &reward)?.header("Location", format!("/v1/rewards/{}", reward.id)))
    }

    /// An operator's command, once for each key; refused ones are audited too.
    pub(crate) fn operate(self: &Rc<Self>, call: OperateCall, instance: &str) -> Result<Answer, Fault> {
        let OperateCall { command, actor, reason, once } = call;
        let replayed = match once::seen(&self.storage, once.as_ref(), now())? {
            Seen::Same(_) => true,
            Seen::Other => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
            Seen::New => false,
        };
        if !replayed {
            let done = self.carry_out(&command, &actor, reason.as_deref())?;
            match done {
                Done::Made => once::keep(&self.storage, once.as_ref(), "made", now())?,
                Done::Refused(refused) => {
                    let (rid, index) = command.place();
                    let about = (self.public_id(rid, index)?, command.name());
                    self.audit_refusal(about, &actor, reason.as_deref(), &refused)?;
                    return refusal(&refused, instance);
                }
                Done::Invalid(invalid) => return Answer::invalid(invalid, instance),
                Done::Mismatch => return Answer::error(&ProtocolError::VersionMismatch, instance),
                Done::Missing => return Answer::error(&ProtocolError::NotFound, instance),
            }
        }
        let answer = match &command {
            Command::DeleteReward { .. } => Answer::empty(204),
            Command::RetryReward { at } | Command::PatchFulfilment { at, .. } => self.reward(*at, instance)?,
            Command::Retry { rid }
            | Command::Resolve { rid, .. }
            | Command::Reset { rid }
            | Command::Reverse { rid, .. } => match self.store().redemption(rid)? {
                Some(redemption) => Answer::json(200, &redemption)?,
                None => Answer::error(&ProtocolError::NotFound, instance)?,
            },
        };
        Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer })
    }

    fn carry_out(self: &Rc<Self>, command: &Command, actor: &str, reason: Option<&str>) -> Result<Done, Fault> {
        let acting = Actor::named(actor);
        let why = reason.unwrap_or_default();
        let tester = self.who()?.tester;
        let place = |at: &Place| (at.rid, usize::from(at.index));
        if let Some(done) = self.of_the_erased(command)? {
            return Ok(done);
        }
        match command {
            Command::Retry { rid }
            | Command::Resolve { rid, .. }
            | Command::Reset { rid }
            | Command::Reverse { rid, .. }
                if matches!(self.store().known(rid)?, Known::Open(_)) =>
            {
                self.operate_open(command, rid, (&acting, why))
            }
            Command::Retry { rid } => {
                self.made(rid, |view, names, at| recovery::retry(view, &acting, reason, names, at))
            }
            Command::Resolve { rid, resolution, unknown_outcome } => self.made(rid, |view, names, at| {
                recovery::resolve(view, *resolution, *unknown_outcome, (&acting, why), names, at)
            }),
            Command::Reset { rid } => {
                self.made(rid, |view, names, at| recovery::reset(view, tester, (&acting, why), names, at))
            }
            Command::Reverse { rid, give_back, staff_window_s } => self.made(rid, |view, names, at| {
                recovery::reverse(view, *give_back, *staff_window_s, (&acting, why), names, at)
            }),
            Command::RetryReward { at } => {
                let (rid, index) = place(at);
                self.made(&rid, |view, names, now| recovery::retry_reward(view, index, &acting, reason, names, now))
            }
            Command::DeleteReward { at } => {
                let (rid, index) = place(at);
                self.made(&rid, |view, names, now| recovery::delete(view, index, &acting, why, names, now))
            }
            Command::PatchFulfilment { at, patch, if_match } => self.patch_fulfilment(*at, patch, *if_match, &acting),
        }
    }

    /// What was an erased member's is final; what was deleted is deleted.
    fn of_the_erased(&self, command: &Command) -> Result<Option<Done>, Fault> {
        let (rid, index) = command.place();
        if !self.store().is_buried(rid)? {
            return Ok(None);
        }
        let held = self.store().held(rid)?;
        let reward = index.map(|index| held.get(usize::from(index)));
        Ok(Some(match (reward, command) {
            (Some(None), _) => Done::Missing,
            (Some(Some(held)), Command::DeleteReward { .. }) if held.state() == RewardState::Deleted => Done::Made,
            (_, _) => Done::Refused(erasure::over()),
        }))
    }

    fn made(
        self: &Rc<Self>,
        rid: &Rid,
        decide: impl FnOnce(&View<'_>, &Names<'_>, Instant) -> Verdict,
    ) -> Result<Done, Fault> {
        let refused = self.change(rid, |view, names, at| {
            let verdict = decide(view, names, at);
            (verdict.changes, verdict.refused)
        })?;
        Ok(match refused {
            None => Done::Missing,
            Some(Some(refused)) => Done::Refused(refused),
            Some(None) => Done::Made,
        })
    }

    /// Commands about a redemption that is accepted and not decided: it can be tried at once, or ended.
    fn operate_open(
        self: &Rc<Self>,
        command: &Command,
        rid: &Rid,
        (actor, reason): (&Actor, &str),
    ) -> Result<Done, Fault> {
        let tester = self.who()?.tester;
        match command {
            Command::Retry { .. } => {
                self.drive_again(rid)?;
                let mut draft =
                    Draft::new(actor.audited.clone(), "redemption.retried").subject(self.public_id(rid, None)?);
                draft.reason = (!reason.is_empty()).then(|| reason.to_owned());
                self.audit(&draft)?;
                Ok(Done::Made)
            }
            Command::Resolve { resolution: Resolution::Cancelled, .. } | Command::Reset { .. }
                if tester || !matches!(command, Command::Reset { .. }) =>
            {
                let Some(open) = self.store().opened(rid)? else { return Ok(Done::Missing) };
                let events = self.cancel(&open.intent, (actor, reason))?;
                self.publish(&events);
                self.start_report();
                Ok(Done::Made)
            }
            Command::Resolve { .. }
            | Command::Reset { .. }
            | Command::Reverse { .. }
            | Command::RetryReward { .. }
            | Command::DeleteReward { .. }
            | Command::PatchFulfilment { .. } => {
                let stored = self.store().redemption(rid)?;
                let status = stored.map_or(RedemptionStatus::Redeeming, |redemption| redemption.status);
                Ok(Done::Refused(Refused::illegal_status(status, recovery::operator_moves(status, tester))))
            }
        }
    }

    /// Support's own words and data beside the fulfiller's answer (RFC 7396 merge patch).
    fn patch_fulfilment(
        self: &Rc<Self>,
        place: Place,
        patch: &serde_json::Value,
        if_match: Option<u32>,
        actor: &Actor,
    ) -> Result<Done, Fault> {
        let Some(reward) = self.held_reward(place)? else { return Ok(Done::Missing) };
        if if_match.is_some_and(|wanted| wanted != version(&reward)) {
            return Ok(Done::Mismatch);
        }
        let before = reward.fulfilment.clone().unwrap_or_default();
        let mut merged = serde_json::to_value(FulfilmentBody { data: before.data.clone(), note: before.note.clone() })?;
        merge_patch(&mut merged, patch);
        let body = parse::<FulfilmentBody>(&serde_json::to_vec(&merged)?).and_then(|body| body.check().map(|()| body));
        let body = match body {
            Ok(body) => body,
            Err(invalid) => return Ok(Done::Invalid(invalid)),
        };
        self.made(&place.rid, |view, names, at| {
            let noted = recovery::note(view, usize::from(place.index), body.data, body.note, actor, names, at);
            Verdict { changes: noted, refused: None }
        })
    }

    /// The fulfiller's late answer.
    pub(crate) fn callback(
        self: &Rc<Self>,
        at: Place,
        (webhook_id, outcome): (&str, &Outcome),
        instance: &str,
    ) -> Result<Answer, Fault> {
        let index = usize::from(at.index);
        let refused = self.change(&at.rid, |view, names, now| {
            let verdict = delivery::callback(view, index, (webhook_id, outcome), random_u32(), names, now);
            (verdict.changes, verdict.refused)
        })?;
        match (refused, self.held_reward(at)?) {
            (Some(Some(refused)), _) => refusal(&refused, instance),
            (Some(None), Some(reward)) => {
                Answer::json(200, &serde_json::json!({ "id": reward.id, "state": reward.state }))
            }
            (_, _) => Answer::error(&ProtocolError::NotFound, instance),
        }
    }

    pub(crate) fn endpoint_of(&self, at: Place) -> Result<Answer, Fault> {
        let held = self.store().held(&at.rid)?;
        let record = held.into_iter().find(|record| record.index == at.index);
        let endpoint_id = record.and_then(|record| record.mechanic.endpoint().map(str::to_owned));
        Answer::json(200, &EndpointOf { endpoint_id })
    }

    /// An endpoint works again: what waits for it is tried now.
    pub(crate) fn hurry(self: &Rc<Self>, endpoint_id: &str) -> Result<Answer, Fault> {
        self.hurries.set(self.hurries.get().wrapping_add(1));
        for rid in self.store().waiting_for(endpoint_id)? {
            for index in 0..self.store().held(&rid)?.len() {
                self.change(&rid, |view, names, at| (delivery::hurry(view, index, endpoint_id, names, at), ()))?;
            }
        }
        Answer::json(200, &serde_json::json!({}))
    }

    fn audit_refusal(
        self: &Rc<Self>,
        (subject, command): (String, &str),
        actor: &str,
        reason: Option<&str>,
        refused: &Refused,
    ) -> Result<(), Fault> {
        let mut draft = Draft::new(actor, "attempt.refused").subject(subject);
        draft.reason = reason.map(str::to_owned);
        let why = match refused {
            Refused::IllegalMove { state, .. } => format!("illegal_move from {state}"),
            Refused::ValueSpent { .. } => "value_spent".to_owned(),
            Refused::Overflow => "overflow".to_owned(),
            Refused::AlreadyReversed => "already_reversed".to_owned(),
            Refused::ReversalWindowOver => "reversal_window_over".to_owned(),
            Refused::NotOwn => "forbidden".to_owned(),
        };
        draft.data = Some(serde_json::json!({ "command": command.to_lowercase(), "refused": why }));
        self.audit(&draft)
    }

    /// An audit entry of its own, in a commit of its own.
    fn audit(self: &Rc<Self>, draft: &Draft) -> Result<(), Fault> {
        let who = self.who()?;
        let chain = (who.object.as_str(), who.tester);
        self.storage.transaction(|| audit_log::append(&self.storage, chain, draft, None, vec![], vec![], now()))?;
        self.start_report();
        Ok(())
    }

    /// Public id of a redemption, or of one of its rewards.
    fn public_id(&self, rid: &Rid, index: Option<u8>) -> Result<String, Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        Ok(index.map_or_else(|| names.redemption(rid), |index| names.reward(rid, index)))
    }
}

impl Command {
    /// What it is about.
    const fn place(&self) -> (&Rid, Option<u8>) {
        match self {
            Self::Retry { rid } | Self::Resolve { rid, .. } | Self::Reset { rid } | Self::Reverse { rid, .. } => {
                (rid, None)
            }
            Self::RetryReward { at } | Self::DeleteReward { at } | Self::PatchFulfilment { at, .. } => {
                (&at.rid, Some(at.index))
            }
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Resolve { resolution: Resolution::Granted, .. } => "resolve as granted",
            Self::Resolve { resolution: Resolution::Cancelled, .. } => "resolve as cancelled",
            Self::Reset { .. } => "reset",
            Self::Reverse { .. } => "reverse",
            Self::RetryReward { .. } => "retry reward",
            Self::DeleteReward { .. } => "delete reward",
            Self::PatchFulfilment { .. } => "patch fulfilment",
        }
    }
}

/// A reward's version: moves, tries and notes all change it.
fn version(reward: &Reward) -> u32 {
    let text = serde_json::to_vec(reward).unwrap_or_default();
    let hash = counterfoil_core::ids::Fingerprint::of(&[&text]);
    let [a, b, c, d, ..] = *hash.as_bytes();
    // Never 0, which stands for an If-Match that matches nothing.
    u32::from_be_bytes([a, b, c, d]) | 1
}

fn shown(status: u16, reward: &Reward) -> Result<Answer, Fault> {
    Ok(Answer::json(status, reward)?.header("ETag", format!("\"{}\"", version(reward))))
}

/// The problem document of a refused move.
pub(crate) fn refusal(refused: &Refused, instance: &str) -> Result<Answer, Fault> {
    match refused {
        Refused::IllegalMove { state, legal_moves, unknown_outcome } => {
            let error = ProtocolError::IllegalMove {
                state: state.clone(),
                legal_moves: legal_moves.clone(),
                unknown_outcome: *unknown_outcome,
            };
            Answer::error(&error, instance)
        }
        Refused::ValueSpent { short_by } => Answer::error(&ProtocolError::ValueSpent { short_by: *short_by }, instance),
        Refused::AlreadyReversed => Answer::error(&ProtocolError::AlreadyReversed, instance),
        Refused::ReversalWindowOver => Answer::error(&ProtocolError::ReversalWindowOver, instance),
        Refused::NotOwn => Answer::error(&ProtocolError::Forbidden, instance),
        Refused::Overflow => {
            let reason = format!("the balance would exceed {}", counterfoil_core::limits::INTEGER_MAX);
            Answer::invalid(InvalidRequest::one("reward", reason), instance)
        }
    }
}
