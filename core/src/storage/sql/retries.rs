//! Retries of dead letters.

use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta};
use crate::model::Time;
use crate::storage::{Result, Retries};
use crate::tenancy::TenantId;

#[async_trait::async_trait]
impl<D: Database> Retries for SqlMeta<D> {
    async fn note_retry(
        &self,
        tenant: &TenantId,
        partition: u32,
        letter: u64,
        at: Time,
        again: bool,
    ) -> Result<Option<Time>> {
        let reach = Reach::Tenant(tenant);
        let mut tx = self.database.begin(reach, Purpose::Durable).await?;
        let sql = "INSERT INTO retried_letters (client_id, partition, letter, at)
            VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING at";
        let values = values![tenant.as_str(), partition, letter, at];
        if !tx.rows(sql, values).await?.is_empty() {
            tx.commit().await?;
            return Ok(None);
        }
        let sql = "SELECT at FROM retried_letters
            WHERE client_id = $1 AND partition = $2 AND letter = $3";
        let own = values![tenant.as_str(), partition, letter];
        let rows = tx.rows(sql, own).await?;
        let before = rows
            .into_iter()
            .next()
            .map(|mut row| row.time())
            .transpose()?;
        if again {
            let sql = "UPDATE retried_letters SET at = $4
                WHERE client_id = $1 AND partition = $2 AND letter = $3";
            tx.run(sql, values![tenant.as_str(), partition, letter, at])
                .await?;
        }
        tx.commit().await?;
        Ok(before)
    }

    async fn forget_retry(&self, tenant: &TenantId, partition: u32, letter: u64) -> Result<()> {
        let sql = "DELETE FROM retried_letters
            WHERE client_id = $1 AND partition = $2 AND letter = $3";
        let values = values![tenant.as_str(), partition, letter];
        self.write(Reach::Tenant(tenant), Purpose::Durable, sql, values)
            .await?;
        Ok(())
    }

    async fn retries(
        &self,
        tenant: &TenantId,
        partition: u32,
        first: u64,
        last: u64,
    ) -> Result<Vec<(u64, Time)>> {
        let sql = "SELECT letter, at FROM retried_letters
            WHERE client_id = $1 AND partition = $2 AND letter BETWEEN $3 AND $4 ORDER BY letter";
        let values = values![tenant.as_str(), partition, first, last];
        let rows = self.read(Reach::Tenant(tenant), sql, values).await?;
        let retry = |mut row: super::Row| Ok((row.int()?.max(0) as u64, row.time()?));
        rows.into_iter().map(retry).collect()
    }

    async fn trim_retries(&self, tenant: &TenantId, partition: u32, first: u64) -> Result<()> {
        let sql = "DELETE FROM retried_letters
            WHERE client_id = $1 AND partition = $2 AND letter < $3";
        let values = values![tenant.as_str(), partition, first];
        self.write(Reach::Tenant(tenant), Purpose::Durable, sql, values)
            .await?;
        Ok(())
    }
}
