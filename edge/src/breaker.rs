//! The breaker: a Campaign counts the wrong tags of its keys as the merchant's Recorders tell them, and says how far the
//! guessing has gone. Nothing is stopped or rotated by it.

use crate::answer::Answer;
use crate::calls::{CampaignOp, Once};
use crate::campaign::{Campaign, INSTANCE};
use crate::campaign_figures::dress;
use crate::due;
use crate::inbound::{Inbound, Stop, stop_invalid};
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, campaign_name, within};
use crate::once::{self, Seen};
use crate::platform::{Fault, SyncStorage, now, random, random_u32};
use crate::recorder_calls::{RecorderOp, recorder_name};
use crate::recorder_claims::Claimed;
use crate::sql::{Row, first, query, run};
use counterfoil_core::audit::Draft;
use counterfoil_core::breaker::{BreakerResource, BreakerState, Claim, Thresholds};
use counterfoil_core::code::Profile;
use counterfoil_core::hex;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::protocol::report::{Outgoing, month_of};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{ProtocolError, RequiredReasonBody, check_reason};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use worker::Response;

/// Due-item that tells the Merchant which keys are being guessed.
pub(crate) const TELL_ITEM: &str = "tripped";
/// Longest wait for the Merchant.
const MERCHANT_WAIT: Duration = Duration::from_secs(8);
/// Longest wait for a Recorder before a reset: it tells the rest later.
const RECORDER_WAIT: Duration = Duration::from_secs(2);
/// Pause before the Merchant is told again.
const TELL_TRIES: u32 = 3;

/// Part of a Campaign's schema: what Recorders have counted, each for its month, with how much of it came before the last
/// reset; and where each key's breaker stands, unless it is closed.
pub(crate) const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS failed_tags (
        profile TEXT NOT NULL, epoch INTEGER NOT NULL, month TEXT NOT NULL, count INTEGER NOT NULL,
        before INTEGER NOT NULL DEFAULT 0 CHECK (before BETWEEN 0 AND count), PRIMARY KEY (profile, epoch, month)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS breakers (
        profile TEXT NOT NULL, epoch INTEGER NOT NULL, state TEXT NOT NULL, since INTEGER NOT NULL,
        PRIMARY KEY (profile, epoch)
    ) STRICT, WITHOUT ROWID",
];

/// Asked of a Campaign.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BreakerOp {
    /// The Recorder of a month has counted so many wrong tags of these keys, in all.
    Failed { month: String, counts: Vec<(Claim, u64)> },
    /// An administrator starts anew.
    Reset { reason: String, by: String, once: Option<Once> },
}

/// `POST /v1/campaigns/{campaign}/breaker/reset`.
pub(crate) async fn reset(mut inbound: Inbound<'_>, objects: &Objects<'_>, campaign: u16) -> Result<Response, Stop> {
    let RequiredReasonBody { reason } = inbound.json()?;
    if let Err(invalid) = check_reason(Some(&reason), true) {
        return stop_invalid(invalid, inbound.instance);
    }
    let once = inbound.once(&campaign.to_string(), reason.as_bytes())?;
    let merchant = inbound.principal.merchant.as_str();
    let op = CampaignOp::Breaker(BreakerOp::Reset { reason, by: inbound.principal.actor(), once });
    let response = objects.campaign(&campaign_name(merchant, campaign), &op).await?;
    Ok(dress(response, objects, merchant).await?)
}

/// Takes up a call.
pub(crate) async fn answer(campaign: &Campaign, op: BreakerOp) -> Result<Answer, Fault> {
    match op {
        BreakerOp::Failed { month, counts } => {
            if campaign.stored()?.is_none() {
                return Answer::error(&ProtocolError::NotFound, INSTANCE);
            }
            campaign.storage.transaction(|| take(campaign, &month, &counts))?;
            Answer::json(200, &json!({}))
        }
        BreakerOp::Reset { reason, by, once } => {
            if campaign.stored()?.is_none() {
                return Answer::error(&ProtocolError::NotFound, INSTANCE);
            }
            // What was guessed until now is not held against it afterwards.
            if let Err(fault) = catch_up(campaign).await {
                fault.log("recorder_unreachable");
            }
            let done = campaign.decide(&by, "breaker/reset", || start_anew(campaign, &reason, &by, once.as_ref()))?;
            let replayed = match done {
                Ok(replayed) => replayed,
                Err(answer) => return Ok(answer),
            };
            tell(campaign).await?;
            let stored = campaign.stored()?.ok_or_else(|| Fault::new("a campaign is missing"))?;
            let answer = campaign.resource(200, &stored).await?;
            Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer })
        }
    }
}

