//! Counts of records.

use serde::{Deserialize, Serialize};

/// What happened to records; `seen = applied + duplicate + rejected + lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RecordCounts {
    /// Records in the input.
    pub seen: u64,
    /// Records that changed the state.
    pub applied: u64,
    /// Records that were repeats of others.
    pub duplicate: u64,
    /// Records that could not be read.
    pub rejected: u64,
    /// Records that were lost to damage in the server's log.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
