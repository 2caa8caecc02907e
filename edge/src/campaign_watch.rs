//! Announcing a campaign's end: some days before it, and when it comes, by the clock or by hand.

use crate::campaign::{Campaign, Stored};
use crate::campaign_shards::resolved;
use crate::due;
use crate::platform::{Fault, now};
use counterfoil_core::audit::Draft;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::protocol::report::Outgoing;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::CampaignStatus;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Due-item that announces what has come.
pub(crate) const WATCH_ITEM: &str = "watch";

/// Which ends were announced, and which were told when they came: each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ending: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Instant>,
}

/// What is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    Ending,
    Ended,
}

/// The next thing to announce, and when.
fn next(status: CampaignStatus, ends_at: Option<Instant>, days: u32, told: Told) -> Option<(Notice, Instant)> {
    let ends_at = ends_at?;
    let running = matches!(status, CampaignStatus::Active | CampaignStatus::Paused);
    let ended = (running && told.ended != Some(ends_at)).then_some((Notice::Ended, ends_at));
    let ahead = days > 0 && status == CampaignStatus::Active && told.ending != Some(ends_at) && ended.is_some();
    let ending = ahead.then(|| (Notice::Ending, ends_at.plus_ms(-i64::from(days) * DAY_MS)));
    ending.or(ended)
}

impl Campaign {
    fn next_notice(stored: &Stored) -> Option<(Notice, Instant, Instant)> {
        let ends_at = resolved(&stored.definition).ends_at;
        let (notice, at) = next(stored.status, ends_at, stored.notify_days, stored.told)?;
        Some((notice, at, ends_at?))
    }

    /// Plans the next announcement. Run in the transaction of whatever changed it.
    pub(crate) fn watch(&self, stored: &Stored) -> Result<(), Fault> {
        let planned = due::at(&self.storage, WATCH_ITEM)?;
        match Self::next_notice(stored) {
            Some((_, at, _)) if planned == Some(at) => Ok(()),
            Some((_, at, _)) => due::plan(&self.storage, WATCH_ITEM, at),
            None if planned.is_some() => due::done(&self.storage, WATCH_ITEM),
            None => Ok(()),
        }
    }

    /// The alarm's turn: announces what has come, and plans what comes next.
    pub(crate) fn announce(&self) -> Result<(), Fault> {
        due::done(&self.storage, WATCH_ITEM)?;
        let Some(mut stored) = self.stored()? else { return Ok(()) };
        while let Some((notice, at, ends_at)) = Self::next_notice(&stored).filter(|(_, at, _)| *at <= now()) {
            let name = match notice {
                Notice::Ending => {
                    stored.told.ending = Some(ends_at);
                    // Too late to announce what is over.
                    if ends_at <= now() {
                        continue;
                    }
                    "campaign.ending"
                }
                Notice::Ended => {
                    stored.told.ended = Some(ends_at);
                    "campaign.ended"
                }
            };
            let event = event(name, &stored, at)?;
            self.note_events(&Draft::new("system", name).data(json!({ "ends_at": ends_at })), vec![event])?;
        }
        self.store(&stored)
    }

    /// Somebody ends it: told, unless the clock has ended it before.
    pub(crate) fn ended_by_hand(&self, stored: &mut Stored) -> Result<Vec<Outgoing>, Fault> {
        let ends_at = resolved(&stored.definition).ends_at;
        if ends_at.is_some() && stored.told.ended == ends_at {
            return Ok(vec![]);
        }
        stored.told.ended = ends_at;
        event("campaign.ended", stored, now()).map(|event| vec![event])
    }
}

/// An event about the campaign as it stands, without what is counted elsewhere.
fn event(kind: &str, stored: &Stored, at: Instant) -> Result<Outgoing, Fault> {
    let definition = resolved(&stored.definition);
    let id = format!("{}_{}_{}", kind.replace('.', "_"), definition.campaign.unwrap_or_default(), at.0);
    let mut data = serde_json::to_value(&definition)?;
    if let Value::Object(fields) = &mut data {
        fields.insert("status".to_owned(), stored.status.name().into());
        fields.insert("version".to_owned(), stored.edition.into());
        fields.insert("issued".to_owned(), stored.issued.into());
    }
    Ok(Outgoing { id, kind: kind.to_owned(), at: now(), data, mref: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_next() {
        let end = Instant(100 * DAY_MS);
        let (none, announced) = (Told::default(), Told { ending: Some(end), ended: None });
        let over = Told { ending: None, ended: Some(end) };
        let (ending, ended) = (Some((Notice::Ending, Instant(93 * DAY_MS))), Some((Notice::Ended, end)));
        for (status, ends_at, days, told, expected) in [
            (CampaignStatus::Active, Some(end), 7, none, ending),
            (CampaignStatus::Active, Some(end), 0, none, ended),
            (CampaignStatus::Active, Some(end), 7, announced, ended),
            (CampaignStatus::Active, Some(end), 7, over, None),
            (CampaignStatus::Active, None, 7, none, None),
            (CampaignStatus::Paused, Some(end), 7, none, ended),
            (CampaignStatus::Draft, Some(end), 7, none, None),
            (CampaignStatus::Ended, Some(end), 7, none, None),
            // Another end is announced anew.
            (
                CampaignStatus::Active,
                Some(Instant(end.0 + 1)),
                7,
                announced,
                Some((Notice::Ending, Instant(93 * DAY_MS + 1))),
            ),
            (CampaignStatus::Active, Some(Instant(end.0 + 1)), 0, over, Some((Notice::Ended, Instant(end.0 + 1)))),
        ] {
            assert_eq!(next(status, ends_at, days, told), expected, "{status:?} {days} {told:?}");
        }
    }
}
