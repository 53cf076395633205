//! The engine's one entry: records change a cluster's state, and its instants are evaluated.

mod admission;
mod changes;
mod evaluate;
mod state;

pub use admission::{Sequences, is_billable};
pub use changes::{Changes, EdgeRow, EpisodeRow, ResourceRow, resource_id};
pub use evaluate::{Evaluation, Ranked};
pub use state::{Applied, ClusterState};
