//! Objects, topology and senders, which nobody pays for by record, are bounded by the plan.

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Watchdog;
use super::stores::{start, stored};

pub(super) async fn agree(server: &Server, tenant: &Tenant, limits: Value) {
    let path = format!("/api/v1/admin/clients/{}", tenant.id);
    let body = json!({"limits": limits}).to_string().into_bytes();
    let response = server
        .call(Method::PATCH, &path, Some(&server.operator), Some(body))
        .await;
    assert_eq!(response.status(), 200);
}

fn pod(op: &str, i: usize) -> Value {
    json!({
        "op": op, "at": jiff::Timestamp::now().to_string(), "cluster": "prod", "kind": "Pod",
        "uid": format!("u{i}"), "namespace": "shop", "name": format!("web-{i}"),
        "status": {"phase": "Running"},
    })
}

fn pods(op: &str, numbers: std::ops::Range<usize>) -> Vec<u8> {
    let all: Value = numbers.map(|i| pod(op, i)).collect();
    all.to_string().into_bytes()
}

fn lines(numbers: std::ops::Range<usize>, line: impl Fn(usize) -> Value) -> Vec<u8> {
    let all: Vec<String> = numbers.map(|i| line(i).to_string()).collect();
    all.join("\n").into_bytes()
}

async fn live(server: &Server, tenant: &Tenant, seen: u64) -> u64 {
    server.settled(tenant, seen).await;
    let limits = server.get("/api/v1/limits", &tenant.key).await;
    limits["live_objects"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_objects_beyond_the_plan_are_refused_and_known_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    agree(&server, &tenant, json!({"live_objects": 20})).await;
    let answer = server
        .ingest(&tenant, "resources", pods("UPSERT", 0..15))
        .await;
    assert_eq!(answer["accepted"], 15, "{answer}");
    assert_eq!(live(&server, &tenant, 15).await, 15);
    let answer = server
        .ingest(&tenant, "resources", pods("UPSERT", 10..30))
        .await;
    assert_eq!(answer["accepted"], 10, "five known, five new: {answer}");
    assert_eq!(answer["rejected_count"], 10);
    assert_eq!(answer["rejected"][0]["reason"], "quota", "{answer}");
    assert_eq!(live(&server, &tenant, 35).await, 20);
    let answer = server
        .ingest(&tenant, "resources", pods("DELETE", 0..1))
        .await;
    assert_eq!(answer["accepted"], 1);
    assert_eq!(live(&server, &tenant, 36).await, 19);
    let answer = server
        .ingest(&tenant, "resources", pods("UPSERT", 40..41))
        .await;
    assert_eq!(answer["accepted"], 1, "there is room again");
    assert_eq!(live(&server, &tenant, 37).await, 20);
    server.kill();
    // Whether or not the worker is loaded yet: what exceeds the plan is not applied, and never is.
    let server = start(folder.path(), &[]);
    server
        .ingest(&tenant, "resources", pods("UPSERT", 50..60))
        .await;
    assert_eq!(live(&server, &tenant, 47).await, 20);
    agree(&server, &tenant, json!({"live_objects": null})).await;
    server.kill();
    let _ = std::fs::remove_dir_all(folder.path().join("snapshots"));
    let server = start(folder.path(), &[]);
    server
        .ingest(&tenant, "resources", pods("UPSERT", 70..71))
        .await;
    assert_eq!(live(&server, &tenant, 48).await, 21);
}

#[tokio::test]
async fn a_day_brings_as_much_state_as_the_plan_allows() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    agree(&server, &tenant, json!({"state_mb_day": 1})).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let body = Some(pods("UPSERT", 0..2000));
        let path = "/api/v1/ingest/resources";
        let response = server
            .call(Method::POST, path, Some(&tenant.key), body)
            .await;
        statuses.push(response.status());
    }
    let (taken, refused) = (StatusCode::ACCEPTED, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(statuses, [taken, taken, refused]);
    let answer = server
        .ingest(&tenant, "resources", pods("DELETE", 0..2000))
        .await;
    assert_eq!(answer["accepted"], 2000, "deletions are always taken in");
    assert_eq!(live(&server, &tenant, 6000).await, 0);
}

