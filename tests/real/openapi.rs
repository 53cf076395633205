//! The API's document: valid, true of the running daemon (schemathesis: no 5xx, no undocumented
//! answer), and enough to generate a client from.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, openapi_tool, repository, soak};
use serde_json::json;

/// Runs a tool and returns what it printed; fails with that when the tool does.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{printed}\n{errors}");
    printed
}

/// A daemon with a tenant that has one open incident.
async fn server_with_incident(folder: &Path) -> (Server, Tenant) {
    let server = Server::start(folder, &[]);
    let tenant = server.tenant("Schema", "enterprise").await;
    let event = json!({
        "event_id": "e1", "event_time": jiff::Timestamp::now().to_string(), "cluster": "prod",
        "severity": "WARNING", "reason": "Failed", "count": 5,
        "message": "Failed to pull image \"r.example/web:2\": manifest unknown: not found",
        "subject": {"kind": "Pod", "ns": "shop", "name": "web-1"},
    });
    let body = event.to_string().into_bytes();
    server.ingest(&tenant, "events", body).await;
    server.settled(&tenant, 1).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.get("/api/v1/incidents", &tenant.key).await["items"][0].is_null() {
        assert!(Instant::now() < deadline, "the incident is opened");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (server, tenant)
}

/// Saves the document that a daemon serves.
async fn save_document(server: &Server) -> std::path::PathBuf {
    let url = format!("{}/openapi.json", server.url);
    let document = server.http.get(url).send().await.unwrap();
    let path = server.folder.join("openapi.json");
    std::fs::write(&path, document.bytes().await.unwrap()).unwrap();
    path
}

fn schemathesis(server: &Server, key: &str, paths: &[&str]) {
    let examples = if soak() { "500" } else { "10" };
    let support = repository().join("tests/support");
    let printed = run(Command::new(openapi_tool("schemathesis"))
        .arg("--config-file")
        .arg(support.join("schemathesis.toml"))
        .args(["run", "--max-examples", examples])
        .args(["--workers", "1", "--seed", "1", "--no-color"])
        .args(["--generation-database", "none", "--request-timeout", "20"])
        // Ends only when the caller disconnects.
        .args(["--exclude-path", "/api/v1/incidents/stream"])
        // A string is valid JSON and need not be valid Cypher.
        .args(["--exclude-path", "/api/v1/query/cypher"])
        // Nor valid YAML; and a time need not be in the future.
        .args(["--exclude-operation-id", "put_notify_config"])
        .args(["--exclude-operation-id", "add_silence"])
        .args(["-H", &format!("X-API-Key: {key}")])
        .args(paths)
        .arg(format!("{}/openapi.json", server.url))
        // Teaches schemathesis how NDJSON is sent.
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", &support)
        .current_dir(&server.folder));
    let checked = printed.contains("No issues found") || printed.contains("passed");
    assert!(checked, "it reports what it checked: {printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_answers_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let (server, tenant) = server_with_incident(folder.path()).await;
    let admin = "^/api/v1/admin";
    schemathesis(&server, &tenant.key, &["--exclude-path-regex", admin]);
    schemathesis(&server, &server.operator, &["--include-path-regex", admin]);
    assert!(server.terminate(), "the daemon shuts down cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let document = save_document(&server).await;
    let rules = repository().join("tests/support/redocly.yaml");
    run(Command::new(openapi_tool("redocly"))
        .args(["lint", "--max-problems", "200", "--config"])
        .arg(rules)
        .arg(document)
        // No call home, no notice of newer versions.
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_client_lists_incidents() {
    let folder = tempfile::tempdir().unwrap();
    let (server, tenant) = server_with_incident(folder.path()).await;
    let document = save_document(&server).await;
    let client = folder.path().join("client");
    run(Command::new(openapi_tool("openapi-python-client"))
        .args(["generate", "--meta", "none", "--path"])
        .arg(document)
        .arg("--output-path")
        .arg(client.join("kgrca_client")));
    // The tools' own Python has what a generated client imports.
    let python = openapi_tool("python");
    let script = repository().join("tests/support/list_incidents.py");
    let printed = run(Command::new(python)
        .arg(script)
        .arg(&server.url)
        .env("KGRCA_API_KEY", &tenant.key)
        .env("PYTHONPATH", client));
    assert_eq!(printed, "inc-1 open app/web\n");
}
