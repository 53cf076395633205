//! The command that undoes a change.

use serde_json::{Map, Value, json};

use super::path::{Segment, segments};
use super::{FieldChange, ObjectChange, Verb};
use crate::model::Command;

/// The command that sets one field of an object back to the value that it had; empty where that value
/// is not known exactly, or where a patch could not name the place. What was created is not deleted, and
/// a roll-out is not undone: others may have come since.
pub fn reversal(change: &ObjectChange, field: Option<&FieldChange>) -> String {
    let (Verb::Changed, Some(field)) = (change.verb, field) else {
        return String::new();
    };
    let Some((kind, patch)) = patch(&change.kind, field) else {
        return String::new();
    };
    let command =
        Command::of("kubectl -n <namespace> patch <resource> <name> --type=<type> -p <json>");
    let values = [
        ("namespace", &*change.namespace),
        ("resource", &*change.kind.to_ascii_lowercase()),
        ("name", &*change.name),
        ("type", kind),
        ("json", &*patch.to_string()),
    ];
    command.fill(values).to_string()
}

/// Whether a value is shown as it is: not masked, hashed, cut, or with other line breaks.
fn is_exact(shown: &str) -> bool {
    !["***", "hash:"].iter().any(|mark| shown.contains(mark))
        && !shown.contains(|c: char| matches!(c, '…' | '⏎') || c.is_control())
}

/// The patch that sets a field back, with its type.
fn patch(kind: &str, field: &FieldChange) -> Option<(&'static str, Value)> {
    let is_known = |value: &Option<String>| value.as_deref().map(is_exact).unwrap_or(true);
    if !field.has_values() || !is_known(&field.old) || !is_known(&field.new) {
        return None;
    }
    let path = segments(&field.path);
    let old = match &field.old {
        Some(old) => value(old, &field.path),
        None => Value::Null,
    };
    let has_items = path.iter().any(|step| matches!(step, Segment::Item(_)));
    // A group of fields is shown as a text that is no value.
    let is_group = field
        .old
        .as_ref()
        .is_some_and(|old| old.contains(": ") && !is_leaf(&path));
    if is_group || has_items && !has_merge_keys(kind) {
        return None;
    }
    let merged = nested(&path, old)?;
    Some((if has_items { "strategic" } else { "merge" }, merged))
}

/// Fields whose values may have a colon and a space.
fn is_leaf(path: &[Segment]) -> bool {
    matches!(path.last(), Some(Segment::Field(name)) if name == "value")
        || matches!(path.first(), Some(Segment::Field(name)) if name == "data")
}

/// Whether lists of a kind are merged by the keys of their items: not those of custom resources.
fn has_merge_keys(kind: &str) -> bool {
    let kinds = [
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Job",
        "CronJob",
        "Pod",
        "Service",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ];
    kinds.contains(&kind)
}

/// The key by which items of a list are merged.
fn merge_key(list: &str, item: &str) -> Option<&'static str> {
    let is_number = item.parse::<u32>().is_ok();
    match list {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" | "webhooks" => {
            Some("name")
        }
        "volumeMounts" => Some("mountPath"),
        // A named port is merged by its number, which is not known.
        "ports" if is_number => Some("port"),
        _ => None,
    }
}

/// A value at a path, within the objects and lists that lead to it.
fn nested(path: &[Segment], value: Value) -> Option<Value> {
    let Some((step, rest)) = path.split_first() else {
        return Some(value);
    };
    let Segment::Field(name) = step else {
        return None;
    };
    let inner = match rest.split_first() {
        Some((Segment::Item(item), rest)) => {
            let key = merge_key(name, item)?;
            let id = item
                .parse::<u32>()
                .map(Value::from)
                .ok()
                .filter(|_| key != "name");
            let id = id.unwrap_or_else(|| Value::from(item.as_str()));
            let mut object = match nested(rest, value)? {
                Value::Object(object) => object,
                Value::Null => Map::from_iter([("$patch".to_owned(), json!("delete"))]),
                _ => return None,
            };
            object.insert(key.to_owned(), id);
            Value::Array(vec![Value::Object(object)])
        }
        _ => nested(rest, value)?,
    };
    Some(json!({name: inner}))
}

