//! The queue of jobs, as stores keep it.

use super::Result;
use crate::jobs::{Job, JobAct, JobCount, JobEnd, JobFilter, JobLease, NewJob, TakeJob};
use crate::model::Time;

/// The jobs of all tenants and of the operator.
#[async_trait::async_trait]
pub trait Jobs: Send + Sync {
    /// Adds a job. Returns its id, or that of the job with the same tenant, kind and key that is
    /// queued, running or done.
    async fn enqueue(&self, job: &NewJob) -> Result<String>;
    /// Leases one job that is due, or whose lease ended: of a tenant with the fewest running jobs;
    /// among those, of the tenant whose last turn is longest ago; of its jobs the one due first. A
    /// job whose last attempt never ended is buried on the way.
    async fn take_job(&self, request: &TakeJob<'_>) -> Result<Option<Job>>;
    /// Extends a lease and records progress, if any. Returns whether the lease is still held.
    async fn extend_job(
        &self,
        lease: &JobLease,
        until: Time,
        progress: Option<&str>,
    ) -> Result<bool>;
    /// Ends a run. Returns whether the lease was still held; otherwise nothing changes.
    async fn finish_job(&self, lease: &JobLease, end: &JobEnd, now: Time) -> Result<bool>;
    /// Ends the leases of a daemon that starts again after it died. Returns how many there were.
    async fn release_jobs(&self, owner: &str) -> Result<u64>;
    /// One job.
    async fn job(&self, job_id: &str) -> Result<Option<Job>>;
    /// Jobs, newest first.
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>>;
    /// Retries or cancels a job. Returns whether its state allowed it. Fails with `Conflict` when
    /// another job with its key was enqueued since.
    async fn change_job(&self, job_id: &str, act: JobAct, now: Time) -> Result<bool>;
    /// Jobs by kind and state.
    async fn job_counts(&self) -> Result<Vec<JobCount>>;
    /// Removes jobs that are done or cancelled since before an instant. Dead ones stay until
    /// someone retries or cancels them. Returns how many there were.
    async fn purge_jobs(&self, before: Time) -> Result<u64>;
}
