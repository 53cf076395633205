//! Durable background work. Changes enqueue jobs in their own transaction; every daemon with the
//! role `worker` takes them under a lease and runs the handler of their kind. A job runs at least
//! once, so what a handler does must bear being repeated.
//!
//! How often a kind is tried, its lease and its schedule are in `kgrca_core::jobs::JobPolicy`.
//! A new kind is a variant of `JobKind`, its policy, and a handler here.

mod billing_verify;
mod job_purge;
mod runner;
mod saga_run;
mod tenant_maintain;

use std::sync::{Arc, Mutex, PoisonError};

use kgrca_core::jobs::{Job, JobKind};
use kgrca_core::model::Time;
use kgrca_core::storage::{Error, ErrorKind};
use kgrca_core::tenancy::TenantId;
use serde_json::Value;

pub use runner::run;

use crate::usecases::App;

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

/// The handlers of all kinds.
async fn handle(
    kind: JobKind,
    app: Arc<App>,
    job: Job,
    progress: Progress,
) -> Result<Outcome, Error> {
    match kind {
        JobKind::SagaRun => saga_run::run(&app, &job).await,
        JobKind::TenantMaintain => tenant_maintain::run(&app, &job).await,
        JobKind::BillingVerify => billing_verify::run(&app, &job, &progress).await,
        JobKind::JobPurge => job_purge::run(&app).await,
    }
}

/// The tenant that a job works for.
fn tenant_of(job: &Job) -> Result<TenantId, Error> {
    let id = job.client_id.as_deref().and_then(TenantId::parse);
    id.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{} has no tenant", job.job_id)))
}

/// Reads the input of a job.
fn payload<T: serde::de::DeserializeOwned>(job: &Job) -> Result<T, Error> {
    serde_json::from_value(job.payload.clone())
        .map_err(|e| Error::new(ErrorKind::Corrupt, format!("{}: payload: {e}", job.job_id)))
}