/// The name of the cluster is in each of them, and what is stored of a deletion has it three times.
#[tokio::test(flavor = "multi_thread")]
async fn short_records_count_as_what_is_stored_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (attacker, victim) = (
        server.tenant("Attacker", "free").await,
        server.tenant("Victim", "pro").await,
    );
    agree(&server, &attacker, json!({"state_mb_day": 20})).await;
    let watchdog = Watchdog::start(&server, &victim).await;
    let endings = |count: usize, ending: &str| format!("{ending}\n").repeat(count).into_bytes();
    let deletion = r#"{"op":"DELETE","kind":"a","name":"b"}"#;
    let batches = [
        endings(100_000, deletion),
        endings(20_000, deletion),
        endings(20_000, r#"{"op":"SYNC","kind":"a"}"#),
    ];
    let send = async |body: &Vec<u8>| {
        let request = server
            .http
            .post(format!("{}/api/v1/ingest/resources", server.url))
            .header("x-api-key", &attacker.key)
            .header("x-cluster", "c".repeat(250))
            .body(body.clone());
        request.send().await.unwrap().status()
    };
    let mut taken = 0;
    for (i, body) in batches.iter().enumerate().cycle().take(12) {
        let status = send(body).await;
        taken += usize::from(status == StatusCode::ACCEPTED);
        if status != StatusCode::ACCEPTED {
            // The first has more than a key may have in flight: waiting does not help.
            let never = status == StatusCode::PAYLOAD_TOO_LARGE && i == 0;
            assert!(never || status == StatusCode::TOO_MANY_REQUESTS, "{status}");
        }
    }
    assert!((1..=2).contains(&taken), "{taken} were taken in");
    let stored = stored(folder.path(), &attacker);
    assert!(stored < 31 << 20, "{stored} bytes");
    watchdog.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_state_stays_within_a_free_plan() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (attacker, victim) = (
        server.tenant("Attacker", "free").await,
        server.tenant("Victim", "pro").await,
    );
    let watchdog = Watchdog::start(&server, &victim).await;
    let at = jiff::Timestamp::now().to_string();
    let edge = |i: usize| {
        json!({"op": "UPSERT", "at": at, "cluster": "prod", "id": format!("e{i}"),
            "from": format!("pod:n{i}:a"), "to": format!("service:n{i}:b"), "type": "CALLS"})
    };
    let churn = |i: usize| {
        let mut pod = pod(
            if i.is_multiple_of(2) {
                "UPSERT"
            } else {
                "DELETE"
            },
            i / 2,
        );
        pod["namespace"] = format!("n{i}").into();
        pod["uid"] = format!("churn-{}", i / 2).into();
        pod["src"] = format!("sender-{i}").into();
        pod["seq"] = 1.into();
        pod
    };
    let volumes: Value = (0..5000)
        .map(|i| json!({"name": "v", "secret": {"secretName": format!("s{i}")}}))
        .collect();
    let wide = |i: usize| {
        let mut pod = pod("UPSERT", i);
        pod["spec"] = json!({"containers": [], "volumes": volumes});
        pod["namespace"] = format!("w{i}").into();
        pod
    };
    let mut sent = 0;
    for (kind, body, records) in [
        ("resources", pods("UPSERT", 0..60_000), 60_000),
        ("resources", pods("UPSERT", 60_000..120_000), 60_000),
        ("topology", lines(0..60_000, edge), 60_000),
        ("resources", lines(0..60_000, churn), 60_000),
        ("resources", lines(0..60, wide), 60),
    ] {
        let answer = server.ingest(&attacker, kind, body).await;
        let rejected = answer["rejected_count"].as_u64().unwrap();
        assert_eq!(answer["accepted"].as_u64().unwrap() + rejected, records);
        sent += records;
    }
    assert!(live(&server, &attacker, sent).await <= 10_000);
    // The positions of senders are as many as the objects may be, also of those that only delete.
    let answer = server.ingest(&attacker, "resources", lines(60_000..60_100, churn));
    let answer = answer.await;
    assert_eq!(answer["accepted"], 0, "senders are not bounded: {answer}");
    assert_eq!(answer["rejected"][0]["reason"], "quota", "{answer}");
    sent += 100;
    watchdog.check().await;
    let stats = server.settled(&attacker, sent).await;
    let edges = stats["clusters"][0]["edges"].as_u64().unwrap();
    assert!(edges <= 60_000, "{stats}");
    assert!(server.terminate());
    let server = start(folder.path(), &[]);
    let answer = server
        .ingest(&attacker, "resources", pods("UPSERT", 0..1))
        .await;
    assert_eq!(answer["accepted"], 1, "a known one, also after a restart");
    assert!(live(&server, &attacker, sent + 1).await <= 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_that_change_to_and_fro_fill_no_memory() {
    const PODS: usize = 2_000;
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (attacker, victim) = (
        server.tenant("Attacker", "free").await,
        server.tenant("Victim", "pro").await,
    );
    let watchdog = Watchdog::start(&server, &victim).await;
    let mut sent = 0;
    let mut send = async |objects: Vec<Value>| {
        sent += objects.len() as u64;
        let body = Value::from(objects).to_string().into_bytes();
        server.ingest(&attacker, "resources", body).await;
        server.settled(&attacker, sent).await
    };
    let now = jiff::Timestamp::now();
    let at =
        |second: usize| (now - jiff::SignedDuration::from_secs(600 - second as i64)).to_string();
    let pod = |i: usize| {
        json!({"at": at(0), "cluster": "c", "kind": "Pod", "namespace": "n", "name": format!("p{i}"),
            "uid": format!("p{i}"), "labels": {"app": "a"}})
    };
    send((0..PODS).map(pod).collect()).await;
    // More Services that select all of them than a cluster has room for.
    let service = |i: usize| {
        json!({"at": at(1), "cluster": "c", "kind": "Service", "namespace": "n",
            "name": format!("s{i}"), "uid": format!("s{i}"), "spec": {"selector": {"app": "a"}}})
    };
    send((0..250).map(service).collect()).await;
    let version = |second: usize| {
        let app = ["a", "b"][second % 2];
        json!({"at": at(second), "cluster": "c", "kind": "Service", "namespace": "n", "name": "s0",
            "uid": "s0", "generation": second, "spec": {"selector": {"app": app}}})
    };
    let stats = send((2..150).map(version).collect()).await;
    assert_eq!(stats["clusters"][0]["resources"], PODS + 250, "{stats}");
    watchdog.check().await;
}
