//! Calls about rewards and their recovery: the player's, an administrator's, an operator's.

use crate::calls::{Command, GiveCall, MemberOp, OperateCall, PageQuery, Place, RewardsQuery};
use crate::inbound::{Inbound, Stop, stop, stop_invalid};
use crate::lookup;
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json};
use crate::redeem::{self, Target};
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::reward::life::PlayerMove;
use counterfoil_core::token::{Principal, Role, valid_sub};
use counterfoil_core::wire::{
    GiveBody, InvalidRequest, PlayerMoveBody, ProtocolError, ReasonBody, ResolveBody, RewardDefinition, RewardSource,
    RewardState, check_reason,
};
use worker::Response;

/// What an administrator reads or does of one member.
#[derive(Clone, Copy)]
pub(crate) enum MemberPart {
    Export,
    Whole,
    Wallet,
    Ledger,
    Redemptions,
    Rewards,
}

/// What an administrator does to one reward.
#[derive(Clone, Copy)]
pub(crate) enum RewardCommand {
    Claim,
    Activate,
    Retry,
    Delete,
    Fulfilment,
}

/// What an operator does to one redemption.
#[derive(Clone, Copy)]
pub(crate) enum Recovery {
    Retry,
    Resolve,
    Reset,
}

impl Inbound<'_> {
    /// A reward of this merchant, by its public id.
    fn place_of(&self, id: &str) -> Result<Place, Stop> {
        match self.config.id_key.read_reward(id) {
            Some((merchant, rid, index)) if merchant == self.principal.merchant => Ok(Place { rid, index }),
            Some(_) | None => stop(&ProtocolError::NotFound, self.instance),
        }
    }

    pub(crate) fn place_in(&self, target: &Target, id: &str) -> Result<Place, Stop> {
        let place = self.place_of(id)?;
        if place.rid.mref() == target.mref { Ok(place) } else { stop(&ProtocolError::NotFound, self.instance) }
    }

    fn reason(&self, reason: Option<&str>, required: bool) -> Result<(), Stop> {
        match check_reason(reason, required) {
            Ok(()) => Ok(()),
            Err(invalid) => stop_invalid(invalid, self.instance),
        }
    }

    fn take_rewards_query(&mut self) -> Result<RewardsQuery, Stop> {
        let page: PageQuery = self.take_page()?;
        let known = |text: &str| RewardState::ALL.iter().any(|state| state.name() == text).then(|| text.to_owned());
        Ok(RewardsQuery { page, state: self.take_as("state", "a reward's state", known)? })
    }
}

/// `GET /v1/rewards`.
pub(crate) async fn list(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    let target = inbound.target_of_query()?;
    let query = inbound.take_rewards_query()?;
    inbound.send(objects, &target, MemberOp::Rewards(query)).await
}

/// `GET /v1/rewards/{id}`: one's own; staff and those above them read any.
pub(crate) async fn read(mut inbound: Inbound<'_>, objects: &Objects<'_>, id: &str) -> Result<Response, Stop> {
    if matches!(inbound.principal.role, Role::Staff | Role::Manager | Role::Admin) {
        let at = inbound.place_of(id)?;
        return inbound.send_to(objects, &at.rid.mref(), MemberOp::Reward { at }).await;
    }
    let target = inbound.target_of_query()?;
    let at = inbound.place_in(&target, id)?;
    inbound.send(objects, &target, MemberOp::Reward { at }).await
}

/// `POST /v1/rewards/{id}/claim`, `/activate`, `/decline`: repeats move nothing, so no key is needed.
pub(crate) async fn player_move(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    id: &str,
    wanted: PlayerMove,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Member, Role::Service])?;
    inbound.key()?;
    let PlayerMoveBody { member_id } = inbound.json()?;
    let target = inbound.target(member_id.as_deref(), "member_id")?;
    let at = inbound.place_in(&target, id)?;
    let actor = (!target.own).then(|| inbound.principal.actor());
    inbound.send(objects, &target, MemberOp::Move { at, wanted, actor, reason: None }).await
}

/// `PUT /v1/members/{id}` and reads of one member.
pub(crate) async fn member(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    id: &str,
    part: MemberPart,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let target = inbound.target_of_path(id)?;
    match part {
        MemberPart::Export => crate::member_export::export(inbound, objects, &target).await,
        MemberPart::Whole => lookup::put_member(inbound, objects, &target).await,
        MemberPart::Wallet => inbound.send(objects, &target, MemberOp::Wallet).await,
        MemberPart::Ledger => {
            let page = inbound.take_page()?;
            inbound.send(objects, &target, MemberOp::Ledger(page)).await
        }
        MemberPart::Redemptions => redeem::history_of(inbound, objects, &target).await,
        MemberPart::Rewards => {
            let query = inbound.take_rewards_query()?;
            inbound.send(objects, &target, MemberOp::Rewards(query)).await
        }
    }
}

