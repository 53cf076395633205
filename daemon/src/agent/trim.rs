//! Turns an object of the Kubernetes API into a record: without fields that nothing reads, and
//! without values that may be secret.

use std::hash::BuildHasher;

use kgrca_core::model::Time;
use kgrca_core::model::watched::Watched;
use kgrca_core::parse::mask;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The metadata that identifies an object and its version.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The uid.
    pub uid: String,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The resource version.
    pub resource_version: String,
}

/// A record of an object.
#[derive(Debug)]
pub struct Trimmed {
    /// One JSON object, without the line break.
    pub line: Vec<u8>,
    /// Hash of the object without versions and heartbeats, to recognize unchanged objects.
    pub hash: u64,
}

/// The end of a listing.
pub struct ListEnd<'a> {
    /// Resource version of the list.
    pub version: &'a str,
    /// When the listing began: objects seen since are not deleted by it.
    pub began: Time,
    /// When it ended.
    pub ended: Time,
}

/// Reads only the metadata of an object.
///
/// # Errors
/// If it is not an object with metadata.
pub fn metadata(object: &RawValue) -> serde_json::Result<Meta> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Meta,
    }
    serde_json::from_str::<Object>(object.get()).map(|object| object.metadata)
}

/// The record of an existing object. Objects of the kind `Secret` keep only their keys.
///
/// # Errors
/// If it is not a JSON object.
pub fn upsert(
    kind: &Watched,
    object: &RawValue,
    cluster: &str,
    at: Time,
) -> serde_json::Result<Trimmed> {
    let mut map: Map<String, Value> = if kind.kind == "Secret" {
        keys_of_secret(object)?
    } else {
        serde_json::from_str(object.get())?
    };
    // Items of a list lack these.
    map.insert("kind".into(), kind.kind.into());
    map.insert("apiVersion".into(), kind.api_version().into());
    strip(kind, &mut map);
    let mut value = Value::Object(map);
    mask::object(&mut value);
    let hash = hash(&value);
    if let Value::Object(map) = &mut value {
        // Events carry their own times.
        if kind.kind != "Event" {
            map.insert("op".into(), "UPSERT".into());
            map.insert("at".into(), at.to_string().into());
        }
        map.insert("cluster".into(), cluster.into());
    }
    Ok(Trimmed {
        line: serde_json::to_vec(&value)?,
        hash,
    })
}

/// The record of a deleted object.
pub fn delete(kind: &Watched, meta: &Meta, cluster: &str, at: Time) -> Vec<u8> {
    let record = json!({
        "op": "DELETE",
        "at": at.to_string(),
        "cluster": cluster,
        "apiVersion": kind.api_version(),
        "kind": kind.kind,
        "uid": meta.uid,
        "namespace": meta.namespace,
        "name": meta.name,
    });
    record.to_string().into_bytes()
}

/// The record that ends a listing of a kind.
pub fn sync(kind: &str, cluster: &str, end: &ListEnd<'_>) -> Vec<u8> {
    let record = json!({
        "op": "SYNC",
        "at": end.ended.to_string(),
        "since": end.began.to_string(),
        "sync_id": end.version,
        "cluster": cluster,
        "kind": kind,
    });
    record.to_string().into_bytes()
}

/// A Secret with its keys only: the values are skipped by the parser.
fn keys_of_secret(object: &RawValue) -> serde_json::Result<Map<String, Value>> {
    #[expect(
        clippy::zero_sized_map_values,
        reason = "the input is a map; its values must not be kept"
    )]
    #[derive(Deserialize)]
    struct Secret {
        metadata: Map<String, Value>,
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(default)]
        data: Option<std::collections::BTreeMap<String, serde::de::IgnoredAny>>,
    }
    let secret: Secret = serde_json::from_str(object.get())?;
    // Tools keep copies of the object in annotations.
    let mut metadata = secret.metadata;
    metadata.remove("annotations");
    let keys: Map<String, Value> = secret
        .data
        .unwrap_or_default()
        .into_keys()
        .map(|k| (k, "".into()))
        .collect();
    Ok(Map::from_iter([
        ("metadata".to_owned(), metadata.into()),
        ("type".to_owned(), secret.kind.into()),
        ("data".to_owned(), keys.into()),
    ]))
}

/// Removes the copy that `kubectl apply` keeps, and field managers but those that changed something
/// last: most of the size of many objects.
fn strip(kind: &Watched, map: &mut Map<String, Value>) {
    let Some(Value::Object(meta)) = map.get_mut("metadata") else {
        return;
    };
    let managers = meta
        .remove("managedFields")
        .and_then(|managers| last_managers(kind, managers));
    if let Some(managers) = managers {
        meta.insert("managedFields".to_owned(), managers);
    }
    meta.remove("selfLink");
    if let Some(Value::Object(annotations)) = meta.get_mut("annotations") {
        annotations.retain(|name, _| !name.ends_with("last-applied-configuration"));
    }
}

/// How many field managers are sent: whoever changed a field is among the last.
const MAX_MANAGERS: usize = 3;

/// The people and programs that changed an object's fields last: not controllers, which set what
/// follows, and not for objects that follow from others.
fn last_managers(kind: &Watched, managers: Value) -> Option<Value> {
    if matches!(
        kind.kind,
        "Pod" | "ReplicaSet" | "EndpointSlice" | "Lease" | "Event" | "Job"
    ) {
        return None;
    }
    let Value::Array(mut managers) = managers else {
        return None;
    };
    managers.retain(|manager| {
        let name = manager["manager"].as_str().unwrap_or_default();
        let is_controller = name.starts_with("kube") && !name.starts_with("kubectl");
        manager["subresource"].as_str() != Some("status") && !is_controller
    });
    managers.sort_by(|a, b| b["time"].as_str().cmp(&a["time"].as_str()));
    managers.truncate(MAX_MANAGERS);
    (!managers.is_empty()).then_some(Value::Array(managers))
}

/// Hashes an object without what changes although nothing happened: versions and heartbeats.
fn hash(value: &Value) -> u64 {
    let mut plain = value.clone();
    let plain_kind = value["kind"].as_str().unwrap_or_default();
    if let Some(meta) = plain.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("resourceVersion");
        // That the content of a Secret changed shows only there.
        if plain_kind != "Secret" {
            meta.remove("managedFields");
        }
    }
    if let Some(conditions) = plain
        .pointer_mut("/status/conditions")
        .and_then(Value::as_array_mut)
    {
        for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
            condition.remove("lastHeartbeatTime");
            condition.remove("lastProbeTime");
        }
    }
    foldhash::fast::FixedState::default().hash_one(plain.to_string())
}

#[cfg(test)]
mod tests;
