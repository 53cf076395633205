//! Who set a field last, by the managers that the API server records.

use serde_json::Value;

use super::path::{Segment, segments};
use crate::model::Time;
use crate::model::object::fields::Manager;
use crate::model::time::SECOND;

/// The manager that set one of these fields last; of fields that are gone, the one that changed
/// something last. `since` is when the version before was known: earlier changes are not meant.
pub(super) fn of<'a>(
    managers: &'a [Manager],
    paths: &[&str],
    since: Option<Time>,
) -> Option<&'a Manager> {
    // Managers have whole seconds.
    let bound = since.map(|since| since.plus(-SECOND)).unwrap_or_default();
    let is_meant = |m: &&Manager| m.at.is_some_and(|at| at > bound);
    let owns = |m: &&Manager| paths.iter().any(|path| owns(&m.owns, &segments(path)));
    let newest = |managers: &mut dyn Iterator<Item = &'a Manager>| managers.max_by_key(|m| m.at);
    newest(&mut managers.iter().filter(is_meant).filter(owns))
        .or_else(|| newest(&mut managers.iter().filter(is_meant)))
        .or_else(|| newest(&mut managers.iter().filter(owns)))
}

/// Whether a tree of fields, as managers have it, has a path: `{"f:spec": {"f:replicas": {}}}`.
fn owns(tree: &Value, path: &[Segment]) -> bool {
    let Value::Object(children) = tree else {
        return false;
    };
    let Some((step, rest)) = path.split_first() else {
        return true;
    };
    // A leaf of the tree stands for all below it: a list that is set as a whole.
    let is_leaf = children.keys().all(|key| key == ".");
    if is_leaf && !children.contains_key(".") {
        return true;
    }
    match step {
        Segment::Field(name) => {
            let child = children.get(&format!("f:{name}"));
            child.is_some_and(|child| owns(child, rest))
        }
        Segment::Item(name) => {
            let is_item = |key: &&String| key.strip_prefix("k:").is_some_and(|k| has(k, name));
            let key = children.keys().find(is_item);
            key.is_some_and(|key| owns(&children[key], rest))
        }
    }
}

/// Whether the key of an item, `{"name":"api"}`, has a value.
fn has(key: &str, value: &str) -> bool {
    let Ok(Value::Object(parts)) = serde_json::from_str::<Value>(key) else {
        return false;
    };
    let value = value.split('/').next().unwrap_or(value);
    parts.values().any(|part| match part {
        Value::String(text) => text == value,
        Value::Number(number) => value.parse().ok() == number.as_i64(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn managers() -> Vec<Manager> {
        let manager = |name: &str, at: &str, owns: Value| Manager {
            name: name.into(),
            at: Time::parse(at),
            owns,
        };
        vec![
            manager(
                "helm",
                "2026-01-01T10:00:00Z",
                json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {
                    "k:{\"name\":\"api\"}": {".": {}, "f:args": {}, "f:name": {}}}}}}}),
            ),
            manager(
                "kubectl-edit",
                "2026-01-01T10:05:00Z",
                json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
                    "k:{\"name\":\"api\"}": {"f:image": {}}}}}}}),
            ),
        ]
    }

    #[test]
    fn a_field_is_owned_by_who_set_it() {
        let managers = managers();
        let of = |path: &str, since: Option<&str>| {
            let found = of(&managers, &[path], since.and_then(Time::parse));
            found.map(|m| m.name.to_string())
        };
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(
            of("spec.template.spec.containers[api].image", None),
            name("kubectl-edit")
        );
        assert_eq!(
            of("spec.template.spec.containers[api].args[0]", None),
            name("helm")
        );
        assert_eq!(of("spec.replicas", None), name("helm"));
        // Whoever removed a field owns it no longer.
        assert_eq!(of("spec.paused", None), name("kubectl-edit"));
        // Whoever set it long ago did not change it now.
        assert_eq!(
            of("spec.replicas", Some("2026-01-01T10:04:00Z")),
            name("kubectl-edit")
        );
    }
}
