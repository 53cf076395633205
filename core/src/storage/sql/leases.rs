//! Leases of partitions.

use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta};
use crate::model::Time;
use crate::storage::{Leases, Result};
use crate::tenancy::TenantId;

#[async_trait::async_trait]
impl<D: Database> Leases for SqlMeta<D> {
    async fn lease(
        &self,
        tenant: &TenantId,
        partition: u32,
        owner: &str,
        until: Time,
        now: Time,
    ) -> Result<Option<i64>> {
        let sql = "INSERT INTO leases (client_id, partition, owner, epoch, until)
            VALUES ($1, $2, $3, 1, $4)
            ON CONFLICT (client_id, partition) DO UPDATE SET until = excluded.until,
                epoch = CASE WHEN leases.owner = excluded.owner
                    THEN leases.epoch ELSE leases.epoch + 1 END,
                owner = excluded.owner
            WHERE leases.owner = excluded.owner OR leases.until < $5 RETURNING epoch";
        let mut tx = self
            .database
            .begin(Reach::Tenant(tenant), Purpose::Replayable)
            .await?;
        let rows = tx
            .rows(sql, values![tenant.as_str(), partition, owner, until, now])
            .await?;
        let epoch = rows.into_iter().next().map(|mut r| r.int()).transpose()?;
        tx.commit().await?;
        Ok(epoch)
    }

    async fn release(&self, tenant: &TenantId, partition: u32, owner: &str) -> Result<()> {
        let sql =
            "UPDATE leases SET until = 0 WHERE client_id = $1 AND partition = $2 AND owner = $3";
        self.write(
            Reach::Tenant(tenant),
            Purpose::Replayable,
            sql,
            values![tenant.as_str(), partition, owner],
        )
        .await?;
        Ok(())
    }
}
