//! Usage counters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::billing::Metric;
use crate::storage::Result;
use crate::tenancy::TenantId;

/// Usage of one day.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct UsageRow {
    /// UTC day, `YYYY-MM-DD`.
    pub day: String,
    /// The counter.
    pub metric: Metric,
    /// Amount counted on that day.
    pub amount: i64,
}

/// Amounts to add to the counters of days (`YYYY-MM-DD`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageCounts(BTreeMap<(String, Metric), i64>);

impl UsageCounts {
    /// Adds to a day's counter.
    pub fn add(&mut self, day: impl Into<String>, metric: Metric, amount: i64) {
        *self.0.entry((day.into(), metric)).or_default() += amount;
    }

    /// Adds all of another's amounts.
    pub fn merge(&mut self, other: Self) {
        for ((day, metric), amount) in other.0 {
            self.add(day, metric, amount);
        }
    }

    /// The amounts, ordered by day and metric.
    pub fn rows(&self) -> impl Iterator<Item = UsageRow> {
        self.0.iter().map(|((day, metric), amount)| UsageRow {
            day: day.clone(),
            metric: *metric,
            amount: *amount,
        })
    }
}

/// Usage of tenants by day and metric.
#[async_trait::async_trait]
pub trait Usage: Send + Sync {
    /// Adds to the counters.
    async fn add_usage(&self, tenant: &TenantId, usage: &UsageCounts) -> Result<()>;
    /// Sets counters of levels, such as bytes stored, to what was measured last.
    async fn set_usage(&self, tenant: &TenantId, levels: &[UsageRow]) -> Result<()>;
    /// Usage of the days from `from` up to, but not including, `to` (`YYYY-MM-DD`).
    async fn usage(&self, tenant: &TenantId, from: &str, to: &str) -> Result<Vec<UsageRow>>;
    /// All-time usage by metric.
    async fn usage_total(&self, tenant: &TenantId) -> Result<BTreeMap<Metric, i64>>;
}
