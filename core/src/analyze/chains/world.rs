//! The records of a generated cluster.

use serde_json::{Value, json};

/// When everything is evaluated.
pub(super) const NOW: &str = "2026-03-10T12:00:00Z";
/// When the trouble began.
pub(super) const ONSET: &str = "2026-03-10T11:38:00Z";
/// When whatever is of no interest was made.
const OLD: &str = "2026-02-01T06:00:00Z";

/// A workload with its pods and its Service.
#[derive(Clone)]
pub(super) struct Workload {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) replicas: usize,
    pub(super) port: u16,
    /// The node of all pods; else they are spread.
    pub(super) node: Option<String>,
    /// The only container, but for its name and image.
    pub(super) container: Value,
    pub(super) volumes: Value,
    /// `None`: the pods are ready.
    pub(super) status: Option<Value>,
    /// The phase of the pods.
    pub(super) phase: &'static str,
    /// How many of the pods were made, if not all.
    pub(super) made: Option<usize>,
    /// What the Service selects; else the pods.
    pub(super) selects: Option<String>,
    /// When the pods were made.
    pub(super) since: &'static str,
}

impl Workload {
    pub(super) fn new(namespace: &str, name: &str, port: u16) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            kind: "Deployment",
            replicas: 2,
            port,
            node: None,
            container: json!({}),
            volumes: json!([]),
            status: None,
            phase: "Running",
            made: None,
            selects: None,
            since: OLD,
        }
    }

    pub(super) fn pod(&self, i: usize) -> String {
        match self.kind {
            "StatefulSet" => format!("{}-{i}", self.name),
            _ => format!("{}-6c9d8f7b54-{}k2xq", self.name, (b'b' + i as u8) as char),
        }
    }

    /// Its Service within the cluster.
    pub(super) fn host(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.name, self.namespace)
    }

    fn is_ready(&self) -> bool {
        self.status.is_none() && self.phase == "Running"
    }

    fn spec(&self) -> Value {
        let mut container = self.container.clone();
        container["name"] = "main".into();
        if container["image"].is_null() {
            container["image"] = format!("registry.example/{}:4.2.0", self.name).into();
        }
        container["ports"] = json!([{"name": "main", "containerPort": self.port}]);
        json!({"containers": [container], "volumes": self.volumes})
    }

    fn pod_record(&self, i: usize, nodes: &[String]) -> Value {
        let ready = if self.is_ready() { "True" } else { "False" };
        let since = if self.is_ready() { self.since } else { ONSET };
        let mut status = json!({"name": "main", "ready": self.is_ready(), "restartCount": 0,
            "state": {"running": {"startedAt": self.since}}});
        for (field, value) in self.status.iter().filter_map(Value::as_object).flatten() {
            status[field] = value.clone();
        }
        let mut spec = self.spec();
        let mut state = json!({"phase": self.phase, "startTime": self.since, "conditions": [
            {"type": "Ready", "status": ready, "lastTransitionTime": since}]});
        if self.phase == "Running" || status["state"].get("waiting").is_some() {
            let node = self.node.clone();
            spec["nodeName"] = node
                .unwrap_or_else(|| nodes[i % nodes.len()].clone())
                .into();
            state["containerStatuses"] = json!([status]);
        } else {
            state["conditions"] = json!([{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "lastTransitionTime": ONSET,
                "message": "0/3 nodes are available: 3 Insufficient cpu."}]);
        }
        let owner = match self.kind {
            "StatefulSet" => json!({"kind": "StatefulSet", "name": self.name,
                "uid": format!("w-{}", self.name), "apiVersion": "apps/v1", "controller": true}),
            _ => json!({"kind": "ReplicaSet", "name": format!("{}-6c9d8f7b54", self.name),
                "uid": format!("r-{}", self.name), "apiVersion": "apps/v1", "controller": true}),
        };
        object(
            json!({"apiVersion": "v1", "kind": "Pod", "spec": spec, "status": state,
            "metadata": {"namespace": self.namespace, "name": self.pod(i),
                "uid": format!("p-{}-{i}", self.name), "labels": {"app": self.name},
                "creationTimestamp": self.since, "ownerReferences": [owner]}}),
        )
    }

    pub(super) fn records(&self, nodes: &[String]) -> Vec<Value> {
        let made = self.made.unwrap_or(self.replicas);
        let ready = if self.is_ready() { made } else { 0 };
        let labels = json!({"app": self.name});
        let template = json!({"metadata": {"labels": labels}, "spec": self.spec()});
        let meta = |uid: &str, name: &str| {
            json!({"namespace": self.namespace, "name": name, "labels": labels,
                "uid": format!("{uid}-{}", self.name), "creationTimestamp": OLD, "generation": 2})
        };
        let mut all = vec![
            object(json!({"apiVersion": "apps/v1", "kind": self.kind,
                "metadata": meta("w", &self.name),
                "spec": {"replicas": self.replicas, "selector": {"matchLabels": labels},
                    "template": template},
                "status": {"observedGeneration": 2, "replicas": made, "readyReplicas": ready,
                    "availableReplicas": ready, "updatedReplicas": made}})),
            object(json!({"apiVersion": "v1", "kind": "Service",
                "metadata": meta("s", &self.name),
                "spec": {"clusterIP": self.address(),
                    "selector": {"app": self.selects.as_ref().unwrap_or(&self.name)},
                    "ports": [{"name": "main", "port": self.port, "targetPort": "main"}]}})),
        ];
        if self.kind == "Deployment" {
            let mut meta = meta("r", &format!("{}-6c9d8f7b54", self.name));
            meta["creationTimestamp"] = self.since.into();
            meta["ownerReferences"] = json!([{"kind": "Deployment", "name": self.name,
                "uid": format!("w-{}", self.name), "apiVersion": "apps/v1", "controller": true}]);
            all.push(object(
                json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": meta,
                "spec": {"replicas": self.replicas, "selector": {"matchLabels": labels},
                    "template": template},
                "status": {"replicas": made, "readyReplicas": ready}}),
            ));
        }
        all.extend((0..made).map(|i| self.pod_record(i, nodes)));
        all
    }

    /// The address of its Service: one per name.
    pub(super) fn address(&self) -> String {
        let sum = self
            .name
            .bytes()
            .fold(7_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 60_000);
        format!("10.96.{}.{}", 1 + sum / 250, 1 + sum % 250)
    }

    /// A line that each of its pods writes four times.
    pub(super) fn logs(&self, severity: &str, message: &str) -> Vec<Value> {
        (0..self.replicas.max(1))
            .map(|i| log(&self.namespace, &self.pod(i), severity, message))
            .collect()
    }

    /// A warning about each of its pods.
    pub(super) fn events(&self, reason: &str, message: &str, count: u32) -> Vec<Value> {
        (0..self.replicas)
            .map(|i| event("Pod", &self.namespace, &self.pod(i), reason, message, count))
            .collect()
    }
}

