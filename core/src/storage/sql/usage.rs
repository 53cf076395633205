//! Usage counters.

use std::collections::BTreeMap;

use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, Transaction};
use crate::billing::Metric;
use crate::storage::{Error, ErrorKind, Result, Usage, UsageCounts, UsageRow};
use crate::tenancy::TenantId;

#[async_trait::async_trait]
impl<D: Database> Usage for SqlMeta<D> {
    async fn add_usage(&self, tenant: &TenantId, usage: &UsageCounts) -> Result<()> {
        let reach = Reach::Tenant(tenant);
        let mut tx = self.0.begin(reach, Purpose::Replayable).await?;
        add(&mut *tx, tenant, usage).await?;
        tx.commit().await
    }

    async fn usage(&self, tenant: &TenantId, from: &str, to: &str) -> Result<Vec<UsageRow>> {
        let sql = "SELECT day, metric, amount FROM usage_metrics
            WHERE client_id = $1 AND day >= $2 AND day < $3 ORDER BY day, metric";
        let values = values![tenant.as_str(), from, to];
        let rows = self.read(Reach::Tenant(tenant), sql, values).await?;
        let row = |mut r: Row| {
            Ok(UsageRow {
                day: r.text()?,
                metric: metric(&r.text()?)?,
                amount: r.int()?,
            })
        };
        rows.into_iter().map(row).collect()
    }

    async fn usage_total(&self, tenant: &TenantId) -> Result<BTreeMap<Metric, i64>> {
        let sql = "SELECT metric, CAST(SUM(amount) AS BIGINT) FROM usage_metrics
            WHERE client_id = $1 GROUP BY metric";
        let values = values![tenant.as_str()];
        let rows = self.read(Reach::Tenant(tenant), sql, values).await?;
        let total = |mut r: Row| Ok((metric(&r.text()?)?, r.int()?));
        rows.into_iter().map(total).collect()
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

fn metric(name: &str) -> Result<Metric> {
    let unknown = || {
        let message = format!("metadata: unknown usage metric `{name}`");
        Error::new(ErrorKind::Corrupt, message).hint("run the newest version of kgrcad in use here")
    };
    Metric::parse(name).ok_or_else(unknown)
}
