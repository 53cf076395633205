//! The API of a real daemon: what it takes, what it refuses, what it says.

use std::io::Write;

use kgrca_tests::faults::move_times;
use kgrca_tests::{Server, repository};
use reqwest::Method;
use serde_json::{Value, json};

fn event(id: &str) -> Vec<u8> {
    let now = jiff::Timestamp::now().to_string();
    json!({"event_id": id, "event_time": now, "cluster": "prod", "etype": "k8s.event",
        "severity": "INFO", "reason": "Started", "message": "ok", "subject": {"kind": "Pod",
        "ns": "shop", "name": "web"}})
    .to_string()
    .into_bytes()
}

/// A scenario's records by kind of the door, with times moved to now.
fn scenario(name: &str) -> Vec<(&'static str, Vec<u8>)> {
    let text = std::fs::read_to_string(repository().join("tests/scenarios").join(name)).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let ended: jiff::Timestamp = lines[0]["value"]["collected_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let shift = jiff::Timestamp::now().as_microsecond() - ended.as_microsecond();
    let kinds = [
        ("state.k8s.resource", "resources"),
        ("events.normalized", "events"),
        ("logs.normalized", "logs"),
        ("alerts.raw", "alerts"),
    ];
    let mut out = Vec::new();
    for (topic, kind) in kinds {
        let mut batch = String::new();
        for line in lines.iter().filter(|l| l["topic"] == topic) {
            let mut value = line["value"].clone();
            move_times(&mut value, shift);
            if kind != "alerts" {
                value
                    .as_object_mut()
                    .unwrap()
                    .entry("cluster")
                    .or_insert("prod".into());
            }
            batch += &format!("{value}\n");
        }
        if !batch.is_empty() {
            out.push((kind, batch.into_bytes()));
        }
    }
    out
}

#[tokio::test]
async fn an_incident_is_explained_handled_and_billed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let mut sent = 0;
    for (kind, batch) in scenario("config/secret-missing-env.jsonl") {
        let answer = server.ingest(&tenant, kind, batch).await;
        assert_eq!(answer["rejected"], json!([]), "{kind}");
        sent += answer["accepted"].as_u64().unwrap();
    }
    let stats = server.settled(&tenant, sent).await;
    let records = &stats["records"];
    assert_eq!(
        records["seen"].as_u64().unwrap(),
        ["applied", "duplicate", "rejected"]
            .iter()
            .map(|k| records[*k].as_u64().unwrap())
            .sum::<u64>()
    );
    let answer = server.get("/api/v1/rca", &tenant.key).await;
    assert_eq!(
        answer["causes"][0]["fault_type"], "config.secret_missing",
        "{answer}"
    );
    assert_eq!(answer["verdict"], "cause");
    let id = answer["incident_id"].as_str().unwrap().to_owned();
    let body = json!({"state": "acknowledged", "note": "on it"})
        .to_string()
        .into_bytes();
    let response = server
        .call(
            Method::PATCH,
            &format!("/api/v1/incidents/{id}"),
            Some(&tenant.key),
            Some(body),
        )
        .await;
    assert_eq!(response.status(), 202);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while server
        .get(&format!("/api/v1/incidents/{id}"), &tenant.key)
        .await["state"]
        != "acknowledged"
    {
        assert!(
            std::time::Instant::now() < deadline,
            "the act is carried out by the engine"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let again = json!({"state": "acknowledged"}).to_string().into_bytes();
    let again = server
        .call(
            Method::PATCH,
            &format!("/api/v1/incidents/{id}"),
            Some(&tenant.key),
            Some(again),
        )
        .await;
    assert_eq!(
        again.status(),
        409,
        "what is said already is not said again"
    );
    let timeline = server
        .get(&format!("/api/v1/incidents/{id}/timeline"), &tenant.key)
        .await;
    assert_eq!(timeline["items"].as_array().unwrap().len(), 2, "{timeline}");
    let weighted = server.get("/api/v1/rca?scorer=weighted", &tenant.key).await;
    assert!(
        weighted["causes"][0]["scores"]["temporal"].is_number(),
        "{weighted}"
    );
    let verify = server
        .get(
            &format!("/api/v1/admin/billing/{}/verify", tenant.id),
            &server.operator,
        )
        .await;
    assert!(
        verify["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|d| d["agrees"] == true),
        "{verify}"
    );
    let usage = server.get("/api/v1/usage", &tenant.key).await;
    let rca = usage["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["metric"] == "rca_queries_count")
        .unwrap();
    assert_eq!(rca["amount"], 2);
}

#[tokio::test]
async fn a_failure_that_is_understood_better_stays_one_incident() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let mut sent = 0;
    // State first says that an image cannot be pulled; only the events say why.
    for (kind, batch) in scenario("image/pull-unauthorized.jsonl") {
        sent += server.ingest(&tenant, kind, batch).await["accepted"]
            .as_u64()
            .unwrap();
        server.settled(&tenant, sent).await;
    }
    let incidents = server.get("/api/v1/incidents", &tenant.key).await;
    assert_eq!(
        incidents["items"].as_array().unwrap().len(),
        1,
        "{incidents}"
    );
    assert_eq!(
        incidents["items"][0]["fault_type"],
        "image.pull_unauthorized"
    );
    assert_eq!(incidents["items"][0]["state"], "open");
}

#[tokio::test]
async fn the_answer_is_the_newest_one_whatever_the_times_of_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--tick-seconds", "3600"]);
    let tenant = server.tenant("Acme", "pro").await;
    let mut batches: std::collections::BTreeMap<_, _> =
        scenario("runtime/oom-killed-thumbnailer.jsonl")
            .into_iter()
            .collect();
    let mut sent = 0;
    // The events, then one of just now, then state that is older than it and says more.
    for (kind, batch) in [
        ("events", batches.remove("events").unwrap()),
        ("events", event("now")),
        ("resources", batches.remove("resources").unwrap()),
    ] {
        sent += server.ingest(&tenant, kind, batch).await["accepted"]
            .as_u64()
            .unwrap();
        server.settled(&tenant, sent).await;
    }
    let incident = server.get("/api/v1/incidents", &tenant.key).await["items"][0].clone();
    let answer = server
        .get(
            &format!(
                "/api/v1/rca?incident_id={}",
                incident["incident_id"].as_str().unwrap()
            ),
            &tenant.key,
        )
        .await;
    assert_eq!(incident["fault_type"], "runtime.oom_killed", "{incident}");
    assert_eq!(
        answer["causes"][0]["fault_type"], "runtime.oom_killed",
        "{answer}"
    );
}

#[tokio::test]
async fn accuracy_is_the_share_of_what_people_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--tick-seconds", "3600"]);
    let tenant = server.tenant("Acme", "pro").await;
    let mut sent = 0;
    for (kind, batch) in scenario("runtime/oom-killed-thumbnailer.jsonl") {
        sent += server.ingest(&tenant, kind, batch).await["accepted"]
            .as_u64()
            .unwrap();
    }
    server.settled(&tenant, sent).await;
    let say = async |server: &Server, body: Value| {
        let body = Some(body.to_string().into_bytes());
        server
            .call(
                Method::POST,
                "/api/v1/incidents/inc-1/feedback",
                Some(&tenant.key),
                body,
            )
            .await
            .status()
    };
    assert_eq!(
        say(&server, json!({"cause": 9})).await,
        409,
        "the answer names fewer"
    );
    assert_eq!(say(&server, json!({})).await, 400);
    assert_eq!(
        say(&server, json!({"cause": 1, "component": "app/x"})).await,
        400
    );
    assert_eq!(
        say(&server, json!({"component": "app/elsewhere"})).await,
        202
    );
    let gauge = async |server: &Server, line: &str| {
        let text = server
            .http
            .get(format!("{}/metrics", server.metrics))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(text.contains(line), "{line} in {text}");
    };
    gauge(&server, "kg_rca_accuracy_at_k{k=\"1\"} 0\n").await;
    assert_eq!(
        say(&server, json!({"cause": 1})).await,
        202,
        "the last word counts"
    );
    gauge(&server, "kg_rca_accuracy_at_k{k=\"1\"} 1\n").await;
    gauge(&server, "kg_rca_mean_average_rank 1\n").await;
    assert!(server.terminate());
    let server = Server::start(folder.path(), &["--tick-seconds", "3600"]);
    gauge(&server, "kg_rca_accuracy_at_k{k=\"5\"} 1\n").await;
}

#[tokio::test]
async fn a_log_that_was_lost_is_read_from_its_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    server
        .ingest(&tenant, "events", [event("a"), event("b")].join(&b'\n'))
        .await;
    server.settled(&tenant, 2).await;
    assert!(server.terminate());
    std::fs::remove_dir_all(folder.path().join("log").join(&tenant.id)).unwrap();
    let server = Server::start(folder.path(), &[]);
    server.ingest(&tenant, "events", event("c")).await;
    let stats = server.settled(&tenant, 3).await;
    assert_eq!(stats["records"]["applied"], 3, "{stats}");
}

