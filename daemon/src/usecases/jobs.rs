//! Background jobs, as operators see and steer them.

use kgrca_core::api::Page;
use kgrca_core::jobs::{Job, JobAct, JobCursor, JobFilter, JobKind, JobState};
use kgrca_core::model::time::DAY;

use super::actor::Actor;
use super::app::App;
use super::audit_counts;
use super::error::{Error, Result};
use super::{audit, within};
use crate::clock::now;
use crate::tenancy;

/// How long finished jobs are kept: as long the same idempotency key does nothing again.
const RETENTION: i64 = 7 * DAY;

/// A page of jobs, newest first. `filter.limit` is ignored in favour of `limit`.
///
/// # Errors
/// `forbidden` for tenants; `invalid_request` for a limit out of range.
pub async fn list(
    app: &App,
    actor: &Actor,
    filter: JobFilter,
    limit: Option<usize>,
) -> Result<Page<Job>> {
    actor.operator()?;
    audit_counts::read(app, actor, None, "jobs");
    let filter = JobFilter {
        limit: within("limit", limit, 50, 1000)?,
        ..filter
    };
    let items = app.stores.meta.jobs(&filter).await?;
    let next = items
        .last()
        .filter(|_| items.len() == filter.limit)
        .map(|job| JobCursor::of(job).to_string());
    Ok(Page { items, next })
}

/// One job.
///
/// # Errors
/// `forbidden` for tenants; `not_found` when there is no such job.
pub async fn show(app: &App, actor: &Actor, job_id: &str) -> Result<Job> {
    actor.operator()?;
    let job = find(app, job_id).await?;
    audit_counts::read(app, actor, job.client_id.as_deref(), "job");
    Ok(job)
}

async fn find(app: &App, job_id: &str) -> Result<Job> {
    let missing = || {
        Error::not_found(format!("job `{job_id}` not found"))
            .hint("GET /api/v1/admin/jobs lists jobs")
    };
    app.stores.meta.job(job_id).await?.ok_or_else(missing)
}

/// Retries or cancels a job. Returns the job as it is then.
///
/// # Errors
/// `forbidden` for tenants; `not_found` when there is no such job; `conflict` when its state does
/// not allow it.
pub async fn change(app: &App, actor: &Actor, job_id: &str, act: JobAct) -> Result<Job> {
    actor.operator()?;
    let job = find(app, job_id).await?;
    if act == JobAct::Cancel {
        check_cancellable(app, &job).await?;
    }
    let action = match act {
        JobAct::Retry => "job.retry",
        JobAct::Cancel => "job.cancel",
    };
    audit::record(app, actor, job.client_id.as_deref(), action, job_id).await?;
    if !app.stores.meta.change_job(job_id, act, now()).await? {
        let job = find(app, job_id).await?;
        let word = match act {
            JobAct::Retry => "retried",
            JobAct::Cancel => "cancelled",
        };
        let state = job.state.as_str();
        let message = format!("job `{job_id}` is {state} and cannot be {word}");
        return Err(Error::conflict(message).hint(format!("kgrca job show {job_id}")));
    }
    find(app, job_id).await
}

/// Removes jobs that finished long ago, and enqueues those that are missing. Returns how many were
/// removed.
///
/// # Errors
/// `forbidden` for tenants.
pub async fn purge(app: &App, actor: &Actor) -> Result<u64> {
    actor.operator()?;
    let removed = app.stores.meta.purge_jobs(now().plus(-RETENTION)).await?;
    tenancy::enqueue_missing(&app.tenancy).await?;
    Ok(removed)
}

/// Refuses to stop what nothing would start again.
async fn check_cancellable(app: &App, job: &Job) -> Result<()> {
    let id = &job.job_id;
    if job.every_seconds.is_some() {
        let message = format!("job `{id}` is recurring and cannot be cancelled");
        return Err(Error::conflict(message).hint(format!("kgrca job retry {id} runs it now")));
    }
    // A dead one continues nothing.
    if job.kind != JobKind::SagaRun.as_str() || job.state == JobState::Dead {
        return Ok(());
    }
    let Some(saga_id) = job.payload["saga_id"].as_str() else {
        return Ok(());
    };
    let saga = app.stores.meta.saga(saga_id).await?;
    if saga.is_some_and(|saga| !saga.is_over()) {
        let message = format!("job `{id}` continues the open saga `{saga_id}`");
        return Err(Error::conflict(message).hint(format!(
            "`kgrca saga compensate {saga_id}` rolls it back; `kgrca tenant resume` keeps a \
             tenant that is being deleted"
        )));
    }
    Ok(())
}
