//! `counterfoil-openapi [--output FOLDER]` writes `openapi.json` into a folder, or to standard output: the description
//! of the HTTP API, with shapes from the wire types of `counterfoil-core` and operations from the tables here.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "that is what it is for")]

mod call;
mod document;
mod operations;
mod problems;
mod refine;
mod schemas;
#[cfg(test)]
mod tests;
mod webhooks;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = format!("{:#}\n", document::document());
    let written = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            print!("{text}");
            Ok(())
        }
        ["--output", folder] => std::fs::write(std::path::Path::new(folder).join("openapi.json"), text),
        _ => Err(std::io::Error::other("usage: counterfoil-openapi [--output FOLDER]")),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
