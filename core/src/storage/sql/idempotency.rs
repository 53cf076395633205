//! Responses by idempotency key. An empty response is that of a request under way.

use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta};
use crate::model::Time;
use crate::model::time::DAY;
use crate::storage::{Idempotency, PENDING, Reserved, Result};
use crate::tenancy::TenantId;

/// How many keys one transaction removes: others wait for it meanwhile.
const BATCH: u64 = 1000;

const REMOVE_OLD: &str = "DELETE FROM idempotency WHERE client_id = $1 AND key IN (
    SELECT key FROM idempotency WHERE client_id = $1 AND at < $2 ORDER BY at LIMIT $3)";

#[async_trait::async_trait]
impl<D: Database> Idempotency for SqlMeta<D> {
    async fn reserve(&self, tenant: &TenantId, key: &str, now: Time) -> Result<Reserved> {
        let reach = Reach::Tenant(tenant);
        let (expired, abandoned) = (now.plus(-DAY), now.plus(-PENDING));
        let mut tx = self.database.begin(reach, Purpose::Replayable).await?;
        let sql = "INSERT INTO idempotency (client_id, key, answer, at) VALUES ($1, $2, '', $3)
            ON CONFLICT (client_id, key) DO UPDATE SET answer = '', at = excluded.at
            WHERE idempotency.at <= $4 OR (idempotency.answer = '' AND idempotency.at <= $5)
            RETURNING at";
        let values = values![tenant.as_str(), key, now, expired, abandoned];
        if !tx.rows(sql, values).await?.is_empty() {
            tx.run(REMOVE_OLD, values![tenant.as_str(), expired, BATCH])
                .await?;
            tx.commit().await?;
            return Ok(Reserved::New);
        }
        let sql = "SELECT answer FROM idempotency WHERE client_id = $1 AND key = $2";
        let rows = tx.rows(sql, values![tenant.as_str(), key]).await?;
        tx.commit().await?;
        Ok(match rows.into_iter().next() {
            Some(mut row) => match row.text()? {
                answer if answer.is_empty() => Reserved::Pending,
                answer => Reserved::Answered(answer),
            },
            // Released in between: the caller tries again.
            None => Reserved::Pending,
        })
    }

    async fn trim_repeats(&self, tenant: &TenantId, keep: u64) -> Result<()> {
        let reach = Reach::Tenant(tenant);
        let sql = "SELECT at FROM idempotency WHERE client_id = $1
            ORDER BY at DESC LIMIT 1 OFFSET $2";
        let values = values![tenant.as_str(), keep.saturating_sub(1)];
        let Some(mut oldest) = self.read_one(reach, sql, values).await? else {
            return Ok(());
        };
        let oldest = oldest.int()?;
        loop {
            let values = values![tenant.as_str(), oldest, BATCH];
            let removed = self
                .write(reach, Purpose::Replayable, REMOVE_OLD, values)
                .await?;
            if removed < BATCH {
                return Ok(());
            }
        }
    }

    async fn answer_repeats(
        &self,
        tenant: &TenantId,
        key: &str,
        answer: &str,
        now: Time,
    ) -> Result<()> {
        let sql = "UPDATE idempotency SET answer = $3, at = $4 WHERE client_id = $1 AND key = $2";
        let values = values![tenant.as_str(), key, answer, now];
        self.write(Reach::Tenant(tenant), Purpose::Replayable, sql, values)
            .await?;
        Ok(())
    }

    async fn release_key(&self, tenant: &TenantId, key: &str) -> Result<()> {
        let sql = "DELETE FROM idempotency WHERE client_id = $1 AND key = $2 AND answer = ''";
        let values = values![tenant.as_str(), key];
        self.write(Reach::Tenant(tenant), Purpose::Replayable, sql, values)
            .await?;
        Ok(())
    }
}
