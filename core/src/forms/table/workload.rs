//! Workloads and what scales them.

use serde_json::{Value, json};

use super::super::Source;
use super::super::columns::Row;
use super::{number, object};

/// The two numbers of a cell such as `1/3`.
fn of_all(row: &Row<'_>, name: &str) -> Option<(u32, u32)> {
    let (some, all) = row.get(name)?.split_once('/')?;
    Some((some.parse().ok()?, all.parse().ok()?))
}

pub(super) fn deployment(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let (ready, desired) = of_all(row, "READY")?;
    let available = number(row, "AVAILABLE")?;
    let mut deployment = object(["apps/v1", "Deployment"], row, source)?;
    deployment["spec"] = json!({ "replicas": desired });
    deployment["status"] = json!({
        "replicas": desired,
        "readyReplicas": ready,
        "updatedReplicas": number(row, "UP-TO-DATE"),
        "availableReplicas": available,
        "unavailableReplicas": desired.saturating_sub(available),
    });
    Some(deployment)
}

pub(super) fn stateful_set(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let (ready, desired) = of_all(row, "READY")?;
    let mut set = object(["apps/v1", "StatefulSet"], row, source)?;
    set["spec"] = json!({ "replicas": desired });
    set["status"] = json!({ "readyReplicas": ready });
    Some(set)
}

pub(super) fn replica_set(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut set = object(["apps/v1", "ReplicaSet"], row, source)?;
    set["spec"] = json!({ "replicas": number(row, "DESIRED")? });
    set["status"] = json!({
        "replicas": number(row, "CURRENT")?,
        "readyReplicas": number(row, "READY")?,
    });
    Some(set)
}

pub(super) fn daemon_set(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let (desired, available) = (number(row, "DESIRED")?, number(row, "AVAILABLE")?);
    let mut set = object(["apps/v1", "DaemonSet"], row, source)?;
    set["status"] = json!({
        "desiredNumberScheduled": desired,
        "currentNumberScheduled": number(row, "CURRENT")?,
        "numberReady": number(row, "READY")?,
        "updatedNumberScheduled": number(row, "UP-TO-DATE")?,
        "numberAvailable": available,
        "numberUnavailable": desired.saturating_sub(available),
    });
    Some(set)
}

pub(super) fn job(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    // Of a Job with parallel pods, `0/1 of 3`.
    let completions = row.get("COMPLETIONS")?.split(' ').next()?;
    let (done, wanted) = completions.split_once('/')?;
    let mut job = object(["batch/v1", "Job"], row, source)?;
    job["spec"] = json!({ "completions": wanted.parse::<u32>().ok()? });
    job["status"] = json!({ "succeeded": done.parse::<u32>().ok()? });
    let condition = match row.get("STATUS") {
        Some(status @ ("Failed" | "Suspended")) => status,
        Some("Complete") => "Complete",
        _ => return Some(job),
    };
    job["status"]["conditions"] = json!([{ "type": condition, "status": "True" }]);
    Some(job)
}

pub(super) fn cron_job(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut job = object(["batch/v1", "CronJob"], row, source)?;
    job["spec"] = json!({
        "schedule": row.get("SCHEDULE")?,
        "suspend": row.get("SUSPEND").map(|text| text == "True"),
    });
    Some(job)
}

pub(super) fn autoscaler(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let (kind, name) = row.get("REFERENCE")?.split_once('/')?;
    let mut autoscaler = object(["autoscaling/v2", "HorizontalPodAutoscaler"], row, source)?;
    autoscaler["spec"] = json!({
        "scaleTargetRef": { "kind": kind, "name": name },
        "minReplicas": number(row, "MINPODS"),
        "maxReplicas": number(row, "MAXPODS")?,
    });
    autoscaler["status"] = json!({ "currentReplicas": number(row, "REPLICAS") });
    Some(autoscaler)
}
