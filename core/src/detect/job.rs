//! Jobs that failed, and `CronJob`s that miss their schedule.

use super::finding::{Evidence, Finding, Strength};
use super::text::short;
use super::{FaultId, View, schedule};
use crate::graph::{Idx, Relation};
use crate::model::object;
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity, Time};

/// Reasons of events with which the Job controller gives up.
const GIVES_UP: [&str; 3] = [
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "PodFailurePolicy",
];

/// A Job that gave up.
pub(super) fn job(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    match view.object(idx) {
        Some(_) => failed(view, idx, out),
        None => without_state(view, idx, out),
    }
}

/// For Jobs of which only events are known.
fn without_state(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let events: Vec<_> = view
        .warnings(idx)
        .filter(|e| GIVES_UP.contains(&&*e.reason) && view.still_holds(idx, e))
        .collect();
    let Some(last) = events
        .last()
        .filter(|_| *view.graph.get(idx).kind() == Kind::Job)
    else {
        return;
    };
    out.push(
        view.finding(
            FaultId::RuntimeJobFailed,
            view.top_owner(idx),
            idx,
            Strength::Fair,
        )
        .active(true)
        .message(format!(
            "{} failed: {}",
            view.title(idx),
            short(&last.message, 160)
        ))
        .with(events.iter().map(|e| view.event_evidence(idx, e)))
        .build(),
    );
}

/// Whether a later run of the same `CronJob` succeeded.
fn succeeded_later(view: &View<'_>, job: Idx) -> bool {
    let created = view.graph.get(job).created;
    let is_later = |run: &Idx| view.graph.get(*run).created > created;
    let mut owners = view.graph.incoming(job);
    let controls = |(relation, _): &(Relation, Idx)| *relation == Relation::Controls;
    owners.find(controls).is_some_and(|(_, owner)| {
        let runs = view.graph.out(owner).filter(controls).map(|(_, run)| run);
        runs.filter(is_later)
            .filter_map(|run| view.object(run)?.job())
            .any(object::Job::has_succeeded)
    })
}

fn failed(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(job) = view.object(idx).and_then(|o| o.job()) else {
        return;
    };
    if !job.has_failed() || succeeded_later(view, idx) {
        return;
    }
    let condition = object::condition(&job.status.conditions, "Failed").filter(|c| c.is("True"));
    let at = condition.and_then(|c| c.last_transition_time.0);
    if at.is_some_and(|t| view.now.0 - t.0 >= 60 * MINUTE) {
        return;
    }
    let events: Vec<_> = view
        .warnings(idx)
        .filter(|e| GIVES_UP.contains(&&*e.reason))
        .collect();
    let why = match (condition, events.last()) {
        (Some(failed), _) => failed.message.as_deref().unwrap_or("").to_owned(),
        (None, Some(event)) => event.message.to_string(),
        (None, None) => format!("{} pods failed", job.status.failed.unwrap_or(0)),
    };
    let reason = condition.and_then(|c| c.reason.as_deref()).unwrap_or("");
    let what = format!("Job failed: {reason} {why}");
    let owner = view.top_owner(idx);
    let events = events.iter().map(|e| view.event_evidence(idx, e));
    out.push(
        view.finding(FaultId::RuntimeJobFailed, owner, idx, Strength::Fair)
            .active(true)
            .message(format!("{} failed: {why}", view.title(idx)))
            .with([view.state_evidence(idx, what)])
            .with(events)
            .build(),
    );
}

impl View<'_> {
    /// Since when a `CronJob` has had no run that succeeded, if at least two were due since then.
    pub fn failing_since(&self, idx: Idx) -> Option<Time> {
        let cron = self.object(idx)?.cron_job()?;
        let success = cron.last_success.0?;
        let rule = cron.spec.schedule.as_deref()?;
        let runs = schedule::due_between(rule, success, self.now)?;
        (runs >= 2).then_some(success)
    }
}

/// Errors in the namespace that name a `CronJob`.
fn errors_that_name(view: &View<'_>, idx: Idx) -> Vec<Evidence> {
    let (namespace, name) = (view.graph.get(idx).namespace(), view.graph.get(idx).name());
    let named = |text: &str| {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .any(|w| w == name)
    };
    let recent = view
        .episodes
        .logs
        .iter()
        .filter(|(_, l)| l.severity >= Severity::Error && view.now.0 - l.last.0 <= 15 * MINUTE);
    recent
        .filter(|(i, l)| view.graph.get(*i).namespace() == namespace && named(&l.sample))
        .map(|(i, l)| view.log_evidence(*i, l))
        .take(5)
        .collect()
}

/// A `CronJob` that missed two scheduled runs, whose controller reports a missed run, or that is
/// suspended while other workloads or alerts complain about it.
pub(super) fn cron_job(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(cron) = view.object(idx).and_then(|o| o.cron_job()) else {
        return;
    };
    if !view.exists(idx) {
        return;
    }
    let events: Vec<_> = view
        .warnings(idx)
        .filter(|e| {
            matches!(
                &*e.reason,
                "MissSchedule" | "TooManyMissedTimes" | "FailedNeedsStart"
            )
        })
        .filter(|e| view.now.0 - e.last.0 <= 60 * MINUTE)
        .collect();
    let suspended = cron.spec.suspend == Some(true);
    let last = cron.last_schedule.0;
    let due = cron
        .spec
        .schedule
        .as_deref()
        .filter(|_| !suspended && cron.spec.time_zone.is_none());
    let missed = due
        .zip(last)
        .and_then(|(rule, last)| schedule::missed(rule, last, view.now))
        .filter(|n| *n >= 2);
    // Whoever suspended it knows; an alert says that its work is missed nevertheless.
    let errors = if suspended {
        let alerts = view.alerts(idx).map(|a| view.alert_evidence(idx, a));
        alerts.chain(errors_that_name(view, idx)).collect()
    } else {
        Vec::new()
    };
    if events.is_empty() && missed.is_none() && errors.is_empty() {
        return;
    }
    let why = match events.last() {
        Some(e) => short(&e.message, 160),
        None if suspended => "it is suspended while its work is missed".to_owned(),
        None => format!(
            "{} scheduled runs missed since the last Job",
            missed.unwrap_or(0)
        ),
    };
    let state = format!(
        "schedule `{}`, last run {}",
        cron.spec.schedule.as_deref().unwrap_or(""),
        last.map(|t| t.to_string())
            .unwrap_or_else(|| "never".to_owned())
    );
    let evidence = events
        .iter()
        .map(|e| view.event_evidence(idx, e))
        .chain([view.state_evidence(idx, state)])
        .chain(errors);
    out.push(
        view.finding(FaultId::RuntimeCronjobMissed, idx, idx, Strength::Strong)
            .active(true)
            .message(format!("{} misses its schedule: {why}", view.title(idx)))
            .with(evidence)
            .build(),
    );
}
