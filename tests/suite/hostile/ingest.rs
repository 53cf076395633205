//! Batches that are meant to cost more than they are.

use std::io::Write;

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Watchdog;
use super::state::agree;
use super::stores::{start, stored};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Sends a body; returns the status and the answer.
async fn send(
    server: &Server,
    tenant: &Tenant,
    kind: &str,
    coding: Option<&str>,
    body: Vec<u8>,
) -> (StatusCode, String) {
    let mut request = server
        .http
        .post(format!("{}/api/v1/ingest/{kind}", server.url))
        .header("x-api-key", &tenant.key)
        .header("x-cluster", "c")
        .body(body);
    if let Some(coding) = coding {
        request = request.header("content-encoding", coding);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_never_larger_than_the_question_deserves() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--dead-letters-per-day", "150"]);
    let (attacker, victim) = (
        server.tenant("Attacker", "pro").await,
        server.tenant("Victim", "pro").await,
    );
    let watchdog = Watchdog::start(&server, &victim).await;
    let lines = |n: usize| gzip(&b"x\n".repeat(n));
    let long = json!({"op": "y".repeat(900_000), "kind": "Pod", "name": "a"}).to_string();
    let long = gzip(format!("{long}\n").repeat(30).as_bytes());
    for (kind, body, rejected) in [
        ("logs", lines(100_000), 100_000),
        ("logs", lines(8 << 20), 0),
        ("resources", long, 30),
    ] {
        let (status, text) = send(&server, &attacker, kind, Some("gzip"), body).await;
        assert!(text.len() < 100_000, "{kind}: {} bytes", text.len());
        if rejected == 0 {
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{text}");
            continue;
        }
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status, StatusCode::ACCEPTED, "{text}");
        assert_eq!(answer["rejected_count"], rejected);
        assert!(answer["rejected"].as_array().unwrap().len() <= 100);
    }
    let stats = server.settled(&attacker, 100_030).await;
    assert_eq!(stats["records"]["rejected"], 100_030, "{stats}");
    let path = "/api/v1/dlq?limit=1000";
    let letters = server.get(path, &attacker.key).await;
    let kept = letters["items"].as_array().unwrap().len();
    assert!(
        (100..=160).contains(&kept),
        "within the day's quota: {kept}"
    );
    let stored = stored(folder.path(), &attacker);
    assert!(stored < 2 << 20, "{stored} bytes");
    watchdog.check().await;
}

#[tokio::test]
async fn rejected_records_use_up_the_day_of_a_plan_with_a_hard_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let attacker = server.tenant("Attacker", "free").await;
    let lines = || gzip(&b"x\n".repeat(6000));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let (status, _) = send(&server, &attacker, "resources", Some("gzip"), lines()).await;
        statuses.push(status.as_u16());
    }
    assert_eq!(statuses, [202, 202, 429], "10,000 events a day");
    assert!(server.terminate());
    let server = start(folder.path(), &[]);
    let (status, _) = send(&server, &attacker, "logs", Some("gzip"), lines()).await;
    assert_eq!(
        status,
        StatusCode::TOO_MANY_REQUESTS,
        "also after a restart"
    );
}

