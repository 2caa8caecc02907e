//! A member's calls: what was entered is read before any object is touched, then the Member is asked.

use crate::calls::{BuyCall, HistoryQuery, MemberCall, MemberOp, PreviewCall, RedeemCall};
use crate::gate;
use crate::inbound::{Inbound, Stop, stop, stop_invalid};
use crate::member_feed::SUBPROTOCOL;
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json};
use crate::submitted::Presented;
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::limits::{INTEGER_MAX, POLL_WAIT_MAX_S};
use counterfoil_core::time::Instant;
use counterfoil_core::token::{Principal, Role, valid_sub};
use counterfoil_core::wire::{
    InvalidRequest, Method, PreviewBody, ProtocolError, RedeemBody, RedeemPathBody, RedemptionStatus, RewardDefinition,
    Wanted,
};
use worker::Response;

/// Whose data a call is about.
pub(crate) struct Target {
    pub(crate) mref: Mref,
    /// The member's own id.
    pub(crate) member_id: String,
    /// A member's own token refreshes their attributes.
    pub(crate) own: bool,
}

impl Inbound<'_> {
    /// The member of a call: the caller, or whom a service names.
    pub(crate) fn target(&self, member_id: Option<&str>, path: &str) -> Result<Target, Stop> {
        self.need(&[Role::Member, Role::Service])?;
        let Principal { merchant, sub, role, .. } = &self.principal;
        let invalid = |reason: &str| stop_invalid(InvalidRequest::one(path, reason), self.instance);
        let sub = match (*role, member_id) {
            (Role::Service, Some(id)) if valid_sub(id) => id,
            (Role::Service, Some(_)) => return invalid("1 to 255 characters, not blank, no control characters"),
            (Role::Service, None) => return invalid("a service names the member it acts for"),
            (_, Some(_)) => return invalid("only a service acts for another member"),
            (_, None) => sub,
        };
        let mref = self.config.id_key.mref(merchant, sub);
        Ok(Target { mref, member_id: sub.to_owned(), own: *role == Role::Member })
    }

    /// The member that an administrator's path names.
    pub(crate) fn target_of_path(&self, member_id: &str) -> Result<Target, Stop> {
        if !valid_sub(member_id) {
            return stop(&ProtocolError::NotFound, self.instance);
        }
        let mref = self.config.id_key.mref(&self.principal.merchant, member_id);
        Ok(Target { mref, member_id: member_id.to_owned(), own: false })
    }

    pub(crate) fn target_of_query(&mut self) -> Result<Target, Stop> {
        let member_id = self.take("member_id")?;
        self.target(member_id.as_deref(), "query member_id")
    }

    /// How a redemption comes: derived from the token, never claimed.
    pub(crate) fn method(&self) -> Method {
        match (self.principal.role, self.principal.via.as_deref()) {
            (Role::Service, _) => Method::Api,
            (_, Some("email")) => Method::Email,
            (_, _) => Method::Frontend,
        }
    }

    /// How long before its end a reward is announced: what gives or moves one goes with it, and what reads only where this
    /// isolate knows. Without it the Member goes by what it heard last.
    async fn notify_days(&self, objects: &Objects<'_>) -> Option<u32> {
        let merchant = &self.principal.merchant;
        if self.request.method() == worker::Method::Get {
            return gate::notify_days(merchant);
        }
        gate::of(objects, merchant).await.ok().map(|gate| gate.settings.notify_days_before)
    }

    async fn call(&self, objects: &Objects<'_>, target: &Target, op: MemberOp) -> MemberCall {
        let refresh = target.own.then(|| self.principal.attributes.clone());
        let (instance, member_id) = (self.instance.to_owned(), Some(target.member_id.clone()));
        MemberCall {
            instance,
            member_id,
            refresh,
            arrived: Some(self.line.arrived()),
            notify_days: self.notify_days(objects).await,
            op,
        }
    }

    pub(crate) async fn send(&self, objects: &Objects<'_>, target: &Target, op: MemberOp) -> Result<Response, Stop> {
        let call = self.call(objects, target, op).await;
        Ok(objects.member(&self.principal.merchant, &target.mref, &call).await?)
    }

    /// To a Member that an id names: only the Member itself knows who it is.
    pub(crate) async fn send_to(&self, objects: &Objects<'_>, mref: &Mref, op: MemberOp) -> Result<Response, Stop> {
        let (instance, arrived) = (self.instance.to_owned(), Some(self.line.arrived()));
        let notify_days = self.notify_days(objects).await;
        let call = MemberCall { instance, member_id: None, refresh: None, arrived, notify_days, op };
        Ok(objects.member(&self.principal.merchant, mref, &call).await?)
    }

    /// Tells the log which redemption this is about.
    pub(crate) fn about(&self, rid: &Rid) {
        self.line.redemption(&self.config.id_key, &self.principal.merchant, rid);
    }

    /// A reward's definition in the version that counts now.
    pub(crate) async fn definition(
        &self,
        objects: &Objects<'_>,
        reward_id: &str,
    ) -> Result<Option<RewardDefinition>, Stop> {
        let op = MerchantOp::Definition { reward_id: reward_id.to_owned() };
        let found = objects.merchant(self.principal.merchant.as_str(), &op).await?;
        if found.status_code() == 404 {
            return Ok(None);
        }
        Ok(Some(read_json(found).await?))
    }

    fn check_order_and_currency(&self, order: Option<&str>, currency: Option<&str>) -> Result<(), Stop> {
        let mut errors = InvalidRequest::default();
        if order.is_some_and(|order| !valid_sub(order)) {
            errors.add("order", "1 to 255 characters, not blank, no control characters");
        }
        if currency.is_some_and(|text| text.len() != 3 || !text.bytes().all(|b| b.is_ascii_uppercase())) {
            errors.add("currency", "three capital letters (ISO 4217)");
        }
        match errors.into_result() {
            Ok(()) => Ok(()),
            Err(invalid) => stop_invalid(invalid, self.instance),
        }
    }
}

