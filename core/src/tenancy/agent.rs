//! Heartbeats of agents, and the problems that they show.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::Time;

/// The part of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentMode {
    /// Watches the API server and receives alerts.
    Watch,
    /// Reads the logs of a node.
    Logs,
}

/// An agent's heartbeat. For each topic, seen = shipped + spooled + dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentStatus {
    /// The cluster it runs in.
    #[schema(min_length = 1, max_length = 253)]
    pub cluster: String,
    /// Its name, generated once per spool.
    #[schema(min_length = 1, max_length = 253)]
    pub agent: String,
    /// Its part: watching the cluster, or reading a node's logs.
    pub mode: AgentMode,
    /// The node whose logs it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 253)]
    pub node: Option<String>,
    /// Its version.
    pub version: String,
    /// Version of the cluster's API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<String>,
    /// When its process started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// Age of the oldest spooled record, in seconds.
    pub lag_seconds: u64,
    /// Size of its spool, in bytes.
    pub spooled_bytes: u64,
    /// Spooled records, by topic.
    #[serde(default)]
    pub spooled: BTreeMap<String, u64>,
    /// Records read from its sources, by topic.
    #[serde(default)]
    pub seen: BTreeMap<String, u64>,
    /// Records that the server accepted, by topic.
    #[serde(default)]
    pub shipped: BTreeMap<String, u64>,
    /// Compressed bytes that the server accepted.
    #[serde(default)]
    pub shipped_bytes: u64,
    /// Dropped records, by topic and reason.
    #[serde(default)]
    pub dropped: BTreeMap<String, BTreeMap<String, u64>>,
    /// Records that the server rejected, by reason.
    #[serde(default)]
    pub refused: BTreeMap<String, u64>,
    /// Why shipping fails; absent while it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_trouble: Option<String>,
    /// Damaged blocks of its spool that were set aside.
    #[serde(default)]
    pub damaged_blocks: u64,
    /// Seconds since its last loss: dropped because the spool was full, damaged, or rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_seconds_ago: Option<u64>,
    /// The kinds that it watches.
    #[serde(default)]
    pub kinds: Vec<WatchedKind>,
    /// Seconds by which the server's clock is ahead of its own.
    #[serde(default)]
    pub clock_ahead_seconds: i64,
    /// Earlier agents with the same part, newest first; set by the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Another agent with the same part that also sends heartbeats; set by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<String>,
}

/// The state of an agent's watch of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchedKind {
    /// The kind.
    pub kind: String,
    /// Number of objects.
    pub objects: u64,
    /// Why the watch fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Drops that indicate a problem; the others are repetitions and records without use.
pub const HARMLESS_DROPS: [&str; 7] = [
    "superseded",
    "unchanged",
    "sampled",
    "other_lease",
    "folded",
    "low_severity",
    "foreign",
];

/// Seconds without a heartbeat after which an agent counts as silent.
pub const SILENT_AFTER: u64 = 60;

/// Number of earlier agents remembered per part.
const REMEMBERED: usize = 8;

/// Seconds for which a loss is reported as a problem.
const RECENT_LOSS: u64 = 3600;

impl AgentStatus {
    /// The part that it has in its cluster: whoever takes it over is the same agent to people.
    pub fn slot(&self) -> String {
        match self.mode {
            AgentMode::Watch => "watch".to_owned(),
            AgentMode::Logs => format!("logs/{}", self.node.as_ref().unwrap_or(&self.agent)),
        }
    }

    /// Notes which agent had its part until now. An agent that sends again after its successor did was
    /// not replaced: both run.
    #[must_use]
    pub fn after(mut self, last: Option<&Self>) -> Self {
        (self.before, self.rival) = match last {
            Some(last) if last.agent != self.agent => {
                let is_back = last.before.contains(&self.agent);
                let earlier = last.before.iter().filter(|agent| **agent != self.agent);
                let before = std::iter::once(&last.agent)
                    .chain(earlier)
                    .take(REMEMBERED)
                    .cloned()
                    .collect();
                (before, is_back.then(|| last.agent.clone()))
            }
            Some(last) => (last.before.clone(), None),
            None => (Vec::new(), None),
        };
        self
    }
}

/// An agent as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// Its last heartbeat.
    #[serde(flatten)]
    pub status: AgentStatus,
    /// When it arrived, by the server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Time,
    /// Seconds since then.
    pub silent_seconds: u64,
}

