//! Finding a member by telephone number, as staff at a till and administrators do, and reading numbers from requests.

use crate::answer::Answer;
use crate::calls::{MemberCall, MemberOp, PhoneChange};
use crate::directory::Listing;
use crate::inbound::{Inbound, Stop, stop, stop_invalid};
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json};
use crate::platform::Fault;
use crate::redeem::Target;
use counterfoil_core::ids::Mref;
use counterfoil_core::phone::{Phone, PhoneError};
use counterfoil_core::token::Role;
use counterfoil_core::wire::{
    InvalidRequest, LookupBody, MemberResource, Page, ProfileBody, ProtocolError, RewardDefinition, Settings,
    parse_nullable,
};
use worker::Response;

/// Path of complaints about a number, wherever it stands.
const PHONE: &str = "phone";

impl Inbound<'_> {
    /// Reads a telephone number; the merchant's settings are asked only for a national one.
    async fn phone(&self, objects: &Objects<'_>, text: &str) -> Result<Phone, Stop> {
        let read = match Phone::read(text, None) {
            Err(PhoneError::NoCountry) => {
                let merchant = self.principal.merchant.as_str();
                let settings: Settings = read_json(objects.merchant(merchant, &MerchantOp::Settings).await?).await?;
                Phone::read(text, settings.country())
            }
            read => read,
        };
        match read {
            Ok(phone) => Ok(phone),
            Err(error) => stop_invalid(InvalidRequest::one(PHONE, error.reason()), self.instance),
        }
    }

    /// A member's record, and what it says of their number: absent leaves it, null takes it away.
    async fn profile(&mut self, objects: &Objects<'_>) -> Result<(ProfileBody, Option<PhoneChange>), Stop> {
        let body = self.body()?;
        let read = parse_nullable::<ProfileBody>(&body, Some(PHONE)).and_then(|body| body.check().map(|()| body));
        let mut profile = match read {
            Ok(profile) => profile,
            Err(invalid) => return stop_invalid(invalid, self.instance),
        };
        let change = match profile.phone.take() {
            None => None,
            Some(None) => Some(PhoneChange::Remove),
            Some(Some(text)) => Some(PhoneChange::Set(self.phone(objects, &text).await?)),
        };
        Ok((profile, change))
    }

    /// Who has a telephone number, as the query gives it; `None` where nobody has.
    pub(crate) async fn holder_of(&self, objects: &Objects<'_>, text: &str) -> Result<Option<Mref>, Stop> {
        let phone = self.phone(objects, text).await?;
        let Some(found) = self.ask_holder(objects, &phone, |hash| MemberOp::Found { hash }).await? else {
            return Ok(None);
        };
        let MemberResource { member_id, .. } = read_json(found).await?;
        Ok(Some(self.config.id_key.mref(&self.principal.merchant, &member_id)))
    }

    /// Asks the member who has a number; `None` where nobody has. The Directory says whom to ask, the Member whether it
    /// is so.
    async fn ask_holder(
        &self,
        objects: &Objects<'_>,
        phone: &Phone,
        op: impl FnOnce(String) -> MemberOp,
    ) -> Result<Option<Response>, Fault> {
        let listing = Listing::of(self.config, &self.principal.merchant, phone);
        let Some(mref) = objects.holder(&listing).await? else { return Ok(None) };
        let instance = self.instance.to_owned();
        let call = MemberCall::without_id(instance, op(listing.hash));
        let response = objects.member(&self.principal.merchant, &mref, &call).await?;
        Ok(Some(response).filter(|response| response.status_code() != 404))
    }
}

/// `PUT /v1/members/{id}`.
pub(crate) async fn put_member(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    target: &Target,
) -> Result<Response, Stop> {
    let (profile, phone) = inbound.profile(objects).await?;
    let actor = inbound.principal.actor();
    inbound.send(objects, target, MemberOp::PutProfile { profile, phone, actor }).await
}

/// `GET /v1/members?phone=`: the member who has this number, or nobody.
pub(crate) async fn members(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let Some(text) = inbound.take(PHONE)? else {
        return stop_invalid(InvalidRequest::one(PHONE, "is required"), inbound.instance);
    };
    let phone = inbound.phone(objects, &text).await?;
    let items: Vec<MemberResource> = match inbound.ask_holder(objects, &phone, |hash| MemberOp::Found { hash }).await? {
        Some(response) => vec![read_json(response).await?],
        None => vec![],
    };
    Ok(Answer::json(200, &Page { items, next_cursor: None })?.into_response()?)
}

/// `POST /v1/till/lookup`.
pub(crate) async fn till(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Staff, Role::Manager, Role::Admin])?;
    let LookupBody { phone } = inbound.json()?;
    let phone = inbound.phone(objects, &phone).await?;
    let merchant = inbound.principal.merchant.as_str();
    let rewards: Vec<RewardDefinition> = read_json(objects.merchant(merchant, &MerchantOp::ForSale).await?).await?;
    match inbound.ask_holder(objects, &phone, |hash| MemberOp::Lookup { hash, rewards }).await? {
        Some(response) => Ok(response),
        None => stop(&ProtocolError::MemberNotFound, inbound.instance),
    }
}
