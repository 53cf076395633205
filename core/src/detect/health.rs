//! Whether resources are healthy, and whether warnings about them still hold.

use super::View;
use super::view::GRACE;
use crate::graph::Idx;
use crate::model::object::pod::PodStatus;
use crate::model::object::{self, Pod};
use crate::model::time::MINUTE;
use crate::model::{Episode, Kind, Time};

/// A container that ran longer before its last end does not keep crashing, in microseconds.
const SHORT_LIFE: i64 = 60 * MINUTE;

/// The earliest time at which the container that a kubelet waits to restart can have begun to crash:
/// a kubelet waits at most 5 minutes between restarts, so the number of restarts limits how long
/// this has lasted. Recorders of a status may leave the times of its conditions as they were.
fn crashing_since(status: &PodStatus, now: Time) -> Option<Time> {
    const MAX_BACKOFF: i64 = 5 * MINUTE;
    // More lie further back than any incident.
    const MAX_RESTARTS: i64 = 10_000;
    let crashing = status.container_statuses.iter().filter(|c| {
        let waiting = c.state.waiting.as_ref();
        waiting.is_some_and(|w| w.reason.as_deref() == Some("CrashLoopBackOff"))
    });
    let first = crashing.filter_map(|c| {
        let ended = c.last_state.terminated.as_ref()?;
        let (start, end) = (ended.started_at.0?, ended.finished_at.0?);
        let ran = end.0.saturating_sub(start.0).max(0);
        let restarts = c.restart_count.saturating_add(1).clamp(1, MAX_RESTARTS);
        Some(Time(now.0.saturating_sub(
            restarts.saturating_mul(MAX_BACKOFF.saturating_add(ran)),
        )))
    });
    first.min()
}

