//! Tables of `kubectl get`.

mod namespace;
mod network;
mod pod;
mod storage;
mod workload;

#[cfg(test)]
mod tests;

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

/// How the rows of a table are read.
type Reader = fn(&Row<'_>, &Source<'_>) -> Option<Value>;

/// The headings that tell a kind, and how its rows are read. The first that match count.
const KINDS: &[(&[&str], Reader)] = &[
    (&["LAST SEEN", "REASON", "OBJECT"], of_event),
    (&["READY", "STATUS", "RESTARTS"], pod::pod),
    (&["STATUS", "ROLES", "VERSION"], pod::node),
    (&["DESIRED", "CURRENT", "UP-TO-DATE"], workload::daemon_set),
    (&["READY", "UP-TO-DATE", "AVAILABLE"], workload::deployment),
    (&["DESIRED", "CURRENT", "READY"], workload::replica_set),
    (&["COMPLETIONS", "DURATION"], workload::job),
    (&["SCHEDULE", "SUSPEND", "ACTIVE"], workload::cron_job),
    (&["REFERENCE", "TARGETS", "MAXPODS"], workload::autoscaler),
    (&["TYPE", "CLUSTER-IP", "PORT(S)"], network::service),
    (&["ADDRESSTYPE", "ENDPOINTS"], network::slice),
    (&["ENDPOINTS", "AGE"], network::endpoints),
    (&["CLASS", "HOSTS", "PORTS"], network::ingress),
    (&["RECLAIM POLICY", "STATUS", "CLAIM"], storage::volume),
    (&["STATUS", "VOLUME", "CAPACITY"], storage::claim),
    (&["PROVISIONER", "VOLUMEBINDINGMODE"], storage::class),
    (&["REQUEST", "LIMIT"], namespace::quota),
    (
        &["MIN AVAILABLE", "ALLOWED DISRUPTIONS"],
        namespace::disruption_budget,
    ),
    (&["READY", "AGE"], workload::stateful_set),
    (&["STATUS", "AGE"], namespace::namespace),
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

/// An object that a row shows some fields of.
fn object(kind: [&str; 2], row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let [version, kind] = kind;
    Some(json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": metadata(row, name(row)?, source),
        "spec": {},
        "status": {},
    }))
}

/// The same, of a kind without namespaces.
fn cluster_scoped(kind: [&str; 2], row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let namespace = None;
    object(
        kind,
        row,
        &Source {
            namespace,
            ..*source
        },
    )
}

/// A whole number in a cell.
fn number(row: &Row<'_>, name: &str) -> Option<u32> {
    row.get(name)?.parse().ok()
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
