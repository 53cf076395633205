//! The command that undoes a change.

mod fixed;
mod unit;

use serde_json::{Map, Value, json};

use super::path::{Segment, segments};
use super::{FieldChange, ObjectChange, Verb};
use crate::model::Command;

/// The command that sets a field of an object back to the value that it had, together with those
/// that hold only with it. Empty where a value is not known exactly, where a patch could not name
/// the place, and where the API server lets no one change it. What was created is not deleted, and
/// a roll-out is not undone: others may have come since.
pub fn reversal(change: &ObjectChange, field: Option<&FieldChange>) -> String {
    let (Verb::Changed, Some(field)) = (change.verb, field) else {
        return String::new();
    };
    let Some((kind, patch)) = whole(change, field) else {
        return String::new();
    };
    let command = Command::of("kubectl -n <namespace> patch <kind> <name> --type=<type> -p <json>");
    let values = [
        ("namespace", &*change.namespace),
        ("kind", &*change.kind.to_ascii_lowercase()),
        ("name", &*change.name),
        ("type", kind),
        ("json", &*patch.to_string()),
    ];
    command.fill(values).to_string()
}

/// The patch of a field and of all that belong to it.
fn whole(change: &ObjectChange, field: &FieldChange) -> Option<(&'static str, Value)> {
    let unit = unit::of(&field.path);
    let belongs = |other: &&FieldChange| other == &field || unit::is_in(unit.as_ref(), &other.path);
    let fields: Vec<&FieldChange> = change.fields.iter().filter(belongs).collect();
    // A field may stand for a change that has more than are kept.
    if fields.len() > 1 && change.more > 0 {
        return None;
    }
    let fields = if fields.is_empty() {
        vec![field]
    } else {
        fields
    };
    let is_new = fields.iter().all(|field| field.old.is_none());
    let mut all: Option<(&'static str, Value)> = None;
    for field in fields {
        let (kind, patch) = patch(&change.kind, field, is_new)?;
        all = Some(match all {
            Some((_, before)) => (kind, unit::merged(before, patch)?),
            None => (kind, patch),
        });
    }
    all
}

/// Whether a value is shown as it is: not masked, hashed, cut, or with other line breaks.
fn is_exact(shown: &str) -> bool {
    !["***", "hash:"].iter().any(|mark| shown.contains(mark))
        && !shown.contains(|c: char| matches!(c, '…' | '⏎') || c.is_control())
}

/// The patch that sets a field back, with its type.
fn patch(kind: &str, field: &FieldChange, is_new: bool) -> Option<(&'static str, Value)> {
    let is_known = |value: &Option<String>| value.as_deref().map(is_exact).unwrap_or(true);
    if !field.has_values() || !is_known(&field.old) || !is_known(&field.new) {
        return None;
    }
    if fixed::is_fixed(kind, &field.path) {
        return None;
    }
    let path = segments(unit::top(field, is_new));
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
    let merged = nested(kind, &path, old)?;
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
fn merge_key(kind: &str, list: &str, item: &str) -> Option<&'static str> {
    let is_number = item.parse::<u32>().is_ok();
    // Items with the same key are numbered.
    if item.contains('#') {
        return None;
    }
    match list {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" | "webhooks" => {
            Some("name")
        }
        "volumeMounts" => Some("mountPath"),
        // A named port is merged by its number, which is not known.
        "ports" if is_number && kind == "Service" => Some("port"),
        "ports" if is_number => Some("containerPort"),
        _ => None,
    }
}

/// A value at a path, within the objects and lists that lead to it.
fn nested(kind: &str, path: &[Segment], value: Value) -> Option<Value> {
    let Some((step, rest)) = path.split_first() else {
        return Some(value);
    };
    let Segment::Field(name) = step else {
        return None;
    };
    let inner = match rest.split_first() {
        Some((Segment::Item(item), rest)) => {
            let key = merge_key(kind, name, item)?;
            let id = item
                .parse::<u32>()
                .map(Value::from)
                .ok()
                .filter(|_| key != "name");
            let id = id.unwrap_or_else(|| Value::from(item.as_str()));
            let mut object = match nested(kind, rest, value)? {
                Value::Object(object) => object,
                Value::Null => Map::from_iter([("$patch".to_owned(), json!("delete"))]),
                _ => return None,
            };
            object.insert(key.to_owned(), id);
            Value::Array(vec![Value::Object(object)])
        }
        _ => nested(kind, rest, value)?,
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
mod tests;
