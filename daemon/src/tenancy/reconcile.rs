//! Enqueues missing jobs: those of the installation, and of tenants and sagas that an older version
//! wrote
//! without them, of tenants whose deletion was stopped, and of sagas whose job was cancelled or
//! died.

use kgrca_core::jobs::{JobFilter, JobKind, JobState};
use kgrca_core::storage::Error;
use kgrca_core::tenancy::{Saga, SagaKind, SagaState, TenantId};

use super::Tenancy;
use super::run::{continuation, recurring};
use crate::clock::now;

/// Jobs of one tenant's sagas that are looked through. One more duplicate does no harm.
const JOBS: usize = 1000;

/// Enqueues the missing jobs of all sagas and tenants. Can be repeated, also by several daemons at
/// once.
pub async fn enqueue_missing(ctx: &Tenancy) -> Result<(), Error> {
    let meta = &ctx.stores.meta;
    for saga in meta.sagas(None).await?.iter().filter(|s| needs_job(s)) {
        if !has_job(ctx, saga).await? {
            let due = saga.wait_until.unwrap_or_else(now);
            meta.enqueue(&continuation(saga, due)).await?;
        }
    }
    meta.enqueue(&recurring(JobKind::AuditAnchor, None)).await?;
    for tenant in meta.list_tenants().await? {
        if let Some(id) = TenantId::parse(&tenant.client_id).filter(|_| tenant.state.is_worked()) {
            let job = recurring(JobKind::TenantMaintain, Some(id));
            meta.enqueue(&job).await?;
        }
    }
    Ok(())
}

/// Whether a saga continues without a caller.
fn needs_job(saga: &Saga) -> bool {
    let is_rollback = saga.state == SagaState::Compensating;
    !saga.is_over() && (saga.kind != SagaKind::Create || is_rollback)
}

/// Whether a job that will run, or runs, continues a saga.
async fn has_job(ctx: &Tenancy, saga: &Saga) -> Result<bool, Error> {
    for state in [JobState::Queued, JobState::Running] {
        let filter = JobFilter {
            state: Some(state),
            kind: Some(JobKind::SagaRun),
            client_id: Some(saga.client_id.clone()),
            limit: JOBS,
            ..JobFilter::default()
        };
        let jobs = ctx.stores.meta.jobs(&filter).await?;
        if jobs
            .iter()
            .any(|job| job.payload["saga_id"] == *saga.saga_id)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use kgrca_core::billing::Overrides;
    use kgrca_core::tenancy::{Tenant, TenantState};

    use super::*;
    use crate::tenancy::saga;

    #[test]
    fn sagas_that_no_caller_waits_for_need_a_job() {
        let needs = |kind, state| {
            let saga = Saga {
                state,
                ..saga(kind, &Saga::DELETE, tenant())
            };
            needs_job(&saga)
        };
        assert!(needs(SagaKind::Delete, SagaState::Running));
        assert!(needs(SagaKind::Move, SagaState::Running));
        assert!(needs(SagaKind::Create, SagaState::Compensating));
        assert!(!needs(SagaKind::Create, SagaState::Running));
        assert!(!needs(SagaKind::Delete, SagaState::Done));
        assert!(!needs(SagaKind::Move, SagaState::Compensated));
    }

    fn tenant() -> Tenant {
        Tenant {
            client_id: "acme".to_owned(),
            name: "Acme".to_owned(),
            plan: "pro".to_owned(),
            state: TenantState::Active,
            contact_email: String::new(),
            created_at: now(),
            deleted_at: None,
            partitions: 1,
            limits: Overrides::default(),
        }
    }
}
