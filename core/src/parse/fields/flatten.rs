//! The leaves of a value with their paths. Items of lists are known by what Kubernetes merges them
//! by, so that their order says nothing where it does not in Kubernetes.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use serde_json::Value;

use crate::model::object::fields::{CUT, HASH};

/// Most characters of one value; of a longer one, its start and a hash are kept.
const MAX_VALUE: usize = 400;
/// Most bytes that the leaves of an object take, and most of one path: what is beyond is not compared.
const MAX_LEAVES: usize = 64 << 10;
const MAX_PATH: usize = 400;
/// Lists whose order matters.
const ORDERED: [&str; 2] = ["command", "args"];
/// Lists of objects whose order says nothing.
const SETS: [&str; 5] = ["ingress", "egress", "from", "to", "tolerations"];

pub(super) fn hash(text: &str) -> String {
    format!(
        "{:016x}",
        foldhash::fast::FixedState::default().hash_one(text)
    )
}

/// The leaves of an object, of bounded size: a record of a megabyte may have thousands below one long
/// name, and each has its whole path.
#[derive(Default)]
pub(super) struct Leaves {
    all: Vec<(String, String)>,
    bytes: usize,
}

impl Leaves {
    /// Adds a leaf, if there is room.
    pub(super) fn push(&mut self, leaf: (String, String)) {
        let bytes = self.bytes + leaf.0.len() + leaf.1.len();
        if leaf.0.len() <= MAX_PATH && bytes <= MAX_LEAVES {
            self.bytes = bytes;
            self.all.push(leaf);
        }
    }

    /// All of them.
    pub(super) fn into_all(self) -> Vec<(String, String)> {
        self.all
    }
}

/// Adds the leaves of a value; `name` is the last field of the path.
pub(super) fn flatten(path: &mut String, name: &str, value: &Value, out: &mut Leaves) {
    let length = path.len();
    if length > MAX_PATH || out.bytes + length > MAX_LEAVES {
        return;
    }
    match value {
        Value::Null => {}
        // The schema of a custom resource is larger than all else of a cluster.
        Value::Object(_) if name == "openAPIV3Schema" => {
            out.push((
                path.clone(),
                format!("\"{HASH}{}\"", hash(&value.to_string())),
            ));
        }
        Value::Object(map) if !map.is_empty() => {
            // The API server writes the name of the account twice.
            let is_copy =
                |key: &str| key == "serviceAccount" && map.contains_key("serviceAccountName");
            for (key, value) in map.iter().filter(|(key, _)| !is_copy(key)) {
                *path = join(path, key);
                flatten(path, key, value, out);
                path.truncate(length);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (key, item) in keyed(name, items) {
                path.push_str(&format!("[{key}]"));
                flatten(path, "", item, out);
                path.truncate(length);
            }
        }
        Value::Array(items) if !ORDERED.contains(&name) => {
            let mut sorted = items.clone();
            sorted.sort_by_key(ToString::to_string);
            out.push((path.clone(), leaf(&Value::Array(sorted))));
        }
        _ => out.push((path.clone(), leaf(value))),
    }
}

/// A path with one more field.
pub(super) fn join(path: &str, key: &str) -> String {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$' | b'/');
    if !key.is_empty() && key.bytes().all(is_word) {
        format!("{path}.{key}")
    } else {
        format!("{path}[{}]", Value::from(key))
    }
}

/// A value as JSON on one line, of bounded length.
pub(super) fn leaf(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= MAX_VALUE {
        return value.to_string();
    }
    let start: String = text.chars().take(MAX_VALUE).collect();
    Value::from(format!("{start}{CUT}{}", hash(&text))).to_string()
}

/// The items of a list with what identifies each: their place only if nothing else does.
fn keyed<'a>(list: &str, items: &'a [Value]) -> Vec<(String, &'a Value)> {
    let keys: Option<Vec<String>> = items.iter().map(|item| key(list, item)).collect();
    let Some(keys) = keys else {
        let mut items: Vec<&Value> = items.iter().collect();
        if SETS.contains(&list) {
            items.sort_by_key(ToString::to_string);
        }
        return items
            .into_iter()
            .enumerate()
            .map(|(i, item)| (i.to_string(), item))
            .collect();
    };
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let numbered = keys.into_iter().map(|key| {
        let key = key.replace(|c: char| matches!(c, '[' | ']') || c.is_control(), "");
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 {
            key
        } else {
            format!("{key}#{count}")
        }
    });
    numbered.zip(items).collect()
}

/// What identifies an item of a list.
fn key(list: &str, item: &Value) -> Option<String> {
    let text = |name: &str| match item.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let texts = |name: &str| {
        let items = item.get(name)?.as_array()?.iter();
        let items: Vec<&str> = items.filter_map(Value::as_str).collect();
        (!items.is_empty()).then(|| items.join(","))
    };
    let first = |names: &[&str]| names.iter().find_map(|name| text(name));
    let all = |names: &[&str]| {
        let parts: Vec<String> = names.iter().filter_map(|name| text(name)).collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    };
    match list {
        "ports" => first(&["name", "containerPort", "port"]),
        "volumeMounts" => text("mountPath"),
        "volumeDevices" => text("devicePath"),
        "tolerations" | "taints" => all(&["key", "value", "effect"]),
        "topologySpreadConstraints" => text("topologyKey"),
        "subjects" => all(&["kind", "namespace", "name"]),
        "rules" if item.get("verbs").is_some() => {
            let groups = texts("apiGroups").filter(|groups| !groups.is_empty());
            let what = texts("resources").or_else(|| texts("nonResourceURLs"))?;
            Some(match groups {
                Some(groups) => format!("{groups}/{what}"),
                None => what,
            })
        }
        "rules" => text("host").or_else(|| text("name")),
        "paths" => text("path"),
        "hostAliases" => text("ip"),
        "envFrom" => {
            let sources = ["configMapRef", "secretRef"];
            let mut found = sources
                .iter()
                .filter_map(|s| Some((s, item.get(s)?.get("name")?)));
            found.find_map(|(source, name)| Some(format!("{source}/{}", name.as_str()?)))
        }
        "limits" => text("type"),
        "metrics" => {
            let kind = text("type")?;
            let name = [
                "resource",
                "pods",
                "object",
                "external",
                "containerResource",
            ];
            let mut sources = name.iter().filter_map(|name| item.get(name));
            let metric = sources.find_map(|source| {
                let name = source
                    .get("name")
                    .or_else(|| source.pointer("/metric/name"));
                name.and_then(Value::as_str).map(str::to_owned)
            });
            Some(format!("{kind}/{}", metric.unwrap_or_default()))
        }
        _ => text("name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_with_many_fields_below_takes_no_more_than_others() {
        let fields = (0..3000).map(|i| (format!("k{i}"), Value::from(i)));
        let inner = Value::Object(fields.collect());
        for name in ["a".repeat(500_000), "a".repeat(300)] {
            let object = Value::Object([(name, inner.clone())].into_iter().collect());
            let mut leaves = Leaves::default();
            flatten(&mut "spec".to_owned(), "spec", &object, &mut leaves);
            let all = leaves.into_all();
            let bytes: usize = all.iter().map(|(path, text)| path.len() + text.len()).sum();
            assert!(bytes <= MAX_LEAVES, "{bytes}");
        }
    }
}
