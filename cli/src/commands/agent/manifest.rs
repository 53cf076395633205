//! The objects of an agent in a cluster. `deploy/helm/kgrca-agent` holds the same; a test compares.

use std::collections::BTreeMap;

use kgrca_core::model::watched::WATCHED;
use serde_json::{Value, json};

/// Namespace of everything that has one.
pub const NAMESPACE: &str = "observability";
/// Name of the watching agent and of what belongs to it.
pub const NAME: &str = "kgrca-agent";
/// Name of the Secret with the address of Kafka, user and password in it.
pub const KAFKA: &str = "kgrca-agent-kafka";
/// Name of the agent that reads logs.
pub const LOGS: &str = "kgrca-agent-logs";
/// Where the agents listen: probes, and alerts.
pub const PORT: u16 = 7610;
/// The user under which the watching agent runs; it owns nothing.
const USER: u32 = 65532;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The cluster's name.
    pub cluster: String,
    /// Where the agents send to.
    pub server: String,
    /// The agents' image.
    pub image: String,
    /// Whether logs are read, too.
    pub logs: bool,
    /// Certificates of those who sign the server's, in PEM.
    pub ca: Option<String>,
    /// Whether records go to Kafka; its address is in a Secret of its own.
    pub kafka: bool,
}

/// What is secret.
#[derive(Clone)]
pub struct Secrets {
    /// The key with the scope `ingest`.
    pub api_key: String,
    /// What Alertmanager sends.
    pub alerts_token: String,
}

fn labels(name: &str) -> Value {
    json!({"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "kgrca", "app.kubernetes.io/managed-by": "kgrca"})
}

fn meta(name: &str) -> Value {
    json!({"name": name, "namespace": NAMESPACE, "labels": labels(name)})
}

/// All objects in the order in which they are made, with these Secrets among them.
pub fn objects(wanted: &Wanted, secrets: Vec<Value>) -> Vec<Value> {
    let mut all = vec![namespace(wanted.logs), account(NAME), role(), binding()];
    all.extend(secrets);
    all.extend(wanted.ca.as_ref().map(|ca| certificates(ca)));
    all.extend([service(), policy(), deployment(wanted)]);
    if wanted.logs {
        all.extend([account(LOGS), daemon_set(wanted)]);
    }
    all
}

/// Reading logs needs a folder of the node, which the restricted standard forbids.
fn namespace(with_logs: bool) -> Value {
    let standard = if with_logs {
        "privileged"
    } else {
        "restricted"
    };
    let mut labels = labels(NAME);
    labels["pod-security.kubernetes.io/enforce"] = standard.into();
    labels["pod-security.kubernetes.io/warn"] = standard.into();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
}

fn account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name), "automountServiceAccountToken": false})
}

/// Reads what the agent watches, and nothing else. Of Secrets it keeps the names of their keys.
fn role() -> Value {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for watched in WATCHED {
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
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": NAME, "labels": labels(NAME)}, "rules": rules})
}

fn binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAME, "labels": labels(NAME)},
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

/// The Secret with the address of Kafka.
pub fn kafka_secret(url: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta(KAFKA), "type": "Opaque", "stringData": {"url": url}})
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

/// In come probes and alerts; out goes what asks for names, the API server and the server of kgrca,
/// on whatever ports.
fn policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta(NAME),
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "kgrca"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"port": "alerts", "protocol": "TCP"}]}],
            "egress": [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 1, "endPort": 65535, "protocol": "TCP"}]}],
        },
    })
}

fn environment(wanted: &Wanted) -> Vec<Value> {
    let mut all = vec![
        json!({"name": "KGRCA_CLUSTER", "value": wanted.cluster}),
        json!({"name": "KGRCA_URL", "value": wanted.server}),
        json!({"name": "KGRCA_API_KEY", "value": "${file:/etc/kgrca/api-key}"}),
        json!({"name": "KGRCA_SPOOL", "value": "/var/lib/kgrca"}),
        json!({"name": "KGRCA_SPOOL_MIB", "value": "512"}),
        json!({"name": "KGRCA_AGENT_LISTEN", "value": format!("0.0.0.0:{PORT}")}),
        json!({"name": "KGRCA_LOG_FORMAT", "value": "json"}),
        // The allocator takes what is needed, and gives it back at once: a quarter less memory,
        // measured.
        json!({"name": "MIMALLOC_ARENA_EAGER_COMMIT", "value": "0"}),
        json!({"name": "MIMALLOC_PURGE_DELAY", "value": "0"}),
    ];
    if wanted.ca.is_some() {
        all.push(json!({"name": "KGRCA_CA_FILE", "value": "/etc/kgrca-ca/ca.crt"}));
    }
    if wanted.kafka {
        all.push(json!({"name": "KGRCA_KAFKA_URL", "value": "${file:/etc/kgrca-kafka/url}"}));
    }
    all
}

