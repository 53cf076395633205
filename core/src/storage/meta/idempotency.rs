//! Responses by idempotency key.

use crate::model::Time;
use crate::storage::Result;
use crate::tenancy::TenantId;

/// Responses that are repeated when a request is retried under the same key.
#[async_trait::async_trait]
pub trait Idempotency: Send + Sync {
    /// Returns the response stored under `key` in the last 24 hours. When there is none, stores
    /// `answer` if it is given.
    async fn idempotent(
        &self,
        tenant: &TenantId,
        key: &str,
        answer: Option<&str>,
        now: Time,
    ) -> Result<Option<String>>;
}
