//! kill -9 at random moments: acknowledged records are applied once, and the answers equal those of
//! an undisturbed run.

use std::time::Duration;

use kgrca_tests::{Server, soak};
use serde_json::{Value, json};

/// Batches of numbered events with one incident among them; each batch is sent once, again only
/// when unanswered.
pub(crate) fn batches(count: usize) -> Vec<(usize, Vec<u8>)> {
    endless().take(count).collect()
}

/// The same without an end.
pub(crate) fn endless() -> impl Iterator<Item = (usize, Vec<u8>)> {
    let start = jiff::Timestamp::now().as_microsecond() - 120_000_000;
    let time = move |i: usize| {
        jiff::Timestamp::from_microsecond(start + i as i64 * 1000)
            .unwrap()
            .to_string()
    };
    (0..).map(move |b| {
        let mut text = String::new();
        for i in b * 20..(b + 1) * 20 {
            let (reason, severity, message) = if i % 50 == 7 {
                (
                    "Failed",
                    "WARNING",
                    "Failed to pull image \"registry.example/web:2\": rpc error: code = NotFound \
                     desc = manifest unknown: not found",
                )
            } else {
                ("Started", "INFO", "Started container app")
            };
            let subject = json!({
                "kind": "Pod", "ns": "shop",
                "name": if severity == "INFO" {format!("job-{i}")} else {"web-1".into()},
            });
            let record = json!({
                "event_id": format!("e{i}"), "event_time": time(i), "cluster": "prod",
                "etype": "k8s.event", "severity": severity, "reason": reason,
                "message": message, "subject": subject, "src": "sender", "seq": i + 1,
            });
            text += &format!("{record}\n");
        }
        (b, text.into_bytes())
    })
}

pub(crate) struct Outcome {
    pub(crate) accepted: i64,
    pub(crate) incidents: Vec<(Value, Value)>,
}

pub(crate) async fn outcome(server: &Server, tenant: &kgrca_tests::server::Tenant) -> Outcome {
    let usage = server.get("/api/v1/usage", &tenant.key).await;
    let accepted = usage["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["metric"] == "events_ingested_count")
        .map(|r| r["amount"].as_i64().unwrap())
        .sum();
    let list = server.get("/api/v1/incidents", &tenant.key).await;
    let incidents = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| (i["component"].clone(), i["fault_type"].clone()))
        .collect();
    Outcome {
        accepted,
        incidents,
    }
}

/// Waits until so many events are committed: what is only in the live state would be processed
/// again.
pub(crate) async fn committed(server: &Server, tenant: &kgrca_tests::server::Tenant, events: i64) {
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while outcome(server, tenant).await.accepted < events {
        assert!(
            std::time::Instant::now() < deadline,
            "{events} events are committed"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_killed_at_random() {
    let rounds = if soak() { 50 } else { 5 };
    let all = batches(rounds * 8);
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Crash", "enterprise").await;
    let mut sent = 0_i64;
    let mut seed = 88_172_645_463_325_252_u64;
    for round in all.chunks(8) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let id = server.id();
        let delay = Duration::from_micros(seed % 40_000);
        let killer = std::thread::spawn(move || {
            // A random moment, not a synchronisation: whenever it falls, the outcome must be the
            // same.
            std::thread::sleep(delay);
            std::process::Command::new("kill")
                .args(["-9", &id.to_string()])
                .status()
                .unwrap();
        });
        for (_, batch) in round {
            // An unanswered batch is sent again: `seq` makes the repeat a duplicate.
            loop {
                let request = server
                    .http
                    .post(format!("{}/api/v1/ingest/events", server.url))
                    .header("x-api-key", &tenant.key)
                    .body(batch.clone());
                if request.send().await.is_ok_and(|r| r.status() == 202) {
                    break;
                }
                server.kill();
                server = Server::start(folder.path(), &[]);
            }
            sent += 20;
        }
        killer.join().unwrap();
        // The one that answers now may be a later one.
        server.kill();
        server = Server::start(folder.path(), &[]);
    }
    // One more, so that the worker is awake, and everything is processed.
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    let disturbed = loop {
        let stats = server.get("/api/v1/stats", &tenant.key).await;
        let now = outcome(&server, &tenant).await;
        if stats["lag"] == 0 && now.accepted >= sent {
            break now;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "acknowledged records are missing: {} of {sent}; {stats}",
            now.accepted
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let folder = tempfile::tempdir().unwrap();
    let calm = Server::start(folder.path(), &[]);
    let undisturbed = calm.tenant("Calm", "enterprise").await;
    for (_, batch) in &all {
        calm.ingest(&undisturbed, "events", batch.clone()).await;
    }
    calm.settled(&undisturbed, sent as u64).await;
    let expected = outcome(&calm, &undisturbed).await;
    assert_eq!(
        disturbed.incidents, expected.incidents,
        "the answers are those of an undisturbed run"
    );
    assert_eq!(
        (disturbed.accepted, expected.accepted),
        (sent, sent),
        "repetitions are not charged"
    );
    assert!(!expected.incidents.is_empty());
}

#[tokio::test]
async fn a_restart_continues_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Again", "enterprise").await;
    for (_, batch) in batches(5) {
        server.ingest(&tenant, "events", batch).await;
    }
    committed(&server, &tenant, 100).await;
    let before = outcome(&server, &tenant).await;
    assert!(server.terminate());
    let server = Server::start(folder.path(), &[]);
    for (_, batch) in batches(5) {
        server.ingest(&tenant, "events", batch).await;
    }
    let stats = server.settled(&tenant, 200).await;
    assert_eq!(
        stats["records"]["duplicate"], 100,
        "repeats of what was applied before the restart are duplicates: {stats}"
    );
    let after = outcome(&server, &tenant).await;
    assert_eq!(
        (after.accepted, after.incidents),
        (100, before.incidents),
        "and are not charged"
    );
}
