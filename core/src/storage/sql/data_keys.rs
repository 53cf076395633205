//! Keys that encrypt the data of tenants.

use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta};
use crate::storage::{DataKey, DataKeys, Error, ErrorKind, Result};
use crate::tenancy::TenantId;

#[async_trait::async_trait]
impl<D: Database> DataKeys for SqlMeta<D> {
    async fn data_keys(&self, tenant: &TenantId) -> Result<Vec<DataKey>> {
        let sql = "SELECT client_id, key_id, wrapped, master_key, created_at FROM data_keys
            WHERE client_id = $1 ORDER BY created_at, key_id";
        let rows = self
            .read(Reach::Operator, sql, values![tenant.as_str()])
            .await?;
        rows.into_iter().map(data_key).collect()
    }

    async fn all_data_keys(&self) -> Result<Vec<DataKey>> {
        let sql = "SELECT client_id, key_id, wrapped, master_key, created_at FROM data_keys
            ORDER BY client_id, created_at, key_id";
        let rows = self.read(Reach::Operator, sql, Vec::new()).await?;
        rows.into_iter().map(data_key).collect()
    }

    async fn add_data_key(&self, key: &DataKey) -> Result<()> {
        let sql = "INSERT INTO data_keys (client_id, key_id, wrapped, master_key, created_at)
            VALUES ($1, $2, $3, $4, $5)";
        let values = values![
            &key.client_id,
            key.key_id,
            &key.wrapped,
            &key.master_key,
            key.created_at,
        ];
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        // Locks the row: a deletion that begins now removes the key, too.
        let lives = "UPDATE clients SET client_id = client_id
            WHERE client_id = $1 AND state NOT IN ('leaving', 'deleted')";
        if tx.run(lives, values![&key.client_id]).await? == 0 {
            let message = format!("{} does not exist or is being deleted", key.client_id);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        tx.run(sql, values).await?;
        tx.commit().await
    }

    async fn rewrap_data_key(&self, before: &DataKey, after: &DataKey) -> Result<bool> {
        let sql = "UPDATE data_keys SET wrapped = $4, master_key = $5
            WHERE client_id = $1 AND key_id = $2 AND wrapped = $3";
        let values = values![
            &before.client_id,
            before.key_id,
            &before.wrapped,
            &after.wrapped,
            &after.master_key,
        ];
        let changed = self.write(Reach::Operator, Purpose::Durable, sql, values);
        Ok(changed.await? > 0)
    }

    async fn erase_replaced_keys(&self) -> Result<()> {
        self.database.erase(true).await
    }

    async fn replace_tenant_secret(
        &self,
        tenant: &TenantId,
        before: &str,
        after: &str,
    ) -> Result<bool> {
        let sql = "UPDATE tenant_secrets SET secret = $3 WHERE client_id = $1 AND secret = $2";
        let values = values![tenant.as_str(), before, after];
        let changed = self.write(Reach::Operator, Purpose::Durable, sql, values);
        Ok(changed.await? > 0)
    }
}

fn data_key(mut r: Row) -> Result<DataKey> {
    let invalid = |_| {
        Error::new(
            ErrorKind::Corrupt,
            "metadata: the id of a data key is invalid",
        )
    };
    Ok(DataKey {
        client_id: r.text()?,
        key_id: u32::try_from(r.int()?).map_err(invalid)?,
        wrapped: r.text()?,
        master_key: r.text()?,
        created_at: r.time()?,
    })
}
