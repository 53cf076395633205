//! Responses by idempotency key.

use crate::model::Time;
use crate::model::time::MINUTE;
use crate::storage::Result;
use crate::tenancy::TenantId;

/// After so long, in microseconds, a request that did not end is given up: its daemon died.
pub const PENDING: i64 = 2 * MINUTE;

/// What is known of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It is the caller's now.
    New,
    /// A request with this key is being processed.
    Pending,
    /// The response to an earlier request.
    Answered(String),
}

/// Responses that are repeated when a request is retried under the same key.
#[async_trait::async_trait]
pub trait Idempotency: Send + Sync {
    /// Reserves a key for a request, unless another one has it or had it in the last 24 hours. Of
    /// simultaneous callers one gets it.
    async fn reserve(&self, tenant: &TenantId, key: &str, now: Time) -> Result<Reserved>;
    /// Forgets the oldest keys of a tenant beyond a number.
    async fn trim_repeats(&self, tenant: &TenantId, keep: u64) -> Result<()>;
    /// Stores the response of the request that reserved the key.
    async fn answer_repeats(
        &self,
        tenant: &TenantId,
        key: &str,
        answer: &str,
        now: Time,
    ) -> Result<()>;
    /// Frees a key whose request failed.
    async fn release_key(&self, tenant: &TenantId, key: &str) -> Result<()>;
}
