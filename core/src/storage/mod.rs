//! What kgrca keeps: the log that is the truth, and what is derived from it. Traits, their errors
//! and the embedded backends; network backends live in the daemon behind the same traits.
//!
//! Every method takes the tenant; what is absent is an `Option`, not an error; writes are
//! idempotent by key.

pub mod archive;
pub mod conformance;
pub mod cypher;
mod door;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod graph;
mod jobs;
mod kafka;
pub mod limits;
mod log;
mod meta;
pub mod sql;

pub use door::{Door, partition_of};
pub use error::{Error, ErrorKind, Result, with_causes};
pub use graph::{
    CauseRow, GraphBatch, GraphCounts, GraphPage, GraphPart, GraphStore, IncidentNode,
    ResourceFilter, Subgraph, TimelineFilter, is_label,
};
pub use jobs::Jobs;
pub use kafka::KafkaUrl;
pub use limits::{Limits, Taken, Window};
pub use log::{Entry, EventLog, READ_BYTES, Stored, StreamId};
pub use meta::{
    AgentRow, Agents, AnswerRow, ApiKeys, AuditLog, ClusterCounts, ClusterRow, Commit, DaemonRow,
    Daemons, Feedback, GraphPlacement, Health, Idempotency, IncidentArchive, IncidentFilter,
    IncidentRow, Incidents, Leases, MAX_AGENTS, MetaStore, Offset, Progress, Sagas, Tenants,
    TransitionRow, Usage, UsageRow,
};
