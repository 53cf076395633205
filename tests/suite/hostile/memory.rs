//! What is kept in memory of objects, events, logs and alerts is bounded in bytes, and what exceeds
//! it is named.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kgrca_tests::server::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Watchdog;
use super::state::agree;
use super::stores::start;
use super::watchdog::{forget_peak, peak, resident};

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

/// A request whose body has all but its last byte.
fn unfinished(url: &str, key: &str, body: &[u8]) -> TcpStream {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/ingest/logs HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len() + 1
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A body beyond the budgets is refused before its end.
    let _ = stream.write_all(body);
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_a_burst_took_is_given_back() {
    const BURST: u64 = 128 << 20;
    const KEPT: u64 = 48 << 20;
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let mut attackers = Vec::new();
    for name in ["A", "B", "C"] {
        attackers.push(server.tenant(name, "pro").await);
    }
    let process = server.id();
    let idle = resident(process);
    forget_peak(process);
    let body = vec![b'x'; 30 << 20];
    let streams: Vec<TcpStream> = std::thread::scope(|scope| {
        let begin = |attacker: &Tenant| {
            let (url, key, body) = (server.url.clone(), attacker.key.clone(), &body);
            scope.spawn(move || unfinished(&url, &key, body))
        };
        let threads: Vec<_> = attackers
            .iter()
            .flat_map(|attacker| [attacker; 3])
            .map(begin)
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let burst = peak(process).saturating_sub(idle);
    drop(streams);
    assert!(burst > BURST, "it took {} MiB only", burst >> 20);
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let kept = resident(process).saturating_sub(idle);
        if kept < KEPT {
            return;
        }
        let (kept, burst) = (kept >> 20, burst >> 20);
        assert!(Instant::now() < deadline, "{kept} of {burst} MiB are kept");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
