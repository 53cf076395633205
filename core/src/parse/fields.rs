//! The fields of an object that people set, by which its versions are compared; and who set them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::mask;
use super::text::{Text, non_empty};
use crate::model::object::fields::{CUT, HASH, Manager};
use crate::model::object::{Fields, Meta};
use crate::model::{Kind, Str, Time};

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
/// Most characters of one value; of a longer one, its start and a hash are kept.
const MAX_VALUE: usize = 400;
/// Most managers of an object that are read.
const MAX_MANAGERS: usize = 20;
/// Lists whose order matters.
const ORDERED: [&str; 2] = ["command", "args"];
/// Lists of objects whose order says nothing.
const SETS: [&str; 5] = ["ingress", "egress", "from", "to", "tolerations"];

/// The fields of an object; empty for objects that follow from others or that others write all the
/// time.
pub(super) fn read(meta: &Meta, annotations: Option<&RawValue>, text: &str) -> Fields {
    if !is_set_by_people(meta) {
        return Fields::default();
    }
    let all: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).unwrap_or_default();
    let has_spec = all.contains_key("spec");
    let is_set = |name: &str| !NOT_SET.contains(&name) && !(has_spec && REPEATED.contains(&name));
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
        mask::object(&mut value);
        object = match value {
            Value::Object(object) => object,
            _ => Map::new(),
        };
        object.remove("kind");
    }
    let mut leaves = Vec::new();
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
    Fields::new(leaves)
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

/// The annotations that somebody sets: not those in which controllers keep their own state.
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
    match value {
        Value::Object(map) => {
            for value in map.values_mut().filter(|v| v.as_str() != Some("")) {
                *value = Value::from(format!("{HASH}{}", hash(&value.to_string())));
            }
        }
        // A list of the keys, or the type of the Secret.
        _ => {}
    }
}

fn hash(text: &str) -> String {
    format!(
        "{:016x}",
        foldhash::fast::FixedState::default().hash_one(text)
    )
}

/// Adds the leaves of a value; `name` is the last field of the path.
fn flatten(path: &mut String, name: &str, value: &Value, out: &mut Vec<(String, String)>) {
    let length = path.len();
    match value {
        Value::Null => {}
        // The schema of a custom resource is larger than all else of a cluster.
        Value::Object(_) if name == "openAPIV3Schema" => {
            out.push((
                path.clone(),
                format!("\"{HASH}{}\"", hash(&value.to_string())),
            ));
        }
        Value::Object(map) if !map.is_empty() => {
            // The API server writes the name of the account twice.
            let is_copy =
                |key: &str| key == "serviceAccount" && map.contains_key("serviceAccountName");
            for (key, value) in map.iter().filter(|(key, _)| !is_copy(key)) {
                *path = join(path, key);
                flatten(path, key, value, out);
                path.truncate(length);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (key, item) in keyed(name, items) {
                path.push_str(&format!("[{key}]"));
                flatten(path, "", item, out);
                path.truncate(length);
            }
        }
        Value::Array(items) if !ORDERED.contains(&name) => {
            let mut sorted = items.clone();
            sorted.sort_by_key(ToString::to_string);
            out.push((path.clone(), leaf(&Value::Array(sorted))));
        }
        _ => out.push((path.clone(), leaf(value))),
    }
}

/// A path with one more field.
fn join(path: &str, key: &str) -> String {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$' | b'/');
    if !key.is_empty() && key.bytes().all(is_word) {
        format!("{path}.{key}")
    } else {
        format!("{path}[{}]", Value::from(key))
    }
}

/// A value as JSON on one line, of bounded length.
fn leaf(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= MAX_VALUE {
        return value.to_string();
    }
    let start: String = text.chars().take(MAX_VALUE).collect();
    Value::from(format!("{start}{CUT}{}", hash(&text))).to_string()
}

/// The items of a list with what identifies each: their place only if nothing else does.
fn keyed<'a>(list: &str, items: &'a [Value]) -> Vec<(String, &'a Value)> {
    let keys: Option<Vec<String>> = items.iter().map(|item| key(list, item)).collect();
    let Some(keys) = keys else {
        let mut items: Vec<&Value> = items.iter().collect();
        if SETS.contains(&list) {
            items.sort_by_key(|item| item.to_string());
        }
        return items
            .into_iter()
            .enumerate()
            .map(|(i, item)| (i.to_string(), item))
            .collect();
    };
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let numbered = keys.into_iter().map(|key| {
        let key = key.replace(['[', ']'], "");
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 {
            key
        } else {
            format!("{key}#{count}")
        }
    });
    numbered.zip(items).collect()
}

