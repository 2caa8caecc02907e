//! Directory: which member has which telephone number. One object for each sixteenth of a merchant's numbers, which
//! knows them as keyed hashes only.
//!
//! A number is claimed here first, then its Member commits it, then the Member lets the old one go. So a row here may be
//! ahead of the Member or behind it, and proves nothing by itself: whoever looks a number up asks the Member again.

use crate::answer::{Answer, finish};
use crate::calls::{MemberCall, MemberOp};
use crate::objects::{Objects, read_call, within};
use crate::platform::{Fault, SyncStorage, now};
use crate::sql::{first, run};
use counterfoil_core::hex;
use counterfoil_core::ids::Mref;
use counterfoil_core::keys::MerchantId;
use counterfoil_core::phone::Phone;
use counterfoil_core::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

/// How long a claim stands that its Member has not committed: longer than any Member takes to.
pub(crate) const CLAIM_MS: i64 = 60_000;
/// Longest wait for the Member that holds a number.
const MEMBER_WAIT: Duration = Duration::from_secs(5);

/// Asked of a Directory. `hash` is that of [`IdKey::phone`](counterfoil_core::ids::IdKey::phone), in hexadecimal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DirectoryOp {
    /// A member is about to take a number; answered with [`Claimed`].
    Claim { hash: String, mref: Mref, claim: String },
    /// Who has a number; answered with [`Holder`].
    Find { hash: String },
    /// A claim is let go. It names itself, so that one that comes late takes nothing newer away.
    Release { hash: String, claim: String },
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Claimed {
    pub(crate) claimed: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) mref: Option<Mref>,
}

/// A Member's answer to [`MemberOp::HasPhone`].
#[derive(Serialize, Deserialize)]
pub(crate) struct HasPhone {
    pub(crate) has: bool,
}

/// A number as the Directory knows it, and where.
pub(crate) struct Listing {
    pub(crate) hash: String,
    object: String,
}

impl Listing {
    pub(crate) fn of(config: &crate::config::Config, merchant: &MerchantId, phone: &Phone) -> Self {
        Self::named(merchant, hex::encode(&config.id_key.phone(merchant, phone)))
    }

    /// Of a hash that was kept.
    pub(crate) fn named(merchant: &MerchantId, hash: String) -> Self {
        let nibble = hash.get(..1).unwrap_or("0");
        Self { object: format!("{}/{nibble}", merchant.as_str()), hash }
    }
}

impl Objects<'_> {
    /// Claims a number for a member; `false` where somebody else has it.
    pub(crate) async fn claim(&self, listing: &Listing, mref: Mref, claim: &str) -> Result<bool, Fault> {
        let op = DirectoryOp::Claim { hash: listing.hash.clone(), mref, claim: claim.to_owned() };
        let answer: Claimed = self.directory(&listing.object, &op).await?;
        Ok(answer.claimed)
    }

    /// Who has a number, as far as the Directory knows.
    pub(crate) async fn holder(&self, listing: &Listing) -> Result<Option<Mref>, Fault> {
        let answer: Holder = self.directory(&listing.object, &DirectoryOp::Find { hash: listing.hash.clone() }).await?;
        Ok(answer.mref)
    }

    /// Lets a claim go.
    pub(crate) async fn release(&self, listing: &Listing, claim: &str) -> Result<(), Fault> {
        let op = DirectoryOp::Release { hash: listing.hash.clone(), claim: claim.to_owned() };
        self.directory::<serde_json::Value>(&listing.object, &op).await.map(drop)
    }
}

/// See the module.
#[durable_object]
pub struct Directory {
    env: Env,
    storage: SyncStorage,
}

impl DurableObject for Directory {
    fn new(state: State, env: Env) -> Self {
        let directory = Self { env, storage: SyncStorage::of(&state) };
        if let Err(fault) = directory.create() {
            fault.log("directory_failed");
        }
        directory
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        finish(self.answer(&mut request).await, "directory")
    }
}

