//! Two sides that do not understand each other without calling one another: what one of them writes
//! to a broker or hands out, the other one cannot read. The side that changed just before is at
//! fault.

use std::collections::{BTreeMap, BTreeSet};

use super::caller_errors::called;
use super::finding::{Evidence, Finding, Strength};
use super::handshake::changed_at;
use super::text::short;
use super::{CallError, ComponentId, FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity, Time};
use crate::trouble::Class;

/// How long before the first complaint a change may be its reason, in microseconds.
const BEFORE: i64 = 2 * 60 * MINUTE;
/// What one of the sides cannot read.
const UNREADABLE: [Class; 2] = [Class::VersionMismatch, Class::RecordUnreadable];
/// How many lines are evidence.
const MAX_LINES: usize = 5;

/// The complaints of one workload.
struct Complaint<'a> {
    owner: Idx,
    on: Idx,
    first: Time,
    lines: Vec<(Idx, &'a LogTemplate)>,
}

/// Reports the only party that changed shortly before another one, or both, complained.
pub(super) fn changed(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let all = complaints(view, errors);
    let mut blamed: BTreeSet<ComponentId> = BTreeSet::new();
    for (id, complaint) in &all {
        let others = all.iter().filter(|(other, _)| *other != id);
        let others = others.map(|(_, other)| other.owner);
        let parties: BTreeMap<ComponentId, Idx> = others
            .chain(sharing(view, complaint.on))
            .chain([complaint.owner])
            .map(|owner| (view.component_id(owner), owner))
            .collect();
        let is_recent = |owner: &Idx| {
            let at = rolled_out(view, *owner);
            at.is_some_and(|at| (-MINUTE..BEFORE).contains(&(complaint.first.0 - at.0)))
        };
        let recent: Vec<Idx> = parties.into_values().filter(is_recent).collect();
        let [party] = recent[..] else { continue };
        // What the writer's own change broke is judged by its words.
        let is_other = view.component_id(party) != *id;
        if is_other && blamed.insert(view.component_id(party)) {
            out.push(finding(view, party, complaint));
        }
    }
}

fn finding(view: &View<'_>, party: Idx, complaint: &Complaint<'_>) -> Finding {
    let line = complaint
        .lines
        .first()
        .map(|(_, log)| short(&log.sample, 160));
    let message = format!(
        "{} was rolled out just before {} could not read what it gets: {}",
        view.title(party),
        view.title(complaint.owner),
        line.unwrap_or_default()
    );
    let lines = complaint.lines.iter().take(MAX_LINES);
    let seen = view.state_evidence(party, "was rolled out".to_owned());
    let change = Evidence {
        at: rolled_out(view, party).unwrap_or(seen.at),
        ..seen
    };
    view.finding(
        FaultId::DependencyVersionMismatch,
        party,
        complaint.on,
        Strength::Strong,
    )
    .active(true)
    .message(message)
    .with([change])
    .with(lines.map(|(writer, log)| view.log_evidence(*writer, log)))
    .fix(view.command("kubectl -n <namespace> rollout undo <kind>/<name>", party))
    .build()
}

/// The workloads that complain about what they read, where no line names a server.
fn complaints<'a>(view: &View<'a>, errors: &[CallError]) -> BTreeMap<ComponentId, Complaint<'a>> {
    let called: BTreeSet<usize> = errors
        .iter()
        .filter(|e| e.target.is_some())
        .map(|e| e.log)
        .collect();
    let mut all: BTreeMap<ComponentId, Complaint<'a>> = BTreeMap::new();
    for (i, (writer, log)) in view.episodes.logs.iter().enumerate() {
        let is_meant = log.severity >= Severity::Error
            && view.now.0 - log.last.0 <= 60 * MINUTE
            && !called.contains(&i)
            && log.trouble().has_any(&UNREADABLE);
        if !is_meant {
            continue;
        }
        let complaint = all
            .entry(view.component_id(*writer))
            .or_insert_with(|| Complaint {
                owner: view.top_owner(*writer),
                on: *writer,
                first: log.first,
                lines: Vec::new(),
            });
        complaint.first = complaint.first.min(log.first);
        complaint.lines.push((*writer, log));
    }
    all
}

/// The workloads of the writer's namespace that call a Service which the writer calls as well.
fn sharing<'a>(view: &'a View<'_>, writer: Idx) -> impl Iterator<Item = Idx> + 'a {
    let namespace = view.graph.get(writer).namespace();
    let callers = called(view, writer)
        .into_iter()
        .flat_map(move |service| view.graph.incoming(service))
        .map(move |(_, caller)| view.top_owner(caller));
    callers.filter(move |owner| {
        let node = view.graph.get(*owner);
        node.namespace() == namespace && node.kind().is_workload()
    })
}

/// When a workload was rolled out, if it is one that is rolled out.
fn rolled_out(view: &View<'_>, owner: Idx) -> Option<Time> {
    let kinds = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
    let is_rolled = kinds.contains(view.graph.get(owner).kind());
    changed_at(view, owner).filter(|_| is_rolled)
}
