//! Limits in memory: exact within one daemon, forgotten with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::Time;
use crate::model::time::DAY;
use crate::storage::{Limits, Result, Taken, Tenant};

/// Counters of aligned windows.
#[derive(Debug, Default)]
pub struct MemoryLimits {
    used: Mutex<HashMap<(Tenant, String), (i64, u64)>>,
}

impl MemoryLimits {
    /// Takes `n` tokens; a `whole_batch` is taken as soon as one is left.
    fn count(&self, tenant: &Tenant, (window, length): (&str, i64), n: u64, limit: u64, now: Time, whole_batch: bool) -> Taken {
        let index = now.0.div_euclid(length);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = used.entry((tenant.clone(), window.to_owned())).or_insert((index, 0));
        if entry.0 != index {
            *entry = (index, 0);
        }
        let allowed = if whole_batch { entry.1 < limit } else { entry.1.saturating_add(n) <= limit };
        if allowed {
            entry.1 = entry.1.saturating_add(n);
        }
        Taken { allowed, limit, remaining: limit.saturating_sub(entry.1), reset: Time((index + 1) * length) }
    }
}

#[async_trait::async_trait]
impl Limits for MemoryLimits {
    async fn take(&self, tenant: &Tenant, window: &str, length: i64, limit: u64, now: Time) -> Result<Taken> {
        Ok(self.count(tenant, (window, length), 1, limit, now, false))
    }

    async fn take_day(&self, tenant: &Tenant, n: u64, limit: u64, now: Time) -> Result<Taken> {
        Ok(self.count(tenant, ("events/day", DAY), n, limit, now, true))
    }

    async fn preload_day(&self, tenant: &Tenant, used: u64, now: Time) -> Result<()> {
        let index = now.0.div_euclid(DAY);
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry((tenant.clone(), "events/day".to_owned())).or_insert((index, 0));
        *entry = (index, if entry.0 == index { entry.1.max(used) } else { used });
        Ok(())
    }
}
