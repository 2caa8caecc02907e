//! A merchant's figures: the sums over its Recorders of all months, and its pools as they are now.

use crate::gate::Gate;
use crate::merchant_calls::{MerchantOp, Months};
use crate::objects::{Objects, read_json};
use crate::platform::{Fault, now};
use crate::pools;
use crate::recorder_calls::{Counted, CountedTime, MonthFigures, RecorderOp, recorder_name};
use counterfoil_core::breaker::{BreakerState, Claim};
use counterfoil_core::protocol::recorder::{Figure, Timed};
use counterfoil_core::protocol::report::month_of;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{BreakerFigures, CampaignFigures, Counts, Figures, PoolFigures, Stats};
use futures_util::future::{try_join_all, try_join3};
use std::collections::BTreeMap;

/// Months that have a Recorder, the newest first. The present one may not have said so yet.
pub(crate) async fn months(merchant: &str, objects: &Objects<'_>) -> Result<Vec<String>, Fault> {
    let asked = objects.merchant(merchant, &MerchantOp::Months).await?;
    let Months { mut months } = read_json(asked).await?;
    let present = month_of(now());
    if !months.contains(&present) {
        let place = months.partition_point(|month| *month > present);
        months.insert(place, present);
    }
    Ok(months)
}

/// A merchant's figures.
pub(crate) async fn of_merchant(merchant: &str, objects: &Objects<'_>) -> Result<Stats, Fault> {
    let counted = async {
        let months = months(merchant, objects).await?;
        let asked = months.iter().map(|month| async move {
            objects.recorder::<MonthFigures>(&recorder_name(merchant, month), &RecorderOp::Figures).await
        });
        try_join_all(asked).await
    };
    let guessed = async { read_json::<Gate>(objects.merchant(merchant, &MerchantOp::Gate).await?).await };
    let (months, pools, Gate { tripped, .. }) = try_join3(counted, pools::figures(objects, merchant), guessed).await?;
    Ok(total(months, (pools, tripped), now()))
}

/// Sums over all months, without names that come to nothing.
fn total(
    months: Vec<MonthFigures>,
    (pools, tripped): (Vec<PoolFigures>, Vec<(Claim, BreakerState)>),
    now: Instant,
) -> Stats {
    let mut counted: BTreeMap<(String, u16, String, bool), i64> = BTreeMap::new();
    let mut deliveries = Counts::new();
    let mut last: Option<(Instant, u64)> = None;
    let (mut production, mut testers) = (Figures::default(), Figures::default());
    for month in months {
        for Counted { figure, campaign, key, tester, count } in month.counted {
            *counted.entry((figure, campaign, key, tester)).or_default() += count;
        }
        for time in month.times {
            add_time(if time.tester { &mut testers } else { &mut production }, &time);
        }
        for (state, count) in month.deliveries {
            *deliveries.entry(state).or_default() += count;
        }
        last = last.max(month.last);
    }
    for ((figure, campaign, key, tester), count) in counted {
        let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else { continue };
        add_count(if tester { &mut testers } else { &mut production }, (&figure, campaign, key), count);
    }
    production.complete();
    testers.complete();
    let breaker = |(Claim { profile, epoch, campaign }, state)| BreakerFigures { campaign, profile, epoch, state };
    let breakers = tripped.into_iter().map(breaker).collect();
    Stats { at: now, lag_ms: last.map(|(_, lag_ms)| lag_ms), production, testers, deliveries, pools, breakers }
}

/// They come in order of their campaigns.
fn add_count(figures: &mut Figures, (figure, campaign, key): (&str, u16, String), count: u64) {
    let add = |counts: &mut Counts| *counts.entry(key.clone()).or_default() += count;
    match Figure::named(figure) {
        Some(Figure::Refusal) => add(&mut figures.refusals),
        Some(Figure::Reward) => add(&mut figures.rewards),
        Some(Figure::Quantity) => add(&mut figures.quantities),
        Some(Figure::Unrecognised) => figures.unrecognised += count,
        Some(Figure::GrantFailed) => figures.grants_failed += count,
        Some(Figure::Redemption) => {
            add(&mut figures.redemptions);
            if campaign > 0 {
                match figures.campaigns.last_mut().filter(|last| last.campaign == campaign) {
                    Some(last) => add(&mut last.redemptions),
                    None => {
                        let redemptions = Counts::from([(key, count)]);
                        figures.campaigns.push(CampaignFigures { campaign, redemptions });
                    }
                }
            }
        }
        // Of a later version, during a roll-out.
        None => {}
    }
}

