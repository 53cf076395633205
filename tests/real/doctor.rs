//! `kgrca doctor` names what is wrong with real servers, and how to fix it.

use std::process::Output;
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use kgrca_tests::stack::Stack;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use serde_json::Value;

use crate::provisioning::operator;

/// The checks of a doctor that found what its exit code says.
fn doctor(server: &Server, exit: i32) -> Vec<Value> {
    let Output {
        status,
        stdout,
        stderr,
    } = operator(server, &["doctor"]);
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert_eq!(
        status.code(),
        Some(exit),
        "{text} {}",
        String::from_utf8_lossy(&stderr)
    );
    serde_json::from_str(&text).unwrap()
}

fn wrong(checks: &[Value]) -> Vec<&str> {
    checks
        .iter()
        .filter(|c| c["ok"] == false)
        .map(|c| c["check"].as_str().unwrap())
        .collect()
}

async fn retain_a_day(stack: &Stack, tenant: &Tenant) {
    let admin: AdminClient<_> = ClientConfig::new()
        .set(
            "bootstrap.servers",
            format!("127.0.0.1:{}", stack.kafka.port),
        )
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "SCRAM-SHA-512")
        .set("sasl.username", "admin")
        .set("sasl.password", "admin-secret")
        .create()
        .unwrap();
    let topic = format!("{}.events.normalized", tenant.id);
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.ms", "86400000");
    admin
        .alter_configs([&change], &AdminOptions::new())
        .await
        .unwrap()[0]
        .as_ref()
        .unwrap();
}

/// Waits until a gauge of the daemon has a value.
async fn until(server: &Server, gauge: &str, value: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let text = server
            .http
            .get(format!("{}/metrics", server.metrics))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let found = text
            .lines()
            .find_map(|l| l.strip_prefix(gauge))
            .map(|v| v.trim().to_owned());
        if found.as_deref() == Some(value) {
            return;
        }
        assert!(Instant::now() < deadline, "{gauge} is {found:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_store_is_checked_and_what_is_wrong_is_named() {
    let stack = Stack::start();
    let folder = tempfile::tempdir().unwrap();
    let server = stack.daemon(folder.path());
    let tenant = server.tenant("Acme", "pro").await;
    let checks = doctor(&server, 0);
    let names: Vec<&str> = checks
        .iter()
        .map(|c| c["check"].as_str().unwrap())
        .collect();
    for name in [
        "metadata", "log", "graph", "limits", "clock", "sagas", "jobs", "daemons",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    for gauge in ["kafka_up", "neo4j_up", "postgres_up"] {
        until(&server, gauge, "1").await;
    }
    let event = serde_json::json!({
        "event_id": "e1", "event_time": jiff::Timestamp::now().to_string(), "cluster": "prod",
        "reason": "Started", "message": "x", "subject": {"kind": "Pod", "ns": "a", "name": "b"},
    });
    let body = event.to_string().into_bytes();
    server.ingest(&tenant, "events", body).await;
    server.settled(&tenant, 1).await;
    let lag = format!(
        "kg_kafka_consumer_lag{{topic=\"{}.events.normalized\",partition=",
        tenant.id
    );
    let text = server
        .http
        .get(format!("{}/metrics", server.metrics))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.contains(&lag), "{text}");

    retain_a_day(&stack, &tenant).await;
    let checks = doctor(&server, 10);
    let found = checks.iter().find(|c| c["ok"] == false).unwrap();
    assert_eq!(found["check"], format!("tenant {}", tenant.id));
    assert!(
        found["detail"]
            .as_str()
            .unwrap()
            .contains("retention.ms is 86400000, not 7776000000"),
        "{found}"
    );
    assert!(
        operator(&server, &["tenant", "update", &tenant.id, "--plan", "pro"])
            .status
            .success(),
        "{found}"
    );
    doctor(&server, 0);

    stack.neo4j.kill();
    until(&server, "neo4j_up", "0").await;
    assert!(wrong(&doctor(&server, 10)).contains(&"graph"));
    stack.neo4j.run();
    until(&server, "neo4j_up", "1").await;
    stack.postgres.kill();
    let checks = doctor(&server, 10);
    assert!(
        wrong(&checks).contains(&"metadata") && !wrong(&checks).contains(&"graph"),
        "{checks:?}"
    );
    stack.postgres.run();
    until(&server, "postgres_up", "1").await;
    doctor(&server, 0);
    server.signal("KILL");
    assert_eq!(
        wrong(&doctor(&server, 10)),
        ["server"],
        "unreachable stores are listed too"
    );
}
