//! Usage counters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::storage::Result;
use crate::tenancy::TenantId;

/// Usage of one day.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct UsageRow {
    /// UTC day, `YYYY-MM-DD`.
    pub day: String,
    /// Metric, such as `events_ingested_count`.
    pub metric: String,
    /// Amount counted on that day.
    pub amount: i64,
}

/// Usage of tenants by day and metric.
#[async_trait::async_trait]
pub trait Usage: Send + Sync {
    /// Adds amounts by day and metric.
    async fn add_usage(
        &self,
        tenant: &TenantId,
        usage: &BTreeMap<(String, String), i64>,
    ) -> Result<()>;
    /// Usage of the days from `from` up to, but not including, `to` (`YYYY-MM-DD`).
    async fn usage(&self, tenant: &TenantId, from: &str, to: &str) -> Result<Vec<UsageRow>>;
    /// All-time usage by metric.
    async fn usage_total(&self, tenant: &TenantId) -> Result<BTreeMap<String, i64>>;
}
