//! The change that explains a cause: what changed is what the failing thing reads, it was changed
//! before the failure, and the object that has it is related to the failing one.

use std::collections::BTreeMap;

use super::answer::{Change, ResourceRef};
use super::{Case, mechanism, related};
use crate::change::{FieldChange, ObjectChange, Segment, Verb, reversal, segments};
use crate::detect::{FaultId, Finding, View};
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Kind, Time};

/// How long before the failure a change may be that nothing but its kind relates to it, in
/// microseconds.
const SOON: i64 = 20 * MINUTE;
/// The same for a change of what the failure names.
const NAMED: i64 = 24 * 60 * MINUTE;
/// How far the first symptom may be dated before the change.
const SLACK: i64 = MINUTE;
/// How long after the first symptom changes are listed that came with it.
const AFTER: i64 = 5 * MINUTE;
/// How long before it.
const BEFORE: i64 = 60 * MINUTE;
/// That nothing of a change is named.
const UNNAMED: usize = 2;
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
type Rated<'a> = (
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
        let fields = match change.verb {
            Verb::Changed => change.fields.iter().map(Some).collect(),
            Verb::Created | Verb::Deleted => vec![None],
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
        (-AFTER..=BEFORE).contains(&(onset.0 - change.at.0)) && !is_by_controller(change)
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

fn is_before(change: &ObjectChange, onset: Time, within: i64) -> bool {
    (-SLACK..=within).contains(&(onset.0 - change.at.0))
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

/// What is related to a cause: by edges, by its component, or by what was said.
struct Related<'a> {
    view: &'a View<'a>,
    steps: BTreeMap<Idx, usize>,
    component: Option<crate::detect::ComponentId>,
    /// All that was said about the failure.
    said: String,
    /// The settings of the failing objects.
    settings: Vec<(String, String)>,
}

impl<'a> Related<'a> {
    fn of(case: &'a Case<'_>, blamed: &Blamed<'_>) -> Self {
        let view = &case.view;
        let component = blamed.findings.first().map(|f| view.component_id(f.blamed));
        let is_own = |idx: &Idx| Some(view.component_id(*idx)) == component;
        let shown_on = blamed.findings.iter().flat_map(|finding| {
            let evidence = finding.evidence.iter().map(|evidence| evidence.resource);
            evidence
                .chain([finding.on])
                .filter(is_own)
                .chain([finding.blamed])
        });
        let mut starts: Vec<Idx> = shown_on
            .flat_map(|idx| [idx, view.top_owner(idx)])
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let said = blamed.findings.iter().flat_map(|finding| {
            let evidence = finding.evidence.iter().map(|e| e.what.as_str());
            evidence.chain([finding.message.as_str()])
        });
        let said = said.collect::<Vec<_>>().join("\n");
        let settings = starts
            .iter()
            .filter_map(|idx| view.object(*idx))
            .flat_map(|object| object.fields.leaves())
            .map(|(path, value)| (path.to_ascii_lowercase(), value.to_owned()));
        Self {
            settings: settings.collect(),
            steps: related::from(view, &starts),
            view,
            component,
            said,
        }
    }

    /// How well a change of a field explains the cause; `None` if it does not.
    fn rate<'c>(
        &self,
        blamed: &Blamed<'_>,
        change: &'c ObjectChange,
        field: Option<&'c FieldChange>,
    ) -> Option<Rated<'c>> {
        let directness = mechanism::explains(blamed.fault.as_str(), change, field)?;
        let naming = self.naming(change, field);
        let is_named = naming < UNNAMED || says(&self.said, &change.name);
        let steps = self.steps_to(change, is_named)?;
        let within = if is_named { NAMED } else { SOON };
        is_before(change, blamed.onset, within).then(|| {
            let rating = (naming, directness, steps, -change.at.0);
            (rating, change, field)
        })
    }

    /// How far the changed object is from the failing one.
    fn steps_to(&self, change: &ObjectChange, is_named: bool) -> Option<usize> {
        let graph = self.view.graph;
        let by_uid = change.uid.as_ref().and_then(|uid| graph.find_uid(uid));
        let idx = by_uid.or_else(|| graph.find(change.kind(), &change.namespace, &change.name));
        let kind = change.kind();
        if is_right(&kind) {
            return self.grants(change, idx).then_some(1);
        }
        if let Some(steps) = idx.and_then(|idx| self.steps.get(&idx)) {
            return Some(*steps);
        }
        if idx.is_some_and(|idx| Some(self.view.component_id(idx)) == self.component) {
            return Some(1);
        }
        (self.refers_to(&kind, &change.name) || is_named && governs(&kind)).then_some(2)
    }

    /// How what was said names what changed: 0 by the key or the new value, 1 by the old value.
    fn naming(&self, change: &ObjectChange, field: Option<&FieldChange>) -> usize {
        let Some(field) = field else {
            return if says(&self.said, &change.name) {
                0
            } else {
                UNNAMED
            };
        };
        let steps = segments(&field.path);
        let keys = steps.iter().rev().take(2).map(|step| match step {
            Segment::Field(name) => (name, !is_common(name)),
            Segment::Item(name) => (name, true),
        });
        let is_key_named = keys.into_iter().any(|(name, is_telling)| {
            is_telling && (says(&self.said, name) || is_label(&field.path) && self.wants(name))
        });
        let is_said = |value: &Option<String>| {
            let value = value.as_deref().unwrap_or_default();
            let parts = value.split(", ").filter_map(|part| part.split_once(": "));
            let mut values = parts.map(|(_, part)| part).chain([value]);
            values.any(|value| is_telling(value) && says(&self.said, value))
        };
        match (is_key_named || is_said(&field.new), is_said(&field.old)) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => UNNAMED,
        }
    }

    /// Whether a setting of the failing objects has a key.
    fn wants(&self, key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        let mut paths = self.settings.iter();
        paths.any(|(path, value)| path.contains("node") && path.contains(&key) || says(value, &key))
    }

    /// Whether a setting of the failing objects refers to an object: its path names the kind, its
    /// value the name.
    fn refers_to(&self, kind: &Kind, name: &str) -> bool {
        let kind = kind.as_str().split('.').next().unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        let short = kind.trim_start_matches("cluster");
        let value = format!("\"{name}\"");
        let mut settings = self.settings.iter();
        settings.any(|(path, text)| path.contains(short) && *text == value)
    }

    /// Whether rights belong to an account that was refused something.
    fn grants(&self, change: &ObjectChange, idx: Option<Idx>) -> bool {
        let is_refused = |text: &str| {
            let mut subjects = text
                .split(['[', ']'])
                .filter(|s| s.starts_with("ServiceAccount/"));
            subjects.any(|subject| {
                let account = subject
                    .trim_start_matches("ServiceAccount/")
                    .replace('/', ":");
                self.said.contains(&account)
            })
        };
        let graph = self.view.graph;
        let fields_of = |idx: Idx| graph.get(idx).object.as_deref().map(|o| &o.fields);
        if change.kind.ends_with("Binding") {
            let mut paths: Vec<String> = change.fields.iter().map(|f| f.path.clone()).collect();
            let leaves = idx.and_then(fields_of).map(|fields| fields.leaves());
            paths.extend(leaves.unwrap_or_default().into_iter().map(|(path, _)| path));
            return paths.iter().any(|path| is_refused(path));
        }
        let kinds = ["RoleBinding", "ClusterRoleBinding"].map(|kind| Kind::Other(kind.into()));
        let mut bindings = kinds
            .iter()
            .flat_map(|kind| graph.of_kind(kind))
            .filter_map(fields_of);
        bindings.any(|fields| {
            let name = format!("{:?}", change.name);
            let leaves = fields.leaves();
            leaves
                .iter()
                .any(|(path, value)| path == "roleRef.name" && *value == name)
                && leaves.iter().any(|(path, _)| is_refused(path))
        })
    }
}

