//! Tenants and their plans.

use super::audit::append;
use super::job::put_jobs;
use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, Value, from_json, to_json};
use crate::jobs::NewJob;
use crate::model::Time;
use crate::storage::{Error, ErrorKind, Result, Tenants};
use crate::tenancy::{Audit, Tenant, TenantId, TenantState};

const TENANT: &str = "SELECT client_id, name, plan, state, contact_email, created_at, deleted_at,
    partitions, limits FROM clients WHERE client_id = $1";
const TENANTS: &str = "SELECT client_id, name, plan, state, contact_email, created_at, deleted_at,
    partitions, limits FROM clients ORDER BY client_id";
const SUBSCRIBE: &str = "INSERT INTO subscriptions (client_id, since, plan) VALUES ($1, $2, $3)
    ON CONFLICT (client_id, since) DO UPDATE SET plan = excluded.plan";

/// Deletes a tenant's data.
const FORGET_DATA: [&str; 20] = [
    "DELETE FROM api_keys WHERE client_id = $1",
    "DELETE FROM leases WHERE client_id = $1",
    "DELETE FROM offsets WHERE client_id = $1",
    "DELETE FROM skipped_records WHERE client_id = $1",
    "DELETE FROM clusters WHERE client_id = $1",
    "DELETE FROM answers WHERE client_id = $1",
    "DELETE FROM incident_events WHERE client_id = $1",
    "DELETE FROM incidents WHERE client_id = $1",
    "DELETE FROM incident_numbers WHERE client_id = $1",
    "DELETE FROM idempotency WHERE client_id = $1",
    "DELETE FROM retried_letters WHERE client_id = $1",
    "DELETE FROM feedback WHERE client_id = $1",
    "DELETE FROM notify_settings WHERE client_id = $1",
    "DELETE FROM silences WHERE client_id = $1",
    "DELETE FROM deliveries WHERE client_id = $1",
    "DELETE FROM agents WHERE client_id = $1",
    "DELETE FROM graph_places WHERE client_id = $1",
    "DELETE FROM tenant_secrets WHERE client_id = $1",
    // The deletion itself runs as a job.
    "DELETE FROM jobs WHERE client_id = $1 AND kind <> 'saga.run'",
    "DELETE FROM job_turns WHERE client_id = $1",
];
/// Deletes what its data is encrypted with.
const FORGET_KEYS: &str = "DELETE FROM data_keys WHERE client_id = $1";
/// Deletes its row and what is billed by.
const FORGET_ROW: [&str; 3] = [
    "DELETE FROM subscriptions WHERE client_id = $1",
    "DELETE FROM usage_metrics WHERE client_id = $1",
    "DELETE FROM clients WHERE client_id = $1",
];

#[async_trait::async_trait]
impl<D: Database> Tenants for SqlMeta<D> {
    async fn tenant_secret(&self, tenant: &TenantId, fresh: &str) -> Result<String> {
        // Of two daemons that make one at once, both read the first.
        let sql = "INSERT INTO tenant_secrets (client_id, secret) VALUES ($1, $2)
            ON CONFLICT (client_id) DO UPDATE SET secret = tenant_secrets.secret RETURNING secret";
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        let rows = tx.rows(sql, values![tenant.as_str(), fresh]).await?;
        tx.commit().await?;
        let missing = || Error::new(ErrorKind::Corrupt, "a tenant's secret was not stored");
        let mut row = rows.into_iter().next().ok_or_else(missing)?;
        row.text()
    }

