//! Queue consumers that were scaled to zero. Nothing calls them: only those that write to the queue
//! report errors.

use super::caller_errors::called;
use super::finding::{Finding, Strength};
use super::fixes::SCALE_UP;
use super::{FaultId, View, behind, idle_workers};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};
use crate::trouble::Class;

/// Parts of variables that name a queue, as brokers call it.
const QUEUES: [&str; 7] = [
    "QUEUE",
    "TOPIC",
    "EXCHANGE",
    "SUBSCRIPTION",
    "STREAM",
    "SUBJECT",
    "CHANNEL",
];
/// Shorter names may occur in a line by chance.
const MIN_NAME: usize = 5;

/// Reports workloads at 0 replicas whose queue others name in recent errors, and why others do not
/// read a queue that is full.
pub(super) fn missing(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    let is_full = |(_, log): &&(Idx, &LogTemplate)| {
        log.trouble().has(Class::BacklogFull) && view.now.0 - log.last.0 <= 15 * MINUTE
    };
    for (writer, log) in view.episodes.logs.iter().filter(is_full) {
        out.extend(broken(view, found, *writer, log));
    }
    for kind in [Kind::Deployment, Kind::StatefulSet] {
        for idx in view.graph.of_kind(&kind) {
            let workload = view.object(idx).and_then(|o| o.workload());
            // An autoscaler starts it when there is work.
            let mut relations = view.graph.incoming(idx);
            let is_scaled = relations.any(|(relation, _)| relation == Relation::Scales);
            let is_off = workload.is_some_and(|w| w.spec.replicas == Some(0));
            if is_off && !is_scaled && view.exists(idx) {
                out.extend(missed(view, idx));
                out.extend(idle_workers::missed(view, idx));
            }
        }
    }
}

/// Whether two workloads meet at a queue of one name: in one namespace, or by the server
/// that one of them is, or that both call.
fn meets(view: &View<'_>, idx: Idx, writer: Idx) -> bool {
    let own = called(view, idx);
    let by = view.component_id(writer);
    let is_shared = |server: Idx| own.contains(&server);
    let is_of_server = own.iter().any(|server| view.component_id(*server) == by);
    is_of_server
        || view.graph.get(writer).namespace() == view.graph.get(idx).namespace()
        || called(view, writer).into_iter().any(is_shared)
}

/// Why no pod of a workload reads a queue that a line calls full, of which its settings have the
/// name.
fn broken(view: &View<'_>, found: &[Finding], writer: Idx, log: &LogTemplate) -> Option<Finding> {
    let own = view.component_id(writer);
    let kinds = [Kind::Deployment, Kind::StatefulSet];
    let readers = kinds.iter().flat_map(|kind| view.graph.of_kind(kind));
    let mut readers = readers.filter(|idx| {
        view.component_id(*idx) != own
            && view.is_healthy(*idx) == Some(false)
            && queues(view, *idx).any(|(_, queue)| log.sample.contains(queue))
            && meets(view, *idx, writer)
    });
    let reader = readers.next()?;
    let reason = behind::reason(view, found, reader)?;
    let mut finding = behind::as_cause(reason, reason);
    finding.on = writer;
    finding.evidence.push(view.log_evidence(writer, log));
    Some(finding)
}

/// The queues in a workload's settings, each with its variable.
fn queues<'a>(view: &View<'a>, idx: Idx) -> impl Iterator<Item = (&'a str, &'a str)> {
    let spec = view.pod_spec(idx).into_iter();
    let settings = spec.flat_map(|spec| spec.all_containers().flat_map(|c| c.env.iter()));
    settings.filter_map(|env| {
        let name = env.name.to_ascii_uppercase();
        let value = env.value.as_deref()?;
        let is_queue = QUEUES.iter().any(|part| name.contains(part));
        (is_queue && value.len() >= MIN_NAME).then_some((&*env.name, value))
    })
}

fn missed(view: &View<'_>, idx: Idx) -> Option<Finding> {
    queues(view, idx).find_map(|(variable, queue)| {
        let (writer, log) = view.episodes.logs.iter().find(|(writer, log)| {
            let is_full = log.trouble().has(Class::BacklogFull);
            (is_full || log.severity >= Severity::Error)
                && view.now.0 - log.last.0 <= 15 * MINUTE
                && log.sample.contains(queue)
                && meets(view, idx, *writer)
        })?;
        let message = format!(
            "{} reads `{queue}` (env `{variable}`) and is scaled to 0, and {} reports errors \
             about `{queue}`",
            view.title(idx),
            view.title(view.top_owner(*writer)),
        );
        let fix = view.command(SCALE_UP, idx);
        let finding = view
            .finding(FaultId::RuntimeScaledToZero, idx, *writer, Strength::Strong)
            .active(true)
            .message(message)
            .with([view.state_evidence(idx, "spec.replicas is 0".into())])
            .with([view.log_evidence(*writer, log)])
            .fix(fix);
        Some(finding.build())
    })
}
