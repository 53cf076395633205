//! Identifiers: what records refer to clusters, objects and senders by. They become keys of rows,
//! nodes and frames, and are shown in terminals: so they are short and have no control characters.

use super::{Reason, Reject};
use crate::model::object::{Labels, Meta, OwnerRef};
use crate::model::{Body, Edge, Kind, Record, Str, Subject};

/// Longest name of a cluster, namespace or object, in bytes: that of a DNS subdomain, as in the
/// Kubernetes API.
const NAME: usize = 253;
/// Longest uid or event id, in bytes. Kubernetes has 36; others send paths and hashes.
const UID: usize = 256;
/// Longest kind, reason or type of an edge, in bytes; 128 is the API's limit for reasons.
const WORD: usize = 128;
/// Longest id of an edge, in bytes: without one, both of its ends are its id.
const EDGE: usize = 2048;

/// Longest key of a label, in bytes: a prefix of a DNS subdomain and a name, as in the Kubernetes
/// API.
const LABEL_KEY: usize = 317;
/// Longest value of a label, in bytes. The API has 63; others send names of objects.
pub(super) const LABEL_VALUE: usize = NAME;
/// Most bytes that the labels of an object may have together.
const LABELS: usize = 64 << 10;
/// Most bytes of the labels of an alert. Alertmanager's have a few hundred.
const ALERT_LABELS: usize = 16 << 10;
/// Most bytes that are kept of the annotations of an alert; their names alone must have less.
pub(super) const ANNOTATIONS: usize = 32 << 10;

/// Trims the identifiers of a record.
///
/// # Errors
/// Names the first one that is too long or has characters that nothing can be called by.
pub(super) fn normalize(record: &mut Record) -> Result<(), Reject> {
    one("cluster", &mut record.cluster, NAME)?;
    if record.cluster.is_empty() {
        return Err(Reject::new(
            Reason::ClusterMissing,
            "the name of the cluster is blank",
        ));
    }
    if let Some((source, _)) = &mut record.sequence {
        one("src", source, NAME)?;
    }
    match &mut record.body {
        Body::State(_, object) => meta(&mut object.meta),
        Body::Sync { kind, .. } => kind_name(kind),
        Body::Topology(_, edge) => ends(edge),
        Body::Event(event) => {
            optional("event_id", &mut event.id, UID)?;
            one("reason", &mut event.reason, WORD)?;
            subject(&mut event.subject)
        }
        Body::Change(change) => {
            optional("event_id", &mut change.id, UID)?;
            one("reason", &mut change.reason, WORD)?;
            optional("by", &mut change.by, NAME)?;
            optional("source", &mut change.source, NAME)?;
            optional("revision", &mut change.revision, UID)?;
            change.subject.as_mut().map(subject).unwrap_or(Ok(()))
        }
        Body::Log(line) => {
            optional("container", &mut line.container, NAME)?;
            subject(&mut line.subject)
        }
        Body::Alert(alert) => {
            one("fingerprint", &mut alert.fingerprint, UID)?;
            one("alertname", &mut alert.name, NAME)?;
            alert_labels(&alert.labels)?;
            names_of_annotations(&alert.annotations)?;
            subject(&mut alert.subject)
        }
        Body::Tick | Body::Act(_) => Ok(()),
    }
}

fn meta(meta: &mut Meta) -> Result<(), Reject> {
    kind_name(&mut meta.kind)?;
    optional("uid", &mut meta.uid, UID)?;
    one("namespace", &mut meta.namespace, NAME)?;
    one("name", &mut meta.name, NAME)?;
    labels(&meta.labels)?;
    let Some(owners) = std::sync::Arc::get_mut(&mut meta.owners) else {
        return Ok(());
    };
    owners.iter_mut().try_for_each(owner)
}

fn labels(labels: &Labels) -> Result<(), Reject> {
    let mut all = 0;
    for (key, value) in labels.iter() {
        bounded("key of a label", key, LABEL_KEY)?;
        bounded("value of a label", value, LABEL_VALUE)?;
        all += key.len() + value.len();
    }
    in_all("labels", all, LABELS)
}

/// The values of an alert's labels are cut later.
fn alert_labels(labels: &Labels) -> Result<(), Reject> {
    let mut all = 0;
    for (key, value) in labels.iter() {
        bounded("key of a label", key, LABEL_KEY)?;
        all += key.len() + value.len().min(4 * LABEL_VALUE);
    }
    in_all("labels", all, ALERT_LABELS)
}

fn names_of_annotations(annotations: &Labels) -> Result<(), Reject> {
    let names = annotations.iter().map(|(name, _)| name.len()).sum();
    in_all("names of annotations", names, ANNOTATIONS)
}

fn in_all(what: &str, bytes: usize, max: usize) -> Result<(), Reject> {
    if bytes > max {
        return Err(invalid(format!(
            "`{what}` have {bytes} bytes; the maximum is {max}"
        )));
    }
    Ok(())
}

