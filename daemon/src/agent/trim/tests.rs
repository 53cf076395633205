use kgrca_core::model::watched::WATCHED;
use kgrca_core::model::{Body, Topic};
use kgrca_core::parse::{Context, parse};

use super::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn kind(name: &str) -> &'static Watched {
    WATCHED.iter().find(|kind| kind.kind == name).unwrap()
}

fn trimmed(kind_name: &str, object: &Value) -> Trimmed {
    upsert(kind(kind_name), &raw(&object.to_string()), "prod", Time(1)).unwrap()
}

fn text(line: Vec<u8>) -> String {
    String::from_utf8(line).unwrap()
}

#[test]
fn a_secret_is_shipped_with_its_keys_only() {
    let secret = json!({
        "metadata": {
            "name": "db",
            "uid": "u",
            "annotations": {"kapp.k14s.io/original": "{data: hunter2}"},
        },
        "type": "Opaque",
        "data": {"password": "aHVudGVyMg=="},
        "stringData": {"x": "hunter2"},
    });
    let line = text(trimmed("Secret", &secret).line);
    assert!(line.contains("\"password\":\"\""), "{line}");
    assert!(
        !line.contains("aHVudGVyMg") && !line.contains("hunter2"),
        "{line}"
    );
}

#[test]
fn a_heartbeat_is_not_a_change_but_a_condition_is() {
    let node = |heartbeat: &str, ready: &str, version: &str| {
        let condition = json!({"type": "Ready", "status": ready, "lastHeartbeatTime": heartbeat});
        let object = json!({
            "metadata": {
                "name": "n",
                "uid": "u",
                "resourceVersion": version,
                "managedFields": [{"manager": "kubelet"}],
            },
            "status": {"conditions": [condition]},
        });
        trimmed("Node", &object)
    };
    assert_eq!(node("1", "True", "7").hash, node("2", "True", "8").hash);
    assert_ne!(node("1", "True", "7").hash, node("1", "False", "7").hash);
    assert!(!text(node("1", "True", "7").line).contains("managedFields"));
}

#[test]
fn who_changed_an_object_last_is_shipped_and_no_change_of_its_own() {
    let object = |kind: &str, at: &str| {
        let manager = |name: &str, at: &str| json!({"manager": name, "operation": "Update", "time": at, "fieldsV1": {"f:data": {}}});
        let status = json!({"manager": "helm", "subresource": "status", "time": at});
        let managers = [
            manager("kube-controller-manager", at),
            manager("helm", "2026-01-01T08:00:00Z"),
            manager("kubectl-edit", at),
            status,
        ];
        let meta = json!({"name": "x", "uid": "u", "managedFields": managers});
        trimmed(kind, &json!({"metadata": meta, "data": {"a": "b"}}))
    };
    let (early, late) = ("2026-01-01T09:00:00Z", "2026-01-01T10:00:00Z");
    let line = text(object("ConfigMap", early).line);
    assert!(
        line.contains("kubectl-edit") && line.contains("helm"),
        "{line}"
    );
    assert!(
        !line.contains("kube-controller-manager") && !line.contains("status"),
        "{line}"
    );
    assert!(!text(object("Pod", early).line).contains("managedFields"));
    assert_eq!(
        object("ConfigMap", early).hash,
        object("ConfigMap", late).hash
    );
    // Its values are not sent: only the time tells that they changed.
    assert_ne!(object("Secret", early).hash, object("Secret", late).hash);
}

fn parsed(topic: Topic, line: &[u8]) -> kgrca_core::model::Record {
    let context = Context {
        received_at: Time(5_000_000),
        ..Context::default()
    };
    let mut records = Vec::new();
    parse(topic, line, &context, &mut records).unwrap();
    records.remove(0)
}

#[test]
fn the_server_parses_every_kind_of_record() {
    let meta = json!({"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "1"});
    let pod = trimmed(
        "Pod",
        &json!({"metadata": meta, "spec": {"containers": []}}),
    );
    let state = parsed(Topic::Resource, &pod.line);
    assert!(matches!(&state.body, Body::State(_, o) if &*o.meta.name == "web"));
    let meta = Meta {
        uid: "u".into(),
        name: "web".into(),
        namespace: "shop".into(),
        ..Meta::default()
    };
    parsed(
        Topic::Resource,
        &delete(kind("Pod"), &meta, "prod", Time(2)),
    );
    let end = ListEnd {
        version: "1",
        began: Time(1),
        ended: Time(3),
    };
    let sync = parsed(Topic::Resource, &sync("Pod", "prod", &end));
    let since = Some(Time(1));
    assert!(matches!(&sync.body, Body::Sync { since: s, .. } if *s == since));
    let event = json!({
        "metadata": {"name": "e", "namespace": "shop", "uid": "e1"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web"},
        "reason": "Failed",
        "type": "Warning",
        "count": 3,
        "lastTimestamp": "1970-01-01T00:00:01Z",
    });
    let event = parsed(Topic::Events, &trimmed("Event", &event).line);
    assert!(matches!(&event.body, Body::Event(e) if e.count == 3 && e.id.as_deref() == Some("e1")));
    assert_eq!(&*event.cluster, "prod");
}
