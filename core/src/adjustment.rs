//! Adjustments of a member's balances: earned, spent or corrected by the shop's server or by a manager.

use crate::audit::Draft;
use crate::ids::Mref;
use crate::limits::INTEGER_MAX;
use crate::refusal::Refusal;
use crate::reward::{Actor, Changes};
use crate::time::Instant;
use crate::wallet::{BalanceOverflow, Cause, Names, Note, ValueSpent, boosted, put_back, spend};
use crate::wire::{AdjustedAsset, LedgerRow, RewardType, Wallet};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What is changed, its bounds checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// Which balance.
    pub asset: AdjustedAsset,
    /// Of credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// By how much, never 0; negative takes. Minor units for credit.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// The shop's order that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

/// What the Member knows when it adjusts.
#[derive(Clone, Copy, Debug)]
pub struct AdjustView<'a> {
    /// Whose.
    pub mref: Mref,
    /// What they have, with running boosters.
    pub wallet: &'a Wallet,
    /// Number of the next ledger row.
    pub next_ledger_row: u64,
}

/// Why a balance is not adjusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdjusted {
    /// There is not so much of it.
    Refused(Refusal),
    /// It would leave the integers that clients keep exactly.
    Overflow,
}

impl From<BalanceOverflow> for NotAdjusted {
    fn from(_: BalanceOverflow) -> Self {
        Self::Overflow
    }
}

/// Changes one balance by one row. What is earned grows by the boosters that run, as what rewards give does; credit is
/// never multiplied. Answers what one commit writes, with the row.
///
/// # Errors
/// [`NotAdjusted`]: nothing changes.
pub fn adjust(
    view: &AdjustView<'_>,
    adjustment: &Adjustment,
    actor: &Actor,
    names: &Names<'_>,
    at: Instant,
) -> Result<(Changes, LedgerRow), NotAdjusted> {
    let Adjustment { asset, currency, amount, reason, order } = adjustment;
    let (name, currency) = (asset.name(), currency.as_deref());
    let mut wallet = view.wallet.clone();
    let size = amount.unsigned_abs();
    let entry = if *amount < 0 {
        spend(&mut wallet, name, currency, size).map_err(|spent| NotAdjusted::Refused(short(*asset, spent)))?
    } else {
        put_back(&mut wallet, name, currency, earned(view.wallet, *asset, size, at)?)?
    };
    let note = Note { reason: Some(reason), order: order.as_deref(), ..Note::default() };
    let cause = Cause { kind: "adjustment", mref: view.mref, rid: None, by: &actor.shown, note, at };
    let row = cause.row(entry, view.next_ledger_row, names);
    let mut data = json!({
        "asset": name, "amount": row.amount, "balance_after": row.balance_after, "number": row.number,
    });
    if let Some(data) = data.as_object_mut() {
        data.extend(currency.map(|currency| ("currency".to_owned(), currency.into())));
        data.extend(order.as_deref().map(|order| ("order".to_owned(), order.into())));
    }
    let draft = Draft::new(actor.audited.clone(), "wallet.adjusted").subject(row.ledger_id.clone());
    let events = serde_json::to_value(&wallet).ok().map(|wallet| ("wallet.updated", wallet));
    let changes = Changes {
        ledger: vec![row.clone()],
        wallet: Some(wallet),
        events: events.into_iter().collect(),
        audit: Some(draft.reason(Some(reason.as_str())).data(data)),
        ..Changes::default()
    };
    Ok((changes, row))
}

fn short(asset: AdjustedAsset, ValueSpent { short_by }: ValueSpent) -> Refusal {
    let short_by = short_by.min(INTEGER_MAX);
    match asset {
        AdjustedAsset::Points => Refusal::InsufficientPoints { points_needed: short_by, quote_id: None },
        AdjustedAsset::Xp | AdjustedAsset::Tokens | AdjustedAsset::Credit => Refusal::ValueSpent { short_by },
    }
}

