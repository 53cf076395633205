//! The agent ships to Kafka: over TLS, as the tenant's own user, through the deaths of the agent
//! and of the broker.

use std::time::{Duration, Instant};

use kgrca_core::storage::KafkaUrl;
use kgrca_daemon::storage::kafka::KafkaAdmin;
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use kgrca_tests::services::{Service, installed};

use reqwest::Method;

use crate::agent::{alerted, kgrca, printed};
use crate::agent_failures::{Around, deployment};
use crate::logs::balanced;

fn install(kafka: &Service, tenant: &Tenant, password: &str) -> Vec<String> {
    let url = format!(
        "kafka://{}:{password}@localhost:{}?tls=true",
        tenant.id,
        kafka.port + 1
    );
    let ca = installed("kafka").join("tls/ca.crt");
    ["--kafka", &url, "--ca-file", ca.to_str().unwrap()]
        .map(str::to_owned)
        .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_reach_the_server_by_kafka_whatever_dies() {
    let kafka = Service::start("kafka");
    let own = |tenant: &Tenant| install(&kafka, tenant, tenant.kafka_password.as_ref().unwrap());
    let (around, server) = Around::with(&["--log-url", &kafka.url()], own).await;
    let environment = around.environment(&server);
    let password = around.tenant.kafka_password.as_ref().unwrap();
    let is_told = |(name, value): &&(String, String)| {
        value.contains(password.as_str()) || name.contains("PASSWORD")
    };
    assert_eq!(
        environment.iter().find(is_told),
        None,
        "the password is in a file of the Secret alone"
    );
    around.kube.apply(&deployment("web", 3));
    let agent = around.agent(&environment);
    around.agrees(&server, 60).await;
    alerted(&agent, around.folder.path(), &server, &around.tenant).await;
    // The broker dies in the middle of changes, and then the agent.
    kafka.kill();
    around.kube.apply(&deployment("web", 6));
    around
        .kube
        .does(&["create", "configmap", "made", "--from-literal=a=b"], None);
    kafka.run();
    around.agrees(&server, 90).await;
    agent.kill();
    around
        .kube
        .does(&["delete", "pods", "--all", "--wait=false"], None);
    let agent = around.agent(&environment);
    around.agrees(&server, 90).await;
    // The tenant grows: what goes to a partition of before must not be passed by what goes to the
    // new one.
    let path = format!("/api/v1/admin/clients/{}", around.tenant.id);
    for (wish, round) in [
        (r#"{"state": "suspended", "partitions": 6}"#, 4),
        (r#"{"state": "active"}"#, 5),
    ] {
        let patched = server
            .call(
                Method::PATCH,
                &path,
                Some(&server.operator),
                Some(wish.into()),
            )
            .await;
        assert!(
            patched.status().is_success(),
            "{}",
            patched.text().await.unwrap()
        );
        around.kube.apply(&deployment("web", round));
        around.kube.does(
            &[
                "create",
                "configmap",
                &format!("grows-{round}"),
                "--from-literal=a=b",
            ],
            None,
        );
    }
    around.agrees(&server, 90).await;
    balanced(&agent.status().await);
    let records = server.get("/api/v1/stats", &around.tenant.key).await["records"].clone();
    assert_eq!(records["rejected"], 0, "{records}");
    // The heartbeat, which goes to the API, reports no problem.
    let agents = server.get("/api/v1/agents", &around.tenant.key).await;
    let status = &agents["items"][0]["status"];
    assert!(status["shipping_trouble"].is_null(), "{status}");
    agent.terminate();
}

/// Waits until `kgrca agent status` reports a problem.
async fn until_reported(server: &Server, tenant: &Tenant, trouble: &str) {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let status = kgrca(server, tenant, &["agent", "status"]);
        if status.status.code() == Some(10) && printed(&status).contains(trouble) {
            return;
        }
        assert!(Instant::now() < deadline, "{}", printed(&status));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_rejects_is_reported_and_sent_once_fixed() {
    let kafka = Service::start("kafka");
    let (around, server) = Around::with(&["--log-url", &kafka.url()], |tenant| {
        install(&kafka, tenant, "wrong")
    })
    .await;
    let agent = around.agent(&around.environment(&server));
    until_reported(&server, &around.tenant, "uthentication failed").await;
    assert!(
        !std::fs::read_to_string(&agent.log)
            .unwrap()
            .contains("wrong@"),
        "a password is in the log"
    );
    // The right password, without its rights: a producer that begins so is given up for good by its
    // library.
    let tenant = kgrca_core::tenancy::TenantId::parse(&around.tenant.id).unwrap();
    let admin = KafkaAdmin::new(KafkaUrl::parse(&kafka.url()).unwrap());
    admin.remove_acls(&tenant).await.unwrap();
    let own = install(
        &kafka,
        &around.tenant,
        around.tenant.kafka_password.as_ref().unwrap(),
    );
    std::fs::write(around.folder.path().join("kafka/url"), &own[1]).unwrap();
    until_reported(&server, &around.tenant, "uthorization failed").await;
    admin.put_acls(&tenant).await.unwrap();
    around.agrees(&server, 90).await;
    balanced(&agent.status().await);
    agent.terminate();
    // What cannot work is rejected at the prompt.
    let another = format!(
        "kafka://client-other-abc123:{}@localhost:1",
        around.tenant.kafka_password.as_ref().unwrap()
    );
    for (url, why) in [
        ("kafka://admin:x@h:9093", "is not a tenant's user"),
        ("kafka://client-acme-7f3k2a:x@h", "a host and a port"),
        (
            "kafka://client-acme-7f3k2a:${file:/x}@h:1",
            "are not resolved",
        ),
        (another.as_str(), "names the user of client-other-abc123"),
    ] {
        let kubeconfig = around.kube.kubeconfig();
        let arguments = [
            "agent",
            "install",
            "--cluster",
            "prod",
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--kafka",
            url,
        ];
        let refused = kgrca(&server, &around.tenant, &arguments);
        assert_eq!(
            refused.status.code(),
            Some(2),
            "{url}: {}",
            printed(&refused)
        );
        assert!(
            printed(&refused).contains(why),
            "{url}: {}",
            printed(&refused)
        );
    }
}
