//! Logs of a node: every file below its folder of pods, through rotation and restarts, each line
//! once.

mod cri;
mod file;
mod join;
mod mail;
mod message;
mod place;
mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use tokio::task::JoinSet;

use super::config::AgentSettings;
use super::health::Health;
use super::outbox::{Outbox, Store};
use super::spool::Batch;
use crate::clock::now;
use crate::error::Failure;
use tail::Tail;

/// What becomes of lines below WARNING.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BelowWarning {
    /// Their number is shipped, with one of them.
    Fold,
    /// Each is shipped.
    All,
    /// None is shipped; they are counted as dropped.
    None,
}

/// Tells a thread to leave when it is dropped.
struct Leave(Arc<AtomicBool>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Begins to read: files are read by a thread of their own.
///
/// # Errors
/// When the folder cannot be looked at, or it cannot be written down where this agent begins: what
/// is written from then on belongs to it.
pub async fn start(
    settings: &AgentSettings,
    store: &Arc<Store>,
    health: &Arc<Health>,
    outbox: &Outbox,
    sources: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let folder = settings.logs_from.clone().unwrap_or_default();
    let unreadable = |e: std::io::Error| {
        Failure::new(format!("{}: {e}", folder.display()), "look at --logs-from")
    };
    let unusable = |e: std::io::Error| {
        Failure::new(
            format!("{}: {e}", settings.spool.display()),
            "choose another folder with --spool",
        )
    };
    let leave = Leave(Arc::default());
    let is_over = Arc::clone(&leave.0);
    let mut tail = Tail::new(settings, store, Arc::clone(health), outbox.clone());
    let begun =
        tokio::task::spawn_blocking(move || tail.begin().map(|positions| (tail, positions)));
    let (mut tail, positions) = begun
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(unreadable)?;
    store
        .work(move |spool| {
            spool.append(
                &Batch {
                    positions,
                    ..Batch::default()
                },
                now(),
            )
        })
        .await
        .map_err(unusable)?;
    let thread = std::thread::spawn(move || {
        while !is_over.load(Ordering::Relaxed) {
            tail.turn();
        }
    });
    sources.spawn(async move {
        let _leave = leave;
        std::future::pending::<()>().await;
        drop(thread);
    });
    Ok(())
}
