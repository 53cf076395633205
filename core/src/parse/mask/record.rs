//! Masks records and Kubernetes objects.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::scan::{self, What};
use super::{HashKey, MASK, access_log, argument, header, variable};
use crate::model::{Kind, Topic};

/// The maps that hold the content of Secrets and `ConfigMap`s.
const CONTENT: [&str; 3] = ["data", "stringData", "binaryData"];
/// The other fields of a Secret that are objects or lists, as the Kubernetes API and as records of
/// agents have them.
const SECRET_MAPS: [&str; 4] = ["metadata", "labels", "annotations", "ownerRefs"];
/// Those that are texts, numbers or flags.
const SECRET_FIELDS: [&str; 19] = [
    "op",
    "at",
    "since",
    "sync_id",
    "client_id",
    "cluster",
    "apiVersion",
    "kind",
    "src",
    "seq",
    "uid",
    "namespace",
    "name",
    "created",
    "deletionTimestamp",
    "resourceVersion",
    "generation",
    "type",
    "immutable",
];
/// How often JSON that is text in JSON is looked into.
const MAX_DOCUMENTS: u8 = 3;

/// What is left of what cannot be masked: no parser reads it.
const NOTHING: &[u8] = b"null";

/// Masks the bytes of a record before it is stored; borrowed if it has no secrets.
pub fn record(topic: Topic, bytes: &[u8]) -> Cow<'_, [u8]> {
    masked(topic, bytes, None)
}

/// The same, and the values of `ConfigMap`s, variables and arguments that nothing reads are
/// replaced by their hash.
pub fn hashed_record<'a>(topic: Topic, bytes: &'a [u8], key: &HashKey) -> Cow<'a, [u8]> {
    masked(topic, bytes, Some(key))
}

fn masked<'a>(topic: Topic, bytes: &'a [u8], key: Option<&HashKey>) -> Cow<'a, [u8]> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Cow::Borrowed(NOTHING);
    };
    let is_state = topic == Topic::Resource;
    let has_values = is_state && key.is_some() && may_have_values(text);
    let may_be_secret = is_state && has_word(text, "secret");
    if !has_values && !may_be_secret && !may_hold_secret(text) {
        return Cow::Borrowed(bytes);
    }
    let Ok(mut value) = serde_json::from_str::<Value>(text) else {
        return Cow::Borrowed(NOTHING);
    };
    let mut mask = Mask {
        is_state,
        key: key.filter(|_| is_state),
        changed: false,
        documents: 0,
    };
    mask.value("", &mut value, None);
    // Written out again even if nothing changed: of a field that occurs twice, the text has a value
    // that the walk did not see.
    match serde_json::to_vec(&value) {
        Ok(masked) => Cow::Owned(masked),
        Err(_) => Cow::Borrowed(bytes),
    }
}

/// Whether the text of a record may hold a secret: searching it is cheaper than reading it.
fn may_hold_secret(text: &str) -> bool {
    // Escapes can hide a secret from the search.
    CONTENT.iter().any(|name| text.contains(name))
        || text.contains("last-applied")
        || text.contains("httpHeaders")
        || text.contains("\\u")
        || text.contains("\\/")
        || access_log::is_possible(text)
        || !scan::ranges(text, What::All, 0).is_empty()
}

/// Whether a text has a word, in whatever case.
fn has_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    text.windows(word.len())
        .any(|w| w.eq_ignore_ascii_case(word))
}

/// Whether the state of an object may have values to replace.
fn may_have_values(text: &str) -> bool {
    ["\"env\"", "\"args\"", "\"command\""]
        .iter()
        .any(|name| text.contains(name))
}

/// Masks a Kubernetes object: the values of Secrets and `ConfigMap`s, env literals, arguments and
/// annotations. Returns whether anything changed.
pub fn object(value: &mut Value) -> bool {
    let mut mask = Mask {
        is_state: true,
        key: None,
        changed: false,
        documents: 0,
    };
    mask.value("", value, None);
    mask.changed
}

/// One walk over a record.
struct Mask<'a> {
    /// The record is the state of objects: content of which the kind is not known is that of a
    /// Secret.
    is_state: bool,
    /// Replaces values that nothing reads.
    key: Option<&'a HashKey>,
    changed: bool,
    /// The depth of documents within documents.
    documents: u8,
}

