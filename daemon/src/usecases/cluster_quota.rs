//! How many clusters of a tenant may send at a time, by its plan.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::model::time::DAY;
use kgrca_core::model::{Str, counted};
use kgrca_core::tenancy::TenantId;

use super::actor::TenantScope;
use super::app::App;
use super::error::{Error, Result};
use crate::clock::{instant, now, since};

/// How long an admitted cluster is admitted again without asking the store.
const CACHE_TTL: Duration = Duration::from_mins(10);

/// Recently admitted clusters of each tenant, and when each was admitted.
#[derive(Debug, Default)]
pub struct ClusterQuota(Mutex<HashMap<TenantId, HashMap<Str, Instant>>>);

impl ClusterQuota {
    fn has_all(&self, tenant: &TenantId, named: &BTreeSet<Str>) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |known: &HashMap<Str, Instant>, name| {
            known.get(name).is_some_and(|at| since(*at) < CACHE_TTL)
        };
        all.get(tenant)
            .is_some_and(|known| named.iter().all(|name| fresh(known, name)))
    }

    /// Admits clusters beside the active ones. Fails with the number of active clusters.
    fn admit(
        &self,
        tenant: &TenantId,
        mut active: BTreeSet<Str>,
        named: &BTreeSet<Str>,
        limit: u64,
    ) -> std::result::Result<(), usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = all.entry(tenant.clone()).or_default();
        admitted.retain(|_, at| since(*at) < CACHE_TTL);
        // Records of an admitted cluster may not have been applied yet.
        active.extend(admitted.keys().cloned());
        if active.union(named).count() as u64 > limit && !named.is_subset(&active) {
            return Err(active.len());
        }
        admitted.extend(named.iter().map(|name| (name.clone(), instant())));
        Ok(())
    }
}

/// Refuses records of clusters beyond the plan. A cluster is active until 24 h after its last
/// record arrived, whatever time the record has.
///
/// # Errors
/// `quota_exceeded` names the clusters.
pub(super) async fn admit(app: &App, tenant: TenantScope<'_>, named: &BTreeSet<Str>) -> Result<()> {
    let Some(limit) = tenant.plan.clusters else {
        return Ok(());
    };
    if app.cluster_quota.has_all(tenant.id, named) {
        return Ok(());
    }
    let rows = app.stores.meta.clusters(tenant.id).await?;
    let active = rows
        .into_iter()
        .filter(|c| now().0 - c.last_seen().0 < DAY)
        .map(|c| c.cluster.as_str().into())
        .collect();
    let refused = app.cluster_quota.admit(tenant.id, active, named, limit);
    refused.map_err(|active| {
        let names: Vec<&str> = named.iter().map(|n| &**n).collect();
        let are = if active == 1 { "is" } else { "are" };
        let message = format!(
            "plan `{}` allows {}; {active} {are} active, `{}` would exceed that",
            tenant.plan.name,
            counted(limit, "cluster"),
            names.join("`, `")
        );
        Error::quota_exceeded(message, 3600).hint(
            "change the plan, or stop senders that use another cluster name; \
             a cluster is active until 24 h after its last record arrived",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_active_cluster_is_admitted_and_one_too_many_is_not() {
        let clusters = ClusterQuota::default();
        let tenant = TenantId::parse("client-acme-7f3k2a").unwrap();
        let named = |names: &[&str]| names.iter().map(|n| Str::from(*n)).collect::<BTreeSet<_>>();
        assert_eq!(
            clusters.admit(&tenant, named(&[]), &named(&["a"]), 2),
            Ok(())
        );
        assert_eq!(
            clusters.admit(&tenant, named(&["a"]), &named(&["b"]), 2),
            Ok(())
        );
        assert_eq!(
            clusters.admit(&tenant, named(&["a", "b"]), &named(&["c"]), 2),
            Err(2)
        );
        assert!(
            clusters.has_all(&tenant, &named(&["a", "b"]))
                && !clusters.has_all(&tenant, &named(&["c"]))
        );
        // After a downgrade the active clusters may still send.
        assert_eq!(
            clusters.admit(&tenant, named(&["a", "b"]), &named(&["b"]), 1),
            Ok(())
        );
    }
}
