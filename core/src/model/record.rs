//! Records of agents, log shippers and people, after parsing.

use super::object::{Labels, Object};
use super::{Kind, Severity, Str, Time};

/// The kind of stream a record is sent on.
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
    /// Ticks, and what people do to incidents; only the daemon writes it.
    Control,
    /// Rejected records with the reason; only the daemon writes it.
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
}

/// One record of one cluster.
#[derive(Clone, Debug)]
pub struct Record {
    /// Name of the cluster.
    pub cluster: Str,
    /// Event time.
    pub at: Time,
    /// The sender's stream and the sequence number in it.
    pub sequence: Option<(Str, u64)>,
    /// Content of the record.
    pub body: Body,
}

/// The content of a record.
#[derive(Clone, Debug)]
pub enum Body {
    /// A version of an object, or its deletion.
    State(Op, Box<Object>),
    /// End of a full listing of a kind: objects that it did not contain no longer exist.
    Sync {
        /// The kind that was listed.
        kind: Kind,
        /// When the listing began; default: with the first record of the kind since the last
        /// listing.
        since: Option<Time>,
    },
    /// An edge between two objects.
    Topology(Op, Box<Edge>),
    /// A Kubernetes event.
    Event(Box<Episode>),
    /// A log line, or several of one pattern.
    Log(Box<LogLine>),
    /// One alert of an Alertmanager notification.
    Alert(Box<Alert>),
    /// A change that a tool or a person reports, such as a deployment.
    Change(Box<ReportedChange>),
    /// Advances the time of a cluster that sends nothing.
    Tick,
    /// What a person did to an incident.
    Act(Box<Act>),
}

impl Body {
    /// The topic of such records; records of one instant are applied in the order of topics.
    pub fn topic(&self) -> Topic {
        match self {
            Self::State(..) | Self::Sync { .. } => Topic::Resource,
            Self::Topology(..) => Topic::Topology,
            Self::Event(_) | Self::Change(_) => Topic::Events,
            Self::Log(_) => Topic::Logs,
            Self::Alert(_) => Topic::Alerts,
            Self::Tick | Self::Act(_) => Topic::Control,
        }
    }
}

/// Whether an object exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The object exists with this content.
    Upsert,
    /// The object was deleted.
    Delete,
}

/// The object that an episode is about, as far as the sender knows it.
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
    /// Uid, if known.
    pub uid: Option<Str>,
    /// Namespace; empty for cluster-scoped kinds or if unknown.
    pub namespace: Str,
    /// Name; empty if only the uid is known.
    pub name: Str,
}

/// A Kubernetes event. Repeats are new records with the same id and a higher count.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Episode {
    /// Id of the event.
    pub id: Option<Str>,
    /// When it was first seen.
    pub first: Time,
    /// When it was last seen.
    pub last: Time,
    /// How often it was seen.
    pub count: u32,
    /// Severity by the sender.
    pub severity: Severity,
    /// Machine-readable reason, such as `FailedScheduling`.
    pub reason: Str,
    /// Human-readable text.
    pub message: Str,
    /// The object that it is about.
    pub subject: Subject,
}

/// A change that a tool or a person reports: a deployment, a flag, a migration, maintenance. It may
/// have been made outside of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedChange {
    /// Id of the report.
    pub id: Option<Str>,
    /// What kind of change it is, such as `deploy`.
    pub reason: Str,
    /// What was changed, for people.
    pub message: Str,
    /// The object that was changed; `None` for one of the cluster as a whole.
    pub subject: Option<Subject>,
    /// Who made it.
    pub by: Option<Str>,
    /// The tool that made it.
    pub source: Option<Str>,
    /// The commit, version or release that it brought.
    pub revision: Option<Str>,
}

/// A log line, or several lines of one pattern.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// Time of the first of `count` lines.
    pub first: Time,
    /// Number of lines.
    pub count: u32,
    /// Severity by the sender, else derived from the line.
    pub severity: Severity,
    /// The line; empty below `WARNING`, where only the number of lines matters.
    pub message: Str,
    /// Name of the container, if known.
    pub container: Option<Str>,
    /// The pod or workload that wrote it.
    pub subject: Subject,
}

/// One alert.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Alert {
    /// Alertmanager's fingerprint, else a hash of the labels.
    pub fingerprint: Str,
    /// Start of the alert.
    pub starts: Time,
    /// Whether it is firing, by its status.
    pub firing: bool,
    /// `alertname`.
    pub name: Str,
    /// Severity by the label `severity`.
    pub severity: Severity,
    /// All labels.
    pub labels: Labels,
    /// All annotations.
    pub annotations: Labels,
    /// The object that its labels name.
    pub subject: Subject,
}

/// An edge of the topology stream.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Id of the edge.
    pub id: Str,
    /// Source of the edge.
    pub from: Subject,
    /// Target of the edge.
    pub to: Subject,
    /// Type of the edge, such as `CALLS`.
    pub relation: Str,
}

/// What a person did to an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Key of the incident.
    pub incident: u64,
    /// What was done.
    pub kind: ActKind,
    /// Name of the key that was used.
    pub by: Str,
    /// Free text.
    pub note: Option<Str>,
}

/// What a person can do to an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActKind {
    /// Acknowledge it.
    Acknowledge,
    /// Resolve it.
    Resolve,
    /// Record its actual root cause.
    Feedback {
        /// The component at fault.
        component: Str,
        /// The fault type, if known.
        fault_type: Option<Str>,
    },
}
