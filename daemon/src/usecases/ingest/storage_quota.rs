//! Nothing more is taken in from a tenant that stores much more than its plan includes, if the
//! plan has no price for more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::billing::Plan;
use kgrca_core::tenancy::TenantId;

use super::batch::Batch;
use crate::clock::{instant, since};
use crate::usecases::actor::TenantScope;
use crate::usecases::app::App;
use crate::usecases::error::{Error, Result};
use crate::usecases::usage;

const GB: u64 = 1_000_000_000;
/// How many times its plan's storage a tenant may use. It is measured once an hour, and old records
/// are removed only then.
const TIMES: u64 = 2;
/// For how long what was measured is not read again.
const CACHE_TTL: Duration = Duration::from_mins(5);

/// What was last measured of each tenant, in bytes, and when it was read.
#[derive(Debug, Default)]
pub struct StorageQuota(Mutex<HashMap<TenantId, (u64, Instant)>>);

impl StorageQuota {
    async fn stored(&self, app: &App, tenant: &TenantId) -> Result<u64> {
        let known = self.all().get(tenant).copied();
        if let Some((bytes, _)) = known.filter(|(_, at)| since(*at) < CACHE_TTL) {
            return Ok(bytes);
        }
        let bytes = usage::today(app, tenant).await?.storage_bytes;
        let mut all = self.all();
        all.retain(|_, (_, at)| since(*at) < CACHE_TTL);
        all.insert(tenant.clone(), (bytes, instant()));
        Ok(bytes)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, (u64, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most bytes that a tenant of a plan may store.
fn limit(plan: &Plan) -> Option<u64> {
    let included = plan.storage_gb.filter(|_| plan.overage.is_none())?;
    Some(included.saturating_mul(GB * TIMES))
}

/// Refuses a batch of a tenant that stores more than its plan allows. Batches that only delete or
/// end a listing have as much room again: without them the live state would be wrong.
///
/// # Errors
/// `quota_exceeded` names the limit.
pub async fn admit(app: &App, tenant: TenantScope<'_>, batch: &Batch) -> Result<()> {
    if limit(tenant.plan).is_none() || batch.entries.is_empty() {
        return Ok(());
    }
    let stored = app.storage_quota.stored(app, tenant.id).await?;
    check(tenant.plan, stored, batch.adds)
}

fn check(plan: &Plan, stored: u64, adds: bool) -> Result<()> {
    let times = if adds { 1 } else { 2 };
    let Some(limit) = limit(plan).filter(|limit| stored > limit.saturating_mul(times)) else {
        return Ok(());
    };
    let message = format!(
        "more than {} GB are stored: {TIMES} times what plan `{}` includes",
        limit / GB,
        plan.name,
    );
    Err(Error::quota_exceeded(message, 3600).hint(
        "events, logs and alerts are removed at the end of their retention, objects when they are \
         deleted; storage is measured once an hour. Or change the plan",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kgrca_core::billing;

    #[test]
    fn only_plans_without_a_price_for_storage_are_limited() {
        let refused = |name, stored, adds| check(billing::find(name).unwrap(), stored, adds).err();
        assert!(refused("free", 2 * GB, true).is_none());
        let error = refused("free", 2 * GB + 1, true).unwrap();
        assert!(error.message.contains("2 GB"), "{}", error.message);
        assert!(refused("free", 4 * GB, false).is_none());
        assert!(refused("free", 4 * GB + 1, false).is_some());
        for paid in ["basic", "pro", "enterprise"] {
            assert!(refused(paid, 1000 * GB, true).is_none(), "{paid}");
        }
    }
}