impl Agent {
    /// Its problems; empty when it is healthy.
    pub fn troubles(&self) -> Vec<String> {
        let mut all = Vec::new();
        let status = &self.status;
        if self.silent_seconds >= SILENT_AFTER {
            all.push(format!("silent for {} s", self.silent_seconds));
        }
        if let Some(rival) = &status.rival {
            all.push(format!(
                "agent {rival} has the same part in a cluster `{}`: two clusters under one \
                 name, or a copy: `kgrca agent install --cluster OTHER` for one of them",
                status.cluster
            ));
        }
        all.extend(status.shipping_trouble.clone());
        for kind in &status.kinds {
            all.extend(kind.trouble.as_ref().map(|t| format!("{}: {t}", kind.kind)));
        }
        // What was lost long ago is in the counts, and no trouble any more.
        if status.lost_seconds_ago.is_some_and(|ago| ago < RECENT_LOSS) {
            for (topic, drops) in &status.dropped {
                let harmful = drops
                    .iter()
                    .filter(|(reason, n)| **n > 0 && !HARMLESS_DROPS.contains(&reason.as_str()));
                all.extend(harmful.map(|(reason, n)| format!("{n} of {topic} dropped: {reason}")));
            }
            all.extend(
                status
                    .refused
                    .iter()
                    .map(|(reason, n)| format!("{n} refused by the server: {reason}")),
            );
        }
        let waits = status.spooled.values().sum::<u64>();
        if waits > 0
            && status.shipped.values().sum::<u64>() == 0
            && status.shipping_trouble.is_none()
        {
            all.push(format!("nothing was shipped yet, {waits} records wait"));
        }
        if status.lag_seconds >= SILENT_AFTER {
            all.push(format!("records wait for {} s", status.lag_seconds));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_listed_and_ordinary_drops_are_not() {
        let status: AgentStatus = serde_json::from_str(
            r#"{"cluster":"prod","agent":"a","mode":"watch","version":"0.1.0","started_at":"2026-01-01T00:00:00Z","lag_seconds":0,"spooled_bytes":0,
                "dropped":{"state.k8s.resource":{"unchanged":7,"superseded":1}},"kinds":[{"kind":"Pod","objects":3}],"of_a_later_version":1}"#,
        )
        .unwrap();
        let mut agent = Agent {
            status,
            seen_at: Time(0),
            silent_seconds: 10,
        };
        assert_eq!(agent.troubles(), Vec::<String>::new());
        agent.silent_seconds = 90;
        assert_eq!(agent.troubles(), ["silent for 90 s"]);
        agent.silent_seconds = 0;
        agent.status.kinds[0].trouble = Some("pods is forbidden".into());
        agent.status.dropped.insert(
            "logs.normalized".into(),
            BTreeMap::from([("spool_full".into(), 5)]),
        );
        agent.status.lost_seconds_ago = Some(60);
        assert_eq!(
            agent.troubles(),
            [
                "Pod: pods is forbidden",
                "5 of logs.normalized dropped: spool_full"
            ]
        );
        agent.status.lost_seconds_ago = Some(3600);
        assert_eq!(
            agent.troubles(),
            ["Pod: pods is forbidden"],
            "an hour later it is history"
        );
    }

    #[test]
    fn agents_that_alternate_are_rivals_and_a_successor_is_not() {
        let beat = |agent: &str, last: Option<&AgentStatus>| {
            let text = format!(
                r#"{{"cluster":"prod","agent":"{agent}","mode":"watch","version":"0.1.0","started_at":"2026-01-01T00:00:00Z","lag_seconds":0,"spooled_bytes":0,"rival":"x"}}"#
            );
            serde_json::from_str::<AgentStatus>(&text)
                .unwrap()
                .after(last)
        };
        let a = beat("a", None);
        let b = beat("b", Some(&a));
        let b = beat("b", Some(&b));
        assert_eq!(
            (a.rival, b.before.as_slice(), &b.rival),
            (None, &["a".to_owned()][..], &None),
            "an upgrade"
        );
        let c = beat("c", Some(&b));
        let a = beat("a", Some(&c));
        assert_eq!(a.rival.as_deref(), Some("c"), "one of three comes back");
        let a = beat("a", Some(&b));
        let b = beat("b", Some(&a));
        assert_eq!(
            (a.rival.as_deref(), b.rival.as_deref()),
            (Some("b"), Some("a"))
        );
        let troubles = Agent {
            status: b.clone(),
            seen_at: Time(0),
            silent_seconds: 0,
        }
        .troubles();
        assert!(
            troubles[0].contains("two clusters under one name"),
            "{troubles:?}"
        );
        assert_eq!(beat("b", Some(&b)).rival, None, "the other has left");
    }
}
