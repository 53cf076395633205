//! Usage counters.

use std::collections::BTreeMap;

use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta, Transaction};
use crate::storage::{Result, Usage, UsageRow};
use crate::tenancy::TenantId;

#[async_trait::async_trait]
impl<D: Database> Usage for SqlMeta<D> {
    async fn add_usage(
        &self,
        tenant: &TenantId,
        usage: &BTreeMap<(String, String), i64>,
    ) -> Result<()> {
        let mut tx = self
            .0
            .begin(Reach::Tenant(tenant), Purpose::Replayable)
            .await?;
        add(&mut *tx, tenant, usage).await?;
        tx.commit().await
    }

    async fn usage(&self, tenant: &TenantId, from: &str, to: &str) -> Result<Vec<UsageRow>> {
        let sql = "SELECT day, metric, amount FROM usage_metrics WHERE client_id = $1 AND day >= $2 AND day < $3
            ORDER BY day, metric";
        let rows = self
            .read(
                Reach::Tenant(tenant),
                sql,
                values![tenant.as_str(), from, to],
            )
            .await?;
        rows.into_iter()
            .map(|mut r| {
                Ok(UsageRow {
                    day: r.text()?,
                    metric: r.text()?,
                    amount: r.int()?,
                })
            })
            .collect()
    }

    async fn usage_total(&self, tenant: &TenantId) -> Result<BTreeMap<String, i64>> {
        let sql = "SELECT metric, CAST(SUM(amount) AS BIGINT) FROM usage_metrics WHERE client_id = $1 GROUP BY metric";
        let rows = self
            .read(Reach::Tenant(tenant), sql, values![tenant.as_str()])
            .await?;
        rows.into_iter()
            .map(|mut r| Ok((r.text()?, r.int()?)))
            .collect()
    }
}

/// Adds amounts within a transaction.
pub(super) async fn add(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    usage: &BTreeMap<(String, String), i64>,
) -> Result<()> {
    for ((day, metric), amount) in usage {
        let sql = "INSERT INTO usage_metrics (client_id, day, metric, amount) VALUES ($1, $2, $3, $4)
            ON CONFLICT (client_id, day, metric) DO UPDATE SET amount = usage_metrics.amount + excluded.amount";
        tx.run(sql, values![tenant.as_str(), day, metric, *amount])
            .await?;
    }
    Ok(())
}
