//! From the command line to a command, and its result back.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::{Failure, FailureKind};

/// How long detached work may delay the end of the process.
const EXIT_WITHIN: Duration = Duration::from_secs(2);

/// Runs the command in the process's arguments.
///
/// It is here and not in the binary so that the code of all tasks is generated once, in the library.
pub fn main() -> ExitCode {
    // Whatever the umask of the shell or unit was: files hold customers' data.
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            let failure = Failure::of(FailureKind::Unavailable, "cannot start threads").source(e);
            return failed(&failure.hint("raise the limits on processes and open files"));
        }
    };
    let result = runtime.block_on(run());
    // What still runs beside the async threads cannot be cancelled; all that matters was awaited.
    runtime.shutdown_timeout(EXIT_WITHIN);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

#[cfg(feature = "server")]
async fn run() -> Result<(), Failure> {
    use crate::config::{Command, Settings};

    let mut settings = Settings::parse();
    match settings.command.take() {
        Some(Command::Migrate) => {
            let done = crate::migrate(&settings).await?;
            print(&match done {
                0 => "no migrations to apply".to_owned(),
                1 => "applied 1 migration".to_owned(),
                n => format!("applied {n} migrations"),
            });
            Ok(())
        }
        Some(Command::Probe(probe)) => {
            print(&crate::probe::probe(&probe).await?);
            Ok(())
        }
        #[cfg(feature = "agent")]
        Some(Command::Agent(agent)) => crate::agent::run(*agent, settings.log_format).await,
        None => {
            crate::start(settings).await?.until_stopped().await;
            Ok(())
        }
    }
}

/// Without the feature `server` there are only the agent and the probe.
#[cfg(not(feature = "server"))]
async fn run() -> Result<(), Failure> {
    let line = crate::agent::CommandLine::parse();
    match line.command {
        crate::agent::Command::Agent(settings) => {
            crate::agent::run(*settings, line.log_format).await
        }
        crate::agent::Command::Probe(probe) => {
            print(&crate::probe::probe(&probe).await?);
            Ok(())
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of a command")]
fn print(result: &str) {
    println!("{result}");
}

#[expect(
    clippy::print_stderr,
    reason = "logging may not be set up, and an operator may be at a terminal"
)]
fn failed(failure: &Failure) -> ExitCode {
    eprintln!("error: {failure}");
    eprintln!("hint: {}", failure.next_step());
    ExitCode::FAILURE
}
