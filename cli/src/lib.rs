//! What you *type*: the kgrca command. Parses arguments, calls core or the daemon's API, prints.

mod client;
mod commands;
mod complete;
mod context;
mod daemon;
mod error;
mod output;
mod prompt;

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

pub use commands::Cli;
use error::exit;

/// Runs one command line. Returns its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    // Only a second installation in one process fails, and then the first one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args: Vec<OsString> = args.into_iter().collect();
    if complete::answer(&args) {
        return exit::DONE;
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let output = output::Output::new(&cli.global);
    match commands::run(cli, &output) {
        Ok(()) => exit::DONE,
        Err(e) if e.is_closed_pipe() => exit::DONE,
        Err(e) => {
            output.error(&e);
            e.exit
        }
    }
}

/// Help and version go to stdout and are no failure; everything else is a usage error.
fn usage(e: &clap::Error) -> u8 {
    // A closed pipe is success.
    let _ = e.print();
    if e.use_stderr() {
        exit::USAGE
    } else {
        exit::DONE
    }
}

/// The completion script for a shell, such as `bash`.
pub fn completion_script(shell: &str) -> Option<Vec<u8>> {
    complete::script(shell)
}

/// The command line as a whole, for completions and man pages.
pub fn command() -> clap::Command {
    Cli::command()
}