    async fn put_tenant(&self, tenant: &Tenant) -> Result<()> {
        let sql = "INSERT INTO clients (client_id, name, plan, state, contact_email, created_at,
                deleted_at, partitions, limits)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (client_id) DO UPDATE SET
                name = excluded.name, plan = excluded.plan, state = excluded.state,
                contact_email = excluded.contact_email, deleted_at = excluded.deleted_at,
                partitions = excluded.partitions, limits = excluded.limits";
        self.write(Reach::Operator, Purpose::Durable, sql, columns(tenant)?)
            .await?;
        Ok(())
    }

    async fn set_tenant_state(
        &self,
        tenant: &TenantId,
        state: TenantState,
        deleted_at: Option<Time>,
    ) -> Result<()> {
        let sql = "UPDATE clients SET state = $2, deleted_at = $3 WHERE client_id = $1";
        let values = values![tenant.as_str(), state.as_str(), deleted_at];
        self.write(Reach::Operator, Purpose::Durable, sql, values)
            .await?;
        Ok(())
    }

    async fn change_tenant(
        &self,
        before: &Tenant,
        after: &Tenant,
        audit: &Audit,
        jobs: &[NewJob],
    ) -> Result<()> {
        let sql = "UPDATE clients SET name = $2, plan = $3, state = $4, contact_email = $5,
                created_at = $6, deleted_at = $7, partitions = $8, limits = $9
            WHERE client_id = $1 AND name = $10 AND plan = $11 AND state = $12
                AND contact_email = $13 AND created_at = $14
                AND deleted_at IS NOT DISTINCT FROM $15 AND partitions = $16
                AND limits IS NOT DISTINCT FROM $17";
        let mut values = columns(after)?;
        values.extend(columns(before)?.into_iter().skip(1));
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        if tx.run(sql, values).await? == 0 {
            let id = &before.client_id;
            let message = format!("{id} was changed by another request at the same time");
            return Err(Error::new(ErrorKind::Conflict, message).hint("retry"));
        }
        if after.plan != before.plan {
            let values = values![&after.client_id, audit.at, &after.plan];
            tx.run(SUBSCRIBE, values).await?;
        }
        append(&mut *tx, audit, self.signer()).await?;
        put_jobs(&mut *tx, jobs).await?;
        tx.commit().await
    }

    async fn tenant(&self, tenant_id: &str) -> Result<Option<Tenant>> {
        self.read_one(Reach::Operator, TENANT, values![tenant_id])
            .await?
            .map(tenant)
            .transpose()
    }

    async fn list_tenants(&self) -> Result<Vec<Tenant>> {
        let rows = self.read(Reach::Operator, TENANTS, Vec::new()).await?;
        rows.into_iter().map(tenant).collect()
    }

    async fn subscribe(&self, tenant: &TenantId, plan: &str, since: Time) -> Result<()> {
        let values = values![tenant.as_str(), since, plan];
        self.write(Reach::Operator, Purpose::Durable, SUBSCRIBE, values)
            .await?;
        Ok(())
    }

    async fn forget_tenant(&self, tenant: &TenantId, and_its_row: bool) -> Result<()> {
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        for sql in FORGET_DATA {
            tx.run(sql, values![tenant.as_str()]).await?;
        }
        let keys = tx.run(FORGET_KEYS, values![tenant.as_str()]).await?;
        if and_its_row {
            for sql in FORGET_ROW {
                tx.run(sql, values![tenant.as_str()]).await?;
            }
        }
        tx.commit().await?;
        // Only keys are worth waiting for whoever reads the database.
        self.database.erase(keys > 0).await
    }
}

/// The columns of a tenant's row in the order of the statements above.
fn columns(tenant: &Tenant) -> Result<Vec<Value>> {
    let limits = if tenant.limits.is_empty() {
        None
    } else {
        Some(to_json(&tenant.limits)?)
    };
    Ok(values![
        &tenant.client_id,
        &tenant.name,
        &tenant.plan,
        tenant.state.as_str(),
        &tenant.contact_email,
        tenant.created_at,
        tenant.deleted_at,
        tenant.partitions,
        &limits,
    ])
}

fn tenant(mut r: Row) -> Result<Tenant> {
    Ok(Tenant {
        client_id: r.text()?,
        name: r.text()?,
        plan: r.text()?,
        // A tenant in a state that this version does not know is not served.
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