fn bounded(what: &str, text: &str, max: usize) -> Result<(), Reject> {
    if text.len() > max {
        return Err(invalid(format!(
            "`{what}` has {} bytes; the maximum is {max}",
            text.len()
        )));
    }
    Ok(())
}

fn owner(owner: &mut OwnerRef) -> Result<(), Reject> {
    one("kind of an owner", &mut owner.kind, WORD)?;
    one("name of an owner", &mut owner.name, NAME)?;
    optional("uid of an owner", &mut owner.uid, UID)
}

fn ends(edge: &mut Edge) -> Result<(), Reject> {
    one("id", &mut edge.id, EDGE)?;
    one("type", &mut edge.relation, WORD)?;
    subject(&mut edge.from)?;
    subject(&mut edge.to)
}

fn subject(subject: &mut Subject) -> Result<(), Reject> {
    kind_name(&mut subject.kind)?;
    optional("uid", &mut subject.uid, UID)?;
    one("namespace", &mut subject.namespace, NAME)?;
    one("name", &mut subject.name, NAME)
}

fn kind_name(kind: &mut Kind) -> Result<(), Reject> {
    match kind {
        Kind::Other(name) => one("kind", name, WORD),
        _ => Ok(()),
    }
}

fn optional(what: &str, text: &mut Option<Str>, max: usize) -> Result<(), Reject> {
    text.as_mut()
        .map(|text| one(what, text, max))
        .unwrap_or(Ok(()))
}

fn one(what: &str, text: &mut Str, max: usize) -> Result<(), Reject> {
    let trimmed = text.trim();
    bounded(what, trimmed, max)?;
    if let Some((at, c)) = trimmed.char_indices().find(|(_, c)| is_hidden(*c)) {
        return Err(invalid(format!(
            "`{what}` has the character {} at byte {at}, which names must not have",
            c.escape_unicode()
        )));
    }
    if trimmed.len() < text.len() {
        *text = trimmed.into();
    }
    Ok(())
}

/// Control characters, those that only change how others are shown, and the one that stands for
/// what could not be read.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fffd}')
}

