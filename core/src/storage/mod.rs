//! Stores: the log of records, and the metadata, graph and limits derived from it. Traits, their
//! errors and the embedded backends; backends on servers are in the daemon, behind the same traits.
//!
//! Methods take the tenant. Something that does not exist is `None`, not an error. Writes are
//! idempotent by key.

pub mod archive;
pub mod conformance;
pub mod cypher;
#[cfg(feature = "embedded")]
pub mod embedded;
mod entry;
mod error;
mod graph;
mod jobs;
mod kafka;
pub mod limits;
mod log;
mod meta;
#[cfg(feature = "embedded")]
pub mod seal;
pub mod sql;

pub use entry::{EntryBuilder, partition_of};
pub use error::{Error, ErrorKind, Result, with_causes};
pub use graph::{
    CauseRow, GraphBatch, GraphCounts, GraphPage, GraphPart, GraphStore, IncidentNode, PAGE_BYTES,
    ResourceFilter, Subgraph, TimelineFilter, is_label,
};
pub use jobs::Jobs;
pub use kafka::KafkaUrl;
pub use limits::{Limits, Taken, Window};
pub use log::{Entry, EventLog, MAX_KEY, MAX_VALUE, READ_BYTES, SetAside, Stored, StreamId, Tail};
pub use meta::{
    AddKey, AgentPosition, AgentRow, Agents, AnswerRow, ApiKeys, Applied, AppliedTo, AuditLog,
    ClusterCounts, ClusterRow, Commit, DaemonRow, Daemons, DataKey, DataKeys, DeliveryEnd,
    DeliveryRow, DeliveryState, EndKey, Feedback, GraphPlacement, Health, Idempotency,
    IncidentArchive, IncidentFilter, IncidentRow, Incidents, KeyChange, Leases, MAX_AGENTS,
    MAX_AUDIT_BYTES, MAX_ENDED_KEYS, MAX_KEYS, MetaStore, Notifications, NotifySettings, Offset,
    PENDING, PendingIncidentRow, Progress, Replaced, Reserved, Retries, Sagas, Skipped,
    SkippedOffsets, Tenants, TransitionRow, Usage, UsageCounts, UsageRow, incident_id,
};
