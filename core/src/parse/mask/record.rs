//! Masks records and Kubernetes objects.

use std::borrow::Cow;

use serde_json::Value;

use super::{MASK, NAMES, NEEDLES, is_secret_name, variable};

/// Masks the bytes of a record before it is stored; borrowed if it has no secrets or is not JSON,
/// which the parser rejects later.
pub fn record(topic: crate::model::Topic, bytes: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Cow::Borrowed(bytes);
    };
    let is_state = topic == crate::model::Topic::Resource;
    let suspicious = NEEDLES.is_match(text)
        || text.contains(":\\/\\/")
        || (is_state
            && (NAMES.is_match(text) || text.contains("last-applied") || text.contains("Secret")));
    if !suspicious {
        return Cow::Borrowed(bytes);
    }
    let Ok(mut value) = serde_json::from_str::<Value>(text) else {
        return Cow::Borrowed(bytes);
    };
    let changed = if is_state {
        object(&mut value)
    } else {
        leaves(&mut value)
    };
    match (changed, serde_json::to_vec(&value)) {
        (true, Ok(masked)) => Cow::Owned(masked),
        _ => Cow::Borrowed(bytes),
    }
}

/// Applies a change to all items. Returns whether any of them changed.
fn each(items: &mut [Value], change: fn(&mut Value) -> bool) -> bool {
    let mut changed = false;
    for item in items {
        changed |= change(item);
    }
    changed
}

/// Masks every text at any depth.
fn leaves(value: &mut Value) -> bool {
    match value {
        Value::Array(items) => each(items, leaves),
        Value::Object(map) => map.iter_mut().fold(false, |changed, (name, v)| {
            let masked = if v.is_string() {
                mask_text(name, v)
            } else {
                leaves(v)
            };
            masked || changed
        }),
        Value::String(_) => mask_text("", value),
        _ => false,
    }
}

/// Masks a Kubernetes object: the values of Secrets and `ConfigMap`s, env literals, arguments and
/// annotations. Returns whether anything changed.
pub fn object(value: &mut Value) -> bool {
    let is_secret = value.get("kind").and_then(Value::as_str) == Some("Secret");
    let mut changed = false;
    if let Value::Object(map) = value {
        for key in ["data", "stringData", "binaryData"] {
            let Some(Value::Object(data)) = map.get_mut(key) else {
                continue;
            };
            for (name, v) in data.iter_mut() {
                changed |= if is_secret {
                    replace(v, "")
                } else {
                    mask_text(name, v)
                };
            }
        }
        for key in ["annotations", "labels"] {
            changed |= annotations(map.get_mut(key));
        }
        if let Some(Value::Object(meta)) = map.get_mut("metadata") {
            changed |= annotations(meta.get_mut("annotations"));
        }
        for key in ["spec", "status"] {
            changed |= map.get_mut(key).is_some_and(nested);
        }
        if let Some(Value::Array(items)) = map.get_mut("items") {
            for item in items {
                changed |= object(item);
            }
        }
    }
    changed
}

fn annotations(value: Option<&mut Value>) -> bool {
    let Some(Value::Object(map)) = value else {
        return false;
    };
    let before = map.len();
    map.retain(|k, _| !k.ends_with("last-applied-configuration"));
    let mut changed = map.len() != before;
    for (name, v) in map.iter_mut() {
        changed |= mask_text(name, v);
    }
    changed
}

/// Masks env literals, arguments and annotations at any depth.
fn nested(value: &mut Value) -> bool {
    match value {
        Value::Array(items) => each(items, nested),
        Value::Object(map) => {
            let mut changed = annotations(map.get_mut("annotations"));
            if let (Some(Value::String(name)), true) =
                (map.get("name").cloned(), map.contains_key("value"))
            {
                changed |= map.get_mut("value").is_some_and(|v| mask_text(&name, v));
            }
            for (key, v) in map.iter_mut() {
                if matches!(key.as_str(), "args" | "command") {
                    changed |= arguments(v);
                } else if v.is_string() {
                    changed |= mask_text("", v);
                } else {
                    changed |= nested(v);
                }
            }
            changed
        }
        _ => false,
    }
}

fn arguments(value: &mut Value) -> bool {
    let Value::Array(items) = value else {
        return false;
    };
    let mut changed = false;
    let mut follows_secret = false;
    for item in items {
        if let Value::String(text) = item {
            let flag = text.starts_with('-') && !text.contains('=') && is_secret_name(text);
            changed |= if follows_secret {
                replace(item, MASK)
            } else {
                mask_text("", item)
            };
            follows_secret = flag;
        }
    }
    changed
}

fn mask_text(name: &str, value: &mut Value) -> bool {
    let Value::String(text) = value else {
        return false;
    };
    match variable(name, text) {
        Cow::Borrowed(same) if same.len() == text.len() => false,
        masked => {
            *text = masked.into_owned();
            true
        }
    }
}

fn replace(value: &mut Value, with: &str) -> bool {
    if value.as_str() == Some(with) {
        return false;
    }
    *value = Value::String(with.to_owned());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_masked_object_keeps_its_shape() {
        let last_applied = "kubectl.kubernetes.io/last-applied-configuration";
        let env = json!([
            {"name": "DB_PASSWORD", "value": "hunter2"},
            {"name": "DB", "value": "db:5432"},
        ]);
        let mut pod = json!({
            "kind": "Pod",
            "metadata": {"annotations": {last_applied: "x", "note": "ok"}},
            "spec": {"containers": [{"env": env, "args": ["--token", "abc", "--port=80"]}]},
        });
        assert!(object(&mut pod));
        assert!(!pod.to_string().contains("hunter2") && !pod.to_string().contains("abc"));
        assert!(pod.to_string().contains("db:5432"));
        let mut secret = json!({"kind": "Secret", "data": {"tls.key": "c2VjcmV0"}});
        assert!(object(&mut secret));
        assert_eq!(secret, json!({"kind": "Secret", "data": {"tls.key": ""}}));
        assert!(!object(&mut secret), "masking twice changes nothing");
    }
}
