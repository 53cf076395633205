//! Repeated creations, keys and their limits, and requests that are cut off.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kgrca_core::model::Time;
use kgrca_core::model::time::MINUTE;
use kgrca_core::storage::Sagas;
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::stores::{accept_keys, meta, refuse_keys, start};

const TENANTS: &str = "/api/v1/admin/clients";

struct Answer {
    status: StatusCode,
    body: Value,
}

async fn post(server: &Server, path: &str, key: &str, idempotency: &[u8], body: &Value) -> Answer {
    let request = server
        .http
        .post(format!("{}{path}", server.url))
        .header("x-api-key", key)
        .header("idempotency-key", idempotency)
        .body(body.to_string());
    let response = request.send().await.unwrap();
    Answer {
        status: response.status(),
        body: response.json().await.unwrap_or_default(),
    }
}

async fn call(server: &Server, method: Method, path: &str, key: &str, body: Value) -> Answer {
    let body = Some(body.to_string().into_bytes());
    let response = server.call(method, path, Some(key), body).await;
    Answer {
        status: response.status(),
        body: response.json().await.unwrap_or_default(),
    }
}

async fn works(server: &Server, key: &str) -> bool {
    let response = server.call(Method::GET, "/api/v1/stats", Some(key), None);
    response.await.status() == 200
}

#[tokio::test]
async fn a_repeated_creation_cannot_harm_the_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let acme = json!({"name": "Acme", "plan": "pro"});
    let created = post(&server, TENANTS, &server.operator, b"acme", &acme).await;
    assert_eq!(created.status, 201);
    let tenant = Tenant::from_created(&created.body);
    refuse_keys(&server).await;
    let failed = post(&server, TENANTS, &server.operator, b"acme", &acme).await;
    assert!(failed.status.is_server_error(), "{}", failed.body);
    let text = failed.body.to_string();
    assert!(text.contains("request_id"), "{text}");
    assert!(
        !text.contains("refused by the test") && !text.contains("api_keys"),
        "what a backend says is in the log only: {text}"
    );
    assert!(
        works(&server, &tenant.key).await,
        "the tenant keeps its key"
    );
    accept_keys(&server).await;
    server.kill();

    // The repetition dies as soon as it has written anything.
    let server = start(folder.path(), &["--abort-at-saga-write", "1"]);
    let repeated = server
        .http
        .post(format!("{}{TENANTS}", server.url))
        .header("x-api-key", &server.operator)
        .header("idempotency-key", "acme")
        .body(acme.to_string());
    assert!(repeated.send().await.is_err(), "it dies before it answers");
    server.kill();
    let server = start(folder.path(), &[]);
    let saga = created.body["saga_id"].as_str().unwrap();
    let path = format!("/api/v1/admin/sagas/{saga}");
    let act = json!({"act": "compensate"});
    let refused = call(&server, Method::POST, &path, &server.operator, act).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(works(&server, &tenant.key).await);
    let again = post(&server, TENANTS, &server.operator, b"acme", &acme).await;
    let again = Tenant::from_created(&again.body);
    assert_eq!(again.id, tenant.id, "the same tenant, with a new key");
    assert!(works(&server, &again.key).await);
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_one_request_of_one_caller() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let acme = json!({"name": "Acme", "plan": "pro"});
    let created = post(&server, TENANTS, &server.operator, b"k", &acme).await;
    let tenant = Tenant::from_created(&created.body);
    let other = json!({"role": "admin"});
    let keys = "/api/v1/admin/keys";
    let other = call(&server, Method::POST, keys, &server.operator, other).await;
    let other = other.body["api_key"].as_str().unwrap();
    let globex = json!({"name": "Globex", "plan": "pro"});
    let imports = "/api/v1/admin/imports";
    for (caller, path, body) in [
        (&*server.operator, TENANTS, &globex),
        (&*server.operator, imports, &acme),
        (other, TENANTS, &acme),
    ] {
        let refused = post(&server, path, caller, b"k", body).await;
        assert_eq!(refused.status, 409, "{path} {body}: {}", refused.body);
        assert!(works(&server, &tenant.key).await, "{path} {body}");
    }
    let long = "x".repeat(256);
    for unusable in [&b""[..], "schlüssel".as_bytes(), long.as_bytes()] {
        let refused = post(&server, TENANTS, &server.operator, unusable, &globex).await;
        assert_eq!(refused.status, 400, "{unusable:?}: {}", refused.body);
    }
    let listed = server.get(TENANTS, &server.operator).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test]
