//! The built-in wallet: what applying a reward, taking it back and its end do to balances, with the matching
//! ledger rows.

use crate::ids::{IdKey, IdKind, Mref, Rid};
use crate::keys::MerchantId;
use crate::limits::INTEGER_MAX;
use crate::time::Instant;
use crate::wire::{Booster, Credit, LedgerRow, Reward, RewardType, RewardValue, Wallet};
use serde::{Deserialize, Serialize};

/// A balance would leave the integers that JSON clients keep exactly; nothing was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceOverflow;

/// What was given has been spent; nothing was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueSpent {
    /// How much is missing.
    pub short_by: u64,
}

/// Names public ids for one merchant.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The deployment's id key.
    pub key: &'a IdKey,
    /// The tenant.
    pub merchant: &'a MerchantId,
}

impl Names<'_> {
    /// Public id of a redemption.
    #[must_use]
    pub fn redemption(&self, rid: &Rid) -> String {
        self.key.id(IdKind::Redemption, self.merchant, rid)
    }

    /// Public id of the n-th reward of a redemption.
    #[must_use]
    pub fn reward(&self, rid: &Rid, index: u8) -> String {
        self.key.id(IdKind::Reward(index), self.merchant, rid)
    }

    /// Public id of a till's offer.
    #[must_use]
    pub fn quote(&self, rid: &Rid) -> String {
        self.key.id(IdKind::Quote, self.merchant, rid)
    }

    /// Public id of what is kept for an order.
    #[must_use]
    pub fn hold(&self, rid: &Rid) -> String {
        self.key.id(IdKind::Hold, self.merchant, rid)
    }

    /// Public id of a member's n-th ledger row.
    #[must_use]
    pub fn ledger(&self, mref: &Mref, row: u64) -> String {
        self.key.id(IdKind::Ledger, self.merchant, &Rid::of_row(mref, row))
    }
}

/// A receipt number that people can read out: five symbols of the member, and the row's number.
#[must_use]
pub fn receipt_number(mref: &Mref, row: u64) -> String {
    let symbols = mref.as_bytes().iter().take(5).map(|byte| char::from(crate::code::symbol(byte & 31)));
    format!("{}-{row}", symbols.collect::<String>())
}

/// A change of one balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `points`, `xp`, `tokens`, `credit`, `feature` or `reward`.
    pub asset: String,
    /// Of credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Key of a feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// Change.
    pub amount: i64,
    /// Balance after it.
    pub balance_after: u64,
}

impl Entry {
    /// A row for what no balance shows.
    #[must_use]
    pub fn without_balance() -> Self {
        Self { asset: "reward".to_owned(), currency: None, feature: None, amount: 0, balance_after: 0 }
    }
}

/// Why a ledger row is written, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Cause<'a> {
    /// See [`LedgerRow::kind`].
    pub kind: &'a str,
    /// Whose ledger it is.
    pub mref: Mref,
    /// The redemption it belongs to, where there is one.
    pub rid: Option<&'a Rid>,
    /// Actor.
    pub by: &'a str,
    /// What else it says.
    pub note: Note<'a>,
    /// When.
    pub at: Instant,
}

/// What a ledger row says beside the change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Note<'a> {
    /// Units, where it counts any.
    pub quantity: Option<u32>,
    /// Why, where somebody said.
    pub reason: Option<&'a str>,
    /// The row that it takes back.
    pub reverses: Option<&'a str>,
    /// What the holder shows elsewhere.
    pub promo_code: Option<&'a str>,
    /// The shop's order.
    pub order: Option<&'a str>,
}

impl Cause<'_> {
    /// The ledger row of a change; `row` is its number.
    #[must_use]
    pub fn row(&self, entry: Entry, row: u64, names: &Names<'_>) -> LedgerRow {
        let Note { quantity, reason, reverses, promo_code, order } = self.note;
        LedgerRow {
            ledger_id: names.ledger(&self.mref, row),
            number: receipt_number(&self.mref, row),
            at: self.at,
            asset: entry.asset,
            currency: entry.currency,
            feature: entry.feature,
            amount: entry.amount,
            balance_after: entry.balance_after,
            kind: self.kind.to_owned(),
            redemption_id: self.rid.map(|rid| names.redemption(rid)),
            quantity,
            promo_code: promo_code.map(str::to_owned),
            order: order.map(str::to_owned),
            by: self.by.to_owned(),
            reason: reason.map(str::to_owned),
            reverses: reverses.map(str::to_owned),
        }
    }
}

