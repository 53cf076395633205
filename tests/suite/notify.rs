//! Notifications: each change of an incident reaches its receivers, once each, whatever happens to
//! the receiver or the daemon in between.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kgrca_tests::receiver::{Received, Receiver};
use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, binary};
use reqwest::Method;
use serde_json::{Value, json};

const LOCAL: [&str; 2] = ["--notify-networks", "127.0.0.0/8"];

fn minutes_ago(n: i64) -> String {
    jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() - 60 * n)
        .unwrap()
        .to_string()
}

fn pod(name: &str, broken: bool) -> Value {
    let state = if broken {
        json!({"waiting": {"reason": "CrashLoopBackOff"}})
    } else {
        json!({"running": {"startedAt": minutes_ago(1)}})
    };
    json!({
        "op": "UPSERT", "at": jiff::Timestamp::now().to_string(), "cluster": "prod",
        "apiVersion": "v1", "kind": "Pod", "uid": format!("u-{name}"), "namespace": "shop",
        "name": name, "created": minutes_ago(30),
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "c", "ready": !broken, "restartCount": 9, "state": state,
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137,
                "startedAt": minutes_ago(3), "finishedAt": minutes_ago(2)}}}]},
    })
}

async fn breaks(server: &Server, tenant: &Tenant, name: &str) {
    let body = pod(name, true).to_string().into_bytes();
    server.ingest(tenant, "resources", body).await;
}

#[expect(clippy::unnecessary_wraps, reason = "the body of a request")]
fn body(value: Value) -> Option<Vec<u8>> {
    Some(value.to_string().into_bytes())
}

