//! A Member at the till: quotes and their confirmation, adjustments of balances, and what points can buy.

use crate::answer::Answer;
use crate::calls::Once;
use crate::member::Inner;
use crate::member_drive::TOO_DEAR;
use crate::member_store::{MemberStore, blob};
use crate::once::{self, Seen};
use crate::platform::{Fault, now};
use crate::sql::{first, query, run};
use crate::till_calls::{AdjustCall, ConfirmCall, QuoteCall, QuoteRef, TillOp};
use counterfoil_core::adjustment::{AdjustView, NotAdjusted, adjust};
use counterfoil_core::ids::Rid;
use counterfoil_core::limits::{ANSWERS_KEPT_MS, INTEGER_MAX};
use counterfoil_core::price::{catalogue, total_cost, unit_cost};
use counterfoil_core::protocol::{Purchase, QuoteTerms, Wish};
use counterfoil_core::quote::{Asked, Quote, QuoteState, confirm_check, displaced, open};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::Actor;
use counterfoil_core::time::Instant;
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{
    AdjustedAsset, InvalidRequest, LedgerRow, Page, ProtocolError, QuoteResource, RewardDefinition,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::rc::Rc;

/// Part of a Member's schema.
pub(crate) const SCHEMA: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS quotes (
        rid BLOB PRIMARY KEY, reward_id TEXT NOT NULL, expires_at INTEGER NOT NULL, doc TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'replaced', 'expired', 'confirmed', 'cancelled'))
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS quotes_old ON quotes (expires_at)",
    "CREATE UNIQUE INDEX IF NOT EXISTS quotes_open ON quotes (reward_id) WHERE state = 'open'",
    // What was taken is returned once, whoever writes it.
    "CREATE UNIQUE INDEX IF NOT EXISTS ledger_reversals ON ledger (json_extract(doc, '$.reverses'))
     WHERE json_extract(doc, '$.kind') = 'reversal'",
];

/// Old quotes that are forgotten when a new one is made.
const FORGOTTEN_AT_ONCE: u32 = 8;

/// What stays as it is in a path: unreserved characters (RFC 3986).
pub(crate) const SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How a call was answered, kept with its key.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    made: Option<T>,
    refusal: Option<Refusal>,
}

impl<T: Serialize> Kept<T> {
    /// Keeps it with its key. Run inside the transaction of the effect.
    fn keep(&self, store: &MemberStore<'_>, once: Option<&Once>, at: Instant) -> Result<(), Fault> {
        once::keep(store.0, once, &serde_json::to_string(self)?, at)
    }
}

impl MemberStore<'_> {
    /// A till's offer.
    pub(crate) fn quote(&self, rid: &Rid) -> Result<Option<Quote>, Fault> {
        let row = first(self.0, "SELECT doc, state FROM quotes WHERE rid = ?", &[blob(rid)])?;
        let Some(row) = row else { return Ok(None) };
        let (quote, state) = (row.json::<Quote>(0)?, row.text(1)?);
        let state = QuoteState::ALL.into_iter().find(|known| known.name() == state);
        Ok(Some(Quote { state: state.ok_or_else(|| Fault::new("a stored quote is broken"))?, ..quote }))
    }

    /// An offer is confirmed once. Run inside the deciding transaction.
    pub(crate) fn confirm_quote(&self, rid: &Rid) -> Result<(), Fault> {
        let statement = "UPDATE quotes SET state = 'confirmed' WHERE rid = ? AND state = 'open' RETURNING 1";
        if run(self.0, statement, &[blob(rid)])? { Ok(()) } else { Err(Fault::new("a quote was confirmed twice")) }
    }

    /// Writes an offer in place of an earlier one of the same reward.
    fn add_quote(&self, quote: &Quote, now: Instant) -> Result<(), Fault> {
        let reward_id = quote.reward.reward_id.as_str();
        let open = "SELECT rid FROM quotes WHERE reward_id = ? AND state = 'open'";
        for row in query(self.0, open, &[reward_id.into()])? {
            let Some(rid) = Rid::from_bytes(&row.blob(0)) else { continue };
            if let Some(earlier) = self.quote(&rid)? {
                self.set_quote_state(&rid, displaced(&earlier, now))?;
            }
        }
        let doc = serde_json::to_string(quote)?;
        let statement = "INSERT INTO quotes (rid, reward_id, expires_at, doc, state) VALUES (?, ?, ?, ?, ?)";
        let values =
            [blob(&quote.rid), reward_id.into(), quote.expires_at.0.into(), (&doc).into(), quote.state.name().into()];
        run(self.0, statement, &values)?;
        // As long as the key of a call may bring one up again.
        let oldest = now.plus_ms(-ANSWERS_KEPT_MS);
        let statement = "DELETE FROM quotes WHERE rid IN (SELECT rid FROM quotes WHERE expires_at < ? LIMIT ?)";
        run(self.0, statement, &[oldest.0.into(), FORGOTTEN_AT_ONCE.into()]).map(drop)
    }

    fn set_quote_state(&self, rid: &Rid, state: QuoteState) -> Result<(), Fault> {
        let statement = "UPDATE quotes SET state = ?2 WHERE rid = ?1 AND state = 'open'";
        run(self.0, statement, &[blob(rid), state.name().into()]).map(drop)
    }
}

