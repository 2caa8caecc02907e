//! The companion `counterfoil`: mint, check and verify redemption codes, and verify audit logs, without a network.
//!
//! [`run`] is the whole program with its surroundings as arguments, so that tests can drive it in their own
//! process. Everything it knows of codes comes from `counterfoil_core`; here is only input and output.
//!
//! Exit statuses: 0 done (a text that is no code is an answer, not a failure), 1 a read or write failed or an audit
//! log is not as it was written, 2 wrong flags or input, 130 interrupted. Whoever reads the output may stop reading at any time.

mod args;
mod audit;
mod failure;
mod judge;
mod lines;
mod mint;
mod output;
mod printing;
mod roots;
pub mod vectors;

use args::{AuditCommand, CampaignCommand, Cli, Command};
use clap::Parser;
use failure::Failure;
use std::ffi::OsString;
use std::io::{Read, Write};

/// The environment variable that holds the root as hexadecimal digits.
pub const ROOT_VARIABLE: &str = "COUNTERFOIL_ROOT_HEX";

/// What the program sees of the process it runs in.
pub struct Surroundings<'a> {
    /// The value of [`ROOT_VARIABLE`], if it is set.
    pub root_hex: Option<OsString>,
    /// Texts to check and to verify.
    pub stdin: &'a mut dyn Read,
    /// Codes and answers.
    pub stdout: &'a mut dyn Write,
    /// Errors, and progress on a terminal.
    pub stderr: &'a mut dyn Write,
    /// Whether a person watches `stderr`: only then is progress shown.
    pub stderr_is_terminal: bool,
}

/// Runs the program and answers its exit status. The first argument is the program's own name.
pub fn run(arguments: impl IntoIterator<Item = OsString>, mut surroundings: Surroundings<'_>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(answer) => return print_answer(&answer, &arguments, surroundings),
    };
    let done = match &cli.command {
        Command::Mint(args) => mint::run(args, &mut surroundings),
        Command::Check(args) => judge::check(args, &mut surroundings),
        Command::Verify(args) => judge::verify(args, &mut surroundings),
        Command::Campaign(CampaignCommand::ExportKey(args)) => printing::export_key(args, &mut surroundings),
        Command::Audit(AuditCommand::Verify(args)) => audit::verify(args, &mut surroundings),
        Command::Vectors(args) => vectors::run(args, &mut surroundings),
    };
    let Err(failure) = done else { return 0 };
    if let Some(message) = failure.message() {
        // There is nobody left to tell when even the error output is closed.
        let _ = writeln!(surroundings.stderr, "counterfoil: {message}");
    }
    failure.status()
}

/// Help and version go to the output, what was wrong with the flags to the error output.
fn print_answer(answer: &clap::Error, arguments: &[OsString], surroundings: Surroundings<'_>) -> u8 {
    if !answer.use_stderr() {
        return match write!(surroundings.stdout, "{}", answer.render()).and_then(|()| surroundings.stdout.flush()) {
            Ok(()) => 0,
            Err(error) => Failure::output(error).status(),
        };
    }
    let text = roots::without_secrets(&answer.render().to_string(), arguments);
    let _ = write!(surroundings.stderr, "{text}");
    2
}