/// Takes what a Recorder has counted. A count never falls. Run inside a transaction.
fn take(campaign: &Campaign, month: &str, counts: &[(Claim, u64)]) -> Result<(), Fault> {
    let (storage, at) = (&campaign.storage, now());
    let mut tell = false;
    for (claim, count) in counts {
        let (profile, epoch) = (claim.profile.name(), u32::from(claim.epoch));
        let statement = "INSERT INTO failed_tags (profile, epoch, month, count) VALUES (?, ?, ?, ?)
            ON CONFLICT (profile, epoch, month) DO UPDATE SET count = max(count, excluded.count)";
        run(storage, statement, &[profile.into(), epoch.into(), month.into(), (*count).into()])?;
        let statement = "SELECT sum(count - before), (SELECT state FROM breakers WHERE profile = ?1 AND epoch = ?2)
            FROM failed_tags WHERE profile = ?1 AND epoch = ?2";
        let row = first(storage, statement, &[profile.into(), epoch.into()])?;
        let row = row.ok_or_else(|| Fault::new("nothing was read"))?;
        let (failed, from) = (row.count(0), if row.is_null(1) { BreakerState::Closed } else { row.json(1)? });
        let Some(raised) = Thresholds::of(claim.profile).raises(from, failed) else { continue };
        let statement = "INSERT INTO breakers VALUES (?, ?, ?, ?)
            ON CONFLICT (profile, epoch) DO UPDATE SET state = excluded.state, since = excluded.since";
        run(
            storage,
            statement,
            &[profile.into(), epoch.into(), (&serde_json::to_string(&raised)?).into(), at.0.into()],
        )?;
        let data = json!({
            "campaign": claim.campaign, "profile": claim.profile, "epoch": claim.epoch, "state": raised, "failed_tags": failed,
        });
        let id = format!("brute_force_{}_{}", claim.campaign, hex::encode(&random::<8>()));
        let event = Outgoing { id, kind: "brute_force.alarm".to_owned(), at, data: data.clone(), mref: None };
        campaign.note_events(&Draft::new("system", "brute_force.alarm").data(data), vec![event])?;
        tell |= raised >= BreakerState::Challenge;
    }
    if tell { changed(campaign) } else { Ok(()) }
}

/// The Merchant has to be told. Run inside the transaction of what changed.
fn changed(campaign: &Campaign) -> Result<(), Fault> {
    campaign.set_meta("tripped", &(version(campaign)? + 1).to_string())?;
    due::plan(&campaign.storage, TELL_ITEM, now())
}

/// Which word about its keys the Merchant hears next.
fn version(campaign: &Campaign) -> Result<u32, Fault> {
    Ok(campaign.meta("tripped")?.and_then(|version| version.parse().ok()).unwrap_or_default())
}

/// Asks the Recorder of this month what it has not told yet.
async fn catch_up(campaign: &Campaign) -> Result<(), Fault> {
    let (chain, merchant) = campaign.chain()?;
    let number = chain.strip_prefix("campaign/").and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| Fault::new("a campaign with a bad name"))?;
    let (objects, month) = (Objects(&campaign.env), month_of(now()));
    let (name, op) = (recorder_name(&merchant, &month), RecorderOp::Claims { campaign: number });
    let claimed = within(RECORDER_WAIT, "the recorder", objects.recorder::<Claimed>(&name, &op)).await?;
    campaign.storage.transaction(|| take(campaign, &month, &claimed.counts))
}

/// Closes every breaker; what was counted stays, and counts no more. Answers whether that was done before under this key.
/// Run inside a transaction.
fn start_anew(
    campaign: &Campaign,
    reason: &str,
    by: &str,
    once: Option<&Once>,
) -> Result<Result<bool, ProtocolError>, Fault> {
    let storage = &campaign.storage;
    match once::seen(storage, once, now())? {
        Seen::Same(_) => return Ok(Ok(true)),
        Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
        Seen::New => {}
    }
    run(storage, "UPDATE failed_tags SET before = count WHERE before < count", &[])?;
    run(storage, "DELETE FROM breakers", &[])?;
    campaign.note(&Draft::new(by, "breaker.reset").reason(Some(reason)))?;
    once::keep(storage, once, "reset", now())?;
    changed(campaign)?;
    Ok(Ok(false))
}