#[tokio::test]
async fn all_members_of_a_compressed_body_count() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let line = |i: usize| format!("{{\"pod_name\":\"p{i}\",\"message\":\"m{i}\"}}\n");
    let members: Vec<u8> = (0..20).flat_map(|i| gzip(line(i).as_bytes())).collect();
    let frames = (0..20).flat_map(|i| zstd::encode_all(line(i).as_bytes(), 3).unwrap());
    for (coding, body) in [("gzip", members.clone()), ("zstd", frames.collect())] {
        let (status, text) = send(&server, &tenant, "logs", Some(coding), body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["accepted"], 20, "{coding}");
    }
    let garbage = [&members[..], b"GARBAGE"].concat();
    for (coding, body) in [
        ("gzip", garbage),
        ("gzip", members[..members.len() - 3].to_vec()),
        ("gzip, gzip", gzip(&members)),
        ("br", b"x".to_vec()),
        ("zstd", members),
    ] {
        let (status, text) = send(&server, &tenant, "logs", Some(coding), body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{coding}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_refused_without_being_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (attacker, victim) = (
        server.tenant("Attacker", "free").await,
        server.tenant("Victim", "pro").await,
    );
    let watchdog = Watchdog::start(&server, &victim).await;
    let header = gzip(b"")[..10].to_vec();
    let blocks = [header, [0, 0, 0, 0xff, 0xff].repeat(6 << 20)].concat();
    let zeros = std::io::Read::take(std::io::repeat(0), 300 << 20);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut { zeros }, &mut encoder).unwrap();
    let bomb = encoder.finish().unwrap();
    for (coding, body) in [
        (Some("gzip"), bomb),
        (Some("gzip"), blocks),
        (Some("gzip"), gzip(b"").repeat(1 << 20)),
        (None, [vec![b'['], b"1,".repeat(15 << 20)].concat()),
        (None, b"[".repeat(5 << 20)),
        (None, b"{\"a\":".repeat(5 << 20)),
    ] {
        let (status, text) = send(&server, &attacker, "logs", coding, body).await;
        assert!(
            [400, 413, 429].contains(&status.as_u16()) || text.contains("\"accepted\":0"),
            "{status} {text}"
        );
    }
    watchdog.check().await;
}

#[tokio::test]
async fn names_that_a_store_cannot_keep_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let pod = |cluster: &str, name: &str| json!({"kind": "Pod", "namespace": "shop", "name": name, "cluster": cluster, "spec": {}});
    let long = "n".repeat(1 << 18);
    for (cluster, name) in [
        ("a\0b", "x"),
        ("c", "a\0b"),
        ("c", "a\u{1b}]0;title\u{7}"),
        (&*long, "x"),
        ("c", &*long),
    ] {
        let body = pod(cluster, name).to_string().into_bytes();
        let answer = server.ingest(&tenant, "resources", body).await;
        assert_eq!(
            answer["rejected"][0]["reason"], "invalid_identifier",
            "{answer}"
        );
    }
    let body = pod("c", "fine").to_string().into_bytes();
    server.ingest(&tenant, "resources", body).await;
    let stats = server.settled(&tenant, 6).await;
    assert_eq!(stats["records"]["applied"], 1, "{stats}");
}

/// Sends a batch under an idempotency key. Returns the status and the answer.
fn send_under(
    server: &Server,
    tenant: &Tenant,
    body: String,
) -> impl Future<Output = (u16, Value)> + Send + 'static {
    let request = server
        .http
        .post(format!("{}/api/v1/ingest/events", server.url))
        .header("x-api-key", &tenant.key)
        .header("idempotency-key", "block-1")
        .body(body);
    async {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

#[tokio::test]
async fn a_batch_under_one_key_is_taken_in_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "pro").await;
    let event = |i: u32| {
        json!({"event_id": format!("e{i}"), "event_time": "2026-01-01T00:00:00Z",
            "cluster": "prod", "severity": "WARNING", "reason": "Failed", "message": "m",
            "subject": {"kind": "Pod", "ns": "shop", "name": "web"}})
    };
    let batch = Value::from((0..500).map(event).collect::<Vec<_>>()).to_string();
    let sends = (0..12).map(|_| send_under(&server, &tenant, batch.clone()));
    let sends: tokio::task::JoinSet<_> = sends.collect();
    let answers = sends.join_all().await;
    let accepted: u64 = answers
        .iter()
        .filter_map(|(_, a)| a["accepted"].as_u64())
        .sum();
    assert_eq!(accepted, 500, "{answers:?}");
    for (status, answer) in &answers {
        // While the first is in progress, the others get 503 and retry.
        assert!(matches!(status, 202 | 503), "{status} {answer}");
    }
    let (status, repeat) = send_under(&server, &tenant, batch).await;
    assert_eq!((status, repeat["duplicate"].as_u64()), (202, Some(500)));
    let (status, other) = send_under(&server, &tenant, event(7).to_string()).await;
    assert_eq!(status, 409, "{other}");
}

