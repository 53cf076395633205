//! Recounts of what tenants were charged for.

mod count;

use std::time::Duration;

use kgrca_core::api::{Page, VerifiedDay};
use kgrca_core::jobs::{Job, JobFilter, JobKind, JobState, NewJob};
use serde_json::json;

use super::actor::Actor;
use super::app::App;
use super::audit;
use super::audit_counts;
use super::error::{Error, Result};
use super::tenants;
use super::usage::DaySpan;
use crate::clock::{instant, now, sleep};
use crate::random::random_id;

pub use count::run;

/// How long a caller is kept waiting for the result.
const WAIT: Duration = Duration::from_secs(20);
/// How often the job is checked meanwhile.
const POLL: Duration = Duration::from_millis(100);
/// With this many open recounts a tenant gets no more; simultaneous calls may exceed it a little.
const MAX_OPEN: usize = 100;

/// A recount, as far as it is.
pub enum Recount {
    /// Its result.
    Done(Page<VerifiedDay>),
    /// The job that is still at it.
    Pending(Box<Job>),
}

/// Recounts the billable events in a tenant's log, day by day. The work is a job; a caller who
/// comes while the same recount is queued or running joins it.
///
/// # Errors
/// `forbidden` unless the actor may read what tenants owe; `not_found` without such a tenant;
/// `conflict` with too many open recounts.
pub async fn start(app: &App, actor: &Actor, client_id: &str, span: DaySpan) -> Result<Recount> {
    actor.accountant()?;
    let tenant = tenants::find(app, client_id).await?.id;
    let payload = json!(span);
    let open = open(app, client_id).await?;
    let job_id = if let Some(same) = open.iter().find(|job| job.payload == payload) {
        same.job_id.clone()
    } else if open.len() >= MAX_OPEN {
        let message = format!("tenant `{client_id}` has {} open recounts", open.len());
        return Err(Error::conflict(message).hint("retry when they have ended"));
    } else {
        let days = format!("{} to {}", span.from, span.to);
        audit::record(app, actor, Some(client_id), "billing.verify", &days).await?;
        let id = format!("job_{}", random_id(12));
        let job = NewJob {
            tenant: Some(tenant),
            ..NewJob::new(id, JobKind::BillingVerify, payload, now())
        };
        app.stores.meta.enqueue(&job).await?
    };
    wait(app, client_id, &job_id).await
}

/// The result of a recount that was started before.
///
/// # Errors
/// `forbidden` unless the actor may read what tenants owe; `not_found` when the tenant has no such
/// recount.
pub async fn result(app: &App, actor: &Actor, client_id: &str, job_id: &str) -> Result<Recount> {
    actor.accountant()?;
    audit_counts::read(app, actor, Some(client_id), "recount");
    wait(app, client_id, job_id).await
}

/// The recounts of a tenant that are queued or running.
async fn open(app: &App, client_id: &str) -> Result<Vec<Job>> {
    let mut open = Vec::new();
    for state in [JobState::Queued, JobState::Running] {
        let filter = JobFilter {
            state: Some(state),
            kind: Some(JobKind::BillingVerify),
            client_id: Some(client_id.to_owned()),
            limit: MAX_OPEN,
            ..JobFilter::default()
        };
        open.extend(app.stores.meta.jobs(&filter).await?);
    }
    Ok(open)
}

/// Waits a while for a recount to end.
async fn wait(app: &App, client_id: &str, job_id: &str) -> Result<Recount> {
    let deadline = instant() + WAIT;
    loop {
        let job = app.stores.meta.job(job_id).await?;
        let is_recount = |job: &Job| {
            job.kind == JobKind::BillingVerify.as_str()
                && job.client_id.as_deref() == Some(client_id)
        };
        let job = job.filter(is_recount).ok_or_else(|| {
            Error::not_found(format!("tenant `{client_id}` has no recount `{job_id}`"))
        })?;
        match job.state {
            JobState::Done => return done(&job),
            JobState::Dead | JobState::Cancelled => return Err(failed(&job)),
            JobState::Queued | JobState::Running if instant() >= deadline => {
                return Ok(Recount::Pending(Box::new(job)));
            }
            JobState::Queued | JobState::Running => sleep(POLL).await,
        }
    }
}

fn done(job: &Job) -> Result<Recount> {
    let result = job.result.clone().unwrap_or_default();
    let page = serde_json::from_value(result)
        .map_err(|e| Error::internal(format!("{}: result: {e}", job.job_id)))?;
    Ok(Recount::Done(page))
}

fn failed(job: &Job) -> Error {
    let (id, state) = (&job.job_id, job.state.as_str());
    // Why it failed is for operators: it may name servers.
    Error::conflict(format!("the recount `{id}` is {state}"))
        .hint("run `kgrca billing verify` again")
}
