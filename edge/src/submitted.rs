//! What somebody has entered: a code, whose tag is verified before any object is touched, or a word, which its Merchant knows.
//! And what keeps who entered it from trying.

use crate::answer::Answer;
use crate::calls::{Guard, ReadCode};
use crate::challenge::{self, CHALLENGE_HEADER};
use crate::gate::{self, Gate};
use crate::inbound::{Inbound, Stop};
use crate::merchant_aliases::{AliasOf, AliasTarget};
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json, within};
use crate::platform::{Fault, now};
use crate::throttle::{ADDRESS_HEADER, Source};
use counterfoil_core::alias::Alias;
use counterfoil_core::breaker::Claim;
use counterfoil_core::code::{Reading, check};
use counterfoil_core::ids::Mref;
use counterfoil_core::protocol::member::Bar;
use counterfoil_core::rate_limit::{Policy, RateLimit};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::throttle::address_quota;
use counterfoil_core::token::Role;
use std::rc::Rc;
use std::time::Duration;

/// Longest wait for the Merchant to say what a word stands for.
const ALIAS_WAIT: Duration = Duration::from_secs(5);

/// What a text turned out to be.
pub(crate) enum Submitted {
    /// A code.
    Code {
        canonical: String,
        /// The campaign key that it names.
        claim: Claim,
        /// Absent where its tag does not fit.
        read: Option<ReadCode>,
    },
    /// A memorable word.
    Alias { alias: Alias },
}

/// A text as a Member is told of it.
pub(crate) struct Presented {
    /// As it is compared with what came before under the same key.
    pub(crate) canonical: String,
    pub(crate) read: Option<ReadCode>,
    /// The campaign key that it names, where its tag does not fit.
    pub(crate) claim: Option<Claim>,
    pub(crate) alias: bool,
    pub(crate) guard: Guard,
}

