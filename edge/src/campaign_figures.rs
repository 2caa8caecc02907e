//! What only a merchant's Recorders know of its campaigns: refusals. Each month is asked once, whatever
//! number of campaigns is shown, and nobody waits for long: these figures lag anyway.

use crate::figures::months;
use crate::objects::{Objects, within};
use crate::platform::{Fault, copy_headers};
use crate::recorder_calls::{Counted, MonthFigures, RecorderOp, recorder_name};
use counterfoil_core::protocol::recorder::Figure;
use counterfoil_core::wire::CampaignResource;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use worker::Response;

/// Longest wait for all Recorders.
const RECORDERS_WAIT: Duration = Duration::from_secs(2);

/// By campaign.
#[derive(Default)]
pub(crate) struct CampaignFigures {
    refused: BTreeMap<u16, BTreeMap<String, u64>>,
}

impl CampaignFigures {
    fn add(&mut self, counted: Counted) {
        let Counted { figure, campaign, key, tester, count } = counted;
        let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else { return };
        if Figure::named(&figure) == Some(Figure::Refusal) && campaign > 0 && !tester {
            *self.refused.entry(campaign).or_default().entry(key).or_default() += count;
        }
    }

    /// Fills in what is known of a campaign.
    pub(crate) fn fill(&self, resource: &mut CampaignResource) {
        let campaign = resource.definition.campaign.unwrap_or_default();
        resource.refused = self.refused.get(&campaign).cloned().unwrap_or_default();
    }
}

/// The figures of all of a merchant's campaigns. A month whose Recorder does not answer in time is left out.
pub(crate) async fn of(merchant: &str, objects: &Objects<'_>) -> CampaignFigures {
    let asking = async {
        let months = months(merchant, objects).await?;
        let asked = months.iter().map(|month| async move {
            objects.recorder::<MonthFigures>(&recorder_name(merchant, month), &RecorderOp::Figures).await
        });
        let mut figures = CampaignFigures::default();
        for month in join_all(asked).await {
            match month {
                Ok(month) => month.counted.into_iter().for_each(|counted| figures.add(counted)),
                Err(fault) => fault.log("figures_missing"),
            }
        }
        Ok::<_, Fault>(figures)
    };
    within(RECORDERS_WAIT, "the recorders", asking).await.unwrap_or_else(|fault| {
        fault.log("figures_missing");
        CampaignFigures::default()
    })
}

/// A Campaign's answer with its figures filled in; problems pass as they are.
pub(crate) async fn dress(mut response: Response, objects: &Objects<'_>, merchant: &str) -> Result<Response, Fault> {
    if !(200..300).contains(&response.status_code()) {
        return Ok(response);
    }
    let (status, headers) = (response.status_code(), copy_headers(response.headers())?);
    let mut resource: CampaignResource = counterfoil_core::json::read(&response.text().await?)?;
    of(merchant, objects).await.fill(&mut resource);
    let body = worker::ResponseBody::Body(serde_json::to_vec(&resource)?);
    headers.delete("Content-Length")?;
    Ok(Response::from_body(body)?.with_status(status).with_headers(headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_sums_by_campaign() {
        let mut figures = CampaignFigures::default();
        for (figure, campaign, key, tester, count) in [
            (Figure::Refusal, 7, "campaign_ended", false, 2),
            (Figure::Refusal, 7, "campaign_ended", false, 1),
            (Figure::Refusal, 7, "campaign_ended", true, 5),
            (Figure::Refusal, 9, "not_eligible", false, 1),
            (Figure::Refusal, 0, "insufficient_codes", false, 1),
            (Figure::Refusal, 9, "already_redeemed", false, 0),
            (Figure::Redemption, 7, "granted", false, 4),
        ] {
            let (figure, key) = (figure.name().to_owned(), key.to_owned());
            figures.add(Counted { figure, campaign, key, tester, count });
        }
        let refused = |campaign: u16| figures.refused.get(&campaign).cloned().unwrap_or_default();
        assert_eq!(refused(7), BTreeMap::from([("campaign_ended".to_owned(), 3)]));
        assert_eq!(refused(9), BTreeMap::from([("not_eligible".to_owned(), 1)]));
        assert_eq!(figures.refused.len(), 2);
    }
}
