//! Why not? A dry run with every rule, at any instant and for any attributes.
//!
//! Each object is asked what it knows and takes nothing; `core::explain` puts it together. No attempt is counted.

use crate::answer::Answer;
use crate::calls::{Guard, Kept, MemberCall, MemberOp, ReadCode, ShardOp};
use crate::inbound::{Inbound, Stop, stop, stop_invalid};
use crate::objects::{Objects, campaign_name, read_json};
use crate::platform::{Fault, now};
use crate::pool_calls::{FiguresAnswer, PoolOp, pool_name};
use crate::shard_look::{LookAnswer, Looked};
use crate::submitted::Submitted;
use counterfoil_core::calendar::DayCounts;
use counterfoil_core::explain::{Findings, rule_named, wrong_tag};
use counterfoil_core::ids::Mref;
use counterfoil_core::price::{total_cost, unit_cost};
use counterfoil_core::protocol::Purchase;
use counterfoil_core::protocol::member::Attempts;
use counterfoil_core::rules::Facts;
use counterfoil_core::time::Instant;
use counterfoil_core::token::{Attributes, Role};
use counterfoil_core::wire::{
    AssumedAttributes, ExplainBody, ExplainedCampaign, ExplainedMember, Explanation, InvalidRequest, Method,
    PreviewReward, ProtocolError, RewardDefinition, Wanted,
};
use serde::{Deserialize, Serialize};
use worker::Response;

/// How often a shard may name another one before it is a fault: once is usual, where a Worker did not know.
const HOPS_MAX: u32 = 4;

/// Asked of a Member: what the rules read of them at an instant; answered with [`MemberFacts`].
#[derive(Serialize, Deserialize)]
pub(crate) struct ExplainCall {
    /// Whose redemptions are counted.
    pub(crate) campaign: Option<u16>,
    pub(crate) guard: Guard,
    pub(crate) alias: bool,
    pub(crate) at: Instant,
}

/// What the rules read of a member.
#[derive(Serialize, Deserialize)]
pub(crate) struct MemberFacts {
    pub(crate) attributes: Attributes,
    pub(crate) roles: Vec<String>,
    /// Redemptions of the campaign, and those of its last days.
    pub(crate) uses: u64,
    pub(crate) days: DayCounts,
    pub(crate) attempts: Attempts,
    pub(crate) points: u64,
}

/// `POST /v1/explain`.
pub(crate) async fn explain(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let body: ExplainBody = inbound.json()?;
    let explanation = match body.check() {
        Ok(Wanted::Code(code)) => of_code(&inbound, objects, &body, code).await?,
        Ok(Wanted::Reward { reward_id, quantity }) => {
            of_reward(&inbound, objects, &body, (reward_id, quantity)).await?
        }
        Err(invalid) => return stop_invalid(invalid, inbound.instance),
    };
    Ok(Answer::json(200, &explanation)?.into_response()?)
}

async fn of_code(
    inbound: &Inbound<'_>,
    objects: &Objects<'_>,
    body: &ExplainBody,
    text: &str,
) -> Result<Explanation, Stop> {
    let at = body.at.unwrap_or_else(now);
    let method = body.method.unwrap_or(Method::Frontend);
    let mref = inbound.config.id_key.mref(&inbound.principal.merchant, &body.member_id);
    let gate = inbound.gate(objects).await?;
    let mut findings = Findings::default();
    let submitted = match inbound.read_text(text) {
        Ok(submitted) => {
            findings.pass("malformed_code", None);
            Some(submitted)
        }
        Err(refusal) => {
            findings.malformed(refusal);
            None
        }
    };
    let read = match &submitted {
        Some(submitted) => inbound.recognise(objects, submitted, &gate, &mref).await?,
        None => None,
    };
    let (alias, claim, unknown) = match &submitted {
        Some(Submitted::Alias { .. }) => (true, None, "no campaign has this alias".to_owned()),
        Some(Submitted::Code { claim, .. }) => (false, Some(*claim), wrong_tag(claim.profile, claim.epoch)),
        None => (false, None, String::new()),
    };
    let guard = gate.guard(claim, method == Method::Api);
    let campaign = read.as_ref().map(|read| read.campaign);
    let mut member = ask_member(inbound, objects, &mref, ExplainCall { campaign, guard, alias, at }).await?;
    member.assume(body.assumed.as_ref());
    findings.attempts(&member.attempts, at);
    let looked = match &read {
        Some(read) => {
            let facts = member.facts(read, (at, method), body.currency.clone());
            let kept = ask_keeper(inbound, objects, read, &ShardOp::Look { facts, mref }).await?;
            if kept.is_none() {
                findings.unrecognised("its tag fits, but its campaign has not issued it");
            }
            kept.map(|(_, looked)| looked)
        }
        None if submitted.is_some() => {
            findings.unrecognised(&unknown);
            None
        }
        None => None,
    };
    let (mut explained, mut reward) = (None, None);
    if let (Some(looked), Some(campaign)) = (looked, campaign) {
        let Looked { name, reward: given, quantity, verdicts, hidden, .. } = looked;
        let verdicts = verdicts.into_iter().filter_map(|(rule, refusal)| Some((rule_named(&rule)?, refusal)));
        findings.judged(verdicts.collect(), hidden);
        ask_pool(inbound, objects, &given, quantity, &mut findings).await?;
        explained = Some(ExplainedCampaign { campaign, name });
        reward = Some(shown(given));
    }
    let uses = explained.is_some().then_some(member.uses);
    Ok(conclude(findings, at, (explained, reward), member.shown(&body.member_id, uses, None)))
}

