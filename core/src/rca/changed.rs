//! The change that explains a cause: what changed is what the failing thing reads, it was changed
//! before the failure, and the object that has it is related to the failing one.

use super::Case;
use super::answer::{Change, ResourceRef};
use super::connection::Related;
use crate::change::{FieldChange, ObjectChange, Verb, reversal};
use crate::detect::{FaultId, Finding, View};
use crate::model::Time;
use crate::model::time::MINUTE;

/// How long before the failure a change may be that nothing but its kind relates to it, in
/// microseconds.
pub(super) const SOON: i64 = 20 * MINUTE;
/// The same for a change of what the failure names.
pub(super) const NAMED: i64 = 24 * 60 * MINUTE;
/// How far the first symptom may be dated before the change.
const SLACK: i64 = MINUTE;
/// How long after the first symptom changes are listed that came with it.
const AFTER: i64 = 5 * MINUTE;
/// How long before it.
const BEFORE: i64 = 60 * MINUTE;
/// That nothing of a change is named.
pub(super) const UNNAMED: usize = 2;
/// Most changes that are listed beside the causes.
const MAX_OTHERS: usize = 10;
/// Controllers that write into specs what happened to an object.
const CONTROLLERS: [&str; 5] = [
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "cloud-controller-manager",
    "cluster-autoscaler",
];

/// What is known of a cause.
pub(super) struct Blamed<'a> {
    pub(super) fault: FaultId,
    pub(super) findings: &'a [&'a Finding],
    /// When the first symptom of the incident began.
    pub(super) onset: Time,
}

/// A change with how well it explains a cause: the smaller, the better.
pub(super) type Rated<'a> = (
    (usize, usize, usize, i64),
    &'a ObjectChange,
    Option<&'a FieldChange>,
);

/// The change that explains a cause best, if any does.
pub(super) fn explaining(case: &Case<'_>, blamed: &Blamed<'_>) -> Option<Change> {
    let candidates: Vec<&ObjectChange> = case
        .history
        .iter()
        .filter(|change| is_before(change, blamed.onset, NAMED))
        .filter(|change| !is_by_controller(change) && !is_undone(&case.view, change))
        .collect();
    if candidates.is_empty() {
        return None;
    }
    let related = Related::of(case, blamed);
    let rated = candidates.into_iter().flat_map(|change| {
        let stands = |field: &&FieldChange| !is_back(case.history, change, field);
        let fields = match change.verb {
            Verb::Changed => change.fields.iter().filter(stands).map(Some).collect(),
            Verb::Created | Verb::Deleted => vec![None],
            // Nothing shows what it changed.
            Verb::Reported => Vec::new(),
        };
        fields.into_iter().map(move |field| (change, field))
    });
    let rated: Option<Rated<'_>> = rated
        .filter_map(|(change, field)| related.rate(blamed, change, field))
        .min_by_key(|(rating, ..)| *rating);
    rated.map(|(_, change, field)| shown(change, field))
}

/// The changes that came with an incident and explain none of its causes.
pub(super) fn others(history: &[ObjectChange], onset: Time, explained: &[&Change]) -> Vec<Change> {
    let is_explained = |change: &ObjectChange| {
        explained.iter().any(|e| {
            e.at == change.at && e.resource.as_ref().is_some_and(|r| *r == reference(change))
        })
    };
    let came_with = |change: &&ObjectChange| {
        let is_near = (-AFTER..=BEFORE).contains(&(onset.0 - change.at.0));
        (change.undated || is_near) && !is_by_controller(change)
    };
    let mut found: Vec<Change> = history
        .iter()
        .filter(came_with)
        .filter(|change| !is_explained(change))
        .map(|change| shown(change, change.fields.first()))
        .collect();
    found.sort_by(|a, b| (b.at, &b.what).cmp(&(a.at, &a.what)));
    found.truncate(MAX_OTHERS);
    found
}

/// Whether a change was made soon before something. When one was made that only two states show is not
/// known: it counts as before.
pub(super) fn is_before(change: &ObjectChange, onset: Time, within: i64) -> bool {
    change.undated || (-SLACK..=within).contains(&(onset.0 - change.at.0))
}

fn is_by_controller(change: &ObjectChange) -> bool {
    change
        .by
        .as_deref()
        .is_some_and(|by| CONTROLLERS.contains(&by))
}

/// Whether an object that was deleted is there again.
fn is_undone(view: &View<'_>, change: &ObjectChange) -> bool {
    let is_there = view
        .graph
        .find_live(change.kind(), &change.namespace, &change.name);
    change.verb == Verb::Deleted && is_there.is_some()
}

/// Whether a field has the value that it had before, or got it back by this change: neither is to be
/// reversed.
fn is_back(history: &[ObjectChange], change: &ObjectChange, field: &FieldChange) -> bool {
    let is_same = |other: &&ObjectChange| {
        (&other.kind, &other.namespace, &other.name)
            == (&change.kind, &change.namespace, &change.name)
    };
    let others = history.iter().filter(is_same);
    others.filter(|other| other.at != change.at).any(|other| {
        let mut fields = other.fields.iter().filter(|f| f.path == field.path);
        if other.at > change.at {
            fields.any(|f| f.new == field.old)
        } else {
            fields.any(|f| f.old == field.new)
        }
    })
}

fn reference(change: &ObjectChange) -> ResourceRef {
    ResourceRef {
        kind: change.kind.clone(),
        namespace: change.namespace.clone(),
        name: change.name.clone(),
        uid: change.uid.clone(),
    }
}

/// A change as answers show it, by the field that matters.
fn shown(change: &ObjectChange, field: Option<&FieldChange>) -> Change {
    let object = format!("{} `{}`", change.kind, change.name);
    let what = match field {
        _ if change.name.is_empty() => change.lines().join(", "),
        None if change.note.is_some() => format!("{object}: {}", change.lines().join(", ")),
        Some(field) => {
            let others = change.fields.len() + change.more as usize - 1;
            let others = match others {
                0 => String::new(),
                1 => ", and 1 more field".to_owned(),
                n => format!(", and {n} more fields"),
            };
            format!("{object}: {}{others}", field.text())
        }
        None => format!("{object} {}", change.verb.as_str()),
    };
    Change {
        at: change.at,
        undated: change.undated,
        what,
        resource: Some(reference(change)).filter(|_| !change.name.is_empty()),
        field: field.map(|field| field.path.clone()),
        old: field.and_then(|field| field.old.clone()),
        new: field.and_then(|field| field.new.clone()),
        by: change.by.clone(),
        via: change.via.clone(),
        undo: reversal(change, field),
    }
}
