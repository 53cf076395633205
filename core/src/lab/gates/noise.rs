//! What else there is in a cluster: records that have nothing to do with a case.

use serde_json::{Value, json};

use crate::model::Time;
use crate::model::time::{DAY, MINUTE, SECOND};

const HEALTHY: usize = 100;
const RECORDS: usize = 10_000;
const NAMESPACE: &str = "unrelated";
/// How long the broken workloads have been broken.
const BROKEN_FOR: i64 = 2 * DAY;

/// How a workload that has nothing to do with the case is broken: the reason for which its
/// container waits, that of its last exit, and the event that repeats.
struct Breakage {
    name: &'static str,
    waiting: &'static str,
    exit: Option<(&'static str, i64)>,
    event: &'static str,
    message: &'static str,
}

const BROKEN: [Breakage; 5] = [
    Breakage {
        name: "old-report",
        waiting: "CrashLoopBackOff",
        exit: Some(("Error", 1)),
        event: "BackOff",
        message: "Back-off restarting failed container main in pod",
    },
    Breakage {
        name: "old-import",
        waiting: "CrashLoopBackOff",
        exit: Some(("OOMKilled", 137)),
        event: "BackOff",
        message: "Back-off restarting failed container main in pod",
    },
    Breakage {
        name: "old-preview",
        waiting: "ImagePullBackOff",
        exit: None,
        event: "Failed",
        message: "Failed to pull image \"registry.internal/preview:gone\": rpc error: code = \
                  NotFound desc = failed to pull and unpack image: not found",
    },
    Breakage {
        name: "old-settings",
        waiting: "CreateContainerConfigError",
        exit: None,
        event: "Failed",
        message: "Error: configmap \"settings\" not found",
    },
    Breakage {
        name: "old-tool",
        waiting: "RunContainerError",
        exit: None,
        event: "Failed",
        message: "Error: failed to create containerd task: exec: \"/tool\": stat /tool: no such \
                  file or directory: unknown",
    },
];

/// The lines of a case, among 10,000 records about healthy workloads and, where the case itself is
/// not healthy, about five broken ones.
pub(super) fn around(bytes: &[u8], is_healthy: bool, now: Time) -> Vec<u8> {
    let mut out = bytes.trim_ascii_end().to_vec();
    let mut add = |topic: &str, value: Value| {
        out.push(b'\n');
        out.extend(json!({"topic": topic, "value": value}).to_string().bytes());
    };
    for i in 0..HEALTHY {
        let name = format!("quiet-{i}");
        let running = json!({"running": {"startedAt": before(now, DAY)}});
        workload(&name, true, &running, &json!({}), now, &mut add);
    }
    for broken in BROKEN.iter().filter(|_| !is_healthy) {
        let waiting = json!({"waiting": {"reason": broken.waiting, "message": broken.message}});
        let last = match broken.exit {
            Some((reason, code)) => json!({"terminated": {
                "reason": reason, "exitCode": code, "startedAt": before(now, 5 * MINUTE),
                "finishedAt": before(now, 5 * MINUTE - 2 * SECOND),
            }}),
            None => json!({}),
        };
        workload(broken.name, false, &waiting, &last, now, &mut add);
        let event = event(broken.name, "Warning", broken.event, broken.message);
        add("events.normalized", with_times(event, now, BROKEN_FOR, 900));
    }
    for i in 0..RECORDS {
        let ago = 50 * MINUTE * i64::try_from(i % 997).unwrap_or_default() / 997;
        let pod = format!("quiet-{}", i % HEALTHY);
        if i % 4 == 0 {
            let event = event(&pod, "Normal", "Pulled", "Container image already present");
            add("events.normalized", with_times(event, now.plus(-ago), 0, 1));
        } else {
            add(
                "logs.normalized",
                json!({
                    "namespace": NAMESPACE, "pod": pod_name(&pod), "container": "main",
                    "time": before(now, ago), "severity": "INFO",
                    "message": format!("request {i} served in {} ms", i % 83),
                }),
            );
        }
    }
    out
}

fn before(now: Time, micros: i64) -> String {
    now.plus(-micros).to_string()
}

fn pod_name(workload: &str) -> String {
    format!("{workload}-6d5f7c9b88-x2v9q")
}

/// A Deployment with its ReplicaSet and one pod.
fn workload(
    name: &str,
    is_ready: bool,
    state: &Value,
    last: &Value,
    now: Time,
    add: &mut impl FnMut(&str, Value),
) {
    let replica_set = format!("{name}-6d5f7c9b88");
    let ready = if is_ready { "True" } else { "False" };
    let labels = json!({"app": name});
    let container = json!({"name": "main", "image": format!("registry.internal/{name}:1")});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    let meta = |name: &str, owner: Option<(&str, &str)>| {
        let owners: Vec<Value> = owner
            .iter()
            .map(|(kind, owner)| {
                json!({"apiVersion": "apps/v1", "kind": kind, "name": owner,
                       "uid": format!("uid-{owner}"), "controller": true})
            })
            .collect();
        json!({"name": name, "namespace": NAMESPACE, "uid": format!("uid-{name}"),
               "labels": labels, "creationTimestamp": before(now, BROKEN_FOR + DAY),
               "generation": 1, "ownerReferences": owners})
    };
    let count = u8::from(is_ready);
    let spec = json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": template});
    let status = json!({"observedGeneration": 1, "replicas": 1, "readyReplicas": count,
                        "availableReplicas": count, "updatedReplicas": 1});
    let owned = [
        (
            "Deployment",
            "apps/v1",
            meta(name, None),
            spec.clone(),
            status.clone(),
        ),
        (
            "ReplicaSet",
            "apps/v1",
            meta(&replica_set, Some(("Deployment", name))),
            spec,
            status,
        ),
        (
            "Pod",
            "v1",
            meta(&pod_name(name), Some(("ReplicaSet", &replica_set))),
            json!({"containers": [container]}),
            json!({
                "phase": "Running",
                "startTime": before(now, BROKEN_FOR),
                "conditions": [{"type": "Ready", "status": ready,
                                "lastTransitionTime": before(now, BROKEN_FOR)}],
                "containerStatuses": [{"name": "main", "ready": is_ready, "state": state,
                                       "lastState": last, "restartCount": 0,
                                       "image": format!("registry.internal/{name}:1")}],
            }),
        ),
    ];
    for (kind, version, metadata, spec, status) in owned {
        add(
            "state.k8s.resource",
            json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec,
                   "status": status}),
        );
    }
}

fn event(workload: &str, severity: &str, reason: &str, message: &str) -> Value {
    let pod = pod_name(workload);
    json!({
        "apiVersion": "v1", "kind": "Event", "type": severity, "reason": reason,
        "message": message, "source": {"component": "kubelet"},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": NAMESPACE,
                           "name": pod, "uid": format!("uid-{pod}")},
    })
}

fn with_times(mut event: Value, last: Time, lasted: i64, count: u32) -> Value {
    let name = format!("{}.{:x}", event["involvedObject"]["name"], last.0);
    event["metadata"] = json!({"name": name, "namespace": NAMESPACE, "uid": name});
    event["firstTimestamp"] = before(last, lasted).into();
    event["lastTimestamp"] = last.to_string().into();
    event["count"] = count.into();
    event
}