fn invalid(message: String) -> Reject {
    Reject::new(Reason::InvalidIdentifier, message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::model::{Time, Topic};
    use crate::parse::{Context, parse};

    /// A record of each kind that has all of its fields.
    const RECORDS: [(Topic, &str); 8] = [
        (
            Topic::Resource,
            r#"{"op":"UPSERT","at":"2026-01-01T00:00:00Z","cluster":"prod","kind":"Pod","uid":"u1",
            "namespace":"shop","name":"web-1","src":"agent","seq":7,"resourceVersion":"9",
            "labels":{"app":"web"},"ownerRefs":[{"kind":"ReplicaSet","name":"web","uid":"u2"}],
            "node":"n1","podIP":"10.0.0.1","spec":{"containers":[{"name":"c","image":"web:1",
            "env":[{"name":"A","value":"b"}]}]},"status":{"phase":"Running","message":"m"}}"#,
        ),
        (
            Topic::Resource,
            r#"{"apiVersion":"v1","kind":"Widget","metadata":{"name":"w","namespace":"shop",
            "uid":"u3","annotations":{"a":"b"}}}"#,
        ),
        (
            Topic::Resource,
            r#"{"op":"SYNC","kind":"Gadget","sync_id":"s","at":"2026-01-01T00:00:00Z"}"#,
        ),
        (
            Topic::Topology,
            r#"{"op":"UPSERT","at":"2026-01-01T00:00:00Z","cluster":"prod","id":"e1",
            "from":"pod:shop:web-1","to":"service:shop:db","type":"CALLS"}"#,
        ),
        (
            Topic::Events,
            r#"{"event_id":"e1","event_time":"2026-01-01T00:00:00Z","cluster":"prod",
            "etype":"k8s.event","severity":"WARNING","reason":"Failed","message":"no image",
            "subject":{"kind":"Pod","uid":"u1","ns":"shop","name":"web-1"},"src":"s","seq":1}"#,
        ),
        (
            Topic::Logs,
            r#"{"event_time":"2026-01-01T00:00:00Z","cluster":"prod","severity":"ERROR",
            "message":"cannot connect","pod_uid":"u1","pod_namespace":"shop","pod_name":"web-1",
            "container":"c"}"#,
        ),
        (
            Topic::Alerts,
            r#"{"status":"firing","labels":{"alertname":"Down","pod":"web-1","namespace":"shop",
            "severity":"critical"},"annotations":{"summary":"down"},
            "startsAt":"2026-01-01T00:00:00Z","fingerprint":"f1","cluster":"prod"}"#,
        ),
        (
            Topic::Control,
            r#"{"at":"2026-01-01T00:00:00Z","cluster":"prod","type":"feedback","incident":1,
            "by":"me","note":"n","component":"app/web","fault_type":"f"}"#,
        ),
    ];

    /// The record once for each of its strings, with that string changed.
    fn variants(text: &str, change: &dyn Fn(&str) -> String) -> Vec<(String, String)> {
        fn strings(value: &Value, path: &str, out: &mut Vec<String>) {
            match value {
                Value::String(_) => out.push(path.to_owned()),
                Value::Array(items) => items
                    .iter()
                    .enumerate()
                    .for_each(|(i, v)| strings(v, &format!("{path}/{i}"), out)),
                Value::Object(map) => map
                    .iter()
                    .for_each(|(k, v)| strings(v, &format!("{path}/{k}"), out)),
                _ => {}
            }
        }
        let record: Value = serde_json::from_str(text).unwrap();
        let mut paths = Vec::new();
        strings(&record, "", &mut paths);
        let changed = |path: String| {
            let mut record = record.clone();
            let string = record.pointer_mut(&path).unwrap();
            *string = change(string.as_str().unwrap()).into();
            (path, record.to_string())
        };
        paths.into_iter().map(changed).collect()
    }

    fn read(topic: Topic, text: &str) -> Result<Vec<Record>, Reject> {
        let context = Context {
            received_at: Time::parse("2026-01-01T00:00:00Z").unwrap(),
            cluster: Some("default"),
            client_id: None,
        };
        let mut records = Vec::new();
        parse(topic, text.as_bytes(), &context, &mut records)?;
        Ok(records)
    }

    #[test]
    fn no_string_of_any_record_keeps_a_nul() {
        let mut rejected = 0;
        for (topic, text) in RECORDS {
            assert!(read(topic, text).is_ok(), "{text}: {:?}", read(topic, text));
            for (path, changed) in variants(text, &|s| format!("{s}\0{s}")) {
                match read(topic, &changed) {
                    Ok(records) => {
                        let shown = format!("{records:?}");
                        assert!(!shown.contains("\\0"), "{path} of {text}: {shown}");
                    }
                    Err(reject) => {
                        assert!(!reject.message.contains('\0'), "{reject:?}");
                        rejected += usize::from(reject.reason == Reason::InvalidIdentifier);
                    }
                }
            }
        }
        assert!(rejected > 20, "identifiers are refused: {rejected}");
    }

    #[test]
    fn labels_are_bounded_as_in_the_api() {
        let pod = |labels: serde_json::Value| {
            let pod = serde_json::json!({"cluster": "c", "kind": "Pod", "name": "p",
                "labels": labels});
            read(Topic::Resource, &pod.to_string())
        };
        let of = |key: usize, value: usize| {
            let labels = [("k".repeat(key), serde_json::Value::from("v".repeat(value)))];
            pod(labels.into_iter().collect())
        };
        assert!(of(LABEL_KEY, LABEL_VALUE).is_ok());
        for (key, value) in [(LABEL_KEY + 1, 1), (1, LABEL_VALUE + 1)] {
            let reject = of(key, value).unwrap_err();
            assert_eq!(reject.reason, Reason::InvalidIdentifier);
            assert!(reject.message.contains("the maximum is"), "{reject:?}");
        }
        let many = (0..500).map(|i| (format!("{i:0>100}"), "v".repeat(100)));
        let reject = pod(serde_json::json!(many.collect::<BTreeMap<_, _>>())).unwrap_err();
        assert!(reject.message.contains("65536"), "{reject:?}");
    }

    #[test]
    fn a_backslash_before_the_escape_is_part_of_the_text() {
        let text =
            r#"{"cluster":"c","severity":"ERROR","pod_name":"p","message":"a\\u0000b\\\u0000"}"#;
        let Body::Log(line) = &read(Topic::Logs, text).unwrap()[0].body else {
            panic!("a log line");
        };
        assert_eq!(&*line.message, "a\\u0000b\\\u{fffd}");
    }

    #[test]
    fn identifiers_are_trimmed_bounded_and_visible() {
        let log = |cluster: &str, pod: &str| {
            let record = serde_json::json!({"cluster": cluster, "pod_name": pod, "message": "m"});
            read(Topic::Logs, &record.to_string())
        };
        let record = log(" prod\n", "\tweb ").unwrap().remove(0);
        let Body::Log(line) = &record.body else {
            panic!("a log line");
        };
        assert_eq!((&*record.cluster, &*line.subject.name), ("prod", "web"));
        assert!(log(&"c".repeat(NAME), "p").is_ok());
        let reason = |result: Result<Vec<Record>, Reject>| result.unwrap_err().reason;
        for bad in [
            "c".repeat(NAME + 1).as_str(),
            "a\u{1b}[2J",
            "a\u{202e}b",
            "a\nb",
        ] {
            assert_eq!(reason(log(bad, "p")), Reason::InvalidIdentifier, "{bad:?}");
            assert_eq!(reason(log("c", bad)), Reason::InvalidIdentifier, "{bad:?}");
        }
        assert_eq!(reason(log("  ", "p")), Reason::ClusterMissing);
    }
}
