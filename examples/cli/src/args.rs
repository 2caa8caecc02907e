//! The command line: what can be asked for, and the help that teaches it.

use clap::{Args, Parser, Subcommand, ValueEnum};
use counterfoil_core::code;
use std::path::PathBuf;

/// Mint, check and verify redemption codes without a network.
#[derive(Debug, Parser)]
#[command(
    name = "counterfoil",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_long_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
A code such as 0000-PMHX-FT5V-PPXF-4FNQ carries two protections. The parity catches and repairs typing
errors: anybody can check it. The tag stops forgery: only a holder of the root secret can check or make it.

Examples:
  Keep the root secret (32 bytes or more, as hexadecimal digits) in a file that only you can read:
    $ (umask 077; openssl rand -hex 32 > root.hex)

  Mint 1000 codes of campaign 1, the first of its life, as a table:
    $ counterfoil mint --root-file root.hex --environment live --merchant acme \\
        --campaign 1 --from 0 --count 1000 --format csv --output codes.csv

  Let a print shop mint one campaign, and exactly the batch that the service has reserved, without the root:
    $ counterfoil campaign export-key --root-file root.hex --environment live --merchant acme --campaign 1 > key.json
    $ counterfoil mint --print-key key.json --batch batch.json --format csv --output codes.csv

  Look for typing errors in texts, one per line (needs no secret):
    $ echo '0000-PMHX-FT5W-PPXF-4FNQ' | counterfoil check
    {\"ok\":false,\"reason\":\"parity_mismatch\",\"position\":11,\"suggestions\":[\"0000-PMHX-FT5V-PPXF-4FNQ\"]}

  Find out whether codes are genuine, and their numbers in minting order:
    $ counterfoil verify --root-file root.hex --environment live --merchant acme < codes.txt

  Find out whether an exported audit log is as it was written (needs no secret):
    $ counterfoil audit verify acme-2026-11.jsonl

Exit status: 0 done, 1 a read or write failed, or an audit log is not as it was written, 2 wrong flags or input
(nothing was written), 130 interrupted.
A text that is no code is an answer of `check` and `verify`, not a failure.";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Mint(MintArgs),
    Check(CheckArgs),
    Verify(VerifyArgs),
    /// Hand a campaign to a print shop.
    #[command(subcommand)]
    Campaign(CampaignCommand),
    /// Look into audit logs.
    #[command(subcommand)]
    Audit(AuditCommand),
    Vectors(VectorsArgs),
}

/// What to do with a campaign.
#[derive(Debug, Subcommand)]
pub(crate) enum CampaignCommand {
    ExportKey(ExportKeyArgs),
}

/// Write the two keys that mint one campaign in one epoch, and nothing else.
///
/// Whoever holds them can make that campaign's codes; no other campaign, no other epoch, and the root does not
/// follow from them. The service gives the same file once, audited: POST /v1/campaigns/{campaign}/print-key. Prefer
/// that, and hand the file over as you would hand over cash.
#[derive(Debug, Args)]
#[command(after_long_help = EXPORT_KEY_EXAMPLES)]
pub(crate) struct ExportKeyArgs {
    #[command(flatten)]
    pub(crate) keys: KeyArgs,

    /// Layout of the codes.
    #[arg(long, value_enum, default_value = "S20", ignore_case = true)]
    pub(crate) profile: ProfileName,

    /// Key epoch, 0 to 7.
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u8).range(0..=7))]
    pub(crate) epoch: u8,

    /// Campaign number: 1 to 65535, in S16 1 to 4095.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) campaign: u16,

    /// File to write, which only you can read; without it, the standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

const EXPORT_KEY_EXAMPLES: &str = "\
Examples:
  Reserve a batch at the service, without codes; then give both files to the print shop:
    $ curl -fsS -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\
        -d '{\"count\":50000,\"offline\":true}' \"$EDGE/v1/campaigns/7/batches\" > batch.json
    $ counterfoil campaign export-key --root-file root.hex --environment live --merchant acme --campaign 7 --output key.json

  The print shop:
    $ counterfoil mint --print-key key.json --batch batch.json --format csv --output codes.csv";

/// What to do with an audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    Verify(AuditVerifyArgs),
}

/// The root secret. Exactly one source is used; flags win over the environment variable.
#[derive(Debug, Args)]
pub(crate) struct RootArgs {
    /// File that holds the root secret as hexadecimal digits (white space around them is ignored).
    ///
    /// Without this flag and without --root-hex, the environment variable COUNTERFOIL_ROOT_HEX is used.
    #[arg(long, value_name = "FILE", conflicts_with = "root_hex")]
    pub(crate) root_file: Option<PathBuf>,

    /// The root secret itself, at least 64 hexadecimal digits.
    ///
    /// Other users of the machine can see a command line while it runs: prefer a file or the variable.
    #[arg(long, value_name = "HEX")]
    pub(crate) root_hex: Option<String>,
}