impl Inner {
    /// A call about quotes, adjustments, or what points can buy.
    pub(crate) async fn till(self: &Rc<Self>, op: TillOp, instance: &str) -> Result<Answer, Fault> {
        match op {
            TillOp::Quote(call) => self.offer(&call, instance),
            TillOp::ReadQuote(named) => match self.offered(&named)? {
                Some(quote) => Answer::json(200, &self.shown(&quote)?),
                None => Answer::error(&ProtocolError::NotFound, instance),
            },
            TillOp::CancelQuote(named) => self.cancel_offer(&named, instance),
            TillOp::Confirm(call) => self.confirm(call, instance).await,
            TillOp::Adjust(call) => self.adjust(&call, instance),
            TillOp::Catalogue { rewards, next_cursor } => self.catalogue(&rewards, next_cursor),
        }
    }

    /// Makes an offer. It moves nothing, but a newer one takes the place of an earlier one.
    fn offer(&self, call: &QuoteCall, instance: &str) -> Result<Answer, Fault> {
        let QuoteCall { rid, reward, quantity, again, actor, once } = call;
        let at = now();
        let (kept, replayed) = match once::seen(&self.storage, once.as_ref(), at)? {
            Seen::Same(kept) => (counterfoil_core::json::read::<Kept<Rid>>(&kept)?, true),
            Seen::Other => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
            Seen::New => {
                let (attributes, profile) = (self.store().attributes()?, self.store().profile()?);
                let unit = unit_cost(reward, &attributes);
                if unit.is_some_and(|unit| total_cost(unit, *quantity).is_none()) {
                    return Answer::invalid(InvalidRequest::one("quantity", TOO_DEAR), instance);
                }
                let made = self.storage.transaction(|| {
                    let store = self.store();
                    let asked = Asked {
                        rid: *rid,
                        reward,
                        quantity: *quantity,
                        by: actor,
                        again: *again,
                        attributes: &attributes,
                        roles: profile.roles.as_deref().unwrap_or_default(),
                        points: store.wallet(at)?.points,
                        last_bought_at: store.last_bought_at(&reward.reward_id)?,
                    };
                    let kept = match open(&asked, at) {
                        Err(refusal) => Kept { made: None, refusal: Some(refusal) },
                        Ok((quote, missing)) => {
                            store.add_quote(&quote, at)?;
                            let quote_id = Some(self.shown(&quote)?.quote_id);
                            let short = |points_needed| Refusal::InsufficientPoints { points_needed, quote_id };
                            Kept { made: Some(quote.rid), refusal: missing.map(short) }
                        }
                    };
                    if kept.refusal.as_ref().is_none_or(Refusal::leaves_record) {
                        kept.keep(&store, once.as_ref(), at)?;
                    }
                    Ok(kept)
                })?;
                (made, false)
            }
        };
        let answer = match (kept.refusal, kept.made) {
            (Some(refusal), _) => Answer::refusal(&refusal, instance)?,
            (None, Some(rid)) => match self.store().quote(&rid)? {
                Some(quote) => {
                    let shown = self.shown(&quote)?;
                    Answer::json(201, &shown)?.header("Location", format!("/v1/till/quotes/{}", shown.quote_id))
                }
                None => Answer::error(&ProtocolError::NotFound, instance)?,
            },
            (None, None) => return Err(Fault::new("a kept answer is broken")),
        };
        Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer })
    }

    /// An offer that the caller may see.
    fn offered(&self, named: &QuoteRef) -> Result<Option<Quote>, Fault> {
        let quote = self.store().quote(&named.quote)?;
        Ok(quote.filter(|quote| named.own.as_ref().is_none_or(|own| quote.by == *own)))
    }

    fn shown(&self, quote: &Quote) -> Result<QuoteResource, Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let at = now();
        let points = self.store().wallet(at)?.points;
        Ok(quote.resource(points, &Names { key: &config.id_key, merchant: &merchant }, at))
    }

    /// Nothing was moved, so nothing is moved back; what was given cannot be cancelled.
    fn cancel_offer(&self, named: &QuoteRef, instance: &str) -> Result<Answer, Fault> {
        match self.offered(named)? {
            None => Answer::error(&ProtocolError::NotFound, instance),
            Some(quote) if !quote.may_cancel() => {
                let state = quote.state.name().to_owned();
                let error = ProtocolError::IllegalMove { state, legal_moves: vec![], unknown_outcome: false };
                Answer::error(&error, instance)
            }
            Some(quote) => {
                self.store().set_quote_state(&quote.rid, QuoteState::Cancelled)?;
                Ok(Answer::empty(204))
            }
        }
    }

    /// Confirms an offer: a purchase at its price, decided as any other. Once for each offer, whatever the keys: the
    /// deciding transaction looks at the offer again, and marks it.
    async fn confirm(self: &Rc<Self>, call: ConfirmCall, instance: &str) -> Result<Answer, Fault> {
        let ConfirmCall { rid, fp, quote: named, actor, override_reason, respond_async } = call;
        if let Some(answer) = self.seen(&rid, &fp, respond_async, instance).await? {
            return Ok(answer);
        }
        let Some(quote) = self.offered(&named)? else { return Answer::error(&ProtocolError::NotFound, instance) };
        let (store, at) = (self.store(), now());
        let last_bought_at = store.last_bought_at(&quote.reward.reward_id)?;
        if let Err(refusal) = confirm_check(Some(&quote), last_bought_at, at, at) {
            return Answer::refusal(&refusal, instance);
        }
        let wish = Wish::Points(Purchase {
            reward: quote.reward,
            quantity: quote.quantity,
            at,
            attributes: store.attributes()?,
            roles: store.profile()?.roles.unwrap_or_default(),
            unit_cost: Some(quote.unit_cost),
            quote: Some(QuoteTerms { quote: quote.rid, override_reason }),
        });
        self.begin(self.wishing(rid, fp, wish, Some(actor)), respond_async, instance).await
    }

    /// Earned, spent or corrected: one row, once for each key.
    fn adjust(self: &Rc<Self>, call: &AdjustCall, instance: &str) -> Result<Answer, Fault> {
        let AdjustCall { adjustment, actor, once } = call;
        let at = now();
        match once::seen(&self.storage, Some(once), at)? {
            Seen::Same(kept) => {
                let kept = counterfoil_core::json::read::<Kept<LedgerRow>>(&kept)?;
                return Ok(self.adjusted(kept, instance)?.header("Idempotent-Replayed", "true"));
            }
            Seen::Other => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
            Seen::New => {}
        }
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let who = self.who()?;
        let mref = self.mref()?;
        let done = self.storage.transaction(|| {
            let store = self.store();
            let (wallet, next_ledger_row) = (store.wallet(at)?, store.next_ledger_row()?);
            let view = AdjustView { mref, wallet: &wallet, next_ledger_row };
            match adjust(&view, adjustment, &Actor::named(actor), &names, at) {
                Ok((changes, row)) => {
                    let events =
                        store.write_effects(&Rid::of_row(&mref, next_ledger_row), &changes, who.told(vec![]), at)?;
                    let kept = Kept { made: Some(row), refusal: None };
                    kept.keep(&store, Some(once), at)?;
                    Ok(Some((kept, events)))
                }
                Err(NotAdjusted::Refused(refusal)) => {
                    let kept = Kept { made: None, refusal: Some(refusal) };
                    if kept.refusal.as_ref().is_some_and(Refusal::leaves_record) {
                        kept.keep(&store, Some(once), at)?;
                    }
                    Ok(Some((kept, vec![])))
                }
                Err(NotAdjusted::Overflow) => Ok(None),
            }
        })?;
        let Some((kept, events)) = done else {
            let path = if adjustment.asset == AdjustedAsset::Credit { "amount_minor" } else { "amount" };
            let reason = format!("the balance would exceed {INTEGER_MAX}");
            return Answer::invalid(InvalidRequest::one(path, reason), instance);
        };
        self.publish(&events);
        if kept.made.is_some() {
            self.start_report();
        }
        self.adjusted(kept, instance)
    }

    fn adjusted(&self, kept: Kept<LedgerRow>, instance: &str) -> Result<Answer, Fault> {
        match (kept.refusal, kept.made) {
            (Some(refusal), _) => Answer::refusal(&refusal, instance),
            (None, Some(row)) => {
                let who = self.who()?;
                let member_id = utf8_percent_encode(&who.member_id, &SEGMENT);
                Ok(Answer::json(201, &row)?.header("Location", format!("/v1/members/{member_id}/ledger")))
            }
            (None, None) => Err(Fault::new("a kept answer is broken")),
        }
    }

    fn catalogue(&self, rewards: &[RewardDefinition], next_cursor: Option<String>) -> Result<Answer, Fault> {
        let store = self.store();
        let (attributes, profile) = (store.attributes()?, store.profile()?);
        let roles = profile.roles.unwrap_or_default();
        let items = catalogue(rewards, &attributes, &roles, store.wallet(now())?.points);
        Answer::json(200, &Page { items, next_cursor })
    }
}
