//! API keys.

use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta};
use crate::model::Time;
use crate::storage::{ApiKeys, Result};
use crate::tenancy::{ApiKey, Scope};

const KEY: &str =
    "SELECT key_id, client_id, name, last4, scopes, created_at, expires_at, revoked_at
    FROM api_keys WHERE hash = $1";
const KEYS: &str =
    "SELECT key_id, client_id, name, last4, scopes, created_at, expires_at, revoked_at
    FROM api_keys WHERE client_id IS NOT DISTINCT FROM $1 ORDER BY created_at, key_id";

#[async_trait::async_trait]
impl<D: Database> ApiKeys for SqlMeta<D> {
    async fn put_key(&self, key: &ApiKey, hash: &str) -> Result<()> {
        let scopes = key
            .scopes
            .iter()
            .map(|s| s.as_str())
            .collect::<Vec<_>>()
            .join(",");
        let sql = "INSERT INTO api_keys (key_id, client_id, hash, name, last4, scopes, created_at,
                expires_at, revoked_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL) ON CONFLICT (hash) DO NOTHING";
        let values = values![
            &key.key_id,
            &key.client_id,
            hash,
            &key.name,
            &key.last4,
            scopes,
            key.created_at,
            key.expires_at
        ];
        self.write(Reach::Operator, Purpose::Durable, sql, values)
            .await?;
        Ok(())
    }

    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>> {
        self.read_one(Reach::Operator, KEY, values![hash])
            .await?
            .map(key)
            .transpose()
    }

    async fn keys(&self, tenant_id: Option<&str>) -> Result<Vec<ApiKey>> {
        self.read(Reach::Operator, KEYS, values![tenant_id])
            .await?
            .into_iter()
            .map(key)
            .collect()
    }

    async fn revoke_key(&self, tenant_id: Option<&str>, key_id: &str, now: Time) -> Result<bool> {
        let sql = "UPDATE api_keys SET revoked_at = $3
            WHERE key_id = $2 AND client_id IS NOT DISTINCT FROM $1 AND revoked_at IS NULL";
        Ok(self
            .write(
                Reach::Operator,
                Purpose::Durable,
                sql,
                values![tenant_id, key_id, now],
            )
            .await?
            > 0)
    }

    async fn expire_key(&self, tenant_id: Option<&str>, key_id: &str, at: Time) -> Result<bool> {
        let sql = "UPDATE api_keys SET expires_at = $3
            WHERE key_id = $2 AND client_id IS NOT DISTINCT FROM $1 AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > $3)";
        Ok(self
            .write(
                Reach::Operator,
                Purpose::Durable,
                sql,
                values![tenant_id, key_id, at],
            )
            .await?
            > 0)
    }
}

fn key(mut r: Row) -> Result<ApiKey> {
    Ok(ApiKey {
        key_id: r.text()?,
        client_id: r.maybe_text()?,
        name: r.text()?,
        last4: r.text()?,
        scopes: r.text()?.split(',').filter_map(Scope::parse).collect(),
        created_at: r.time()?,
        expires_at: r.maybe_time()?,
        revoked_at: r.maybe_time()?,
    })
}
