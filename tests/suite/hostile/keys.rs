//! Keys in wrong hands: elsewhere, for another cluster, mistyped, expired; and what the audit log
//! shows of whoever tries.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kgrca_core::storage::ApiKeys;
use kgrca_core::storage::sql::{Database, Purpose, Reach, Value as Sql};
use kgrca_core::tenancy::hex;
use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, repository};
use regex::Regex;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Watchdog;
use super::stores::{meta, start, start_with};

/// Creates a key of a tenant as its admin.
async fn create(server: &Server, tenant: &Tenant, request: Value) -> (StatusCode, Value) {
    let body = Some(request.to_string().into_bytes());
    let response = server.call(Method::POST, "/api/v1/keys", Some(&tenant.key), body);
    let response = response.await;
    (response.status(), response.json().await.unwrap())
}

async fn created(server: &Server, tenant: &Tenant, request: Value) -> String {
    let (status, answer) = create(server, tenant, request).await;
    assert_eq!(status, 201, "{answer}");
    answer["api_key"].as_str().unwrap().to_owned()
}

async fn status(server: &Server, path: &str, key: &str) -> StatusCode {
    let response = server.call(Method::GET, path, Some(key), None).await;
    response.status()
}

async fn status_from(server: &Server, key: &str, forwarded: &str) -> StatusCode {
    let request = server.http.get(format!("{}/api/v1/stats", server.url));
    let request = request.header("x-api-key", key);
    let request = request.header("x-forwarded-for", forwarded);
    request.send().await.unwrap().status()
}

