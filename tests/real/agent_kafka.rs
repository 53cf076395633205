//! The agent ships to Kafka: over TLS, as the tenant's own user, through the deaths of the agent and of the broker.

use std::time::{Duration, Instant};

use kgrca_tests::server::Tenant;
use kgrca_tests::services::{Service, installed};

use crate::agent::{alerted, kgrca, told};
use crate::agent_trouble::{Around, deployment};
use crate::logs::balanced;

fn install(kafka: &Service, tenant: &Tenant, password: &str) -> Vec<String> {
    let url = format!("kafka://{}:{password}@localhost:{}?tls=true", tenant.id, kafka.port + 1);
    let ca = installed("kafka").join("tls/ca.crt");
    ["--kafka", &url, "--ca-file", ca.to_str().unwrap()].map(str::to_owned).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_reach_the_server_by_kafka_whatever_dies() {
    let kafka = Service::start("kafka");
    let own = |tenant: &Tenant| install(&kafka, tenant, tenant.kafka_password.as_ref().unwrap());
    let (around, server) = Around::with(&["--log-url", &kafka.url()], own).await;
    let environment = around.environment(&server);
    let password = around.tenant.kafka_password.as_ref().unwrap();
    let is_told = |(name, value): &&(String, String)| value.contains(password.as_str()) || name.contains("PASSWORD");
    assert_eq!(environment.iter().find(is_told), None, "the password is in a file of the Secret alone");
    around.kube.apply(&deployment("web", 3));
    let agent = around.agent(&environment);
    around.agrees(&server, 60).await;
    alerted(&agent, around.folder.path(), &server, &around.tenant).await;
    // The broker dies in the middle of changes, and then the agent.
    kafka.kill();
    around.kube.apply(&deployment("web", 6));
    around.kube.does(&["create", "configmap", "made", "--from-literal=a=b"], None);
    kafka.run();
    around.agrees(&server, 90).await;
    agent.kill();
    around.kube.does(&["delete", "pods", "--all", "--wait=false"], None);
    let agent = around.agent(&environment);
    around.agrees(&server, 90).await;
    balanced(&agent.status().await);
    let records = server.get("/api/v1/stats", &around.tenant.key).await["records"].clone();
    assert_eq!(records["rejected"], 0, "{records}");
    // None of it came by the server's door: the heartbeat alone did.
    assert_eq!(
        server.get("/api/v1/agents", &around.tenant.key).await["items"][0]["status"]["shipping_trouble"],
        serde_json::Value::Null
    );
    agent.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_kafka_refuses_is_told() {
    let kafka = Service::start("kafka");
    let (around, server) = Around::with(&["--log-url", &kafka.url()], |tenant| install(&kafka, tenant, "wrong")).await;
    let agent = around.agent(&around.environment(&server));
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let fares = kgrca(&server, &around.tenant, &["agent", "status"]);
        if fares.status.code() == Some(10) && told(&fares).contains("uthentication failed") {
            break;
        }
        assert!(Instant::now() < deadline, "{}", told(&fares));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!std::fs::read_to_string(&agent.log).unwrap().contains("wrong@"), "a password is in the log");
    agent.terminate();
    let wrong = ["agent", "install", "--cluster", "prod", "--kafka", "kafka://admin:x@h:9093"];
    let refused = kgrca(&server, &around.tenant, &wrong);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
}
