//! The companion `counterfoil`: the process around [`counterfoil_cli::run`].

use counterfoil_cli::Surroundings;
use std::io::IsTerminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(counterfoil_cli::run(
        std::env::args_os(),
        Surroundings {
            root_hex: std::env::var_os(counterfoil_cli::ROOT_VARIABLE),
            stdin: &mut std::io::stdin().lock(),
            stdout: &mut std::io::stdout().lock(),
            stderr: &mut std::io::stderr().lock(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        },
    ))
}
