//! Which containers are unhealthy, by what the kubelet says about them.

use crate::model::Time;
use crate::model::object::ContainerStatus;
use crate::model::object::pod::{Terminated, is_pull_failure};
use crate::model::time::MINUTE;

/// After this time an end with an error is less urgent, in microseconds.
const RECENT: i64 = 60 * MINUTE;

/// Whose log is read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Waits for its next start after an end.
    Waits,
    /// Ended with an error a short while ago.
    Ended,
    /// Runs and is not ready.
    NotReady,
    /// Runs again after an error.
    Restarted,
    /// Ended with an error long ago.
    EndedLongAgo,
    /// Runs, and belongs to what is affected or calls it.
    Affected,
    /// Looks healthy.
    Quiet,
}

/// How urgent the log of a container is; `None` when it is healthy, or never started.
pub(super) fn urgency(status: &ContainerStatus, now: Time) -> Option<Urgency> {
    let is_recent = |at: Option<Time>| at.is_some_and(|at| now.0 - at.0 <= RECENT);
    let failed = |ended: &Terminated| ended.exit_code != Some(0);
    let last = status.last_state.terminated.as_ref().filter(|t| failed(t));
    if let Some(waiting) = &status.state.waiting {
        let is_pulling = waiting.reason.as_deref().is_some_and(is_pull_failure);
        let has_run = status.last_state.terminated.is_some();
        return (has_run && !is_pulling).then_some(Urgency::Waits);
    }
    if let Some(ended) = &status.state.terminated {
        let is_recent = is_recent(ended.finished_at.0);
        return failed(ended).then_some(if is_recent {
            Urgency::Ended
        } else {
            Urgency::EndedLongAgo
        });
    }
    status.state.running.as_ref()?;
    if status.ready == Some(false) {
        return Some(Urgency::NotReady);
    }
    let has_restarted = last.is_some_and(|ended| is_recent(ended.finished_at.0));
    has_restarted.then_some(Urgency::Restarted)
}
