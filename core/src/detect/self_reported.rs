//! Errors that a workload logs about itself: as the client of a dependency, or as a server.

use super::client_error::{ClientError, client_finding};
use super::finding::{Finding, Strength};
use super::probe_checks::is_killed_while_starting;
use super::server_error::{ServerError, server_finding};
use super::server_named::{named_server, says};
use super::text::short;
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity, Time};
use crate::trouble::{self, Class};

/// Reports the errors that a resource logged about itself in the last 15 minutes.
pub(super) fn findings(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let recent = |l: &&LogTemplate| {
        // That a server has become read-only is said once, when it happens.
        let is_change = l.count == 1
            && l.trouble().has(Class::ReadOnlyServer)
            && view.now.0 - l.last.0 <= 30 * MINUTE;
        // Of a server behind it, a proxy says so as well when that is meant.
        let is_of_backend = trouble::is_lost_writer(&l.sample);
        !is_of_backend && l.severity >= Severity::Warning && (is_change || view.is_current(idx, l))
    };
    probe_output(view, idx, out);
    let told = of_backend(view, idx);
    out.extend(server_finding(view, idx, ServerError::ReadOnly, &told));
    let logs: Vec<&LogTemplate> = view
        .logs(idx)
        .filter(recent)
        .filter(|l| !l.trouble().is_empty())
        .collect();
    if logs.is_empty() {
        return;
    }
    out.extend(peer_certificate(view, idx, &logs));
    for error in ClientError::ALL {
        let lines = matching(&logs, error.class());
        out.extend(client_finding(view, idx, error, &lines));
    }
    for error in ServerError::ALL {
        let lines = matching(&logs, error.class());
        out.extend(server_finding(view, idx, error, &lines));
    }
}

/// Replicas that reject one another's certificate: they form no cluster.
fn peer_certificate(view: &View<'_>, idx: Idx, logs: &[&LogTemplate]) -> Option<Finding> {
    const CLASS: Class = Class::CertificateExpired;
    let owner = view.top_owner(idx);
    let is_cluster = *view.graph.get(owner).kind() == Kind::StatefulSet;
    if !is_cluster || view.is_healthy(idx) != Some(false) {
        return None;
    }
    let line = logs.iter().find(|l| l.trouble().has(CLASS))?;
    let pods = view.pods_of(owner);
    let says = pods.iter().filter(|pod| says(view, **pod, CLASS)).count();
    let is_own = says >= 2 && named_server(view, idx, &line.sample).is_none();
    let message = format!(
        "The replicas of {} reject one another's certificate: {}",
        view.title(owner),
        short(&line.sample, 160)
    );
    let finding = view
        .finding(
            FaultId::ServiceCertificateInvalid,
            owner,
            idx,
            Strength::Strong,
        )
        .active(true)
        .message(message)
        .with([view.log_evidence(idx, line)]);
    is_own.then(|| finding.build())
}

/// What a server says about itself when the kubelet asks it: the output of a probe.
fn probe_output(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    for event in view.warnings(idx) {
        if &*event.reason != "Unhealthy" || !view.still_holds(idx, event) {
            continue;
        }
        let trouble = trouble::read(&event.message);
        let is_killed = is_killed_while_starting(view, idx, &event.message);
        for error in ServerError::ALL {
            let owner = view.top_owner(idx);
            if !trouble.has(error.class()) || is_killed || repeats(view, idx, owner, error) {
                continue;
            }
            let said = short(&event.message, 200);
            out.push(
                view.finding(error.fault(), owner, idx, Strength::Strong)
                    .active(true)
                    .message(format!("{} reports when probed: {said}", view.title(owner)))
                    .with([view.event_evidence(idx, event)])
                    .build(),
            );
        }
    }
}

/// Whether a pod's own lines say the same about a server that it calls: then its probe, which is a
/// client like itself, repeats them.
fn repeats(view: &View<'_>, idx: Idx, owner: Idx, error: ServerError) -> bool {
    let class = error.class();
    let own = view.component_id(owner);
    let is_of_other = |log: &LogTemplate| {
        let server = named_server(view, idx, &log.sample);
        server.is_some_and(|server| view.component_id(server) != own)
    };
    let mut lines = view.logs(idx).filter(|log| log.trouble().has(class));
    lines.any(|log| view.is_current(idx, log) && is_of_other(log))
}

/// What a proxy said once about a server behind it, when that changed, and its clients have felt
/// since: it reports errors to this day.
fn of_backend<'a>(view: &View<'a>, idx: Idx) -> Vec<&'a LogTemplate> {
    const LASTING: i64 = 6 * 60 * MINUTE;
    let own = view.component_id(idx);
    let pods = view.pods_of(view.top_owner(idx));
    let fails_since = |at: Time| {
        let mut lines = pods
            .iter()
            .flat_map(|pod| view.logs(*pod).map(|log| (*pod, log)));
        lines.any(|(pod, log)| {
            log.severity >= Severity::Error && log.last > at && view.is_current(pod, log)
        })
    };
    let is_told = |log: &&LogTemplate| {
        log.trouble().has(Class::ReadOnlyServer)
            && view.now.0 - log.last.0 <= LASTING
            && named_server(view, idx, &log.sample).is_some_and(|s| view.component_id(s) != own)
            && fails_since(log.last)
    };
    view.logs(idx).filter(is_told).collect()
}

fn matching<'a>(logs: &[&'a LogTemplate], class: Class) -> Vec<&'a LogTemplate> {
    let matching = logs.iter().filter(|log| log.trouble().has(class));
    matching.copied().collect()
}
