//! What belongs to the operator: tenants, keys, daemons, places of graphs.

use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, from_json, to_json};
use crate::model::Time;
use crate::storage::{Admin, DaemonRow, Error, ErrorKind, NewJob, Result};
use crate::tenancy::{ApiKey, Audit, AuditEntry, Saga, Scope, Tenant, TenantId, TenantState};

const CLIENT: &str =
    "SELECT client_id, name, plan, state, contact_email, created_at, deleted_at, partitions, limits
    FROM clients WHERE client_id = $1";
const CLIENTS: &str =
    "SELECT client_id, name, plan, state, contact_email, created_at, deleted_at, partitions, limits
    FROM clients ORDER BY client_id";
const KEY: &str =
    "SELECT key_id, client_id, name, last4, scopes, created_at, expires_at, revoked_at
    FROM api_keys WHERE hash = $1";
const KEYS: &str =
    "SELECT key_id, client_id, name, last4, scopes, created_at, expires_at, revoked_at
    FROM api_keys WHERE client_id IS NOT DISTINCT FROM $1 ORDER BY created_at, key_id";

/// What a tenant leaves behind besides the row itself, what it owes and what was done to it.
const FORGOTTEN: [&str; 14] = [
    "DELETE FROM api_keys WHERE client_id = $1",
    "DELETE FROM leases WHERE client_id = $1",
    "DELETE FROM offsets WHERE client_id = $1",
    "DELETE FROM clusters WHERE client_id = $1",
    "DELETE FROM answers WHERE client_id = $1",
    "DELETE FROM incident_events WHERE client_id = $1",
    "DELETE FROM incidents WHERE client_id = $1",
    "DELETE FROM incident_numbers WHERE client_id = $1",
    "DELETE FROM idempotency WHERE client_id = $1",
    "DELETE FROM feedback WHERE client_id = $1",
    "DELETE FROM agents WHERE client_id = $1",
    "DELETE FROM graph_places WHERE client_id = $1",
    // The deletion itself runs as a job.
    "DELETE FROM jobs WHERE client_id = $1 AND kind <> 'saga.run'",
    "DELETE FROM job_turns WHERE client_id = $1",
];

#[async_trait::async_trait]
impl<D: Database> Admin for SqlMeta<D> {
    async fn put_tenant(&self, c: &Tenant) -> Result<()> {
        let sql = "INSERT INTO clients
            (client_id, name, plan, state, contact_email, created_at, deleted_at, partitions, limits)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (client_id) DO UPDATE SET
            name = excluded.name, plan = excluded.plan, state = excluded.state, contact_email = excluded.contact_email,
            deleted_at = excluded.deleted_at, partitions = excluded.partitions, limits = excluded.limits";
        let limits = if c.limits.is_empty() {
            None
        } else {
            Some(to_json(&c.limits)?)
        };
        let values = values![
            &c.client_id,
            &c.name,
            &c.plan,
            c.state.as_str(),
            &c.contact_email,
            c.created_at,
            c.deleted_at,
            c.partitions,
            &limits,
        ];
        self.write(Reach::Operator, Purpose::Kept, sql, values)
            .await?;
        Ok(())
    }

    async fn tenant(&self, client_id: &str) -> Result<Option<Tenant>> {
        self.read_one(Reach::Operator, CLIENT, values![client_id])
            .await?
            .map(client)
            .transpose()
    }

    async fn list_tenants(&self) -> Result<Vec<Tenant>> {
        self.read(Reach::Operator, CLIENTS, Vec::new())
            .await?
            .into_iter()
            .map(client)
            .collect()
    }

    async fn subscribe(&self, tenant: &TenantId, plan: &str, since: Time) -> Result<()> {
        let sql = "INSERT INTO subscriptions (client_id, since, plan) VALUES ($1, $2, $3)
            ON CONFLICT (client_id, since) DO UPDATE SET plan = excluded.plan";
        self.write(
            Reach::Operator,
            Purpose::Kept,
            sql,
            values![tenant.as_str(), since, plan],
        )
        .await?;
        Ok(())
    }

