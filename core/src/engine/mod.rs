//! The engine's one entry: records change a cluster's state, and its instants are evaluated.

mod evaluate;
mod state;

pub use evaluate::{Evaluation, Ranked};
pub use state::{Applied, ClusterState};
