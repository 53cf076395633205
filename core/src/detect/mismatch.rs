//! Two sides whose settings have to agree and do not: an issuer, a data centre, a region, the id of
//! a cluster, a key. Either side may be the wrong one: at fault is the one that changed before.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Evidence, Finding, Strength};
use super::handshake::changed_at;
use super::protocol::edit;
use super::text::short;
use super::{ComponentId, FaultId, View, asked};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity, Time};
use crate::trouble::Class;

/// How long before the first complaint a rollout may be its reason, in microseconds.
const BEFORE: i64 = 2 * 60 * MINUTE;
/// How long after it began a program reports what it has read of its settings, in microseconds.
const START: i64 = 3 * MINUTE;
const CLASSES: [Class; 2] = [Class::NamesDiffer, Class::KeyChanged];
/// How many lines are evidence.
const MAX_LINES: usize = 5;
/// The least number of lines that a program writes about what it refuses from others, before that
/// counts without a rollout.
const MANY: u64 = 20;

/// What one workload writes.
struct Complaint<'a> {
    id: ComponentId,
    owner: Idx,
    on: Idx,
    first: Time,
    count: u64,
    lines: Vec<(Idx, &'a LogTemplate)>,
}

/// Reports the side that was rolled out before the settings did not agree, else the one that says
/// so.
pub(super) fn settings(view: &View<'_>, out: &mut Vec<Finding>) {
    let all = complaints(view);
    let complaining: BTreeSet<ComponentId> = all.iter().map(|c| c.id).collect();
    let servers: Vec<BTreeMap<ComponentId, Idx>> = all
        .iter()
        .map(|complaint| asked::by(view, complaint.on, &complaint.lines))
        .collect();
    for (complaint, asked) in all.iter().zip(&servers) {
        let changed = |owner: Idx| rolled_out(view, owner, complaint.first);
        let mut others = asked.iter().filter(|(_, owner)| changed(**owner).is_some());
        // A server that all of them use is likelier than one that only some do.
        let is_shared = |id: &ComponentId| {
            let by = servers.iter().filter(|all| all.contains_key(id)).count();
            by >= 2 || complaining.contains(id)
        };
        let server = others
            .clone()
            .find(|(id, _)| is_shared(id))
            .or_else(|| others.next())
            .filter(|(id, _)| changed(complaint.owner).is_none() || is_shared(id));
        match server {
            Some((_, server)) => out.push(of_changed(view, complaint, *server)),
            // What another one that complains as well was changed for is not its own fault.
            None => out.push(of_writer(view, complaint)),
        }
    }
}

/// Whether a pod has said since it started that its settings do not agree with those of a server:
/// that this server does not serve it follows.
pub(super) fn is_said_by(view: &View<'_>, pod: Idx) -> bool {
    view.logs(pod)
        .any(|log| log.trouble().has(Class::NamesDiffer) && counts(view, pod, log))
}

/// Whether a line still holds: it is recent, or was written when a program began that still runs and
/// still reports errors.
fn counts(view: &View<'_>, pod: Idx, log: &LogTemplate) -> bool {
    if view.is_current(pod, log) {
        return true;
    }
    let of_start = |start: Time| (0..=START).contains(&(log.last.0 - start.0));
    let goes_on = |other: &LogTemplate| {
        other.severity >= Severity::Error && other.last > log.last && view.is_current(pod, other)
    };
    view.started(pod).is_some_and(of_start) && view.logs(pod).any(goes_on)
}

fn complaints<'a>(view: &View<'a>) -> Vec<Complaint<'a>> {
    let mut all: BTreeMap<ComponentId, Complaint<'a>> = BTreeMap::new();
    for (writer, log) in &view.episodes.logs {
        let is_meant = log.severity >= Severity::Warning && log.trouble().has_any(&CLASSES);
        if !is_meant || !counts(view, *writer, log) {
            continue;
        }
        let id = view.component_id(*writer);
        let complaint = all.entry(id).or_insert_with(|| Complaint {
            id,
            owner: view.top_owner(*writer),
            on: *writer,
            first: log.first,
            count: 0,
            lines: Vec::new(),
        });
        complaint.first = complaint.first.min(log.first);
        complaint.count += log.count;
        complaint.lines.push((*writer, log));
    }
    all.into_values().collect()
}

/// When a workload was rolled out, if that was shortly before.
pub(super) fn rolled_out(view: &View<'_>, owner: Idx, first: Time) -> Option<Time> {
    const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
    let is_rolled = KINDS.contains(view.graph.get(owner).kind());
    let at = changed_at(view, owner).filter(|_| is_rolled)?;
    // The last of its pods may be younger than the first complaint.
    (-10 * MINUTE..BEFORE)
        .contains(&(first.0 - at.0))
        .then_some(at)
}

