//! Nodes.

use serde_json::{Map, Value, json};

use super::super::outline::Block;
use super::{Described, pairs};

/// A node: it has roles and a capacity.
pub(super) fn object(described: &Described<'_, '_>) -> Option<Value> {
    let capacity = described.block("Capacity")?;
    described.block("Roles")?;
    let mut spec = json!({});
    if described.get("Unschedulable") == Some("true") {
        spec["unschedulable"] = true.into();
    }
    if let Some(taints) = described.block("Taints") {
        spec["taints"] = taints.values().filter_map(taint).collect();
    }
    let mut status = json!({
        "conditions": described.conditions(),
        "capacity": pairs(capacity, &[':']),
    });
    if let Some(allocatable) = described.block("Allocatable") {
        status["allocatable"] = pairs(allocatable, &[':']);
    }
    if let Some(info) = described.block("System Info") {
        status["nodeInfo"] = info
            .children
            .iter()
            .filter_map(info_field)
            .collect::<Map<_, _>>()
            .into();
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {},
        "spec": spec,
        "status": status,
    }))
}

/// `node.kubernetes.io/unreachable:NoSchedule` or `dedicated=db:NoExecute`
fn taint(text: &str) -> Option<Value> {
    let (key, effect) = text.rsplit_once(':')?;
    let (key, value) = key.split_once('=').unwrap_or((key, ""));
    Some(json!({ "key": key, "value": value, "effect": effect }))
}

fn info_field(block: &Block<'_>) -> Option<(String, Value)> {
    let field = match block.key {
        "Kernel Version" => "kernelVersion",
        "OS Image" => "osImage",
        "Container Runtime Version" => "containerRuntimeVersion",
        "Kubelet Version" => "kubeletVersion",
        _ => return None,
    };
    Some((field.to_owned(), block.value.into()))
}
