//! Events worth counting or logging: a struct each, whose `emit` writes the log line and the
//! metrics.

mod analysis;
mod job;
mod queries;
mod records;
mod recovery;
mod requests;
mod servers;

pub use analysis::{Accuracy, AnswerGiven, ClusterEvaluated, DetectorPanicked, EvaluationPartial};
pub use job::{JobAttempt, JobCounts};
pub use queries::{GraphDamaged, QueryCrashed, QueryEnded};
pub use records::{
    BatchCommitted, ChangesRefused, EvaluationRefused, Lag, LogCut, LogSetAside, Misplaced,
    RecordRefused, RecordsLost,
};
pub use recovery::{GraphRebuilt, SnapshotUnreadable, StateRestored, WorkerFailed};
pub use requests::{RequestAnswered, Serving};
pub use servers::{LimitsChecked, MemoryUnlimited, ServerChecked};
