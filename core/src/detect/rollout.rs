//! Workloads that do not get where they were told to go.

use super::finding::{Evidence, Finding, Strength};
use super::schedule;
use super::text::short;
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::object::{self, Workload};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};

pub(super) fn workload(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(object) = view.object(idx) else {
        return given_up(view, idx, out);
    };
    if object.job().is_some() {
        return failed_job(view, idx, out);
    }
    if let Some(workload) = object.workload() {
        if matches!(object.meta.kind, Kind::Deployment | Kind::StatefulSet)
            && workload.spec.replicas == Some(0)
        {
            scaled_to_zero(view, idx, out);
        }
        stuck(view, idx, workload, out);
    }
}

/// For Jobs of which only events are known.
fn given_up(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let words = [
        "BackoffLimitExceeded",
        "DeadlineExceeded",
        "PodFailurePolicy",
    ];
    let told: Vec<_> = view
        .warnings(idx)
        .filter(|e| words.contains(&&*e.reason) && view.still_holds(idx, e))
        .collect();
    let Some(last) = told
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
        .with(told.iter().map(|e| view.event_evidence(idx, e)))
        .build(),
    );
}

fn failed_job(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(job) = view.object(idx).and_then(|o| o.job()) else {
        return;
    };
    let Some(failed) = object::condition(&job.status.conditions, "Failed").filter(|c| c.is("True"))
    else {
        return;
    };
    if failed
        .last_transition_time
        .0
        .is_some_and(|t| view.now.0 - t.0 >= 60 * MINUTE)
    {
        return;
    }
    let why = failed.message.as_deref().unwrap_or("");
    let what = format!(
        "Job failed: {} {why}",
        failed.reason.as_deref().unwrap_or("")
    );
    let owner = view.top_owner(idx);
    out.push(
        view.finding(FaultId::RuntimeJobFailed, owner, idx, Strength::Fair)
            .active(true)
            .message(format!("{} failed: {why}", view.title(idx)))
            .with([view.state_evidence(idx, what)])
            .build(),
    );
}

/// Nobody runs, and somebody else wants it: a Service selects its pods and others hold its address.
fn scaled_to_zero(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(labels) = view.graph.template_labels(idx) else {
        return;
    };
    let own = view.component(idx);
    let namespace = view.graph.get(idx).namespace();
    for service in view.graph.selecting(namespace, labels) {
        if view
            .graph
            .out(service)
            .any(|(r, pod)| r == Relation::Selects && view.graph.get(pod).is_live())
        {
            continue;
        }
        let callers = super::service::callers(view, service, &own);
        if callers.is_empty() {
            continue;
        }
        // What nobody misses was turned off on purpose.
        let missed = misses(view, service);
        let summary = format!(
            "{} wants 0 replicas, and {} {} Service `{}`",
            view.title(idx),
            callers.len(),
            if callers.len() == 1 {
                "workload calls"
            } else {
                "workloads call"
            },
            view.graph.get(service).name()
        );
        let fix = format!(
            "kubectl -n {namespace} scale {}/{} --replicas=1",
            view.kind_word(idx),
            view.graph.get(idx).name()
        );
        let evidence = [
            view.state_evidence(idx, "spec.replicas is 0".into()),
            view.state_evidence(service, "Service has no endpoints".into()),
        ];
        out.push(
            view.finding(
                FaultId::RuntimeScaledToZero,
                idx,
                idx,
                if missed {
                    Strength::Strong
                } else {
                    Strength::Hint
                },
            )
            .active(missed)
            .message(summary)
            .with(evidence)
            .fix(fix)
            .build(),
        );
        return;
    }
}

