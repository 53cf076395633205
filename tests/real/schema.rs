//! The API's document against the running daemon, by schemathesis: no 5xx, no undocumented answer.

use std::process::Command;

use kgrca_tests::{Server, soak};

/// The tool that `tests/run.sh` installs.
fn tool() -> std::path::PathBuf {
    let path = std::env::var_os("KGRCA_OPENAPI_TOOLS").map(std::path::PathBuf::from);
    path.expect("KGRCA_OPENAPI_TOOLS names the tool: ./tests/run.sh installs it and says where")
}

fn check(server: &Server, key: &str, paths: &[&str]) {
    let examples = if soak() { "500" } else { "10" };
    let support = kgrca_tests::repository().join("tests/support");
    let run = Command::new(tool())
        .arg("--config-file")
        .arg(support.join("schemathesis.toml"))
        .args([
            "run",
            "--max-examples",
            examples,
            "--workers",
            "1",
            "--seed",
            "1",
            "--no-color",
        ])
        .args(["--generation-database", "none", "--request-timeout", "20"])
        // It ends when somebody leaves.
        .args(["--exclude-path", "/api/v1/incidents/stream"])
        // A text is valid JSON and need not be valid Cypher.
        .args(["--exclude-path", "/api/v1/query/cypher"])
        .args(["-H", &format!("X-API-Key: {key}")])
        .args(paths)
        .arg(format!("{}/openapi.json", server.url))
        // How lines of JSON are sent.
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", &support)
        .current_dir(&server.folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(
        said.contains("No issues found") || said.contains("passed"),
        "it says what it checked: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_answers_as_its_document_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Schema", "enterprise").await;
    let event = format!(
        r#"{{"event_id":"e1","event_time":"{}","cluster":"prod","severity":"WARNING","reason":"Failed","count":5,"message":"Failed to pull image \"r.example/web:2\": manifest unknown: not found","subject":{{"kind":"Pod","ns":"shop","name":"web-1"}}}}"#,
        jiff::Timestamp::now()
    );
    server.ingest(&tenant, "events", event.into_bytes()).await;
    server.settled(&tenant, 1).await;
    check(
        &server,
        &tenant.key,
        &["--exclude-path-regex", "^/api/v1/admin"],
    );
    check(
        &server,
        &server.operator,
        &["--include-path-regex", "^/api/v1/admin"],
    );
    assert!(server.terminate(), "the daemon leaves in order");
}