/// What identifies an item of a list.
fn key(list: &str, item: &Value) -> Option<String> {
    let text = |name: &str| match item.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let texts = |name: &str| {
        let items = item.get(name)?.as_array()?.iter();
        let items: Vec<&str> = items.filter_map(Value::as_str).collect();
        (!items.is_empty()).then(|| items.join(","))
    };
    let first = |names: &[&str]| names.iter().find_map(|name| text(name));
    let all = |names: &[&str]| {
        let parts: Vec<String> = names.iter().filter_map(|name| text(name)).collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    };
    match list {
        "ports" => first(&["name", "containerPort", "port"]),
        "volumeMounts" => text("mountPath"),
        "volumeDevices" => text("devicePath"),
        "tolerations" | "taints" => all(&["key", "value", "effect"]),
        "topologySpreadConstraints" => text("topologyKey"),
        "subjects" => all(&["kind", "namespace", "name"]),
        "rules" if item.get("verbs").is_some() => {
            let groups = texts("apiGroups").filter(|groups| !groups.is_empty());
            let what = texts("resources").or_else(|| texts("nonResourceURLs"))?;
            Some(match groups {
                Some(groups) => format!("{groups}/{what}"),
                None => what,
            })
        }
        "rules" => text("host").or_else(|| text("name")),
        "paths" => text("path"),
        "hostAliases" => text("ip"),
        "envFrom" => {
            let sources = ["configMapRef", "secretRef"];
            let mut found = sources
                .iter()
                .filter_map(|s| Some((s, item.get(s)?.get("name")?)));
            found.find_map(|(source, name)| Some(format!("{source}/{}", name.as_str()?)))
        }
        "limits" => text("type"),
        "metrics" => {
            let kind = text("type")?;
            let name = [
                "resource",
                "pods",
                "object",
                "external",
                "containerResource",
            ];
            let mut sources = name.iter().filter_map(|name| item.get(name));
            let metric = sources.find_map(|source| {
                let name = source
                    .get("name")
                    .or_else(|| source.pointer("/metric/name"));
                name.and_then(Value::as_str).map(str::to_owned)
            });
            Some(format!("{kind}/{}", metric.unwrap_or_default()))
        }
        _ => text("name"),
    }
}

#[derive(Deserialize)]
struct ManagerWire<'a> {
    #[serde(borrow, default)]
    manager: Option<Text<'a>>,
    #[serde(borrow, default)]
    time: Option<Text<'a>>,
    #[serde(borrow, default)]
    subresource: Option<Text<'a>>,
    #[serde(rename = "fieldsV1", default)]
    owns: Value,
}

