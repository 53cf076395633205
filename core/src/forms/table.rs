//! Tables of `kubectl get`.

use serde_json::{Value, json};

use super::age::{self, Seen};
use super::columns::{Columns, Row};
use super::describe::event;
use super::{Found, Source, Unread};
use crate::model::Time;

/// Whether a text begins with the headings of a table.
pub(super) fn is_table(text: &str) -> bool {
    head(text).is_some()
}

/// Whether a line holds the headings of a table.
pub(super) fn is_head(line: &str) -> bool {
    head(line).is_some()
}

fn head(text: &str) -> Option<Columns> {
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    let is_heading = |c: char| !c.is_lowercase();
    let starts = ["NAMESPACE ", "NAME ", "LAST SEEN "];
    let begins = starts.iter().any(|s| line.starts_with(s)) && line.chars().all(is_heading);
    Columns::of(line).filter(|_| begins)
}

/// A pod has fewer containers; more is another table, or nonsense.
const MAX_CONTAINERS: u32 = 500;

/// How the rows of a table are read.
type Reader = fn(&Row<'_>, &Source<'_>) -> Option<Value>;

/// The headings that tell a kind, and how its rows are read.
const KINDS: &[(&[&str], Reader)] = &[
    (&["LAST SEEN", "REASON", "OBJECT"], of_event),
    (&["READY", "STATUS", "RESTARTS"], pod),
    (&["STATUS", "ROLES", "VERSION"], node),
    (&["READY", "UP-TO-DATE", "AVAILABLE"], deployment),
    (&["STATUS", "VOLUME", "CAPACITY", "STORAGECLASS"], claim),
];

pub(super) fn read(text: &str, source: &Source<'_>) -> Result<Found, Unread> {
    let mut found = Found::default();
    let mut reading: Option<(Columns, Option<Reader>)> = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(columns) = head(line) {
            let kind = KINDS
                .iter()
                .find(|(all, _)| all.iter().all(|name| columns.has(name)));
            reading = Some((columns, kind.map(|(_, reader)| *reader)));
        } else if let Some((columns, Some(reader))) = &reading {
            match reader(&columns.row(line), source) {
                Some(value) => found.push(&value),
                None => found.left_out += 1,
            }
        } else {
            found.left_out += 1;
        }
    }
    if found.json.is_empty() {
        return Err(Unread {
            looks_like: "a table of `kubectl get` that says too little of these objects".into(),
            hint: "write all of them with `kubectl get … -o json`".into(),
        });
    }
    Ok(found)
}

/// The name of a row's object; of several kinds at once, `kubectl` writes `pod/api-1`.
fn name<'r>(row: &'r Row<'_>) -> Option<&'r str> {
    row.get("NAME")?.rsplit('/').next()
}

fn metadata(row: &Row<'_>, name: &str, source: &Source<'_>) -> Value {
    let mut meta = json!({ "name": name });
    if let Some(namespace) = row.get("NAMESPACE").or(source.namespace) {
        meta["namespace"] = namespace.into();
    }
    if let Some(created) = created(row, source.taken_at) {
        meta["creationTimestamp"] = created.to_string().into();
    }
    if let Some(labels) = row.get("LABELS") {
        let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
        for (key, value) in pairs {
            meta["labels"][key] = value.into();
        }
    }
    meta
}

fn created(row: &Row<'_>, taken_at: Time) -> Option<Time> {
    age::before(taken_at, row.get("AGE")?)
}

fn of_event(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let (kind, name) = row.get("OBJECT")?.split_once('/')?;
    // `pod`, `replicaset`, or with its group: `certificate.cert-manager.io`
    let kind = kind.split('.').next()?;
    let namespace = row.get("NAMESPACE").or(source.namespace);
    let about = json!({ "kind": kind, "namespace": namespace, "name": name });
    let seen = Seen::of(row.get("LAST SEEN")?, source.taken_at);
    let texts = [row.get("TYPE"), row.get("SOURCE"), row.get("MESSAGE")];
    Some(event(&about, row.get("REASON")?, &seen, texts))
}

/// A pod of which the table shows what `kubectl` made of its containers' states.
fn pod(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
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
                "name": format!("container {}", i + 1),
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

fn node(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
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

fn deployment(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let (ready, desired) = row.get("READY")?.split_once('/')?;
    let number = |text: &str| text.parse::<u32>().ok();
    let (ready, desired) = (number(ready)?, number(desired)?);
    let available = row.get("AVAILABLE").and_then(number)?;
    Some(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(row, name(row)?, source),
        "spec": { "replicas": desired },
        "status": {
            "replicas": desired,
            "readyReplicas": ready,
            "updatedReplicas": row.get("UP-TO-DATE").and_then(number),
            "availableReplicas": available,
            "unavailableReplicas": desired.saturating_sub(available),
        },
    }))
}

fn claim(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut spec = json!({});
    for (name, field) in [
        ("STORAGECLASS", "storageClassName"),
        ("VOLUME", "volumeName"),
    ] {
        if let Some(text) = row.get(name) {
            spec[field] = text.into();
        }
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(row, name(row)?, source),
        "spec": spec,
        "status": { "phase": row.get("STATUS")? },
    }))
}