/// Applies a configuration by the command line.
fn apply(server: &Server, tenant: &Tenant, yaml: &str) -> (i32, String) {
    use std::io::Write;
    let mut child = Command::new(binary("kgrca"))
        .args(["notify", "apply", "-f", "-"])
        .env_clear()
        .envs([("KGRCA_URL", &server.url), ("KGRCA_API_KEY", &tenant.key)])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(yaml.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

/// What `kgrca status` prints in a pipe, and its messages.
fn status(server: &Server, tenant: &Tenant) -> (String, String) {
    let output = Command::new(binary("kgrca"))
        .arg("status")
        .env_clear()
        .envs([("KGRCA_URL", &server.url), ("KGRCA_API_KEY", &tenant.key)])
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

fn to(receiver: &Receiver) -> String {
    format!(
        "receivers:\n  - name: oncall\n    webhook: {{url: {}, secret: a secret that signs}}\n\
         routes:\n  - receiver: oncall\n",
        receiver.url("/hook")
    )
}

/// Asks until something holds.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn deliveries(server: &Server, tenant: &Tenant, id: &str) -> Vec<Value> {
    let path = format!("/api/v1/incidents/{id}/deliveries");
    let page = server.get(&path, &tenant.key).await;
    page["items"].as_array().unwrap().clone()
}

async fn in_state(server: &Server, tenant: &Tenant, state: &str) -> Value {
    until(&format!("no delivery is {state}"), async || {
        let incidents = server.get("/api/v1/incidents", &tenant.key).await;
        incidents["items"][0]["incident_id"].as_str()?;
        let all = deliveries(server, tenant, "inc-1").await;
        all.into_iter().find(|d| d["state"] == state)
    })
    .await
}

async fn received(receiver: &Receiver, n: usize) -> Vec<Received> {
    until(&format!("fewer than {n} notifications"), async || {
        let all = receiver.received();
        (all.len() >= n).then_some(all)
    })
    .await
}

async fn server(folder: &Path) -> (Server, Tenant) {
    let server = Server::start(folder, &LOCAL);
    let tenant = server.tenant("Acme", "pro").await;
    (server, tenant)
}

#[tokio::test]
async fn an_incident_is_followed_from_its_opening_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (server, tenant) = server(folder.path()).await;
    let receiver = Receiver::start(&[]).await;
    assert_eq!(
        apply(&server, &tenant, &to(&receiver)),
        (0, "applied 1 receiver and 1 route\n".to_owned())
    );
    let begun = Instant::now();
    breaks(&server, &tenant, "web-1").await;
    let opened = received(&receiver, 1).await.remove(0);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert!(opened.header("webhook-id").starts_with("ntf_"));
    assert!(opened.header("webhook-signature").starts_with("v1,"));
    assert_eq!(opened.body["type"], "incident.open");
    let title = opened.body["data"]["title"].as_str().unwrap();
    assert!(
        title.contains("inc-1 open: ") && title.contains("memory"),
        "{title}"
    );
    assert_eq!(
        opened.body["data"]["incident"]["fault_type"],
        "runtime.oom_killed"
    );
    in_state(&server, &tenant, "sent").await;
    let (rows, message) = status(&server, &tenant);
    assert_eq!(message, "1 open incident; next: kgrca rca inc-1\n");
    let cells: Vec<&str> = rows.trim_end().split('\t').collect();
    assert_eq!(
        (cells[0], cells[3], cells[4]),
        ("inc-1", "prod", "shop"),
        "{rows}"
    );
    assert!(
        cells[6].contains("memory limit") && cells[7] == "-",
        "{rows}"
    );
    for state in ["acknowledged", "resolved"] {
        let path = "/api/v1/incidents/inc-1";
        let change = json!({"state": state, "note": "on it"});
        let answer = server
            .call(Method::PATCH, path, Some(&tenant.key), body(change))
            .await;
        assert_eq!(answer.status(), 202);
        until(state, async || {
            let row = server.get(path, &tenant.key).await;
            (row["state"] == state).then_some(())
        })
        .await;
        let (rows, message) = status(&server, &tenant);
        if state == "acknowledged" {
            assert!(!rows.trim_end().ends_with('-'), "who has taken it: {rows}");
        } else {
            assert_eq!(
                (rows.as_str(), message.as_str()),
                ("", "no open incidents\n")
            );
        }
    }
    let all = received(&receiver, 3).await;
    let types: Vec<&Value> = all.iter().map(|r| &r.body["type"]).collect();
    assert_eq!(
        types,
        [
            "incident.open",
            "incident.acknowledged",
            "incident.resolved"
        ]
    );
    assert_eq!(all[2].body["data"]["incident"]["note"], "on it");
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_and_one_that_refuses_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (server, tenant) = server(folder.path()).await;
    let receiver = Receiver::start(&[500, 429, 200]).await;
    let refusing = Receiver::start(&[400]).await;
    let yaml = to(&receiver) + "    continue: true\n  - receiver: refusing\n";
    let second = format!(
        "  - name: refusing\n    slack: {{url: {}}}\nroutes:",
        refusing.url("/x")
    );
    apply(&server, &tenant, &yaml.replace("routes:", &second));
    breaks(&server, &tenant, "web-1").await;
    let all = received(&receiver, 3).await;
    let ids: Vec<&str> = all.iter().map(|r| r.header("webhook-id")).collect();
    assert!(
        ids.iter().all(|id| *id == ids[0]),
        "one notification has one id: {ids:?}"
    );
    let sent = in_state(&server, &tenant, "sent").await;
    assert_eq!(
        (&sent["receiver"], &sent["attempts"]),
        (&json!("oncall"), &json!(3))
    );
    let dead = in_state(&server, &tenant, "dead").await;
    assert_eq!(dead["reason"], "the receiver answered 400 Bad Request");
    assert_eq!(refusing.received().len(), 1);
    let path = "/api/v1/incidents/inc-1/deliveries/retry";
    let answer = server
        .call(Method::POST, path, Some(&tenant.key), body(json!({})))
        .await;
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["retried"], 1);
    received(&refusing, 2).await;
}

#[tokio::test]
async fn kill_9_at_any_moment_loses_no_notification() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, tenant) = server(folder.path()).await;
    let receiver = Receiver::start(&[]).await;
    apply(&server, &tenant, &to(&receiver));
    // Different moments between the record and the receiver's answer.
    let rounds = if kgrca_tests::soak() { 30 } else { 5 };
    for round in 0..rounds {
        breaks(&server, &tenant, &format!("web-{round}")).await;
        tokio::time::sleep(Duration::from_millis(97 * round % 1900)).await;
        server.kill();
        server = Server::start(folder.path(), &LOCAL);
    }
    server.settled(&tenant, rounds).await;
    let incidents = server.get("/api/v1/incidents", &tenant.key).await;
    let incidents = incidents["items"].as_array().unwrap().clone();
    for incident in incidents {
        let id = incident["incident_id"].as_str().unwrap();
        let shown = server
            .get(&format!("/api/v1/incidents/{id}/timeline"), &tenant.key)
            .await;
        let changes = shown["items"].as_array().unwrap().len();
        let all = until("something is pending", async || {
            let all = deliveries(&server, &tenant, id).await;
            let ended = all.iter().all(|d| d["state"] == "sent");
            (ended && all.len() == changes).then_some(all)
        });
        all.await;
    }
    // Repeated ones have the same id.
    let ids: std::collections::BTreeSet<String> = receiver
        .received()
        .iter()
        .map(|r| r.header("webhook-id").to_owned())
        .collect();
    assert!(!ids.is_empty());
}

