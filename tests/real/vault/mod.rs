//! A master key in Vault: rotation, rights, data keys that were altered, and a Vault that is away.

mod altered;
mod away;
mod fleet;
mod rotation;
mod server;

use std::time::Duration;

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const TENANTS: usize = 4;
const DEADLINE: Duration = Duration::from_mins(1);
const ENCRYPTION: &str = "/api/v1/admin/encryption";

/// Sends a record. Returns the status, and the body of an error.
async fn send(server: &Server, tenant: &Tenant, id: &str) -> (StatusCode, String) {
    let record = json!({
        "event_id": id, "event_time": jiff::Timestamp::now().to_string(), "cluster": "prod",
        "severity": "INFO", "reason": "Started", "message": format!("<{id}>"),
        "subject": {"kind": "Pod", "ns": "shop", "name": "web"},
    });
    let (key, body) = (Some(tenant.key.as_str()), record.to_string().into_bytes());
    let path = "/api/v1/ingest/events";
    let answer = server.call(Method::POST, path, key, Some(body)).await;
    (answer.status(), answer.text().await.unwrap())
}

async fn accept(server: &Server, tenant: &Tenant, id: &str) {
    let (status, text) = send(server, tenant, id).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{text}");
}

/// The records of a tenant as an export has them.
async fn records(server: &Server, tenant: &Tenant) -> String {
    let path = format!("/api/v1/admin/clients/{}/export/records", tenant.id);
    let key = Some(server.operator.as_str());
    let response = server.call(Method::GET, &path, key, None).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.text().await.unwrap()
}

/// Rewraps or rotates data keys.
async fn change(server: &Server, act: &str) -> Value {
    let body = json!({ "act": act }).to_string().into_bytes();
    let key = Some(server.operator.as_str());
    let answer = server.call(Method::POST, ENCRYPTION, key, Some(body)).await;
    answer.json().await.unwrap()
}

async fn rewrap(server: &Server) -> Value {
    change(server, "rewrap").await
}

/// What `kgrca doctor` shows.
async fn checks(server: &Server) -> String {
    let checks = server.get("/api/v1/admin/checks", &server.operator).await;
    checks.to_string()
}

/// Tenants with a record each.
async fn tenants(server: &Server) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for i in 0..TENANTS {
        let tenant = server.tenant(&format!("t{i}"), "pro").await;
        accept(server, &tenant, "first").await;
        tenants.push(tenant);
    }
    tenants
}
