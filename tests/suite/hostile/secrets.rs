//! Every secret of the corpus through every kind of record, and Secrets of Kubernetes in every
//! wrapper: then every byte that the daemon wrote is searched.

use kgrca_tests::Server;
use kgrca_tests::corpus::{assert_masked, in_records, read, text_of};
use kgrca_tests::server::Tenant;
use reqwest::Method;
use serde_json::{Value, json};

/// A text that must be found, or else the search sees nothing.
const MARKER: &str = "marker-7c2f90de-of-the-search";

async fn send(server: &Server, tenant: &Tenant, kind: &str, records: &[Value]) -> u64 {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    let answer = server
        .ingest(tenant, kind, lines.join("\n").into_bytes())
        .await;
    answer["accepted"].as_u64().unwrap()
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
    for (kind, records) in in_records(&cases) {
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

    let text = text_of(folder.path());
    assert!(text.contains(MARKER), "the search finds what was stored");
    let values = wrapped.iter().map(|(_, value)| value);
    let clear: Vec<&String> = values.filter(|v| text.contains(v.as_str())).collect();
    assert!(
        clear.is_empty(),
        "values of Secrets were written: {clear:?}"
    );

    assert_masked(&cases, &text, "the data folder");
}

/// Neither is one of an archive that an earlier version exported, which masked less.
#[tokio::test]
async fn no_secret_of_an_import_is_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let post = async |path: String, body: String| {
        let operator = Some(server.operator.as_str());
        let body = Some(body.into_bytes());
        server.call(Method::POST, &path, operator, body).await
    };
    let body = json!({"name": "Acme", "plan": "pro"}).to_string();
    let begun = post("/api/v1/admin/imports".into(), body).await;
    let begun: Value = begun.json().await.unwrap();
    let saga = begun["saga_id"].as_str().unwrap();
    let cases = read("planted.jsonl");
    let at = jiff::Timestamp::now().to_string();
    let mut records = Vec::new();
    for (kind, own) in in_records(&cases) {
        // What has no subject is rejected, and never was in a log.
        let has_subject = |r: &&Value| {
            ["subject", "pod_name"]
                .iter()
                .any(|name| r.get(name).is_some())
        };
        let accepted = own.iter().filter(|r| kind != "logs" || has_subject(r));
        let topic = match kind {
            "resources" => "state.k8s.resource",
            "events" => "events.normalized",
            "logs" => "logs.normalized",
            _ => "alerts.raw",
        };
        records.extend(accepted.map(|value| {
            json!({"topic": topic, "key": "prod", "received_at": at, "value": value}).to_string()
        }));
    }
    records.push(
        json!({
            "topic": "logs.normalized", "key": "prod", "received_at": at,
            "value": {"cluster": "prod", "severity": "ERROR", "message": MARKER,
                "subject": {"kind": "Pod", "ns": "shop", "name": "orders"}},
        })
        .to_string(),
    );
    let episodes: Vec<String> = cases
        .iter()
        .enumerate()
        .filter(|(_, case)| matches!(case.at.as_str(), "log" | "event"))
        .map(|(i, case)| {
            json!({
                "id": format!("prod/e{i}"), "about": "prod/none", "cluster": "prod",
                "kind": "log", "first": at, "last": at, "severity": "ERROR", "reason": "",
                "message": case.text(), "count": 1,
            })
            .to_string()
        })
        .collect();
    for (part, rows) in [("episodes", episodes), ("records", records)] {
        let path = format!("/api/v1/admin/imports/{saga}/{part}");
        let loaded = post(path, rows.join("\n")).await;
        let status = loaded.status();
        assert_eq!(status, 200, "{part}: {}", loaded.text().await.unwrap());
    }
    server.kill();
    let text = text_of(folder.path());
    assert!(text.contains(MARKER), "the search finds what was stored");
    assert_masked(&cases, &text, "the data folder");
}
