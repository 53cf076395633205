//! YAML: what `kubectl -o yaml` prints, must-gather's files, manifests.

use serde::Deserialize;
use serde_json::Value;

use super::{Found, Unread};

/// How many lines from the start of a text show whether it is YAML.
const HEAD: usize = 200;

/// Whether a text is YAML with Kubernetes objects: it has a document's mark or one of their keys
/// where a line begins, before anything that no YAML has there.
pub(super) fn is_yaml(text: &str) -> bool {
    let lines = text.lines().take(HEAD);
    let mut lines = lines.filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.next().is_some_and(|first| {
        first.trim_end() == "---"
            || first.starts_with("%YAML")
            || [
                "apiVersion:",
                "kind:",
                "items:",
                "metadata:",
                "- apiVersion:",
            ]
            .iter()
            .any(|key| first.starts_with(key))
    })
}

pub(super) fn read(text: &str) -> Result<Found, Unread> {
    let mut found = Found::default();
    for (i, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        match Value::deserialize(document) {
            Ok(Value::Null) => {}
            Ok(value) => found.push(&value),
            Err(e) if i == 0 => {
                return Err(Unread {
                    looks_like: format!("invalid YAML: {e}"),
                    hint: "write it again, such as with `kubectl get all,events -A -o yaml`".into(),
                });
            }
            // What follows cannot be found: the parser has lost the boundary.
            Err(_) => {
                found.left_out += 1;
                break;
            }
        }
    }
    Ok(found)
}
