//! The fields of an object that people set, by which its versions are compared; and who set them.

mod flatten;
mod origin;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use flatten::{Leaves, flatten, hash, join, leaf};

use super::mask;
use crate::model::Kind;
use crate::model::object::fields::{CONTENT, CUT, HASH, Manager};
use crate::model::object::{Fields, Meta, Origin};

/// Fields of an object that no one sets: its identity, its state, and what records add.
const NOT_SET: [&str; 25] = [
    "apiVersion",
    "kind",
    "metadata",
    "status",
    "op",
    "at",
    "since",
    "sync_id",
    "client_id",
    "cluster",
    "src",
    "seq",
    "uid",
    "namespace",
    "name",
    "created",
    "deletionTimestamp",
    "resourceVersion",
    "generation",
    "labels",
    "annotations",
    "ownerRefs",
    "managers",
    "node",
    "podIP",
];
/// Parts of the spec that records of agents repeat.
const REPEATED: [&str; 3] = ["image", "replicas", "serviceSelector"];

/// The fields of an object, and where they come from; both empty for objects that follow from others
/// or that others write all the time.
pub(super) fn read(
    meta: &Meta,
    annotations: Option<&RawValue>,
    managed: Option<&RawValue>,
    text: &str,
) -> (Fields, Origin) {
    if !is_set_by_people(meta) {
        return (Fields::default(), Origin::default());
    }
    let origin = Origin {
        managers: origin::managers(managed),
        via: origin::via(meta, annotations),
    };
    (fields(meta, annotations, &origin.managers, text), origin)
}

fn fields(meta: &Meta, annotations: Option<&RawValue>, managers: &[Manager], text: &str) -> Fields {
    let all: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).unwrap_or_default();
    let has_spec = all.contains_key("spec");
    let is_set = |name: &str| !(NOT_SET.contains(&name) || has_spec && REPEATED.contains(&name));
    let set = all.iter().filter(|(name, _)| is_set(name));
    let mut object: Map<String, Value> = set
        .filter_map(|(name, raw)| Some((name.to_string(), serde_json::from_str(raw.get()).ok()?)))
        .collect();
    if meta.kind == Kind::Secret {
        object.retain(|name, _| ["data", "stringData", "type"].contains(&name.as_str()));
        object.values_mut().for_each(hash_values);
    } else {
        object.insert("kind".to_owned(), meta.kind.as_str().into());
        let mut value = Value::Object(object);
        let plain = value.clone();
        if mask::object(&mut value) {
            mark(&plain, &mut value);
        }
        object = match value {
            Value::Object(object) => object,
            _ => Map::new(),
        };
        object.remove("kind");
    }
    let mut leaves = Leaves::default();
    if meta.kind == Kind::Secret
        && is_blank(&object)
        && let Some(at) = last_set(managers)
    {
        leaves.push((CONTENT.to_owned(), leaf(&at.into())));
    }
    for (name, value) in &object {
        flatten(&mut name.clone(), name, value, &mut leaves);
    }
    for (name, value) in meta.labels.iter() {
        leaves.push((join("metadata.labels", name), leaf(&Value::from(value))));
    }
    for (name, value) in set_annotations(annotations) {
        let masked = mask::variable(&name, &value);
        leaves.push((
            join("metadata.annotations", &name),
            leaf(&Value::from(&*masked)),
        ));
    }
    Fields::new(leaves.into_all())
}

/// Adds a hash to what was masked: that it changed is seen, what it is or was is not.
fn mark(plain: &Value, masked: &mut Value) {
    match (plain, masked) {
        (Value::String(plain), Value::String(masked)) if plain != masked => {
            masked.push_str(CUT);
            masked.push_str(&hash(plain));
        }
        (Value::Array(plain), Value::Array(masked)) => {
            plain
                .iter()
                .zip(masked)
                .for_each(|(plain, masked)| mark(plain, masked));
        }
        (Value::Object(plain), Value::Object(masked)) => {
            for (name, value) in masked {
                if let Some(plain) = plain.get(name) {
                    mark(plain, value);
                }
            }
        }
        _ => {}
    }
}

fn is_set_by_people(meta: &Meta) -> bool {
    let follows = !meta.owners.is_empty()
        && matches!(
            meta.kind,
            Kind::Pod | Kind::ReplicaSet | Kind::Job | Kind::ConfigMap
        );
    let others = [
        "Event",
        "ControllerRevision",
        "PodMetrics",
        "NodeMetrics",
        "VolumeAttachment",
        "CSINode",
        "CSIStorageCapacity",
        "ComponentStatus",
    ];
    let is_written = matches!(meta.kind, Kind::Endpoints | Kind::EndpointSlice | Kind::Lease)
        || others.contains(&meta.kind.as_str())
        // Leader election of old controllers, and the certificates that each namespace has.
        || meta.kind == Kind::ConfigMap && &*meta.name == "kube-root-ca.crt";
    !follows && !is_written
}

/// The annotations that people set: not those in which controllers keep their own state.
fn set_annotations(raw: Option<&RawValue>) -> BTreeMap<String, String> {
    let own = [
        "last-applied-configuration",
        "deployment.kubernetes.io/",
        "control-plane.alpha.kubernetes.io/",
        "pv.kubernetes.io/",
        "volume.kubernetes.io/",
        "volume.beta.kubernetes.io/",
        "node.alpha.kubernetes.io/",
        "volumes.kubernetes.io/",
        "csi.volume.kubernetes.io/",
        "autoscaling.alpha.kubernetes.io/",
        "kubeadm.alpha.kubernetes.io/",
        "kubernetes.io/change-cause",
        "field.cattle.io/",
        "endpoints.kubernetes.io/",
        "cni.projectcalico.org/",
        "projectcalico.org/",
        "cloud.google.com/neg",
        "kubectl.kubernetes.io/restartedAt",
        "batch.kubernetes.io/",
        "leader",
    ];
    let mut all = annotations(raw);
    all.retain(|name, _| !own.iter().any(|part| name.contains(part)));
    all
}

fn annotations(raw: Option<&RawValue>) -> BTreeMap<String, String> {
    let all = raw.and_then(|raw| serde_json::from_str::<BTreeMap<String, Value>>(raw.get()).ok());
    let all = all.unwrap_or_default().into_iter();
    all.filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
        .collect()
}

/// Replaces the values of a Secret: what is shown of one is whether it changed.
fn hash_values(value: &mut Value) {
    // Otherwise it is a list of the keys, or the type of the Secret.
    if let Value::Object(map) = value {
        for value in map.values_mut().filter(|v| v.as_str() != Some("")) {
            *value = Value::from(format!("{HASH}{}", hash(&value.to_string())));
        }
    }
}

/// Whether the values of a Secret were removed before it was sent.
fn is_blank(object: &Map<String, Value>) -> bool {
    let data = object.get("data").and_then(Value::as_object);
    data.is_some_and(|data| !data.is_empty() && data.values().all(|v| v.as_str() == Some("")))
}

/// When the content of a Secret was set last, in the place of a value: it tells that it changed.
fn last_set(managers: &[Manager]) -> Option<String> {
    let has_content = |m: &&Manager| {
        ["f:data", "f:stringData"]
            .iter()
            .any(|f| m.owns.get(f).is_some())
    };
    let at = managers
        .iter()
        .filter(has_content)
        .filter_map(|m| m.at)
        .max()?;
    Some(format!("{HASH}{at}"))
}