#[tokio::test]
async fn alerts_of_one_webhook_go_to_their_own_clusters() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let now = jiff::Timestamp::now().to_string();
    let alert = |cluster: &str| {
        json!({"status": "firing", "startsAt": now,
        "labels": {"alertname": "HighErrorRate", "cluster": cluster, "namespace": "shop",
        "service": "cart"}})
    };
    let webhook = json!({"version": "4", "status": "firing", "alerts": [alert("east"),
        alert("west"), alert("east"), alert("north")]});
    let answer = server
        .ingest(&tenant, "alerts", webhook.to_string().into_bytes())
        .await;
    assert_eq!(
        answer["accepted"], 3,
        "one record for each cluster: {answer}"
    );
    server.settled(&tenant, 4).await;
    let stats = server.get("/api/v1/stats", &tenant.key).await;
    let clusters: Vec<_> = stats["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["cluster"].as_str().unwrap())
        .collect();
    assert_eq!(clusters, ["east", "north", "west"], "{stats}");
}

/// Sends a gigabyte in chunks without saying how much it will be. Returns whether it was refused
/// before its end.
fn endless_body_is_refused(server: &Server, key: &str) -> bool {
    use std::io::Read;

    let address = server.url.trim_start_matches("http://");
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    write!(
        socket,
        "POST /api/v1/ingest/logs HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    )
    .unwrap();
    let chunk = vec![b'x'; 1 << 20];
    let sent = (0..1024).take_while(|_| {
        let head = write!(socket, "{:x}\r\n", chunk.len());
        head.and_then(|()| socket.write_all(&chunk))
            .and_then(|()| socket.write_all(b"\r\n"))
            .is_ok()
    });
    let sent = sent.count();
    let mut answer = Vec::new();
    // The connection may be gone before the answer was read.
    let _ = socket.read_to_end(&mut answer);
    sent < 1024 && (answer.is_empty() || answer.starts_with(b"HTTP/1.1 413"))
}

#[tokio::test]
async fn hostile_input_is_refused_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--max-body-mib", "4"]);
    let (tenant, other) = (
        server.tenant("Acme", "pro").await,
        server.tenant("Other", "pro").await,
    );
    let post = |body: Vec<u8>| {
        server.call(
            Method::POST,
            "/api/v1/ingest/events",
            Some(&tenant.key),
            Some(body),
        )
    };
    // The answer comes before the body is read: a client that is still writing may see the
    // connection end instead. A client of its own: the connection is not used again.
    let large = reqwest::Client::new()
        .post(format!("{}/api/v1/ingest/events", server.url))
        .header("x-api-key", &tenant.key);
    if let Ok(answer) = large.body(vec![b'x'; 5 << 20]).send().await {
        assert_eq!(answer.status(), 413);
    }
    assert!(
        endless_body_is_refused(&server, &tenant.key),
        "a gigabyte that comes bit by bit"
    );
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        bomb.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let response = reqwest::Client::new()
        .post(format!("{}/api/v1/ingest/events", server.url))
        .header("x-api-key", &tenant.key)
        .header("content-encoding", "gzip")
        .body(bomb.finish().unwrap())
        .send();
    assert_eq!(response.await.unwrap().status(), 413);
    assert_eq!(post(Vec::new()).await.status(), 400);
    for (body, reason) in [
        ("{\"a\":".repeat(10_000).into_bytes(), "too_deep"),
        (vec![b'{', b'"', 0xff, b'"', b'}'], "not_utf8"),
        (
            String::from_utf8(event("a"))
                .unwrap()
                .replace(
                    "\"cluster\"",
                    "\"client_id\":\"client-evil-666666\",\"cluster\"",
                )
                .into_bytes(),
            "foreign_tenant",
        ),
        (
            br#"{"event_time":"9999-01-01T00:00:00Z","cluster":"prod","subject":{"name":"x"}}"#
                .to_vec(),
            "far_future",
        ),
        (
            br#"{"event_time":"2026-01-01T00:00:00Z","cluster":"prod"}"#.to_vec(),
            "unknown_shape",
        ),
        (br#"{"subject":{"name":"x"}}"#.to_vec(), "cluster_missing"),
        (br#"{"subject":{"name":"x"#.to_vec(), "torn"),
    ] {
        let response = post(body).await;
        assert_eq!(response.status(), 202, "{reason}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["rejected"][0]["reason"], reason, "{answer}");
    }
    let dlq = server.get("/api/v1/dlq", &tenant.key).await;
    assert_eq!(dlq["items"].as_array().unwrap().len(), 7);
    let stats = server.get("/api/v1/stats", &tenant.key).await;
    assert_eq!(
        (&stats["records"]["seen"], &stats["records"]["rejected"]),
        (&7.into(), &7.into()),
        "what the door refused is counted"
    );
    let answer = server.ingest(&other, "events", event("b")).await;
    assert_eq!(answer["accepted"], 1, "other tenants are unharmed");
    server.settled(&other, 1).await;
    assert!(server.terminate(), "the daemon leaves in order");
}

/// A record that was sent again is marked, and not sent again by mistake.
#[tokio::test]
async fn a_rejected_record_is_retried_once_unless_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let body = br#"{"subject":{"name":"x"}}"#.to_vec();
    server.ingest(&tenant, "events", body).await;
    let letters = async || server.get("/api/v1/dlq", &tenant.key).await["items"].clone();
    let before = letters().await;
    assert!(before[0]["retried_at"].is_null(), "{before}");
    let retry = async |path: &str| {
        let path = format!("/api/v1/dlq/{path}");
        let answer = server
            .call(Method::POST, &path, Some(&tenant.key), None)
            .await;
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let (status, answer) = retry("0/retry").await;
    assert_eq!(
        (status, &answer["rejected_count"]),
        (202, &json!(1)),
        "{answer}"
    );
    let (status, answer) = retry("0/retry").await;
    assert_eq!(status, 409, "{answer}");
    assert_eq!(answer["error"]["hint"], "kgrca dlq retry --again 0");
    let all = letters().await;
    assert!(all[0]["retried_at"].is_string(), "{all}");
    assert_eq!(all.as_array().unwrap().len(), 2, "the second was not sent");
    assert_eq!(retry("0/retry?again=true").await.0, 202);
    assert_eq!(letters().await.as_array().unwrap().len(), 3);
    assert_eq!(retry("99/retry").await.0, 404);
    let long = json!({"subject": {"name": "x"}, "message": "m".repeat(5000)});
    server
        .ingest(&tenant, "events", long.to_string().into_bytes())
        .await;
    let (status, answer) = retry("3/retry").await;
    assert_eq!(status, 409, "only its beginning was kept: {answer}");
}

#[tokio::test]
async fn idempotency_keys_and_masking() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let batch = event("a");
    let send = || {
        server
            .http
            .post(format!("{}/api/v1/ingest/events", server.url))
            .header("x-api-key", &tenant.key)
            .header("idempotency-key", "one")
            .body(batch.clone())
            .send()
    };
    let first: Value = send().await.unwrap().json().await.unwrap();
    let second: Value = send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (
            &first["accepted"],
            &second["accepted"],
            &second["duplicate"]
        ),
        (&json!(1), &json!(0), &json!(1))
    );
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "cluster": "prod",
        "metadata": {"name": "db", "namespace": "shop", "uid": "s1"},
        "data": {"password": "aHVudGVyMg=="}});
    server
        .ingest(&tenant, "resources", secret.to_string().into_bytes())
        .await;
    server.settled(&tenant, 2).await;
    server.kill();
    let mut leaks = Vec::new();
    find_bytes(folder.path(), b"aHVudGVyMg", &mut leaks);
    assert!(leaks.is_empty(), "values of Secrets are in {leaks:?}");
}

