//! What is wrong with the deepest component of a chain, and what its callers see of it.

use serde_json::{Value, json};

use super::world::{self, ONSET, Workload, alert};

/// A trouble of the deepest component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    OomKilled,
    ConfigRejected,
    VolumeFull,
    ScaledToZero,
    ImageMissing,
    Unschedulable,
    SecretMissing,
    SelectorMismatch,
    NodeDown,
    ConnectionLimit,
    ReadOnly,
    NotServing,
    CertificateExpired,
    Throttled,
    Forbidden,
    Overloaded,
    ClaimPending,
    CrashLater,
}

impl Fault {
    pub(super) const ALL: [Self; 18] = [
        Self::OomKilled,
        Self::ConfigRejected,
        Self::VolumeFull,
        Self::ScaledToZero,
        Self::ImageMissing,
        Self::Unschedulable,
        Self::SecretMissing,
        Self::SelectorMismatch,
        Self::NodeDown,
        Self::ConnectionLimit,
        Self::ReadOnly,
        Self::NotServing,
        Self::CertificateExpired,
        Self::Throttled,
        Self::Forbidden,
        Self::Overloaded,
        Self::ClaimPending,
        Self::CrashLater,
    ];

    /// The fault types that are right.
    pub(super) fn types(self) -> &'static [&'static str] {
        match self {
            Self::OomKilled => &["runtime.oom_killed"],
            Self::ConfigRejected => &[
                "config.arguments_invalid",
                "config.env_invalid",
                "runtime.crash_on_start",
            ],
            Self::VolumeFull => &["storage.volume_full"],
            Self::ScaledToZero => &["runtime.scaled_to_zero"],
            Self::ImageMissing => &["image.reference_wrong"],
            Self::Unschedulable => &["scheduling.cpu_insufficient"],
            Self::SecretMissing => &["config.secret_missing"],
            Self::SelectorMismatch => &["service.selector_mismatch"],
            Self::NodeDown => &["node.kubelet_down"],
            Self::ConnectionLimit => &["dependency.connection_limit"],
            Self::ReadOnly => &["dependency.read_only"],
            Self::NotServing => &["dependency.down"],
            Self::CertificateExpired => &["service.certificate_invalid"],
            Self::Throttled => &["performance.cpu_throttled"],
            Self::Forbidden => &["admission.rbac_forbidden"],
            Self::Overloaded => &["dependency.slow"],
            Self::ClaimPending => &["storage.class_missing"],
            Self::CrashLater => &["runtime.crash_later"],
        }
    }

    /// Changes the component, and adds what else shows the fault.
    pub(super) fn strike(self, c: &mut Workload) -> Vec<Value> {
        let waiting = |reason: &str, message: &str| {
            json!({"ready": false,
                "state": {"waiting": {"reason": reason, "message": message}}})
        };
        let crashed = |code: i64, reason: &str| {
            json!({"ready": false, "restartCount": 9,
                "state": {"waiting": {"reason": "CrashLoopBackOff",
                    "message": "back-off 5m0s restarting failed container=main"}},
                "lastState": {"terminated": {"exitCode": code, "reason": reason,
                    "startedAt": "2026-03-10T11:56:00Z", "finishedAt": "2026-03-10T11:57:00Z"}}})
        };
        let back_off = "Back-off restarting failed container main";
        let unready = json!({"ready": false});
        match self {
            Self::OomKilled => {
                c.container["resources"] = json!({"limits": {"memory": "128Mi"}});
                c.status = Some(crashed(137, "OOMKilled"));
                c.events("BackOff", back_off, 60)
            }
            Self::ConfigRejected => {
                c.status = Some(crashed(1, "Error"));
                let line = "Error: unknown flag: --listen-addr";
                [c.events("BackOff", back_off, 60), c.logs("ERROR", line)].concat()
            }
            Self::VolumeFull => {
                c.status = Some(unready);
                let line = "could not write the log: write /data/wal/0007: no space left on device";
                let probe = "Readiness probe failed: HTTP probe failed with statuscode: 503";
                [c.logs("ERROR", line), c.events("Unhealthy", probe, 80)].concat()
            }
            Self::ScaledToZero => {
                c.replicas = 0;
                Vec::new()
            }
            Self::ImageMissing => {
                let image = format!("registry.example/{}:9.9.9", c.name);
                let message = format!("failed to pull and unpack image \"{image}\": not found");
                c.container["image"] = image.into();
                c.phase = "Pending";
                c.status = Some(waiting("ErrImagePull", &message));
                c.events("Failed", &format!("Failed to pull image: {message}"), 20)
            }
            Self::Unschedulable => {
                c.phase = "Pending";
                c.container["resources"] = json!({"requests": {"cpu": "64"}});
                let message = "0/3 nodes are available: 3 Insufficient cpu.";
                c.events("FailedScheduling", message, 12)
            }
            Self::SecretMissing => {
                let secret = format!("{}-credentials", c.name);
                let message = format!("secret \"{secret}\" not found");
                c.container["env"] = json!([{"name": "TOKEN",
                    "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}}]);
                c.phase = "Pending";
                c.status = Some(waiting("CreateContainerConfigError", &message));
                c.events("Failed", &format!("Error: {message}"), 90)
            }
            Self::SelectorMismatch => {
                c.selects = Some(format!("{}-v2", c.name));
                Vec::new()
            }
            Self::NodeDown => {
                c.node = Some("worker-9".to_owned());
                c.status = Some(unready);
                vec![world::node("worker-9", false)]
            }
            Self::ConnectionLimit => c.logs("ERROR", "FATAL:  sorry, too many clients already"),
            Self::ReadOnly | Self::CertificateExpired => Vec::new(),
            Self::NotServing => {
                c.status = Some(unready);
                let line = "rejecting requests: no elected leader, raft: no leader";
                let probe = "Readiness probe failed: HTTP probe failed with statuscode: 503";
                [c.logs("ERROR", line), c.events("Unhealthy", probe, 80)].concat()
            }
            Self::Forbidden => forbidden(c),
            Self::Overloaded => {
                let line = "com.datastax.oss.driver.api.core.servererrors.OverloadedException: \
                            node is overloaded";
                c.logs("WARNING", line)
            }
            Self::ClaimPending => claim_pending(c),
            Self::CrashLater => {
                c.status = Some(crashed(139, "Error"));
                if let Some(status) = &mut c.status {
                    let ended = &mut status["lastState"]["terminated"];
                    ended["startedAt"] = "2026-03-10T11:41:00Z".into();
                }
                c.events("BackOff", back_off, 60)
            }
            Self::Throttled => {
                c.container["resources"] = json!({"limits": {"cpu": "100m"}});
                let labels = json!({"namespace": c.namespace, "pod": c.pod(0)});
                let text = "61% throttling of CPU in container main";
                vec![alert("CPUThrottlingHigh", "warning", labels, text, ONSET)]
            }
        }
    }

    /// Whether the callers reach the component and repeat what it answers.
    pub(super) fn answers(self) -> bool {
        matches!(
            self,
            Self::ConnectionLimit | Self::ReadOnly | Self::NotServing | Self::Overloaded
        )
    }

    /// The scheme of the component's URL.
    pub(super) fn scheme(self, port: u16) -> &'static str {
        match (self, port) {
            (_, 5432) => "postgres",
            (Self::CertificateExpired, _) => "https",
            _ => "http",
        }
    }

    /// What a caller gets, with the name that it calls.
    pub(super) fn seen(self, url: &str, host: &str, port: u16) -> String {
        match self {
            Self::ConnectionLimit => format!(
                "failed to connect to `host={host} user=app`: server error (FATAL: sorry, too many \
                 clients already)"
            ),
            Self::ReadOnly => format!(
                "write to {host}:{port} failed: ERROR: cannot execute INSERT in a read-only \
                 transaction (SQLSTATE 25006)"
            ),
            Self::Overloaded => {
                format!("request {url}/v1 failed: OverloadedException: node is overloaded")
            }
            Self::NotServing => {
                format!("request {url}/v1 failed: 503 Service Unavailable: no leader")
            }
            Self::CertificateExpired => format!(
                "Get \"{url}/v1\": tls: failed to verify certificate: x509: certificate has expired \
                 or is not yet valid: current time 2026-03-10T11:40:00Z is after \
                 2026-03-10T11:00:00Z"
            ),
            Self::VolumeFull => format!("Post \"{url}/v1\": 503 Service Unavailable"),
            Self::Throttled => {
                format!("Get \"{url}/v1\": context deadline exceeded (Client.Timeout exceeded)")
            }
            Self::NodeDown | Self::Unschedulable | Self::ClaimPending => {
                format!("dial tcp {host}:{port}: connect: connection timed out")
            }
            _ => format!("dial tcp {host}:{port}: connect: connection refused"),
        }
    }
}

/// A claim of the component waits for a class that does not exist.
fn claim_pending(c: &mut Workload) -> Vec<Value> {
    let claim = format!("{}-data", c.name);
    c.volumes = json!([{"name": "data",
        "persistentVolumeClaim": {"claimName": claim}}]);
    c.phase = "Pending";
    let message = "0/3 nodes are available: pod has unbound immediate \
                   PersistentVolumeClaims.";
    let lacks = "storageclass.storage.k8s.io \"fast\" not found";
    let claimed = world::object(json!({"apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": c.namespace, "name": claim, "uid": claim},
        "spec": {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"]},
        "status": {"phase": "Pending"}}));
    let kind = "PersistentVolumeClaim";
    let event = world::event(kind, &c.namespace, &claim, "ProvisioningFailed", lacks, 40);
    [
        c.events("FailedScheduling", message, 12),
        vec![claimed, event],
    ]
    .concat()
}

/// The component may not do what it needs to serve.
fn forbidden(c: &mut Workload) -> Vec<Value> {
    c.status = Some(json!({"ready": false}));
    let line = format!(
        "leases.coordination.k8s.io \"{0}\" is forbidden: User \
         \"system:serviceaccount:{1}:{0}\" cannot update resource \"leases\" in API \
         group \"coordination.k8s.io\" in the namespace \"{1}\"",
        c.name, c.namespace
    );
    let probe = "Readiness probe failed: HTTP probe failed with statuscode: 503";
    [c.logs("ERROR", &line), c.events("Unhealthy", probe, 80)].concat()
}
