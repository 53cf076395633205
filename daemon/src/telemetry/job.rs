//! Background jobs, as metrics and log lines show them.

use std::collections::BTreeMap;

use kgrca_core::jobs::{Job, JobCount, JobEnd, JobKind, JobState};

/// One run of a job ended.
pub struct JobAttempt<'a> {
    /// The job as it was taken.
    pub job: &'a Job,
    /// How the run ended; absent when the lease was lost or the job cancelled, so that the run does
    /// not count.
    pub end: Option<&'a JobEnd>,
    /// How long the run took.
    pub seconds: f64,
}

impl JobAttempt<'_> {
    /// Logs, counts and measures it.
    pub fn emit(&self) {
        let kind = self.job.kind.clone();
        let outcome = self.outcome();
        metrics::counter!("kg_job_attempts_total", "kind" => kind.clone(), "outcome" => outcome)
            .increment(1);
        metrics::histogram!("kg_job_duration_seconds", "kind" => kind.clone()).record(self.seconds);
        let (job_id, attempt, seconds) = (&self.job.job_id, self.job.attempts, self.seconds);
        let client_id = self.job.client_id.as_deref().unwrap_or_default();
        match self.end {
            Some(JobEnd::Dead(error)) => {
                tracing::error!(job_id, kind, client_id, attempt, %error, "job failed for good");
            }
            Some(JobEnd::Retry { at, error }) => {
                tracing::warn!(
                    job_id, kind, client_id, attempt, %error, retry_at = %at, "job failed, retrying"
                );
            }
            Some(JobEnd::Done(_)) => {
                tracing::info!(job_id, kind, client_id, attempt, seconds, "job done");
            }
            Some(JobEnd::Later(at)) => {
                tracing::debug!(job_id, kind, client_id, until = %at, "job waits");
            }
            None => tracing::warn!(
                job_id,
                kind,
                client_id,
                attempt,
                "job cancelled or lease lost"
            ),
        }
    }

    fn outcome(&self) -> &'static str {
        match self.end {
            Some(JobEnd::Done(_)) => "done",
            Some(JobEnd::Retry { .. }) => "retry",
            Some(JobEnd::Later(_)) => "later",
            Some(JobEnd::Dead(_)) => "dead",
            None => "lost",
        }
    }
}

/// Jobs in the store, which every worker measures: daemons that share a store show the same.
pub struct JobCounts {
    /// Those that there are; combinations without a job are absent.
    pub counts: Vec<JobCount>,
}

impl JobCounts {
    /// Shows every kind and state, also those without a job.
    pub fn emit(&self) {
        let mut all: BTreeMap<(&str, JobState), u64> = BTreeMap::new();
        for kind in JobKind::ALL {
            for state in JobState::ALL {
                all.insert((kind.as_str(), state), 0);
            }
        }
        for count in &self.counts {
            all.insert((&count.kind, count.state), count.jobs);
        }
        for ((kind, state), jobs) in all {
            metrics::gauge!("kg_jobs", "kind" => kind.to_owned(), "state" => state.as_str())
                .set(jobs as f64);
        }
    }
}
