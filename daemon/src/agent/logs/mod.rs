//! Tails the logs of a node: every file below its pod log directory, each line once, across
//! rotation and restarts.

mod container;
mod cri;
mod file;
mod multiline;
mod record;
mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use tokio::task::JoinSet;

use super::Shared;
use super::config::AgentSettings;
use super::outbox::Outbox;
use super::spool::Batch;
use super::startup::spool_unusable;
use crate::clock::now;
use crate::error::Failure;
use tail::Tail;

/// Handling of log lines below WARNING.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BelowWarning {
    /// Ship their number and a sample.
    Fold,
    /// Ship each line.
    All,
    /// Drop and count them.
    None,
}

/// Stops the reading thread when it is dropped.
struct StopGuard(Arc<AtomicBool>);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts reading files on a thread of its own.
///
/// # Errors
/// If the directory cannot be listed, or the start positions cannot be written to the spool.
pub(super) async fn start(
    settings: &AgentSettings,
    shared: &Shared,
    outbox: &Outbox,
    sources: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let folder = settings.logs_from.clone().unwrap_or_default();
    let mut tail = Tail::new(settings, shared, outbox.clone());
    let begun =
        tokio::task::spawn_blocking(move || tail.begin().map(|positions| (tail, positions)));
    let (mut tail, positions) = begun
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|e| Failure::file(&folder, e, "check --logs-from"))?;
    let batch = Batch {
        positions,
        ..Batch::default()
    };
    shared
        .spool
        .run(move |spool| spool.append(&batch, now()))
        .await
        .map_err(|e| spool_unusable(&settings.spool, e))?;
    let stop = StopGuard(Arc::default());
    let is_stopped = Arc::clone(&stop.0);
    let thread = std::thread::spawn(move || {
        while !is_stopped.load(Ordering::Relaxed) {
            tail.turn();
        }
    });
    sources.spawn(async move {
        let _stop = stop;
        std::future::pending::<()>().await;
        drop(thread);
    });
    Ok(())
}
