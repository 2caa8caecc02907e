//! The built-in wallet: what applying a reward does to balances, with the matching ledger rows.

use crate::ids::{IdKey, IdKind, Rid};
use crate::keys::MerchantId;
use crate::limits::INTEGER_MAX;
use crate::time::Instant;
use crate::wire::{Credit, LedgerRow, RewardDefinition, RewardValue, Wallet};

/// A balance would leave the integers that JSON clients keep exactly; nothing was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceOverflow;

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

    /// Public id of the n-th ledger row of a redemption.
    #[must_use]
    pub fn ledger(&self, rid: &Rid, index: u8) -> String {
        self.key.id(IdKind::Ledger(index), self.merchant, rid)
    }
}

/// A receipt number that people can read out: five symbols of the member, and the row's number.
#[must_use]
pub fn receipt_number(rid: &Rid, row: u64) -> String {
    let symbols = rid.as_bytes().iter().take(5).map(|byte| char::from(crate::code::symbol(byte & 31)));
    format!("{}-{row}", symbols.collect::<String>())
}

/// One grant to apply.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// What is given.
    pub reward: &'a RewardDefinition,
    /// Units of it.
    pub quantity: u32,
    /// The redemption it belongs to.
    pub rid: &'a Rid,
    /// Number of its ledger row.
    pub row: u64,
    /// Actor.
    pub by: &'a str,
    /// When.
    pub at: Instant,
}

/// Applies a grant: the wallet after it and its one ledger row.
///
/// # Errors
/// [`BalanceOverflow`].
pub fn apply(wallet: &Wallet, grant: &Grant<'_>, names: &Names<'_>) -> Result<(Wallet, LedgerRow), BalanceOverflow> {
    let Grant { reward, quantity, rid, row, by, at } = *grant;
    let mut after = wallet.clone();
    let total = |unit: u64| unit.checked_mul(u64::from(quantity)).ok_or(BalanceOverflow);
    let sum = |balance: u64, amount: u64| {
        balance.checked_add(amount).filter(|sum| *sum <= INTEGER_MAX).ok_or(BalanceOverflow)
    };
    let (asset, currency, feature, amount, balance_after) = match &reward.value {
        RewardValue::Credit { currency, amount_minor } => {
            let amount = total(*amount_minor)?;
            let index = match after.credit.binary_search_by(|credit| credit.currency.cmp(currency)) {
                Ok(index) => index,
                Err(index) => {
                    after.credit.insert(index, Credit { currency: currency.clone(), amount_minor: 0 });
                    index
                }
            };
            let credit = after.credit.get_mut(index).ok_or(BalanceOverflow)?;
            credit.amount_minor = sum(credit.amount_minor, amount)?;
            ("credit", Some(currency.clone()), None, amount, credit.amount_minor)
        }
        RewardValue::Points { amount } => {
            let amount = total(*amount)?;
            after.points = sum(after.points, amount)?;
            ("points", None, None, amount, after.points)
        }
        RewardValue::Feature { key } => {
            // A feature is had or not: a second grant of it adds nothing, and its row says so.
            let amount = match after.features.binary_search(key) {
                Ok(_) => 0,
                Err(index) => {
                    after.features.insert(index, key.clone());
                    1
                }
            };
            ("feature", None, Some(key.clone()), amount, 1)
        }
    };
    let ledger = LedgerRow {
        ledger_id: names.ledger(rid, 0),
        number: receipt_number(rid, row),
        at,
        asset: asset.to_owned(),
        currency,
        feature,
        amount,
        balance_after,
        kind: "redemption".to_owned(),
        redemption_id: Some(names.redemption(rid)),
        quantity,
        by: by.to_owned(),
    };
    Ok((after, ledger))
}
