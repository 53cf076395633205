//! Records that end something: deletions and the ends of listings. They are stored with what
//! identifies them only, whatever else they were sent with.

use serde_json::{Map, Value, json};

use crate::model::{Body, Edge, Op, Record, Subject};

/// What is stored of a record that only ends something; `None` for others.
pub fn encode_ending(record: &Record) -> Option<Vec<u8>> {
    let mut value = match &record.body {
        Body::State(Op::Delete, object) => {
            let meta = &object.meta;
            let mut value = json!({"op": "DELETE", "kind": meta.kind.as_str()});
            let texts = [
                ("namespace", Some(&meta.namespace)),
                ("name", Some(&meta.name)),
                ("uid", meta.uid.as_ref()),
            ];
            for (name, text) in texts {
                if let Some(text) = text.filter(|text| !text.is_empty()) {
                    value[name] = (&**text).into();
                }
            }
            value
        }
        Body::Sync { kind, since } => {
            let mut value = json!({"op": "SYNC", "kind": kind.as_str()});
            if let Some(since) = since {
                value["since"] = since.to_string().into();
            }
            value
        }
        Body::Topology(Op::Delete, edge) => of_edge(edge),
        _ => return None,
    };
    value["at"] = record.at.to_string().into();
    value["cluster"] = (&*record.cluster).into();
    if let Some((source, number)) = &record.sequence {
        value["src"] = (&**source).into();
        value["seq"] = (*number).into();
    }
    serde_json::to_vec(&value).ok()
}

fn of_edge(edge: &Edge) -> Value {
    let fields = [
        ("op", "DELETE".to_owned()),
        ("id", edge.id.to_string()),
        ("from", end(&edge.from)),
        ("to", end(&edge.to)),
        ("type", edge.relation.to_string()),
    ];
    let fields = fields
        .into_iter()
        .map(|(name, v)| (name.to_owned(), v.into()));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// An end of an edge as topology records have it.
fn end(subject: &Subject) -> String {
    let Subject {
        kind,
        uid,
        namespace,
        name,
    } = subject;
    match uid {
        Some(uid) if name.is_empty() => format!("{kind}:{uid}"),
        _ if namespace.is_empty() => format!("{kind}:{name}"),
        _ => format!("{kind}:{namespace}:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::MINUTE;
    use crate::model::{Time, Topic};
    use crate::parse::{Context, parse};

    /// Reads a record that arrived at a minute of 2026.
    fn read(topic: Topic, text: &[u8], minute: i64) -> Record {
        let start = Time::parse("2026-01-01T00:00:00Z").unwrap();
        let context = Context {
            received_at: start.plus(minute * MINUTE),
            cluster: Some("other"),
            ..Context::default()
        };
        let mut records = Vec::new();
        parse(topic, text, &context, &mut records).unwrap();
        records.remove(0)
    }

    #[test]
    fn what_is_stored_of_an_ending_reads_as_what_was_sent_and_is_short() {
        let junk = "x".repeat(400_000);
        let state = [
            json!({"op": "DELETE", "kind": "Pod", "namespace": "shop", "name": "a", "uid": "u"}),
            json!({"op": "delete", "kind": "Pod", "uid": "u", "seq": 3, "src": "s", "at": junk}),
            json!({"op": "DELETE", "kind": "Node", "metadata": {"name": "n", "namespace": junk}}),
            json!({"op": "DELETE", "kind": "Service", "apiVersion": "serving.knative.dev/v1",
                "metadata": {"name": "n", "namespace": "shop"}, "status": {"a": junk}}),
            json!({"op": "SYNC", "kind": "Pod", "at": "2026-01-01T00:00:00.000001Z"}),
            json!({"op": "SYNC", "kind": "Gadget", "since": "2026-01-01T00:00:00Z",
                "sync_id": junk, "cluster": "prod"}),
        ];
        let edge = |from: &str, to: &str| {
            let mut edge = json!({"op": "DELETE", "from": from, "to": to});
            edge["type"] = "CALLS".into();
            edge["junk"] = junk.clone().into();
            edge
        };
        let edges = [
            edge("pod:shop:a", "service:shop:b"),
            edge("node:n", "pod:0c1e"),
            edge(&format!("node:{junk}:n"), "gadget:shop:a:b"),
        ];
        let state = state.into_iter().map(|v| (Topic::Resource, v));
        let edges = edges.into_iter().map(|v| (Topic::Topology, v));
        for (topic, mut sent) in state.chain(edges) {
            if topic == Topic::Resource {
                sent["junk"] = junk.clone().into();
            }
            let record = read(topic, sent.to_string().as_bytes(), 1);
            let stored = encode_ending(&record).unwrap();
            assert!(stored.len() < 1000, "{} bytes", stored.len());
            let again = read(topic, &stored, 9);
            assert_eq!(format!("{again:?}"), format!("{record:?}"));
        }
    }

    #[test]
    fn what_adds_something_is_stored_as_it_is() {
        let pod = read(Topic::Resource, br#"{"kind":"Pod","name":"a"}"#, 1);
        assert!(encode_ending(&pod).is_none());
    }
}
