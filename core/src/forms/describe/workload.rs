//! Workloads.

use serde_json::{Value, json};

use super::super::outline::Block;
use super::{Described, pairs, pod, time};

/// Whatever has a pod template: Deployments and what else makes pods.
pub(super) fn object(described: &Described<'_, '_>) -> Option<Value> {
    let template = described.block("Pod Template")?;
    // A CronJob has the template of its Jobs.
    if described.block("Concurrency Policy").is_some() {
        return None;
    }
    let has = |key| described.block(key).is_some();
    let (api_version, kind) = if has("Parallelism") {
        ("batch/v1", "Job")
    } else if has("Desired Number of Nodes Scheduled") {
        ("apps/v1", "DaemonSet")
    } else if has("StrategyType") || has("OldReplicaSets") {
        ("apps/v1", "Deployment")
    } else if has("Update Strategy") || has("Volume Claims") {
        ("apps/v1", "StatefulSet")
    } else if has("Replicas") {
        ("apps/v1", "ReplicaSet")
    } else {
        return None;
    };
    let mut spec = json!({ "template": { "spec": pod::template(&template.children) } });
    if let Some(labels) = template.child("Labels") {
        spec["template"]["metadata"]["labels"] = pairs(labels, &['=']);
    }
    if let Some(selector) = described.block("Selector") {
        spec["selector"]["matchLabels"] = selector_pairs(selector);
    }
    let mut status = json!({ "conditions": described.conditions() });
    match kind {
        "Job" => job(described, &mut spec, &mut status),
        "DaemonSet" => daemon_set(described, &mut status),
        _ => replicas(
            described.get("Replicas").unwrap_or_default(),
            &mut spec,
            &mut status,
        ),
    }
    Some(json!({
        "apiVersion": api_version, "kind": kind, "metadata": {}, "spec": spec, "status": status,
    }))
}

/// `app=api,tier=web`
pub(super) fn selector_pairs(block: &Block<'_>) -> Value {
    let pairs = block.values().flat_map(|line| line.split(','));
    let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// `3 desired | 3 updated | 3 total | 1 available | 2 unavailable`, or `2 current / 3 desired`
fn replicas(text: &str, spec: &mut Value, status: &mut Value) {
    for part in text.split(['|', '/']) {
        let Some((number, what)) = part.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u32>() else {
            continue;
        };
        match what.trim() {
            "desired" => spec["replicas"] = number.into(),
            "updated" => status["updatedReplicas"] = number.into(),
            "total" | "current" => status["replicas"] = number.into(),
            "available" => {
                status["availableReplicas"] = number.into();
                status["readyReplicas"] = number.into();
            }
            "unavailable" => status["unavailableReplicas"] = number.into(),
            _ => {}
        }
    }
}

fn daemon_set(described: &Described<'_, '_>, status: &mut Value) {
    for (key, field) in [
        (
            "Desired Number of Nodes Scheduled",
            "desiredNumberScheduled",
        ),
        (
            "Current Number of Nodes Scheduled",
            "currentNumberScheduled",
        ),
        (
            "Number of Nodes Scheduled with Up-to-date Pods",
            "updatedNumberScheduled",
        ),
        (
            "Number of Nodes Scheduled with Available Pods",
            "numberAvailable",
        ),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        if let Some(number) = described.get(key).and_then(|n| n.parse::<u32>().ok()) {
            status[field] = number.into();
        }
    }
    if let Some(ready) = status.get("numberAvailable").cloned() {
        status["numberReady"] = ready;
    }
}

fn job(described: &Described<'_, '_>, spec: &mut Value, status: &mut Value) {
    for (key, field) in [
        ("Parallelism", "parallelism"),
        ("Completions", "completions"),
        ("Backoff Limit", "backoffLimit"),
    ] {
        if let Some(number) = described.get(key).and_then(|n| n.parse::<u32>().ok()) {
            spec[field] = number.into();
        }
    }
    // `1 Active / 0 Succeeded / 2 Failed`
    for part in described
        .get("Pods Statuses")
        .unwrap_or_default()
        .split('/')
    {
        let mut words = part.split_whitespace();
        let number = words.next().and_then(|n| n.parse::<u32>().ok());
        let field = match words.next() {
            Some("Active") => "active",
            Some("Succeeded") => "succeeded",
            Some("Failed") => "failed",
            _ => continue,
        };
        if let Some(number) = number {
            status[field] = number.into();
        }
    }
    if let Some(start) = described.get("Start Time").and_then(time) {
        status["startTime"] = start.to_string().into();
    }
}