/// Whose keys: with the root secret these two names decide every campaign's keys.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    pub(crate) root: RootArgs,

    /// Environment the codes are for, such as live or test: 1 to 16 of a-z, 0-9 and -.
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: String,

    /// Merchant the codes are of: 1 to 32 of a-z, 0-9 and -, the first not -.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) merchant: String,
}

/// Mint codes from a campaign's counter, with no database.
///
/// Codes are numbered by `seq` = 0, 1, 2, … once per campaign for its whole life, over all key epochs. The same
/// root, names and numbers always give the same codes. A seq whose code would spell an offensive word is
/// skipped, so a mint may use a few more numbers than codes: the next one starts after the last seq used, or
/// where the service's batch says.
#[derive(Debug, Args)]
#[command(after_long_help = MINT_EXAMPLES)]
pub(crate) struct MintArgs {
    #[command(flatten)]
    pub(crate) root: RootArgs,

    /// Environment the codes are for, such as live or test: 1 to 16 of a-z, 0-9 and -.
    #[arg(long, value_name = "NAME", required_unless_present = "print_key")]
    pub(crate) environment: Option<String>,

    /// Merchant the codes are of: 1 to 32 of a-z, 0-9 and -, the first not -.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true, required_unless_present = "print_key")]
    pub(crate) merchant: Option<String>,

    /// Layout of the codes: S20 is the default, S16 for low-value promotions, S25 for stored value.
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) profile: Option<ProfileName>,

    /// Key epoch, 0 to 7; 0 is the default.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u8).range(0..=7))]
    pub(crate) epoch: Option<u8>,

    /// Campaign number: 1 to 65535, in S16 1 to 4095.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..),
          required_unless_present = "print_key")]
    pub(crate) campaign: Option<u16>,

    /// The two keys of one campaign and epoch, from the service or from `campaign export-key`, instead of the root.
    #[arg(long, value_name = "FILE",
          conflicts_with_all = ["root_file", "root_hex", "environment", "merchant", "profile", "epoch", "campaign"])]
    pub(crate) print_key: Option<PathBuf>,

    /// First seq to mint; 0 is the default.
    #[arg(long, value_name = "SEQ", allow_negative_numbers = true)]
    pub(crate) from: Option<u32>,

    /// How many codes.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..),
          required_unless_present = "batch")]
    pub(crate) count: Option<u32>,

    /// A batch that the service has reserved (the JSON that it answered): exactly its seqs, its number of codes.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "count"])]
    pub(crate) batch: Option<PathBuf>,

    /// How to write them.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,

    /// File to write; without it, the standard output.
    ///
    /// The file appears whole when all is done, or not at all, and only you can read it. An older file of the
    /// name is replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

const MINT_EXAMPLES: &str = "\
Formats:
  text    one code per line
  csv     header seq,code, then one line per code
  jsonl   one JSON value per line: {\"seq\":0,\"serial\":6965167,\"tag_hex\":\"d1776b75e4\",\"code\":\"0000-PMHX-FT5V-PPXF-4FNQ\"}

On a terminal it says first how many serials the campaign has left and what the odds are that one guess hits
an issued code: 2^-t × issued / 2^b, with t bits of tag, b bits of serial.

Examples:
  The first ten codes, to look at:
    $ counterfoil mint --root-file root.hex --environment test --merchant acme --campaign 1 --count 10

  The secret from a secret store, codes straight into a compressed file:
    $ COUNTERFOIL_ROOT_HEX=\"$(secret-tool lookup app counterfoil)\" \\
      counterfoil mint --environment live --merchant acme --profile S25 --epoch 1 --campaign 513 \\
        --from 20000 --count 1000000 --format csv | gzip > codes.csv.gz

  A print shop, with the campaign's keys and the batch it is to print:
    $ counterfoil mint --print-key key.json --batch batch.json --format csv --output codes.csv";

/// Look for typing errors in texts, one per line of the input, without any secret.
///
/// Each line is answered by one JSON value. It is written as soon as the line has come, so that another program
/// can ask and wait for the answer.
#[derive(Debug, Args)]
#[command(after_long_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {
    /// Whether each text is all there is, or a person is still typing it.
    #[arg(long, value_enum, default_value = "complete")]
    pub(crate) mode: Typing,
}

