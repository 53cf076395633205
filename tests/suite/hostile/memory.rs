//! What is kept in memory of objects, events, logs and alerts is bounded in bytes, and what exceeds
//! it is named.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Watchdog;
use super::state::agree;
use super::stores::start;

fn lines(records: impl Iterator<Item = Value>) -> Vec<u8> {
    let all: Vec<String> = records.map(|record| record.to_string()).collect();
    all.join("\n").into_bytes()
}

/// A text of a log line that forms a pattern of its own.
fn long(i: usize) -> String {
    format!("cannot reach host-{i}.example.com: {}", "x ".repeat(8000))
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_any_kind_fill_no_more_memory_than_the_plan_has() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (attacker, victim) = (
        server.tenant("Attacker", "free").await,
        server.tenant("Victim", "pro").await,
    );
    agree(
        &server,
        &attacker,
        json!({"live_objects": 1000, "rca_hour": 100_000}),
    )
    .await;
    let watchdog = Watchdog::start(&server, &victim).await;
    let labels: Value = (0..60)
        .map(|i| (format!("label-{i}"), "x".repeat(240).into()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let pod = |i: usize| {
        json!({"cluster": "prod", "kind": "Pod", "namespace": "n", "name": format!("p{i}"),
            "labels": labels, "status": {"phase": "Running"}})
    };
    server
        .ingest(&attacker, "resources", lines((0..1000).map(pod)))
        .await;
    // Those beyond it are skipped, also where ingestion does not know yet what the tenant holds.
    let stats = server.settled(&attacker, 1000).await;
    let kept = stats["clusters"][0]["resources"].as_u64().unwrap();
    assert!((100..900).contains(&kept), "{stats}");
    let mut sent = 1000;
    for batch in 0..4 {
        let line = |i: usize| {
            json!({"cluster": "prod", "severity": "ERROR", "pod_namespace": format!("n{i}"),
                "pod_name": format!("p{i}"), "message": long(i)})
        };
        let numbers = batch * 500..(batch + 1) * 500;
        server
            .ingest(&attacker, "logs", lines(numbers.map(line)))
            .await;
        sent += 500;
    }
    let annotations: Value = (0..60)
        .map(|i| (format!("text-{i}"), long(i).into()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for batch in 0..10 {
        let alert = |i: usize| {
            json!({"cluster": "prod", "labels": {"alertname": format!("a{i}")},
                "annotations": annotations, "startsAt": jiff::Timestamp::now().to_string()})
        };
        let numbers = batch * 20..(batch + 1) * 20;
        server
            .ingest(&attacker, "alerts", lines(numbers.map(alert)))
            .await;
        sent += 20;
    }
    server.settled(&attacker, sent).await;
    watchdog.check().await;
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let path = "/api/v1/rca";
        let answer = server.call(Method::GET, path, Some(&attacker.key), None);
        let answer = answer.await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        if status == StatusCode::OK && text.contains("has no room for") {
            break;
        }
        assert!(Instant::now() < deadline, "{status} {text}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
