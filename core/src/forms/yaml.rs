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
    if expands(text) {
        return Err(Unread {
            looks_like: "YAML that refers to parts of itself very often".into(),
            hint: "write it without anchors, such as with `kubectl get … -o json`".into(),
        });
    }
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

/// Largest product of a text's size and the number of its references to anchors: each may repeat
/// much of the text.
const MAX_EXPANDED: usize = 64 << 20;

fn expands(text: &str) -> bool {
    let references = text.matches(": *").count() + text.matches("- *").count();
    let references = references + text.matches("[*").count() + text.matches(", *").count();
    references.saturating_mul(text.len()) > MAX_EXPANDED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_do_not_fill_the_memory() {
        let few = "kind: Pod\nmetadata: {name: a, labels: &l {app: a}}\nspec: {selector: *l}\n";
        let found = read(few).unwrap();
        assert!(String::from_utf8_lossy(&found.json).contains(r#""selector":{"app":"a"}"#));
        let items = "- x\n".repeat(20_000);
        let many = format!("kind: &a\n{items}items:\n{}", "- *a\n".repeat(20_000));
        assert!(read(&many).is_err());
    }
}