/// What every agent's container has; the rest of its environment and volumes are given.
fn container(
    wanted: &Wanted,
    more: Vec<Value>,
    mounts: Vec<Value>,
    security: &Value,
    resources: &Value,
) -> Value {
    let mut all_mounts = vec![
        json!({"name": "keys", "mountPath": "/etc/kgrca", "readOnly": true}),
        json!({"name": "spool", "mountPath": "/var/lib/kgrca"}),
    ];
    if wanted.ca.is_some() {
        all_mounts.push(json!({"name": "ca", "mountPath": "/etc/kgrca-ca", "readOnly": true}));
    }
    if wanted.kafka {
        all_mounts
            .push(json!({"name": "kafka", "mountPath": "/etc/kgrca-kafka", "readOnly": true}));
    }
    all_mounts.extend(mounts);
    let env = [environment(wanted), more].concat();
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "alerts"}, "periodSeconds": 10, "timeoutSeconds": 5});
    json!({
        "name": "agent", "image": wanted.image, "imagePullPolicy": "IfNotPresent", "args": ["agent"],
        "env": env,
        "ports": [{"name": "alerts", "containerPort": PORT, "protocol": "TCP"}],
        "livenessProbe": probe("/livez"), "readinessProbe": probe("/readyz"),
        "resources": resources, "securityContext": security, "volumeMounts": all_mounts,
    })
}

fn volumes(wanted: &Wanted, spool: Value, more: Vec<Value>) -> Vec<Value> {
    let mut all = vec![
        json!({"name": "keys", "secret": {"secretName": NAME}}),
        spool,
    ];
    if wanted.ca.is_some() {
        all.push(json!({"name": "ca", "configMap": {"name": NAME}}));
    }
    if wanted.kafka {
        all.push(json!({"name": "kafka", "secret": {"secretName": KAFKA}}));
    }
    all.extend(more);
    all
}

fn deployment(wanted: &Wanted) -> Value {
    let more =
        vec![json!({"name": "KGRCA_ALERTS_TOKEN", "value": "${file:/etc/kgrca/alerts-token}"})];
    let security = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    let resources = json!({"requests": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "64Mi"}, "limits": {"memory": "192Mi", "ephemeral-storage": "1Gi"}});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(NAME),
        "spec": {
            "replicas": 1,
            // Two at once would tell everything twice.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "template": {
                "metadata": {"labels": labels(NAME)},
                "spec": {
                    "serviceAccountName": NAME, "automountServiceAccountToken": true,
                    "securityContext": {"runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container(wanted, more, Vec::new(), &security, &resources)],
                    "volumes": volumes(wanted, json!({"name": "spool", "emptyDir": {"sizeLimit": "768Mi"}}), Vec::new()),
                },
            },
        },
    })
}

/// Files of logs are readable for root alone; it can read them, and nothing else that root can.
fn daemon_set(wanted: &Wanted) -> Value {
    let more = vec![
        json!({"name": "KGRCA_LOGS_FROM", "value": "/var/log/pods"}),
        json!({"name": "KGRCA_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}),
    ];
    let mounts = vec![json!({"name": "logs", "mountPath": "/var/log/pods", "readOnly": true})];
    let security = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsUser": 0, "capabilities": {"drop": ["ALL"]}});
    let resources =
        json!({"requests": {"cpu": "50m", "memory": "48Mi"}, "limits": {"memory": "192Mi"}});
    // On the node: what waits survives the pod.
    let spool = json!({"name": "spool", "hostPath": {"path": "/var/lib/kgrca-agent", "type": "DirectoryOrCreate"}});
    let folder =
        json!({"name": "logs", "hostPath": {"path": "/var/log/pods", "type": "Directory"}});
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta(LOGS),
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": LOGS}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {
                "metadata": {"labels": labels(LOGS)},
                "spec": {
                    "serviceAccountName": LOGS, "automountServiceAccountToken": false,
                    "tolerations": [{"operator": "Exists"}],
                    "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container(wanted, more, mounts, &security, &resources)],
                    "volumes": volumes(wanted, spool, vec![folder]),
                },
            },
        },
    })
}

/// Everything that an agent may have, whatever was asked for.
pub fn all() -> Vec<Value> {
    let any = || String::new();
    let wanted = Wanted {
        cluster: any(),
        server: any(),
        image: any(),
        logs: true,
        ca: Some(any()),
        kafka: true,
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

/// The object of a kind, the first where there are two: its kind, namespace and name are right.
pub fn of_kind(kind: &str) -> Value {
    all()
        .into_iter()
        .find(|o| o["kind"] == kind)
        .unwrap_or_default()
}

/// All objects as documents of YAML.
///
/// # Errors
/// When one cannot be written, which does not happen.
pub fn yaml(objects: &[Value]) -> Result<String, serde_yaml::Error> {
    objects
        .iter()
        .map(|o| Ok(format!("---\n{}", serde_yaml::to_string(o)?)))
        .collect()
}

/// What an object is called: `kind/name`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_reads_what_is_watched_and_writes_nothing() {
        let role = role();
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