impl Mask<'_> {
    /// `name` is the field's; `kind` is that of a list's items, which need not repeat it.
    fn value(&mut self, name: &str, value: &mut Value, kind: Option<&Kind>) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|v| self.value(name, v, kind)),
            Value::Object(map) => {
                let is_object = name.is_empty() || map.contains_key("metadata");
                if is_object && self.is_state && is_secret(map, kind) {
                    self.keep_known(map);
                }
                self.map(map, kind);
            }
            Value::String(text) => self.text(name, text),
            Value::Number(number) if variable(name, &number.to_string()) == MASK => {
                self.replace(value, MASK);
            }
            _ => {}
        }
    }

    fn map(&mut self, map: &mut Map<String, Value>, kind: Option<&Kind>) {
        let own = map.get("kind").and_then(Value::as_str).map(Kind::parse);
        let kind = own.as_ref().or(kind);
        let of_items = kind.and_then(of_list);
        let is_config = kind == Some(&Kind::ConfigMap);
        let is_content = self.is_state || kind.is_some();
        let variable_name = map.get("name").and_then(Value::as_str).map(str::to_owned);
        self.drop_copies(map);
        for (name, value) in map.iter_mut() {
            match name.as_str() {
                "data" | "binaryData" if is_config => self.config(value),
                "data" | "stringData" | "binaryData" if is_content => self.blank(value),
                "env" if value.is_array() => self.environment(value),
                // The value of `{"name": "DB_PASSWORD", "value": "…"}`.
                "value" => self.value(variable_name.as_deref().unwrap_or(name), value, None),
                "args" | "command" => self.arguments(value),
                "httpHeaders" => self.headers(value),
                "items" => self.value("", value, of_items.as_ref()),
                _ => self.value(name, value, None),
            }
        }
    }

    /// Removes what a Secret does not have: only of known fields it is clear which hold values.
    fn keep_known(&mut self, map: &mut Map<String, Value>) {
        let before = map.len();
        map.retain(|name, value| {
            let name = name.as_str();
            SECRET_MAPS.contains(&name)
                || CONTENT.contains(&name)
                || SECRET_FIELDS.contains(&name) && !value.is_object() && !value.is_array()
        });
        self.changed |= map.len() != before;
    }

    /// Removes the copy of an object that `kubectl apply` keeps in an annotation.
    fn drop_copies(&mut self, map: &mut Map<String, Value>) {
        let before = map.len();
        map.retain(|name, _| !name.ends_with("last-applied-configuration"));
        self.changed |= map.len() != before;
    }

    /// Removes the values of a Secret; the keys stay.
    fn blank(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => map.values_mut().for_each(|v| self.replace(v, "")),
            // A list of the keys.
            Value::Array(keys) => keys.iter_mut().for_each(|v| self.value("", v, None)),
            Value::Null => {}
            other => self.replace(other, ""),
        }
    }

    /// The values of a `ConfigMap`.
    fn config(&mut self, value: &mut Value) {
        self.value("", value, None);
        let (Some(key), Value::Object(map)) = (self.key, value) else {
            return;
        };
        for text in map.values_mut() {
            if let Value::String(text) = text {
                self.set(text, key.config(&text.clone()));
            }
        }
    }

    /// The variables of a container.
    fn environment(&mut self, value: &mut Value) {
        self.value("", value, None);
        let (Some(key), Value::Array(variables)) = (self.key, value) else {
            return;
        };
        for variable in variables {
            let name = variable.get("name").and_then(Value::as_str);
            let name = name.unwrap_or_default().to_owned();
            if let Some(Value::String(text)) = variable.get_mut("value") {
                self.set(text, key.variable(&name, &text.clone()));
            }
        }
    }

    /// The headers that probes send: which of them carry credentials, only their server knows.
    fn headers(&mut self, value: &mut Value) {
        match value {
            Value::Array(headers) => headers.iter_mut().for_each(|header| self.header(header)),
            Value::Object(headers) => {
                for (_, value) in headers
                    .iter_mut()
                    .filter(|(name, _)| !header::is_plain(name))
                {
                    self.replace(value, MASK);
                }
            }
            _ => {}
        }
        self.value("", value, None);
    }

    fn header(&mut self, header: &mut Value) {
        if let Value::String(line) = header {
            self.set(line, header::line(&line.clone()));
            return;
        }
        let name = header.get("name").and_then(Value::as_str);
        let is_plain = name.is_some_and(header::is_plain);
        if !is_plain && let Some(value) = header.get_mut("value") {
            self.replace(value, MASK);
        }
    }

    fn set(&mut self, text: &mut String, with: Cow<'_, str>) {
        if with != *text {
            *text = with.into_owned();
            self.changed = true;
        }
    }

    fn arguments(&mut self, value: &mut Value) {
        let Value::Array(items) = value else {
            return self.value("", value, None);
        };
        let mut before: Option<String> = None;
        for item in items {
            let Value::String(text) = item else {
                self.value("", item, None);
                continue;
            };
            let masked = argument(before.as_deref(), text).into_owned();
            let masked = match self.key {
                Some(key) => key.argument(before.as_deref(), &masked).into_owned(),
                None => masked,
            };
            before = Some(text.clone());
            self.set(text, masked.into());
        }
    }

    fn text(&mut self, name: &str, text: &mut String) {
        self.document(text);
        let masked = variable(name, text).into_owned();
        self.set(text, masked.into());
    }

    /// Masks a text that is a JSON document as one.
    fn document(&mut self, text: &mut String) {
        if !text.starts_with(['{', '[']) || self.documents == MAX_DOCUMENTS {
            return;
        }
        let Ok(mut inner) = serde_json::from_str::<Value>(text) else {
            return;
        };
        let mut walk = Mask {
            is_state: false,
            key: None,
            changed: false,
            documents: self.documents + 1,
        };
        walk.value("", &mut inner, None);
        if walk.changed {
            self.set(text, inner.to_string().into());
        }
    }

    fn replace(&mut self, value: &mut Value, with: &str) {
        if value.as_str() != Some(with) {
            *value = Value::String(with.to_owned());
            self.changed = true;
        }
    }
}

