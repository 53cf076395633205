//! What agents say of themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::Time;

/// What an agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentMode {
    /// Watches the API server and takes alerts.
    Watch,
    /// Reads the logs of a node.
    Logs,
}

/// An agent's heartbeat. For each topic seen = shipped + spooled + dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentStatus {
    /// The cluster it is in.
    pub cluster: String,
    /// Its name, made by itself: one for each spool.
    pub agent: String,
    /// What it does.
    pub mode: AgentMode,
    /// The node whose logs it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its version.
    pub version: String,
    /// Version of the cluster's API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<String>,
    /// When its process started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// How many seconds the record waits that waits longest.
    pub lag_seconds: u64,
    /// Bytes on its disk that wait.
    pub spooled_bytes: u64,
    /// Records that wait, by topic.
    #[serde(default)]
    pub spooled: BTreeMap<String, u64>,
    /// Records that its sources gave, by topic.
    #[serde(default)]
    pub seen: BTreeMap<String, u64>,
    /// Records that the server took, by topic.
    #[serde(default)]
    pub shipped: BTreeMap<String, u64>,
    /// Bytes that the server took, compressed.
    #[serde(default)]
    pub shipped_bytes: u64,
    /// Records that went nowhere, by topic and reason.
    #[serde(default)]
    pub dropped: BTreeMap<String, BTreeMap<String, u64>>,
    /// Records that the server refused, by its reason.
    #[serde(default)]
    pub refused: BTreeMap<String, u64>,
    /// Why nothing reaches the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_trouble: Option<String>,
    /// Blocks of records on its disk that were damaged and set aside.
    #[serde(default)]
    pub damaged_blocks: u64,
    /// The kinds that it looks at.
    #[serde(default)]
    pub kinds: Vec<WatchedKind>,
    /// By how many seconds the server's clock is ahead of its own.
    #[serde(default)]
    pub clock_ahead_seconds: i64,
}

/// How an agent looks at a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchedKind {
    /// The kind.
    pub kind: String,
    /// How many objects of it are there.
    pub objects: u64,
    /// Why it cannot be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Drops that say that something is wrong; the others are repeats and what nobody needs.
pub const HARMLESS_DROPS: [&str; 6] = ["superseded", "unchanged", "sampled", "other_lease", "folded", "low_severity"];

/// After how many seconds without a heartbeat an agent counts as silent.
pub const SILENT_AFTER: i64 = 60;

/// An agent as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// What it said last.
    #[serde(flatten)]
    pub status: AgentStatus,
    /// When that was, by the server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Time,
}

impl Agent {
    /// What is wrong with it at an instant; empty when it fares well.
    pub fn troubles(&self, now: Time) -> Vec<String> {
        let mut all = Vec::new();
        let silent = now.seconds_since(self.seen_at) as i64;
        if silent >= SILENT_AFTER {
            all.push(format!("silent for {silent} s"));
        }
        all.extend(self.status.shipping_trouble.clone());
        if self.status.damaged_blocks > 0 {
            all.push(format!("{} blocks of its spool were damaged", self.status.damaged_blocks));
        }
        for kind in &self.status.kinds {
            all.extend(kind.trouble.as_ref().map(|t| format!("{}: {t}", kind.kind)));
        }
        for (topic, drops) in &self.status.dropped {
            let harmful = drops.iter().filter(|(reason, n)| **n > 0 && !HARMLESS_DROPS.contains(&reason.as_str()));
            all.extend(harmful.map(|(reason, n)| format!("{n} of {topic} dropped: {reason}")));
        }
        all.extend(self.status.refused.iter().map(|(reason, n)| format!("{n} refused by the server: {reason}")));
        if self.status.lag_seconds >= SILENT_AFTER as u64 {
            all.push(format!("records wait for {} s", self.status.lag_seconds));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::SECOND;

    #[test]
    fn what_is_wrong_is_said_and_what_is_usual_is_not() {
        let status: AgentStatus = serde_json::from_str(
            r#"{"cluster":"prod","agent":"a","mode":"watch","version":"0.1.0","started_at":"2026-01-01T00:00:00Z","lag_seconds":0,"spooled_bytes":0,
                "dropped":{"state.k8s.resource":{"unchanged":7,"superseded":1}},"kinds":[{"kind":"Pod","objects":3}]}"#,
        )
        .unwrap();
        let mut agent = Agent { status, seen_at: Time(0) };
        assert_eq!(agent.troubles(Time(10 * SECOND)), Vec::<String>::new());
        assert_eq!(agent.troubles(Time(90 * SECOND)), ["silent for 90 s"]);
        agent.status.kinds[0].trouble = Some("pods is forbidden".into());
        agent.status.dropped.insert("logs.normalized".into(), BTreeMap::from([("spool_full".into(), 5)]));
        assert_eq!(agent.troubles(Time(0)), ["Pod: pods is forbidden", "5 of logs.normalized dropped: spool_full"]);
    }
}