async fn of_reward(
    inbound: &Inbound<'_>,
    objects: &Objects<'_>,
    body: &ExplainBody,
    (reward_id, quantity): (&str, u32),
) -> Result<Explanation, Stop> {
    let at = body.at.unwrap_or_else(now);
    let Some(reward) = inbound.definition(objects, reward_id).await? else {
        return stop(&ProtocolError::NotFound, inbound.instance);
    };
    let mref = inbound.config.id_key.mref(&inbound.principal.merchant, &body.member_id);
    let guard = inbound.gate(objects).await?.guard(None, true);
    let call = ExplainCall { campaign: None, guard, alias: false, at };
    let mut member = ask_member(inbound, objects, &mref, call).await?;
    member.assume(body.assumed.as_ref());
    let unit_cost = unit_cost(&reward, &member.attributes);
    if unit_cost.is_some_and(|unit| total_cost(unit, quantity).is_none()) {
        let invalid = InvalidRequest::one("quantity", "costs more points than can be counted");
        return stop_invalid(invalid, inbound.instance);
    }
    let mut findings = Findings::default();
    let (attributes, roles) = (member.attributes.clone(), member.roles.clone());
    let purchase = Purchase { reward, quantity, at, attributes, roles, unit_cost, quote: None };
    findings.purchase(&purchase, member.points);
    ask_pool(inbound, objects, &purchase.reward, quantity, &mut findings).await?;
    let points = Some(member.points);
    let explained = member.shown(&body.member_id, None, points);
    Ok(conclude(findings, at, (None, Some(shown(purchase.reward))), explained))
}

fn conclude(
    findings: Findings,
    at: Instant,
    (campaign, reward): (Option<ExplainedCampaign>, Option<PreviewReward>),
    member: ExplainedMember,
) -> Explanation {
    let (would, refusal, rules) = findings.conclude();
    Explanation { at, would, refusal, campaign, reward, member, rules }
}

fn shown(reward: RewardDefinition) -> PreviewReward {
    PreviewReward { name: reward.name, kind: reward.kind, value: reward.value }
}

/// What the rules read of a member. Who has never been here is nobody yet, and stays so.
async fn ask_member(
    inbound: &Inbound<'_>,
    objects: &Objects<'_>,
    mref: &Mref,
    call: ExplainCall,
) -> Result<MemberFacts, Fault> {
    let (instance, op) = (inbound.instance.to_owned(), MemberOp::Explain(call));
    let call = MemberCall::without_id(instance, op);
    read_json(objects.member(&inbound.principal.merchant, mref, &call).await?).await
}

/// Asks the shard that keeps a code's uses what the rules say, and which it is; `None` where the code is not recognised.
pub(crate) async fn ask_keeper(
    inbound: &Inbound<'_>,
    objects: &Objects<'_>,
    read: &ReadCode,
    op: &ShardOp,
) -> Result<Option<(u32, Looked)>, Fault> {
    let campaign = campaign_name(inbound.principal.merchant.as_str(), read.campaign);
    let mut asked = read.shard;
    for _ in 0..HOPS_MAX {
        match objects.shard::<Kept<LookAnswer>>(&campaign, asked, op).await? {
            Kept::Here(LookAnswer { looked }) => return Ok(looked.map(|looked| (asked, looked))),
            Kept::Elsewhere { shard } => asked = shard,
        }
    }
    Err(Fault::new("no shard keeps this code"))
}

/// Rule 19, where the reward's units are a pool's codes.
async fn ask_pool(
    inbound: &Inbound<'_>,
    objects: &Objects<'_>,
    reward: &RewardDefinition,
    quantity: u32,
    findings: &mut Findings,
) -> Result<(), Fault> {
    if let Some(pool_id) = &reward.pool_id {
        let name = pool_name(inbound.principal.merchant.as_str(), pool_id);
        let FiguresAnswer { figures } = objects.pool(&name, &PoolOp::Figures).await?;
        findings.pool(figures.map_or(0, |figures| figures.pool.free), quantity);
    }
    Ok(())
}

impl MemberFacts {
    /// What is assumed stands in for what is stored.
    fn assume(&mut self, assumed: Option<&AssumedAttributes>) {
        let Some(AssumedAttributes { tier, persona, tags, roles }) = assumed else { return };
        let Attributes { tier: own_tier, persona: own_persona, tags: own_tags } = &mut self.attributes;
        for (own, other) in [(own_tier, tier), (own_persona, persona)] {
            if other.is_some() {
                own.clone_from(other);
            }
        }
        if tags.is_some() {
            own_tags.clone_from(tags);
        }
        if let Some(roles) = roles {
            self.roles.clone_from(roles);
        }
    }

    fn facts(&self, read: &ReadCode, (at, method): (Instant, Method), currency: Option<String>) -> Facts {
        Facts {
            at,
            seq: read.seq,
            epoch: read.epoch,
            profile: read.profile,
            epoch_revoked: read.epoch_revoked,
            method,
            currency,
            attributes: self.attributes.clone(),
            roles: self.roles.clone(),
            member_uses: self.uses,
            member_days: self.days.clone(),
            alias: read.alias.clone(),
        }
    }

    fn shown(self, member_id: &str, uses: Option<u64>, points: Option<u64>) -> ExplainedMember {
        let Attributes { tier, persona, tags } = self.attributes;
        let (member_id, roles) = (member_id.to_owned(), self.roles);
        ExplainedMember { member_id, tier, persona, tags: tags.unwrap_or_default(), roles, uses, points }
    }
}
