//! A shop's orders: what a member holds for them, and how the shop's server says they ended.

use crate::calls::MemberOp;
use crate::inbound::{Inbound, Stop, stop, stop_invalid};
use crate::objects::Objects;
use crate::order_calls::{HoldCall, OrderCall, OrderOp, Wanted};
use crate::platform::random;
use crate::redeem::Target;
use crate::submitted::Presented;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::token::{Principal, Role, valid_sub};
use counterfoil_core::wire::{CommitOrderBody, HoldBody, InvalidRequest, ProtocolError, ReleaseOrderBody};
use worker::{Method, Response};

/// What a path names.
pub(crate) enum OrderPart {
    Holds,
    Hold(String),
    Commit,
    Release,
}

/// Everything under `/v1/orders/{order}`.
pub(crate) async fn handle(
    inbound: Inbound<'_>,
    objects: &Objects<'_>,
    order: String,
    part: OrderPart,
) -> Result<Response, Stop> {
    match part {
        OrderPart::Holds | OrderPart::Hold(_) => inbound.need(&[Role::Member, Role::Service])?,
        OrderPart::Commit | OrderPart::Release => inbound.need(&[Role::Service])?,
    }
    if !valid_sub(&order) {
        let reason = "1 to 255 characters, not blank, no control characters";
        return stop_invalid(InvalidRequest::one("order", reason), inbound.instance);
    }
    match part {
        OrderPart::Holds if inbound.request.method() == Method::Post => hold(inbound, objects, order).await,
        OrderPart::Holds => list(inbound, objects, order).await,
        OrderPart::Hold(id) => one(inbound, objects, order, &id).await,
        OrderPart::Commit => commit(inbound, objects, order).await,
        OrderPart::Release => release(inbound, objects, order).await,
    }
}

impl Inbound<'_> {
    async fn send_order(
        &self,
        objects: &Objects<'_>,
        target: &Target,
        order: String,
        op: OrderOp,
    ) -> Result<Response, Stop> {
        let actor = (!target.own).then(|| self.principal.actor());
        self.send(objects, target, MemberOp::Order(OrderCall { order, actor, op })).await
    }
}

/// `POST /v1/orders/{order}/holds`.
async fn hold(mut inbound: Inbound<'_>, objects: &Objects<'_>, order: String) -> Result<Response, Stop> {
    let key = inbound.key()?;
    let body: HoldBody = inbound.json()?;
    if let Err(invalid) = body.check() {
        return stop_invalid(invalid, inbound.instance);
    }
    let target = inbound.target(body.member_id.as_deref(), "member_id")?;
    let (wanted, named) = match (&body.code, body.credit_minor, &body.reward) {
        (Some(text), _, _) => {
            let presented = inbound.present(objects, text, &target.mref).await?;
            let Presented { canonical, read, claim, alias, guard } = presented;
            (Wanted::Code { code: read, claim, guard, alias, method: inbound.method() }, canonical)
        }
        (None, Some(amount_minor), _) => (Wanted::Credit { amount_minor }, amount_minor.to_string()),
        (None, None, Some(id)) => (Wanted::Reward { at: inbound.place_in(&target, id)? }, id.clone()),
        // The body has been checked for exactly one of them.
        (None, None, None) => return stop(&ProtocolError::NotFound, inbound.instance),
    };
    let Principal { role, sub, .. } = &inbound.principal;
    let rid = match &key {
        Some(key) => {
            let route = format!("POST /v1/orders/{order}/holds");
            Rid::derive(&target.mref, role.name(), sub, &route, key)
        }
        None => Rid::random(&target.mref, random()),
    };
    inbound.about(&rid);
    let kind: &[u8] = match wanted {
        Wanted::Code { .. } => b"code",
        Wanted::Credit { .. } => b"credit",
        Wanted::Reward { .. } => b"reward",
    };
    let amount = body.total.amount_minor.to_be_bytes();
    let parts: [&[u8]; 5] = [kind, named.as_bytes(), body.total.currency.as_bytes(), &amount, order.as_bytes()];
    let fp = Fingerprint::of(&parts);
    let once = inbound.once(&order, fp.as_bytes())?;
    let call = HoldCall { rid, fp, total: body.total.into(), wanted, once };
    inbound.send_order(objects, &target, order, OrderOp::Hold(call)).await
}

/// `GET /v1/orders/{order}/holds`.
async fn list(mut inbound: Inbound<'_>, objects: &Objects<'_>, order: String) -> Result<Response, Stop> {
    let target = inbound.target_of_query()?;
    let page = inbound.take_page()?;
    inbound.send_order(objects, &target, order, OrderOp::Holds(page)).await
}

/// `GET` and `DELETE /v1/orders/{order}/holds/{id}`.
async fn one(mut inbound: Inbound<'_>, objects: &Objects<'_>, order: String, id: &str) -> Result<Response, Stop> {
    let target = inbound.target_of_query()?;
    let rid = inbound.config.id_key.read_hold(&inbound.principal.merchant, id);
    let Some(rid) = rid.filter(|rid| rid.mref() == target.mref) else {
        return stop(&ProtocolError::NotFound, inbound.instance);
    };
    let delete = inbound.request.method() == Method::Delete;
    let op = if delete { OrderOp::LetGo { rid } } else { OrderOp::Held { rid } };
    inbound.send_order(objects, &target, order, op).await
}

/// `POST /v1/orders/{order}/commit`.
async fn commit(mut inbound: Inbound<'_>, objects: &Objects<'_>, order: String) -> Result<Response, Stop> {
    let bytes = inbound.body()?;
    let body: CommitOrderBody = inbound.parse(&bytes)?;
    if let Err(invalid) = body.check() {
        return stop_invalid(invalid, inbound.instance);
    }
    let target = inbound.target(Some(&body.member_id), "member_id")?;
    let command = serde_json::to_vec(&(&body.member_id, &body.total))?;
    let once = inbound.once(&order, &command)?;
    let total = body.total.map(Into::into);
    inbound.send_order(objects, &target, order, OrderOp::Commit { total, once }).await
}

/// `POST /v1/orders/{order}/release`.
async fn release(mut inbound: Inbound<'_>, objects: &Objects<'_>, order: String) -> Result<Response, Stop> {
    let body: ReleaseOrderBody = inbound.json()?;
    let target = inbound.target(Some(&body.member_id), "member_id")?;
    let once = inbound.once(&order, body.member_id.as_bytes())?;
    inbound.send_order(objects, &target, order, OrderOp::Release { once }).await
}
