//! Progress of sagas.

use crate::jobs::NewJob;
use crate::model::Time;
use crate::storage::Result;
use crate::tenancy::Saga;

/// Sagas that provision, remove and move tenants.
#[async_trait::async_trait]
pub trait Sagas: Send + Sync {
    /// Records the progress of a saga and enqueues the jobs that this causes, both or neither.
    /// Fails with `Conflict` when another saga, not rolled back, has the same request.
    async fn put_saga(&self, saga: &Saga, jobs: &[NewJob]) -> Result<()>;
    /// The saga with this id.
    async fn saga(&self, saga_id: &str) -> Result<Option<Saga>>;
    /// The saga that a request with this key began, unless it was rolled back or released.
    async fn saga_of_request(&self, request: &str) -> Result<Option<Saga>>;
    /// Frees the idempotency key of a completed saga, so that it can begin another one.
    async fn release_request(&self, saga_id: &str) -> Result<()>;
    /// Sagas of one tenant or of all, newest first.
    async fn sagas(&self, tenant_id: Option<&str>) -> Result<Vec<Saga>>;
    /// Claims a saga for one daemon until an instant. Returns `false` while another one holds it.
    async fn claim_saga(&self, saga_id: &str, owner: &str, until: Time, now: Time) -> Result<bool>;
}
