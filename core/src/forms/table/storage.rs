//! Claims, volumes and classes.

use serde_json::{Value, json};

use super::super::Source;
use super::super::columns::Row;
use super::{cluster_scoped, object};

pub(super) fn claim(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut claim = object(["v1", "PersistentVolumeClaim"], row, source)?;
    for (name, field) in [
        ("STORAGECLASS", "storageClassName"),
        ("VOLUME", "volumeName"),
    ] {
        if let Some(text) = row.get(name) {
            claim["spec"][field] = text.into();
        }
    }
    claim["status"] = json!({ "phase": row.get("STATUS")? });
    Some(claim)
}

pub(super) fn volume(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut volume = cluster_scoped(["v1", "PersistentVolume"], row, source)?;
    volume["spec"] = json!({
        "capacity": { "storage": row.get("CAPACITY")? },
        "persistentVolumeReclaimPolicy": row.get("RECLAIM POLICY"),
        "storageClassName": row.get("STORAGECLASS"),
    });
    if let Some((namespace, name)) = row.get("CLAIM").and_then(|cell| cell.split_once('/')) {
        volume["spec"]["claimRef"] = json!({ "namespace": namespace, "name": name });
    }
    volume["status"] = json!({ "phase": row.get("STATUS")? });
    Some(volume)
}

pub(super) fn class(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut class = cluster_scoped(["storage.k8s.io/v1", "StorageClass"], row, source)?;
    let name = class["metadata"]["name"].as_str().unwrap_or_default();
    if let Some(name) = name.strip_suffix(" (default)").map(str::to_owned) {
        class["metadata"]["name"] = name.into();
        class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] =
            "true".into();
    }
    class["provisioner"] = row.get("PROVISIONER")?.into();
    class["volumeBindingMode"] = row.get("VOLUMEBINDINGMODE")?.into();
    Some(class)
}
