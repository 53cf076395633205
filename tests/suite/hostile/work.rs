//! What evaluating a tenant's clusters and analyzing its records may take: the daemon can be
//! stopped, and tenants removed, whatever they sent.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Watchdog;
use super::stores::start;

/// Pods that wait for a node, and nodes whose taints they do not tolerate: each pod is compared
/// with each node.
pub(super) fn unplaceable(count: usize) -> Vec<u8> {
    let tolerations: Value = (0..50)
        .map(|i| json!({"key": format!("k{i}"), "operator": "Equal", "value": "z"}))
        .collect();
    let taints: Value = (0..50)
        .rev()
        .map(|i| json!({"key": format!("k{i}"), "value": "y", "effect": "NoSchedule"}))
        .collect();
    let at = jiff::Timestamp::now().to_string();
    let node = |i: usize| {
        json!({"at": at, "cluster": "prod", "kind": "Node", "name": format!("n{i}"),
            "spec": {"taints": taints}, "status": {"allocatable": {"cpu": "8"}}})
    };
    let pod = |i: usize| {
        json!({"at": at, "cluster": "prod", "kind": "Pod", "name": format!("p{i}"),
            "namespace": format!("n{i}"), "created": "2020-01-01T00:00:00Z",
            "spec": {"tolerations": tolerations, "containers": [{"name": "c"}]},
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled",
                "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}})
    };
    let all = (0..count).map(node).chain((0..count).map(pod));
    let all: Vec<String> = all.map(|record| record.to_string()).collect();
    all.join("\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_with_a_long_evaluation_stops_in_time_and_goes_on_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (tenant, victim) = (
        server.tenant("Attacker", "free").await,
        server.tenant("Victim", "pro").await,
    );
    let watchdog = Watchdog::start(&server, &victim).await;
    server.ingest(&tenant, "resources", unplaceable(2000)).await;
    let before = processor_time(server.id());
    while processor_time(server.id()) < before + 300 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    watchdog.check().await;
    let began = Instant::now();
    assert!(server.terminate());
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    let server = start(folder.path(), &[]);
    let stats = server.settled(&tenant, 4000).await;
    assert_eq!(stats["clusters"][0]["resources"], 4000, "{stats}");
    let began = Instant::now();
    let path = format!("/api/v1/admin/clients/{}?grace_days=0", tenant.id);
    let answer = server
        .call(Method::DELETE, &path, Some(&server.operator), None)
        .await;
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

/// What a process has used of the processors, in hundredths of a second.
fn processor_time(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
    fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
}

fn failing(count: usize) -> Vec<u8> {
    let pod = |i: usize| {
        let pod = json!({"cluster": "c", "kind": "Pod", "name": format!("p{i}"),
            "namespace": format!("n{i}"), "status": {"phase": "Failed"}});
        pod.to_string()
    };
    (0..count)
        .map(pod)
        .collect::<Vec<_>>()
        .join("\n")
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_analyzed_is_limited_for_each_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (attacker, victim) = (
        server.tenant("Attacker", "pro").await,
        server.tenant("Victim", "pro").await,
    );
    let path = format!("/api/v1/admin/clients/{}", attacker.id);
    let limits = json!({"limits": {"live_objects": 10_000, "rca_hour": 1_000_000}}).to_string();
    let body = Some(limits.into_bytes());
    let patched = server.call(Method::PATCH, &path, Some(&server.operator), body);
    assert_eq!(patched.await.status(), 200);
    let watchdog = Watchdog::start(&server, &victim).await;
    let analyze = async |body: Vec<u8>| {
        let path = "/api/v1/rca/analyze";
        let answer = server.call(Method::POST, path, Some(&attacker.key), Some(body));
        let answer = answer.await;
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let large = StatusCode::PAYLOAD_TOO_LARGE;
    let (bytes, records) = (failing(150_000), failing(60_000));
    for (body, limit) in [
        (bytes, "8388608"),
        (records, "50000"),
        (failing(15_000), "10000"),
    ] {
        let (status, answer) = analyze(body).await;
        assert_eq!(status, large, "{answer}");
        assert!(answer.to_string().contains(limit), "{answer}");
    }
    // One at a time.
    let refused = async {
        loop {
            let (status, answer) = analyze(failing(10)).await;
            if status == StatusCode::TOO_MANY_REQUESTS {
                return answer;
            }
        }
    };
    let long = async {
        loop {
            let (status, answer) = analyze(unplaceable(1000)).await;
            // A short one may be first.
            if status != StatusCode::TOO_MANY_REQUESTS {
                return (status, answer);
            }
        }
    };
    let (first, second) = tokio::join!(long, refused);
    assert_eq!(first.0, StatusCode::OK, "{}", first.1);
    assert!(second.to_string().contains("analyses"), "{second}");
    let (status, answer) = analyze(failing(10)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    watchdog.check().await;
    assert!(server.terminate());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_are_bounded_by_the_plan_whatever_makes_them_large() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (attacker, victim) = (
        server.tenant("Attacker", "free").await,
        server.tenant("Victim", "pro").await,
    );
    let watchdog = Watchdog::start(&server, &victim).await;
    let text = "x".repeat(900_000);
    let pod = |i: usize, field: &str| {
        let mut pod = json!({"cluster": "prod", "kind": "Pod", "namespace": "n",
            "name": format!("{field}-{i}")});
        match field {
            "label" => pod["labels"] = json!({"app": text}),
            "message" => {
                pod["status"] = json!({"phase": "Failed",
                    "conditions": [{"type": "Ready", "status": "False", "message": text}]});
            }
            "image" => pod["spec"] = json!({"containers": [{"name": "c", "image": text}]}),
            _ => pod["spec"] = json!({"containers": [{"name": "c", "command": [text]}]}),
        }
        pod.to_string()
    };
    let mut rejected = 0;
    for field in ["label", "message", "image", "command"] {
        for batch in 0..3 {
            let pods: Vec<String> = (0..20).map(|i| pod(batch * 20 + i, field)).collect();
            let body = pods.join("\n").into_bytes();
            let answer = server.ingest(&attacker, "resources", body).await;
            rejected += answer["rejected_count"].as_u64().unwrap();
        }
    }
    let event = |i: usize| {
        let event = json!({"cluster": "prod", "type": "Warning", "reason": "Failed",
            "message": format!("{i} {text}"), "involvedObject": {"name": format!("e{i}")}});
        event.to_string()
    };
    for batch in 0..3 {
        let events: Vec<String> = (0..20).map(|i| event(batch * 20 + i)).collect();
        server
            .ingest(&attacker, "events", events.join("\n").into_bytes())
            .await;
    }
    assert!(rejected >= 60, "{rejected} of 240");
    watchdog.check().await;
}