/// Takes points, credit, xp or tokens that are there.
///
/// # Errors
/// [`ValueSpent`]; the wallet is as it was.
pub fn spend(wallet: &mut Wallet, asset: &str, currency: Option<&str>, amount: u64) -> Result<Entry, ValueSpent> {
    let entry = Entry {
        asset: asset.to_owned(),
        currency: currency.map(str::to_owned),
        feature: None,
        amount: signed(amount),
        balance_after: 0,
    };
    take_back(wallet, &entry, false)
}

/// Adds points, credit, xp or tokens as they are, without boosters: what was taken for something comes back.
///
/// # Errors
/// [`BalanceOverflow`]; the wallet is as it was.
pub fn put_back(
    wallet: &mut Wallet,
    asset: &str,
    currency: Option<&str>,
    amount: u64,
) -> Result<Entry, BalanceOverflow> {
    let balance_after = match (asset, currency) {
        ("points", _) => {
            wallet.points = sum(wallet.points, amount)?;
            wallet.points
        }
        ("tokens", _) => {
            wallet.tokens = sum(wallet.tokens, amount)?;
            wallet.tokens
        }
        ("xp", _) => {
            wallet.xp = sum(wallet.xp, amount)?;
            wallet.xp
        }
        ("credit", Some(currency)) => add_credit(wallet, currency, amount, held(wallet, currency))?,
        (_, _) => return Err(BalanceOverflow),
    };
    let currency = currency.map(str::to_owned);
    Ok(Entry { asset: asset.to_owned(), currency, feature: None, amount: signed(amount), balance_after })
}

/// Returns to the wallet what an order has held and does not need.
///
/// # Errors
/// [`BalanceOverflow`]; it was counted while it was held, so this is a defect elsewhere.
pub fn return_held(wallet: &mut Wallet, money: &Credit) -> Result<Entry, BalanceOverflow> {
    let balance_after = add_credit(wallet, &money.currency, money.amount_minor, 0)?;
    let (currency, amount) = (Some(money.currency.clone()), signed(money.amount_minor));
    Ok(Entry { asset: "credit".to_owned(), currency, feature: None, amount, balance_after })
}

/// What orders hold of a currency.
fn held(wallet: &Wallet, currency: &str) -> u64 {
    wallet.held.iter().find(|held| held.currency == currency).map_or(0, |held| held.amount_minor)
}

/// Answers the balance after it. `held` may come back to it, and must fit then too.
fn add_credit(wallet: &mut Wallet, currency: &str, amount: u64, held: u64) -> Result<u64, BalanceOverflow> {
    let balance = wallet.credit.iter().find(|credit| credit.currency == currency).map_or(0, |it| it.amount_minor);
    sum(sum(balance, amount)?, held)?;
    match wallet.credit.binary_search_by(|credit| credit.currency.as_str().cmp(currency)) {
        Ok(index) => {
            let credit = wallet.credit.get_mut(index).ok_or(BalanceOverflow)?;
            credit.amount_minor = sum(credit.amount_minor, amount)?;
            Ok(credit.amount_minor)
        }
        Err(index) => {
            let amount_minor = sum(0, amount)?;
            wallet.credit.insert(index, Credit { currency: currency.to_owned(), amount_minor });
            Ok(amount_minor)
        }
    }
}

/// What running boosters make of an amount: the highest counts, not the product; the result is floored.
///
/// # Errors
/// [`BalanceOverflow`].
pub fn boosted(wallet: &Wallet, booster: RewardType, amount: u64, at: Instant) -> Result<u64, BalanceOverflow> {
    let running = wallet.boosters.iter().filter(|running| running.kind == booster && running.runs_until > at);
    let permille = running.map(|running| running.multiplier_permille).max().unwrap_or(1_000);
    let product = u128::from(amount) * u128::from(permille) / 1_000;
    u64::try_from(product).map_err(|_| BalanceOverflow)
}

fn sum(balance: u64, amount: u64) -> Result<u64, BalanceOverflow> {
    balance.checked_add(amount).filter(|sum| *sum <= INTEGER_MAX).ok_or(BalanceOverflow)
}

