//! The agents' pods: one that watches the API server, and one per node that reads logs.

use serde_json::{Value, json};

use super::manifest::{KAFKA, LOGS, NAME, PORT, Wanted, labels, meta};

/// Unprivileged user of the agent that watches the API server.
const USER: u32 = 65532;

fn environment(wanted: &Wanted) -> Vec<Value> {
    let mut all = vec![
        json!({"name": "KGRCA_CLUSTER", "value": wanted.cluster}),
        json!({"name": "KGRCA_URL", "value": wanted.server}),
        json!({"name": "KGRCA_API_KEY", "value": "${file:/etc/kgrca/api-key}"}),
        json!({"name": "KGRCA_SPOOL", "value": "/var/lib/kgrca"}),
        json!({"name": "KGRCA_SPOOL_MIB", "value": "512"}),
        json!({"name": "KGRCA_AGENT_LISTEN", "value": format!("0.0.0.0:{PORT}")}),
        json!({"name": "KGRCA_LOG_FORMAT", "value": "json"}),
        // Metrics need it, too.
        json!({"name": "KGRCA_ALERTS_TOKEN", "value": "${file:/etc/kgrca/alerts-token}"}),
        // The allocator commits memory late and returns it at once: measured to use 25 % less.
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

/// The container of an agent, with additional variables and mounts.
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
    let probe = |path: &str| {
        json!({
            "httpGet": {"path": path, "port": "alerts"},
            "periodSeconds": 10, "timeoutSeconds": 5,
        })
    };
    json!({
        "name": "agent", "args": ["agent"],
        "image": wanted.image, "imagePullPolicy": "IfNotPresent",
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

/// The agent that watches the API server.
pub(super) fn deployment(wanted: &Wanted) -> Value {
    let mut more = Vec::new();
    if !wanted.secrets {
        more.push(json!({"name": "KGRCA_NO_SECRETS", "value": "true"}));
    }
    let security = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    let resources = json!({
        "requests": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "64Mi"},
        "limits": {"memory": "192Mi", "ephemeral-storage": "1Gi"},
    });
    let user = json!({
        "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let spool = json!({"name": "spool", "emptyDir": {"sizeLimit": "768Mi"}});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(NAME),
        "spec": {
            "replicas": 1,
            // Two agents at once would send everything twice.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "template": {
                "metadata": {"labels": labels(NAME)},
                "spec": {
                    "serviceAccountName": NAME, "automountServiceAccountToken": true,
                    "securityContext": user,
                    "containers": [container(wanted, more, Vec::new(), &security, &resources)],
                    "volumes": volumes(wanted, spool, Vec::new()),
                },
            },
        },
    })
}

/// Log files are readable by root only, so the agent runs as root without any capabilities.
pub(super) fn daemon_set(wanted: &Wanted) -> Value {
    let more = vec![
        json!({"name": "KGRCA_LOGS_FROM", "value": "/var/log/pods"}),
        json!({"name": "KGRCA_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}),
    ];
    let mounts = vec![json!({"name": "logs", "mountPath": "/var/log/pods", "readOnly": true})];
    let security = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsUser": 0,
        "capabilities": {"drop": ["ALL"]},
    });
    let resources =
        json!({"requests": {"cpu": "50m", "memory": "48Mi"}, "limits": {"memory": "192Mi"}});
    // On the node: the spool survives the pod.
    let spool = json!({
        "name": "spool",
        "hostPath": {"path": "/var/lib/kgrca-agent", "type": "DirectoryOrCreate"},
    });
    let logs = json!({"name": "logs", "hostPath": {"path": "/var/log/pods", "type": "Directory"}});
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
                    "volumes": volumes(wanted, spool, vec![logs]),
                },
            },
        },
    })
}