/// `POST /v1/redemptions` and `POST /v1/codes/{code}/redemptions`.
pub(crate) async fn redeem(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    path_code: Option<String>,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Member, Role::Service])?;
    let key = inbound.key_required()?;
    let body = match &path_code {
        Some(code) => {
            let RedeemPathBody { currency, order, member_id } = inbound.json()?;
            RedeemBody { code: Some(code.clone()), reward_id: None, quantity: None, currency, order, member_id }
        }
        None => inbound.json()?,
    };
    let target = inbound.target(body.member_id.as_deref(), "member_id")?;
    let code = match body.check() {
        Ok(Wanted::Code(code)) => code.to_owned(),
        Ok(Wanted::Reward { reward_id, quantity }) => {
            return buy(&inbound, objects, &target, (reward_id, quantity), &key).await;
        }
        Err(invalid) => return stop_invalid(invalid, inbound.instance),
    };
    inbound.check_order_and_currency(body.order.as_deref(), body.currency.as_deref())?;
    let presented = inbound.present(objects, &code, &target.mref).await?;
    let Presented { canonical, read, claim, alias, guard } = presented;
    let Principal { role, sub, .. } = &inbound.principal;
    let route = match &path_code {
        Some(_) => format!("POST /v1/codes/{canonical}/redemptions"),
        None => "POST /v1/redemptions".to_owned(),
    };
    let rid = Rid::derive(&target.mref, role.name(), sub, &route, &key);
    inbound.about(&rid);
    let optional = |text: &Option<String>| text.as_ref().map_or(vec![0], |text| [&[1], text.as_bytes()].concat());
    let fp = Fingerprint::of(&[canonical.as_bytes(), &optional(&body.currency), &optional(&body.order)]);
    let call = RedeemCall {
        rid,
        fp,
        code: read,
        claim,
        guard,
        alias,
        method: inbound.method(),
        currency: body.currency,
        order: body.order,
        actor: (!target.own).then(|| inbound.principal.actor()),
        respond_async: inbound.prefers_async()?,
        checkout: None,
    };
    inbound.send(objects, &target, MemberOp::Redeem(call)).await
}

/// A purchase with points.
async fn buy(
    inbound: &Inbound<'_>,
    objects: &Objects<'_>,
    target: &Target,
    (reward_id, quantity): (&str, u32),
    key: &str,
) -> Result<Response, Stop> {
    let respond_async = inbound.prefers_async()?;
    let Some(reward) = inbound.definition(objects, reward_id).await? else {
        return stop(&ProtocolError::NotFound, inbound.instance);
    };
    let Principal { role, sub, .. } = &inbound.principal;
    let rid = Rid::derive(&target.mref, role.name(), sub, "POST /v1/redemptions", key);
    inbound.about(&rid);
    let fp = Fingerprint::of(&[b"points", reward_id.as_bytes(), &quantity.to_be_bytes()]);
    let actor = (!target.own).then(|| inbound.principal.actor());
    let call = BuyCall { rid, fp, reward, quantity, actor, respond_async };
    inbound.send(objects, target, MemberOp::Buy(call)).await
}

/// `POST /v1/codes/preview`.
pub(crate) async fn preview(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Member, Role::Service])?;
    let PreviewBody { code, currency, member_id } = inbound.json()?;
    let target = inbound.target(member_id.as_deref(), "member_id")?;
    inbound.check_order_and_currency(None, currency.as_deref())?;
    let presented = inbound.present(objects, &code, &target.mref).await?;
    let Presented { read, claim, alias, guard, .. } = presented;
    let actor = (!target.own).then(|| inbound.principal.actor());
    let op =
        MemberOp::Preview(PreviewCall { code: read, claim, guard, alias, method: inbound.method(), currency, actor });
    inbound.send(objects, &target, op).await
}