/// Amounts are below 2⁵³, so this never saturates.
fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// Applies a reward's value to the wallet; `None` where no balance shows it.
///
/// # Errors
/// [`BalanceOverflow`].
pub fn apply(wallet: &mut Wallet, reward: &Reward, at: Instant) -> Result<Option<Entry>, BalanceOverflow> {
    let total = |unit: u64| unit.checked_mul(u64::from(reward.quantity)).ok_or(BalanceOverflow);
    let (asset, currency, feature, amount, balance_after) = match (reward.kind, &reward.value) {
        (RewardType::Credit, RewardValue::Credit { currency, amount_minor }) => {
            let amount = total(*amount_minor)?;
            let held = held(wallet, currency);
            let after = add_credit(wallet, currency, amount, held)?;
            ("credit", Some(currency.clone()), None, amount, after)
        }
        (RewardType::Points, RewardValue::Amount { amount }) => {
            let amount = boosted(wallet, RewardType::TokenBooster, total(*amount)?, at)?;
            wallet.points = sum(wallet.points, amount)?;
            ("points", None, None, amount, wallet.points)
        }
        (RewardType::Tokens, RewardValue::Amount { amount }) => {
            let amount = boosted(wallet, RewardType::TokenBooster, total(*amount)?, at)?;
            wallet.tokens = sum(wallet.tokens, amount)?;
            ("tokens", None, None, amount, wallet.tokens)
        }
        (RewardType::Xp, RewardValue::Amount { amount }) => {
            let amount = boosted(wallet, RewardType::LevelBooster, total(*amount)?, at)?;
            wallet.xp = sum(wallet.xp, amount)?;
            ("xp", None, None, amount, wallet.xp)
        }
        (RewardType::Feature, RewardValue::Feature { key }) => {
            // A feature is had or not: a second grant of it adds nothing, and its row says so.
            let amount = match wallet.features.binary_search(key) {
                Ok(_) => 0,
                Err(index) => {
                    wallet.features.insert(index, key.clone());
                    1
                }
            };
            ("feature", None, Some(key.clone()), amount, 1)
        }
        // Boosters show in the wallet while they run; the rest is known elsewhere.
        (_, _) => return Ok(None),
    };
    Ok(Some(Entry { asset: asset.to_owned(), currency, feature, amount: signed(amount), balance_after }))
}

/// Takes back what [`apply`] gave. `feature_elsewhere`: another applied reward gives the same feature.
///
/// # Errors
/// [`ValueSpent`]; the wallet is as it was.
pub fn take_back(wallet: &mut Wallet, given: &Entry, feature_elsewhere: bool) -> Result<Entry, ValueSpent> {
    let amount = given.amount.unsigned_abs();
    let less =
        |balance: u64| balance.checked_sub(amount).ok_or(ValueSpent { short_by: amount.saturating_sub(balance) });
    let mut entry = given.clone();
    entry.amount = -given.amount;
    entry.balance_after = match given.asset.as_str() {
        "points" => {
            wallet.points = less(wallet.points)?;
            wallet.points
        }
        "tokens" => {
            wallet.tokens = less(wallet.tokens)?;
            wallet.tokens
        }
        "xp" => {
            wallet.xp = less(wallet.xp)?;
            wallet.xp
        }
        "credit" => {
            let credit = wallet.credit.iter_mut().find(|credit| Some(&credit.currency) == given.currency.as_ref());
            match credit {
                Some(credit) => {
                    credit.amount_minor = less(credit.amount_minor)?;
                    credit.amount_minor
                }
                None => less(0)?,
            }
        }
        "feature" => {
            // It goes with the last reward that gives it, whichever of them brought it.
            let had = wallet.features.iter().position(|key| Some(key) == given.feature.as_ref());
            match had {
                Some(index) if !feature_elsewhere => {
                    wallet.features.remove(index);
                    entry.amount = -1;
                    0
                }
                Some(_) => {
                    entry.amount = 0;
                    1
                }
                None => {
                    entry.amount = 0;
                    0
                }
            }
        }
        _ => 0,
    };
    Ok(entry)
}

/// A reward as a running booster, where it is one.
#[must_use]
pub fn booster(reward: &Reward) -> Option<Booster> {
    let RewardValue::Booster { multiplier_permille } = reward.value else { return None };
    Some(Booster {
        id: reward.id.clone(),
        reward_id: reward.reward_id.clone(),
        name: reward.name.clone(),
        kind: reward.kind,
        multiplier_permille,
        runs_until: reward.runs_until?,
    })
}

#[cfg(test)]
#[path = "wallet_tests.rs"]
mod tests;
