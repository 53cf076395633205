//! Every route of the API document against every kind of key.

use kgrca_core::storage::ApiKeys;
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::tenancy::{Scope, hex};
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};

const OPEN: [&str; 5] = ["/healthz", "/livez", "/readyz", "/docs", "/openapi.json"];

fn routes(document: &Value) -> Vec<(Method, String)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = method
                .to_uppercase()
                .parse::<Method>()
                .unwrap_or(Method::TRACE);
            if [Method::GET, Method::POST, Method::PATCH, Method::DELETE].contains(&method) {
                all.push((method, path.clone()));
            }
        }
    }
    all
}

/// A key with the scope `metrics` only, which tenants could have in earlier versions.
async fn scopeless_key(server: &Server, tenant: &Tenant) -> String {
    let file = server.folder.join("meta.db");
    let meta = SqliteMeta::open(&file).await.unwrap();
    let mut key = meta.keys(Some(&tenant.id)).await.unwrap().remove(0);
    key.key_id = "key_metrics".into();
    key.scopes = vec![Scope::Metrics];
    let secret = format!("kg_{}_{}", &tenant.id["client-".len()..], "m".repeat(32));
    let hash = hex(&Sha256::digest(secret.as_bytes()));
    meta.put_key(&key, &hash).await.unwrap();
    secret
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "the steps build on each other")]
async fn no_route_answers_to_the_wrong_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (a, b) = (
        server.tenant("A", "enterprise").await,
        server.tenant("B", "enterprise").await,
    );
    let (revoked_id, revoked) = server.key(&a, &["ingest", "read", "billing"]).await;
    let response = server
        .call(
            Method::DELETE,
            &format!("/api/v1/admin/clients/{}/keys/{revoked_id}", a.id),
            Some(&server.operator),
            None,
        )
        .await;
    assert_eq!(response.status(), 204);
    let scopeless = scopeless_key(&server, &a).await;
    let (_, viewer) = server.key(&a, &["read"]).await;
    let document: Value = server
        .http
        .get(format!("{}/openapi.json", server.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let routes = routes(&document);
    assert!(routes.len() >= 28, "{}", routes.len());
    for (method, pattern) in &routes {
        // Ids of tenant A; callers of tenant B must not reach them.
        let path = pattern.replace(
            "{id}",
            if pattern.contains("/admin/") || pattern.contains("/billing/") {
                &a.id
            } else {
                "inc-1"
            },
        );
        let path = path
            .replace("{incident}", "inc-1")
            .replace("{uid}", "some-uid")
            .replace("{kind}", "events")
            .replace("{key_id}", "key_x")
            .replace("{part}", "resources");
        let is_admin = pattern.starts_with("/api/v1/admin");
        for (who, key, expected) in [
            ("no key", None, 401),
            (
                "wrong key",
                Some("kg_x_00000000000000000000000000000000"),
                401,
            ),
            ("revoked key", Some(revoked.as_str()), 401),
            ("missing scope", Some(scopeless.as_str()), 403),
            (
                "operator on tenant routes",
                (!is_admin).then_some(server.operator.as_str()),
                if is_admin { 401 } else { 403 },
            ),
        ] {
            let status = server.call(method.clone(), &path, key, None).await.status();
            assert_eq!(status, expected, "{method} {path} with {who}");
        }
        // Who may look may not act.
        let acts = (method == Method::PATCH || pattern.ends_with("/feedback")) && !is_admin;
        let viewed = server
            .call(method.clone(), &path, Some(&viewer), None)
            .await
            .status();
        assert!(
            !acts || viewed == 403,
            "{method} {path}: {viewed} with a key that may only read"
        );
        let other = server.call(method.clone(), &path, Some(&b.key), None).await;
        let status = other.status().as_u16();
        // The feed does not end by itself.
        let text = if pattern.ends_with("/stream") {
            String::new()
        } else {
            other.text().await.unwrap()
        };
        assert!(
            !text.contains(&a.id) || is_admin && status == 403,
            "{method} {path}: tenant B sees {}: {text}",
            a.id
        );
        assert!(!is_admin || status == 403, "{method} {path}: {status}");
        assert!(status < 500, "{method} {path}: {status} {text}");
    }
    for path in OPEN {
        assert_eq!(
            server.call(Method::GET, path, None, None).await.status(),
            200,
            "{path} is open"
        );
    }
    assert_eq!(
        server
            .call(Method::GET, "/api/v1/nothing", None, None)
            .await
            .status(),
        404
    );
}

#[tokio::test]
async fn an_operators_key_for_billing_reads_what_is_owed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("A", "pro").await;
    let make = async |body: &str| {
        server
            .call(
                Method::POST,
                "/api/v1/admin/keys",
                Some(&server.operator),
                Some(body.as_bytes().to_vec()),
            )
            .await
    };
    assert_eq!(
        make(r#"{"role":"viewer"}"#).await.status(),
        400,
        "the operator has nothing to view"
    );
    assert_eq!(
        make(r#"{"scopes":["ingest"]}"#).await.status(),
        400,
        "records belong to tenants"
    );
    let made = make(r#"{"name":"accountant","role":"billing"}"#).await;
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    let (id, key) = (
        made["key_id"].as_str().unwrap(),
        made["api_key"].as_str().unwrap(),
    );
    let document: Value = server
        .http
        .get(format!("{}/openapi.json", server.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    for (method, pattern) in routes(&document) {
        let path = pattern
            .replace("{id}", &tenant.id)
            .replace("{kind}", "events");
        let status = server
            .call(method.clone(), &path, Some(key), None)
            .await
            .status()
            .as_u16();
        let lists = method == Method::GET && pattern == "/api/v1/admin/clients";
        // Past the guard: there is no such recount.
        let expected = if pattern.ends_with("/verify/{job}") {
            404
        } else if lists || pattern.starts_with("/api/v1/admin/billing/") {
            200
        } else {
            403
        };
        assert_eq!(status, expected, "{method} {pattern}");
    }
    let keys = server.get("/api/v1/admin/keys", &server.operator).await;
    assert_eq!(keys["items"].as_array().unwrap().len(), 2, "{keys}");
    let own = keys["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["key_id"] != id)
        .unwrap()["key_id"]
        .as_str()
        .unwrap();
    let revoke = async |id: &str| {
        server
            .call(
                Method::DELETE,
                &format!("/api/v1/admin/keys/{id}"),
                Some(&server.operator),
                None,
            )
            .await
            .status()
    };
    assert_eq!(revoke(own).await, 409, "a key cannot lock itself out");
    assert_eq!(revoke(id).await, 204);
    let path = format!("/api/v1/admin/billing/{}/preview", tenant.id);
    assert_eq!(
        server
            .call(Method::GET, &path, Some(key), None)
            .await
            .status(),
        401,
        "it is revoked"
    );
    assert_eq!(
        server
            .call(Method::GET, &path, Some(&tenant.key), None)
            .await
            .status(),
        403,
        "tenants read their own usage"
    );
}

#[tokio::test]
async fn tenants_see_only_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (a, b) = (
        server.tenant("A", "pro").await,
        server.tenant("B", "pro").await,
    );
    let pod = br#"{"op":"UPSERT","at":"2026-01-01T00:00:00Z","cluster":"prod","kind":"Pod",
        "uid":"u-1","namespace":"shop","name":"web","status":{"phase":"Running"}}"#;
    server.ingest(&a, "resources", pod.to_vec()).await;
    server.settled(&a, 1).await;
    assert_eq!(
        server.get("/api/v1/resources", &a.key).await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        server.get("/api/v1/resources", &b.key).await["items"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    assert_eq!(
        server
            .call(Method::GET, "/api/v1/resources/u-1", Some(&b.key), None)
            .await
            .status(),
        404
    );
    let suspend = br#"{"state":"suspended"}"#.to_vec();
    let path = format!("/api/v1/admin/clients/{}", a.id);
    assert_eq!(
        server
            .call(Method::PATCH, &path, Some(&server.operator), Some(suspend))
            .await
            .status(),
        200
    );
    assert_eq!(
        server
            .call(Method::GET, "/api/v1/stats", Some(&a.key), None)
            .await
            .status(),
        403
    );
    assert_eq!(
        server
            .call(Method::GET, "/api/v1/stats", Some(&b.key), None)
            .await
            .status(),
        200
    );
    let remove = format!("{path}?grace_days=0");
    assert_eq!(
        server
            .call(Method::DELETE, &remove, Some(&server.operator), None)
            .await
            .status(),
        202
    );
    assert_eq!(
        server
            .call(Method::GET, "/api/v1/stats", Some(&a.key), None)
            .await
            .status(),
        401
    );
    assert!(
        !folder.path().join("log").join(&a.id).exists(),
        "a deleted tenant's records are gone"
    );
    assert_eq!(
        server
            .call(Method::GET, &path, Some(&server.operator), None)
            .await
            .status(),
        404
    );
    assert_eq!(
        server
            .call(Method::DELETE, &remove, Some(&server.operator), None)
            .await
            .status(),
        202,
        "a second try is no error"
    );
    let listed = server.get("/api/v1/admin/clients", &server.operator).await;
    assert!(
        listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|c| c["client_id"] != a.id.as_str()),
        "{listed}"
    );
}
