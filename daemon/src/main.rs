//! The `kgrcad` binary.

use std::process::ExitCode;

use clap::Parser;
use kgrca_daemon::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => return failed(&e.to_string(), None),
    };
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => failed(&e.message, e.hint.as_deref()),
    }
}

#[cfg(feature = "server")]
async fn run() -> Result<(), Failure> {
    use kgrca_daemon::config::{Command, Settings};

    let mut settings = Settings::parse();
    match settings.command.take() {
        Some(Command::Migrate) => {
            let done = kgrca_daemon::migrate(&settings).await?;
            told(&format!(
                "{done} migrations were run on the metadata of --meta-url"
            ));
            Ok(())
        }
        Some(Command::Probe(wish)) => {
            told(&kgrca_daemon::probe::probe(&wish).await?);
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

/// Where nothing but the agent was built.
#[cfg(not(feature = "server"))]
async fn run() -> Result<(), Failure> {
    let line = kgrca_daemon::agent::CommandLine::parse();
    match line.command {
        kgrca_daemon::agent::Command::Agent(settings) => {
            kgrca_daemon::agent::run(*settings, line.log_format).await
        }
        kgrca_daemon::agent::Command::Probe(wish) => {
            told(&kgrca_daemon::probe::probe(&wish).await?);
            Ok(())
        }
    }
}

#[expect(clippy::print_stdout, reason = "the answer to a command")]
fn told(answer: &str) {
    println!("{answer}");
}

#[expect(
    clippy::print_stderr,
    reason = "before logging is set up, and for people at a terminal"
)]
fn failed(message: &str, hint: Option<&str>) -> ExitCode {
    eprintln!("error: {message}");
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
    ExitCode::FAILURE
}