impl View<'_> {
    /// Whether a pod is known to be ready or to have succeeded.
    pub fn is_pod_healthy(&self, idx: Idx) -> bool {
        let Some(pod) = self.pod(idx) else {
            return false;
        };
        let status = &pod.status;
        match status.phase.as_deref() {
            Some("Succeeded") => return true,
            Some("Running") => {}
            _ => return false,
        }
        match object::condition(&status.conditions, "Ready") {
            Some(ready) => ready.is("True"),
            None => status
                .container_statuses
                .iter()
                .all(|c| c.ready != Some(false)),
        }
    }

    /// Whether an existing pod is known not to be ready.
    pub fn is_pod_unhealthy(&self, idx: Idx) -> bool {
        let Some(pod) = self.pod(idx) else {
            return false;
        };
        let has_status = pod.status.phase.is_some() || !pod.status.conditions.is_empty();
        has_status && self.exists(idx) && !self.is_pod_healthy(idx) && !self.is_leftover(idx, pod)
    }

    /// Whether a failed pod is only kept for the record: its owner is healthy without it.
    fn is_leftover(&self, idx: Idx, pod: &Pod) -> bool {
        let owner = self.top_owner(idx);
        pod.status.phase.as_deref() == Some("Failed")
            && owner != idx
            && self.is_healthy(owner) == Some(true)
    }

    /// Whether the kubelet reports that a pod cannot start: its image could not be pulled, or a
    /// container crashed again and again. Neither is a phase of a roll-out, however young.
    pub fn has_failed_to_start(&self, idx: Idx) -> bool {
        let Some(pod) = self.pod(idx) else {
            return false;
        };
        let mut waiting = pod.status.all_containers().filter_map(|c| {
            let reason = c.state.waiting.as_ref()?.reason.as_deref()?;
            Some((reason, c.restart_count))
        });
        waiting.any(|(reason, restarts)| {
            object::pod::is_pull_failure(reason) || reason == "CrashLoopBackOff" && restarts >= 3
        })
    }

    /// Whether a container of a pod has crashed often, and has not run longer since than before:
    /// the pod is only ready in between.
    pub fn keeps_crashing(&self, idx: Idx) -> bool {
        let pods = self.pod(idx).into_iter();
        let mut containers = pods.flat_map(|pod| pod.status.container_statuses.iter());
        containers.any(|c| {
            let last = c.last_state.terminated.as_ref();
            let lived = last.and_then(|t| Some(t.finished_at.0?.0 - t.started_at.0?.0));
            let running = c.state.running.as_ref().and_then(|r| r.started_at.0);
            let lives = running.map(|at| self.now.0 - at.0);
            let is_short = |(now, then): (i64, i64)| now <= then && then <= SHORT_LIFE;
            c.restart_count >= 3 && lives.zip(lived).is_some_and(is_short)
        })
    }

    /// Since when a pod has not been ready: the time of the condition, else of its start, its
    /// creation or its first warning.
    pub fn unhealthy_since(&self, idx: Idx) -> Option<Time> {
        let pod = self.pod(idx)?;
        let conditions = &pod.status.conditions;
        let unscheduled =
            || object::condition(conditions, "PodScheduled").filter(|c| c.is("False"));
        let changed = object::condition(conditions, "Ready").or_else(unscheduled);
        let warned = || self.warnings(idx).map(|e| e.first).min();
        let has_failed = pod.status.phase.as_deref() == Some("Failed");
        changed
            .and_then(|c| c.last_transition_time.0)
            .map(|since| match crashing_since(&pod.status, self.now) {
                Some(first) => since.max(first),
                None => since,
            })
            // A pod that failed may have run for long before.
            .or_else(|| warned().filter(|_| has_failed))
            .or(pod.status.start_time.0)
            .or(self.graph.get(idx).created)
            .or_else(warned)
    }

    /// When the newest container of a pod started.
    pub fn started(&self, idx: Idx) -> Option<Time> {
        let statuses = &self.pod(idx)?.status.container_statuses;
        let running = statuses.iter().filter_map(|c| c.state.running.as_ref());
        running.filter_map(|r| r.started_at.0).max()
    }

    /// Whether a state that began at `since` has lasted; one of unknown age counts as lasting.
    pub fn lasts(&self, since: Option<Time>) -> bool {
        since.map(|s| self.now.0 - s.0 >= GRACE).unwrap_or(true)
    }

    /// Whether a warning about a resource still holds: it may, and where the health of the resource
    /// is unknown it would have come again otherwise.
    pub fn still_holds(&self, idx: Idx, event: &Episode) -> bool {
        let is_silent = || self.now.0 - event.last.0 > repeats_within(event);
        self.may_hold(idx, event) && !(self.is_healthy(idx).is_none() && is_silent())
    }

    /// Whether a warning about a resource may still hold: the resource exists and is not known to
    /// be healthy. If its health is unknown, the warning must be recent and not cleared by an event.
    pub fn may_hold(&self, idx: Idx, event: &Episode) -> bool {
        if !self.exists(idx) {
            return false;
        }
        match self.is_healthy(idx) {
            Some(true) => &*event.reason == "Unhealthy" && self.is_killed_repeatedly(idx),
            Some(false) => !(&*event.reason == "FailedCreate" && self.was_cleared(idx, event)),
            None => {
                self.now.0 - event.last.0 <= 15 * MINUTE
                    && !self.was_cleared(idx, event)
                    && !self.was_given_up(idx, event)
            }
        }
    }

    /// Whether a probe has a container killed again and again: in between its pod is ready.
    fn is_killed_repeatedly(&self, idx: Idx) -> bool {
        const WORDS: [&str; 2] = ["failed liveness probe", "failed startup probe"];
        self.events(idx).any(|e| {
            let kills = i64::from(e.count);
            &*e.reason == "Killing"
                && WORDS.iter().any(|words| e.message.contains(words))
                && kills >= 3
                // The next would have come by now.
                && self.now.0 - e.last.0 <= 2 * (e.last.0 - e.first.0) / (kills - 1)
        })
    }

    /// Whether a controller has not retried when it should have: each wait is twice as long as the
    /// one before, which is about as long as all waits before together.
    fn was_given_up(&self, idx: Idx, event: &Episode) -> bool {
        let is_try = |e: &&Episode| &*e.reason == "FailedCreate";
        if !is_try(&event) {
            return false;
        }
        let first = self
            .events(idx)
            .filter(is_try)
            .map(|e| e.first)
            .min()
            .unwrap_or(event.first);
        self.now.seconds_since(event.last) > 60.0 + 2.0 * event.last.seconds_since(first)
    }

    /// Whether a later event reports success.
    fn was_cleared(&self, idx: Idx, event: &Episode) -> bool {
        const CLEARED_BY: [(&str, &[&str]); 6] = [
            ("FailedScheduling", &["Scheduled"]),
            ("FailedCreate", &["SuccessfulCreate"]),
            ("Failed", &["Started"]),
            ("FailedMount", &["Created", "Started"]),
            ("FailedAttachVolume", &["SuccessfulAttachVolume"]),
            ("ProvisioningFailed", &["ProvisioningSucceeded"]),
        ];
        let cleared_by = CLEARED_BY
            .iter()
            .find(|(reason, _)| *reason == &*event.reason)
            .map(|(_, by)| *by)
            .unwrap_or(&[]);
        // An object may have thousands of events: those of all others are only looked through where
        // one of them can matter.
        !cleared_by.is_empty()
            && self
                .events(idx)
                .any(|e| e.last > event.last && cleared_by.contains(&&*e.reason))
    }

    /// Whether a resource is healthy; `None` if its state does not show it.
    pub fn is_healthy(&self, idx: Idx) -> Option<bool> {
        let object = self.object(idx)?;
        if object.pod().is_some() {
            return if self.is_pod_healthy(idx) {
                Some(true)
            } else {
                self.is_pod_unhealthy(idx).then_some(false)
            };
        }
        if let Some(w) = object.workload() {
            let (wanted, ready) = match w.status.desired_number_scheduled {
                Some(n) => (Some(n), w.status.number_ready),
                None => (w.spec.replicas, w.status.ready_replicas),
            };
            // A ReplicaSet is healthy if its pods exist; their readiness is judged on their own.
            let have = if *self.graph.get(idx).kind() == Kind::ReplicaSet {
                w.status.replicas.or(ready)
            } else {
                ready
            };
            return match (wanted, have) {
                (Some(wanted), have)
                    if have.is_some()
                        || w.status.observed_generation.is_some()
                        || !w.status.conditions.is_empty() =>
                {
                    Some(have.unwrap_or(0) >= wanted)
                }
                _ => None,
            };
        }
        if let Some(claim) = object.claim() {
            return claim.phase.as_deref().map(|p| p == "Bound");
        }
        if let Some(job) = object.job() {
            return Some(!job.has_failed());
        }
        if let Some(node) = object.node() {
            return object::condition(&node.status.conditions, "Ready").map(|c| c.is("True"));
        }
        None
    }
}

/// How long after a warning the next one comes while its reason lasts, in microseconds. Probes run
/// all the time, the kubelet and the scheduler try again at least every five minutes; what is said
/// once is known for longer.
fn repeats_within(event: &Episode) -> i64 {
    // The kubelet reports at most 25 events of an object in a row, then one every five minutes.
    const BURST: u32 = 20;
    match &*event.reason {
        "Unhealthy" if event.count < BURST => 3 * MINUTE,
        "Unhealthy" | "BackOff" | "FailedScheduling" => 7 * MINUTE,
        _ => 15 * MINUTE,
    }
}