impl Inbound<'_> {
    /// Reads a text. One that would need a correction is refused and never searched.
    pub(crate) fn read_text(&self, text: &str) -> Result<Submitted, Refusal> {
        let malformed = |reason: &str, position: Option<usize>| Refusal::MalformedCode {
            position: position.and_then(|position| u32::try_from(position).ok()),
            reason: reason.to_owned(),
        };
        // First, because it says best what is wrong with a text that cannot be read at all.
        Reading::of(text).map_err(|error| malformed(error.reason(), error.position()))?;
        if let Some(alias) = Alias::read(text) {
            self.line.code(&self.config.id_key, &self.principal.merchant, alias.as_str(), true);
            return Ok(Submitted::Alias { alias });
        }
        let code = check(text).map_err(|error| malformed(error.reason(), error.position()))?;
        let (profile, epoch, campaign) = (code.profile(), code.epoch(), code.campaign());
        let keys = self.config.campaign_keys(&self.principal.merchant, profile, epoch, campaign);
        let authentic = keys.and_then(|keys| keys.verify(&code).ok());
        let read = authentic.map(|authentic| ReadCode {
            campaign,
            seq: authentic.seq(),
            epoch,
            profile,
            epoch_revoked: self.config.is_revoked(epoch),
            shard: 0,
            alias: None,
        });
        let canonical = code.canonical().to_string();
        self.line.code(&self.config.id_key, &self.principal.merchant, &canonical, false);
        Ok(Submitted::Code { canonical, claim: Claim { profile, epoch, campaign }, read })
    }

    /// The same; a text that is none is answered.
    pub(crate) fn submitted(&self, text: &str) -> Result<Submitted, Stop> {
        match self.read_text(text) {
            Ok(submitted) => Ok(submitted),
            Err(refusal) => Err(Stop::Answer(Box::new(Answer::refusal(&refusal, self.instance)?))),
        }
    }

    /// What this Worker has to know of the caller's merchant.
    pub(crate) async fn gate(&self, objects: &Objects<'_>) -> Result<Rc<Gate>, Stop> {
        Ok(gate::of(objects, &self.principal.merchant).await?)
    }

    /// The code that was entered, or that a word stands for, with the shard that keeps its uses for this member. Absent where
    /// the tag does not fit or the word is not known.
    pub(crate) async fn recognise(
        &self,
        objects: &Objects<'_>,
        submitted: &Submitted,
        gate: &Gate,
        mref: &Mref,
    ) -> Result<Option<ReadCode>, Stop> {
        let read = match submitted {
            Submitted::Code { read, .. } => read.clone(),
            Submitted::Alias { alias } => self.stands_for(objects, alias).await?,
        };
        Ok(read.map(|read| ReadCode { shard: gate.shard(read.campaign, read.seq, mref), ..read }))
    }

    async fn stands_for(&self, objects: &Objects<'_>, alias: &Alias) -> Result<Option<ReadCode>, Fault> {
        let merchant = &self.principal.merchant;
        let target = match gate::word(merchant, alias) {
            Some(target) => Some(target),
            None => {
                let op = MerchantOp::Alias { alias: alias.clone() };
                let asked = (gate::changes(merchant), now());
                let asking = async { read_json::<AliasOf>(objects.merchant(merchant.as_str(), &op).await?).await };
                let AliasOf { target } = within(ALIAS_WAIT, "the merchant", asking).await?;
                if let Some(target) = target {
                    gate::keep_word(merchant, alias, target, asked);
                }
                target
            }
        };
        // A word was never signed: it belongs to no epoch.
        let read = |AliasTarget { campaign, profile, seq }| ReadCode {
            campaign,
            seq,
            epoch: 0,
            profile,
            epoch_revoked: false,
            shard: 0,
            alias: Some(alias.clone()),
        };
        Ok(target.map(read))
    }

    /// What keeps who entered something from trying, before it is looked at: the address that it comes from, and whose
    /// codes are being guessed. Only accounts without an earlier grant are kept.
    async fn guard(&self, gate: &Gate, claim: Option<Claim>) -> Result<Guard, Stop> {
        let service = self.principal.role == Role::Service;
        let guard = gate.guard(claim, service);
        let source = Source::of(&self.request, self.config, &self.principal)?;
        if let Some(until) = source.and_then(|source| source.blocked_until()) {
            let wait_s = (until.0 - now().0).max(0) / 1_000 + 1;
            let bar = Some(Bar::Wait { retry_after_s: u32::try_from(wait_s).unwrap_or(u32::MAX) });
            let limit = Some(RateLimit::daily(Policy::Address, address_quota(guard.attempts_per_day)));
            return Ok(Guard { bar, limit, ..guard });
        }
        if guard.bar == Some(Bar::Challenge) && self.passes_challenge().await? {
            return Ok(Guard { bar: None, ..guard });
        }
        Ok(guard)
    }

    /// Whether the request shows that a person makes it.
    async fn passes_challenge(&self) -> Result<bool, Fault> {
        let headers = self.request.headers();
        let Some(response) = headers.get(CHALLENGE_HEADER)? else { return Ok(false) };
        Ok(challenge::passes(self.config, &response, headers.get(ADDRESS_HEADER)?.as_deref()).await)
    }

    /// Everything about a text that a member's redemption, preview or hold goes with.
    pub(crate) async fn present(&self, objects: &Objects<'_>, text: &str, mref: &Mref) -> Result<Presented, Stop> {
        let submitted = self.submitted(text)?;
        let gate = self.gate(objects).await?;
        let read = self.recognise(objects, &submitted, &gate, mref).await?;
        let (canonical, claim) = match submitted {
            Submitted::Code { canonical, claim, .. } => (canonical, Some(claim)),
            Submitted::Alias { alias } => (alias.as_str().to_owned(), None),
        };
        let guard = self.guard(&gate, claim).await?;
        let alias = claim.is_none();
        // A genuine tag is no wrong one, even where its code was never issued.
        let claim = claim.filter(|_| read.is_none());
        Ok(Presented { canonical, read, claim, alias, guard })
    }
}
