//! Ingested records are stored complete, once and without secrets; a data folder belongs to one
//! daemon.

use kgrca_tests::Server;
use reqwest::Method;
use serde_json::{Value, json};

fn at(seconds_ago: i64) -> String {
    jiff::Timestamp::from_microsecond(
        jiff::Timestamp::now().as_microsecond() - seconds_ago * 1_000_000,
    )
    .unwrap()
    .to_string()
}

fn failing(id: usize, cluster: &str, seconds_ago: i64) -> Value {
    json!({
        "event_id": format!("{cluster}-{id}"), "event_time": at(seconds_ago),
        "first_time": at(seconds_ago + 120), "count": 5, "cluster": cluster, "severity": "WARNING",
        "reason": "Failed",
        "message": "Failed to pull image \"r.example/web:2\": manifest unknown: not found",
        "subject": {"kind": "Pod", "ns": "shop", "name": "web-1"},
    })
}

#[tokio::test]
async fn a_list_is_ingested_item_by_item() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let object = |kind: &str, name: &str| {
        json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}")},
            "spec": {},
            "status": {},
        })
    };
    let list = json!({
        "apiVersion": "v1", "kind": "List",
        "items": [object("Pod", "a"), object("Service", "b"), object("ConfigMap", "c")],
    });
    let request = server
        .http
        .post(format!("{}/api/v1/ingest/resources", server.url))
        .header("x-api-key", &tenant.key)
        .header("x-cluster", "c1");
    let answer: Value = request
        .body(serde_json::to_string_pretty(&list).unwrap())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["accepted"], 3, "{answer}");
    server.settled(&tenant, 3).await;
    let resources = server.get("/api/v1/resources", &tenant.key).await;
    assert_eq!(
        resources["items"].as_array().unwrap().len(),
        3,
        "{resources}"
    );
    assert_eq!(resources["items"][0]["cluster"], "c1");
}

#[tokio::test]
async fn sequence_numbers_follow_the_stream_not_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let line = |seq: i64| {
        json!({
            "event_time": at(seq * 20), "cluster": "prod", "etype": "k8s.log", "message": "x",
            "subject": {"kind": "Pod", "ns": "shop", "name": "web"}, "src": "file-1", "seq": seq,
        })
        .to_string()
    };
    let batch = [line(1), line(2), line(3), line(2)].join("\n");
    server.ingest(&tenant, "logs", batch.into_bytes()).await;
    let stats = server.settled(&tenant, 4).await;
    assert_eq!(
        (&stats["records"]["applied"], &stats["records"]["duplicate"]),
        (&json!(3), &json!(1)),
        "later lines of earlier times are not lost: {stats}"
    );
}

#[tokio::test]
async fn secret_values_never_reach_the_dlq() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let key = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo".repeat(200);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", "namespace": "shop"},
        "data": {"tls.key": key},
    })
    .to_string();
    let torn = &secret[..secret.len() - 10];
    for (kind, body) in [
        ("resources", secret.as_str()),
        ("resources", torn),
        ("events", secret.as_str()),
        ("events", torn),
    ] {
        let answer = server.ingest(&tenant, kind, body.as_bytes().to_vec()).await;
        assert_eq!(
            answer["rejected"].as_array().unwrap().len(),
            1,
            "{kind}: without a cluster it is rejected"
        );
    }
    let dlq = server.get("/api/v1/dlq", &tenant.key).await;
    assert_eq!(dlq["items"].as_array().unwrap().len(), 4);
    assert!(!dlq.to_string().contains("QUJDREVGR0hJ"), "{dlq}");
}

#[tokio::test]
async fn a_restart_leaves_incidents_of_all_partitions_open() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--partitions", "4", "--tick-seconds", "1"];
    let server = Server::start(folder.path(), &options);
    let tenant = server.tenant("Acme", "pro").await;
    for cluster in ["a", "b", "c", "d", "e", "f"] {
        server
            .ingest(
                &tenant,
                "events",
                failing(1, cluster, 5).to_string().into_bytes(),
            )
            .await;
    }
    server.settled(&tenant, 6).await;
    let open = |v: &Value| {
        v["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|i| i["state"] == "open")
            .count()
    };
    // The commit follows shortly after the last record is processed.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while open(&server.get("/api/v1/incidents", &tenant.key).await) < 6 {
        assert!(std::time::Instant::now() < deadline, "six incidents open");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server.kill();
    let server = Server::start(folder.path(), &options);
    server
        .ingest(
            &tenant,
            "events",
            failing(2, "a", 1).to_string().into_bytes(),
        )
        .await;
    server.settled(&tenant, 1).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    // Every partition has ticked once it has seen a tick's record.
    while server.get("/api/v1/stats", &tenant.key).await["clusters"]
        .as_array()
        .unwrap()
        .len()
        < 6
    {
        assert!(
            std::time::Instant::now() < deadline,
            "all clusters are rebuilt"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(open(&server.get("/api/v1/incidents", &tenant.key).await), 6);
}

#[tokio::test]
async fn a_manually_resolved_incident_reopens_only_on_new_symptoms() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    server
        .ingest(
            &tenant,
            "events",
            failing(1, "prod", 30).to_string().into_bytes(),
        )
        .await;
    server.settled(&tenant, 1).await;
    let body = json!({"state": "resolved"}).to_string().into_bytes();
    let response = server
        .call(
            Method::PATCH,
            "/api/v1/incidents/inc-1",
            Some(&tenant.key),
            Some(body),
        )
        .await;
    assert_eq!(response.status(), 202);
    let state = async |wanted: &str| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while server.get("/api/v1/incidents/inc-1", &tenant.key).await["state"] != wanted {
            assert!(std::time::Instant::now() < deadline, "becomes {wanted}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    state("resolved").await;
    let timeline = server
        .get("/api/v1/incidents/inc-1/timeline", &tenant.key)
        .await;
    assert_eq!(timeline["items"].as_array().unwrap().len(), 2, "{timeline}");
    // From before the resolve: whoever resolved the incident knew about it.
    let lasting = failing(2, "prod", 25);
    server
        .ingest(&tenant, "events", lasting.to_string().into_bytes())
        .await;
    server.settled(&tenant, 2).await;
    state("resolved").await;
    let mut new = failing(3, "prod", -2);
    new["first_time"] = at(-2).into();
    new["reason"] = "FailedMount".into();
    new["message"] = "MountVolume.SetUp failed: secret \"web\" not found".into();
    server
        .ingest(&tenant, "events", new.to_string().into_bytes())
        .await;
    state("reopened").await;
}

#[tokio::test]
async fn a_data_folder_belongs_to_one_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(folder.path(), &[]);
    let second = std::process::Command::new(kgrca_tests::binary("kgrcad"))
        .arg("--data")
        .arg(folder.path())
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        text.contains("another kgrcad is using") && text.contains("hint:"),
        "{text}"
    );
}
