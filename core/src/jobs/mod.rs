//! Background work: durable jobs that any daemon runs under a lease.
//!
//! A job is enqueued in the transaction of the change that causes it. A daemon takes it for a while
//! and extends that lease as long as it runs; when the lease ends, another daemon may take it. So a
//! job runs at least once, and what it does must bear being repeated. Everything a run reports
//! names the epoch under which the job was taken; a report from an earlier epoch is ignored.

mod kind;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use kind::{Backoff, JobKind, JobPolicy};

use crate::model::Time;
use crate::tenancy::TenantId;

/// Where a job stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waiting for its time, or for a daemon to take it.
    Queued,
    /// Leased by a daemon.
    Running,
    /// Succeeded.
    Done,
    /// Failed for good; it stays until it is retried or cancelled.
    Dead,
    /// Stopped by an operator.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Dead,
        Self::Cancelled,
    ];

    /// The state as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A job to enqueue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Chosen by the caller, so that enqueuing can be repeated.
    pub job_id: String,
    /// The tenant it works for; the operator's when absent.
    pub tenant: Option<TenantId>,
    /// What to do.
    pub kind: JobKind,
    /// Its input; the handler of the kind defines the shape.
    pub payload: Value,
    /// Idempotency key: a second job of the same tenant, kind and key is not enqueued while the
    /// first is queued, running or done.
    pub key: Option<String>,
    /// Not started before.
    pub run_at: Time,
    /// For a recurring job: microseconds from the end of one run to the start of the next.
    pub every: Option<i64>,
    /// Runs that may fail before the job is dead.
    pub max_attempts: u32,
    /// The caller's clock.
    pub created_at: Time,
}

impl NewJob {
    /// A job that is due at once, run as its kind's policy says.
    pub fn new(job_id: String, kind: JobKind, payload: Value, now: Time) -> Self {
        let policy = kind.policy();
        Self {
            job_id,
            tenant: None,
            kind,
            payload,
            key: None,
            run_at: now,
            every: policy.every,
            max_attempts: policy.max_attempts,
            created_at: now,
        }
    }
}

/// A stored job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Job {
    /// Identity, `job_…`.
    pub job_id: String,
    /// The tenant it works for; the operator's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What it does, such as `saga.run`; not a [`JobKind`], since a newer version may have
    /// enqueued it.
    pub kind: String,
    /// Its input.
    #[schema(value_type = Object)]
    pub payload: Value,
    /// Idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where it stands.
    pub state: JobState,
    /// When it is started next, or was to be started.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Time,
    /// For a recurring job: seconds from the end of one run to the start of the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_seconds: Option<i64>,
    /// The daemon that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_owner: Option<String>,
    /// How often it was taken; names one run of it.
    pub epoch: i64,
    /// When another daemon may take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub lease_until: Option<Time>,
    /// Runs that began since it was enqueued, retried by hand, or last succeeded.
    pub attempts: u32,
    /// Runs that may fail before it is dead.
    pub max_attempts: u32,
    /// How far the current run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// What the last run that succeeded returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// Why the last run failed; of a dead job, why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was enqueued.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When its row last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Time,
}

impl Job {
    /// One run of the job, as everything that it reports names it.
    pub fn lease(&self) -> JobLease {
        JobLease {
            job_id: self.job_id.clone(),
            epoch: self.epoch,
        }
    }
}

/// One run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLease {
    /// The job.
    pub job_id: String,
    /// Under which it was taken; later ones make it void.
    pub epoch: i64,
}

/// What a daemon asks for when it takes a job.
#[derive(Clone, Copy, Debug)]
pub struct TakeJob<'a> {
    /// The daemon.
    pub owner: &'a str,
    /// Kinds that it can run.
    pub kinds: &'a [JobKind],
    /// The most jobs of one tenant that run at once, over all daemons. The operator's jobs count as
    /// one tenant's.
    pub max_per_tenant: u32,
    /// When the lease ends.
    pub until: Time,
    /// The daemon's clock.
    pub now: Time,
}

/// How a run of a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It succeeded. A recurring job is queued for its next run.
    Done(Value),
    /// It failed and is tried again.
    Retry {
        /// When.
        at: Time,
        /// Why it failed.
        error: String,
    },
    /// It had to wait for something; the run does not count as an attempt.
    Later(Time),
    /// It failed for good. A recurring job is queued for its next run all the same.
    Dead(String),
}

/// What an operator does to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobAct {
    /// Runs a dead, cancelled or waiting job now, with all its attempts.
    Retry,
    /// Stops a job that is queued, running or dead; a run under way loses its lease.
    Cancel,
}

/// Which jobs a list wants; newest first.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<JobState>,
    /// Of this kind.
    pub kind: Option<JobKind>,
    /// Of this tenant.
    pub client_id: Option<String>,
    /// Only those behind this one.
    pub after: Option<JobCursor>,
    /// Maximum number of rows.
    pub limit: usize,
}

/// A position in the list of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCursor {
    /// When the job was enqueued.
    pub created_at: Time,
    /// Its id, as several may be enqueued at once.
    pub job_id: String,
}

impl JobCursor {
    /// The position of a job.
    pub fn of(job: &Job) -> Self {
        Self {
            created_at: job.created_at,
            job_id: job.job_id.clone(),
        }
    }

    /// Reads what `to_string` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, job_id) = text.split_once('.')?;
        Some(Self {
            created_at: Time(at.parse().ok()?),
            job_id: job_id.to_owned(),
        })
    }
}

impl std::fmt::Display for JobCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.created_at.0, self.job_id)
    }
}

/// How many jobs of a kind are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCount {
    /// The kind, as stored.
    pub kind: String,
    /// The state.
    pub state: JobState,
    /// How many.
    pub jobs: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        let cursor = JobCursor {
            created_at: Time(7),
            job_id: "job_a".into(),
        };
        assert_eq!(JobCursor::parse(&cursor.to_string()), Some(cursor));
        assert_eq!(JobCursor::parse("x.job_a"), None);
    }
}
