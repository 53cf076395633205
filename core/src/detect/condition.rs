//! What controllers report about objects of any kind, in conditions and in warnings.

use super::finding::{Evidence, Finding, Strength};
use super::mentions::mentions;
use super::polarity::{self, Shows};
use super::text::{has, short};
use super::verdict::{Verdict, kind_fault};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::object::{Condition, Object};
use crate::model::time::MINUTE;
use crate::model::{Episode, Kind, Time};
use crate::trouble;

/// How long a state that is not good yet must last to count as broken, in microseconds.
const PATIENCE: i64 = 10 * MINUTE;

/// Reports an object whose controller says that it is broken.
pub(super) fn object(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let node = view.graph.get(idx);
    let broken = broken_conditions(view, idx);
    let Some(first) = broken.first().filter(|_| node.closed.is_none()) else {
        return;
    };
    let of_conditions = broken.iter().take(4).map(|c| evidence(view, idx, c));
    let of_conditions: Vec<Evidence> = of_conditions.chain(referring(view, idx)).collect();
    let said = match reason_in_events(view, idx, &text(first)) {
        Some(event) => Said {
            idx,
            what: format!("{}: {}", event.reason, short(&event.message, 200)),
            text: event.message.to_string(),
            evidence: [view.event_evidence(idx, event)]
                .into_iter()
                .chain(of_conditions)
                .collect(),
        },
        None => Said {
            idx,
            what: sentence(first),
            text: text(first),
            evidence: of_conditions,
        },
    };
    out.extend(findings(view, &said));
}

/// The last warning about an object that names a trouble, where its conditions name none: a
/// condition may only say that a part of the object does not work.
fn reason_in_events<'a>(view: &View<'a>, idx: Idx, condition: &str) -> Option<&'a Episode> {
    if !trouble::read(condition).is_empty() || !mentions(condition).is_empty() {
        return None;
    }
    let mut recent: Vec<&Episode> = view
        .warnings(idx)
        .filter(|e| view.now.0 - e.last.0 <= 60 * MINUTE)
        .collect();
    recent.reverse();
    recent
        .into_iter()
        .find(|e| !trouble::read(&e.message).is_empty())
}

/// What the spec of an object refers to, as evidence.
fn referring(view: &View<'_>, idx: Idx) -> Option<Evidence> {
    let report = view.object(idx)?.report()?;
    let mut named: Vec<String> = report
        .references
        .iter()
        .map(|r| format!("{} `{}`", r.kind, r.name))
        .collect();
    named.dedup();
    named.truncate(4);
    let text = format!("spec refers to {}", named.join(", "));
    (!named.is_empty()).then(|| view.state_evidence(idx, text))
}

/// Reports a warning of a controller about an object of a kind without rules of its own.
pub(super) fn warned(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !is_judged_by_warnings(view.graph.get(idx).kind())
        || !view.exists(idx)
        || out.iter().any(|f| f.on == idx)
    {
        return;
    }
    let conditions = view.object(idx).map(Object::reported_conditions);
    let has_ended = conditions.is_some_and(|c| c.iter().any(polarity::is_good_summary));
    // What a controller said last holds longer: it rejects an object once.
    let last_word = view.events(idx).map(|e| e.last).max();
    let counts = |e: &&Episode| {
        let minutes = if Some(e.last) == last_word { 60 } else { 15 };
        view.now.0 - e.last.0 <= minutes * MINUTE
    };
    let recent: Vec<_> = view
        .warnings(idx)
        .filter(counts)
        .filter(|e| e.count >= 2 || view.lasts(Some(e.first)))
        // A retry of the endpoints' controller, which follows a conflict of writes.
        .filter(|e| !e.reason.starts_with("FailedToUpdate"))
        // Advice of policy engines and of controllers about their settings.
        .filter(|e| &*e.reason != "PolicyViolation" && !has(&e.message, &["deprecated"]))
        .collect();
    let Some(last) = recent.last().filter(|_| !has_ended) else {
        return;
    };
    let said = Said {
        idx,
        what: format!("{}: {}", last.reason, short(&last.message, 200)),
        text: last.message.to_string(),
        evidence: recent.iter().map(|e| view.event_evidence(idx, e)).collect(),
    };
    out.extend(findings(view, &said));
}