/// `POST /v1/members/{id}/rewards`.
pub(crate) async fn give(mut inbound: Inbound<'_>, objects: &Objects<'_>, id: &str) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin, Role::Service])?;
    let key = inbound.key_required()?;
    let GiveBody { reward_id, reason, source, reference } = inbound.json()?;
    inbound.reason(Some(&reason), true)?;
    if reference.as_ref().is_some_and(|text| !valid_sub(text)) {
        let reason = "1 to 255 characters, not blank, no control characters";
        return stop_invalid(InvalidRequest::one("reference", reason), inbound.instance);
    }
    let target = inbound.target_of_path(id)?;
    let merchant = inbound.principal.merchant.as_str();
    let op = MerchantOp::Definition { reward_id: reward_id.clone() };
    let found = objects.merchant(merchant, &op).await?;
    if found.status_code() == 404 {
        return stop_invalid(InvalidRequest::one("reward_id", "no such reward definition"), inbound.instance);
    }
    let definition: RewardDefinition = read_json(found).await?;
    let Principal { role, sub, .. } = &inbound.principal;
    let rid = Rid::derive(&target.mref, role.name(), sub, "POST /v1/members/{id}/rewards", &key);
    let source = source.unwrap_or(RewardSource::Admin);
    let optional = |text: Option<&str>| text.map_or(vec![0], |text| [&[1], text.as_bytes()].concat());
    let named = serde_json::to_vec(&source)?;
    let parts = [reward_id.as_bytes(), reason.as_bytes(), &named, &optional(reference.as_deref())];
    let fp = Fingerprint::of(&parts);
    let actor = inbound.principal.actor();
    let call = GiveCall { rid, fp, definition, source, reference, reason, actor };
    inbound.send(objects, &target, MemberOp::Give(call)).await
}

/// `POST /v1/members/{id}/rewards/{rid}/claim`, `/activate`, `/retry`, `DELETE …/{rid}`, `PATCH …/{rid}/fulfilment`.
pub(crate) async fn command(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    (member, id): (&str, &str),
    wanted: RewardCommand,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let target = inbound.target_of_path(member)?;
    let at = inbound.place_in(&target, id)?;
    let actor = inbound.principal.actor();
    let player = match wanted {
        RewardCommand::Claim => Some(PlayerMove::Claim),
        RewardCommand::Activate => Some(PlayerMove::Activate),
        RewardCommand::Retry | RewardCommand::Delete | RewardCommand::Fulfilment => None,
    };
    if let Some(wanted) = player {
        inbound.key()?;
        let ReasonBody { reason } = inbound.json()?;
        inbound.reason(reason.as_deref(), false)?;
        let op = MemberOp::Move { at, wanted, actor: Some(actor), reason };
        return inbound.send(objects, &target, op).await;
    }
    let (command, reason, once) = match wanted {
        RewardCommand::Fulfilment => {
            let patch = inbound.patch()?;
            (Command::PatchFulfilment { at, patch, if_match: inbound.if_match()? }, None, None)
        }
        RewardCommand::Delete => {
            let said = inbound.take("reason")?;
            let ReasonBody { reason } = inbound.json()?;
            let reason = reason.or(said);
            inbound.reason(reason.as_deref(), true)?;
            (Command::DeleteReward { at }, reason, None)
        }
        RewardCommand::Claim | RewardCommand::Activate | RewardCommand::Retry => {
            let ReasonBody { reason } = inbound.json()?;
            inbound.reason(reason.as_deref(), false)?;
            let once = inbound.once(id, reason.as_deref().unwrap_or_default().as_bytes())?;
            (Command::RetryReward { at }, reason, once)
        }
    };
    inbound.send(objects, &target, MemberOp::Operate(OperateCall { command, actor, reason, once })).await
}

/// `POST /v1/redemptions/{id}/retry`, `/resolve`, `/reset`.
pub(crate) async fn recover(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    id: &str,
    wanted: Recovery,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let Some(rid) = inbound.config.id_key.read_redemption(&inbound.principal.merchant, id) else {
        return stop(&ProtocolError::NotFound, inbound.instance);
    };
    let body = inbound.body()?;
    let (command, reason) = match wanted {
        Recovery::Resolve => {
            let ResolveBody { resolution, reason, unknown_outcome } = inbound.parse(&body)?;
            inbound.reason(Some(&reason), true)?;
            (Command::Resolve { rid, resolution, unknown_outcome }, Some(reason))
        }
        Recovery::Reset => {
            let ReasonBody { reason } = inbound.parse(&body)?;
            inbound.reason(reason.as_deref(), true)?;
            (Command::Reset { rid }, reason)
        }
        Recovery::Retry => {
            let ReasonBody { reason } = inbound.parse(&body)?;
            inbound.reason(reason.as_deref(), false)?;
            (Command::Retry { rid }, reason)
        }
    };
    let once = inbound.once(id, &serde_json::to_vec(&(&command, &reason))?)?;
    let actor = inbound.principal.actor();
    let op = MemberOp::Operate(OperateCall { command, actor, reason, once });
    inbound.send_to(objects, &rid.mref(), op).await
}
