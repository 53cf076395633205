//! The state of one cluster: records are applied to it, and it is evaluated at an instant.

mod admission;
mod calls;
mod changes;
mod evaluate;
mod inspect;
mod load;
mod note;
mod row;
mod state;

pub use admission::{ALERTS_PER_EVENT, Sequences, events_of};
pub use changes::Changes;
pub use evaluate::{Evaluation, Ranked};
pub use load::{Addition, Held, Limits, Load};
pub use row::{EdgeRow, EpisodeRow, ResourceRow, resource_id};
pub use state::{Applied, ClusterState};
