//! The `kgrcad` binary.

use std::process::ExitCode;

use clap::Parser;
use kgrca_daemon::config::{Command, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let settings = Settings::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return failed(&e.to_string(), None),
    };
    runtime.block_on(async {
        if let Some(Command::Migrate) = settings.command {
            return match kgrca_daemon::migrate(&settings).await {
                Ok(done) => migrated(done),
                Err(e) => failed(&e.message, e.hint.as_deref()),
            };
        }
        match kgrca_daemon::start(settings).await {
            Ok(running) => {
                running.until_stopped().await;
                ExitCode::SUCCESS
            }
            Err(e) => failed(&e.message, e.hint.as_deref()),
        }
    })
}

#[expect(clippy::print_stdout, reason = "the answer to a command")]
fn migrated(done: usize) -> ExitCode {
    println!("{done} migrations were run on the metadata of --meta-url");
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "before logging is set up, and for people at a terminal")]
fn failed(message: &str, hint: Option<&str>) -> ExitCode {
    eprintln!("error: {message}");
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
    ExitCode::FAILURE
}