#[tokio::test]
async fn what_is_silenced_or_has_no_route_is_listed_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (server, tenant) = server(folder.path()).await;
    let receiver = Receiver::start(&[]).await;
    apply(&server, &tenant, &to(&receiver));
    let ends_at = minutes_ago(-60);
    let silence = json!({"match": {"namespace": "sh*"}, "reason": "migration", "ends_at": ends_at});
    let answer = server.call(
        Method::POST,
        "/api/v1/silences",
        Some(&tenant.key),
        body(silence),
    );
    let added: Value = answer.await.json().await.unwrap();
    let silence_id = added["silence_id"].as_str().unwrap().to_owned();
    let wrong = json!({"match": {}, "reason": "all", "ends_at": ends_at});
    let answer = server.call(
        Method::POST,
        "/api/v1/silences",
        Some(&tenant.key),
        body(wrong),
    );
    assert_eq!(answer.await.status(), 400);
    breaks(&server, &tenant, "web-1").await;
    let muted = in_state(&server, &tenant, "muted").await;
    assert_eq!(muted["reason"], format!("silenced by {silence_id}"));
    let plan = server
        .get("/api/v1/incidents/inc-1/receivers", &tenant.key)
        .await;
    assert_eq!(plan["receivers"][0]["sends"], false, "{plan}");
    let path = format!("/api/v1/silences/{silence_id}");
    let ended = server
        .call(Method::DELETE, &path, Some(&tenant.key), None)
        .await;
    assert_eq!(ended.status(), 204);
    let plan = server
        .get("/api/v1/incidents/inc-1/receivers", &tenant.key)
        .await;
    assert_eq!(plan["receivers"][0]["sends"], true, "{plan}");
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn secrets_are_not_shown_and_addresses_of_the_daemons_network_are_not_reached() {
    let folder = tempfile::tempdir().unwrap();
    // Without --notify-networks.
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let receiver = Receiver::start(&[]).await;
    apply(&server, &tenant, &to(&receiver));
    let shown = server.get("/api/v1/notify", &tenant.key).await;
    let shown = shown["config"].as_str().unwrap();
    assert!(
        !shown.contains("a secret that signs") && !shown.contains("/hook"),
        "{shown}"
    );
    let (code, text) = apply(&server, &tenant, shown);
    assert_eq!(code, 0, "what is shown can be applied again: {text}");
    let test = "/api/v1/notify/receivers/oncall/test";
    let tested = server
        .call(Method::POST, test, Some(&tenant.key), body(json!({})))
        .await;
    let tested: Value = tested.json().await.unwrap();
    assert_eq!(tested["accepted"], false);
    let reason = tested["reason"].as_str().unwrap();
    assert!(reason.contains("not public"), "{reason}");
    assert!(receiver.received().is_empty());
    let (_, reader) = server.key(&tenant, &["read"]).await;
    for (method, path) in [
        (Method::GET, "/api/v1/notify"),
        (Method::POST, test),
        (Method::DELETE, "/api/v1/silences/sil_1"),
    ] {
        let answer = server.call(method, path, Some(&reader), None).await;
        assert_eq!(answer.status(), 403, "{path}");
    }
}

#[tokio::test]
async fn a_slow_receiver_of_one_tenant_delays_no_other_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let (server, quick) = server(folder.path()).await;
    let answers = Receiver::start(&[]).await;
    apply(&server, &quick, &to(&answers));
    let hangs = Receiver::that_hangs().await;
    for n in 0..6 {
        let slow = server.tenant(&format!("Slow {n}"), "pro").await;
        apply(&server, &slow, &to(&hangs));
        breaks(&server, &slow, "web-1").await;
    }
    let begun = Instant::now();
    breaks(&server, &quick, "web-1").await;
    received(&answers, 1).await;
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );
}