/// Whether the warnings about an object of a kind have no detector of their own.
fn is_judged_by_warnings(kind: &Kind) -> bool {
    match kind {
        Kind::Other(name) => &**name != "Cluster",
        kind => matches!(
            kind,
            Kind::Ingress | Kind::Service | Kind::PodDisruptionBudget | Kind::NetworkPolicy
        ),
    }
}

/// What a controller says about an object.
pub(super) struct Said {
    pub(super) idx: Idx,
    /// For people.
    what: String,
    /// Reason and message.
    pub(super) text: String,
    evidence: Vec<Evidence>,
}

/// Whether the object that controls this one says that all is well.
fn is_owner_good(view: &View<'_>, idx: Idx) -> bool {
    view.graph
        .incoming(idx)
        .filter(|(relation, _)| *relation == Relation::Controls)
        .filter_map(|(_, owner)| view.object(owner))
        .any(|owner| {
            let conditions = owner.reported_conditions();
            conditions.iter().any(polarity::is_good_summary)
        })
}

/// For how many minutes a run that failed counts: for a day, where an alert about it, or about what
/// starts it, still fires and no later run has ended.
fn lasting(view: &View<'_>, run: Idx) -> i64 {
    let controls = |(relation, _): &(Relation, Idx)| *relation == Relation::Controls;
    let mut owners = view.graph.incoming(run).filter(controls);
    let owner = owners.next().map(|(_, owner)| owner);
    let mut meant = std::iter::once(run).chain(owner);
    let is_alerted = meant.any(|idx| view.alerts(idx).next().is_some());
    let created = view.graph.get(run).created;
    let has_later = owner.is_some_and(|owner| {
        let mut runs = view.graph.out(owner).filter(controls);
        runs.any(|(_, other)| view.graph.get(other).created > created)
    });
    if is_alerted && !has_later {
        24 * 60
    } else {
        60
    }
}

/// The conditions of an object that show that it is broken, the most telling first.
pub(super) fn broken_conditions<'a>(view: &View<'a>, idx: Idx) -> Vec<&'a Condition> {
    let Some(object) = view.object(idx) else {
        return Vec::new();
    };
    let conditions = object.reported_conditions();
    // A status of an older spec says nothing about this one.
    let is_outdated = object.report().is_some_and(|r| {
        let seen = r.observed_generation.zip(object.meta.generation);
        r.suspended || seen.is_some_and(|(seen, current)| seen < current)
    });
    // What is being deleted is not ready; only what keeps it counts, after a while.
    let is_leaving = object
        .meta
        .deleting
        .is_some_and(|t| view.now.0 - t.0 < PATIENCE);
    if is_outdated || is_leaving {
        return Vec::new();
    }
    // A run that failed long ago is history, and so is what its owner has got over.
    let is_over = object
        .report()
        .and_then(|r| r.ended.0)
        .is_some_and(|at| view.now.0 - at.0 > lasting(view, idx) * MINUTE);
    if is_over || is_owner_good(view, idx) {
        return Vec::new();
    }
    let is_good = conditions.iter().any(polarity::is_good_summary);
    // A certificate that is ordered does not exist yet.
    let is_issued = conditions
        .iter()
        .any(|c| &*c.kind == "Issuing" && c.is("True"));
    let counts = |c: &&Condition| {
        let since = c.last_transition_time.0.or(view.graph.get(idx).created);
        let is_broken = match polarity::shows(c) {
            Shows::Nothing => false,
            Shows::Waiting => since.is_some_and(|s| view.now.0 - s.0 >= PATIENCE),
            Shows::Broken if is_issued => since.is_some_and(|s| view.now.0 - s.0 >= PATIENCE),
            Shows::Broken => view.lasts(since),
        };
        is_broken && (!is_good || polarity::is_named_bad(c) || polarity::is_summary(c))
    };
    let mut broken: Vec<&Condition> = conditions.iter().filter(counts).collect();
    // What names a trouble or an object says more than what sums up.
    broken.sort_by_key(|c| {
        let text = text(c);
        let says_more = !trouble::read(&text).is_empty() || !mentions(&text).is_empty();
        (
            polarity::shows(c) == Shows::Waiting,
            !says_more,
            c.message.is_none(),
            !polarity::is_known(c),
            !polarity::is_named_bad(c),
        )
    });
    broken
}