/// A shown value as JSON. Labels, variables and the content of a `ConfigMap` are always texts.
fn value(shown: &str, path: &str) -> Value {
    let is_text = ["data", "metadata.", "stringData"]
        .iter()
        .any(|p| path.starts_with(p))
        || path.ends_with("].value")
        || [
            "nodeSelector",
            "matchLabels",
            ".labels",
            ".annotations",
            "resources.",
            ".selector",
        ]
        .iter()
        .any(|part| path.contains(part));
    match serde_json::from_str(shown) {
        Ok(json) if !is_text => json,
        _ => Value::from(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;

    fn command(kind: &str, path: &str, old: Option<&str>, new: Option<&str>) -> String {
        let field = FieldChange {
            path: path.to_owned(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        };
        reversal(&of_kind(kind), Some(&field))
    }

    fn of_kind(kind: &str) -> ObjectChange {
        ObjectChange {
            at: Time::default(),
            undated: false,
            kind: kind.to_owned(),
            namespace: "shop".to_owned(),
            name: "api".to_owned(),
            uid: None,
            verb: Verb::Changed,
            fields: Vec::new(),
            more: 0,
            by: None,
            via: None,
        }
    }

    #[test]
    fn a_field_is_set_back_exactly() {
        let image = "spec.template.spec.containers[api].image";
        for (kind, path, old, new, expected) in [
            (
                "Deployment",
                image,
                Some("api:1"),
                Some("api:2"),
                r#"patch deployment api --type=strategic -p '{"spec":{"template":{"spec":{"containers":[{"image":"api:1","name":"api"}]}}}}'"#,
            ),
            (
                "Deployment",
                "spec.template.spec.containers[api].env[A].value",
                Some("1"),
                Some("2"),
                r#"patch deployment api --type=strategic -p '{"spec":{"template":{"spec":{"containers":[{"env":[{"name":"A","value":"1"}],"name":"api"}]}}}}'"#,
            ),
            (
                "Service",
                "spec.selector.app",
                Some("api"),
                Some("apl"),
                r#"patch service api --type=merge -p '{"spec":{"selector":{"app":"api"}}}'"#,
            ),
            (
                "Deployment",
                "spec.replicas",
                Some("3"),
                Some("0"),
                r#"patch deployment api --type=merge -p '{"spec":{"replicas":3}}'"#,
            ),
            (
                "Deployment",
                "spec.template.spec.nodeSelector.disk",
                None,
                Some("ssd"),
                r#"patch deployment api --type=merge -p '{"spec":{"template":{"spec":{"nodeSelector":{"disk":null}}}}}'"#,
            ),
        ] {
            let command = command(kind, path, old, new);
            assert_eq!(
                command.strip_prefix("kubectl -n shop "),
                Some(expected),
                "{path}"
            );
        }
    }

    #[test]
    fn names_and_values_stay_words_of_their_own() {
        let change = ObjectChange {
            name: "api; rm".to_owned(),
            ..of_kind("Service")
        };
        let field = FieldChange {
            path: "spec.selector.app".to_owned(),
            old: Some("it's".to_owned()),
            new: Some("x".to_owned()),
        };
        let words = shlex::split(&reversal(&change, Some(&field))).unwrap();
        assert_eq!(words[5], "api; rm");
        assert_eq!(words[8], r#"{"spec":{"selector":{"app":"it's"}}}"#);
        let change = ObjectChange {
            name: "--all".to_owned(),
            ..change
        };
        assert_eq!(reversal(&change, Some(&field)), "");
    }

    #[test]
    fn what_is_not_known_exactly_is_not_set_back() {
        let args = "spec.template.spec.containers[api].args";
        let env = "spec.template.spec.containers[api].env[URL].value";
        for (kind, path, old, new) in [
            ("ConfigMap", "data[\"app.yaml\"]", "changed", "changed"),
            ("Deployment", args, "changed", "changed"),
            (
                "Deployment",
                args,
                "[\"--mode=hash:0123456789ab\"]",
                "[\"--fast\"]",
            ),
            (
                "Deployment",
                env,
                "postgres://***@db:5432/shop",
                "postgres://***@new:5432/shop",
            ),
            ("Deployment", env, "a⏎b", "c"),
            ("Deployment", env, "a…", "c"),
            ("Role", "rules[pods].verbs", "[\"get\"]", "[\"list\"]"),
        ] {
            assert_eq!(
                command(kind, path, Some(old), Some(new)),
                "",
                "{path} {old}"
            );
        }
    }
}
