//! Usage counters.

use std::collections::BTreeMap;

use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, Transaction};
use crate::billing::Metric;
use crate::storage::{Result, Usage, UsageCounts, UsageRow};
use crate::tenancy::TenantId;

#[async_trait::async_trait]
impl<D: Database> Usage for SqlMeta<D> {
    async fn add_usage(&self, tenant: &TenantId, usage: &UsageCounts) -> Result<()> {
        let reach = Reach::Tenant(tenant);
        let mut tx = self.database.begin(reach, Purpose::Replayable).await?;
        add(&mut *tx, tenant, usage).await?;
        tx.commit().await
    }

    async fn set_usage(&self, tenant: &TenantId, levels: &[UsageRow]) -> Result<()> {
        let reach = Reach::Tenant(tenant);
        let mut tx = self.database.begin(reach, Purpose::Replayable).await?;
        for level in levels {
            let sql = "INSERT INTO usage_metrics (client_id, day, metric, amount)
                VALUES ($1, $2, $3, $4)
                ON CONFLICT (client_id, day, metric) DO UPDATE SET amount = excluded.amount";
            let (day, metric) = (level.day.as_str(), level.metric.as_str());
            tx.run(sql, values![tenant.as_str(), day, metric, level.amount])
                .await?;
        }
        tx.commit().await
    }

    async fn usage(&self, tenant: &TenantId, from: &str, to: &str) -> Result<Vec<UsageRow>> {
        let sql = "SELECT day, metric, amount FROM usage_metrics
            WHERE client_id = $1 AND day >= $2 AND day < $3 ORDER BY day, metric";
        let values = values![tenant.as_str(), from, to];
        let rows = self.read(Reach::Tenant(tenant), sql, values).await?;
        // A metric that is unknown here was written by a newer version.
        let row = |mut r: Row| {
            let (day, metric) = (r.text()?, Metric::parse(&r.text()?));
            let amount = r.int()?;
            Ok(metric.map(|metric| UsageRow {
                day,
                metric,
                amount,
            }))
        };
        rows.into_iter()
            .map(row)
            .filter_map(Result::transpose)
            .collect()
    }

    async fn usage_total(&self, tenant: &TenantId) -> Result<BTreeMap<Metric, i64>> {
        let sql = "SELECT metric, CAST(SUM(amount) AS BIGINT) FROM usage_metrics
            WHERE client_id = $1 GROUP BY metric";
        let values = values![tenant.as_str()];
        let rows = self.read(Reach::Tenant(tenant), sql, values).await?;
        let total = |mut r: Row| {
            let metric = Metric::parse(&r.text()?);
            let amount = r.int()?;
            Ok(metric.map(|metric| (metric, amount)))
        };
        rows.into_iter()
            .map(total)
            .filter_map(Result::transpose)
            .collect()
    }
}

/// Adds to the counters within a transaction.
pub(super) async fn add(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    usage: &UsageCounts,
) -> Result<()> {
    for row in usage.rows() {
        let sql = "INSERT INTO usage_metrics (client_id, day, metric, amount)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT (client_id, day, metric)
            DO UPDATE SET amount = usage_metrics.amount + excluded.amount";
        let metric = row.metric.as_str();
        tx.run(sql, values![tenant.as_str(), row.day, metric, row.amount])
            .await?;
    }
    Ok(())
}
