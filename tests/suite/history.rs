//! What was: the graph as of a time, what has ended, and what happened in between.

use kgrca_tests::Server;
use serde_json::{Value, json};

fn pod(name: &str, uid: &str, node: &str, at: &str) -> Value {
    json!({
        "op": "UPSERT", "at": at, "cluster": "prod", "apiVersion": "v1", "kind": "Pod", "uid": uid,
        "namespace": "shop", "name": name, "created": at, "labels": {"app": "web"},
        "spec": {"nodeName": node, "containers": [{"name": "app", "image": "web:1"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at}],
        },
    })
}

fn minutes_ago(n: i64) -> String {
    jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() - 60 * n)
        .unwrap()
        .to_string()
}

fn lines(records: &[Value]) -> Vec<u8> {
    records
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
        .into_bytes()
}

#[tokio::test]
async fn the_graph_answers_as_of_a_time_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let (born, event, dead) = (minutes_ago(30), minutes_ago(20), minutes_ago(10));
    let warning = json!({
        "event_id": "e1", "event_time": event, "cluster": "prod", "severity": "WARNING",
        "reason": "Unhealthy", "count": 3, "message": "Readiness probe failed: connection refused",
        "subject": {"kind": "Pod", "uid": "u-old", "ns": "shop", "name": "web-1"},
    });
    server
        .ingest(
            &tenant,
            "resources",
            lines(&[pod("web-1", "u-old", "n1", &born)]),
        )
        .await;
    server.ingest(&tenant, "events", lines(&[warning])).await;
    let gone = json!({
        "op": "DELETE", "at": dead, "cluster": "prod", "kind": "Pod", "uid": "u-old",
        "namespace": "shop", "name": "web-1",
    });
    let stats = server.settled(&tenant, 2).await;
    assert_eq!(stats["records"]["seen"], 2);
    server
        .ingest(
            &tenant,
            "resources",
            lines(&[gone, pod("web-1", "u-new", "n2", &dead)]),
        )
        .await;
    server.settled(&tenant, 4).await;
    assert!(server.terminate());
    let server = Server::start(folder.path(), &[]);
    let then = server
        .get(
            &format!("/api/v1/graph/topology/u-old?at={}", minutes_ago(15)),
            &tenant.key,
        )
        .await;
    assert_eq!(then["edges"][0]["type"], "RUNS_ON", "{then}");
    assert_eq!(then["edges"][0]["to"]["name"], "n1");
    let now = server
        .get(
            &format!("/api/v1/graph/topology/u-old?at={}", minutes_ago(1)),
            &tenant.key,
        )
        .await;
    assert_eq!(
        now["edges"].as_array().unwrap().len(),
        0,
        "it runs nowhere after its end: {now}"
    );
    let path = format!("/api/v1/graph/topology/u-old?at={}", minutes_ago(60));
    assert_eq!(
        server
            .call(reqwest::Method::GET, &path, Some(&tenant.key), None)
            .await
            .status(),
        404,
        "no resource exists before its creation"
    );
    let old = server.get("/api/v1/resources/u-old", &tenant.key).await;
    assert!(
        old["deleted"].is_string(),
        "what ended stays reachable: {old}"
    );
    let line = server
        .get(
            "/api/v1/graph/timeline?resource=u-old&kind=event",
            &tenant.key,
        )
        .await;
    let item = &line["items"][0];
    assert_eq!(
        (
            &item["reason"],
            &item["count"],
            line["items"].as_array().unwrap().len()
        ),
        (&json!("Unhealthy"), &json!(3), 1)
    );
    let stats = server.get("/api/v1/graph/stats", &tenant.key).await;
    assert!(
        stats["stored"]["resources"].as_u64().unwrap() >= 4,
        "{stats}"
    );
}

#[tokio::test]
async fn the_timeline_is_paged() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let event = |i: i64| {
        json!({
            "event_id": format!("e{i}"), "event_time": minutes_ago(50 - i), "cluster": "prod",
            "severity": "WARNING", "reason": "BackOff",
            "message": "Back-off restarting failed container",
            "subject": {"kind": "Pod", "ns": "shop", "name": format!("web-{i}")},
        })
    };
    server
        .ingest(
            &tenant,
            "events",
            lines(&(0..25).map(event).collect::<Vec<_>>()),
        )
        .await;
    server.settled(&tenant, 25).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server
            .get(
                &format!("/api/v1/graph/timeline?kind=event&limit=10{cursor}"),
                &tenant.key,
            )
            .await;
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(
        seen,
        (0..25).map(|i| format!("prod/e{i}")).collect::<Vec<_>>(),
        "each once, in the order of time"
    );
    let response = server
        .call(
            reqwest::Method::GET,
            "/api/v1/graph/timeline?cursor=x",
            Some(&tenant.key),
            None,
        )
        .await;
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn a_lost_graph_is_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    server
        .ingest(
            &tenant,
            "resources",
            lines(&[pod("web-1", "u1", "n1", &minutes_ago(30))]),
        )
        .await;
    server.settled(&tenant, 1).await;
    server.kill();
    std::fs::remove_dir_all(folder.path().join("graph")).unwrap();
    let server = Server::start(folder.path(), &[]);
    server
        .ingest(
            &tenant,
            "resources",
            lines(&[pod("web-2", "u2", "n1", &minutes_ago(3))]),
        )
        .await;
    server.settled(&tenant, 1).await;
    let then = server
        .get(
            &format!("/api/v1/graph/topology/u1?at={}", minutes_ago(15)),
            &tenant.key,
        )
        .await;
    assert_eq!(then["edges"][0]["to"]["name"], "n1", "{then}");
}

#[tokio::test]
async fn a_restart_continues_from_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    server
        .ingest(
            &tenant,
            "resources",
            lines(&[pod("web-1", "u1", "n1", &minutes_ago(30))]),
        )
        .await;
    server.settled(&tenant, 1).await;
    assert!(server.terminate());
    let snapshots = folder.path().join("snapshots").join(&tenant.id).join("0");
    assert_eq!(
        std::fs::read_dir(&snapshots).unwrap().count(),
        1,
        "a daemon that leaves in order saves what it knows"
    );
    let restored = async |server: &Server, pods: usize| {
        server
            .ingest(
                &tenant,
                "resources",
                lines(&[pod("web-2", "u2", "n1", &minutes_ago(3))]),
            )
            .await;
        server.settled(&tenant, 1).await;
        let list = server.get("/api/v1/resources?kind=Pod", &tenant.key).await;
        assert_eq!(list["items"].as_array().unwrap().len(), pods, "{list}");
        std::fs::read_to_string(folder.path().join("daemon.log")).unwrap()
    };
    let server = Server::start(folder.path(), &[]);
    let at_once = server.get("/api/v1/resources?kind=Pod", &tenant.key).await;
    assert_eq!(
        at_once["items"].as_array().unwrap().len(),
        1,
        "the first question waits until the state is there"
    );
    assert!(restored(&server, 2).await.contains("from_snapshot=true"));
    server.kill();
    for file in std::fs::read_dir(&snapshots).unwrap() {
        std::fs::write(file.unwrap().path(), b"damaged").unwrap();
    }
    let server = Server::start(folder.path(), &[]);
    let log = restored(&server, 2).await;
    assert!(
        log.contains("snapshot unreadable") && log.contains("from_snapshot=false"),
        "{log}"
    );
}
