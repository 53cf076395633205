//! What the audit log shows of exports, imports and administrative reads.

use kgrca_core::storage::archive::Part;
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::keys::{entries, until};
use super::query::with_pods;
use super::state::agree;
use super::stores::start;

/// The audit log of a tenant, or the operator's.
fn chain(tenant: Option<&str>) -> String {
    let own = tenant.map(|id| format!("client_id={id}&"));
    format!("/api/v1/admin/audit?{}limit=1000", own.unwrap_or_default())
}

/// Waits until all of these targets were read, and returns the entries.
async fn reads(server: &Server, tenant: Option<&str>, targets: &[&str]) -> Vec<Value> {
    let is_read = |log: &Value, target: &str| {
        let mut read = entries(log, "read").into_iter();
        // Repetitions are counted: `keys, 3 times`.
        read.any(|entry| entry["target"].as_str().unwrap().split(", ").next() == Some(target))
    };
    let path = chain(tenant);
    let log = until(server, &path, &server.operator, |log| {
        targets.iter().all(|target| is_read(log, target))
    });
    let log = log.await;
    entries(&log, "read").into_iter().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn administrative_reads_are_in_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "pro").await;
    let id = &tenant.id;
    let admin = |path: &str| format!("/api/v1/admin/{path}");
    for path in [
        "clients",
        "keys",
        "sagas",
        "jobs",
        "audit",
        "checks",
        "daemons",
        "encryption",
    ] {
        server.get(&admin(path), &server.operator).await;
    }
    let sagas = server.get(&admin("sagas"), &server.operator).await;
    let saga = sagas["items"][0]["saga_id"].as_str().unwrap();
    let recount = admin(&format!("billing/{id}/verify"));
    server.get(&recount, &server.operator).await;
    let jobs = server.get(&admin("jobs"), &server.operator).await;
    let mut jobs = jobs["items"].as_array().unwrap().iter();
    let job = jobs.find(|job| job["kind"] == "billing.verify").unwrap();
    let job = job["job_id"].as_str().unwrap();
    for path in [
        format!("clients/{id}"),
        format!("clients/{id}/keys"),
        format!("sagas/{saga}"),
        format!("jobs/{job}"),
        format!("billing/{id}/verify/{job}"),
        format!("billing/{id}/preview"),
        format!("billing/{id}/report"),
    ] {
        server.get(&admin(&path), &server.operator).await;
    }
    server.get(&chain(Some(id)), &server.operator).await;
    let targets = [
        "tenant",
        "keys",
        "saga",
        "job",
        "recount",
        "invoice",
        "usage",
        "audit log",
    ];
    let read = reads(&server, Some(id), &targets).await;
    assert!(
        read.iter().all(|entry| entry.get("address").is_none()),
        "tenants do not see where the operator works: {read:#?}"
    );
    let targets = [
        "tenants",
        "keys",
        "sagas",
        "jobs",
        "audit log",
        "checks",
        "daemons",
        "encryption",
    ];
    let read = reads(&server, None, &targets).await;
    for entry in &read {
        assert_eq!(entry["address"], "127.0.0.1", "{entry}");
    }
}

/// Calls as the operator.
async fn operate(server: &Server, method: Method, path: &str, body: Vec<u8>) -> Vec<u8> {
    let response = server.call(method, path, Some(&server.operator), Some(body));
    let response = response.await;
    let status = response.status();
    let text = response.bytes().await.unwrap().to_vec();
    assert!(
        status.is_success() && status != StatusCode::NO_CONTENT,
        "{path}: {status} {}",
        String::from_utf8_lossy(&text)
    );
    text
}

/// Imports what another tenant has. Returns the new one.
async fn import(server: &Server, from: &Tenant, plan: &str) -> Tenant {
    let request = json!({"name": "Copy", "plan": plan}).to_string();
    let imports = "/api/v1/admin/imports";
    let saga = operate(server, Method::POST, imports, request.into_bytes()).await;
    let saga: Value = serde_json::from_slice(&saga).unwrap();
    let import = format!("{imports}/{}", saga["saga_id"].as_str().unwrap());
    for part in Part::LOADED.map(Part::as_str) {
        let export = format!("/api/v1/admin/clients/{}/export/{part}", from.id);
        let rows = operate(server, Method::GET, &export, Vec::new()).await;
        let path = format!("{import}/{part}");
        operate(server, Method::POST, &path, rows).await;
        operate(server, Method::GET, &path, Vec::new()).await;
    }
    let created = operate(server, Method::POST, &import, Vec::new()).await;
    Tenant::from_created(&serde_json::from_slice(&created).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_has_the_plan_of_its_caller_and_each_step_is_audited() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let large = with_pods(&server, "Large", 3).await;
    agree(&server, &large, json!({"rca_hour": 1_000_000})).await;
    let copy = import(&server, &large, "free").await;
    let limits = server.get("/api/v1/limits", &copy.key).await;
    let free = [
        ("name", json!("free")),
        ("rca_hour", json!(10)),
        ("api_minute", json!(100)),
        ("events_day", json!(10_000)),
        ("live_objects", json!(10_000)),
        ("clusters", json!(1)),
    ];
    for (limit, value) in free {
        assert_eq!(limits["plan"][limit], value, "{limit}: {limits:#}");
    }
    let log = server.get(&chain(Some(&copy.id)), &server.operator).await;
    let parts = Part::LOADED.len();
    for (action, count) in [
        ("client.import", 1),
        ("client.load", parts),
        ("client.export", parts),
        ("client.create", 1),
    ] {
        let found = entries(&log, action).len();
        assert_eq!(found, count, "{action}: {log:#}");
    }
    assert_eq!(entries(&log, "client.import")[0]["target"], "free");
    let log = server.get(&chain(Some(&large.id)), &server.operator).await;
    let exported = entries(&log, "client.export");
    let targets: Vec<&Value> = exported.iter().map(|entry| &entry["target"]).collect();
    assert_eq!(targets, Part::LOADED.map(Part::as_str), "{log:#}");
}
