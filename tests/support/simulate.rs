//! A seeded, simulated cluster and the records it sends, in realistic proportions.

use kgrca_core::model::{Time, Topic};
use serde_json::{Value, json};

/// How large the cluster is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Workloads, each with a Service.
    pub workloads: usize,
    /// Pods of each workload.
    pub replicas: usize,
    /// How many workloads log errors; the share of error lines in the stream is the same for every
    /// number.
    pub noisy: usize,
}

impl Size {
    /// 50 nodes, 2,000 pods, 300 Services and a little more.
    pub const USUAL: Self = Self {
        nodes: 50,
        workloads: 333,
        replicas: 6,
        noisy: 17,
    };
    /// The same when every workload complains.
    pub const STORM: Self = Self {
        noisy: 333,
        ..Self::USUAL
    };
}

/// A cluster whose records depend on the seed alone.
#[derive(Clone, Debug)]
pub struct Cluster {
    size: Size,
    seed: u64,
    now: i64,
}

/// A record with its topic.
pub type Sent = (Topic, Vec<u8>);

impl Cluster {
    /// A cluster at an instant.
    pub fn new(size: Size, seed: u64, now: Time) -> Self {
        Self {
            size,
            seed: seed.max(1),
            now: now.0,
        }
    }

    /// A number below `n`, by xorshift.
    fn random(&mut self, n: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed % n as u64) as usize
    }

    /// Clusters grow by teams: some 17 workloads share a namespace.
    fn namespaces(&self) -> usize {
        (self.size.workloads / 17).max(1)
    }

    fn namespace(&self, workload: usize) -> String {
        format!("team-{}", workload % self.namespaces())
    }

    fn at(&self) -> String {
        Time(self.now).to_string()
    }

    /// Everything that exists, as a first listing sends it.
    pub fn listing(&mut self) -> impl Iterator<Item = Sent> + '_ {
        let Size {
            nodes,
            workloads,
            replicas,
            ..
        } = self.size;
        let nodes = (0..nodes).map(|n| (n, None));
        let of = move |w| (0..replicas + 3).map(move |part| (w, Some(part)));
        nodes.chain((0..workloads).flat_map(of)).map(|(n, part)| {
            let object = match part {
                None => self.node(n),
                Some(0) => self.deployment(n),
                Some(1) => self.replica_set(n),
                Some(2) => self.service(n),
                Some(pod) => self.pod(n, pod - 3),
            };
            (Topic::Resource, object)
        })
    }

    /// The next record of the running cluster: 90 % logs, 6 % events, 3.9 % objects, .1 % alerts.
    pub fn next_record(&mut self) -> Sent {
        self.now += 300;
        let (w, r) = (
            self.random(self.size.workloads),
            self.random(self.size.replicas),
        );
        match self.random(1000) {
            0..900 => (Topic::Logs, self.log(w, r)),
            900..960 => (Topic::Events, self.event(w, r)),
            960..999 => (Topic::Resource, self.pod(w, r)),
            _ => (Topic::Alerts, self.alert(w)),
        }
    }

    fn log(&mut self, w: usize, r: usize) -> Vec<u8> {
        let request = self.random(1_000_000_000);
        let kind = self.random(1000);
        // Errors come from the noisy ones alone, however many others there are.
        let w = if kind < 5 {
            w % self.size.noisy * (self.size.workloads / self.size.noisy)
        } else {
            w
        };
        let message = match kind {
            0..5 => format!(
                "level=error msg=\"request failed\" request={request} err=\"upstream timeout after \
                 3s\""
            ),
            5..20 => format!("level=warn msg=\"slow request\" request={request} took=1.2s"),
            _ => format!(
                "level=info ts={} msg=\"handled request\" method=GET path=/api/v1/items/{request} \
                 status=200 bytes=5120 took=12ms",
                self.at()
            ),
        };
        let subject = json!({"kind": "Pod", "ns": self.namespace(w), "name": pod_name(w, r)});
        json!({
            "event_time": self.at(), "cluster": "prod", "etype": "k8s.log", "message": message,
            "subject": subject, "container": "app", "stream": "stdout",
        })
        .to_string()
        .into_bytes()
    }

    fn event(&mut self, w: usize, r: usize) -> Vec<u8> {
        let id = self.random(1_000_000_000);
        let subject = json!({
            "kind": "Pod", "uid": format!("pod-{w}-{r}"), "ns": self.namespace(w),
            "name": pod_name(w, r),
        });
        let (reason, message) = [
            ("Pulled", "Container image already present on machine"),
            ("Created", "Created container app"),
            ("Started", "Started container app"),
        ][self.random(3)];
        json!({
            "event_id": format!("e{id}"), "event_time": self.at(), "cluster": "prod",
            "etype": "k8s.event", "severity": "INFO", "reason": reason, "message": message,
            "count": 1, "subject": subject,
        })
        .to_string()
        .into_bytes()
    }

    fn alert(&mut self, w: usize) -> Vec<u8> {
        let n = self.random(1_000_000);
        json!({
            "status": "resolved", "cluster": "prod", "fingerprint": format!("f{n}"),
            "labels": {
                "alertname": "HighLatency", "namespace": self.namespace(w),
                "service": format!("svc-{w}"), "severity": "warning",
            },
            "annotations": {"summary": "p99 above 1s"}, "startsAt": self.at(), "endsAt": self.at(),
        })
        .to_string()
        .into_bytes()
    }

    fn meta(
        &self,
        kind: &str,
        w: usize,
        name: &str,
        uid: &str,
        labels: &Value,
        owners: &Value,
    ) -> Value {
        json!({
            "name": name, "namespace": self.namespace(w), "uid": uid,
            "creationTimestamp": Time(1_767_225_600_000_000).to_string(),
            "resourceVersion": self.now.to_string(), "generation": 1, "labels": labels,
            "ownerReferences": owners,
            "annotations": {
                "kubernetes.io/description": format!("{kind} {name} of the simulated cluster"),
            },
            "managedFields": [
                {
                    "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                    "time": self.at(), "fieldsType": "FieldsV1",
                    "fieldsV1": {
                        "f:metadata": {
                            "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}},
                            "f:ownerReferences": {".": {}, "k:{\"uid\":\"x\"}": {}},
                        },
                        "f:spec": {
                            "f:containers": {
                                "k:{\"name\":\"app\"}": {
                                    ".": {}, "f:env": {".": {}}, "f:image": {},
                                    "f:imagePullPolicy": {},
                                    "f:livenessProbe": {".": {}, "f:httpGet": {}}, "f:name": {},
                                    "f:ports": {}, "f:readinessProbe": {}, "f:resources": {},
                                    "f:terminationMessagePath": {},
                                    "f:terminationMessagePolicy": {},
                                },
                            },
                        },
                        "f:status": {
                            "f:conditions": {}, "f:containerStatuses": {}, "f:hostIP": {},
                            "f:phase": {}, "f:podIP": {}, "f:startTime": {},
                        },
                    },
                },
            ],
        })
    }

    fn wrap(&self, object: &Value) -> Vec<u8> {
        let mut object = object.clone();
        object["at"] = self.at().into();
        object["cluster"] = "prod".into();
        object.to_string().into_bytes()
    }

    fn node(&self, n: usize) -> Vec<u8> {
        let ready = json!({
            "type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": self.at(), "lastTransitionTime": self.at(),
        });
        self.wrap(&json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": format!("node-{n}"), "uid": format!("node-{n}"),
                "labels": {"kubernetes.io/hostname": format!("node-{n}")},
            },
            "spec": {},
            "status": {
                "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "250"},
                "conditions": [ready],
            },
        }))
    }

    fn pod_spec(&self, w: usize) -> Value {
        let probe = json!({
            "httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1,
            "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        });
        let backend = (w + self.namespaces()) % self.size.workloads;
        json!({
            "serviceAccountName": "default", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30,
            "containers": [
                {
                    "name": "app", "image": format!("registry.example/svc-{w}:1.{}", w % 9),
                    "imagePullPolicy": "IfNotPresent",
                    "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
                    "env": [
                        {"name": "BACKEND", "value": format!("svc-{backend}:80")},
                        {"name": "LOG_LEVEL", "value": "info"},
                    ],
                    "resources": {
                        "requests": {"cpu": "100m", "memory": "128Mi"},
                        "limits": {"memory": "256Mi"},
                    },
                    "livenessProbe": probe, "readinessProbe": probe,
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                },
            ],
        })
    }

    fn pod(&mut self, w: usize, r: usize) -> Vec<u8> {
        let owners = json!([
            {
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("svc-{w}-7d9f8b6c5"),
                "uid": format!("rs-{w}"), "controller": true, "blockOwnerDeletion": true,
            },
        ]);
        let labels = json!({"app": format!("svc-{w}"), "pod-template-hash": "7d9f8b6c5"});
        let meta = self.meta(
            "Pod",
            w,
            &pod_name(w, r),
            &format!("pod-{w}-{r}"),
            &labels,
            &owners,
        );
        let mut spec = self.pod_spec(w);
        spec["nodeName"] = format!("node-{}", (w * 7 + r) % self.size.nodes).into();
        let condition = |kind: &str| {
            json!({
                "type": kind, "status": "True", "lastProbeTime": null,
                "lastTransitionTime": "2026-01-01T00:00:05Z",
            })
        };
        let status = json!({
            "phase": "Running", "hostIP": "10.0.0.1",
            "podIP": format!("10.{}.{}.{}", 1 + w / 250, w % 250, r + 1),
            "startTime": "2026-01-01T00:00:01Z", "qosClass": "Burstable",
            "conditions": [
                condition("Initialized"), condition("Ready"), condition("ContainersReady"),
                condition("PodScheduled"),
            ],
            "containerStatuses": [
                {
                    "name": "app", "ready": true, "started": true, "restartCount": 0, "image": "x",
                    "imageID": "sha256:0", "containerID": "containerd://0", "lastState": {},
                    "state": {"running": {"startedAt": "2026-01-01T00:00:03Z"}},
                },
            ],
        });
        self.wrap(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status,
        }))
    }

    fn deployment(&mut self, w: usize) -> Vec<u8> {
        let labels = json!({"app": format!("svc-{w}")});
        let meta = self.meta(
            "Deployment",
            w,
            &format!("svc-{w}"),
            &format!("deploy-{w}"),
            &labels,
            &json!([]),
        );
        let n = self.size.replicas;
        self.wrap(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {
                "replicas": n, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": self.pod_spec(w)},
            },
            "status": {
                "observedGeneration": 1, "replicas": n, "readyReplicas": n, "availableReplicas": n,
            },
        }))
    }

    fn replica_set(&mut self, w: usize) -> Vec<u8> {
        let owners = json!([
            {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": format!("svc-{w}"),
                "uid": format!("deploy-{w}"), "controller": true,
            },
        ]);
        let labels = json!({"app": format!("svc-{w}"), "pod-template-hash": "7d9f8b6c5"});
        let meta = self.meta(
            "ReplicaSet",
            w,
            &format!("svc-{w}-7d9f8b6c5"),
            &format!("rs-{w}"),
            &labels,
            &owners,
        );
        let n = self.size.replicas;
        self.wrap(&json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta,
            "spec": {"replicas": n, "selector": {"matchLabels": labels}},
            "status": {"observedGeneration": 1, "replicas": n, "readyReplicas": n},
        }))
    }

    fn service(&mut self, w: usize) -> Vec<u8> {
        let meta = self.meta(
            "Service",
            w,
            &format!("svc-{w}"),
            &format!("service-{w}"),
            &json!({"app": format!("svc-{w}")}),
            &json!([]),
        );
        self.wrap(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {
                "type": "ClusterIP", "clusterIP": format!("172.20.{}.{}", w / 250, w % 250),
                "selector": {"app": format!("svc-{w}")},
                "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}],
            },
            "status": {},
        }))
    }
}

fn pod_name(workload: usize, replica: usize) -> String {
    format!(
        "svc-{workload}-7d9f8b6c5-{}",
        suffix(workload * 31 + replica)
    )
}

/// Five characters as the API server's random suffixes.
fn suffix(mut n: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5)
        .map(|_| {
            let c = char::from(LETTERS[n % LETTERS.len()]);
            n = n / LETTERS.len() + 7;
            c
        })
        .collect()
}