fn earned(wallet: &Wallet, asset: AdjustedAsset, amount: u64, at: Instant) -> Result<u64, BalanceOverflow> {
    match asset {
        AdjustedAsset::Points | AdjustedAsset::Tokens => boosted(wallet, RewardType::TokenBooster, amount, at),
        AdjustedAsset::Xp => boosted(wallet, RewardType::LevelBooster, amount, at),
        AdjustedAsset::Credit => Ok(amount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IdKey;
    use crate::keys::MerchantId;
    use crate::wire::{Booster, Credit};
    use AdjustedAsset::{Credit as Money, Points, Tokens, Xp};
    use proptest::prelude::*;

    const NOW: Instant = Instant(1_800_000_000_000);

    fn adjusted(wallet: &Wallet, adjustment: &Adjustment) -> Result<(Changes, LedgerRow), NotAdjusted> {
        let key = IdKey::new(vec![7; 32]).unwrap();
        let merchant = MerchantId::new("acme").unwrap();
        let view = AdjustView { mref: key.mref(&merchant, "ann"), wallet, next_ledger_row: 7 };
        let names = Names { key: &key, merchant: &merchant };
        adjust(&view, adjustment, &Actor::named("service:shop"), &names, NOW)
    }

    fn by(asset: AdjustedAsset, amount: i64) -> Adjustment {
        let currency = (asset == Money).then(|| "EUR".to_owned());
        Adjustment { asset, currency, amount, reason: "a good deed".to_owned(), order: None }
    }

    fn wallet() -> Wallet {
        let running = |kind, multiplier_permille, runs_until| Booster {
            id: "rw_b".to_owned(),
            reward_id: "b".to_owned(),
            name: "B".to_owned(),
            kind,
            multiplier_permille,
            runs_until,
        };
        Wallet {
            points: 100,
            xp: 10,
            tokens: 20,
            credit: vec![Credit { currency: "EUR".to_owned(), amount_minor: 500 }],
            boosters: vec![
                running(RewardType::TokenBooster, 1_500, NOW.plus_ms(1)),
                running(RewardType::LevelBooster, 2_000, NOW.plus_ms(1)),
                running(RewardType::TokenBooster, 9_000, NOW),
            ],
            ..Wallet::default()
        }
    }

    /// Amount and balance of the row, or why there is none.
    fn outcome(adjustment: &Adjustment) -> String {
        match adjusted(&wallet(), adjustment) {
            Ok((_, row)) => format!("{} → {}", row.amount, row.balance_after),
            Err(NotAdjusted::Refused(Refusal::InsufficientPoints { points_needed, .. })) => {
                format!("{points_needed} points needed")
            }
            Err(NotAdjusted::Refused(Refusal::ValueSpent { short_by })) => format!("short by {short_by}"),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn balances_change_and_never_go_below_zero() {
        for (adjustment, expected) in [
            (by(Points, 5), "7 → 107"),
            (by(Points, 1), "1 → 101"),
            (by(Tokens, 10), "15 → 35"),
            (by(Xp, 10), "20 → 30"),
            (by(Money, 10), "10 → 510"),
            // What is taken is taken as it is.
            (by(Points, -100), "-100 → 0"),
            (by(Points, -101), "1 points needed"),
            (by(Xp, -11), "short by 1"),
            (by(Tokens, -30), "short by 10"),
            (by(Money, -501), "short by 1"),
            (by(Money, -500), "-500 → 0"),
            (by(Points, 9_007_199_254_740_991), "Overflow"),
            (by(Money, 9_007_199_254_740_991), "Overflow"),
            (Adjustment { currency: Some("USD".to_owned()), ..by(Money, -1) }, "short by 1"),
            (Adjustment { currency: Some("USD".to_owned()), ..by(Money, 1) }, "1 → 1"),
        ] {
            assert_eq!(outcome(&adjustment), expected, "{adjustment:?}");
        }
    }

    #[test]
    fn an_adjustment_is_one_row_one_entry_one_event() {
        let adjustment = Adjustment { order: Some("o-1".to_owned()), ..by(Money, -200) };
        let (changes, row) = adjusted(&wallet(), &adjustment).unwrap();
        assert_eq!(changes.ledger, std::slice::from_ref(&row));
        assert_eq!((row.kind.as_str(), row.by.as_str()), ("adjustment", "service:shop"));
        assert_eq!((row.reason.as_deref(), row.order.as_deref()), (Some("a good deed"), Some("o-1")));
        assert_eq!((row.redemption_id, row.quantity, row.reverses), (None, None, None));
        assert!(row.number.ends_with("-7"));
        assert_eq!(changes.wallet.unwrap().credit[0].amount_minor, 300);
        assert_eq!(changes.events.len(), 1);
        let audit = changes.audit.unwrap();
        assert_eq!((audit.actor.as_str(), audit.action.as_str()), ("service:shop", "wallet.adjusted"));
        assert_eq!(audit.reason.as_deref(), Some("a good deed"));
        assert_eq!(audit.data.unwrap()["currency"], "EUR");
        assert!(changes.redemption.is_none() && changes.rewards.is_empty() && !changes.give_back);
    }

    proptest! {
        /// A balance is the sum of its rows, never negative, never beyond what clients keep exactly, whatever is asked.
        #[test]
        fn the_ledger_balances(
            asked in proptest::collection::vec(
                (0usize..4, prop_oneof![-300i64..300, -9_007_199_254_740_991i64..=9_007_199_254_740_991]), 1..40,
            ),
        ) {
            let mut wallet = Wallet { boosters: wallet().boosters, ..Wallet::default() };
            let mut sums = [0i128; 4];
            for (asset, amount) in asked {
                let (Some(kind), true) = ([Points, Xp, Tokens, Money].get(asset), amount != 0) else { continue };
                let before = wallet.clone();
                match adjusted(&wallet, &by(*kind, amount)) {
                    Ok((changes, row)) => {
                        sums[asset] += i128::from(row.amount);
                        prop_assert_eq!(i128::from(row.balance_after), sums[asset]);
                        prop_assert_eq!(row.amount > 0, amount > 0);
                        wallet = changes.wallet.unwrap();
                    }
                    Err(_) => prop_assert_eq!(&before, &wallet),
                }
                prop_assert!(sums.iter().all(|sum| (0..=i128::from(INTEGER_MAX)).contains(sum)));
                let credit = wallet.credit.first().map_or(0, |credit| credit.amount_minor);
                let balances = [wallet.points, wallet.xp, wallet.tokens, credit].map(i128::from);
                prop_assert_eq!(balances, sums);
            }
        }
    }
}