/// Waits for the answer that a condition asks for.
pub(super) async fn until(
    server: &Server,
    path: &str,
    key: &str,
    is_met: impl Fn(&Value) -> bool,
) -> Value {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = server.get(path, key).await;
        if is_met(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{answer:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) fn entries<'a>(log: &'a Value, action: &str) -> Vec<&'a Value> {
    let items = log["items"].as_array().unwrap().iter();
    items.filter(|entry| entry["action"] == action).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_from_its_networks_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "pro").await;
    let here = json!({"role": "viewer", "allowed_networks": ["10.0.0.0/8", "127.0.0.0/8"]});
    let here = created(&server, &tenant, here).await;
    let elsewhere = json!({"role": "viewer", "allowed_networks": ["10.0.0.0/8"]});
    let elsewhere = created(&server, &tenant, elsewhere).await;
    assert_eq!(status(&server, "/api/v1/stats", &here).await, 200);
    assert_eq!(status(&server, "/api/v1/stats", &elsewhere).await, 403);
    // Nobody is believed who says to be a proxy.
    assert_eq!(status_from(&server, &elsewhere, "10.1.2.3").await, 403);
    let log = until(&server, "/api/v1/audit", &tenant.key, |log| {
        !entries(log, "login.failed").is_empty()
    });
    let log = log.await;
    let failed = entries(&log, "login.failed");
    assert_eq!(failed[0]["address"], "127.0.0.1");
    let refused = server.call(Method::GET, "/api/v1/stats", Some(&elsewhere), None);
    let refused: Value = refused.await.json().await.unwrap();
    assert_eq!(refused["error"]["code"], "network_not_allowed", "{refused}");
    assert!(failed[0]["actor"].as_str().unwrap().starts_with("key_"));
    for network in ["10.0.0.0/33", "10.0.0.1/8", "localhost", ""] {
        let request = json!({"role": "viewer", "allowed_networks": [network]});
        let (status, answer) = create(&server, &tenant, request).await;
        assert_eq!(status, 400, "{network}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_says_where_a_request_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(
        folder.path(),
        &["--trusted-proxies", "127.0.0.1,192.0.2.0/24"],
    );
    let tenant = server.tenant("acme", "pro").await;
    let key = json!({"role": "viewer", "allowed_networks": ["10.0.0.0/8"]});
    let key = created(&server, &tenant, key).await;
    assert_eq!(status_from(&server, &key, "10.1.2.3").await, 200);
    assert_eq!(status_from(&server, &key, "10.1.2.3, 192.0.2.9").await, 200);
    // What the client itself sent stands before what the proxy added.
    assert_eq!(
        status_from(&server, &key, "10.1.2.3, 203.0.113.5").await,
        403
    );
    assert_eq!(status(&server, "/api/v1/stats", &key).await, 403);
    let path = format!("/api/v1/admin/clients/{}/keys", tenant.id);
    let used = until(&server, &path, &server.operator, |page| {
        let keys = page["items"].as_array().unwrap();
        keys.iter().any(|k| k["last_used_from"] == "10.1.2.3")
    });
    used.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_stops_working() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "pro").await;
    let request = json!({"role": "viewer", "expires_in_seconds": 3600});
    let (_, answer) = create(&server, &tenant, request).await;
    assert!(answer["expires_at"].is_string(), "{answer}");
    let key = answer["api_key"].as_str().unwrap();
    assert_eq!(status(&server, "/api/v1/stats", key).await, 200);
    let meta = meta(&server).await;
    let begun = meta.database().begin(Reach::Operator, Purpose::Durable);
    let mut tx = begun.await.unwrap();
    let sql = "UPDATE api_keys SET expires_at = 1 WHERE key_id = $1";
    let id = Sql::from(answer["key_id"].as_str().unwrap());
    assert_eq!(tx.run(sql, vec![id]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while status(&server, "/api/v1/stats", key).await != 401 {
        assert!(Instant::now() < deadline, "it still works");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (field, value) in [
        ("expires_in_seconds", json!(1)),
        ("expires_in_seconds", json!(u32::MAX)),
        ("expires_at", json!("2020-01-01T00:00:00Z")),
        ("expires_at", json!("9999-01-01T00:00:00Z")),
    ] {
        let request = json!({"role": "viewer", field: value});
        let (status, answer) = create(&server, &tenant, request).await;
        assert_eq!(status, 400, "{field}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_key_is_refused_and_an_old_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "pro").await;
    assert_eq!(tenant.key.rsplit('_').next().unwrap().len(), 38);
    let mut mistyped = tenant.key.clone();
    let last = mistyped.pop().unwrap();
    mistyped.push(if last == 'x' { 'y' } else { 'x' });
    let response = server
        .call(Method::GET, "/api/v1/stats", Some(&mistyped), None)
        .await;
    assert_eq!(response.status(), 401);
    let text = response.text().await.unwrap();
    assert!(text.contains("checksum"), "{text}");
    // As versions without a checksum made them.
    let old = &tenant.key[..tenant.key.len() - 6];
    assert_eq!(status(&server, "/api/v1/stats", old).await, 401);
    let meta = meta(&server).await;
    let mut key = meta.keys(Some(&tenant.id)).await.unwrap().remove(0);
    key.key_id = "key_old".into();
    let hash = hex(&Sha256::digest(old.as_bytes()));
    meta.put_key(&key, &hash).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while status(&server, "/api/v1/stats", old).await != 200 {
        assert!(Instant::now() < deadline, "an old key does not work");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An Alertmanager webhook with an alert of each cluster.
fn webhook(clusters: &[&str]) -> Vec<u8> {
    let alert = |(n, cluster): (usize, &&str)| {
        json!({
            "status": "firing", "startsAt": "2026-01-01T10:00:00Z",
            "labels": {
                "alertname": format!("KubePodCrashLooping{n}"), "cluster": cluster,
                "namespace": "shop", "pod": "web-1", "severity": "warning",
            },
        })
    };
    let alerts: Vec<Value> = clusters.iter().enumerate().map(alert).collect();
    json!({"version": "4", "status": "firing", "alerts": alerts})
        .to_string()
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_about_several_clusters_an_agents_key_sends_its_own_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "pro").await;
    let key = created(
        &server,
        &tenant,
        json!({"role": "agent", "cluster": "prod"}),
    )
    .await;
    // Prometheus gives alerts a label `cluster` of its own: one webhook may be about several.
    let webhook = server
        .call(
            Method::POST,
            "/api/v1/ingest/alerts",
            Some(&key),
            Some(webhook(&["prod", "test", "prod", "eu-1"])),
        )
        .await;
    let answer = webhook.json::<Value>().await.unwrap();
    assert_eq!(answer["accepted"], 1, "the alerts of prod: {answer}");
    assert_eq!(answer["rejected_count"], 2, "one for each other: {answer}");
    // Objects in an object, and labels of which JSON readers take the last.
    let pod = |cluster: &str| json!({"kind": "Pod", "cluster": cluster, "name": "web-1", "namespace": "shop"});
    let nested = json!({"kind": "X", "items": [pod("prod"), pod("test")]}).to_string();
    let twice = r#"{"status":"firing","startsAt":"2026-01-01T10:00:00Z","labels":
        {"alertname":"Down","cluster":"prod","cluster":"test"}}"#;
    let other = twice.replace("prod", "eu-1");
    let webhook = format!(r#"{{"version":"4","status":"firing","alerts":[{twice},{other}]}}"#);
    for (kind, body) in [("resources", nested), ("alerts", webhook)] {
        let path = format!("/api/v1/ingest/{kind}");
        let answer = server
            .call(Method::POST, &path, Some(&key), Some(body.into_bytes()))
            .await;
        let answer = answer.json::<Value>().await.unwrap();
        let own = u64::from(kind == "resources");
        assert_eq!(answer["accepted"], own, "the pod of prod: {answer}");
        assert_eq!(
            answer["rejected"][0]["reason"], "foreign_cluster",
            "{kind}: {answer}"
        );
    }
    let clusters = server.settled(&tenant, 3).await["clusters"].to_string();
    for other in ["test", "eu-1"] {
        assert!(!clusters.contains(other), "{clusters}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_key_sends_for_its_cluster_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "pro").await;
    let key = created(
        &server,
        &tenant,
        json!({"role": "agent", "cluster": "prod"}),
    )
    .await;
    let event = |n: usize, cluster: Option<&str>| {
        let mut event = json!({
            "event_id": format!("e{n}"), "event_time": "2026-01-01T10:00:00Z", "reason": "Failed",
            "severity": "WARNING", "message": "m",
            "subject": {"kind": "Pod", "ns": "shop", "name": "web-1"},
        });
        if let Some(cluster) = cluster {
            event["cluster"] = cluster.into();
        }
        event
    };
    let send = async |header: Option<&str>, events: Value| {
        let request = server
            .http
            .post(format!("{}/api/v1/ingest/events", server.url));
        let request = request.header("x-api-key", &key);
        let request = match header {
            Some(cluster) => request.header("x-cluster", cluster),
            None => request,
        };
        let response = request.body(events.to_string()).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let (status, answer) = send(None, json!([event(1, None), event(2, Some("prod"))])).await;
    assert_eq!(
        (status.as_u16(), &answer["accepted"]),
        (202, &json!(2)),
        "{answer}"
    );
    let mixed = json!([event(3, Some("prod")), event(4, Some("test"))]);
    let (status, answer) = send(None, mixed).await;
    assert_eq!(
        (status.as_u16(), &answer["accepted"]),
        (202, &json!(1)),
        "{answer}"
    );
    assert_eq!(
        answer["rejected"][0]["reason"], "foreign_cluster",
        "{answer}"
    );
    let (status, answer) = send(None, json!([event(5, Some("test"))])).await;
    assert_eq!(
        (status.as_u16(), &answer["rejected_count"]),
        (202, &json!(1)),
        "an agent must not send it again and again: {answer}"
    );
    let (status, answer) = send(Some("test"), json!([event(6, None)])).await;
    assert_eq!(status, 403, "{answer}");
    let heartbeat = async |cluster: &str| {
        let body = json!({
            "cluster": cluster, "agent": "a", "mode": "watch", "version": "0.1.0",
            "started_at": "2026-01-01T10:00:00Z", "lag_seconds": 0, "spooled_bytes": 0,
        });
        let body = Some(body.to_string().into_bytes());
        server
            .call(Method::POST, "/api/v1/agents", Some(&key), body)
            .await
    };
    assert_eq!(heartbeat("test").await.status(), 403);
    assert_eq!(heartbeat("prod").await.status(), 204);
    let clusters = server.settled(&tenant, 3).await["clusters"].to_string();
    assert!(
        clusters.contains("prod") && !clusters.contains("test"),
        "{clusters}"
    );
    for request in [
        json!({"role": "admin", "cluster": "prod"}),
        json!({"role": "agent", "cluster": ""}),
        json!({"role": "agent", "cluster": "a\nb"}),
        json!({"role": "agent", "certificate_sha256": "ab".repeat(32)}),
    ] {
        let (status, answer) = create(&server, &tenant, request).await;
        assert_eq!(status, 400, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_and_refused_acts_are_counted_in_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "pro").await;
    let own = format!("kg_{}_{}", &tenant.id["client-".len()..], "a".repeat(32));
    let nobody = format!("kg_nobody-000000_{}", "a".repeat(32));
    for _ in 0..20 {
        for key in [own.as_str(), &nobody, "not-a-key-of-ours"] {
            assert_eq!(status(&server, "/api/v1/stats", key).await, 401);
        }
    }
    let viewer = created(&server, &tenant, json!({"role": "viewer"})).await;
    for _ in 0..5 {
        assert_eq!(status(&server, "/api/v1/keys", &viewer).await, 403);
    }
    // Each is written when its own time has come.
    let is_there = |log: &Value| {
        ["refused", "login.failed"]
            .iter()
            .all(|action| !entries(log, action).is_empty())
    };
    let log = until(&server, "/api/v1/audit", &tenant.key, is_there).await;
    let refused = entries(&log, "refused");
    assert!(refused.len() <= 2, "{log:#}");
    let target = refused[0]["target"].as_str().unwrap();
    assert!(target.starts_with("GET /api/v1/keys"), "{target}");
    let failed = entries(&log, "login.failed");
    assert!((1..=2).contains(&failed.len()), "{log:#}");
    let target = failed[0]["target"].as_str().unwrap();
    let prefix = own.rsplit_once('_').unwrap().0;
    assert!(
        target.contains(prefix) && !target.contains("aaaa"),
        "{target}"
    );
    let operators = "/api/v1/admin/audit?limit=1000";
    let is_there = |log: &Value| entries(log, "login.failed").len() >= 2;
    let log = until(&server, operators, &server.operator, is_there).await;
    assert!(log.to_string().contains("kg_nobody-000000_"), "{log:#}");
    assert!(!log.to_string().contains("not-a-key"), "{log:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_need_the_scope_or_the_same_machine() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--metrics-tenants", "false"]);
    let tenant = server.tenant("acme", "pro").await;
    server.get("/api/v1/stats", &tenant.key).await;
    let scrape = async |key: Option<&str>, is_forwarded: bool| {
        let mut request = server.http.get(format!("{}/metrics", server.metrics));
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if is_forwarded {
            request = request.header("x-forwarded-for", "203.0.113.5");
        }
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    let (status, text) = scrape(None, false).await;
    assert_eq!(status, 200);
    assert!(
        text.contains("kg_http_requests_total") && !text.contains(&tenant.id),
        "{text}"
    );
    assert_eq!(scrape(None, true).await.0, 401);
    assert_eq!(scrape(Some(&tenant.key), true).await.0, 403);
    assert_eq!(scrape(Some(&server.operator), true).await.0, 200);
    let body = json!({"name": "prometheus", "scopes": ["metrics"]}).to_string();
    let create = async |path: &str| {
        let body = Some(body.clone().into_bytes());
        let operator = Some(server.operator.as_str());
        server.call(Method::POST, path, operator, body).await
    };
    let made = create("/api/v1/admin/keys").await;
    let made: Value = made.json().await.unwrap();
    assert_eq!(scrape(made["api_key"].as_str(), true).await.0, 200);
    let of_tenant = create(&format!("/api/v1/admin/clients/{}/keys", tenant.id)).await;
    assert_eq!(of_tenant.status(), 400);
    let open = server.call(Method::GET, "/metrics", None, None).await;
    assert_eq!(open.status(), 404, "the API does not show them");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_keys_lock_no_key_out_that_comes_from_the_same_address() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let acme = server.tenant("acme", "enterprise").await;
    assert_eq!(status(&server, "/api/v1/stats", &acme.key).await, 200);
    let (_, unused) = server.key(&acme, &["read"]).await;
    let victim = server.tenant("victim", "pro").await;
    let watchdog = Watchdog::start(&server, &victim).await;
    for n in 0..400 {
        let answer = status(&server, "/api/v1/stats", &format!("guess-{n}")).await;
        assert_eq!(answer, 401, "{n}");
    }
    assert_eq!(status(&server, "/api/v1/stats", &acme.key).await, 200);
    assert_eq!(status(&server, "/api/v1/stats", &unused).await, 200);
    watchdog.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_operator_key_ends_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let keys = [
        "kg_operator_abcdefghijklmnopqrstuv0123456789",
        "kg_operator_zyxwvutsrqponmlkjihgfe9876543210",
    ];
    let with = |key| start_with(folder.path(), &[], &[("KGRCA_OPERATOR_KEY", key)]);
    let path = "/api/v1/admin/clients";
    let server = with(keys[0]);
    assert_eq!(status(&server, path, keys[0]).await, 200);
    assert_eq!(status(&server, path, keys[1]).await, 401);
    let tenant = server.tenant("acme", "pro").await;
    assert!(server.terminate());
    // Also after a start that changes nothing.
    for _ in 0..2 {
        let server = with(keys[1]);
        assert_eq!(status(&server, path, keys[0]).await, 401);
        assert_eq!(status(&server, path, keys[1]).await, 200);
        assert_eq!(status(&server, "/api/v1/stats", &tenant.key).await, 200);
        assert!(server.terminate());
    }
}

/// Starts a daemon whose operator key is in the file of the first start, which a daemon that has it
/// from its settings does not write.
fn with_key_file(folder: &Path) -> (Server, PathBuf) {
    let server = start(folder, &[]);
    let file = folder.join("operator.key");
    if !file.exists() {
        std::fs::write(&file, &server.operator).unwrap();
    }
    (server, file)
}

/// What is said of it is where people look: in the audit log, and in the file of the first key.
#[tokio::test(flavor = "multi_thread")]
async fn another_operator_key_is_audited_and_written_to_the_file_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (server, file) = with_key_file(folder.path());
    let first = server.operator.clone();
    assert!(server.terminate());
    let second = "kg_operator_zyxwvutsrqponmlkjihgfe9876543210";
    let server = start_with(folder.path(), &[], &[("KGRCA_OPERATOR_KEY", second)]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), second);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let log = server.get("/api/v1/admin/audit", second).await;
    let acts: Vec<String> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            format!(
                "{} {}",
                e["actor"].as_str().unwrap(),
                e["action"].as_str().unwrap()
            )
        })
        .collect();
    for act in [
        "settings of kgrcad key.create",
        "settings of kgrcad key.revoke",
    ] {
        assert!(acts.contains(&act.to_owned()), "{acts:?}");
    }
    let answer = server
        .call(Method::GET, "/api/v1/admin/keys", Some(&first), None)
        .await;
    assert_eq!(answer.status(), 401);
    let answer: Value = answer.json().await.unwrap();
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("was revoked or has expired"), "{message}");
}

/// What is left of a key's overlap is not the time that it was to live.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_once_and_its_successor_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let (server, file) = with_key_file(folder.path());
    let mut operator = server.operator.clone();
    for _ in 0..2 {
        let keys = server.get("/api/v1/admin/keys", &operator).await;
        let is_current = |key: &&Value| key["replaced_by"].is_null();
        let items = keys["items"].as_array().unwrap();
        let id = items.iter().find(is_current).unwrap()["key_id"]
            .as_str()
            .unwrap();
        let path = format!("/api/v1/admin/keys/{id}/rotate");
        let body = || Some(b"{}".to_vec());
        let rotated = server
            .call(Method::POST, &path, Some(&operator), body())
            .await;
        let rotated: Value = rotated.json().await.unwrap();
        assert!(rotated["api_key"].is_string(), "{rotated}");
        assert!(rotated["expires_at"].is_null(), "{rotated}");
        let again = server
            .call(Method::POST, &path, Some(&operator), body())
            .await;
        assert_eq!(again.status(), 409);
        let again: Value = again.json().await.unwrap();
        let hint = &again["error"]["hint"];
        let successor = rotated["key_id"].as_str().unwrap();
        let command = format!("kgrca key rotate {successor} --operator");
        assert_eq!(*hint, command, "{again}");
        operator = rotated["api_key"].as_str().unwrap().to_owned();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), operator);
    }
}

/// The settings may still have the key that was replaced: it dies soon, and must not come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_after_a_rotation_leaves_the_new_key_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("operator.key");
    let first = "kg_operator_zyxwvutsrqponmlkjihgfe9876543210";
    let with_first = || start_with(folder.path(), &[], &[("KGRCA_OPERATOR_KEY", first)]);
    let server = with_first();
    std::fs::write(&file, first).unwrap();
    let keys = server.get("/api/v1/admin/keys", first).await;
    let id = keys["items"][0]["key_id"].as_str().unwrap();
    let path = format!("/api/v1/admin/keys/{id}/rotate");
    let body = Some(b"{}".to_vec());
    let rotated = server.call(Method::POST, &path, Some(first), body).await;
    let rotated: Value = rotated.json().await.unwrap();
    let second = rotated["api_key"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), second);
    assert!(server.terminate());
    let server = with_first();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), second);
    assert_eq!(status(&server, "/api/v1/admin/clients", second).await, 200);
    assert!(server.terminate());
    // A file that cannot be replaced stops no start.
    std::fs::create_dir(folder.path().join("operator.key.new")).unwrap();
    let third = "kg_operator_0123456789zyxwvutsrqponmlkjihgfe";
    let server = start_with(folder.path(), &[], &[("KGRCA_OPERATOR_KEY", third)]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), second);
    assert_eq!(status(&server, "/api/v1/admin/clients", third).await, 200);
}

