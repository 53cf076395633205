//! How the time of an evaluation grows with what is evaluated: with twice as much it may take four
//! times as long, where each of some is compared with each of others, but not eight times.

use std::time::{Duration, Instant};

use kgrca_core::analyze::{self, Options};
use kgrca_core::model::Time;
use serde_json::{Value, json};

const AT: &str = "2026-01-01T10:00:00Z";
/// Less than this is not worth comparing.
const SHORT: Duration = Duration::from_millis(300);

fn pod(i: usize, namespace: &str) -> Value {
    json!({"cluster": "c", "at": AT, "kind": "Pod", "name": format!("p{i}"),
        "namespace": namespace, "uid": format!("u{i}"), "created": "2026-01-01T08:00:00Z",
        "labels": {"app": "a", "x": format!("y{i}")},
        "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": false,
            "restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}})
}

fn ready(mut pod: Value) -> Value {
    pod["status"] = json!({"phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}]});
    pod
}

fn policy(i: usize) -> Value {
    json!({"cluster": "c", "at": AT, "kind": "NetworkPolicy", "name": format!("np{i}"),
        "namespace": "ns", "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": format!("q{i}")}}}]}]}})
}

fn service(i: usize) -> Value {
    json!({"cluster": "c", "at": AT, "kind": "Service", "name": format!("s{i}"),
        "namespace": "ns", "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]}})
}

fn timeout(i: usize) -> Value {
    let word: String = format!("{i}").bytes().map(|b| char::from(b + 49)).collect();
    json!({"cluster": "c", "severity": "ERROR", "pod": format!("p{i}"), "namespace": "ns",
        "message": format!("dial tcp s0.ns:80: connect to s0:80 timed out {word}"), "time": AT})
}

fn pending(i: usize) -> Value {
    json!({"cluster": "c", "at": AT, "kind": "Pod", "name": format!("w{i}"),
        "namespace": "ns", "created": "2026-01-01T08:00:00Z",
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "9"}}}]},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled",
            "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}})
}

fn running(i: usize) -> Value {
    let mut pod = pod(i, "ns");
    pod["node"] = format!("n{}", i % 5).into();
    pod["spec"] = json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1m"}}}]});
    pod
}

fn node(i: usize) -> Value {
    json!({"cluster": "c", "at": AT, "kind": "Node", "name": format!("n{i}"),
        "status": {"allocatable": {"cpu": "8", "pods": "100000"}}})
}

/// Records of a kind that somebody sends many of.
type Family = fn(usize) -> Vec<Value>;

const FAMILIES: [(&str, Family); 5] = [
    ("policies and pods", |n| {
        let pods = (0..n).map(|i| pod(i, "ns"));
        (0..n).map(policy).chain(pods).collect()
    }),
    ("policies and calls that time out", |n| {
        let pods = (0..n).map(|i| pod(i, "ns"));
        let calls = (0..n).map(timeout).chain([service(0)]);
        (0..n).map(policy).chain(pods).chain(calls).collect()
    }),
    ("policies, Services and pods", |n| {
        let pods = (0..n).map(|i| ready(pod(i, "ns")));
        let policies = (0..n).map(policy);
        policies.chain((0..n).map(service)).chain(pods).collect()
    }),
    ("incidents", |n| {
        (0..n).map(|i| pod(i, &format!("n{i}"))).collect()
    }),
    ("pods that wait and pods that run", |n| {
        let pods = (0..n).map(running).chain((0..n).map(pending));
        (0..5).map(node).chain(pods).collect()
    }),
];

fn time(family: Family, n: usize) -> Duration {
    let lines: Vec<String> = family(n).iter().map(Value::to_string).collect();
    let input = lines.join("\n");
    let options = Options {
        now: Time::parse(AT).unwrap(),
        ..Options::default()
    };
    let run = || {
        let began = Instant::now();
        let analysis = analyze::analyze("growth", input.as_bytes(), &options);
        assert_eq!(analysis.records.rejected, 0, "{:?}", analysis.rejects);
        began.elapsed()
    };
    // Other programs take some of the time: the shortest run counts.
    run().min(run())
}

#[test]
fn no_evaluation_is_cubic() {
    for (name, family) in FAMILIES {
        let (one, two) = (time(family, 100), time(family, 200));
        assert!(
            two < SHORT || two < one * 6,
            "{name}: {one:?}, then {two:?}"
        );
    }
}