/// A server that was rolled out before its clients complained, who were not.
fn of_changed(view: &View<'_>, complaint: &Complaint<'_>, server: Idx) -> Finding {
    let message = format!(
        "{} was rolled out before {} refused what it gets from it: {}",
        view.title(server),
        view.title(complaint.owner),
        first_line(complaint)
    );
    let strength = if is_serious(view, complaint) {
        Strength::Strong
    } else {
        Strength::Hint
    };
    let seen = view.state_evidence(server, "was rolled out".to_owned());
    let change = Evidence {
        at: rolled_out(view, server, complaint.first).unwrap_or(seen.at),
        ..seen
    };
    view.finding(FaultId::ConfigEnvInvalid, server, complaint.on, strength)
        .active(strength > Strength::Hint)
        .message(message)
        .with([change])
        .with(lines(view, complaint))
        .fix(edit(view, server))
        .build()
}

/// Whether a complaint is about more than what strangers send: anyone may send a wrong token.
fn is_serious(view: &View<'_>, complaint: &Complaint<'_>) -> bool {
    let is_error = |(_, log): &(Idx, &LogTemplate)| log.severity >= Severity::Error;
    complaint.count >= MANY
        || complaint.lines.iter().any(is_error)
        || view.is_healthy(complaint.on) == Some(false)
}

/// A writer whose settings do not agree with what it calls or reads.
fn of_writer(view: &View<'_>, complaint: &Complaint<'_>) -> Finding {
    let owner = complaint.owner;
    let secret = new_secret(view, complaint);
    let is_changed = rolled_out(view, owner, complaint.first).is_some();
    let shows_why = secret.is_some() || is_changed || view.is_healthy(complaint.on) == Some(false);
    let strength = match is_serious(view, complaint) {
        // What a program says when it starts is about its settings.
        _ if says_at_start(view, complaint) => Strength::Strong,
        true if shows_why => Strength::Strong,
        true => Strength::Fair,
        false => Strength::Hint,
    };
    let message = format!(
        "{} has a setting that does not agree with what it calls or reads: {}",
        view.title(owner),
        first_line(complaint)
    );
    let secret = secret.map(|(idx, at)| Evidence {
        at,
        ..view.state_evidence(idx, "was created again".to_owned())
    });
    view.finding(FaultId::ConfigEnvInvalid, owner, complaint.on, strength)
        .active(strength > Strength::Hint)
        .message(message)
        .with(secret)
        .with(lines(view, complaint))
        .fix(edit(view, owner))
        .build()
}

/// Whether a program that was rolled out wrote about its settings when it started.
fn says_at_start(view: &View<'_>, complaint: &Complaint<'_>) -> bool {
    let of_start = |(pod, log): &(Idx, &LogTemplate)| {
        let start = view.started(*pod);
        start.is_some_and(|start| (0..=START).contains(&(log.first.0 - start.0)))
    };
    rolled_out(view, complaint.owner, complaint.first).is_some()
        && complaint.lines.iter().any(of_start)
}

/// A Secret that the writer of a line about a changed key uses and that is younger than the
/// workload: it was deleted and created again.
fn new_secret(view: &View<'_>, complaint: &Complaint<'_>) -> Option<(Idx, Time)> {
    let is_key = |(_, log): &(Idx, &LogTemplate)| log.trouble().has(Class::KeyChanged);
    let made = view.graph.get(complaint.owner).created?;
    let used = view.graph.out(complaint.owner);
    let mut secrets = used.filter(|(relation, to)| {
        matches!(relation, Relation::Uses | Relation::Mounts)
            && *view.graph.get(*to).kind() == Kind::Secret
    });
    secrets.find_map(|(_, secret)| {
        let at = view.graph.get(secret).created?;
        let is_new = at.0 - made.0 > 60 * MINUTE && complaint.first.0 - at.0 < 24 * 60 * MINUTE;
        (is_new && at <= complaint.first && complaint.lines.iter().any(is_key))
            .then_some((secret, at))
    })
}

fn first_line(complaint: &Complaint<'_>) -> String {
    let line = complaint.lines.first().map(|(_, log)| &*log.sample);
    short(line.unwrap_or_default(), 200)
}

fn lines<'a>(
    view: &'a View<'_>,
    complaint: &'a Complaint<'_>,
) -> impl Iterator<Item = Evidence> + 'a {
    let lines = complaint.lines.iter().take(MAX_LINES);
    lines.map(|(writer, log)| view.log_evidence(*writer, log))
}
