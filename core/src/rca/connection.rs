//! How a change is connected with a cause: by edges, by its component, or by what was said.

use std::collections::BTreeMap;

use super::changed::{Blamed, NAMED, Rated, SOON, UNNAMED, is_before};
use super::said::{is_common, is_label, is_telling, says};
use super::{Case, mechanism, related};
use crate::change::{FieldChange, ObjectChange, Segment, segments};
use crate::detect::{ComponentId, View};
use crate::graph::Idx;
use crate::model::Kind;

/// How many bindings are searched for a role: each is decoded for it.
const MAX_BINDINGS: usize = 200;

/// What is related to a cause: by edges, by its component, or by what was said.
pub(super) struct Related<'a> {
    view: &'a View<'a>,
    steps: BTreeMap<Idx, usize>,
    component: Option<ComponentId>,
    /// All that was said about the failure.
    said: String,
    /// The settings of the failing objects.
    settings: Vec<(String, String)>,
}

impl<'a> Related<'a> {
    pub(super) fn of(case: &'a Case<'_>, blamed: &Blamed<'_>) -> Self {
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
    pub(super) fn rate<'c>(
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
            .take(MAX_BINDINGS)
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

fn is_right(kind: &Kind) -> bool {
    let kinds = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
    kinds.contains(&kind.as_str())
}

/// Whether objects of a kind reach others that do not name them.
fn governs(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Node
            | Kind::PriorityClass
            | Kind::RuntimeClass
            | Kind::StorageClass
            | Kind::IngressClass
            | Kind::ServiceAccount
            | Kind::Other(_)
    )
}