/// Tells the Merchant which keys are being guessed, where that is planned. What fails is tried again by the alarm.
pub(crate) async fn tell(campaign: &Campaign) -> Result<(), Fault> {
    if due::at(&campaign.storage, TELL_ITEM)?.is_none() {
        return Ok(());
    }
    let Some(stored) = campaign.stored()? else { return due::done(&campaign.storage, TELL_ITEM) };
    let number = stored.definition.campaign.unwrap_or_default();
    let told = version(campaign)?;
    let keys = states(&campaign.storage)?.into_iter().filter(|(_, state, _)| *state >= BreakerState::Challenge);
    let keys = keys.map(|((profile, epoch), state, _)| (Claim { profile, epoch, campaign: number }, state)).collect();
    let op = MerchantOp::Tripped { campaign: number, version: told, keys };
    let (_, merchant) = campaign.chain()?;
    let objects = Objects(&campaign.env);
    let answer = within(MERCHANT_WAIT, "the merchant", objects.merchant(&merchant, &op)).await;
    let heard = answer.is_ok_and(|answer| answer.status_code() == 204);
    // What changed meanwhile is told anew.
    match (heard, version(campaign)? == told) {
        (true, true) => due::done(&campaign.storage, TELL_ITEM),
        (true, false) => due::plan(&campaign.storage, TELL_ITEM, now()),
        (false, _) => {
            Fault::late("the merchant was not told which keys are guessed").log("merchant_untold");
            due::plan(&campaign.storage, TELL_ITEM, now().plus_ms(backoff_ms(TELL_TRIES, random_u32())))
        }
    }
}

/// A key of this campaign.
type Key = (Profile, u8);

fn key(row: &Row) -> Result<Key, Fault> {
    let profile = Profile::from_name(&row.text(0)?).ok_or_else(|| Fault::new("a stored profile is not known"))?;
    Ok((profile, u8::try_from(row.number(1)).unwrap_or_default()))
}

/// Keys whose breaker is not closed, and since when.
fn states(storage: &SyncStorage) -> Result<Vec<(Key, BreakerState, Instant)>, Fault> {
    let rows = query(storage, "SELECT profile, epoch, state, since FROM breakers", &[])?;
    rows.iter().map(|row| Ok((key(row)?, row.json(2)?, Instant(row.integer(3))))).collect()
}

/// The breaker as administrators see it: that of the key that is worst off. `profile` is that of the campaign's codes.
pub(crate) fn resource(storage: &SyncStorage, profile: Profile) -> Result<BreakerResource, Fault> {
    let states = states(storage)?;
    let statement = "SELECT profile, epoch, sum(count - before) FROM failed_tags GROUP BY 1, 2";
    let counted = query(storage, statement, &[])?;
    let counted = counted.iter().map(|row| {
        let key = key(row)?;
        let state = states.iter().find(|(other, ..)| *other == key);
        Ok((
            state.map_or(BreakerState::Closed, |(_, state, _)| *state),
            key,
            row.count(2),
            state.map(|(.., since)| *since),
        ))
    });
    let counted = counted.collect::<Result<Vec<_>, Fault>>()?;
    // Of keys in one state, those of the campaign's own codes come first.
    let worst = counted.into_iter().max_by_key(|(state, (of, _), failed, _)| (*state, *of == profile, *failed));
    let (state, (profile, _), failed_tags, since) = worst.unwrap_or((BreakerState::Closed, (profile, 0), 0, None));
    let Thresholds { alarm, challenge, refuse } = Thresholds::of(profile);
    Ok(BreakerResource { state, failed_tags, alarm_at: alarm, challenge_at: challenge, refuse_at: refuse, since })
}

/// Wrong tags that have named this campaign, ever.
pub(crate) fn failed_tags(storage: &SyncStorage) -> Result<u64, Fault> {
    Ok(first(storage, "SELECT sum(count) FROM failed_tags", &[])?.map_or(0, |row| row.count(0)))
}
