//! The Kubernetes objects of an agent. A test compares them with `deploy/helm/kgrca-agent`.

use std::collections::BTreeMap;

use kgrca_core::model::watched::WATCHED;
use serde_json::{Value, json};

use super::pods::{daemon_set, deployment};

/// Namespace of all namespaced objects.
pub const NAMESPACE: &str = "observability";
/// Name of the agent that watches the API server, and of its objects.
pub const NAME: &str = "kgrca-agent";
/// Name of the Secret with the Kafka URL, which includes user and password.
pub const KAFKA: &str = "kgrca-agent-kafka";
/// Name of the agent that reads logs.
pub const LOGS: &str = "kgrca-agent-logs";
/// Port of the agents for probes and alerts.
pub const PORT: u16 = 7610;

/// Settings of an installation.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Name of the cluster.
    pub cluster: String,
    /// URL of the server.
    pub server: String,
    /// Image of the agents.
    pub image: String,
    /// Whether logs are read on every node.
    pub logs: bool,
    /// CA bundle in PEM.
    pub ca: Option<String>,
    /// Whether records are sent to Kafka; its URL is in a Secret of its own.
    pub kafka: bool,
    /// Whether Secrets are read, for the names of their keys.
    pub secrets: bool,
}

/// Secrets of the agents.
#[derive(Clone)]
pub struct Secrets {
    /// API key with the scope `ingest`.
    pub api_key: String,
    /// Bearer token expected from Alertmanager.
    pub alerts_token: String,
}

pub(super) fn labels(name: &str) -> Value {
    json!({
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "kgrca",
        "app.kubernetes.io/managed-by": "kgrca",
    })
}

pub(super) fn meta(name: &str) -> Value {
    json!({"name": name, "namespace": NAMESPACE, "labels": labels(name)})
}

/// All objects in the order in which they are created, including these Secrets.
pub fn objects(wanted: &Wanted, secrets: Vec<Value>) -> Vec<Value> {
    let mut all = vec![
        namespace(wanted.logs),
        account(NAME),
        role(wanted.secrets),
        binding(),
    ];
    all.extend(secrets);
    all.extend(wanted.ca.as_ref().map(|ca| certificates(ca)));
    all.extend([service(), policy(), deployment(wanted)]);
    if wanted.logs {
        all.extend([account(LOGS), daemon_set(wanted)]);
    }
    all
}

/// Reading logs needs a hostPath volume, which the restricted Pod Security Standard forbids.
fn namespace(with_logs: bool) -> Value {
    let standard = if with_logs {
        "privileged"
    } else {
        "restricted"
    };
    let mut labels = labels(NAME);
    labels["pod-security.kubernetes.io/enforce"] = standard.into();
    labels["pod-security.kubernetes.io/warn"] = standard.into();
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": labels},
    })
}

fn account(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name),
        "automountServiceAccountToken": false,
    })
}

/// Allows reading what the agent watches, and nothing else. Of Secrets the agent keeps only the
/// names of their keys.
fn role(with_secrets: bool) -> Value {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for watched in WATCHED
        .iter()
        .filter(|w| with_secrets || w.kind != "Secret")
    {
        groups
            .entry(watched.group)
            .or_default()
            .push(watched.plural);
    }
    let rules: Vec<Value> = groups
        .into_iter()
        .map(|(group, mut plurals)| {
            plurals.sort_unstable();
            json!({"apiGroups": [group], "resources": plurals, "verbs": ["list", "watch"]})
        })
        .collect();
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": NAME, "labels": labels(NAME)},
        "rules": rules,
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": NAME, "labels": labels(NAME)},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    })
}

/// The Secret with the agents' keys.
pub fn secret(secrets: &Secrets) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": meta(NAME), "type": "Opaque",
        "stringData": {"api-key": secrets.api_key, "alerts-token": secrets.alerts_token},
    })
}

/// The Secret with the Kafka URL.
pub fn kafka_secret(url: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": meta(KAFKA), "type": "Opaque",
        "stringData": {"url": url},
    })
}

fn certificates(ca: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(NAME), "data": {"ca.crt": ca}})
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": meta(NAME),
        "spec": {
            "selector": {"app.kubernetes.io/name": NAME},
            "ports": [{"name": "alerts", "port": PORT, "targetPort": "alerts", "protocol": "TCP"}],
        },
    })
}

/// Allows probes and alerts in; DNS, the API server and the kgrca server (on any port) out.
fn policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta(NAME),
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "kgrca"}},
            "policyTypes": ["Ingress", "Egress"],
            // The node's probes are always let in.
            "ingress": [{
                "from": [{"namespaceSelector": {}}],
                "ports": [{"port": "alerts", "protocol": "TCP"}],
            }],
            "egress": [{"ports": [
                {"port": 53, "protocol": "UDP"},
                {"port": 1, "endPort": 65535, "protocol": "TCP"},
            ]}],
        },
    })
}

/// Every object that an agent may have, whatever its settings.
pub fn all() -> Vec<Value> {
    let any = || String::new();
    let wanted = Wanted {
        cluster: any(),
        server: any(),
        image: any(),
        logs: true,
        ca: Some(any()),
        kafka: true,
        secrets: true,
    };
    objects(
        &wanted,
        vec![
            secret(&Secrets {
                api_key: any(),
                alerts_token: any(),
            }),
            kafka_secret(""),
        ],
    )
}

/// The first object of a kind, to look it up by kind, namespace and name.
pub fn of_kind(kind: &str) -> Value {
    all()
        .into_iter()
        .find(|o| o["kind"] == kind)
        .unwrap_or_default()
}

/// Objects as YAML documents.
pub fn yaml(objects: &[Value]) -> Result<String, serde_yaml::Error> {
    objects
        .iter()
        .map(|o| Ok(format!("---\n{}", serde_yaml::to_string(o)?)))
        .collect()
}

/// The name of an object as kubectl prints it: `kind/name`.
pub fn name(object: &Value) -> String {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!(
        "{}/{}",
        text("/kind").to_lowercase(),
        text("/metadata/name")
    )
}

/// A variable of the first container of an agent's Deployment.
pub fn setting(deployment: &Value, name: &str) -> Option<String> {
    let variables = deployment.pointer("/spec/template/spec/containers/0/env")?;
    let variable = variables.as_array()?.iter().find(|v| v["name"] == name)?;
    variable["value"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_allows_watching_and_nothing_else() {
        assert!(!role(false).to_string().contains("secrets"));
        let role = role(true);
        let rules = role["rules"].as_array().unwrap();
        let allowed: usize = rules
            .iter()
            .map(|r| r["resources"].as_array().unwrap().len())
            .sum();
        assert_eq!(allowed, WATCHED.len());
        for rule in rules {
            assert_eq!(rule["verbs"], json!(["list", "watch"]));
            assert!(!rule.to_string().contains('*'), "{rule}");
        }
    }
}