    async fn forget_tenant(&self, tenant: &TenantId, and_its_row: bool) -> Result<()> {
        let mut tx = self.0.begin(Reach::Operator, Purpose::Kept).await?;
        for sql in FORGOTTEN {
            tx.run(sql, values![tenant.as_str()]).await?;
        }
        if and_its_row {
            tx.run(
                "DELETE FROM subscriptions WHERE client_id = $1",
                values![tenant.as_str()],
            )
            .await?;
            tx.run(
                "DELETE FROM usage_metrics WHERE client_id = $1",
                values![tenant.as_str()],
            )
            .await?;
            tx.run(
                "DELETE FROM clients WHERE client_id = $1",
                values![tenant.as_str()],
            )
            .await?;
        }
        tx.commit().await
    }

    async fn put_key(&self, key: &ApiKey, hash: &str) -> Result<()> {
        let scopes = key
            .scopes
            .iter()
            .map(|s| s.as_str())
            .collect::<Vec<_>>()
            .join(",");
        let sql = "INSERT INTO api_keys (key_id, client_id, hash, name, last4, scopes, created_at, expires_at, revoked_at)
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
        self.write(Reach::Operator, Purpose::Kept, sql, values)
            .await?;
        Ok(())
    }

    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>> {
        self.read_one(Reach::Operator, KEY, values![hash])
            .await?
            .map(key)
            .transpose()
    }

    async fn keys(&self, client_id: Option<&str>) -> Result<Vec<ApiKey>> {
        self.read(Reach::Operator, KEYS, values![client_id])
            .await?
            .into_iter()
            .map(key)
            .collect()
    }

    async fn revoke_key(&self, client_id: Option<&str>, key_id: &str, now: Time) -> Result<bool> {
        let sql = "UPDATE api_keys SET revoked_at = $3 WHERE key_id = $2 AND client_id IS NOT DISTINCT FROM $1
            AND revoked_at IS NULL";
        Ok(self
            .write(
                Reach::Operator,
                Purpose::Kept,
                sql,
                values![client_id, key_id, now],
            )
            .await?
            > 0)
    }

