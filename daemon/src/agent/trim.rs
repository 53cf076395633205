//! An object as the API serves it becomes a record: without what nobody reads, and without what may
//! be a secret.

use std::hash::BuildHasher;

use kgrca_core::model::Time;
use kgrca_core::parse::mask;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What is needed to know an object again.
#[derive(Debug, Deserialize)]
pub struct Known {
    /// Its metadata.
    pub metadata: Meta,
}

/// Metadata of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Its uid.
    pub uid: String,
    /// Its namespace; empty where it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub resource_version: String,
}

/// A record of an object.
#[derive(Debug)]
pub struct Trimmed {
    /// A line of JSON without its break, with `op`, `at` and `cluster`.
    pub line: Vec<u8>,
    /// Of what it says, without what moves by itself.
    pub hash: u64,
}

/// Reads an object's metadata alone.
///
/// # Errors
/// When it is no object.
pub fn known(object: &RawValue) -> serde_json::Result<Meta> {
    serde_json::from_str::<Known>(object.get()).map(|k| k.metadata)
}

/// Makes the record of an object that is there.
///
/// # Errors
/// When it is no object.
pub fn upsert(
    kind: &str,
    api_version: &str,
    object: &RawValue,
    cluster: &str,
    at: Time,
) -> serde_json::Result<Trimmed> {
    // Items of a list do not say what they are.
    let mut map: Map<String, Value> = if kind == "Secret" {
        keys_of_secret(object)?
    } else {
        serde_json::from_str(object.get())?
    };
    map.insert("kind".into(), kind.into());
    map.insert("apiVersion".into(), api_version.into());
    strip(&mut map);
    let mut value = Value::Object(map);
    mask::object(&mut value);
    let hash = hash(&value);
    if let Value::Object(map) = &mut value {
        // An Event has an `at` of its own: its times.
        if kind != "Event" {
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

/// Makes the record of an object that is gone.
pub fn delete(kind: &str, api_version: &str, meta: &Meta, cluster: &str, at: Time) -> Vec<u8> {
    let gone = serde_json::json!({"op": "DELETE", "at": at.to_string(), "cluster": cluster, "apiVersion": api_version, "kind": kind,
        "uid": meta.uid, "namespace": meta.namespace, "name": meta.name});
    gone.to_string().into_bytes()
}

/// Makes the record that ends a listing which began at `since`.
pub fn sync(kind: &str, cluster: &str, id: &str, since: Time, at: Time) -> Vec<u8> {
    let end = serde_json::json!({"op": "SYNC", "at": at.to_string(), "since": since.to_string(), "sync_id": id, "cluster": cluster, "kind": kind});
    end.to_string().into_bytes()
}

/// A Secret whose values were skipped unread.
fn keys_of_secret(object: &RawValue) -> serde_json::Result<Map<String, Value>> {
    #[expect(
        clippy::zero_sized_map_values,
        reason = "a set would read a list; values are skipped unread"
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
    // Tools keep copies of the whole object in annotations.
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

/// Who wrote which field, and the copy that kubectl keeps, are the larger part of many objects.
fn strip(map: &mut Map<String, Value>) {
    let Some(Value::Object(meta)) = map.get_mut("metadata") else {
        return;
    };
    meta.remove("managedFields");
    meta.remove("selfLink");
    if let Some(Value::Object(annotations)) = meta.get_mut("annotations") {
        annotations.retain(|name, _| !name.ends_with("last-applied-configuration"));
    }
}

/// Versions and heartbeats move although nothing happened.
fn hash(value: &Value) -> u64 {
    let mut plain = value.clone();
    if let Some(meta) = plain.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("resourceVersion");
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
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_secret_leaves_with_its_keys_alone() {
        let secret = raw(
            r#"{"metadata":{"name":"db","uid":"u","annotations":{"kapp.k14s.io/original":"{data: hunter2}"}},"type":"Opaque","data":{"password":"aHVudGVyMg=="},"stringData":{"x":"hunter2"}}"#,
        );
        let text = String::from_utf8(
            upsert("Secret", "v1", &secret, "prod", Time(0))
                .unwrap()
                .line,
        )
        .unwrap();
        assert!(
            text.contains("\"password\":\"\"")
                && !text.contains("aHVudGVyMg")
                && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn a_heartbeat_is_no_change_and_a_condition_is() {
        let node = |beat: &str, ready: &str, version: &str| {
            let text = format!(
                r#"{{"metadata":{{"name":"n","uid":"u","resourceVersion":"{version}","managedFields":[{{"manager":"kubelet"}}]}},"status":{{"conditions":[{{"type":"Ready","status":"{ready}","lastHeartbeatTime":"{beat}"}}]}}}}"#
            );
            upsert("Node", "v1", &raw(&text), "prod", Time(0)).unwrap()
        };
        assert_eq!(node("1", "True", "7").hash, node("2", "True", "8").hash);
        assert_ne!(node("1", "True", "7").hash, node("1", "False", "7").hash);
        assert!(
            !String::from_utf8(node("1", "True", "7").line)
                .unwrap()
                .contains("managedFields")
        );
    }

    #[test]
    fn every_record_is_one_that_the_server_reads() {
        use kgrca_core::model::{Body, Topic};
        use kgrca_core::parse::{Context, parse};
        let context = Context {
            received_at: Time(5_000_000),
            ..Context::default()
        };
        let pod = upsert(
            "Pod",
            "v1",
            &raw(r#"{"metadata":{"name":"web","namespace":"shop","uid":"u","resourceVersion":"1"},"spec":{"containers":[]}}"#),
            "prod",
            Time(1),
        )
        .unwrap();
        let gone = delete(
            "Pod",
            "v1",
            &Meta {
                uid: "u".into(),
                name: "web".into(),
                namespace: "shop".into(),
                ..Meta::default()
            },
            "prod",
            Time(2),
        );
        let end = sync("Pod", "prod", "1", Time(1), Time(3));
        let mut read = Vec::new();
        for line in [&pod.line, &gone, &end] {
            parse(Topic::Resource, line, &context, &mut read).unwrap();
        }
        assert!(matches!(&read[0].body, Body::State(_, o) if &*o.meta.name == "web"));
        assert!(
            matches!(
                &read[2].body,
                Body::Sync {
                    since: Some(Time(1)),
                    ..
                }
            ),
            "{:?}",
            read[2].body
        );
        let event = upsert("Event", "v1", &raw(r#"{"metadata":{"name":"e","namespace":"shop","uid":"e1"},"involvedObject":{"kind":"Pod","namespace":"shop","name":"web"},"reason":"Failed","type":"Warning","count":3,"lastTimestamp":"1970-01-01T00:00:01Z"}"#), "prod", Time(9)).unwrap();
        read.clear();
        parse(Topic::Events, &event.line, &context, &mut read).unwrap();
        assert!(
            matches!(&read[0].body, Body::Event(e) if e.count == 3 && e.id.as_deref() == Some("e1"))
        );
        assert_eq!(&*read[0].cluster, "prod");
    }
}
