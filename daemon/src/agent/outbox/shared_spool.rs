//! The spool as the agent's tasks share it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::agent::spool::Spool;

/// A spool behind a lock, with notifications of changes.
#[derive(Debug)]
pub struct SharedSpool {
    spool: Mutex<Spool>,
    /// Notifies waiters when a block was added or removed.
    pub changed: Notify,
    /// Follows [`Spool::state_losses`].
    pub state_losses: watch::Sender<u64>,
}

impl SharedSpool {
    /// Shares a spool.
    pub fn new(spool: Spool) -> Arc<Self> {
        let state_losses = watch::channel(spool.state_losses()).0;
        Arc::new(Self {
            spool: Mutex::new(spool),
            changed: Notify::new(),
            state_losses,
        })
    }

    /// Locks the spool. Must not be held across an await, nor for work on files.
    pub fn lock(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies waiters after a change of the spool.
    pub fn notify_changed(&self) {
        let losses = self.lock().state_losses();
        self.state_losses
            .send_if_modified(|known| std::mem::replace(known, losses) != losses);
        self.changed.notify_waiters();
    }

    /// Runs work that touches files on a thread that may block.
    ///
    /// # Errors
    /// The error of the work, or that it panicked.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Spool) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let shared = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&mut shared.lock()))
            .await
            .map_err(io::Error::other)
            .flatten()
    }
}
