//! What becomes of a component that cannot use what it needs.

use serde_json::{Value, json};

use super::world::{ONSET, Workload, alert};

/// How a component suffers from another one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Suffering {
    /// It answers with errors and stays ready.
    Errors,
    /// Its readiness probe fails.
    Unready,
    /// It exits, and is started again and again.
    Exits,
    /// Its requests wait until its pool of connections is used up.
    Waits,
    /// An alert about its latency fires.
    Slow,
}

impl Suffering {
    pub(super) const ALL: [Self; 5] = [
        Self::Errors,
        Self::Unready,
        Self::Exits,
        Self::Waits,
        Self::Slow,
    ];

    /// Changes the component, and adds what else shows it.
    pub(super) fn of(self, b: &mut Workload) -> Vec<Value> {
        let labels = json!({"namespace": b.namespace, "deployment": b.name});
        match self {
            Self::Errors => Vec::new(),
            Self::Unready => {
                b.status = Some(json!({"ready": false}));
                let probe = "Readiness probe failed: HTTP probe failed with statuscode: 503";
                b.events("Unhealthy", probe, 60)
            }
            Self::Exits => {
                b.status = Some(json!({"ready": false, "restartCount": 7,
                    "state": {"waiting": {"reason": "CrashLoopBackOff",
                        "message": "back-off 5m0s restarting failed container=main"}},
                    "lastState": {"terminated": {"exitCode": 1, "reason": "Error",
                        "startedAt": "2026-03-10T11:56:30Z",
                        "finishedAt": "2026-03-10T11:57:00Z"}}}));
                b.events("BackOff", "Back-off restarting failed container main", 40)
            }
            Self::Waits => b.logs(
                "ERROR",
                "QueuePool limit of size 10 overflow 5 reached, connection timed out, timeout 30.00",
            ),
            Self::Slow => {
                let text = "p99 latency is above 2s";
                vec![alert("HighRequestLatency", "warning", labels, text, ONSET)]
            }
        }
    }
}
