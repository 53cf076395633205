//! What was changed before it hurt: of a Deployment its `ReplicaSet`s are the history, so that one
//! listing of the cluster tells what the last roll-out changed.

use super::answer::Change;
use crate::detect::View;
use crate::graph::{Idx, Relation};
use crate::model::object::{Container, Template};
use crate::model::time::MINUTE;
use crate::model::{Kind, Time};

/// The last roll-out of what a cause blames, when it lies less than an hour before the first
/// symptom and changed something.
pub(super) fn change(view: &View<'_>, blamed: Idx, onset: Time) -> Option<Change> {
    let owner = view.top_owner(blamed);
    let controlled = view
        .graph
        .out(owner)
        .filter(|(r, i)| *r == Relation::Controls && view.graph.get(*i).is_live());
    let mut history: Vec<_> = controlled
        .filter_map(|(_, i)| view.object(i))
        .filter(|o| o.meta.kind == Kind::ReplicaSet)
        .filter_map(|o| Some((o.meta.created?, &o.workload()?.spec)))
        .filter_map(|(created, spec)| {
            Some((created, spec.replicas != Some(0), spec.template.as_deref()?))
        })
        .collect();
    history.sort_by_key(|(created, ..)| *created);
    // After an undo the newest is not the one that runs.
    let [.., (_, _, before), (at, true, now)] = history.as_slice() else {
        return None;
    };
    let what = differences(before, now);
    // A symptom may be told of a little later than the roll-out began.
    let is_before = (-MINUTE..60 * MINUTE).contains(&(onset.0 - at.0));
    (is_before && !what.is_empty()).then(|| Change {
        at: *at,
        what: format!("roll-out of {}: {}", view.title(owner), what.join("; ")),
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
            Some(old) => of_container(old, container, &mut found),
            None => found.push(format!("container `{}` is new", container.name)),
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
    // The controller labels each template with its own hash.
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

fn of_container(old: &Container, new: &Container, found: &mut Vec<String>) {
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
    let value = |c: &Container, of: &str| c.env.iter().find(|e| &*e.name == of).cloned();
    let both = old
        .env
        .iter()
        .chain(new.env.iter().filter(|e| value(old, &e.name).is_none()));
    // Values may be secrets: names say enough.
    let env: Vec<String> = both
        .filter(|e| value(old, &e.name) != value(new, &e.name))
        .map(|e| format!("`{}`", e.name))
        .collect();
    if !env.is_empty() {
        found.push(format!("env {} of `{name}`", env.join(", ")));
    }
    let mut changed = |what: &str, is: bool| {
        if is {
            found.push(format!("{what} of `{name}`"));
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

    fn template(json: &str) -> Template {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_differs_is_named_and_values_of_the_environment_are_not() {
        let before = r#"{"spec":{"containers":[{"name":"api","image":"api:1","env":[{"name":"A","value":"x"},{"name":"B","value":"y"}],
            "resources":{"limits":{"memory":"1Gi"}}}]}}"#;
        let now = r#"{"spec":{"containers":[{"name":"api","image":"api:2","env":[{"name":"A","value":"z"},{"name":"C","value":"y"}],
            "resources":{"limits":{"memory":"64Mi"}},"args":["--fast"]}],"nodeSelector":{"disk":"ssd"}}}"#;
        let expected = [
            "image of `api` `api:1` → `api:2`",
            "memory limit of `api` 1Gi → 64Mi",
            "env `A`, `B`, `C` of `api`",
            "command of `api`",
            "nodeSelector changed",
        ];
        assert_eq!(differences(&template(before), &template(now)), expected);
        assert!(differences(&template(before), &template(before)).is_empty());
    }
}
