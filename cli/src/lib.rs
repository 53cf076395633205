//! The `kgrca` command: parses arguments, calls core or the daemon's API, and prints the result.

mod api_error;
mod client;
mod commands;
mod complete;
mod context;
mod daemon;
mod error;
mod output;
mod private;
mod prompt;

use std::ffi::OsString;
use std::path::Path;

use clap::FromArgMatches;

pub use commands::Cli;
use error::Kind;

const SUCCESS: u8 = 0;

/// Runs one command line and returns its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    // Fails only when this process has installed a provider before, which then stays in use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args: Vec<OsString> = args.into_iter().collect();
    if complete::answer(&args) {
        return SUCCESS;
    }
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(e) => return print_usage(&e),
    };
    let output = output::Output::new(&cli.global);
    match commands::run(cli, &output) {
        Ok(()) => SUCCESS,
        Err(e) => {
            output.error(&e);
            e.kind.exit_code()
        }
    }
}

/// As what kubectl starts this program: `kubectl kgrca`.
const PLUGIN: &str = "kubectl-kgrca";

/// Parses a command line. Help and errors name the program as it was called.
fn parse(args: Vec<OsString>) -> std::result::Result<Cli, clap::Error> {
    let program = args.first().map(Path::new);
    let is_plugin = program.and_then(Path::file_stem) == Some(PLUGIN.as_ref());
    let mut command = command();
    if is_plugin {
        command = command.bin_name("kubectl kgrca");
    }
    let matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
}

/// Prints help, version or a usage error. Help and version go to stdout and are a success.
fn print_usage(e: &clap::Error) -> u8 {
    // A value from a record may be on the command line, and the error repeats it.
    let text = e.render().to_string();
    if output::escape::has_hidden(&text) {
        output::usage_error(&text);
    } else {
        // A closed pipe is a success.
        let _ = e.print();
    }
    if e.use_stderr() {
        Kind::Usage.exit_code()
    } else {
        SUCCESS
    }
}

/// The completion script for a shell, such as `bash`; `None` for an unknown shell.
pub fn completion_script(shell: &str) -> Option<Vec<u8>> {
    complete::script(shell)
}

/// The full command definition, from which completions and man pages are generated.
pub fn command() -> clap::Command {
    commands::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_the_program_as_it_was_called() {
        let usage = |program: &str| {
            let args = [program, "analyze", "--help"].map(OsString::from);
            parse(args.to_vec()).unwrap_err().to_string()
        };
        for program in ["kubectl-kgrca", "/usr/local/bin/kubectl-kgrca"] {
            assert!(
                usage(program).contains("Usage: kubectl kgrca analyze"),
                "{program}"
            );
        }
        assert!(usage("/usr/bin/kgrca").contains("Usage: kgrca analyze"));
    }
}
