//! Every secret of the corpus through every kind of record, and Secrets of Kubernetes in every
//! wrapper: then every byte that the daemon wrote is searched.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use kgrca_core::model::Topic;
use kgrca_tests::Server;
use kgrca_tests::corpus::{Case, read};
use kgrca_tests::server::Tenant;
use serde_json::{Value, json};

/// A text that must be found, or else the search sees nothing.
const MARKER: &str = "marker-7c2f90de-of-the-search";

/// All files below a folder.
fn contents(folder: &Path, out: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents(&path, out);
        } else if path.is_file() {
            out.extend(std::fs::read(&path).unwrap());
        }
    }
}

async fn send(server: &Server, tenant: &Tenant, kind: &str, records: &[Value]) -> u64 {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    let answer = server
        .ingest(tenant, kind, lines.join("\n").into_bytes())
        .await;
    answer["accepted"].as_u64().unwrap()
}

/// A secret in all kinds of records, besides its own place.
fn records(cases: &[Case]) -> HashMap<&'static str, Vec<Value>> {
    let mut all: HashMap<&'static str, Vec<Value>> = HashMap::new();
    for (at, case) in cases.iter().enumerate() {
        let (topic, own) = case.record(&format!("own-{at}"));
        let route = match topic {
            Topic::Resource => "resources",
            Topic::Events => "events",
            _ => "logs",
        };
        all.entry(route).or_default().push(own);
        // A bare password is only a word: the name before it gives it away.
        if !matches!(case.at.as_str(), "log" | "event") {
            continue;
        }
        let (text, name) = (case.text(), format!("pod-{at}"));
        let pod = json!({"kind": "Pod", "ns": "shop", "name": name});
        all.entry("events").or_default().push(json!({
            "event_id": format!("e-{at}"), "etype": "k8s.event", "cluster": "prod",
            "severity": "WARNING", "reason": "Failed", "message": text, "subject": pod,
        }));
        all.entry("logs").or_default().push(json!({
            "cluster": "prod", "severity": "ERROR", "message": text, "subject": pod,
        }));
        all.entry("alerts").or_default().push(json!({
            "startsAt": "2026-01-01T00:00:00Z", "status": "firing", "cluster": "prod",
            "labels": {"alertname": format!("A{at}"), "pod": name},
            "annotations": {"description": text},
        }));
        // Rejected: no subject.
        all.entry("logs")
            .or_default()
            .push(json!({"cluster": "prod", "message": text}));
    }
    all
}

