//! What kgrca keeps: the log that is the truth, and what is derived from it. Traits, their errors and the embedded
//! backends; network backends live in the daemon behind the same traits.
//!
//! Every method takes the tenant; what is absent is an `Option`, not an error; writes are idempotent by key.

pub mod conformance;
pub mod embedded;
mod error;
mod graph;
mod limits;
mod log;
mod meta;
mod tenant;

pub use error::{Error, ErrorKind, Result};
pub use graph::{CauseRow, GraphBatch, GraphCounts, GraphStore, IncidentNode, Subgraph, TimelineFilter};
pub use limits::{Limits, Taken, Window};
pub use log::{Entry, EventLog, READ_BYTES, Stored, StreamId};
pub use meta::{
    Admin, AnswerRow, ApiKey, Audit, Client, ClientState, ClusterRow, Commit, IncidentFilter, IncidentRow, MetaStore, Offset,
    Scope, TransitionRow, UsageRow,
};
pub use tenant::{Tenant, new_client_id};
