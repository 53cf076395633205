//! How many clusters a plan has room for.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::model::Str;
use kgrca_core::model::time::DAY;
use kgrca_core::tenancy::TenantId;

use super::error::ApiError;
use super::guard::{Caller, Ingest};
use crate::app::App;
use crate::clock::now;

/// For how long clusters that were admitted need not be looked up.
const BELIEVED: Duration = Duration::from_mins(10);

/// Clusters of each tenant that were admitted a moment ago, and when.
#[derive(Debug, Default)]
pub struct Clusters(Mutex<HashMap<TenantId, HashMap<Str, Instant>>>);

impl Clusters {
    fn has_all(&self, tenant: &TenantId, named: &BTreeSet<Str>) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |known: &HashMap<Str, Instant>, name| {
            known.get(name).is_some_and(|at| at.elapsed() < BELIEVED)
        };
        all.get(tenant)
            .is_some_and(|known| named.iter().all(|name| fresh(known, name)))
    }

    /// Admits clusters beside those that are known, or says how many there are already.
    fn admit(
        &self,
        tenant: &TenantId,
        mut known: BTreeSet<Str>,
        named: &BTreeSet<Str>,
        limit: u64,
    ) -> Result<(), usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = all.entry(tenant.clone()).or_default();
        admitted.retain(|_, at| at.elapsed() < BELIEVED);
        // What was admitted here may not have been worked off yet.
        known.extend(admitted.keys().cloned());
        if known.union(named).count() as u64 > limit && !named.is_subset(&known) {
            return Err(known.len());
        }
        admitted.extend(named.iter().map(|name| (name.clone(), Instant::now())));
        Ok(())
    }
}

/// Refuses records of clusters for which the plan has no room. A cluster counts while it was heard
/// of within a day.
///
/// # Errors
/// `quota_exceeded` names the cluster.
pub async fn admit(
    app: &App,
    caller: &Caller<Ingest>,
    named: &BTreeSet<Str>,
) -> Result<(), ApiError> {
    let Some(limit) = caller.plan.clusters else {
        return Ok(());
    };
    if app.clusters.has_all(&caller.tenant, named) {
        return Ok(());
    }
    let rows = app.stores.meta.clusters(&caller.tenant).await?;
    let living = rows
        .into_iter()
        .filter(|c| now().0 - c.last_record.0 < DAY)
        .map(|c| c.cluster.as_str().into())
        .collect();
    app.clusters.admit(&caller.tenant, living, named, limit).map_err(|known| {
        let names: Vec<&str> = named.iter().map(|n| &**n).collect();
        let message = format!(
            "the plan `{}` has room for {limit} clusters, and {known} send: `{}` would be more",
            caller.plan.name,
            names.join("`, `")
        );
        ApiError::limited("quota_exceeded", message, 3600)
            .hint("change the plan, or stop what sends under another name; a cluster counts until it was silent for a day")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_cluster_goes_on_and_one_more_does_not() {
        let clusters = Clusters::default();
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
        // A plan that shrank keeps whom it has.
        assert_eq!(
            clusters.admit(&tenant, named(&["a", "b"]), &named(&["b"]), 1),
            Ok(())
        );
    }
}
