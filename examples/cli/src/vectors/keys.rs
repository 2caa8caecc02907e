//! Roots with their check values, and the names that derivation takes; helpers for cases with keys.

use super::{Case, VectorFile};
use counterfoil_core::code::{Profile, WellFormedCode};
use counterfoil_core::hex;
use counterfoil_core::keys::{CampaignKeys, Environment, MerchantId, Root};
use serde_json::json;

/// 00 01 02 … 1f.
pub(super) const COUNTING: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// a5 × 32.
pub(super) const A5: &str = "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5";

/// What decides one campaign's keys.
#[derive(Clone)]
pub(super) struct KeyNames {
    pub(super) root_hex: String,
    pub(super) environment: String,
    pub(super) merchant: String,
    pub(super) profile: Profile,
    pub(super) epoch: u8,
    pub(super) campaign: u16,
}

impl KeyNames {
    pub(super) fn new(root_hex: &str, merchant: &str, profile: Profile, epoch: u8, campaign: u16) -> Self {
        let (root_hex, merchant) = (root_hex.to_owned(), merchant.to_owned());
        Self { root_hex, environment: "live".to_owned(), merchant, profile, epoch, campaign }
    }

    /// The keys; `None` for names that are not legal, which no case uses (a test generates all of them).
    pub(super) fn keys(&self) -> Option<CampaignKeys> {
        let root = Root::from_hex(&self.root_hex).ok()?;
        let environment = Environment::new(&self.environment).ok()?;
        let merchant = MerchantId::new(&self.merchant).ok()?;
        CampaignKeys::derive(&root, &environment, &merchant, self.profile, self.epoch, self.campaign).ok()
    }

    pub(super) fn mint(&self, seq: u32) -> Option<WellFormedCode> {
        self.keys()?.mint(seq)
    }

    /// A case that begins with its name and these keys.
    pub(super) fn case(&self, name: &str) -> Case {
        vec![
            ("name", json!(name)),
            ("root_hex", json!(self.root_hex)),
            ("environment", json!(self.environment)),
            ("merchant", json!(self.merchant)),
            ("profile", json!(self.profile.name())),
            ("epoch", json!(self.epoch)),
            ("campaign", json!(self.campaign)),
        ]
    }
}

/// A tag as the vectors write it: hexadecimal, padded to the tag's whole width.
pub(super) fn tag_hex(code: &WellFormedCode) -> String {
    let digits = code.profile().tag_bits() / 4;
    format!("{:0width$x}", code.tag(), width = usize::try_from(digits).unwrap_or_default())
}

/// Root secrets of legal lengths; beyond a hash block (64 bytes) HMAC hashes its key first.
pub(super) fn root_of_length(bytes: u8) -> String {
    hex::encode(&(0..bytes).map(|byte| byte.wrapping_mul(37).wrapping_add(11)).collect::<Vec<u8>>())
}

pub(super) fn roots() -> VectorFile {
    let lengths = [33, 48, 64, 65, 128].map(|bytes| (format!("{bytes} bytes"), root_of_length(bytes)));
    let named = [("bytes 00 to 1f", COUNTING.to_owned()), ("a5, 32 times", A5.to_owned())];
    let wrong = [
        ("nothing", String::new()),
        ("31 bytes", root_of_length(31)),
        ("an odd number of digits", format!("{COUNTING}0")),
        ("a letter that is no digit", COUNTING.replace("1f", "1g")),
    ];
    let named = named.into_iter().chain(wrong).map(|(name, root_hex)| (name.to_owned(), root_hex));
    let cases = named.chain(lengths).map(|(name, root_hex)| {
        let check_value = Root::from_hex(&root_hex).ok().map(|root| hex::encode(&root.check_value()));
        vec![("name", json!(name)), ("root_hex", json!(root_hex)), ("check_value_hex", json!(check_value))]
    });
    VectorFile::new(
        "roots.json",
        "Root secrets and their check values, the first eight bytes of HMAC-SHA256(root, \"kcv\"). A root without a check value must be refused.",
        cases.collect(),
    )
}

const ENVIRONMENTS: [&str; 14] = [
    "live",
    "test",
    "dev",
    "a",
    "-",
    "0-9",
    "sixteen-letters-",
    "",
    "seventeen-letters",
    "Live",
    "a_b",
    "a b",
    "a.b",
    "\u{e9}",
];
const MERCHANTS: [&str; 14] = [
    "acme",
    "m-1",
    "0",
    "a-",
    "thirty-two-characters-merchant-9",
    "thirty-three-characters-merchant9",
    "-a",
    "-",
    "",
    "Acme",
    "a.b",
    "a/b",
    "a\u{0}b",
    "\u{ff41}cme",
];

pub(super) fn names() -> VectorFile {
    let case = |what: &str, text: &str, legal: bool| {
        vec![("what", json!(what)), ("text", json!(text)), ("legal", json!(legal))]
    };
    let environments = ENVIRONMENTS.map(|text| case("environment", text, Environment::new(text).is_ok()));
    let merchants = MERCHANTS.map(|text| case("merchant", text, MerchantId::new(text).is_ok()));
    VectorFile::new(
        "names.json",
        "Names of environments (1 to 16 of a-z, 0-9 and -) and merchants (1 to 32 of the same, the first not -).",
        environments.into_iter().chain(merchants).collect(),
    )
}
