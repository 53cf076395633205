//! Responses by idempotency key.

use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta};
use crate::model::Time;
use crate::model::time::DAY;
use crate::storage::{Idempotency, Result};
use crate::tenancy::TenantId;

#[async_trait::async_trait]
impl<D: Database> Idempotency for SqlMeta<D> {
    async fn idempotent(
        &self,
        tenant: &TenantId,
        key: &str,
        answer: Option<&str>,
        now: Time,
    ) -> Result<Option<String>> {
        let reach = Reach::Tenant(tenant);
        let sql = "SELECT answer FROM idempotency WHERE client_id = $1 AND key = $2 AND at > $3";
        let known = self
            .read_one(reach, sql, values![tenant.as_str(), key, now.0 - DAY])
            .await?;
        let known = known.map(|mut r| r.text()).transpose()?;
        if let (None, Some(answer)) = (&known, answer) {
            let mut tx = self.database.begin(reach, Purpose::Replayable).await?;
            let sql = "INSERT INTO idempotency (client_id, key, answer, at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (client_id, key)
                DO UPDATE SET answer = excluded.answer, at = excluded.at";
            tx.run(sql, values![tenant.as_str(), key, answer, now])
                .await?;
            tx.run(
                "DELETE FROM idempotency WHERE client_id = $1 AND at < $2",
                values![tenant.as_str(), now.0 - DAY],
            )
            .await?;
            tx.commit().await?;
        }
        Ok(known)
    }
}