/// Secrets of Kubernetes in wrappers, each with a value of its own.
fn wrapped() -> Vec<(Value, String)> {
    let mut next = 0;
    let mut value = || {
        next += 1;
        format!("UGxhbnRlZFZhbHVl{next:02}eA")
    };
    let metadata = json!({"name": "db", "namespace": "shop", "uid": "s-1"});
    let wrappers: [fn(Value, &str) -> Value; 16] = [
        |m, v| json!({"kind": "Secret", "cluster": "prod", "metadata": m, "data": {"x": v}}),
        |m, v| json!({"kind": "secret", "cluster": "prod", "metadata": m, "data": {"x": v}}),
        |m, v| json!({"kind": "Secret", "cluster": "prod", "metadata": m, "stringData": {"x": v}}),
        |m, v| json!({"kind": " Secret", "metadata": m, "data": {"x": v}}),
        |m, v| json!({"metadata": m, "data": {"x": v}}),
        |m, v| json!({"kind": "SecretList", "items": [{"metadata": m, "data": {"x": v}}]}),
        |m, v| json!({"kind": "secretlist", "items": [{"metadata": m, "data": {"x": v}}]}),
        |m, v| json!({"kind": "List", "items": [{"metadata": m, "data": {"x": v}}]}),
        |m, v| json!({"items": [{"kind": "Secret", "metadata": m, "data": {"x": v}}]}),
        |m, v| {
            let object = json!({"kind": "Secret", "metadata": m, "data": {"x": v}});
            json!({"type": "ADDED", "object": object})
        },
        |m, v| json!({"type": "ADDED", "object": {"metadata": m, "stringData": {"x": v}}}),
        |m, v| json!({"kind": "Secret", "cluster": "prod", "metadata": m, "data": v}),
        |m, v| {
            let copy = json!({"kind": "Secret", "metadata": m, "data": {"x": v}}).to_string();
            let annotations = json!({"example.com/copy": copy});
            let metadata = json!({"name": "a", "namespace": "shop", "annotations": annotations});
            json!({"kind": "ConfigMap", "cluster": "prod", "metadata": metadata})
        },
        |m, v| {
            let copy = json!({"kind": "Secret", "metadata": m, "stringData": {"x": v}}).to_string();
            json!({"kind": "ConfigMap", "cluster": "prod", "metadata": m, "data": {"all": copy}})
        },
        |m, v| {
            let text = format!("kind: Secret\nmetadata:\n  name: db\ndata:\n  x: {v}\n");
            json!({"kind": "ConfigMap", "cluster": "prod", "metadata": m, "data": {"all": text}})
        },
        |m, v| {
            let message = json!({"kind": "Secret", "metadata": m, "data": {"x": v}}).to_string();
            json!({
                "cluster": "prod", "severity": "ERROR", "message": message,
                "subject": {"kind": "Pod", "ns": "shop", "name": "orders"},
            })
        },
    ];
    wrappers
        .iter()
        .map(|wrap| {
            let value = value();
            (wrap(metadata.clone(), &value), value)
        })
        .collect()
}

#[tokio::test]
async fn no_secret_is_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "enterprise").await;
    let cases = read("planted.jsonl");
    let mut sent = 0;
    for (kind, records) in records(&cases) {
        sent += send(&server, &tenant, kind, &records).await;
    }
    let wrapped = wrapped();
    for kind in ["resources", "events", "logs", "alerts", "topology"] {
        for (record, value) in &wrapped {
            sent += send(&server, &tenant, kind, std::slice::from_ref(record)).await;
            // A field that occurs twice.
            let twice = format!(
                r#"{{"kind":"Secret","cluster":"prod","metadata":{{"name":"t"}},
                "data":{{"x":"{value}"}},"data":{{}}}}"#
            );
            let twice = twice.replace('\n', "");
            let answer = server.ingest(&tenant, kind, twice.into_bytes()).await;
            sent += answer["accepted"].as_u64().unwrap();
        }
    }
    let marker = json!({
        "cluster": "prod", "severity": "ERROR", "message": MARKER,
        "subject": {"kind": "Pod", "ns": "shop", "name": "orders"},
    });
    sent += send(&server, &tenant, "logs", &[marker]).await;
    server.settled(&tenant, sent).await;
    server.kill();

    let mut bytes = Vec::new();
    contents(folder.path(), &mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(MARKER), "the search finds what was stored");
    let values = wrapped.iter().map(|(_, value)| value);
    let clear: Vec<&String> = values.filter(|v| text.contains(v.as_str())).collect();
    assert!(
        clear.is_empty(),
        "values of Secrets were written: {clear:?}"
    );

    let mut owners: HashMap<String, usize> = HashMap::new();
    for (at, case) in cases.iter().enumerate() {
        owners.extend(case.fragments().into_iter().map(|fragment| (fragment, at)));
    }
    let patterns: Vec<String> = owners.keys().map(|f| regex::escape(f)).collect();
    let any = regex::RegexBuilder::new(&patterns.join("|"))
        .size_limit(1 << 28)
        .build()
        .unwrap();
    let leaked: BTreeSet<usize> = any.find_iter(&text).map(|m| owners[m.as_str()]).collect();
    let texts: Vec<String> = leaked.iter().map(|at| cases[*at].text()).collect();
    assert!(leaked.len() * 100 <= cases.len(), "{texts:#?}");
}