pub(super) fn object(object: Value) -> Value {
    json!({"topic": "state.k8s.resource", "value": object})
}

pub(super) fn node(name: &str, ready: bool) -> Value {
    let (status, since) = if ready {
        ("True", OLD)
    } else {
        ("Unknown", ONSET)
    };
    object(json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": format!("n-{name}"), "creationTimestamp": OLD},
        "spec": {}, "status": {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": since,
                "reason": if ready { "KubeletReady" } else { "NodeStatusUnknown" },
                "message": if ready { "kubelet is posting ready status" }
                    else { "Kubelet stopped posting node status." }}]}}))
}

pub(super) fn log(namespace: &str, pod: &str, severity: &str, message: &str) -> Value {
    json!({"topic": "logs.normalized", "value": {"event_time": "2026-03-10T11:57:00Z",
        "first_time": "2026-03-10T11:40:00Z", "count": 34, "severity": severity,
        "message": message, "etype": "k8s.log",
        "subject": {"kind": "Pod", "ns": namespace, "name": pod}}})
}

pub(super) fn event(
    kind: &str,
    namespace: &str,
    name: &str,
    reason: &str,
    message: &str,
    count: u32,
) -> Value {
    json!({"topic": "events.normalized", "value": {"event_id": format!("{name}-{reason}"),
        "event_time": "2026-03-10T11:58:00Z", "first_time": "2026-03-10T11:38:30Z",
        "count": count, "severity": "WARNING", "reason": reason, "message": message,
        "etype": "k8s.event", "subject": {"kind": kind, "ns": namespace, "name": name}}})
}

pub(super) fn alert(name: &str, severity: &str, labels: Value, summary: &str, at: &str) -> Value {
    let mut labels = labels;
    labels["alertname"] = name.into();
    labels["severity"] = severity.into();
    json!({"topic": "alerts.raw", "value": {"status": "firing", "alerts": [{"status": "firing",
        "labels": labels, "annotations": {"summary": summary}, "startsAt": at}]}})
}
