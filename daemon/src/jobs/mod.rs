//! Durable background work. Changes enqueue jobs in their own transaction; every daemon with the
//! role `worker` takes them under a lease and runs the handler of their kind. A job runs at least
//! once, so what a handler does must bear being repeated.
//!
//! How often a kind is tried, its lease and its schedule are in `kgrca_core::jobs::JobPolicy`.
//! A new kind is a variant of `JobKind`, its policy, and a handler here.

mod audit_anchor;
mod billing_verify;
mod job_purge;
mod notify;
mod runner;
mod saga_run;
mod tenant_maintain;

use std::sync::{Arc, Mutex, PoisonError};

use kgrca_core::jobs::{Job, JobKind};
use kgrca_core::model::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use runner::run;

use crate::usecases::{Actor, App, Error, Result};

/// How a run that did not fail ended.
enum Outcome {
    /// With this result.
    Done(Value),
    /// Something has to come first; it is tried again then.
    Later(Time),
}

/// How far a run is, for people who watch it. Stored with the next extension of the lease.
#[derive(Clone, Debug, Default)]
struct Progress(Arc<Mutex<Option<String>>>);

impl Progress {
    fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The handlers of all kinds. Each acts through use cases, as an actor of its own.
async fn handle(kind: JobKind, app: Arc<App>, job: Job, progress: Progress) -> Result<Outcome> {
    match kind {
        JobKind::SagaRun => saga_run::run(&app, &job).await,
        JobKind::TenantMaintain => tenant_maintain::run(&app, &job).await,
        JobKind::BillingVerify => billing_verify::run(&app, &job, &progress).await,
        JobKind::JobPurge => job_purge::run(&app, &job).await,
        JobKind::AuditAnchor => audit_anchor::run(&app, &job).await,
        JobKind::NotifyPlan => notify::plan(&app, &job).await,
        JobKind::NotifyDeliver => notify::deliver(&app, &job).await,
    }
}

/// The actor of a job that works for one tenant.
async fn tenant_actor(app: &App, job: &Job) -> Result<Actor> {
    let tenant = app.stores.meta.tenant(tenant_of(job)?).await?;
    let missing = || Error::internal(format!("{}: its tenant does not exist", job.job_id));
    Actor::tenant_job(job, &tenant.ok_or_else(missing)?)
}

/// The id of the tenant that a job works for.
fn tenant_of(job: &Job) -> Result<&str> {
    let missing = || Error::internal(format!("{} has no tenant", job.job_id));
    job.client_id.as_deref().ok_or_else(missing)
}

/// Reads the input of a job.
fn payload<T: DeserializeOwned>(job: &Job) -> Result<T> {
    serde_json::from_value(job.payload.clone())
        .map_err(|e| Error::internal(format!("{}: payload: {e}", job.job_id)))
}

/// The end of a run that did what it had to.
fn result(value: &impl Serialize) -> Result<Outcome> {
    let value = serde_json::to_value(value).map_err(|e| Error::internal(e.to_string()))?;
    Ok(Outcome::Done(value))
}
