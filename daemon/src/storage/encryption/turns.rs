//! Turns at the keys of a tenant: one task of this daemon reads or creates them at a time. Those
//! that waited while a server was not available fail with it, and do not wait for it one after the
//! other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use kgrca_core::storage::{Error, ErrorKind, Result};
use kgrca_core::tenancy::TenantId;
use tokio::sync::OwnedMutexGuard;

use crate::clock::instant;

/// The last turn, if a server was not available.
type Last = Option<Failed>;

struct Failed {
    at: Instant,
    error: Error,
}

/// The turns of all tenants.
#[derive(Default)]
pub(super) struct Turns {
    by_tenant: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<Last>>>>,
}

/// The right to read or create the keys of a tenant.
pub(super) struct Turn(OwnedMutexGuard<Last>);

impl Turns {
    /// Waits for a turn.
    ///
    /// # Errors
    /// When a server was not available in one that ended meanwhile.
    pub(super) async fn wait(&self, tenant: &TenantId) -> Result<Turn> {
        let asked = instant();
        let turns = {
            let by_tenant = self.by_tenant.lock();
            let mut by_tenant = by_tenant.unwrap_or_else(PoisonError::into_inner);
            Arc::clone(by_tenant.entry(tenant.clone()).or_default())
        };
        let last = turns.lock_owned().await;
        match &*last {
            Some(failed) if failed.at > asked => Err(failed.error.clone()),
            _ => Ok(Turn(last)),
        }
    }
}

impl Turn {
    /// Ends it with what came of it.
    pub(super) fn end<T>(mut self, result: Result<T>) -> Result<T> {
        let error = result.as_ref().err();
        // Other failures are those of what was done: another turn may do something else.
        let error = error.filter(|error| error.kind == ErrorKind::Unavailable);
        *self.0 = error.map(|error| Failed {
            at: instant(),
            error: error.clone(),
        });
        result
    }
}
