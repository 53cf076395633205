//! Namespaces, and what limits what is in them.

use serde_json::{Map, Value, json};

use super::super::Source;
use super::super::columns::Row;
use super::{cluster_scoped, number, object};

/// A table of names, states and ages may be one of any kind: only the words for namespaces tell.
pub(super) fn namespace(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let phase = row.get("STATUS")?;
    if !matches!(phase, "Active" | "Terminating") {
        return None;
    }
    let mut namespace = cluster_scoped(["v1", "Namespace"], row, source)?;
    if phase == "Terminating" {
        namespace["metadata"]["deletionTimestamp"] = source.taken_at.to_string().into();
    }
    namespace["status"]["phase"] = phase.into();
    Some(namespace)
}

/// What is used and allowed: `requests.cpu: 3900m/4, pods: 12/20`.
pub(super) fn quota(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let (mut used, mut hard) = (Map::new(), Map::new());
    let cells = [row.get("REQUEST"), row.get("LIMIT")];
    let parts = cells.into_iter().flatten();
    for part in parts.flat_map(|cell| cell.split(", ")) {
        let (resource, amounts) = part.split_once(": ")?;
        let (now, most) = amounts.split_once('/')?;
        used.insert(resource.to_owned(), now.into());
        hard.insert(resource.to_owned(), most.into());
    }
    let mut quota = object(["v1", "ResourceQuota"], row, source)?;
    quota["spec"] = json!({ "hard": hard });
    quota["status"] = json!({ "used": used, "hard": hard });
    Some(quota)
}

pub(super) fn disruption_budget(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut budget = object(["policy/v1", "PodDisruptionBudget"], row, source)?;
    for (name, field) in [
        ("MIN AVAILABLE", "minAvailable"),
        ("MAX UNAVAILABLE", "maxUnavailable"),
    ] {
        if let Some(amount) = row.get(name).filter(|amount| *amount != "N/A") {
            let number = amount.parse::<u32>().map(Value::from);
            budget["spec"][field] = number.unwrap_or_else(|_| amount.into());
        }
    }
    budget["status"] = json!({ "disruptionsAllowed": number(row, "ALLOWED DISRUPTIONS") });
    Some(budget)
}
