//! Calls of tills, of shops' servers and of managers: quotes, reversals, adjustments; and what points can buy.

use crate::calls::{Command, MemberOp, OperateCall};
use crate::inbound::{Inbound, Stop, stop, stop_invalid};
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json};
use crate::platform::random;
use crate::till_calls::{AdjustCall, ConfirmCall, QuoteCall, QuoteRef, TillOp};
use counterfoil_core::adjustment::Adjustment;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::token::{Principal, Role};
use counterfoil_core::wire::{
    AdjustmentBody, ConfirmBody, Goodwill, InvalidRequest, Page, ProtocolError, QuoteBody, ReversalBody,
    RewardDefinition, Settings, check_reason,
};
use worker::{Method, Response};

/// Who works at tills.
const TILL: [Role; 3] = [Role::Staff, Role::Manager, Role::Admin];

impl Inbound<'_> {
    fn checked<T>(&self, checked: Result<T, InvalidRequest>) -> Result<T, Stop> {
        match checked {
            Ok(value) => Ok(value),
            Err(invalid) => stop_invalid(invalid, self.instance),
        }
    }

    /// A till's offer of this merchant, by its public id. Staff see their own only.
    fn quote_of(&self, id: &str) -> Result<QuoteRef, Stop> {
        match self.config.id_key.read_quote(&self.principal.merchant, id) {
            Some(quote) => {
                let own = (self.principal.role == Role::Staff).then(|| self.principal.actor());
                Ok(QuoteRef { quote, own })
            }
            None => stop(&ProtocolError::NotFound, self.instance),
        }
    }
}

/// `POST /v1/till/quotes`.
pub(crate) async fn quote(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&TILL)?;
    let body: QuoteBody = inbound.json()?;
    inbound.checked(body.check())?;
    let once = inbound.once(&body.member_id, &serde_json::to_vec(&body)?)?;
    let QuoteBody { member_id, reward_id, quantity, again } = body;
    let target = inbound.target_of_path(&member_id)?;
    let Some(reward) = inbound.definition(objects, &reward_id).await? else {
        return stop(&ProtocolError::NotFound, inbound.instance);
    };
    let rid = Rid::random(&target.mref, random());
    let (quantity, again, actor) = (quantity.unwrap_or(1), again.unwrap_or(false), inbound.principal.actor());
    let call = QuoteCall { rid, reward, quantity, again, actor, once };
    inbound.send(objects, &target, MemberOp::Till(TillOp::Quote(call))).await
}

/// `GET` and `DELETE /v1/till/quotes/{id}`.
pub(crate) async fn one_quote(inbound: Inbound<'_>, objects: &Objects<'_>, id: &str) -> Result<Response, Stop> {
    inbound.need(&TILL)?;
    let named = inbound.quote_of(id)?;
    let mref = named.quote.mref();
    let cancelled = inbound.request.method() == Method::Delete;
    let op = if cancelled { TillOp::CancelQuote(named) } else { TillOp::ReadQuote(named) };
    inbound.send_to(objects, &mref, MemberOp::Till(op)).await
}

/// `POST /v1/till/quotes/{id}/confirm`: answered as redeeming is.
pub(crate) async fn confirm(mut inbound: Inbound<'_>, objects: &Objects<'_>, id: &str) -> Result<Response, Stop> {
    inbound.need(&TILL)?;
    let key = inbound.key_required()?;
    let quote = inbound.quote_of(id)?;
    let body: ConfirmBody = inbound.json()?;
    inbound.checked(body.check())?;
    if body.goodwill.is_some() {
        inbound.need(&[Role::Manager, Role::Admin])?;
    }
    let mref = quote.quote.mref();
    let Principal { role, sub, .. } = &inbound.principal;
    let route = format!("POST /v1/till/quotes/{id}/confirm");
    let rid = Rid::derive(&mref, role.name(), sub, &route, &key);
    inbound.about(&rid);
    let call = ConfirmCall {
        rid,
        fp: Fingerprint::of(&[id.as_bytes(), &serde_json::to_vec(&body)?]),
        quote,
        actor: inbound.principal.actor(),
        override_reason: body.goodwill.map(|Goodwill { reason }| reason),
        respond_async: inbound.prefers_async()?,
    };
    inbound.send_to(objects, &mref, MemberOp::Till(TillOp::Confirm(call))).await
}

/// `POST /v1/redemptions/{id}/reversal`.
pub(crate) async fn reverse(mut inbound: Inbound<'_>, objects: &Objects<'_>, id: &str) -> Result<Response, Stop> {
    inbound.need(&TILL)?;
    inbound.key_required()?;
    let Some(rid) = inbound.config.id_key.read_redemption(&inbound.principal.merchant, id) else {
        return stop(&ProtocolError::NotFound, inbound.instance);
    };
    let body: ReversalBody = inbound.json()?;
    inbound.checked(check_reason(Some(&body.reason), true))?;
    let once = inbound.once(id, &serde_json::to_vec(&body)?)?;
    let staff_window_s = if inbound.principal.role == Role::Staff {
        let merchant = inbound.principal.merchant.as_str();
        let settings: Settings = read_json(objects.merchant(merchant, &MerchantOp::Settings).await?).await?;
        Some(settings.reversal_window_s)
    } else {
        None
    };
    let command = Command::Reverse { rid, give_back: body.give_back, staff_window_s };
    let call = OperateCall { command, actor: inbound.principal.actor(), reason: Some(body.reason), once };
    inbound.send_to(objects, &rid.mref(), MemberOp::Operate(call)).await
}

/// `POST /v1/members/{id}/adjustments`.
pub(crate) async fn adjust(mut inbound: Inbound<'_>, objects: &Objects<'_>, id: &str) -> Result<Response, Stop> {
    inbound.need(&[Role::Service, Role::Manager, Role::Admin])?;
    inbound.key_required()?;
    let target = inbound.target_of_path(id)?;
    let body: AdjustmentBody = inbound.json()?;
    let amount = inbound.checked(body.check())?;
    let Some(once) = inbound.once(id, &serde_json::to_vec(&body)?)? else {
        return stop(&ProtocolError::IdempotencyKeyRequired, inbound.instance);
    };
    let AdjustmentBody { asset, currency, reason, order, .. } = body;
    let adjustment = Adjustment { asset, currency, amount, reason, order };
    let call = AdjustCall { adjustment, actor: inbound.principal.actor(), once };
    inbound.send(objects, &target, MemberOp::Till(TillOp::Adjust(call))).await
}

/// `GET /v1/catalogue`.
pub(crate) async fn catalogue(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    let target = inbound.target_of_query()?;
    let page = inbound.take_page()?;
    let merchant = inbound.principal.merchant.as_str();
    let Page { items: rewards, next_cursor }: Page<RewardDefinition> =
        read_json(objects.merchant(merchant, &MerchantOp::ForSalePage(page)).await?).await?;
    inbound.send(objects, &target, MemberOp::Till(TillOp::Catalogue { rewards, next_cursor })).await
}
