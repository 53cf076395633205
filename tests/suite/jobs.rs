//! Background jobs as operators see them.

use std::process::Command;
use std::time::{Duration, Instant};

use kgrca_tests::{Server, binary};
use reqwest::Method;
use serde_json::{Value, json};

/// `kgrca job …` as the operator: exit code, standard output, standard error.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn job(server: &Server, arguments: &[&str]) -> Ran {
    let output = Command::new(binary("kgrca"))
        .arg("job")
        .args(arguments)
        .env("KGRCA_URL", &server.url)
        .env("KGRCA_OPERATOR_KEY", &server.operator)
        .env("XDG_CONFIG_HOME", server.folder.join("home"))
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn jobs(server: &Server, query: &str) -> Vec<Value> {
    let page = server
        .get(&format!("/api/v1/admin/jobs?{query}"), &server.operator)
        .await;
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_new_tenant_is_maintained_and_a_deletion_waits_for_its_grace_period() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let deadline = Instant::now() + Duration::from_secs(30);
    let of_tenant = format!("client_id={}", tenant.id);
    // It runs at once, and then hourly.
    loop {
        let found = jobs(&server, &format!("{of_tenant}&kind=tenant.maintain")).await;
        assert_eq!(found.len(), 1, "{found:?}");
        if found[0]["result"]["storage_bytes"].is_number() {
            assert_eq!(found[0]["state"], "queued", "{found:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let path = format!("/api/v1/admin/clients/{}?grace_days=7", tenant.id);
    let answer = server.call(Method::DELETE, &path, Some(&server.operator), None);
    assert_eq!(answer.await.status(), 202);
    let saga = jobs(&server, &format!("{of_tenant}&kind=saga.run")).await;
    assert_eq!(saga.len(), 1, "{saga:?}");
    assert_eq!(saga[0]["state"], "queued");
    let run_at: jiff::Timestamp = saga[0]["run_at"].as_str().unwrap().parse().unwrap();
    let hours = (run_at.as_second() - jiff::Timestamp::now().as_second()) / 3600;
    assert!((167..=168).contains(&hours), "{saga:?}");
}

#[tokio::test]
async fn operators_list_retry_and_cancel_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let path = format!("/api/v1/admin/clients/{}?grace_days=7", tenant.id);
    let answer = server.call(Method::DELETE, &path, Some(&server.operator), None);
    assert_eq!(answer.await.status(), 202);
    let queued = jobs(&server, "state=queued&kind=saga.run").await;
    let id = queued[0]["job_id"].as_str().unwrap();
    let listed = job(&server, &["list", "--kind", "saga.run"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    assert!(listed.stdout.contains(id), "{}", listed.stdout);
    let refused = job(&server, &["cancel", id]);
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    let message = format!("job `{id}` continues the open saga");
    assert!(refused.stderr.contains(&message), "{}", refused.stderr);
    let refused = job(&server, &["cancel", "job_purge"]);
    assert!(
        refused.stderr.contains("is recurring and cannot be"),
        "{}",
        refused.stderr
    );
    // A tenant that stays ends the saga; its job may go then.
    let path = format!("/api/v1/admin/clients/{}", tenant.id);
    let stays = json!({ "state": "active" }).to_string().into_bytes();
    let answer = server.call(Method::PATCH, &path, Some(&server.operator), Some(stays));
    assert_eq!(answer.await.status(), 200);
    let cancelled = job(&server, &["cancel", id, "-o", "json"]);
    let cancelled: Value = serde_json::from_str(&cancelled.stdout).unwrap();
    assert_eq!(cancelled["state"], "cancelled");
    let again = job(&server, &["cancel", id]);
    assert_eq!(again.code, Some(2), "{}", again.stdout);
    let message = format!("job `{id}` is cancelled and cannot be cancelled");
    assert!(again.stderr.contains(&message), "{}", again.stderr);
    let retried = job(&server, &["retry", id, "-o", "json"]);
    let retried: Value = serde_json::from_str(&retried.stdout).unwrap();
    assert_eq!(retried["state"], "queued");
    let shown = job(&server, &["show", id]);
    assert!(shown.stdout.contains("saga.run"), "{}", shown.stdout);
    let unknown = job(&server, &["show", "job_none"]);
    assert!(
        unknown.stderr.contains("job `job_none` not found"),
        "{}",
        unknown.stderr
    );
    let acts = server
        .get(
            &format!("/api/v1/admin/audit?client_id={}", tenant.id),
            &server.operator,
        )
        .await;
    let acts = acts["items"].as_array().unwrap();
    let has = |action: &str| acts.iter().any(|entry| entry["action"] == action);
    assert!(has("job.cancel") && has("job.retry"), "{acts:?}");
}

#[tokio::test]
async fn jobs_are_the_operators_and_bad_filters_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    for path in ["/api/v1/admin/jobs", "/api/v1/admin/jobs/job_purge"] {
        let answer = server
            .call(Method::GET, path, Some(&tenant.key), None)
            .await;
        assert_eq!(answer.status(), 403, "{path}");
    }
    for (query, message) in [
        ("kind=nothing", "unknown job kind `nothing`"),
        ("cursor=x", "`cursor` is not a cursor of this list"),
        ("limit=0", "`limit` must be between 1 and 1000, not 0"),
    ] {
        let path = format!("/api/v1/admin/jobs?{query}");
        let answer = server.call(Method::GET, &path, Some(&server.operator), None);
        let answer = answer.await;
        assert_eq!(answer.status(), 400, "{query}");
        let body: Value = answer.json().await.unwrap();
        let told = body["error"]["message"].as_str().unwrap();
        assert_eq!(told, message);
    }
    let body = json!({ "act": "explode" }).to_string().into_bytes();
    let path = "/api/v1/admin/jobs/job_purge";
    let answer = server.call(Method::POST, path, Some(&server.operator), Some(body));
    assert_eq!(answer.await.status(), 400);
}