fn find_bytes(folder: &std::path::Path, wanted: &[u8], found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_bytes(&path, wanted, found);
        } else if std::fs::read(&path)
            .unwrap()
            .windows(wanted.len())
            .any(|w| w == wanted)
        {
            found.push(path);
        }
    }
}

#[tokio::test]
async fn the_free_plan_is_hard() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Small", "free").await;
    let batch: Vec<u8> = (0..10_000)
        .flat_map(|i| [event(&format!("e{i}")), b"\n".to_vec()].concat())
        .collect();
    assert_eq!(
        server.ingest(&tenant, "events", batch).await["accepted"],
        10_000
    );
    let refused = server
        .call(
            Method::POST,
            "/api/v1/ingest/events",
            Some(&tenant.key),
            Some(event("more")),
        )
        .await;
    assert_eq!(refused.status(), 429);
    assert!(
        refused.headers().contains_key("retry-after")
            && refused.headers().contains_key("x-ratelimit-remaining")
    );
    let error: Value = refused.json().await.unwrap();
    assert_eq!(error["error"]["code"], "quota_exceeded");
    let state = br#"{"op":"DELETE","at":"2026-01-01T00:00:00Z","cluster":"prod","kind":"Pod","uid":"x","name":"x"}"#;
    assert_eq!(
        server.ingest(&tenant, "resources", state.to_vec()).await["accepted"],
        1,
        "state is never refused"
    );
    server.settled(&tenant, 10_001).await;
    let usage = server.get("/api/v1/usage", &tenant.key).await;
    let of = |metric: &str| {
        usage["rows"]
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["metric"] == metric)
            .map(|r| r["amount"].clone())
    };
    assert_eq!(
        of("events_rejected_quota_count"),
        Some(json!(1)),
        "what was refused is counted"
    );
    assert_eq!(of("events_ingested_count"), Some(json!(10_000)));
}