const CHECK_EXAMPLES: &str = "\
Answers:
  {\"ok\":true,\"profile\",\"epoch\",\"campaign\",\"serial\",\"canonical\"}
  {\"ok\":false,\"reason\",\"position\",\"suggestions\",\"unverified\"}

  A suggestion is a code that was probably meant. It is a question to the person, never a code to submit.
  position    the symbol in question, counted from 0 without separators, where there is one
  unverified  present and true where no parity was left to confirm the suggestion
  reason      too_long, invalid_symbol, empty, wrong_length, unreadable_symbol, parity_mismatch,
              unsupported_kind, length_mismatch, reserved_bit_set, campaign_zero, or not_utf8

Upper and lower case, separators and look-alikes (O for 0, I and L for 1) are all read; ? stands for a symbol
that cannot be read.

Examples:
    $ printf '%s\\n' 0000pmhxft5vppxf4fnq '0000-PMHX-FT?V-PPXF-4FNQ' | counterfoil check
    {\"ok\":true,\"profile\":\"S20\",\"epoch\":0,\"campaign\":1,\"serial\":6965167,\"canonical\":\"0000-PMHX-FT5V-PPXF-4FNQ\"}
    {\"ok\":false,\"reason\":\"unreadable_symbol\",\"position\":10,\"suggestions\":[\"0000-PMHX-FT5V-PPXF-4FNQ\"]}";

/// Find out which texts are genuine codes, and their numbers in minting order.
///
/// Like `check`, with "authentic" added to every answer and "seq" where it is true. The keys follow from the
/// root and from the profile, epoch and campaign that each code names. The one root is taken for every epoch,
/// unless --epoch says which epoch it belongs to: codes of other epochs are then not authentic.
#[derive(Debug, Args)]
#[command(after_long_help = VERIFY_EXAMPLES)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) keys: KeyArgs,

    /// Accept only codes of this profile. A campaign has one: its codes in another are as good as forged.
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) profile: Option<ProfileName>,

    /// Accept only codes of this key epoch, 0 to 7.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u8).range(0..=7))]
    pub(crate) epoch: Option<u8>,

    /// Accept only codes of this campaign.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) campaign: Option<u16>,

    /// Whether each text is all there is, or a person is still typing it.
    #[arg(long, value_enum, default_value = "complete")]
    pub(crate) mode: Typing,
}

const VERIFY_EXAMPLES: &str = "\
Authentic means minted with these keys. Whether the code was issued, is used, recalled or past its date only
the service knows.

Examples:
    $ echo 0000-PMHX-FT5V-PPXF-4FNQ | counterfoil verify --root-file root.hex --environment live --merchant acme
    {\"ok\":true,\"profile\":\"S20\",\"epoch\":0,\"campaign\":1,\"serial\":6965167,\"canonical\":\"0000-PMHX-FT5V-PPXF-4FNQ\",\"authentic\":true,\"seq\":0}";

/// Find out whether an exported audit log is as it was written, without a network and without any secret.
///
/// Every change that somebody made is an entry in the chain of the object that it changed: each entry names the hash
/// of the one before. Every minute all chains are sealed together, and the seals are a chain as well. So nothing can
/// be changed, left out, put in or moved without a trace, but for the entries after the last seal that are also the
/// last of their object: those are counted as unsealed.
///
/// Whoever can rewrite everything can write chains that fit. Against that a seal goes out by webhook every day
/// (`audit.seal`): give its hash as --anchor.
#[derive(Debug, Args)]
#[command(after_long_help = AUDIT_VERIFY_EXAMPLES)]
pub(crate) struct AuditVerifyArgs {
    /// File that GET /v1/audit/export answered; - for the standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Hash of a seal that must occur: one that you have from another place than the file.
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub(crate) anchor: Option<String>,
}

/// A hash as exports write it.
fn hash(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a seal's hash has 64 hexadecimal digits".to_owned())
    }
}

const AUDIT_VERIFY_EXAMPLES: &str = "\
Exit status: 0 it is as it was written, 1 it is not (each finding is a line of the output, at most 100 of them),
2 wrong flags, or the file cannot be read.

Findings name the line at which the file stops making sense. What was changed, left out or moved is there, or between
that line and the one that it refers to:
  line 812: changed: its hash is …            somebody edited this line
  line 812: entry 7 of member/… leaves a gap  lines are missing before it
  line 900: seal 31 is not of the entries …   an entry before it was rewritten together with its hash

Examples:
  The log of one month, and whether it holds the seal that our mail server got on the 17th:
    $ curl -fsS -H \"Authorization: Bearer $TOKEN\" \"https://shop.example/v1/audit/export?month=2026-11\" > 2026-11.jsonl
    $ counterfoil audit verify 2026-11.jsonl --anchor 5f0c…

  Compressed:
    $ zcat 2026-10.jsonl.gz | counterfoil audit verify -";

/// Write the published test vectors of the code format.
///
/// For whoever implements the format elsewhere: valid codes at every edge, every kind of typing error with its
/// repair, and texts and codes that must be refused. The roots in them are public: never use them.
#[derive(Debug, Args)]
pub(crate) struct VectorsArgs {
    /// Folder for one file per subject, or a file ending in .json for all in one; without it, all in one on the
    /// standard output.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// How minted codes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One code per line.
    Text,
    /// Header `seq,code`, then one line per code.
    Csv,
    /// One JSON value per line.
    Jsonl,
}

/// Whether a text is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Typing {
    /// Still being typed: no suggestion while the first symbol asks for more.
    Typing,
    /// All there is.
    Complete,
}

/// The names of the profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileName {
    /// 20 symbols.
    #[value(name = "S20")]
    S20,
    /// 16 symbols.
    #[value(name = "S16")]
    S16,
    /// 25 symbols.
    #[value(name = "S25")]
    S25,
}

impl From<ProfileName> for code::Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::S20 => Self::S20,
            ProfileName::S16 => Self::S16,
            ProfileName::S25 => Self::S25,
        }
    }
}