    async fn expire_key(&self, client_id: Option<&str>, key_id: &str, at: Time) -> Result<bool> {
        let sql = "UPDATE api_keys SET expires_at = $3 WHERE key_id = $2 AND client_id IS NOT DISTINCT FROM $1
            AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)";
        Ok(self
            .write(
                Reach::Operator,
                Purpose::Kept,
                sql,
                values![client_id, key_id, at],
            )
            .await?
            > 0)
    }

    async fn feedback(&self) -> Result<Vec<Option<u32>>> {
        let rows = self
            .read(
                Reach::Operator,
                "SELECT place FROM feedback ORDER BY client_id, number",
                Vec::new(),
            )
            .await?;
        rows.into_iter()
            .map(|mut r| Ok(r.maybe_int()?.map(|place| place as u32)))
            .collect()
    }

    async fn audit(&self, audit: &Audit) -> Result<()> {
        self.write_audit(audit).await
    }

    async fn audit_log(
        &self,
        client_id: Option<&str>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        self.read_audit(client_id, after, limit).await
    }

    async fn put_saga(&self, saga: &Saga, jobs: &[NewJob]) -> Result<()> {
        self.write_saga(saga, jobs).await
    }

    async fn saga(&self, saga_id: &str) -> Result<Option<Saga>> {
        self.read_saga(saga_id).await
    }

    async fn sagas(&self, client_id: Option<&str>) -> Result<Vec<Saga>> {
        self.read_sagas(client_id).await
    }

    async fn claim_saga(&self, saga_id: &str, owner: &str, until: Time, now: Time) -> Result<bool> {
        self.take_saga(saga_id, owner, until, now).await
    }

    async fn beat(&self, d: &DaemonRow) -> Result<()> {
        let sql = "INSERT INTO daemons (owner, address, roles, version, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (owner) DO UPDATE SET address = excluded.address, roles = excluded.roles, version = excluded.version,
            started_at = excluded.started_at, seen_at = excluded.seen_at";
        let values = values![
            &d.owner,
            &d.address,
            &d.roles,
            &d.version,
            d.started_at,
            d.seen_at
        ];
        let mut tx = self.0.begin(Reach::Operator, Purpose::Replayed).await?;
        tx.run(sql, values).await?;
        // Long gone: nobody is told of them.
        tx.run(
            "DELETE FROM daemons WHERE seen_at < $1",
            values![d.seen_at.plus(-crate::model::time::DAY)],
        )
        .await?;
        tx.commit().await
    }

    async fn leave(&self, owner: &str) -> Result<()> {
        self.write(
            Reach::Operator,
            Purpose::Replayed,
            "DELETE FROM daemons WHERE owner = $1",
            values![owner],
        )
        .await?;
        Ok(())
    }

    async fn daemons(&self, since: Time) -> Result<Vec<DaemonRow>> {
        let sql = "SELECT owner, address, roles, version, started_at, seen_at FROM daemons WHERE seen_at >= $1 ORDER BY owner";
        let rows = self.read(Reach::Operator, sql, values![since]).await?;
        rows.into_iter()
            .map(|mut r| {
                let (owner, address, roles, version) = (r.text()?, r.text()?, r.text()?, r.text()?);
                Ok(DaemonRow {
                    owner,
                    address,
                    roles,
                    version,
                    started_at: r.time()?,
                    seen_at: r.time()?,
                })
            })
            .collect()
    }

    async fn graph_place(&self, tenant: &TenantId) -> Result<Option<String>> {
        let sql = "SELECT server FROM graph_places WHERE client_id = $1";
        self.read_one(Reach::Operator, sql, values![tenant.as_str()])
            .await?
            .map(|mut r| r.text())
            .transpose()
    }

    async fn graph_places(&self) -> Result<Vec<(String, String)>> {
        let sql = "SELECT client_id, server FROM graph_places ORDER BY client_id";
        let rows = self.read(Reach::Operator, sql, Vec::new()).await?;
        rows.into_iter()
            .map(|mut r| Ok((r.text()?, r.text()?)))
            .collect()
    }

    async fn put_graph_place(
        &self,
        tenant: &TenantId,
        server: Option<&str>,
        alone: bool,
    ) -> Result<()> {
        let mut tx = self.0.begin(Reach::Operator, Purpose::Kept).await?;
        tx.run(
            "DELETE FROM graph_places WHERE client_id = $1",
            values![tenant.as_str()],
        )
        .await?;
        if let Some(server) = server {
            // The key of a server that holds one tenant is its own name: a second tenant collides.
            let slot = if alone { server } else { tenant.as_str() };
            let sql = "INSERT INTO graph_places (client_id, server, slot) VALUES ($1, $2, $3)";
            tx.run(sql, values![tenant.as_str(), server, slot]).await?;
        }
        tx.commit().await
    }

    async fn now(&self) -> Result<Option<Time>> {
        self.0.now().await
    }

    async fn check(&self) -> Result<String> {
        let version = self.0.version().await?;
        // Takes a lock for writing, so that a store that can only be read is noticed.
        let mut tx = self.0.begin(Reach::Operator, Purpose::Kept).await?;
        tx.run("DELETE FROM daemons WHERE seen_at < $1", values![0_i64])
            .await?;
        tx.commit().await?;
        Ok(version)
    }
}

fn client(mut r: Row) -> Result<Tenant> {
    Ok(Tenant {
        client_id: r.text()?,
        name: r.text()?,
        plan: r.text()?,
        // What this version does not know is not served.
        state: TenantState::parse(&r.text()?).unwrap_or(TenantState::Suspended),
        contact_email: r.text()?,
        created_at: r.time()?,
        deleted_at: r.maybe_time()?,
        partitions: r.int()? as u32,
        limits: r
            .maybe_text()?
            .map(|text| from_json(&text))
            .transpose()?
            .unwrap_or_default(),
    })
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

/// The error of a row that must be there.
pub(super) fn missing(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("metadata: {what} is missing"))
}