fn add_time(figures: &mut Figures, time: &CountedTime) {
    let CountedTime { class, count, sum_ms, .. } = *time;
    match Timed::named(&time.timed) {
        Some(Timed::Acceptance) => figures.acceptance_ms.add(class, count, sum_ms),
        Some(Timed::Processing) => figures.processing_ms.add(class, count, sum_ms),
        Some(Timed::Both) => {
            figures.acceptance_ms.add(class, count, sum_ms);
            figures.processing_ms.add(class, count, sum_ms);
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(
        counted: &[(Figure, u16, &str, bool, i64)],
        times: &[(Timed, u64, bool, u64, u64)],
        deliveries: &[(&str, u64)],
        last: (i64, u64),
    ) -> MonthFigures {
        let counter = |(figure, campaign, key, tester, count): &(Figure, u16, &str, bool, i64)| Counted {
            figure: figure.name().to_owned(),
            campaign: *campaign,
            key: (*key).to_owned(),
            tester: *tester,
            count: *count,
        };
        let time = |(timed, class, tester, count, sum_ms): &(Timed, u64, bool, u64, u64)| CountedTime {
            timed: timed.name().to_owned(),
            class: *class,
            tester: *tester,
            count: *count,
            sum_ms: *sum_ms,
        };
        MonthFigures {
            counted: counted.iter().map(counter).collect(),
            times: times.iter().map(time).collect(),
            deliveries: deliveries.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect(),
            last: Some((Instant(last.0), last.1)),
        }
    }

    #[test]
    fn figures_are_sums_over_months() {
        let earlier = figures(
            &[
                (Figure::Redemption, 7, "granted", false, 2),
                (Figure::Redemption, 9, "granted", false, 1),
                (Figure::Redemption, 0, "granted", false, 1),
                (Figure::Redemption, 7, "granted", true, 5),
                (Figure::Refusal, 7, "campaign_ended", false, 3),
                (Figure::Refusal, 0, "insufficient_codes", false, 2),
                (Figure::Reward, 0, "unclaimed", false, 2),
                (Figure::Quantity, 0, "5", false, 1),
                (Figure::Unrecognised, 0, "code", false, 4),
                (Figure::Unrecognised, 0, "alias", false, 1),
                (Figure::GrantFailed, 0, "", true, 6),
            ],
            &[(Timed::Both, 10, false, 2, 14), (Timed::Acceptance, 5, false, 1, 4)],
            &[("delivered", 4)],
            (1, 70),
        );
        // Both rewards moved on in the month after that in which they were given.
        let later = figures(
            &[(Figure::Reward, 0, "unclaimed", false, -2), (Figure::Reward, 0, "expired", false, 2)],
            &[(Timed::Processing, 0, false, 1, 90_000)],
            &[("delivered", 1), ("waiting", 1)],
            (2, 30),
        );
        let counts = |list: &[(&str, u64)]| -> Counts {
            list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        let stats = total(vec![later, earlier], (vec![], vec![]), Instant(3));
        let Stats { production, testers, deliveries, lag_ms, .. } = stats;
        assert_eq!(production.redemptions, counts(&[("granted", 4)]));
        let campaigns: Vec<_> = production.campaigns.iter().map(|one| (one.campaign, &one.redemptions)).collect();
        assert_eq!(campaigns, [(7, &counts(&[("granted", 2)])), (9, &counts(&[("granted", 1)]))]);
        assert_eq!(production.refusals, counts(&[("campaign_ended", 3), ("insufficient_codes", 2)]));
        assert_eq!(production.rewards, counts(&[("expired", 2)]));
        assert_eq!(production.quantities, counts(&[("1", 3), ("5", 1)]));
        assert_eq!((production.share_of_one, production.share_of_more), (0.75, 0.25));
        assert_eq!((production.shortages, production.unrecognised, production.grants_failed), (2, 5, 0));
        assert_eq!((production.acceptance_ms.count, production.acceptance_ms.sum_ms), (3, 18));
        assert_eq!((production.processing_ms.count, production.processing_ms.sum_ms), (3, 90_014));
        assert_eq!((testers.redemptions, testers.rewards), (counts(&[("granted", 5)]), counts(&[])));
        assert_eq!(testers.grants_failed, 6);
        assert_eq!((deliveries, lag_ms), (counts(&[("delivered", 5), ("waiting", 1)]), Some(30)));
    }
}
