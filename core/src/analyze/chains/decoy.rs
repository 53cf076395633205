//! Harmless trouble beside an incident.

use serde_json::{Value, json};

use super::Maker;
use super::world::{Workload, alert, log, object};

/// Some of these, chosen by chance.
pub(super) fn some(maker: &mut Maker) -> Vec<Value> {
    let mut all = Vec::new();
    for decoy in [rolled_out, crashes_elsewhere, failed_job, complains] {
        let name = maker.name();
        if maker.dice.below(2) == 1 {
            all.extend(decoy(&name, &maker.nodes));
        }
    }
    all
}

/// A healthy workload that was rolled out just before.
fn rolled_out(name: &str, nodes: &[String]) -> Vec<Value> {
    let mut decoy = Workload::new("shop", name, 8080);
    decoy.since = "2026-03-10T11:31:00Z";
    decoy.records(nodes)
}

/// A workload in another namespace that has crashed for days.
fn crashes_elsewhere(name: &str, nodes: &[String]) -> Vec<Value> {
    let mut decoy = Workload::new("tools", name, 8080);
    decoy.replicas = 1;
    decoy.status = Some(json!({"ready": false, "restartCount": 812,
        "state": {"waiting": {"reason": "CrashLoopBackOff",
            "message": "back-off 5m0s restarting failed container=main"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error",
            "startedAt": "2026-03-10T11:54:00Z", "finishedAt": "2026-03-10T11:54:03Z"}}}));
    let mut all = decoy.records(nodes);
    for record in &mut all {
        let conditions = record["value"]["status"]["conditions"].as_array_mut();
        for condition in conditions.into_iter().flatten() {
            condition["lastTransitionTime"] = "2026-03-07T08:00:00Z".into();
        }
    }
    let mut events = decoy.events("BackOff", "Back-off restarting failed container main", 9000);
    for event in &mut events {
        event["value"]["first_time"] = "2026-03-07T08:00:00Z".into();
    }
    all.extend(events);
    all
}

/// A Job that failed two days ago, with its alert.
fn failed_job(name: &str, _: &[String]) -> Vec<Value> {
    let job = object(json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"namespace": "tools", "name": name, "uid": format!("j-{name}"),
            "creationTimestamp": "2026-03-08T02:00:00Z"},
        "spec": {"backoffLimit": 2},
        "status": {"failed": 3, "conditions": [{"type": "Failed", "status": "True",
            "reason": "BackoffLimitExceeded", "lastTransitionTime": "2026-03-08T02:05:00Z",
            "message": "Job has reached the specified backoff limit"}]}}));
    let labels = json!({"namespace": "tools", "job_name": name});
    let at = "2026-03-08T02:20:00Z";
    vec![
        job,
        alert(
            "KubeJobFailed",
            "warning",
            labels,
            "Job failed to complete",
            at,
        ),
    ]
}

/// A workload that writes errors of no consequence now and then, as it has done for long.
fn complains(name: &str, nodes: &[String]) -> Vec<Value> {
    let decoy = Workload::new("shop", name, 8080);
    let mut all = decoy.records(nodes);
    let mut line = log(
        "shop",
        &decoy.pod(0),
        "ERROR",
        "open /usr/share/favicon.ico: not found",
    );
    line["value"]["first_time"] = "2026-03-10T05:00:00Z".into();
    line["value"]["count"] = 12.into();
    all.push(line);
    all
}
