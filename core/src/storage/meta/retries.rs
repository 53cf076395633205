//! Which rejected records were sent again.

use crate::model::Time;
use crate::storage::Result;
use crate::tenancy::TenantId;

/// Retries of dead letters. The id of a letter is its offset in a partition of the queue.
#[async_trait::async_trait]
pub trait Retries: Send + Sync {
    /// Notes that a letter is sent again. Returns when that was done before, in which case nothing
    /// is changed unless `again`.
    async fn note_retry(
        &self,
        tenant: &TenantId,
        partition: u32,
        letter: u64,
        at: Time,
        again: bool,
    ) -> Result<Option<Time>>;
    /// Takes a note back: the letter could not be sent.
    async fn forget_retry(&self, tenant: &TenantId, partition: u32, letter: u64) -> Result<()>;
    /// Letters from one id to another that were sent again, and when they last were, in the order
    /// of their ids.
    async fn retries(
        &self,
        tenant: &TenantId,
        partition: u32,
        first: u64,
        last: u64,
    ) -> Result<Vec<(u64, Time)>>;
    /// Forgets the retries of letters before an id, which are no longer kept.
    async fn trim_retries(&self, tenant: &TenantId, partition: u32, first: u64) -> Result<()>;
}
