//! When an incident began, and when it was noticed.

use super::{Symptom, SymptomKind};
use crate::detect::View;
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Severity, Time};

/// When a symptom began. A snapshot shows state at its own time only; a pod knows since when it is
/// not ready.
pub fn began(view: &View<'_>, symptom: &Symptom) -> Time {
    let is_unhealthy = view.is_healthy(symptom.resource) == Some(false);
    let since = is_unhealthy.then(|| view.unhealthy_since(symptom.resource));
    let Some(since) = since.flatten() else {
        return symptom.onset;
    };
    let since = match crashing_since(view, symptom.resource) {
        Some(first) => since.max(first),
        None => since,
    };
    since.min(symptom.onset)
}

/// The earliest time at which the container that a kubelet waits to restart can have begun to crash:
/// a kubelet waits 5 minutes at most, so that the number of restarts tells how long at most it goes
/// on.
fn crashing_since(view: &View<'_>, pod: Idx) -> Option<Time> {
    const MAX_BACKOFF: i64 = 5 * MINUTE;
    // More lie further back than any incident.
    const MAX_RESTARTS: i64 = 10_000;
    let statuses = &view.pod(pod)?.status.container_statuses;
    let crashing = statuses.iter().filter(|c| {
        let waiting = c.state.waiting.as_ref();
        waiting.is_some_and(|w| w.reason.as_deref() == Some("CrashLoopBackOff"))
    });
    let first = crashing.filter_map(|c| {
        let ended = c.last_state.terminated.as_ref()?;
        let (start, end) = (ended.started_at.0?, ended.finished_at.0?);
        let ran = end.0.saturating_sub(start.0).max(0);
        let restarts = c.restart_count.saturating_add(1).clamp(1, MAX_RESTARTS);
        Some(Time(view.now.0.saturating_sub(
            restarts.saturating_mul(MAX_BACKOFF.saturating_add(ran)),
        )))
    });
    first.min()
}

/// When the first alert among these symptoms fired that says that users are affected.
pub fn paged_at(symptoms: &[&Symptom]) -> Option<Time> {
    symptoms
        .iter()
        .filter(|s| s.kind == SymptomKind::Alert && s.severity >= Severity::Critical)
        .map(|s| s.onset)
        .min()
}
