//! The roll-out that preceded an incident: the `ReplicaSet`s of a Deployment are its history, so
//! one listing of the cluster shows what the last roll-out changed.

use super::answer::Change;
use crate::detect::View;
use crate::graph::{Idx, Relation};
use crate::model::object::{Container, Object, Template};
use crate::model::time::MINUTE;
use crate::model::{Kind, Time};

/// A version of a Deployment's pods.
struct Revision<'a> {
    created: Time,
    /// Whether it is meant to have pods: after an undo the newest revision has none.
    is_running: bool,
    template: &'a Template,
}

impl<'a> Revision<'a> {
    fn of(object: &'a Object) -> Option<Self> {
        let spec = &object.workload()?.spec;
        Some(Self {
            created: object.meta.created?,
            is_running: spec.replicas != Some(0),
            template: spec.template.as_deref()?,
        })
    }
}

/// The last roll-out of the blamed workload, if it began less than an hour before the first symptom
/// and changed something.
pub(super) fn change_before(view: &View<'_>, blamed: Idx, onset: Time) -> Option<Change> {
    let owner = view.top_owner(blamed);
    let mut history: Vec<Revision<'_>> = view
        .graph
        .out(owner)
        .filter(|(r, i)| *r == Relation::Controls && view.graph.get(*i).is_live())
        .filter_map(|(_, i)| view.object(i))
        .filter(|o| o.meta.kind == Kind::ReplicaSet)
        .filter_map(Revision::of)
        .collect();
    history.sort_by_key(|revision| revision.created);
    let [.., before, now] = history.as_slice() else {
        return None;
    };
    // The first symptom may be dated a little before the roll-out.
    let is_recent = (-MINUTE..60 * MINUTE).contains(&(onset.0 - now.created.0));
    if !now.is_running || !is_recent {
        return None;
    }
    let changes = differences(before.template, now.template);
    (!changes.is_empty()).then(|| Change {
        at: now.created,
        undated: false,
        what: format!("rollout of {}: {}", view.title(owner), changes.join("; ")),
        resource: None,
        field: None,
        old: None,
        new: None,
        by: None,
        via: None,
        undo: String::new(),
    })
}

fn differences(before: &Template, now: &Template) -> Vec<String> {
    let mut found = Vec::new();
    for container in now
        .spec
        .containers
        .iter()
        .chain(now.spec.init_containers.iter())
    {
        let mut old = before
            .spec
            .containers
            .iter()
            .chain(before.spec.init_containers.iter());
        match old.find(|c| c.name == container.name) {
            Some(old) => compare_containers(old, container, &mut found),
            None => found.push(format!("container `{}` added", container.name)),
        }
    }
    let (old, new) = (&before.spec, &now.spec);
    let mut changed = |name: &str, is: bool| {
        if is {
            found.push(format!("{name} changed"));
        }
    };
    changed("nodeSelector", old.node_selector != new.node_selector);
    changed("affinity", old.affinity != new.affinity);
    changed("tolerations", old.tolerations != new.tolerations);
    changed("volumes", old.volumes != new.volumes);
    changed(
        "the service account",
        old.service_account_name != new.service_account_name,
    );
    changed(
        "imagePullSecrets",
        old.image_pull_secrets != new.image_pull_secrets,
    );
    // The controller adds the hash of the template as a label.
    let labels = |t: &Template| {
        t.metadata
            .labels
            .iter()
            .filter(|(k, _)| *k != "pod-template-hash")
            .map(owned)
            .collect::<Vec<_>>()
    };
    changed("labels", labels(before) != labels(now));
    found
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn compare_containers(old: &Container, new: &Container, found: &mut Vec<String>) {
    let name = &new.name;
    if old.image != new.image {
        let image = |c: &Container| c.image.as_deref().unwrap_or("none").to_owned();
        found.push(format!(
            "image of `{name}` `{}` → `{}`",
            image(old),
            image(new)
        ));
    }
    for resource in ["cpu", "memory"] {
        let limit = |c: &Container| {
            c.resources
                .limits
                .text(resource)
                .unwrap_or("none")
                .to_owned()
        };
        if limit(old) != limit(new) {
            found.push(format!(
                "{resource} limit of `{name}` {} → {}",
                limit(old),
                limit(new)
            ));
        }
    }
    let value = |c: &Container, name: &str| c.env.iter().find(|e| &*e.name == name).cloned();
    let both = old
        .env
        .iter()
        .chain(new.env.iter().filter(|e| value(old, &e.name).is_none()));
    // Names only: values may be secrets.
    let env: Vec<String> = both
        .filter(|e| value(old, &e.name) != value(new, &e.name))
        .map(|e| format!("`{}`", e.name))
        .collect();
    if !env.is_empty() {
        found.push(format!("env {} of `{name}` changed", env.join(", ")));
    }
    let mut changed = |field: &str, is: bool| {
        if is {
            found.push(format!("{field} of `{name}` changed"));
        }
    };
    changed(
        "command",
        (&old.command, &old.args) != (&new.command, &new.args),
    );
    changed("ports", old.ports != new.ports);
    changed("requests", old.resources.requests != new.resources.requests);
    changed("envFrom", old.env_from != new.env_from);
    let probes = |c: &Container| {
        (
            c.liveness_probe.clone(),
            c.readiness_probe.clone(),
            c.startup_probe.clone(),
        )
    };
    changed("probes", probes(old) != probes(new));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn template(json: Value) -> Template {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn differences_are_named_without_the_values_of_variables() {
        let before = template(json!({"spec": {"containers": [{
            "name": "api", "image": "api:1",
            "env": [{"name": "A", "value": "x"}, {"name": "B", "value": "y"}],
            "resources": {"limits": {"memory": "1Gi"}},
        }]}}));
        let now = template(json!({"spec": {"containers": [{
            "name": "api", "image": "api:2", "args": ["--fast"],
            "env": [{"name": "A", "value": "z"}, {"name": "C", "value": "y"}],
            "resources": {"limits": {"memory": "64Mi"}},
        }], "nodeSelector": {"disk": "ssd"}}}));
        let expected = [
            "image of `api` `api:1` → `api:2`",
            "memory limit of `api` 1Gi → 64Mi",
            "env `A`, `B`, `C` of `api` changed",
            "command of `api` changed",
            "nodeSelector changed",
        ];
        assert_eq!(differences(&before, &now), expected);
        assert!(differences(&before, &before).is_empty());
    }
}
