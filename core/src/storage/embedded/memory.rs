//! Limits in memory: exact within one daemon, forgotten with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::Time;
use crate::model::time::DAY;
use crate::storage::{Limits, Result, Taken, Tenant, Window};

/// The name of the day's quota.
const DAY_NAME: &str = "events/day";

/// By window: its number and what it has used.
type Windows = HashMap<&'static str, (i64, u64)>;

/// Counters of aligned windows.
#[derive(Debug, Default)]
pub struct MemoryLimits {
    used: Mutex<HashMap<Tenant, Windows>>,
}

impl MemoryLimits {
    /// Takes `n` tokens; a `whole_batch` is taken as soon as one is left.
    fn count(&self, tenant: &Tenant, window: Window, n: u64, now: Time, whole_batch: bool) -> Taken {
        let index = now.0.div_euclid(window.length);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = used.entry(tenant.clone()).or_default();
        let entry = windows.entry(window.name).or_insert((index, 0));
        if entry.0 != index {
            *entry = (index, 0);
        }
        let allowed = if whole_batch { entry.1 < window.limit } else { entry.1.saturating_add(n) <= window.limit };
        if allowed {
            entry.1 = entry.1.saturating_add(n);
        }
        let remaining = window.limit.saturating_sub(entry.1);
        Taken { allowed, limit: window.limit, remaining, reset: Time((index + 1) * window.length) }
    }
}

#[async_trait::async_trait]
impl Limits for MemoryLimits {
    async fn take(&self, tenant: &Tenant, window: Window, n: u64, now: Time) -> Result<Taken> {
        Ok(self.count(tenant, window, n, now, false))
    }

    async fn take_day(&self, tenant: &Tenant, n: u64, limit: u64, now: Time) -> Result<Taken> {
        Ok(self.count(tenant, Window { name: DAY_NAME, length: DAY, limit }, n, now, true))
    }

    async fn give_back_day(&self, tenant: &Tenant, n: u64, now: Time) -> Result<()> {
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((day, used)) = all.get_mut(tenant).and_then(|windows| windows.get_mut(DAY_NAME))
            && *day == now.0.div_euclid(DAY)
        {
            *used = used.saturating_sub(n);
        }
        Ok(())
    }

    async fn preload_day(&self, tenant: &Tenant, used: u64, now: Time) -> Result<()> {
        let index = now.0.div_euclid(DAY);
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(tenant.clone()).or_default().entry(DAY_NAME).or_insert((index, 0));
        *entry = (index, if entry.0 == index { entry.1.max(used) } else { used });
        Ok(())
    }
}
