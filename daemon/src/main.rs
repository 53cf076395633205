//! The `kgrcad` binary.

use std::process::ExitCode;

use clap::Parser;
use kgrca_daemon::{Failure, FailureKind};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
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
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

#[cfg(feature = "server")]
async fn run() -> Result<(), Failure> {
    use kgrca_daemon::config::{Command, Settings};

    let mut settings = Settings::parse();
    match settings.command.take() {
        Some(Command::Migrate) => {
            let done = kgrca_daemon::migrate(&settings).await?;
            print(&match done {
                0 => "no migrations to apply".to_owned(),
                1 => "applied 1 migration".to_owned(),
                n => format!("applied {n} migrations"),
            });
            Ok(())
        }
        Some(Command::Probe(probe)) => {
            print(&kgrca_daemon::probe::probe(&probe).await?);
            Ok(())
        }
        #[cfg(feature = "agent")]
        Some(Command::Agent(agent)) => kgrca_daemon::agent::run(*agent, settings.log_format).await,
        None => {
            kgrca_daemon::start(settings).await?.until_stopped().await;
            Ok(())
        }
    }
}

/// Without the feature `server` there are only the agent and the probe.
#[cfg(not(feature = "server"))]
async fn run() -> Result<(), Failure> {
    let line = kgrca_daemon::agent::CommandLine::parse();
    match line.command {
        kgrca_daemon::agent::Command::Agent(settings) => {
            kgrca_daemon::agent::run(*settings, line.log_format).await
        }
        kgrca_daemon::agent::Command::Probe(probe) => {
            print(&kgrca_daemon::probe::probe(&probe).await?);
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