/// A sender that lost the answer sends again: by its own numbers that is known, and nobody pays
/// twice.
#[tokio::test]
async fn what_is_sent_again_is_not_counted_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Again", "pro").await;
    let line = |seq: u64| {
        let at = jiff::Timestamp::now().to_string();
        json!({"event_time": at, "cluster": "prod", "message": "ERROR x", "pod_namespace": "shop",
            "pod_name": "web", "src": "f", "seq": seq})
    };
    for numbers in [1..=30, 1..=30, 21..=40] {
        let lines: Vec<String> = numbers.map(|seq| line(seq).to_string()).collect();
        server
            .ingest(&tenant, "logs", lines.join("\n").into_bytes())
            .await;
    }
    let stats = server.settled(&tenant, 80).await;
    assert_eq!(
        (&stats["records"]["applied"], &stats["records"]["duplicate"]),
        (&json!(40), &json!(40)),
        "{stats}"
    );
    assert_eq!(stats["client_id"], tenant.id.as_str());
    let usage = server.get("/api/v1/usage", &tenant.key).await;
    let counted = usage["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["metric"] == "events_ingested_count")
        .unwrap();
    assert_eq!(counted["amount"], 40, "{usage}");
    let verify = server
        .get(
            &format!("/api/v1/admin/billing/{}/verify", tenant.id),
            &server.operator,
        )
        .await;
    assert!(
        verify["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|d| d["agrees"] == true),
        "{verify}"
    );
}

#[tokio::test]
async fn the_feed_resumes_behind_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let mut sent = 0;
    for (kind, batch) in scenario("config/secret-missing-env.jsonl") {
        sent += server.ingest(&tenant, kind, batch).await["accepted"]
            .as_u64()
            .unwrap();
    }
    server.settled(&tenant, sent).await;
    let request = server
        .http
        .get(format!("{}/api/v1/incidents/stream", server.url))
        .header("x-api-key", &tenant.key)
        .header("last-event-id", "0");
    let mut response = request.send().await.unwrap();
    let mut text = String::new();
    while !text.contains("\"to\":\"open\"") {
        let chunk = tokio::time::timeout(std::time::Duration::from_secs(10), response.chunk())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        text += &String::from_utf8_lossy(&chunk);
    }
    assert!(
        text.contains("event: transition") && text.contains("id: 1"),
        "{text}"
    );
}

