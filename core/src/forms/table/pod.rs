//! Pods and nodes.

use serde_json::{Value, json};

use super::super::Source;
use super::super::columns::Row;
use super::{metadata, name};

/// A pod has fewer containers; more is another table, or nonsense.
const MAX_CONTAINERS: u32 = 500;

/// A pod of which the table shows what `kubectl` made of its containers' states.
pub(super) fn pod(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut metadata = metadata(row, name(row)?, source);
    let (status, ready) = (row.get("STATUS")?, row.get("READY")?);
    let (ready, all) = ready.split_once('/')?;
    let (ready, all): (u32, u32) = (ready.parse().ok()?, all.parse().ok()?);
    if all > MAX_CONTAINERS || ready > all {
        return None;
    }
    let restarts = row
        .get("RESTARTS")
        .and_then(|r| r.split(' ').next()?.parse::<u32>().ok());
    let phase = match status {
        "Running" | "Pending" | "Failed" | "Succeeded" | "Unknown" => status,
        "Completed" => "Succeeded",
        "Evicted" | "Error" | "NodeLost" | "UnexpectedAdmissionError" => "Failed",
        "Terminating" => {
            metadata["deletionTimestamp"] = source.taken_at.to_string().into();
            "Running"
        }
        "CrashLoopBackOff" | "NotReady" | "OOMKilled" => "Running",
        _ => "Pending",
    };
    let mut of_pod = json!({ "phase": phase });
    if phase == "Failed" && status != "Failed" && status != "Error" {
        of_pod["reason"] = status.into();
    }
    let waits = status.strip_prefix("Init:").unwrap_or(status);
    let is_waiting = waits.ends_with("BackOff")
        || waits.starts_with("Err") && waits != "Error"
        || waits.ends_with("Error") && waits != "Error"
        || waits == "ContainerCreating"
        || waits == "PodInitializing"
        || waits == "InvalidImageName";
    let state = if is_waiting {
        json!({ "waiting": { "reason": waits } })
    } else if matches!(waits, "OOMKilled" | "Error") {
        let code = if waits == "OOMKilled" { 137 } else { 1 };
        json!({ "terminated": { "reason": waits, "exitCode": code } })
    } else {
        json!({ "running": {} })
    };
    // The table does not name containers.
    let containers: Vec<Value> = (0..all)
        .map(|i| {
            let is_ready = i < ready;
            let own = if is_ready {
                json!({ "running": {} })
            } else {
                state.clone()
            };
            let restarts = if is_ready { None } else { restarts };
            json!({
                "name": format!("#{}", i + 1),
                "ready": is_ready,
                "restartCount": restarts.unwrap_or(0),
                "state": own,
            })
        })
        .collect();
    let field = if status.starts_with("Init:") {
        "initContainerStatuses"
    } else {
        "containerStatuses"
    };
    if phase != "Pending" || is_waiting {
        of_pod[field] = containers.into();
    }
    let is_ready = if ready == all && phase == "Running" {
        "True"
    } else {
        "False"
    };
    of_pod["conditions"] = json!([{ "type": "Ready", "status": is_ready }]);
    // Only a pod that waits for a node is `Pending` here; the table may not show which it has.
    if status != "Pending" && phase == "Pending" {
        of_pod["phase"] = "Running".into();
    }
    let mut spec = json!({});
    if let Some(node) = row.get("NODE") {
        spec["nodeName"] = node.into();
    }
    if let Some(ip) = row.get("IP") {
        of_pod["podIP"] = ip.into();
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": of_pod,
    }))
}

pub(super) fn node(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let status = row.get("STATUS")?;
    let has = |word| status.split(',').any(|s| s == word);
    // A table does not tell a kubelet that is silent from one that reports trouble.
    let ready = if has("Ready") { "True" } else { "False" };
    let mut spec = json!({});
    if has("SchedulingDisabled") {
        spec["unschedulable"] = true.into();
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata(row, name(row)?, &Source { namespace: None, ..*source }),
        "spec": spec,
        "status": { "conditions": [{ "type": "Ready", "status": ready }] },
    }))
}