/// Words of Kubernetes that messages have whatever changed.
fn is_common(word: &str) -> bool {
    let words = [
        "name", "value", "image", "spec", "data", "app", "key", "path", "port", "ports", "memory",
        "cpu", "command", "args", "replicas", "selector", "type", "labels", "pods", "limits",
        "requests", "env", "host", "hard", "rules", "verbs", "volumes", "number",
    ];
    words.contains(&word)
}

fn is_label(path: &str) -> bool {
    path.contains("labels") || path.contains("taints")
}

/// Whether a value is more than a word that many texts have.
fn is_telling(value: &str) -> bool {
    let is_number = value.bytes().all(|b| b.is_ascii_digit());
    let words = [
        "true", "false", "changed", "default", "unset", "info", "debug", "error",
    ];
    !words.contains(&value) && (value.len() >= 4 || is_number && value.len() >= 2)
}

/// Whether a text has a word as a whole.
fn says(text: &str, word: &str) -> bool {
    if word.len() < 2 {
        return false;
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

fn is_right(kind: &Kind) -> bool {
    let kinds = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
    kinds.contains(&kind.as_str())
}

/// Whether objects of a kind reach others that do not name them.
fn governs(kind: &Kind) -> bool {
    match kind {
        Kind::Node | Kind::PriorityClass | Kind::RuntimeClass | Kind::StorageClass => true,
        Kind::IngressClass | Kind::ServiceAccount => true,
        Kind::Other(_) => true,
        _ => false,
    }
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
        what,
        resource: Some(reference(change)),
        field: field.map(|field| field.path.clone()),
        old: field.and_then(|field| field.old.clone()),
        new: field.and_then(|field| field.new.clone()),
        by: change.by.clone(),
        via: change.via.clone(),
        undo: reversal(change, field),
    }
}