#[tokio::test]
async fn metrics_and_documents_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    server.ingest(&tenant, "events", event("a")).await;
    server.settled(&tenant, 1).await;
    let metrics = server
        .http
        .get(format!("{}/metrics", server.metrics))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for name in [
        "kg_messages_processed_total",
        "kg_message_processing_duration_seconds",
        "kg_rca_compute_time_seconds",
        "kg_client_api_calls_total",
        "graph_builder_up",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    let document: Value = server
        .http
        .get(format!("{}/openapi.json", server.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"].as_object().unwrap().len() >= 25);
}

#[tokio::test]
async fn a_tenant_gets_more_partitions_and_its_clusters_move_with_their_state() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Growing", "enterprise").await;
    let pod = |cluster: usize, name: &str| {
        json!({"op": "UPSERT", "at": jiff::Timestamp::now().to_string(),
            "cluster": format!("c{cluster}"), "kind": "Pod", "uid": format!("u-{cluster}-{name}"),
            "namespace": "shop", "name": name, "resourceVersion": "7",
            "status": {"phase": "Running"}})
        .to_string()
    };
    let all: Vec<String> = (0..12).map(|c| pod(c, "web")).collect();
    server
        .ingest(&tenant, "resources", all.join("\n").into_bytes())
        .await;
    server.settled(&tenant, 12).await;
    let path = format!("/api/v1/admin/clients/{}", tenant.id);
    let patch = async |change: Value| {
        let body = change.to_string().into_bytes();
        server
            .call(
                reqwest::Method::PATCH,
                &path,
                Some(&server.operator),
                Some(body),
            )
            .await
            .status()
            .as_u16()
    };
    assert_eq!(
        patch(json!({"partitions": 6})).await,
        409,
        "not while it is served"
    );
    assert_eq!(
        patch(json!({"state": "suspended", "partitions": 6})).await,
        200
    );
    assert_eq!(patch(json!({"partitions": 2})).await, 409, "they only grow");
    assert_eq!(patch(json!({"state": "active"})).await, 200);
    let more: Vec<String> = (0..12).map(|c| pod(c, "db")).collect();
    server
        .ingest(&tenant, "resources", more.join("\n").into_bytes())
        .await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let stats = server.get("/api/v1/stats", &tenant.key).await;
        let clusters = stats["clusters"].as_array().unwrap();
        // One pod was there; now there is one more.
        if stats["lag"] == 0
            && clusters.len() == 12
            && clusters.iter().all(|c| c["resources"].as_u64() == Some(2))
        {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "every cluster has both of its pods: {stats}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(
        server.get("/api/v1/resources?kind=Pod", &tenant.key).await["items"]
            .as_array()
            .unwrap()
            .len(),
        24
    );
}

/// Waits until a daemon has loaded the live state of a partition.
async fn until_loaded(server: &Server) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let text = server
            .http
            .get(format!("{}/metrics", server.metrics))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        if text.contains("kg_restore_seconds_count 1") {
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "nobody works on the tenant"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn incidents_go_on_after_a_restart_without_another_record() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Silent", "pro").await;
    let failed = json!({"event_id": "e1", "event_time": jiff::Timestamp::now().to_string(),
        "cluster": "prod", "severity": "WARNING", "reason": "Failed", "count": 5,
        "message": "Failed to pull image \"r.example/web:2\": manifest unknown: not found",
        "subject": {"kind": "Pod", "ns": "shop", "name": "web-1"}});
    server
        .ingest(&tenant, "events", failed.to_string().into_bytes())
        .await;
    server.settled(&tenant, 1).await;
    assert!(server.terminate());
    // Nothing waits in the log, nobody asks: time alone moves the incident on.
    let server = Server::start(folder.path(), &[]);
    until_loaded(&server).await;
}

#[tokio::test]
async fn a_deletion_that_died_at_its_first_write_has_its_time_of_grace() {
    let folder = tempfile::tempdir().unwrap();
    // Behind the sixteen writes of a creation.
    let server = Server::start_with(folder.path(), &[], &[("KGRCA_ABORT_AT_SAGA_WRITE", "17")]);
    let tenant = server.tenant("Kept", "pro").await;
    let path = format!("/api/v1/admin/clients/{}", tenant.id);
    let died = server
        .http
        .delete(format!("{}{path}", server.url))
        .header("x-api-key", &server.operator)
        .send()
        .await;
    assert!(died.is_err(), "it dies before it answers");
    server.kill();
    let server = Server::start(folder.path(), &[]);
    // Longer than it takes until somebody looks for sagas that go on by themselves, twice.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while std::time::Instant::now() < until {
        let status = server
            .call(reqwest::Method::GET, &path, Some(&server.operator), None)
            .await
            .status();
        assert_eq!(status, 200, "it is still there");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let again = server
        .call(reqwest::Method::DELETE, &path, Some(&server.operator), None)
        .await;
    let saga: Value = again.json().await.unwrap();
    assert_eq!(
        (&saga["kind"], &saga["state"]),
        (&json!("delete"), &json!("running")),
        "it goes on, and waits: {saga}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_is_one_tenant_and_brings_none_back_that_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let server = std::sync::Arc::new(Server::start(folder.path(), &[]));
    let create = async |server: std::sync::Arc<Server>| {
        let request = server
            .http
            .post(format!("{}/api/v1/admin/clients", server.url))
            .header("x-api-key", &server.operator);
        let answer = request
            .header("idempotency-key", "once")
            .body(r#"{"name":"Twice","plan":"pro"}"#)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (
            status,
            body["client_id"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let both: Vec<_> = (0..8)
        .map(|_| tokio::spawn(create(std::sync::Arc::clone(&server))))
        .collect();
    let mut made = std::collections::BTreeSet::new();
    for one in both {
        let (status, id) = one.await.unwrap();
        // Who comes while another one sets it up is told so.
        assert!(status == 201 || status == 409, "{status}");
        made.extend((status == 201).then_some(id));
    }
    let list = async || {
        server.get("/api/v1/admin/clients", &server.operator).await["items"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((made.len(), list().await), (1, 1), "{made:?}");
    let (status, again) = create(std::sync::Arc::clone(&server)).await;
    assert_eq!(
        (status, Some(&again)),
        (201, made.first()),
        "later it is the same tenant, with new secrets"
    );
    let path = format!("/api/v1/admin/clients/{again}?grace_days=0");
    server
        .call(reqwest::Method::DELETE, &path, Some(&server.operator), None)
        .await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while list().await > 0 {
        assert!(std::time::Instant::now() < deadline, "it is removed");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(
        create(std::sync::Arc::clone(&server)).await.0,
        409,
        "what was deleted stays so"
    );
    assert_eq!(list().await, 0);
}

#[tokio::test]
async fn a_plan_has_room_for_so_many_clusters() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Small", "free").await;
    let send = async |cluster: &str| {
        let pod = json!({"op": "UPSERT", "at": jiff::Timestamp::now().to_string(),
            "cluster": cluster, "kind": "Pod", "uid": "u", "namespace": "shop", "name": "web"});
        let body = Some(pod.to_string().into_bytes());
        server
            .call(
                reqwest::Method::POST,
                "/api/v1/ingest/resources",
                Some(&tenant.key),
                body,
            )
            .await
    };
    assert_eq!(send("prod").await.status(), 202);
    let refused = send("staging").await;
    assert_eq!(refused.status(), 429);
    let told: Value = refused.json().await.unwrap();
    assert_eq!(told["error"]["code"], "quota_exceeded");
    assert!(
        told["error"]["message"]
            .as_str()
            .unwrap()
            .contains("`staging`"),
        "{told}"
    );
    assert_eq!(
        send("prod").await.status(),
        202,
        "the one that was there goes on"
    );
    let path = format!("/api/v1/admin/clients/{}", tenant.id);
    let body = Some(json!({"plan": "basic"}).to_string().into_bytes());
    assert_eq!(
        server
            .call(reqwest::Method::PATCH, &path, Some(&server.operator), body)
            .await
            .status(),
        200
    );
    assert_eq!(
        send("staging").await.status(),
        202,
        "a larger plan has room at once"
    );
}

#[tokio::test]
async fn an_export_keeps_the_order_in_which_records_came() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Ordered", "pro").await;
    // Names against the order of arrival: in another order the lower numbers would count as
    // repeats.
    for (seq, name) in ["c", "b", "a"].iter().enumerate() {
        let pod = json!({"op": "UPSERT", "at": jiff::Timestamp::now().to_string(),
            "cluster": "prod", "kind": "Pod", "uid": name, "namespace": "shop", "name": name,
            "src": "agent", "seq": seq + 1});
        server
            .ingest(&tenant, "resources", pod.to_string().into_bytes())
            .await;
    }
    server.settled(&tenant, 3).await;
    let path = format!("/api/v1/admin/clients/{}/export/records", tenant.id);
    let lines = server
        .call(reqwest::Method::GET, &path, Some(&server.operator), None)
        .await
        .text()
        .await
        .unwrap();
    let of = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["value"]["seq"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(lines.lines().map(of).collect::<Vec<_>>(), [1, 2, 3]);
}

/// Image pulls that fail repeatedly: an incident of its own in each cluster.
fn failing_pulls(cluster: &str, severity: &str) -> Vec<u8> {
    json!({
        "event_id": format!("{cluster}-1"),
        "event_time": jiff::Timestamp::now().to_string(),
        "cluster": cluster,
        "severity": severity,
        "reason": "Failed",
        "count": 5,
        "message": "Failed to pull image \"r.example/web:2\": manifest unknown: not found",
        "subject": {"kind": "Pod", "ns": "shop", "name": "web-1"},
    })
    .to_string()
    .into_bytes()
}

#[tokio::test]
async fn rca_without_an_incident_answers_the_worst_open_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let none = server
        .call(Method::GET, "/api/v1/rca", Some(&tenant.key), None)
        .await;
    assert_eq!(none.status(), 404);
    for (sent, (cluster, severity)) in [("a", "CRITICAL"), ("b", "WARNING")].iter().enumerate() {
        let batch = failing_pulls(cluster, severity);
        server.ingest(&tenant, "events", batch).await;
        server.settled(&tenant, sent as u64 + 1).await;
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let rows = loop {
        let page = server.get("/api/v1/incidents", &tenant.key).await;
        let rows = page["items"].as_array().unwrap().clone();
        if rows.len() == 2 {
            break rows;
        }
        assert!(std::time::Instant::now() < deadline, "{rows:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(
        rows[0]["cluster"], "b",
        "the newest comes first in the list"
    );
    assert_ne!(rows[0]["severity"], rows[1]["severity"]);
    let answer = server.get("/api/v1/rca", &tenant.key).await;
    assert_eq!(answer["incident_id"], rows[1]["incident_id"], "{answer}");
}

#[tokio::test]
async fn a_refused_change_of_a_tenant_does_not_cancel_its_deletion() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let path = format!("/api/v1/admin/clients/{}", tenant.id);
    let call = async |method: Method, body: Option<Value>| {
        let body = body.map(|b| b.to_string().into_bytes());
        server
            .call(method, &path, Some(&server.operator), body)
            .await
    };
    assert_eq!(call(Method::DELETE, None).await.status(), 202);
    // Partitions can only be added while the tenant is suspended.
    let refused = call(
        Method::PATCH,
        Some(json!({"state": "active", "partitions": 8})),
    );
    assert_eq!(refused.await.status(), 409);
    let sagas = format!("/api/v1/admin/sagas?client_id={}&open=true", tenant.id);
    let open = server.get(&sagas, &server.operator).await;
    assert_eq!(open["items"][0]["kind"], "delete", "{open}");
    let shown = server.get(&path, &server.operator).await;
    assert_eq!(shown["state"], "leaving", "{shown}");
    let resumed = call(Method::PATCH, Some(json!({"state": "active"})));
    assert_eq!(resumed.await.status(), 200);
    let open = server.get(&sagas, &server.operator).await;
    assert_eq!(open["items"], json!([]), "the deletion is cancelled");
    assert_eq!(
        server
            .call(Method::GET, "/api/v1/stats", Some(&tenant.key), None)
            .await
            .status(),
        200
    );
    let log = server
        .get(
            &format!("/api/v1/admin/audit?client_id={}", tenant.id),
            &server.operator,
        )
        .await;
    let actions: Vec<&str> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["action"].as_str())
        .collect();
    assert_eq!(actions, ["client.create", "client.delete", "client.update"]);
}

#[tokio::test]
async fn a_tenant_handles_its_own_keys() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let call = async |method: Method, path: &str, body: Value| {
        server
            .call(
                method,
                path,
                Some(&tenant.key),
                Some(body.to_string().into_bytes()),
            )
            .await
    };
    let agent = json!({"name": "agent", "role": "agent"});
    let created = call(Method::POST, "/api/v1/keys", agent).await;
    assert_eq!(created.status(), 201);
    let created: Value = created.json().await.unwrap();
    let path = format!("/api/v1/keys/{}", created["key_id"].as_str().unwrap());
    let rotated = call(Method::POST, &format!("{path}/rotate"), json!({})).await;
    assert_eq!(rotated.status(), 201);
    let rotated: Value = rotated.json().await.unwrap();
    assert_eq!(rotated["scopes"], created["scopes"]);
    let too_long = json!({"overlap_seconds": 2_592_001});
    let refused = call(Method::POST, &format!("{path}/rotate"), too_long).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(call(Method::DELETE, &path, json!({})).await.status(), 204);
    let again = call(Method::DELETE, &path, json!({})).await;
    assert_eq!(again.status(), 404, "it is revoked");
    let log = server.get("/api/v1/audit", &tenant.key).await;
    let last = log["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["action"], "key.revoke", "{log}");
}

/// Method, path, key, body, status, code and a part of the message.
const REFUSALS: &str = r"
    GET   | /api/v1/stats                | none     |    | 401 | unauthenticated | an API key
    GET   | /api/v1/stats                | wrong    |    | 401 | unauthenticated | unknown, expired
    GET   | /api/v1/stats                | operator |    | 403 | forbidden       | a tenant key
    GET   | /api/v1/admin/sagas          | own      |    | 403 | forbidden       | an operator key
    GET   | /api/v1/keys                 | viewer   |    | 403 | forbidden       | scope `admin`
    GET   | /api/v1/nothing              | own      |    | 404 | not_found       | no such endpoint
    PATCH | /api/v1/stats                | own      |    | 405 | invalid_request | not allowed
    GET   | /api/v1/incidents/inc-7      | own      |    | 404 | not_found       | `inc-7` not found
    GET   | /api/v1/incidents?limit=0    | own      |    | 400 | invalid_request | between 1 and
    GET   | /api/v1/incidents?since=now  | own      |    | 400 | invalid_request | RFC 3339
    GET   | /api/v1/incidents?x=1        | own      |    | 400 | invalid_request | invalid query
    GET   | /api/v1/usage?from=May       | own      |    | 400 | invalid_request | YYYY-MM-DD
    GET   | /api/v1/resources/u1         | own      |    | 404 | not_found       | `u1` not found
    POST  | /api/v1/ingest/traces        | own      | {} | 404 | not_found       | record kind
    POST  | /api/v1/ingest/events        | own      |    | 400 | invalid_request | body is empty
    POST  | /api/v1/keys                 | own      | [] | 400 | invalid_request | a JSON object
    POST  | /api/v1/admin/clients        | operator | {} | 400 | invalid_request | invalid body
";

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let (_, viewer) = server.key(&tenant, &["read"]).await;
    for line in REFUSALS.trim().lines() {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [method, path, key, body, status, code, message] = fields[..] else {
            panic!("{line}");
        };
        let key = match key {
            "own" => Some(tenant.key.as_str()),
            "operator" => Some(server.operator.as_str()),
            "viewer" => Some(viewer.as_str()),
            "wrong" => Some("kg_x"),
            _ => None,
        };
        let body = Some(body.as_bytes().to_vec()).filter(|b| !b.is_empty());
        let method: Method = method.parse().unwrap();
        let response = server.call(method, path, key, body).await;
        assert_eq!(response.status().to_string()[..3], *status, "{line}");
        let answer: Value = response.json().await.unwrap();
        let error = &answer["error"];
        assert_eq!(error["code"], code, "{line}: {error}");
        let text = error["message"].as_str().unwrap();
        assert!(text.contains(message), "{line}: {error}");
        assert!(error["request_id"].is_string(), "{line}: {error}");
    }
}