async fn the_idempotency_key_of_a_creation_expires_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let acme = json!({"name": "Acme", "plan": "pro"});
    let globex = json!({"name": "Globex", "plan": "pro"});
    let created = post(&server, TENANTS, &server.operator, b"k", &acme).await;
    let id = created.body["saga_id"].as_str().unwrap();
    let meta = meta(&server).await;
    let hours_ago = async |hours: i64| {
        let mut saga = meta.saga(id).await.unwrap().unwrap();
        saga.updated_at = Time(jiff::Timestamp::now().as_microsecond() - hours * 60 * MINUTE);
        meta.put_saga(&saga, &[]).await.unwrap();
    };
    hours_ago(23).await;
    let refused = post(&server, TENANTS, &server.operator, b"k", &globex).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    hours_ago(25).await;
    let other = post(&server, TENANTS, &server.operator, b"k", &globex).await;
    assert_eq!(other.status, 201, "{}", other.body);
    assert_ne!(other.body["client_id"], created.body["client_id"]);
    let again = post(&server, TENANTS, &server.operator, b"k", &acme).await;
    assert_eq!(again.status, 409, "it is the other's now: {}", again.body);
    assert!(works(&server, created.body["api_key"].as_str().unwrap()).await);
    let listed = server.get(TENANTS, &server.operator).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
}

#[tokio::test]
async fn a_repeated_creation_leaves_the_customers_own_keys() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let acme = json!({"name": "Acme", "plan": "pro"});
    let created = post(&server, TENANTS, &server.operator, b"k", &acme).await;
    let tenant = Tenant::from_created(&created.body);
    let listed = server.get("/api/v1/keys", &tenant.key).await;
    let first = listed["items"][0]["key_id"].as_str().unwrap();
    let path = format!("/api/v1/keys/{first}/rotate");
    let rotated = call(&server, Method::POST, &path, &tenant.key, json!({})).await;
    let rotated = rotated.body["api_key"].as_str().unwrap();
    let again = post(&server, TENANTS, &server.operator, b"k", &acme).await;
    assert_eq!(again.status, 201, "{}", again.body);
    assert!(
        works(&server, rotated).await,
        "the customer rotated to this key"
    );
    assert!(
        !works(&server, &tenant.key).await,
        "the first secret is replaced"
    );
}

/// Sends a request and disconnects after a while, whatever the server is doing by then.
fn cut(server: &Server, method: &str, path: &str, body: &str, after: Duration) {
    let host = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let key = &server.operator;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    std::thread::sleep(after);
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_audited_is_done_even_if_the_caller_disconnects() {
    const CALLS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let mut keys = Vec::new();
    for _ in 0..CALLS {
        keys.push(server.key(&tenant, &["read"]).await);
    }
    for (n, (id, _)) in keys.iter().enumerate() {
        let after = Duration::from_millis(n as u64);
        let path = format!("{TENANTS}/{}/keys/{id}", tenant.id);
        cut(&server, "DELETE", &path, "", after / 4);
        let tenant = r#"{"name":"Cut","plan":"free"}"#;
        cut(&server, "POST", TENANTS, tenant, after);
    }
    // A request that was cut before it was read is not performed at all. All others complete.
    until("no creation is left halfway", async || {
        let open = server
            .get("/api/v1/admin/sagas?open=true", &server.operator)
            .await;
        let tenants = server.get(TENANTS, &server.operator).await;
        let joining = |t: &Value| t["state"] == "joining";
        let tenants = tenants["items"].as_array().unwrap();
        open["items"] == json!([]) && tenants.len() > 1 && !tenants.iter().any(joining)
    })
    .await;
    let chain = format!("/api/v1/admin/audit?client_id={}&limit=1000", tenant.id);
    let log = server.get(&chain, &server.operator).await;
    let revoked = |id: &str| {
        let is_revocation = |e: &Value| e["action"] == "key.revoke" && e["target"] == id;
        log["items"].as_array().unwrap().iter().any(is_revocation)
    };
    let audited: Vec<_> = keys.iter().filter(|(id, _)| revoked(id)).collect();
    assert!(!audited.is_empty(), "some requests arrived");
    for (id, key) in audited {
        assert!(
            !works(&server, key).await,
            "{id} is revoked in the log only"
        );
    }
}

#[tokio::test]
async fn a_caller_who_disconnects_within_its_body_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let host = server.url.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&host).unwrap();
    let key = &server.operator;
    write!(
        stream,
        "POST {TENANTS} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {key}\r\n\
         content-length: 900\r\n\r\n{{\"name\":\"Half\",\"plan\":\"free\"}}"
    )
    .unwrap();
    drop(stream);
    server.tenant("Next", "free").await;
    let listed = server.get(TENANTS, &server.operator).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test]
