//! What daemons can do in the background, and how often each kind is tried.

use crate::model::time::{MINUTE, SECOND};

const HOUR: i64 = 60 * MINUTE;

/// Work that a daemon knows how to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobKind {
    /// Continues a saga that runs without a caller: deletions, moves, and rollbacks.
    SagaRun,
    /// Applies retention to a tenant and measures its storage.
    TenantMaintain,
    /// Counts the billable records in a tenant's log again.
    BillingVerify,
    /// Removes jobs that finished long ago.
    JobPurge,
    /// Writes the signed ends of the audit log to a file.
    AuditAnchor,
    /// Decides who is notified of the latest changes of incidents.
    NotifyPlan,
    /// Sends one notification to one receiver.
    NotifyDeliver,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::SagaRun,
        Self::TenantMaintain,
        Self::BillingVerify,
        Self::JobPurge,
        Self::AuditAnchor,
        Self::NotifyPlan,
        Self::NotifyDeliver,
    ];

    /// The kind as stored, shown, and used as a label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SagaRun => "saga.run",
            Self::TenantMaintain => "tenant.maintain",
            Self::BillingVerify => "billing.verify",
            Self::JobPurge => "job.purge",
            Self::AuditAnchor => "audit.anchor",
            Self::NotifyPlan => "notify.plan",
            Self::NotifyDeliver => "notify.deliver",
        }
    }

    /// The kind of a stored job; `None` for one that only a newer version knows.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// How a job of this kind is run.
    pub fn policy(self) -> JobPolicy {
        let usual = JobPolicy {
            max_attempts: 5,
            every: None,
            lease: 30 * SECOND,
            backoff: Backoff {
                base: 2 * SECOND,
                cap: 5 * MINUTE,
            },
        };
        match self {
            // A deletion must not be forgotten, however long a server is away: this is tried for
            // at least 80 days, and a saga whose job is dead gets another within the hour.
            Self::SagaRun => JobPolicy {
                max_attempts: 1_000_000,
                backoff: Backoff {
                    base: SECOND,
                    cap: 15 * SECOND,
                },
                ..usual
            },
            Self::TenantMaintain | Self::JobPurge | Self::AuditAnchor => JobPolicy {
                every: Some(HOUR),
                ..usual
            },
            // Who pages people must not give up while the store is away for a while.
            Self::NotifyPlan => JobPolicy {
                max_attempts: 100,
                ..usual
            },
            // About an hour.
            Self::NotifyDeliver => JobPolicy {
                max_attempts: 12,
                backoff: Backoff {
                    base: 5 * SECOND,
                    cap: 10 * MINUTE,
                },
                ..usual
            },
            Self::BillingVerify => JobPolicy {
                max_attempts: 3,
                ..usual
            },
        }
    }
}

/// How jobs of a kind are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPolicy {
    /// Runs that may fail before the job is dead.
    pub max_attempts: u32,
    /// For a recurring job: microseconds from the end of one run to the start of the next.
    pub every: Option<i64>,
    /// How long a daemon has the job, in microseconds, unless it extends the lease. The work
    /// of a daemon that died is continued after it.
    pub lease: i64,
    /// The waits between failed runs.
    pub backoff: Backoff,
}

/// How long a job that failed waits: twice as long each time, up to a cap, and spread so that jobs
/// that failed together do not return together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait in microseconds.
    pub base: i64,
    /// The longest wait in microseconds.
    pub cap: i64,
}

impl Backoff {
    /// The wait in microseconds after a number of failed attempts, from 1. `random`, between 0 and
    /// 1, chooses from the upper half of the full wait ("equal jitter").
    pub fn wait(self, attempts: u32, random: f64) -> i64 {
        let doublings = attempts.saturating_sub(1).min(40);
        let full = self.base.saturating_mul(1_i64 << doublings).min(self.cap);
        full / 2 + (full as f64 / 2.0 * random.clamp(0.0, 1.0)) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_job_waits_twice_as_long_each_time_up_to_the_cap() {
        let backoff = Backoff {
            base: SECOND,
            cap: MINUTE,
        };
        let full = |attempts| backoff.wait(attempts, 1.0) / SECOND;
        assert_eq!([1, 2, 3, 6, 7, 100].map(full), [1, 2, 4, 32, 60, 60]);
        assert_eq!(backoff.wait(1, 0.0), SECOND / 2, "at least half of it");
        assert_eq!(backoff.wait(u32::MAX, 0.5), MINUTE * 3 / 4);
    }
}
