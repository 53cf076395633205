//! One suite per trait, run against every backend. Each case panics with what was expected.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "these are test cases; a panic is their answer"
)]

mod graph;
mod jobs;
mod limits;
mod log;
mod meta;

pub use graph::graph_store;
pub use limits::limits;
pub use log::event_log;
pub use meta::meta_store;

use crate::tenancy::TenantId;

fn tenant(name: &str) -> TenantId {
    TenantId::parse(&format!("client-{name}-abc123")).unwrap()
}
