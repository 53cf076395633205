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

/// For how long a tenant that sends nothing is remembered.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);

/// What each tenant stores, as far as it is known.
#[derive(Debug, Default)]
pub struct StorageQuota(Mutex<HashMap<TenantId, Known>>);

/// What a tenant stores, in bytes.
#[derive(Clone, Copy, Debug)]
struct Known {
    measured: u64,
    /// When the measurement was read.
    at: Instant,
    /// What this daemon has added since it was another.
    added: u64,
}

impl Known {
    fn read(measured: u64, before: Option<Self>) -> Self {
        let same = before.filter(|before| before.measured == measured);
        Self {
            measured,
            at: instant(),
            added: same.map(|before| before.added).unwrap_or(0),
        }
    }

    fn bytes(&self) -> u64 {
        self.measured.saturating_add(self.added)
    }
}

impl StorageQuota {
    /// What a tenant stores, in bytes.
    async fn stored(&self, app: &App, tenant: &TenantId) -> Result<u64> {
        let known = self.all().get(tenant).copied();
        if let Some(known) = known.filter(|known| since(known.at) < CACHE_TTL) {
            return Ok(known.bytes());
        }
        let measured = usage::today(app, tenant).await?.storage_bytes;
        let mut all = self.all();
        all.retain(|_, known| since(known.at) < FORGOTTEN_AFTER);
        let before = all.get(tenant).copied();
        let known = Known::read(measured, before);
        all.insert(tenant.clone(), known);
        Ok(known.bytes())
    }

    /// Counts what was stored since the last measurement.
    pub fn add(&self, tenant: &TenantId, bytes: usize) {
        if let Some(known) = self.all().get_mut(tenant) {
            known.added = known.added.saturating_add(bytes as u64);
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, Known>> {
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
    fn what_was_stored_since_the_last_measurement_counts() {
        let quota = StorageQuota::default();
        let tenant = TenantId::parse("client-a-000000").unwrap();
        quota.add(&tenant, 5);
        assert!(quota.all().is_empty(), "nobody asks for what it stores");
        quota.all().insert(tenant.clone(), Known::read(100, None));
        quota.add(&tenant, 20);
        quota.add(&tenant, 3);
        let known = quota.all()[&tenant];
        assert_eq!(known.bytes(), 123);
        assert_eq!(Known::read(100, Some(known)).bytes(), 123, "the same one");
        assert_eq!(Known::read(150, Some(known)).bytes(), 150);
    }

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
