//! Heartbeats of agents.

use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta, Transaction, from_json, to_json};
use crate::model::time::DAY;
use crate::storage::{AgentPosition, AgentRow, Agents, Error, ErrorKind, MAX_AGENTS, Result};
use crate::tenancy::{AgentStatus, TenantId};

/// How long a silent agent that watches is kept.
const KEEP_WATCHING: i64 = 30 * DAY;
/// How long a silent agent that reads logs is kept.
const KEEP_READING: i64 = DAY;

#[async_trait::async_trait]
impl<D: Database> Agents for SqlMeta<D> {
    async fn put_agent(&self, tenant: &TenantId, agent: &AgentRow) -> Result<()> {
        let slot = agent.status.slot();
        let mut tx = self
            .database
            .begin(Reach::Tenant(tenant), Purpose::Replayable)
            .await?;
        forget_silent(&mut *tx, tenant, agent).await?;
        let previous = previous(&mut *tx, tenant, agent).await?;
        if previous.is_none() && count(&mut *tx, tenant).await? >= MAX_AGENTS {
            let message = format!("{tenant} has {MAX_AGENTS} agents, the maximum");
            return Err(Error::new(ErrorKind::Full, message));
        }
        let status = agent.status.clone().after(previous.as_ref());
        let sql = "INSERT INTO agents (client_id, cluster, slot, status, seen_at)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (client_id, cluster, slot)
            DO UPDATE SET status = excluded.status, seen_at = excluded.seen_at";
        let (id, text) = (tenant.as_str(), to_json(&status)?);
        tx.run(
            sql,
            values![id, &status.cluster, &slot, text, agent.seen_at],
        )
        .await?;
        tx.commit().await
    }

    async fn agents(
        &self,
        tenant: &TenantId,
        after: Option<&AgentPosition>,
        limit: usize,
    ) -> Result<Vec<AgentRow>> {
        // No cluster has an empty name: every agent is behind it.
        let (cluster, slot) = match after {
            Some(after) => (after.cluster.as_str(), after.slot.as_str()),
            None => ("", ""),
        };
        let sql = "SELECT status, seen_at FROM agents
            WHERE client_id = $1 AND (cluster > $2 OR cluster = $2 AND slot > $3)
            ORDER BY cluster, slot LIMIT $4";
        let values = values![tenant.as_str(), cluster, slot, limit as i64];
        let rows = self.read(Reach::Tenant(tenant), sql, values).await?;
        rows.into_iter()
            .map(|mut r| {
                Ok(AgentRow {
                    status: from_json(&r.text()?)?,
                    seen_at: r.time()?,
                })
            })
            .collect()
    }

    async fn forget_agents(&self, tenant: &TenantId, cluster: &str) -> Result<u64> {
        let sql = "DELETE FROM agents WHERE client_id = $1 AND cluster = $2";
        self.write(
            Reach::Tenant(tenant),
            Purpose::Replayable,
            sql,
            values![tenant.as_str(), cluster],
        )
        .await
    }
}

async fn forget_silent(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    agent: &AgentRow,
) -> Result<()> {
    let sql = "DELETE FROM agents WHERE client_id = $1
        AND seen_at < $3 AND (slot <> 'watch' OR seen_at < $2)";
    let watching = agent.seen_at.plus(-KEEP_WATCHING);
    let reading = agent.seen_at.plus(-KEEP_READING);
    tx.run(sql, values![tenant.as_str(), watching, reading])
        .await?;
    Ok(())
}

async fn count(tx: &mut dyn Transaction, tenant: &TenantId) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM agents WHERE client_id = $1";
    match tx
        .rows(sql, values![tenant.as_str()])
        .await?
        .into_iter()
        .next()
    {
        Some(mut row) => row.int(),
        None => Ok(0),
    }
}

/// The status of whichever agent had this slot last.
async fn previous(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    agent: &AgentRow,
) -> Result<Option<AgentStatus>> {
    let sql = "SELECT status FROM agents WHERE client_id = $1 AND cluster = $2 AND slot = $3";
    let values = values![tenant.as_str(), &agent.status.cluster, &agent.status.slot()];
    let row = tx.rows(sql, values).await?.into_iter().next();
    row.map(|mut r| from_json(&r.text()?)).transpose()
}