/// The pattern that the documentation gives to secret scanners.
fn documented_pattern() -> Regex {
    let text = std::fs::read_to_string(repository().join("docs/keys.md")).unwrap();
    let pattern = text.lines().find(|line| line.starts_with("kg_["));
    Regex::new(&format!("^{}$", pattern.unwrap())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_have_the_documented_form_and_show_their_last_use() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let began = jiff::Timestamp::now();
    let tenant = server.tenant("Æcme & Söhne GmbH", "pro").await;
    let viewer = created(&server, &tenant, json!({"role": "viewer"})).await;
    let body = json!({"role": "admin"}).to_string().into_bytes();
    let operators = server.call(
        Method::POST,
        "/api/v1/admin/keys",
        Some(&server.operator),
        Some(body),
    );
    let operators: Value = operators.await.json().await.unwrap();
    let pattern = documented_pattern();
    for key in [&tenant.key, &viewer, operators["api_key"].as_str().unwrap()] {
        assert!(pattern.is_match(key), "{key}");
    }
    let last4 = &viewer[viewer.len() - 4..];
    let of_viewer = |page: &Value| {
        let keys = page["items"].as_array().unwrap().iter();
        keys.clone().find(|k| k["last4"] == last4).cloned().unwrap()
    };
    let keys = server.get("/api/v1/keys", &tenant.key).await;
    assert_eq!(
        of_viewer(&keys)["last_used_at"],
        Value::Null,
        "not used yet"
    );
    assert_eq!(status(&server, "/api/v1/stats", &viewer).await, 200);
    let keys = until(&server, "/api/v1/keys", &tenant.key, |page| {
        of_viewer(page)["last_used_from"] == "127.0.0.1"
    });
    let keys = keys.await;
    let used: jiff::Timestamp = of_viewer(&keys)["last_used_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let minute = jiff::SignedDuration::from_mins(1);
    assert!(
        used >= began - minute && used <= jiff::Timestamp::now(),
        "{used}: {keys:#}"
    );
}
