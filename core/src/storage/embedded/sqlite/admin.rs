//! Tenants, keys and the audit log.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{SqliteMeta, failed};
use crate::model::Time;
use crate::storage::{Admin, ApiKey, Audit, Client, ClientState, Result, Scope};

#[async_trait::async_trait]
impl Admin for SqliteMeta {
    async fn put_client(&self, c: &Client) -> Result<()> {
        let sql = "INSERT INTO clients (client_id, name, plan, state, contact_email, created_at, deleted_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (client_id) DO UPDATE SET
            name = excluded.name, plan = excluded.plan, state = excluded.state, contact_email = excluded.contact_email,
            deleted_at = excluded.deleted_at";
        sqlx::query(sql)
            .bind(&c.client_id)
            .bind(&c.name)
            .bind(&c.plan)
            .bind(c.state.as_str())
            .bind(&c.contact_email)
            .bind(c.created_at.0)
            .bind(c.deleted_at.map(|t| t.0))
            .execute(&self.admin)
            .await
            .map_err(|e| failed(&e))?;
        Ok(())
    }

    async fn client(&self, client_id: &str) -> Result<Option<Client>> {
        let row = sqlx::query("SELECT * FROM clients WHERE client_id = $1").bind(client_id).fetch_optional(&self.engine).await;
        Ok(row.map_err(|e| failed(&e))?.map(|r| client(&r)))
    }

    async fn list_clients(&self) -> Result<Vec<Client>> {
        let rows =
            sqlx::query("SELECT * FROM clients ORDER BY client_id").fetch_all(&self.engine).await.map_err(|e| failed(&e))?;
        Ok(rows.iter().map(client).collect())
    }

    async fn put_key(&self, key: &ApiKey, hash: &str) -> Result<()> {
        let scopes = key.scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",");
        let sql = "INSERT INTO api_keys (key_id, client_id, hash, name, last4, scopes, created_at, revoked_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)";
        sqlx::query(sql)
            .bind(&key.key_id)
            .bind(&key.client_id)
            .bind(hash)
            .bind(&key.name)
            .bind(&key.last4)
            .bind(scopes)
            .bind(key.created_at.0)
            .execute(&self.admin)
            .await
            .map_err(|e| failed(&e))?;
        Ok(())
    }

    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>> {
        let row = sqlx::query("SELECT * FROM api_keys WHERE hash = $1").bind(hash).fetch_optional(&self.engine).await;
        Ok(row.map_err(|e| failed(&e))?.map(|r| key(&r)))
    }

    async fn keys(&self, client_id: Option<&str>) -> Result<Vec<ApiKey>> {
        let sql = "SELECT * FROM api_keys WHERE client_id IS $1 ORDER BY created_at, key_id";
        let rows = sqlx::query(sql).bind(client_id).fetch_all(&self.engine).await.map_err(|e| failed(&e))?;
        Ok(rows.iter().map(key).collect())
    }

    async fn revoke_key(&self, client_id: Option<&str>, key_id: &str, now: Time) -> Result<bool> {
        let sql = "UPDATE api_keys SET revoked_at = $3 WHERE key_id = $2 AND client_id IS $1 AND revoked_at IS NULL";
        let done =
            sqlx::query(sql).bind(client_id).bind(key_id).bind(now.0).execute(&self.admin).await.map_err(|e| failed(&e))?;
        Ok(done.rows_affected() > 0)
    }

    async fn feedback(&self) -> Result<Vec<Option<u32>>> {
        let sql = "SELECT place FROM feedback ORDER BY client_id, number";
        let rows = sqlx::query(sql).fetch_all(&self.engine).await.map_err(|e| failed(&e))?;
        Ok(rows.iter().map(|r| r.get("place")).collect())
    }

    async fn audit(&self, a: &Audit) -> Result<()> {
        let sql = "INSERT INTO audit_log (at, actor, action, target) VALUES ($1, $2, $3, $4)";
        let query = sqlx::query(sql).bind(a.at.0).bind(&a.actor).bind(&a.action).bind(&a.target);
        query.execute(&self.admin).await.map_err(|e| failed(&e))?;
        Ok(())
    }

    async fn check(&self) -> Result<String> {
        let row = sqlx::query("SELECT sqlite_version()").fetch_one(&self.engine).await.map_err(|e| failed(&e))?;
        // Takes the write lock, so that a file that cannot be written is noticed.
        sqlx::query("DELETE FROM idempotency WHERE at < 0").execute(&self.admin).await.map_err(|e| failed(&e))?;
        Ok(format!("SQLite {}", row.get::<String, _>(0)))
    }
}

fn client(row: &SqliteRow) -> Client {
    Client {
        client_id: row.get("client_id"),
        name: row.get("name"),
        plan: row.get("plan"),
        state: ClientState::parse(row.get("state")).unwrap_or(ClientState::Suspended),
        contact_email: row.get("contact_email"),
        created_at: Time(row.get("created_at")),
        deleted_at: row.get::<Option<i64>, _>("deleted_at").map(Time),
    }
}

fn key(row: &SqliteRow) -> ApiKey {
    ApiKey {
        key_id: row.get("key_id"),
        client_id: row.get("client_id"),
        name: row.get("name"),
        last4: row.get("last4"),
        scopes: row.get::<&str, _>("scopes").split(',').filter_map(Scope::parse).collect(),
        created_at: Time(row.get("created_at")),
        revoked_at: row.get::<Option<i64>, _>("revoked_at").map(Time),
    }
}
