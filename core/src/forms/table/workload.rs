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
    let replicas = number(row, "REPLICAS");
    let metrics = metrics(row.get("TARGETS").unwrap_or_default());
    autoscaler["spec"] = json!({
        "scaleTargetRef": { "kind": kind, "name": name },
        "minReplicas": number(row, "MINPODS"),
        "maxReplicas": number(row, "MAXPODS")?,
        "metrics": metrics.iter().map(wanted).collect::<Vec<_>>(),
    });
    autoscaler["status"] = json!({
        "currentReplicas": replicas,
        "currentMetrics": metrics.iter().map(current).collect::<Vec<_>>(),
    });
    // An autoscaler of a workload that is scaled to zero does nothing, and asks for no metrics.
    let lacks = |metric: &Metric<'_>| metric.current == UNKNOWN;
    if replicas != Some(0) && !metrics.is_empty() && metrics.iter().all(lacks) {
        autoscaler["status"]["conditions"] = json!([{
            "type": "ScalingActive",
            "status": "False",
            "message": "the current value of its metrics is unknown",
            "lastTransitionTime": autoscaler["metadata"]["creationTimestamp"],
        }]);
    }
    Some(autoscaler)
}

/// What `kubectl` writes for a metric without a current value.
const UNKNOWN: &str = "<unknown>";

/// A metric of an autoscaler, with its value now and the one that is wanted.
struct Metric<'a> {
    name: &'a str,
    current: &'a str,
    target: &'a str,
}

/// The metrics of a cell such as `cpu: 90%/70%, memory: <unknown>/80%`; before Kubernetes 1.31
/// without names.
fn metrics(cell: &str) -> Vec<Metric<'_>> {
    let parts = cell.split(" + ").next().unwrap_or_default().split(", ");
    let metric = |part| {
        let part: &str = part;
        let (name, values) = part.split_once(": ").unwrap_or(("cpu", part));
        let (current, target) = values.split_once('/')?;
        Some(Metric {
            name,
            current,
            target,
        })
    };
    parts.filter_map(metric).collect()
}

fn wanted(metric: &Metric<'_>) -> Value {
    of_metric(metric.name, "target", metric.target)
}

fn current(metric: &Metric<'_>) -> Value {
    of_metric(metric.name, "current", metric.current)
}

/// A value of a metric; only shares in percent have a load.
fn of_metric(name: &str, field: &str, text: &str) -> Value {
    let share = text.strip_suffix('%').and_then(|n| n.parse::<u32>().ok());
    json!({ "resource": { "name": name, field: { "averageUtilization": share } } })
}