/// The managers of an object's fields, but those of its state.
pub(super) fn managers(raw: Option<&RawValue>) -> Vec<Manager> {
    let all = raw.and_then(|raw| serde_json::from_str::<Vec<ManagerWire<'_>>>(raw.get()).ok());
    let all = all.unwrap_or_default().into_iter();
    all.filter(|m| non_empty(m.subresource.as_ref()) != Some("status"))
        .filter_map(|m| {
            Some(Manager {
                name: non_empty(m.manager.as_ref())?.into(),
                at: m.time.as_ref().and_then(|t| Time::parse(&t.0)),
                owns: m.owns,
            })
        })
        .take(MAX_MANAGERS)
        .collect()
}

/// The tool that an object was deployed by, and the revision if it says so.
pub(super) fn via(meta: &Meta, raw: Option<&RawValue>) -> Option<Str> {
    let annotations = annotations(raw);
    let annotation = |name: &str| annotations.get(name).map(String::as_str);
    let label = |name: &str| meta.labels.get(name);
    let argo = annotation("argocd.argoproj.io/tracking-id").and_then(|id| id.split(':').next());
    let tool = if let Some(name) = argo.or_else(|| label("argocd.argoproj.io/instance")) {
        Some(format!("Argo CD application {name}"))
    } else if let Some(name) = label("helm.toolkit.fluxcd.io/name") {
        Some(format!("Flux HelmRelease {name}"))
    } else if let Some(name) = label("kustomize.toolkit.fluxcd.io/name") {
        Some(format!("Flux Kustomization {name}"))
    } else {
        annotation("meta.helm.sh/release-name").map(|name| format!("Helm release {name}"))
    };
    let chart = label("helm.sh/chart").map(|chart| format!("chart {chart}"));
    let commit = annotations.iter().find(|(name, _)| {
        let last = name.rsplit('/').next().unwrap_or(name);
        let words = [
            "commit",
            "revision",
            "git-sha",
            "commit-sha",
            "git-commit",
            "version",
        ];
        words.contains(&last) && !name.starts_with("deployment.kubernetes.io/")
    });
    let commit = commit.map(|(name, value)| {
        let word = name.rsplit('/').next().unwrap_or(name);
        format!("{word} {value}")
    });
    let cause = annotation("kubernetes.io/change-cause").map(str::to_owned);
    let parts: Vec<String> = [tool, chart, commit, cause].into_iter().flatten().collect();
    let text: String = parts.join(", ").chars().take(120).collect();
    (!text.is_empty()).then(|| mask::line(&text).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{FieldChange, diff};
    use crate::model::{Body, Topic};
    use crate::parse::{Context, parse};
    use serde_json::json;

    fn fields(value: &Value) -> Fields {
        let mut records = Vec::new();
        let context = Context {
            cluster: Some("prod"),
            ..Context::default()
        };
        let text = value.to_string();
        parse(Topic::Resource, text.as_bytes(), &context, &mut records).unwrap();
        match records.remove(0).body {
            Body::State(_, object) => object.fields,
            _ => panic!("an object"),
        }
    }

    fn lines(old: &Value, new: &Value) -> Vec<String> {
        diff(&fields(old), &fields(new))
            .0
            .iter()
            .map(FieldChange::text)
            .collect()
    }

    #[test]
    fn the_order_of_lists_counts_where_it_does_in_kubernetes() {
        let deployment = |env: Value, args: Value| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"},
                "spec": {"template": {"spec": {"containers": [
                    {"name": "api", "env": env, "args": args}]}}}})
        };
        let (a, b) = (
            json!({"name": "A", "value": "1"}),
            json!({"name": "B", "value": "2"}),
        );
        let old = deployment(json!([a, b]), json!(["serve", "--fast"]));
        assert!(lines(&old, &deployment(json!([b, a]), json!(["serve", "--fast"]))).is_empty());
        let container = "spec.template.spec.containers[api]";
        assert_eq!(
            lines(&old, &deployment(json!([a]), json!(["--fast", "serve"]))),
            [
                format!(r#"{container}.args: ["serve","--fast"] → ["--fast","serve"]"#),
                format!("{container}.env[B]: name: B, value: 2 → unset"),
            ]
        );
        let role = |rules: Value| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": {"name": "reader", "namespace": "shop"}, "rules": rules})
        };
        let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "get"]});
        let jobs = json!({"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]});
        let fewer = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        assert!(lines(&role(json!([pods, jobs])), &role(json!([jobs, pods]))).is_empty());
        assert_eq!(
            lines(&role(json!([pods, jobs])), &role(json!([jobs, fewer]))),
            [r#"rules[pods].verbs: ["get","list"] → ["get"]"#]
        );
    }

    #[test]
    fn state_and_copies_are_no_change_and_secrets_are_not_shown() {
        let secret = |value: &str, version: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db",
                "resourceVersion": version, "managedFields": [{"manager": version}]},
                "data": {"password": value}})
        };
        assert!(lines(&secret("aHVudGVy", "1"), &secret("aHVudGVy", "2")).is_empty());
        assert_eq!(
            lines(&secret("aHVudGVy", "1"), &secret("b3RoZXI=", "2")),
            ["data.password: changed"]
        );
        let config = |password: &str, copy: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app",
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": copy}},
                "data": {"db.password": password, "host": "db"}})
        };
        assert!(
            lines(&config("hunter2", "a"), &config("hunter3", "b")).is_empty(),
            "masked"
        );
        let text = format!("{:?}", fields(&config("hunter2", "a")));
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn what_deployed_an_object_is_read_from_its_marks() {
        let via = |meta: Value| {
            let mut records = Vec::new();
            let text = json!({"kind": "ConfigMap", "cluster": "c", "metadata": meta}).to_string();
            parse(
                Topic::Resource,
                text.as_bytes(),
                &Context::default(),
                &mut records,
            )
            .unwrap();
            match records.remove(0).body {
                Body::State(_, object) => object.origin.via.map(|via| via.to_string()),
                _ => None,
            }
        };
        let helm = json!({"name": "a", "annotations": {"meta.helm.sh/release-name": "web"},
            "labels": {"helm.sh/chart": "web-1.2.3"}});
        assert_eq!(
            via(helm).as_deref(),
            Some("Helm release web, chart web-1.2.3")
        );
        let argo = json!({"name": "a", "annotations": {
            "argocd.argoproj.io/tracking-id": "shop:/ConfigMap:shop/a",
            "example.com/git-commit": "4f2c1d0"}});
        assert_eq!(
            via(argo).as_deref(),
            Some("Argo CD application shop, git-commit 4f2c1d0")
        );
        let flux = json!({"name": "a", "labels": {"helm.toolkit.fluxcd.io/name": "shop"}});
        assert_eq!(via(flux).as_deref(), Some("Flux HelmRelease shop"));
        assert_eq!(via(json!({"name": "a"})), None);
    }
}
