//! Requests that write for a tenant. A deletion lets those that have begun end, and none begin:
//! what they write would come after the tenant's data was removed, and stay.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kgrca_core::storage::Error;
use kgrca_core::tenancy::{TenantId, TenantState};
use tokio::sync::watch;

use super::Fleet;
use crate::clock::sleep;

/// Requests that write, by tenant.
#[derive(Debug, Default)]
pub(super) struct Writers(Mutex<HashMap<TenantId, OfTenant>>);

#[derive(Debug, Default)]
struct OfTenant {
    /// How many write now.
    count: watch::Sender<usize>,
    /// Whether the tenant was deleted, as far as this daemon knows.
    is_stopped: bool,
}

/// A request that writes, until it is dropped.
#[derive(Debug)]
pub struct Writing(watch::Sender<usize>);

impl Writing {
    fn begin(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|n| *n += 1);
        Self(count.clone())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

impl Writers {
    fn all(&self) -> MutexGuard<'_, HashMap<TenantId, OfTenant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet {
    /// Begins to write for a tenant; `None` when it is not served any more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn begin_writing(&self, tenant: &TenantId) -> Result<Option<Writing>, Error> {
        let (writing, is_stopped) = {
            let mut all = self.writers.all();
            let known = all.entry(tenant.clone()).or_default();
            (Writing::begin(&known.count), known.is_stopped)
        };
        if is_stopped {
            // Counted first, so that the deletion waits for this question.
            let row = self.stores.meta.tenant(tenant.as_str()).await?;
            if row.map(|row| row.state) != Some(TenantState::Active) {
                return Ok(None);
            }
            self.set_stopped(tenant, false);
        }
        Ok(Some(writing))
    }

    /// Lets no request begin to write for a tenant while the store says that it is not served.
    pub fn stop_writing(&self, tenant: &TenantId) {
        self.set_stopped(tenant, true);
    }

    fn set_stopped(&self, tenant: &TenantId, is_stopped: bool) {
        let mut all = self.writers.all();
        all.entry(tenant.clone()).or_default().is_stopped = is_stopped;
    }

    /// Waits until no request writes for a tenant. Returns whether it was so within the time.
    pub async fn written(&self, tenant: &TenantId, longest: Duration) -> bool {
        let mut count = {
            let mut all = self.writers.all();
            all.entry(tenant.clone()).or_default().count.subscribe()
        };
        tokio::select! {
            biased;
            ended = count.wait_for(|n| *n == 0) => ended.is_ok(),
            () = sleep(longest) => false,
        }
    }
}