/// Whether a map is a Secret, by its own kind or that of the list that it is in. A kind is
/// recognized with spaces and in the plural, too: such a record is read as one of an unknown kind.
fn is_secret(map: &Map<String, Value>, of_list: Option<&Kind>) -> bool {
    let own = map.get("kind").and_then(Value::as_str);
    let kind = own.or(of_list.map(Kind::as_str)).unwrap_or_default().trim();
    ["secret", "secrets"]
        .iter()
        .any(|name| kind.eq_ignore_ascii_case(name))
}

/// The kind of a list's items: `SecretList` has Secrets.
fn of_list(kind: &Kind) -> Option<Kind> {
    let name = kind.as_str();
    let name = name.strip_suffix("List").or(name.strip_suffix("list"))?;
    (!name.is_empty()).then(|| Kind::parse(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_a_secret_only_known_fields_are_stored() {
        let known = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
            "metadata": {"name": "db", "namespace": "shop", "labels": {"app": "db"}},
            "data": {"a": ""},
        });
        let stored = |value: &Value| {
            let text = value.to_string();
            let masked = record(Topic::Resource, text.as_bytes()).into_owned();
            serde_json::from_slice::<Value>(&masked).unwrap()
        };
        assert_eq!(stored(&known), known);
        let value = json!({"blob": "Zm9vYmFy"});
        for (name, kind) in [
            ("Data", "Secret"),
            ("stringdata", "secret"),
            ("spec", " Secret "),
            ("status", "Secrets"),
            ("type", "Secret"),
            ("x", "SECRET"),
        ] {
            let mut secret = known.clone();
            secret["kind"] = kind.into();
            secret[name] = value.clone();
            let list = json!({"kind": "List", "items": [secret.clone()]});
            let event = json!({"type": "ADDED", "object": secret.clone()});
            for wrapped in [secret, list, event] {
                let text = stored(&wrapped).to_string();
                assert!(
                    !text.contains("Zm9v") && text.contains("db"),
                    "{name}: {text}"
                );
            }
        }
        // What refers to a Secret is not one.
        let reference = json!({"kind": "Widget", "name": "w",
            "spec": {"from": {"kind": "Secret", "name": "db", "valuesKey": "k"}}});
        assert_eq!(stored(&reference), reference);
    }

    #[test]
    fn nothing_is_left_of_what_cannot_be_masked() {
        for odd in [
            r#"{"kind":"Secret","data":{"a":"b"},"zz":1e999}"#,
            "{\"data\":{\"a\":",
        ] {
            assert_eq!(&*record(Topic::Resource, odd.as_bytes()), NOTHING);
        }
    }

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