/// `GET /v1/redemptions/{id}`.
pub(crate) async fn read(mut inbound: Inbound<'_>, objects: &Objects<'_>, id: &str) -> Result<Response, Stop> {
    if inbound.principal.role >= Role::Staff && inbound.principal.role != Role::Service {
        // Staff and those above them read any of their merchant's.
        inbound.need(&[Role::Staff, Role::Manager, Role::Admin])?;
        return match inbound.config.id_key.read_redemption(&inbound.principal.merchant, id) {
            Some(rid) => inbound.send_to(objects, &rid.mref(), MemberOp::Redemption { rid }).await,
            None => stop(&ProtocolError::NotFound, inbound.instance),
        };
    }
    let target = inbound.target_of_query()?;
    let rid = inbound.config.id_key.read_redemption(&inbound.principal.merchant, id);
    match rid.filter(|rid| rid.mref() == target.mref) {
        Some(rid) => inbound.send(objects, &target, MemberOp::Redemption { rid }).await,
        None => stop(&ProtocolError::NotFound, inbound.instance),
    }
}

/// Filters of `GET /v1/redemptions` that only the list of all members has.
const OF_ALL: [&str; 8] = ["since", "phone", "code", "batch_id", "reference", "order", "staff", "testers"];

/// `GET /v1/redemptions`.
pub(crate) async fn history(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    let target = inbound.target_of_query()?;
    if let Some((name, _)) = inbound.query.iter().find(|(name, _)| OF_ALL.contains(&name.as_str())) {
        let invalid = InvalidRequest::one(&format!("query {name}"), "goes with all=1");
        return stop_invalid(invalid, inbound.instance);
    }
    history_of(inbound, objects, &target).await
}

/// A member's redemptions.
pub(crate) async fn history_of(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    target: &Target,
) -> Result<Response, Stop> {
    let known = |text: &str| RedemptionStatus::ALL.iter().any(|status| status.name() == text).then(|| text.to_owned());
    let query = HistoryQuery {
        page: inbound.take_page()?,
        status: inbound.take_as("status", "a redemption's status", known)?,
        campaign: inbound.take_as("campaign", "a campaign's number", |text| text.parse().ok().filter(|n| *n > 0))?,
        from: inbound.take_as("from", "an instant such as 2026-11-21T09:30:00Z", Instant::parse)?,
        to: inbound.take_as("to", "an instant such as 2026-11-21T09:30:00Z", Instant::parse)?,
    };
    inbound.send(objects, target, MemberOp::Redemptions(query)).await
}

/// `GET /v1/wallet`.
pub(crate) async fn wallet(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    let target = inbound.target_of_query()?;
    inbound.send(objects, &target, MemberOp::Wallet).await
}

/// `GET /v1/ledger`.
pub(crate) async fn ledger(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    let target = inbound.target_of_query()?;
    let page = inbound.take_page()?;
    inbound.send(objects, &target, MemberOp::Ledger(page)).await
}

/// `GET /v1/events`: WebSocket, or long poll without an upgrade.
pub(crate) async fn events(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    let target = inbound.target_of_query()?;
    let whole = |text: &str| text.parse::<u64>().ok().filter(|n| *n <= INTEGER_MAX && !text.starts_with('+'));
    let since = inbound.take_as("since", "a whole number: the last seq you have", whole)?;
    let wait = inbound.take_as("wait", "0 to 25 seconds", |text| {
        text.parse().ok().filter(|wait| *wait <= POLL_WAIT_MAX_S && !text.starts_with('+'))
    })?;
    let headers = inbound.request.headers();
    let socket = headers.get("Upgrade")?.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"));
    let offered = headers.get("Sec-WebSocket-Protocol")?.unwrap_or_default();
    let select = offered.split(',').any(|protocol| protocol.trim() == SUBPROTOCOL);
    if socket && !select && !offered.is_empty() {
        let invalid = InvalidRequest::one("header Sec-WebSocket-Protocol", format!("{SUBPROTOCOL} is spoken here"));
        return stop_invalid(invalid, inbound.instance);
    }
    let op =
        MemberOp::Events { since, wait_s: wait.unwrap_or(0), expires_at: inbound.principal.expires_at, socket, select };
    if socket {
        let call = inbound.call(objects, &target, op).await;
        return Ok(objects.member_socket(&inbound.principal.merchant, &target.mref, &call).await?);
    }
    inbound.send(objects, &target, op).await
}