/// Who has a number.
struct Entry {
    mref: Mref,
    /// When they claimed it last.
    at: Instant,
}

impl Directory {
    fn create(&self) -> Result<(), Fault> {
        // A member may have several claims of one number, from requests that overlapped. Each is let go by itself, and the
        // number is theirs while one is left.
        let statement = "CREATE TABLE IF NOT EXISTS numbers (
            hash TEXT NOT NULL, claim TEXT NOT NULL, mref BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (hash, claim)
        ) STRICT, WITHOUT ROWID";
        run(&self.storage, statement, &[]).map(drop)
    }

    async fn answer(&self, request: &mut Request) -> Result<Answer, Fault> {
        let call = read_call::<DirectoryOp>(request).await?;
        match call.op {
            DirectoryOp::Claim { hash, mref, claim } => {
                let (merchant, _) =
                    call.name.split_once('/').ok_or_else(|| Fault::new("a directory with a bad name"))?;
                let claimed = self.claim(merchant, &hash, &mref, &claim).await?;
                Answer::json(200, &Claimed { claimed })
            }
            DirectoryOp::Find { hash } => {
                Answer::json(200, &Holder { mref: self.entry(&hash)?.map(|entry| entry.mref) })
            }
            DirectoryOp::Release { hash, claim } => {
                let statement = "DELETE FROM numbers WHERE hash = ? AND claim = ?";
                run(&self.storage, statement, &[(&hash).into(), (&claim).into()])?;
                Answer::json(200, &serde_json::json!({}))
            }
        }
    }

    fn entry(&self, hash: &str) -> Result<Option<Entry>, Fault> {
        let statement = "SELECT mref, max(at) FROM numbers WHERE hash = ? GROUP BY mref";
        let row = first(&self.storage, statement, &[hash.into()])?;
        row.map(|row| {
            let mref = Mref::from_bytes(&row.blob(0)).ok_or_else(|| Fault::new("a stored member is broken"))?;
            Ok(Entry { mref, at: Instant(row.integer(1)) })
        })
        .transpose()
    }

    /// The first wins. What another member holds is theirs while their Member says so, and while they may still be
    /// committing it.
    async fn claim(&self, merchant: &str, hash: &str, mref: &Mref, claim: &str) -> Result<bool, Fault> {
        let other = self.entry(hash)?.filter(|entry| entry.mref != *mref);
        if let Some(other) = &other
            && (other.at.plus_ms(CLAIM_MS) > now() || self.asked(merchant, hash, &other.mref).await?)
        {
            return Ok(false);
        }
        self.storage.transaction(|| {
            if let Some(Entry { mref, at }) = other {
                // What they have claimed since they were asked stays.
                let statement = "DELETE FROM numbers WHERE hash = ? AND mref = ? AND at <= ?";
                run(&self.storage, statement, &[hash.into(), mref.as_bytes().as_slice().into(), at.0.into()])?;
            }
            // Somebody else may have come while the Member was asked.
            run(
                &self.storage,
                "INSERT INTO numbers SELECT ?1, ?2, ?3, ?4
                 WHERE NOT EXISTS (SELECT 1 FROM numbers WHERE hash = ?1 AND mref <> ?3)
                 ON CONFLICT DO NOTHING RETURNING claim",
                &[hash.into(), claim.into(), mref.as_bytes().as_slice().into(), now().0.into()],
            )
        })
    }

    /// Whether a Member has a number.
    async fn asked(&self, merchant: &str, hash: &str, mref: &Mref) -> Result<bool, Fault> {
        let merchant = MerchantId::new(merchant).map_err(|_| Fault::new("a directory with a bad merchant"))?;
        let op = MemberOp::HasPhone { hash: hash.to_owned() };
        let call = MemberCall::without_id("directory", op);
        let objects = Objects(&self.env);
        within(MEMBER_WAIT, "a member", objects.has_phone(&merchant, mref, &call)).await
    }
}