async fn names_of_keys_are_bounded_and_plain() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    for name in [
        "x".repeat(201),
        "a\u{1b}[2J".into(),
        "a\u{0}b".into(),
        "a\nb".into(),
    ] {
        let body = json!({"name": name, "role": "viewer"});
        let refused = call(&server, Method::POST, "/api/v1/keys", &tenant.key, body).await;
        assert_eq!(refused.status, 400, "{name:?}");
        let body = json!({"name": name, "plan": "free"});
        let refused = call(&server, Method::POST, TENANTS, &server.operator, body).await;
        assert_eq!(refused.status, 400, "{name:?}");
    }
    let longest = json!({"name": "ü".repeat(200), "role": "viewer"});
    let created = call(&server, Method::POST, "/api/v1/keys", &tenant.key, longest).await;
    assert_eq!(created.status, 201, "{}", created.body);
}

#[tokio::test]
async fn an_administrator_remains() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let listed = server.get("/api/v1/keys", &tenant.key).await;
    let path = format!(
        "/api/v1/keys/{}",
        listed["items"][0]["key_id"].as_str().unwrap()
    );
    let refused = call(&server, Method::DELETE, &path, &tenant.key, json!({})).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    let keys = "/api/v1/admin/keys";
    let listed = server.get(keys, &server.operator).await;
    let first = listed["items"][0]["key_id"].as_str().unwrap().to_owned();
    let admin = json!({"role": "admin"});
    let second = call(&server, Method::POST, keys, &server.operator, admin)
        .await
        .body;
    let (second_id, second_key) = (
        second["key_id"].as_str().unwrap(),
        second["api_key"].as_str().unwrap(),
    );
    // Each revokes the other at the same time.
    let (of_second, of_first) = (format!("{keys}/{second_id}"), format!("{keys}/{first}"));
    let (a, b) = tokio::join!(
        call(
            &server,
            Method::DELETE,
            &of_second,
            &server.operator,
            json!({})
        ),
        call(&server, Method::DELETE, &of_first, second_key, json!({})),
    );
    let both = [a.status, b.status];
    assert!(!both.iter().all(StatusCode::is_success), "{both:?}");
    let (winner, id) = if a.status.is_success() {
        (&*server.operator, &*first)
    } else {
        (second_key, second_id)
    };
    let rotate = format!("{keys}/{id}/rotate");
    let rotated = call(&server, Method::POST, &rotate, winner, json!({})).await;
    let rotated = rotated.body;
    let path = format!("{keys}/{}", rotated["key_id"].as_str().unwrap());
    let refused = call(&server, Method::DELETE, &path, winner, json!({})).await;
    assert_eq!(refused.status, 409, "the key that would remain expires");
}

#[tokio::test]
async fn a_key_grants_no_scope_that_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let (_, narrow) = server.key(&tenant, &["admin"]).await;
    let (wide, _) = server.key(&tenant, &["read", "query"]).await;
    let keys = "/api/v1/keys";
    for (path, body) in [
        (keys.to_owned(), json!({"role": "admin"})),
        (keys.to_owned(), json!({"role": "viewer"})),
        (format!("{keys}/{wide}/rotate"), json!({})),
    ] {
        let refused = call(&server, Method::POST, &path, &narrow, body).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.body);
    }
    let path = format!("{keys}/{wide}");
    let revoked = call(&server, Method::DELETE, &path, &narrow, json!({})).await;
    assert_eq!(revoked.status, 204, "to take rights away is allowed");
}

#[tokio::test]
async fn a_deletion_that_is_cancelled_leaves_a_tenant_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let (key, _) = server.key(&tenant, &["read"]).await;
    let path = format!("{TENANTS}/{}", tenant.id);
    let change =
        async |body: Value| call(&server, Method::PATCH, &path, &server.operator, body).await;
    assert_eq!(change(json!({"state": "suspended"})).await.status, 200);
    let deleted = call(&server, Method::DELETE, &path, &server.operator, json!({})).await;
    assert_eq!(deleted.status, 202);
    let rotate = format!("{path}/keys/{key}/rotate");
    let refused = call(&server, Method::POST, &rotate, &server.operator, json!({})).await;
    assert_eq!(refused.status, 409, "no new keys for a tenant that leaves");
    let kept = change(json!({"state": "active"})).await;
    assert_eq!(kept.body["state"], "suspended", "{}", kept.body);
    let resumed = change(json!({"state": "active"})).await;
    assert_eq!(resumed.body["state"], "active", "{}", resumed.body);
    for limits in [
        json!({"retention_days": 0}),
        json!({"api_minute": i64::MAX}),
        json!({"rca_hour": i64::MAX}),
        json!({"events_day": i64::MAX}),
    ] {
        let refused = change(json!({"limits": limits})).await;
        assert_eq!(refused.status, 400, "{limits}: {}", refused.body);
    }
    assert!(works(&server, &tenant.key).await);
}