fn text(condition: &Condition) -> String {
    let parts = [condition.reason.as_deref(), condition.message.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

fn sentence(condition: &Condition) -> String {
    let status = condition.status.as_deref().unwrap_or("set");
    let text = short(&text(condition), 200);
    let colon = if text.is_empty() { "" } else { ": " };
    format!("{} is {status}{colon}{text}", condition.kind)
}

fn evidence(view: &View<'_>, idx: Idx, condition: &Condition) -> Evidence {
    let seen = view.state_evidence(idx, sentence(condition));
    Evidence {
        at: condition.last_transition_time.0.unwrap_or(seen.at),
        ..seen
    }
}

/// The findings that follow from what a controller says: at the object, or at what it names.
fn findings(view: &View<'_>, said: &Said) -> Vec<Finding> {
    let named = mentions(&said.text);
    let elsewhere: Vec<Idx> = named
        .iter()
        .filter_map(|m| m.resolve(view, said.idx))
        .chain(broken_references(view, said.idx))
        .collect();
    let own = Verdict::of(view, said, &named);
    // An object that exists and that the controller waits for has a reason of its own.
    let waits = own.fault == kind_fault(view, said.idx) && !elsewhere.is_empty();
    let strength = if waits { Strength::Hint } else { own.strength };
    let build = |fault, blamed, strength, message| {
        view.finding(fault, blamed, said.idx, strength)
            .active(true)
            .message(message)
            .with(said.evidence.iter().cloned())
            .build()
    };
    let title = view.title(said.idx);
    let message = format!("{title} {}: {}", own.predicate, said.what);
    let mut all = vec![build(own.fault, own.blamed, strength, message)];
    for other in elsewhere.into_iter().filter(|_| waits).take(2) {
        let message = format!("{title} waits for {}: {}", view.title(other), said.what);
        let owner = view.top_owner(other);
        all.push(build(FaultId::Unknown, owner, Strength::Hint, message));
    }
    all
}

/// What an object refers to and whose own controller reports it as broken.
fn broken_references<'a>(view: &'a View<'_>, idx: Idx) -> impl Iterator<Item = Idx> + 'a {
    let view = *view;
    let targets = view
        .graph
        .out(idx)
        .filter(|(r, _)| matches!(r, Relation::Uses | Relation::Routes | Relation::Scales));
    targets.map(|(_, target)| target).filter(move |target| {
        !broken_conditions(&view, *target).is_empty() || view.is_healthy(*target) == Some(false)
    })
}

/// Reports a namespace whose deletion does not end.
pub(super) fn namespace(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let node = view.graph.get(idx);
    let Some(object) = view.object(idx).filter(|_| node.closed.is_none()) else {
        return;
    };
    let Some(report) = object.report() else {
        return;
    };
    let is_leaving = object.meta.deleting.is_some()
        || report
            .conditions
            .iter()
            .any(|c| &*c.kind == "phase" && c.is("Terminating"));
    let blocks = |c: &&Condition| c.kind.starts_with("Namespace") && c.is("True");
    let blocked: Vec<&Condition> = report.conditions.iter().filter(blocks).collect();
    let since = |c: &Condition| c.last_transition_time.0.or(object.meta.deleting);
    let lasts = |at: Option<Time>| at.map(|t| view.now.0 - t.0 >= 5 * MINUTE).unwrap_or(true);
    let Some(first) = blocked
        .iter()
        .find(|c| lasts(since(c)))
        .filter(|_| is_leaving)
    else {
        return;
    };
    let evidence: Vec<Evidence> = blocked.iter().map(|c| evidence(view, idx, c)).collect();
    out.push(
        view.finding(
            FaultId::NamespaceStuckTerminating,
            idx,
            idx,
            Strength::Strong,
        )
        .active(true)
        .message(format!(
            "Namespace `{}` cannot be deleted: {}",
            node.name(),
            short(first.message.as_deref().unwrap_or(&first.kind), 240)
        ))
        .with(evidence)
        .build(),
    );
}
