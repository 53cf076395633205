//! What happens in a tenant's clusters: a few records that lead to an incident, in the order in
//! which their senders have them.

use kgrca_core::model::Time;
use kgrca_core::model::time::SECOND;
use serde_json::{Value, json};

/// When every simulation begins: 2026-01-01T10:00:00Z.
pub const BEGIN: Time = Time(1_767_261_600_000_000);

/// How many stories there are.
pub const STORIES: u64 = 4;

/// What a record says that the graphs' server refuses. No cause follows from it.
pub const REFUSED: &str = "qxrefused";

/// Records that are sent together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The kind, as the API names it.
    pub kind: &'static str,
    /// When the last of them happened, in seconds from the beginning.
    pub at: i64,
    pub records: Vec<Value>,
}

/// The batches of one sender. It sends them in order, each until it is acknowledged, as the agent
/// does: its records are numbered.
#[derive(Clone, Debug)]
pub struct Sender {
    pub name: String,
    pub cluster: String,
    pub batches: Vec<Batch>,
}

impl Batch {
    pub fn body(&self) -> String {
        let lines = self.records.iter().map(Value::to_string);
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn time(second: i64) -> String {
    // Stories last less than a minute.
    format!("2026-01-01T10:00:{second:02}Z")
}

/// Numbers the records of one kind, as each has its own stream.
fn numbered(name: &str, batches: Vec<Batch>) -> Vec<Batch> {
    let mut numbers = std::collections::BTreeMap::new();
    let number = |mut batch: Batch| {
        for record in &mut batch.records {
            let number = numbers.entry(batch.kind).or_insert(0);
            *number += 1;
            record["src"] = json!(name);
            record["seq"] = json!(*number);
        }
        batch
    };
    batches.into_iter().map(number).collect()
}

struct Scene<'a> {
    story: u64,
    canary: &'a str,
    cluster: &'a str,
    has_refused: bool,
}

impl Scene<'_> {
    fn subject(&self) -> Value {
        json!({"kind": "Pod", "namespace": self.canary, "name": "web-1", "uid": self.uid()})
    }

    fn uid(&self) -> String {
        format!("uid-{}-{}", self.canary, self.cluster)
    }

    fn pod(&self, second: i64, reason: &str) -> Value {
        let canary = self.canary;
        let state = if reason.is_empty() {
            json!({"running": {"startedAt": time(0)}})
        } else {
            json!({"waiting": {"reason": reason}})
        };
        json!({
            "op": "UPSERT", "at": time(second), "cluster": self.cluster, "kind": "Pod",
            "namespace": canary, "name": "web-1", "uid": self.uid(),
            "labels": {"app": "web"},
            "spec": {"containers": [{"name": "app", "image": format!("r.example/{canary}:1")}]},
            "status": {
                "phase": if reason.is_empty() { "Running" } else { "Pending" },
                "containerStatuses": [{
                    "name": "app", "ready": reason.is_empty(), "restartCount": 0, "state": state,
                }],
            },
        })
    }

    fn event(&self, second: i64, reason: &str, message: &str) -> Value {
        json!({
            "event_id": format!("{}-{}-{second}-{reason}", self.canary, self.cluster),
            "event_time": time(second), "cluster": self.cluster, "severity": "WARNING",
            "reason": reason, "message": message, "subject": self.subject(),
        })
    }

    fn log(&self, second: i64, message: &str) -> Value {
        json!({
            "event_time": time(second), "cluster": self.cluster, "severity": "ERROR",
            "message": message, "subject": self.subject(),
        })
    }

    fn watch(&self) -> Vec<Batch> {
        let batch = |kind, at, records| Batch { kind, at, records };
        let canary = self.canary;
        let pulling = format!("Failed to pull image \"r.example/{canary}:1\": not found");
        let backing = format!("Back-off pulling image \"r.example/{canary}:1\"");
        let (state, events) = match self.story {
            0 => (
                "ImagePullBackOff",
                vec![(8, "Failed", &*pulling), (9, "BackOff", &*backing)],
            ),
            1 => (
                "CrashLoopBackOff",
                vec![(
                    8,
                    "BackOff",
                    "Back-off restarting failed container app in pod web-1",
                )],
            ),
            2 => (
                "CreateContainerConfigError",
                vec![(8, "Failed", "Error: configmap \"settings\" not found")],
            ),
            _ => (
                "",
                vec![(
                    8,
                    "Unhealthy",
                    "Readiness probe failed: HTTP status code: 503",
                )],
            ),
        };
        let events = events
            .iter()
            .map(|(at, r, m)| self.event(*at, r, m))
            .collect();
        let again = [(14, "BackOff"), (15, "Unhealthy")].map(|(at, r)| self.event(at, r, "again"));
        vec![
            batch("resources", 2, vec![self.pod(2, "")]),
            batch("resources", 7, vec![self.pod(7, state)]),
            batch("events", 9, events),
            batch("events", 15, again.to_vec()),
        ]
    }

    fn logs(&self) -> Vec<Batch> {
        let batch = |at, records| Batch {
            kind: "logs",
            at,
            records,
        };
        let mut batches = vec![
            batch(
                6,
                vec![
                    self.log(5, "cannot open settings"),
                    self.log(6, "giving up"),
                ],
            ),
            batch(12, vec![self.log(12, "cannot open settings")]),
        ];
        if self.has_refused {
            // Between others, which must not be lost with it.
            let records = ["giving up", REFUSED, "giving up"].map(|text| self.log(10, text));
            batches.insert(1, batch(10, records.to_vec()));
        }
        batches
    }
}

/// The senders of a tenant.
pub fn senders(story: u64, canary: &str, has_refused: bool) -> Vec<Sender> {
    let sender = |cluster: &str, name: &str, batches| Sender {
        name: name.to_owned(),
        cluster: cluster.to_owned(),
        batches: numbered(name, batches),
    };
    let scene = |cluster, story| Scene {
        story: story % STORIES,
        canary,
        cluster,
        has_refused,
    };
    let (prod, test) = (scene("prod", story), scene("test", story + 1));
    vec![
        sender("prod", "watch", prod.watch()),
        sender("prod", "logs", prod.logs()),
        sender("test", "watch", test.watch()),
    ]
}

/// Microseconds of a second of the story.
pub fn instant(second: i64) -> i64 {
    BEGIN.0 + second * SECOND
}