/// Whether somebody who calls a Service is not well, has an alert, or names it in an error.
fn misses(view: &View<'_>, service: Idx) -> bool {
    let name = view.graph.get(service).name();
    let callers = view
        .graph
        .incoming(service)
        .filter(|(r, _)| matches!(r, Relation::Calls | Relation::Routes))
        .map(|(_, c)| c);
    let is_alerted = view.alerts(service).next().is_some();
    is_alerted
        || callers.into_iter().any(|c| {
            let pods = view.pods_of(c);
            std::iter::once(c).chain(pods).any(|i| {
                view.well(i) == Some(false)
                    || view.alerts(i).next().is_some()
                    || view.logs(i).any(|l| {
                        let recent =
                            l.severity >= Severity::Warning && view.now.0 - l.last.0 <= 15 * MINUTE;
                        recent
                            && l.sample
                                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                                .any(|w| w == name)
                    })
            })
        })
}

/// The controller itself summary that new pods do not come up in time. Why, the pods know better.
fn stuck(view: &View<'_>, idx: Idx, workload: &Workload, out: &mut Vec<Finding>) {
    let progress =
        object::condition(&workload.status.conditions, "Progressing").filter(|c| c.is("False"));
    let late = progress.filter(|c| c.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    let behind =
        workload.spec.replicas.unwrap_or(1) > workload.status.updated_replicas.unwrap_or(0);
    let paused = workload.spec.paused == Some(true) && behind && view.well(idx) == Some(false);
    let (summary, what) = match late {
        Some(c) => {
            let summary = c
                .message
                .as_deref()
                .map_or_else(|| "its new pods are late".to_owned(), |m| short(m, 160));
            (
                format!(
                    "The roll-out of {} does not proceed: {summary}",
                    view.title(idx)
                ),
                "ProgressDeadlineExceeded".to_owned(),
            )
        }
        None if paused => (
            format!(
                "The roll-out of {} is paused before its end",
                view.title(idx)
            ),
            "spec.paused is true".to_owned(),
        ),
        None => return,
    };
    let verb = if late.is_some() { "undo" } else { "resume" };
    let fix = format!(
        "kubectl -n {} rollout {verb} {}/{}",
        view.graph.get(idx).namespace(),
        view.kind_word(idx),
        view.graph.get(idx).name()
    );
    out.push(
        // A consequence of whatever keeps the new pods from coming up, unless nothing else is
        // known.
        view.finding(FaultId::RuntimeRolloutStuck, idx, idx, Strength::Hint)
            .active(true)
            .message(summary)
            .with([view.state_evidence(idx, what)])
            .fix(fix)
            .build(),
    );
}

/// Errors of others in its namespace that name a `CronJob`.
fn missed_by_name(view: &View<'_>, idx: Idx) -> Vec<Evidence> {
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

/// A `CronJob` whose time came twice without a Job, or whose controller summary that it gave a start
/// up.
pub(super) fn cron_job(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(cron) = view.object(idx).and_then(|o| o.cron_job()) else {
        return;
    };
    if !view.is_living(idx) {
        return;
    }
    let told: Vec<_> = view
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
    let missing = if suspended {
        missed_by_name(view, idx)
    } else {
        Vec::new()
    };
    if told.is_empty() && missed.is_none() && missing.is_empty() {
        return;
    }
    let why = match told.last() {
        Some(e) => short(&e.message, 160),
        None if suspended => "it is suspended, and others wait for it".to_owned(),
        None => format!(
            "{} of its times passed since the last Job",
            missed.unwrap_or(0)
        ),
    };
    let state = format!(
        "schedule `{}`, last at {}",
        cron.spec.schedule.as_deref().unwrap_or(""),
        last.map_or_else(|| "no time".to_owned(), |t| t.to_string())
    );
    let evidence = told
        .iter()
        .map(|e| view.event_evidence(idx, e))
        .chain([view.state_evidence(idx, state)])
        .chain(missing);
    out.push(
        view.finding(FaultId::RuntimeCronjobMissed, idx, idx, Strength::Strong)
            .active(true)
            .message(format!("{} misses its schedule: {why}", view.title(idx)))
            .with(evidence)
            .build(),
    );
}
