//! Changes that tools and people report: kept, charged, listed, and shown beside the causes.

use std::process::Command;
use std::time::Duration;

use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, binary};
use serde_json::{Value, json};

fn minutes_ago(n: i64) -> String {
    jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() - 60 * n)
        .unwrap()
        .to_string()
}

/// A webhook of GitHub.
fn deployment(state: &str) -> Value {
    json!({
        "deployment": {"id": 1, "sha": "9fceb02", "ref": "main", "environment": "production",
            "creator": {"login": "jane"}, "description": "x".repeat(5000)},
        "deployment_status": {"id": 7, "state": state, "created_at": minutes_ago(4)},
        "repository": {"full_name": "acme/shop"},
    })
}

/// A pod that was killed for its memory.
fn broken_pod() -> Value {
    json!({
        "op": "UPSERT", "at": minutes_ago(1), "cluster": "prod", "apiVersion": "v1", "kind": "Pod",
        "uid": "u-1", "namespace": "shop", "name": "api-1", "created": minutes_ago(5),
        "ownerRefs": [{"kind": "Deployment", "name": "api", "controller": true}],
        "status": {"phase": "Running", "startTime": minutes_ago(5), "containerStatuses": [{
            "name": "c", "ready": false, "restartCount": 9,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137,
                "startedAt": minutes_ago(3), "finishedAt": minutes_ago(2)}}}]},
    })
}

/// Runs `kgrca change record`; returns its exit code and messages.
fn record(server: &Server, tenant: &Tenant, message: &str, options: &str) -> (i32, String) {
    let output = Command::new(binary("kgrca"))
        .args(["change", "record", message])
        .args(options.split_whitespace())
        .env_clear()
        .env("HOME", std::env::temp_dir())
        .envs([("KGRCA_URL", &server.url), ("KGRCA_API_KEY", &tenant.key)])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

async fn post(server: &Server, tenant: &Tenant, body: Value) -> Value {
    let url = format!("{}/api/v1/ingest/changes", server.url);
    let request = reqwest::Client::new().post(url);
    let request = request.header("x-api-key", &tenant.key);
    let request = request.header("x-cluster", "prod").json(&body);
    request.send().await.unwrap().json().await.unwrap()
}

/// The causes, as soon as there are any.
async fn causes(server: &Server, tenant: &Tenant) -> Value {
    for _ in 0..600 {
        let answer = server.get("/api/v1/rca", &tenant.key).await;
        if answer["causes"][0].is_object() {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no cause is found");
}

#[tokio::test]
async fn a_reported_change_is_listed_and_stands_beside_the_causes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let (code, text) = record(&server, &tenant, "api 1.4.2", "");
    assert!(code == 2 && text.contains("--cluster NAME"), "{text}");
    let flag = "--reason flag --cluster prod --by max";
    let flag = record(&server, &tenant, "new checkout on", flag);
    assert_eq!(flag, (0, "change recorded\n".to_owned()));
    let of_api = format!(
        "--reason deploy --object deploy/api -n shop --cluster prod --revision 9fceb02 \
         --source ci --id build-77 --at {}",
        minutes_ago(6)
    );
    for expected in ["change recorded", "recorded before"] {
        let (code, text) = record(&server, &tenant, "api 1.4.2", &of_api);
        assert!(code == 0 && text.starts_with(expected), "{text}");
    }
    // What reports nothing yet is not stored.
    let webhooks = json!([deployment("success"), deployment("queued")]);
    let deployed = post(&server, &tenant, webhooks).await;
    assert_eq!(deployed["accepted"], 2, "{deployed}");
    let pod = broken_pod().to_string().into_bytes();
    server.ingest(&tenant, "resources", pod).await;
    server.settled(&tenant, 4).await;

    let since = format!("/api/v1/changes?since={}", minutes_ago(60));
    let listed = server.get(&since, &tenant.key).await;
    let rows = listed["items"].as_array().unwrap();
    let mut notes: Vec<&str> = rows.iter().filter_map(|row| row["note"].as_str()).collect();
    notes.sort_unstable();
    let of_tool = "deploy: acme/shop main to production: success";
    let expected = [of_tool, "deploy: api 1.4.2", "flag: new checkout on"];
    assert_eq!(notes, expected, "{listed}");
    let of_api = rows.iter().find(|row| row["name"] == "api").unwrap();
    let (kind, via) = (&of_api["kind"], &of_api["via"]);
    assert!(kind == "Deployment" && via == "ci 9fceb02", "{of_api}");

    let answer = causes(&server, &tenant).await;
    let fault = &answer["causes"][0]["fault_type"];
    assert_eq!(fault, "runtime.oom_killed", "{answer}");
    let beside = answer["other_changes"].as_array().unwrap();
    let beside: Vec<&str> = beside.iter().filter_map(|c| c["what"].as_str()).collect();
    for expected in [of_tool, "Deployment `api`: deploy: api 1.4.2"] {
        assert!(beside.contains(&expected), "{answer}");
    }
    let usage = server.get("/api/v1/usage", &tenant.key).await;
    let rows = usage["rows"].as_array().unwrap();
    let is_events = |row: &&Value| row["metric"] == "events_ingested_count";
    let events = rows.iter().find(is_events).unwrap();
    assert_eq!(events["amount"], 3, "{usage}");
}

#[tokio::test]
async fn what_is_no_change_is_refused_by_the_route_of_changes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let event =
        json!({"reason": "Failed", "subject": {"kind": "Pod", "name": "api", "ns": "shop"}});
    let answer = post(&server, &tenant, event).await;
    let rejected = &answer["rejected"][0];
    assert_eq!(rejected["reason"], "unknown_shape", "{answer}");
    let says = rejected["message"].as_str().unwrap();
    assert!(says.starts_with("not a change"), "{answer}");
}
