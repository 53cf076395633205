//! What is left of a deleted tenant: nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::Method;
use serde_json::json;

use super::bodies::{acts, begin_all, call};

/// The files below a folder whose names or contents have a text.
fn with_text(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_named = name.to_string_lossy().contains(text);
        if path.is_dir() {
            found.extend(with_text(&path, text));
        }
        let is_log = name == "daemon.log" || name.to_string_lossy().starts_with("meta.db");
        let bytes = std::fs::read(&path).unwrap_or_default();
        let holds = bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        if is_named || holds && !is_log {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Deletes a tenant without a grace period, and waits until its data is gone.
async fn delete(server: &Server, tenant: &Tenant) {
    let path = format!("/api/v1/admin/clients/{}", tenant.id);
    let now = format!("{path}?grace_days=0");
    call(server, Method::DELETE, &now, &server.operator, json!({})).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let response = server.call(Method::GET, &path, Some(&server.operator), None);
        if response.await.status() == 404 {
            return;
        }
        assert!(Instant::now() < deadline, "{} is still there", tenant.id);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_leaves_nothing_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let acme = server.tenant("acme", "pro").await;
    let log = json!([{"cluster": "c", "severity": "ERROR", "pod": "p", "message": "first"}]);
    server
        .ingest(&acme, "logs", log.to_string().into_bytes())
        .await;
    server.settled(&acme, 1).await;
    let held = begin_all(&server, &acme.key);
    delete(&server, &acme).await;
    for (held, act) in held.into_iter().zip(acts()) {
        let status = held.end();
        assert!([401, 403].contains(&status), "{act:?}: {status}");
    }
    assert_eq!(with_text(folder.path(), &acme.id), [""; 0]);
    assert_eq!(with_text(folder.path(), "GHOST"), [""; 0]);
    // What a daemon wrote that died before it noticed the deletion is removed at the next start.
    server.kill();
    let segment = format!("log/{}/logs/0/00000000000000000000.seg", acme.id);
    let segment = folder.path().join(segment);
    std::fs::create_dir_all(segment.parent().unwrap()).unwrap();
    std::fs::write(&segment, "GHOST").unwrap();
    let graph = folder.path().join(format!("graph/{}.mars", acme.id));
    std::fs::create_dir_all(graph.parent().unwrap()).unwrap();
    std::fs::write(&graph, "GHOST").unwrap();
    let _server = Server::start(folder.path(), &[]);
    let deadline = Instant::now() + Duration::from_mins(1);
    while !with_text(folder.path(), &acme.id).is_empty() {
        assert!(Instant::now() < deadline, "its files are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
