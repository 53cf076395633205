//! Records: what agents, shippers and people send, after parsing.

use super::object::{Labels, Object};
use super::{Kind, Severity, Str, Time};

/// The stream a record travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Object state, compacted.
    Resource,
    /// Edges between objects, compacted.
    Topology,
    /// Kubernetes events.
    Events,
    /// Log lines.
    Logs,
    /// Alertmanager webhooks.
    Alerts,
    /// Ticks and people's acts; written by the daemon alone.
    Control,
    /// Rejected records with the reason; written by the daemon alone.
    Dlq,
}

impl Topic {
    /// All topics in the order in which records of one instant are applied.
    pub const ALL: [Self; 7] = [
        Self::Resource,
        Self::Topology,
        Self::Events,
        Self::Logs,
        Self::Alerts,
        Self::Control,
        Self::Dlq,
    ];

    /// The topic's name without the tenant prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "state.k8s.resource",
            Self::Topology => "state.k8s.topology",
            Self::Events => "events.normalized",
            Self::Logs => "logs.normalized",
            Self::Alerts => "alerts.raw",
            Self::Control => "control",
            Self::Dlq => "dlq",
        }
    }

    /// Reads a topic's name, with or without the tenant prefix.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| {
            name.strip_suffix(t.as_str())
                .is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        })
    }

    /// Those that senders write to.
    pub const INPUT: [Self; 5] = [
        Self::Events,
        Self::Logs,
        Self::Alerts,
        Self::Resource,
        Self::Topology,
    ];

    /// Whether only the newest record of each key is kept, without an end in time.
    pub fn is_compacted(self) -> bool {
        matches!(self, Self::Resource | Self::Topology)
    }

    /// Whether accepted records of this topic count as billable events.
    pub fn is_metered(self) -> bool {
        matches!(self, Self::Events | Self::Logs | Self::Alerts)
    }
}

/// One record of one cluster.
#[derive(Clone, Debug)]
pub struct Record {
    /// The cluster it belongs to; empty only while the input's only cluster is still being found
    /// out.
    pub cluster: Str,
    /// When it happened.
    pub at: Time,
    /// The sender's stream and the position in it.
    pub sequence: Option<(Str, u64)>,
    /// What it says.
    pub body: Body,
}

/// What a record says.
#[derive(Clone, Debug)]
pub enum Body {
    /// An object's version, or its deletion.
    State(Op, Box<Object>),
    /// End of a full listing of a kind: what the listing did not name is gone.
    Sync {
        /// The kind that was listed.
        kind: Kind,
        /// When the listing began; without it, it began with the first record of the kind since the
        /// last listing.
        since: Option<Time>,
    },
    /// An edge that the sender knows.
    Topology(Op, Box<Edge>),
    /// A Kubernetes event.
    Event(Box<Episode>),
    /// A log line, or many of one template.
    Log(Box<LogLine>),
    /// One alert of an Alertmanager notification.
    Alert(Box<Alert>),
    /// Time moves although the cluster is silent.
    Tick,
    /// Something a person did to an incident.
    Act(Box<Act>),
}

/// Whether state was written or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Exists with this content.
    Upsert,
    /// Does not exist any more.
    Delete,
}

/// What an episode is about, as far as its sender knew.
#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
)]
pub struct Subject {
    /// Kind of the object.
    pub kind: Kind,
    /// Its uid, when known.
    pub uid: Option<Str>,
    /// Its namespace; empty when cluster-scoped or unknown.
    pub namespace: Str,
    /// Its name; empty when only the uid is known.
    pub name: Str,
}

/// A Kubernetes event; repeats arrive as new records with the same identity and a higher count.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Episode {
    /// The sender's identity of the event.
    pub id: Option<Str>,
    /// First time it was seen.
    pub first: Time,
    /// Last time it was seen.
    pub last: Time,
    /// How often it was seen.
    pub count: u32,
    /// How bad the sender thought it.
    pub severity: Severity,
    /// Machine-readable reason, such as `FailedScheduling`.
    pub reason: Str,
    /// Text for people.
    pub message: Str,
    /// The object it is about.
    pub subject: Subject,
}

/// A log line or a number of lines of one pattern.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// First line of those that `count` stands for.
    pub first: Time,
    /// How many lines this record stands for.
    pub count: u32,
    /// Given by the sender, else derived from the line.
    pub severity: Severity,
    /// The line; empty below `WARNING`, where only the number counts.
    pub message: Str,
    /// The container, when known.
    pub container: Option<Str>,
    /// The pod or workload that wrote it.
    pub subject: Subject,
}

/// One alert.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Alert {
    /// Alertmanager's fingerprint, else a hash of the labels.
    pub fingerprint: Str,
    /// Onset.
    pub starts: Time,
    /// Whether it fires; only the status tells.
    pub firing: bool,
    /// `alertname`.
    pub name: Str,
    /// From the label `severity`.
    pub severity: Severity,
    /// All labels.
    pub labels: Labels,
    /// All annotations.
    pub annotations: Labels,
    /// The object its labels name first.
    pub subject: Subject,
}

/// An edge of the topology stream.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The sender's id of the edge.
    pub id: Str,
    /// Where it starts.
    pub from: Subject,
    /// Where it ends.
    pub to: Subject,
    /// Its type, such as `CALLS`.
    pub relation: Str,
}

/// What a person did to an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The incident's number.
    pub incident: u64,
    /// What was done.
    pub kind: ActKind,
    /// Who did it.
    pub by: Str,
    /// Remark.
    pub note: Option<Str>,
}

/// The kinds of acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActKind {
    /// Somebody looks at it.
    Acknowledge,
    /// Somebody says it is over.
    Resolve,
    /// Somebody says what it was.
    Feedback {
        /// The component that was at fault.
        component: Str,
        /// The fault type, when told.
        fault_type: Option<Str>,
    },
}