/// Sends heartbeats or asks for the list of agents. Returns the status and what is left of the rate.
async fn agents(server: &Server, tenant: &Tenant, sends: bool) -> (StatusCode, u64) {
    let heartbeat = json!({
        "cluster": "prod", "agent": "a", "mode": "watch", "version": "0.1.0",
        "started_at": "2026-01-01T10:00:00Z", "lag_seconds": 0, "spooled_bytes": 0,
    });
    let (method, body) = if sends {
        (Method::POST, Some(heartbeat.to_string().into_bytes()))
    } else {
        (Method::GET, None)
    };
    let response = server
        .call(method, "/api/v1/agents", Some(&tenant.key), body)
        .await;
    let left = response.headers()["x-ratelimit-remaining"].to_str();
    (response.status(), left.unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_listed_at_the_readers_rate_and_report_at_the_senders() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    for sends in [true, false] {
        let tenant = server.tenant("Acme", "pro").await;
        agree(&server, &tenant, json!({"api_minute": 10})).await;
        // Of the senders' rate, more comes back while they send.
        let calls = if sends { 10 * 20 * 2 } else { 20 };
        let mut is_used_up = false;
        for _ in 0..calls {
            let (status, left) = agents(&server, &tenant, sends).await;
            is_used_up = status == StatusCode::TOO_MANY_REQUESTS;
            if is_used_up {
                assert_eq!(left, 0);
                break;
            }
        }
        assert!(is_used_up, "{calls} calls were taken");
        let (status, left) = agents(&server, &tenant, !sends).await;
        assert!(status.is_success() && left > 5, "{sends}: {status} {left}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_rejected_records_cost_their_sender_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    agree(&server, &tenant, json!({"api_minute": 10})).await;
    // The senders have 200 calls a minute: this batch costs 150 of them, and the next one more
    // than is left.
    for rejected in [15_000, 15_000] {
        let body = gzip(&b"x\n".repeat(rejected));
        let (status, text) = send(&server, &tenant, "logs", Some("gzip"), body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["rejected_count"], rejected, "{text}");
    }
    let good = json!({"pod_name": "p", "message": "m"}).to_string();
    let send = async || send(&server, &tenant, "logs", None, good.clone().into_bytes()).await;
    // A few calls come back each second.
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(send().await.0.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let (status, left) = agents(&server, &tenant, false).await;
    assert!(status.is_success() && left > 5, "readers go on: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_a_huge_name_harms_nothing_that_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (attacker, victim) = (
        server.tenant("Attacker", "free").await,
        server.tenant("Victim", "pro").await,
    );
    let huge = "n".repeat(1 << 20);
    let event = |i: usize| {
        json!({"event_id": format!("e{i}"), "event_time": "2026-01-01T00:00:00Z",
            "cluster": "prod", "severity": "WARNING", "reason": "Failed", "message": "m",
            "subject": {"kind": "Pod", "ns": "shop", "name": "web"}})
    };
    let (mut accepted, mut seen) = (0, 0);
    let place = |i: usize, field: &str| {
        let mut event = event(i);
        let subject = matches!(field, "name" | "ns" | "kind");
        let of = if subject {
            &mut event["subject"]
        } else {
            &mut event
        };
        of[field] = huge.clone().into();
        event
    };
    for (i, field) in ["name", "ns", "kind", "cluster", "event_id", "reason", "src"]
        .into_iter()
        .enumerate()
    {
        let body = json!([event(10 * i), place(10 * i + 1, field), event(10 * i + 2)]);
        let answer = server.ingest(&attacker, "events", body.to_string().into_bytes());
        let answer = answer.await;
        let taken = answer["accepted"].as_u64().unwrap();
        assert!(
            taken == 3 || (taken == 2 && answer["rejected_count"] == 1),
            "{field}: {answer}"
        );
        accepted += taken;
        seen += 3;
        let body = event(10 * i + 3).to_string().into_bytes();
        server.ingest(&attacker, "events", body.clone()).await;
        server.ingest(&victim, "events", body).await;
        accepted += 1;
        seen += 1;
    }
    let pod = |name: &str| {
        json!({"kind": "Pod", "namespace": "shop", "name": name, "cluster": "prod",
            "status": {"phase": "Running"}})
    };
    let body = json!([pod(&huge), pod("web")]).to_string().into_bytes();
    let answer = server.ingest(&attacker, "resources", body).await;
    assert_eq!(answer["accepted"], 1, "{answer}");
    (accepted, seen) = (accepted + 1, seen + 2);
    // What the huge ones were refused for can be read.
    let letters = server.get("/api/v1/dlq", &attacker.key).await;
    assert!(
        !letters["items"].as_array().unwrap().is_empty(),
        "{letters}"
    );
    let wanted = server.settled(&attacker, seen).await;
    assert_eq!(wanted["records"]["applied"], accepted, "{wanted}");
    server.kill();
    // Without snapshots, everything is read from the log.
    let _ = std::fs::remove_dir_all(folder.path().join("snapshots"));
    let server = start(folder.path(), &[]);
    let body = event(1000).to_string().into_bytes();
    server.ingest(&attacker, "events", body).await;
    let stats = server.settled(&attacker, seen + 1).await;
    assert_eq!(stats["records"]["applied"], accepted + 1, "{stats}");
    assert_eq!(
        stats["records"]["lost"], wanted["records"]["lost"],
        "{stats}"
    );
    let stats = server.settled(&victim, 7).await;
    assert_eq!(stats["records"]["applied"], 7, "{stats}");
    let pods = server.get("/api/v1/resources?kind=Pod&limit=10", &attacker.key);
    assert!(pods.await.to_string().contains("web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_heartbeats_and_idempotency_keys_harm_no_other_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (attacker, victim) = (
        server.tenant("Attacker", "free").await,
        server.tenant("Victim", "pro").await,
    );
    let watchdog = Watchdog::start(&server, &victim).await;
    let heartbeat = |i: usize| {
        json!({"cluster": format!("c{i}"), "agent": format!("a{i}"), "mode": "watch",
            "version": "v".repeat(8_000), "started_at": "2026-01-01T10:00:00Z",
            "lag_seconds": 0, "spooled_bytes": 0})
    };
    // Many at a time: as often as the rate allows.
    let (mut refused, mut taken) = (0, 0);
    for round in 0..150 {
        let sends = (0..20).map(|n| {
            let i: usize = round * 20 + n;
            let api = format!("{}/api/v1", server.url);
            let request = if i.is_multiple_of(2) {
                server
                    .http
                    .post(format!("{api}/agents"))
                    .json(&heartbeat(i))
            } else {
                let request = server.http.post(format!("{api}/ingest/events"));
                let key = format!("{i}{}", "k".repeat(200));
                request.header("idempotency-key", key).body("{}")
            };
            request.header("x-api-key", &attacker.key).send()
        });
        let sends: tokio::task::JoinSet<_> = sends.collect();
        for response in sends.join_all().await {
            let status = response.unwrap().status();
            assert!(!status.is_server_error() || status == 503, "{status}");
            refused += usize::from(status == StatusCode::TOO_MANY_REQUESTS);
            taken += usize::from(status.is_success());
        }
    }
    assert!(
        refused > 100 && taken > 500,
        "{taken} taken, {refused} refused"
    );
    watchdog.check().await;
}
