//! What administrators say of a member, their telephone number among it, and what staff find by it.
//!
//! A number is claimed at the Directory before this Member commits it, and the old one is let go after. Both claims are
//! written down with a due-item before anything is sent, so that none outlives what it was made for.

use crate::answer::Answer;
use crate::audit_log;
use crate::calls::PhoneChange;
use crate::directory::{CLAIM_MS, HasPhone, Listing};
use crate::due;
use crate::member::Inner;
use crate::member_store::MemberStore;
use crate::objects::{Objects, within};
use crate::platform::{Fault, now, random};
use crate::sql::{first, run};
use counterfoil_core::audit::Draft;
use counterfoil_core::hex;
use counterfoil_core::phone::Phone;
use counterfoil_core::price::catalogue;
use counterfoil_core::wire::{MemberResource, ProfileBody, ProtocolError, RewardDefinition, TillMember};
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::time::Duration;

/// Prefix of due-items that let a claim go.
pub(crate) const PHONE_ITEM: &str = "phone";
/// Longest wait for the Directory.
const DIRECTORY_WAIT: Duration = Duration::from_secs(8);
/// A claim that was answered later than this is not committed: by the time it stands, it may be another's.
const COMMIT_WITHIN_MS: i64 = CLAIM_MS / 2;

/// Part of a Member's schema: claims that are let go when their due-item comes.
pub(crate) const SCHEMA: [&str; 1] = ["CREATE TABLE IF NOT EXISTS phone_releases (
    claim TEXT PRIMARY KEY, hash TEXT NOT NULL
) STRICT, WITHOUT ROWID"];

/// The number as this Member keeps it, apart from everything else, so that it can be erased.
#[derive(Serialize, Deserialize)]
struct KeptPhone {
    phone: Phone,
    claim: String,
}

/// A claim that the Directory has granted.
struct Claim {
    phone: Phone,
    claim: String,
}

fn phone_item(claim: &str) -> String {
    format!("{PHONE_ITEM}:{claim}")
}

impl MemberStore<'_> {
    fn kept_phone(&self) -> Result<Option<KeptPhone>, Fault> {
        Ok(self.meta("phone")?.map(|text| counterfoil_core::json::read(&text)).transpose()?)
    }

    fn set_phone(&self, kept: Option<&KeptPhone>) -> Result<(), Fault> {
        match kept {
            Some(kept) => self.set_meta("phone", &serde_json::to_string(kept)?),
            None => run(self.0, "DELETE FROM meta WHERE key = 'phone'", &[]).map(drop),
        }
    }

    /// A claim is let go at `at`, unless it is kept before.
    fn release(&self, claim: &str, hash: &str, at: counterfoil_core::time::Instant) -> Result<(), Fault> {
        let statement = "INSERT INTO phone_releases VALUES (?, ?) ON CONFLICT DO NOTHING";
        run(self.0, statement, &[claim.into(), hash.into()])?;
        due::plan(self.0, &phone_item(claim), at)
    }

    /// A claim is kept, or was let go; answers whether it was still there.
    fn settle_claim(&self, claim: &str) -> Result<bool, Fault> {
        due::done(self.0, &phone_item(claim))?;
        run(self.0, "DELETE FROM phone_releases WHERE claim = ? RETURNING claim", &[claim.into()])
    }
}

impl Inner {
    /// Sets what administrators say of this member, and answers the whole of it.
    pub(crate) async fn put_profile(
        self: &Rc<Self>,
        body: ProfileBody,
        phone: Option<PhoneChange>,
        actor: &str,
        instance: &str,
    ) -> Result<Answer, Fault> {
        let began = now();
        let change = match phone {
            None => None,
            Some(PhoneChange::Remove) => Some(None),
            // The same number as before needs no claim.
            Some(PhoneChange::Set(phone)) => match self.store().kept_phone()? {
                Some(kept) if kept.phone == phone => None,
                Some(_) | None => match self.claim(phone).await? {
                    Some(claim) => Some(Some(claim)),
                    None => return self.phone_in_use(actor, instance),
                },
            },
        };
        if change.is_some() && began.plus_ms(COMMIT_WITHIN_MS) < now() {
            return Err(Fault::late("the claim of a number came too late"));
        }
        self.commit_profile(body, change, actor)?;
        self.start_report();
        Answer::json(200, &self.resource()?)
    }

    /// Asks the Directory for a number; `None` where it is somebody else's.
    async fn claim(&self, phone: Phone) -> Result<Option<Claim>, Fault> {
        let claim = hex::encode(&random::<16>());
        let listing = Listing::of(&*self.config()?, &self.merchant()?, &phone);
        self.storage.transaction(|| self.store().release(&claim, &listing.hash, now().plus_ms(CLAIM_MS)))?;
        let objects = Objects(&self.env);
        let claimed = within(DIRECTORY_WAIT, "the directory", objects.claim(&listing, self.mref()?, &claim)).await?;
        Ok(claimed.then_some(Claim { phone, claim }))
    }

    /// Another member has the number: nothing changes. The claim that was not granted is let go all the same, by its
    /// due-item, which costs nobody anything.
    fn phone_in_use(self: &Rc<Self>, actor: &str, instance: &str) -> Result<Answer, Fault> {
        let who = self.who()?;
        let error = ProtocolError::PhoneInUse;
        self.storage.transaction(|| {
            let draft = audit_log::refused(actor, Some(who.pid.clone()), instance, &error);
            audit_log::append(&self.storage, (&who.object, who.tester), &draft, None, vec![], Vec::new(), now())
        })?;
        self.start_report();
        Answer::error(&error, instance)
    }

