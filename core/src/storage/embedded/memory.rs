//! Limits in memory: exact within one daemon, forgotten with it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Time;
use crate::model::time::DAY;
use crate::storage::limits::{gcra, of_day};
use crate::storage::{Limits, Result, Taken, Window};
use crate::tenancy::TenantId;

/// What one tenant uses.
#[derive(Debug, Default)]
struct Used {
    /// When all tokens of each window are available again.
    windows: HashMap<&'static str, Time>,
    /// A day, as days since the epoch, and what it used.
    day: (i64, u64),
}

impl Used {
    /// What was used of the day of an instant.
    fn today(&mut self, now: Time) -> &mut u64 {
        let day = now.0.div_euclid(DAY);
        if self.day.0 != day {
            self.day = (day, 0);
        }
        &mut self.day.1
    }
}

/// Counters of each tenant.
#[derive(Debug, Default)]
pub struct MemoryLimits(Mutex<HashMap<TenantId, Used>>);

impl MemoryLimits {
    fn used(&self) -> MutexGuard<'_, HashMap<TenantId, Used>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Limits for MemoryLimits {
    async fn take(&self, tenant: &TenantId, window: Window, n: u64, now: Time) -> Result<Taken> {
        let mut all = self.used();
        let full = all
            .entry(tenant.clone())
            .or_default()
            .windows
            .entry(window.name)
            .or_default();
        let (allowed, after) = gcra(*full, window, n, now);
        *full = after;
        Ok(window.taken(allowed, after, n, now))
    }

    async fn give_back(&self, tenant: &TenantId, window: Window, n: u64, _: Time) -> Result<()> {
        let mut all = self.used();
        let used = all.entry(tenant.clone()).or_default();
        if let Some(full) = used.windows.get_mut(window.name) {
            *full = full.plus(-window.tokens(n));
        }
        Ok(())
    }

    async fn take_day(&self, tenant: &TenantId, n: u64, limit: u64, now: Time) -> Result<Taken> {
        let mut all = self.used();
        let used = all.entry(tenant.clone()).or_default().today(now);
        let allowed = *used < limit;
        if allowed {
            *used = used.saturating_add(n);
        }
        Ok(of_day(allowed, limit, *used, now))
    }

    async fn give_back_day(&self, tenant: &TenantId, n: u64, now: Time) -> Result<()> {
        let mut all = self.used();
        let used = all.entry(tenant.clone()).or_default().today(now);
        *used = used.saturating_sub(n);
        Ok(())
    }

    async fn preload_day(&self, tenant: &TenantId, used: u64, now: Time) -> Result<()> {
        let mut all = self.used();
        let known = all.entry(tenant.clone()).or_default().today(now);
        *known = (*known).max(used);
        Ok(())
    }

    async fn check(&self) -> Result<String> {
        Ok("memory of this process".into())
    }
}
