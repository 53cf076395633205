//! Services, claims, Secrets, `ConfigMap`s, and custom resources.

use serde_json::{Map, Value, json};

use super::super::outline::Block;
use super::workload::selector_pairs;
use super::{Described, time};

pub(super) fn object(described: &Described<'_, '_>) -> Option<Value> {
    custom(described)
        .or_else(|| service(described))
        .or_else(|| claim(described))
        .or_else(|| data(described))
        .or_else(|| scaler(described))
        .or_else(|| named(described))
}

/// A `HorizontalPodAutoscaler`.
fn scaler(described: &Described<'_, '_>) -> Option<Value> {
    let (kind, name) = described.get("Reference")?.split_once('/')?;
    let mut spec = json!({ "scaleTargetRef": { "kind": kind, "name": name } });
    for (key, field) in [
        ("Min replicas", "minReplicas"),
        ("Max replicas", "maxReplicas"),
    ] {
        if let Some(number) = described.get(key).and_then(|n| n.parse::<u32>().ok()) {
            spec[field] = number.into();
        }
    }
    Some(json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {},
        "spec": spec,
        "status": { "conditions": described.conditions() },
    }))
}

/// What only a name and events are read of.
fn named(described: &Described<'_, '_>) -> Option<Value> {
    let has = |key| described.block(key).is_some();
    let (api_version, kind) = if has("Schedule") && has("Concurrency Policy") {
        ("batch/v1", "CronJob")
    } else if has("Rules") && (has("Default backend") || has("Ingress Class")) {
        ("networking.k8s.io/v1", "Ingress")
    } else {
        return None;
    };
    Some(json!({ "apiVersion": api_version, "kind": kind, "metadata": {} }))
}

/// A resource whose kind the text names. What is below `Spec` and `Status` has the fields' names in
/// words.
fn custom(described: &Described<'_, '_>) -> Option<Value> {
    let (kind, api_version) = (described.get("Kind")?, described.get("API Version")?);
    let part = |key| described.block(key).map(|b| value(b)).unwrap_or(json!({}));
    Some(json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {},
        "spec": part("Spec"),
        "status": part("Status"),
    }))
}

/// The value of a block of a custom resource: a list where its fields repeat.
fn value(block: &Block<'_>) -> Value {
    if block.children.is_empty() {
        return match block.value {
            "true" => true.into(),
            "false" => false.into(),
            text => match text.parse::<i64>() {
                Ok(number) => number.into(),
                Err(_) => text.into(),
            },
        };
    }
    let mut items: Vec<Map<String, Value>> = vec![Map::new()];
    for child in &block.children {
        let field = field(child.key);
        let is_repeated = items.last().is_some_and(|item| item.contains_key(&field));
        if is_repeated {
            items.push(Map::new());
        }
        if let Some(item) = items.last_mut() {
            item.insert(field, value(child));
        }
    }
    let is_list = items.len() > 1 || block.key == "Conditions";
    match items.pop() {
        Some(only) if !is_list => only.into(),
        last => items.into_iter().chain(last).map(Value::from).collect(),
    }
}

/// `Last Transition Time` → `lastTransitionTime`
fn field(words: &str) -> String {
    let mut field: String = words.split(' ').collect();
    if let Some(first) = field.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    field
}

fn service(described: &Described<'_, '_>) -> Option<Value> {
    let kind = described.get("Type")?;
    described.block("Session Affinity")?;
    let mut spec = json!({ "type": kind });
    if let Some(selector) = described.block("Selector") {
        spec["selector"] = selector_pairs(selector);
    }
    if let Some(ip) = described.get("IP") {
        spec["clusterIP"] = ip.into();
    }
    let mut ports: Vec<Value> = Vec::new();
    for block in described.blocks {
        // `Port:  http  80/TCP` and `TargetPort:  8080/TCP`
        let number = block
            .value
            .split_whitespace()
            .last()
            .and_then(|p| p.split('/').next());
        match (block.key, number) {
            ("Port", Some(number)) => {
                let name = block
                    .value
                    .split_whitespace()
                    .next()
                    .filter(|n| *n != "<unset>");
                ports.push(json!({ "port": number.parse::<u16>().ok()?, "name": name }));
            }
            ("TargetPort", Some(number)) => {
                if let Some(port) = ports.last_mut() {
                    port["targetPort"] = match number.parse::<u16>() {
                        Ok(number) => number.into(),
                        Err(_) => number.into(),
                    };
                }
            }
            _ => {}
        }
    }
    spec["ports"] = ports.into();
    Some(json!({ "apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec }))
}

fn claim(described: &Described<'_, '_>) -> Option<Value> {
    described.block("Used By")?;
    let mut spec = json!({});
    for (key, field) in [
        ("StorageClass", "storageClassName"),
        ("Volume", "volumeName"),
    ] {
        if let Some(text) = described.get(key) {
            spec[field] = text.into();
        }
    }
    let phase = described.get("Status")?;
    Some(json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {},
        "spec": spec,
        "status": { "phase": phase },
    }))
}

/// A Secret or `ConfigMap` with the names of its keys; values are left out.
fn data(described: &Described<'_, '_>) -> Option<Value> {
    let all = described.block("Data")?;
    let is_secret = described.block("Type").is_some();
    let is_key = |block: &&Block<'_>| block.line.contains(':') && !block.line.starts_with("==");
    let keys = all.children.iter().chain(
        described
            .blocks
            .iter()
            .skip_while(|b| b.key != "Data")
            .skip(1),
    );
    let keys = keys
        .filter(is_key)
        .filter(|b| b.key != "Events" && b.key != "BinaryData");
    let data: Map<String, Value> = keys.map(|b| (b.key.to_owned(), "".into())).collect();
    let mut object = json!({
        "apiVersion": "v1",
        "kind": if is_secret { "Secret" } else { "ConfigMap" },
        "metadata": {},
        "data": data,
    });
    if let Some(created) = described.get("Created").and_then(time) {
        object["metadata"]["creationTimestamp"] = created.to_string().into();
    }
    Some(object)
}