    /// Writes what has changed, in one transaction.
    fn commit_profile(&self, body: ProfileBody, phone: Option<Option<Claim>>, actor: &str) -> Result<(), Fault> {
        let (store, who) = (self.store(), self.who()?);
        let (config, merchant) = (self.config()?, self.merchant()?);
        self.storage.transaction(|| {
            let (mut profile, mut attributes) = (store.profile()?, store.attributes()?);
            let mut changed = vec![];
            macro_rules! take {
                ($($field:ident => $target:expr),+) => {
                    $(if body.$field.is_some() && body.$field != $target {
                        changed.push(stringify!($field));
                        $target = body.$field;
                    })+
                };
            }
            take!(name => profile.name, tester => profile.tester, roles => profile.roles,
                tier => attributes.tier, persona => attributes.persona, tags => attributes.tags);
            if !changed.is_empty() {
                store.set_profile(&profile)?;
                store.set_attributes(&attributes)?;
            }
            if let Some(claim) = phone {
                let before = store.kept_phone()?;
                if let Some(Claim { claim, .. }) = &claim
                    && !store.settle_claim(claim)?
                {
                    return Err(Fault::late("the claim of a number was let go"));
                }
                if claim.as_ref().map(|claim| &claim.phone) != before.as_ref().map(|kept| &kept.phone) {
                    changed.push("phone");
                }
                if let Some(before) = before {
                    let listing = Listing::of(&config, &merchant, &before.phone);
                    store.release(&before.claim, &listing.hash, now())?;
                }
                store.set_phone(claim.map(|Claim { phone, claim }| KeptPhone { phone, claim }).as_ref())?;
            }
            if changed.is_empty() {
                return Ok(());
            }
            // Which fields, not what they say: entries are never erased.
            let mut draft = Draft::new(actor, "member.changed").subject(who.pid.clone());
            draft.data = Some(serde_json::json!({ "fields": changed }));
            audit_log::append(&self.storage, (&who.object, who.tester), &draft, None, vec![], Vec::new(), now())
        })?;
        self.load_who()
    }

    /// Forgets the number, and lets its claim go. Run inside a transaction.
    pub(crate) fn forget_phone(&self) -> Result<(), Fault> {
        let store = self.store();
        let Some(kept) = store.kept_phone()? else { return Ok(()) };
        let listing = Listing::of(&*self.config()?, &self.merchant()?, &kept.phone);
        store.release(&kept.claim, &listing.hash, now())?;
        store.set_phone(None)
    }

    /// The alarm's turn: lets a claim go.
    pub(crate) async fn let_go(&self, claim: &str) -> Result<(), Fault> {
        let row = first(&self.storage, "SELECT hash FROM phone_releases WHERE claim = ?", &[claim.into()])?;
        let Some(row) = row else { return due::done(&self.storage, &phone_item(claim)) };
        let listing = Listing::named(&self.merchant()?, row.text(0)?);
        let objects = Objects(&self.env);
        within(DIRECTORY_WAIT, "the directory", objects.release(&listing, claim)).await?;
        self.storage.transaction(|| self.store().settle_claim(claim).map(drop))
    }

    /// Whether this member has a number; the Directory may be behind.
    pub(crate) fn has_phone(&self, hash: &str) -> Result<bool, Fault> {
        let Some(kept) = self.store().kept_phone()? else { return Ok(false) };
        Ok(Listing::of(&*self.config()?, &self.merchant()?, &kept.phone).hash == hash)
    }

    pub(crate) fn answer_has_phone(&self, hash: &str) -> Result<Answer, Fault> {
        Answer::json(200, &HasPhone { has: self.has_phone(hash)? })
    }

    /// This member as administrators see them, where they have this number.
    pub(crate) fn found(&self, hash: &str, instance: &str) -> Result<Answer, Fault> {
        if self.has_phone(hash)? {
            Answer::json(200, &self.resource()?)
        } else {
            Answer::error(&ProtocolError::MemberNotFound, instance)
        }
    }

    /// What a till shows of this member, where they have this number: the balance as it is now, and what it buys.
    pub(crate) fn looked_up(&self, hash: &str, rewards: &[RewardDefinition], instance: &str) -> Result<Answer, Fault> {
        if !self.has_phone(hash)? {
            return Answer::error(&ProtocolError::MemberNotFound, instance);
        }
        let (store, who) = (self.store(), self.who()?);
        let profile = store.profile()?;
        let points = store.wallet(now())?.points;
        let roles = profile.roles.unwrap_or_default();
        let catalogue = catalogue(rewards, &store.attributes()?, &roles, points);
        Answer::json(200, &TillMember::of(who.member_id, profile.name, points, catalogue))
    }

    pub(crate) fn resource(&self) -> Result<MemberResource, Fault> {
        let (store, who) = (self.store(), self.who()?);
        let (profile, attributes) = (store.profile()?, store.attributes()?);
        Ok(MemberResource {
            member_id: who.member_id,
            member: who.pid,
            name: profile.name,
            phone: store.kept_phone()?.map(|kept| kept.phone),
            tester: profile.tester.unwrap_or(false),
            tier: attributes.tier,
            persona: attributes.persona,
            tags: attributes.tags,
            roles: profile.roles.unwrap_or_default(),
        })
    }
}
