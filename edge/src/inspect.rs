//! Everything known of one code. Of one whose tag does not fit nothing is said that it claims of a campaign.

use crate::answer::Answer;
use crate::calls::{MemberCall, MemberOp, ReadCode, ShardOp, Uses};
use crate::explain::ask_keeper;
use crate::inbound::{Inbound, Stop};
use crate::objects::{Objects, campaign_name, read_json};
use crate::platform::{Fault, now};
use crate::shard_look::{Looked, USES_SHOWN};
use crate::submitted::Submitted;
use counterfoil_core::code::check;
use counterfoil_core::ids::Rid;
use counterfoil_core::rules::Facts;
use counterfoil_core::time::Instant;
use counterfoil_core::token::{Attributes, Role};
use counterfoil_core::wire::{CampaignKind, CodeKind, CodeUse, InspectBody, Inspection, Method, Redemption};
use futures_util::future::try_join_all;
use worker::Response;

/// Objects that are asked at the same time.
const ASKED_AT_ONCE: usize = 20;

/// `POST /v1/codes/inspect`.
pub(crate) async fn inspect(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let InspectBody { code } = inbound.json()?;
    let submitted = inbound.submitted(&code)?;
    let gate = inbound.gate(objects).await?;
    // Nobody's: what is asked is of the code alone.
    let mref = inbound.config.id_key.mref(&inbound.principal.merchant, "");
    let read = inbound.recognise(objects, &submitted, &gate, &mref).await?;
    let (code, kind, profile, epoch) = match &submitted {
        Submitted::Code { canonical, claim, .. } => {
            (canonical.clone(), CodeKind::Code, Some(claim.profile), Some(claim.epoch))
        }
        Submitted::Alias { alias } => (alias.as_str().to_owned(), CodeKind::Alias, None, None),
    };
    let serial = read.as_ref().and_then(|_| check(&code).ok()).map(|code| u64::from(code.serial()));
    let mut inspection = Inspection {
        code,
        kind,
        profile,
        epoch,
        campaign: read.as_ref().map(|read| read.campaign),
        authentic: read.is_some(),
        issued: false,
        seq: read.as_ref().map(|read| read.seq),
        serial,
        batch: None,
        recalled: None,
        uses: vec![],
        held_until: None,
    };
    if let Some(read) = &read {
        let op = ShardOp::Look { facts: facts(read), mref };
        if let Some((shard, looked)) = ask_keeper(&inbound, objects, read, &op).await? {
            inspection.issued = true;
            inspection.batch.clone_from(&looked.batch_id);
            let recalled = |(rule, refusal): &(String, _)| rule == "code_recalled" && Option::is_some(refusal);
            inspection.recalled = Some(looked.verdicts.iter().any(recalled));
            (inspection.uses, inspection.held_until) = uses(&inbound, objects, read, (shard, &looked)).await?;
        }
    }
    Ok(Answer::json(200, &inspection)?.into_response()?)
}

/// Facts about nobody, for rules that read the code only.
fn facts(read: &ReadCode) -> Facts {
    Facts {
        at: now(),
        seq: read.seq,
        epoch: read.epoch,
        profile: read.profile,
        epoch_revoked: read.epoch_revoked,
        method: Method::Api,
        currency: None,
        attributes: Attributes::default(),
        roles: vec![],
        member_uses: 0,
        member_days: vec![],
        alias: read.alias.clone(),
    }
}

/// The redemptions that use a code, the latest first. A code that many share is used in every shard, by its members.
async fn uses(
    inbound: &Inbound<'_>,
    objects: &Objects<'_>,
    read: &ReadCode,
    (shard, looked): (u32, &Looked),
) -> Result<(Vec<CodeUse>, Option<Instant>), Fault> {
    let campaign = campaign_name(inbound.principal.merchant.as_str(), read.campaign);
    let shards: Vec<u32> = match looked.kind {
        CampaignKind::Unique => vec![shard],
        CampaignKind::Shared => (0..looked.shards.max(1)).collect(),
    };
    let op = ShardOp::Uses { seq: read.seq };
    let shown = usize::try_from(USES_SHOWN).unwrap_or(usize::MAX);
    let (mut rids, mut held_until) = (vec![], None);
    for some in shards.chunks(ASKED_AT_ONCE) {
        let asked = some.iter().map(|shard| objects.shard::<Uses>(&campaign, *shard, &op));
        for answer in try_join_all(asked).await? {
            rids.extend(answer.rids);
            held_until = held_until.into_iter().chain(answer.held_until).min();
        }
        if rids.len() >= shown {
            break;
        }
    }
    rids.truncate(shown);
    let mut uses = vec![];
    for some in rids.chunks(ASKED_AT_ONCE) {
        let asked = some.iter().map(|rid| one_use(inbound, objects, rid));
        uses.extend(try_join_all(asked).await?.into_iter().flatten());
    }
    uses.sort_by_key(|one| std::cmp::Reverse(one.created_at));
    Ok((uses, held_until))
}

/// Where a redemption stands; `None` while its Member has not decided and keeps nothing of it.
async fn one_use(inbound: &Inbound<'_>, objects: &Objects<'_>, rid: &Rid) -> Result<Option<CodeUse>, Fault> {
    let op = MemberOp::Redemption { rid: *rid };
    let instance = inbound.instance.to_owned();
    let call = MemberCall::without_id(instance, op);
    let answer = objects.member(&inbound.principal.merchant, &rid.mref(), &call).await?;
    if answer.status_code() == 404 {
        return Ok(None);
    }
    let Redemption { redemption_id, status, created_at, .. } = read_json(answer).await?;
    Ok(Some(CodeUse { redemption_id, status, created_at }))
}
