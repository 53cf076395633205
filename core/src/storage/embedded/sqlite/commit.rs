//! What a batch changed, in one transaction.

use std::collections::BTreeMap;

use sqlx::{Row, Sqlite, Transaction};

use super::{SqliteMeta, failed, to_json};
use crate::storage::{Commit, Error, ErrorKind, IncidentRow, Result, Tenant};

/// How many of an incident's earlier answers are kept for questions about the past.
const ANSWERS_KEPT: i64 = 200;

impl SqliteMeta {
    pub(super) async fn write_commit(&self, tenant: &Tenant, partition: u32, commit: Commit) -> Result<()> {
        let mut tx = self.engine.begin().await.map_err(|e| failed(&e))?;
        fence(&mut tx, tenant, partition, commit.epoch).await?;
        for offset in &commit.offsets {
            let sql = "INSERT INTO offsets (client_id, topic, partition, next) VALUES ($1, $2, $3, $4)
                ON CONFLICT (client_id, topic, partition) DO UPDATE SET next = excluded.next";
            let query = sqlx::query(sql).bind(tenant.as_str()).bind(offset.stream.topic.as_str());
            let query = query.bind(i64::from(offset.stream.partition)).bind(offset.next as i64);
            query.execute(&mut *tx).await.map_err(|e| failed(&e))?;
        }
        for cluster in &commit.clusters {
            let sql = "INSERT INTO clusters (client_id, cluster, state, last_record) VALUES ($1, $2, $3, $4)
                ON CONFLICT (client_id, cluster) DO UPDATE SET state = excluded.state, last_record = excluded.last_record";
            let query =
                sqlx::query(sql).bind(tenant.as_str()).bind(&cluster.cluster).bind(&cluster.state).bind(cluster.last_record.0);
            query.execute(&mut *tx).await.map_err(|e| failed(&e))?;
        }
        add_usage(&mut tx, tenant, &commit.usage).await?;
        incidents(&mut tx, tenant, &commit).await?;
        tx.commit().await.map_err(|e| failed(&e))
    }

    pub(super) async fn write_usage(&self, tenant: &Tenant, usage: &BTreeMap<(String, String), i64>) -> Result<()> {
        let mut tx = self.engine.begin().await.map_err(|e| failed(&e))?;
        add_usage(&mut tx, tenant, usage).await?;
        tx.commit().await.map_err(|e| failed(&e))
    }

    pub(super) async fn reserve_numbers(&self, tenant: &Tenant, keys: &[u64]) -> Result<BTreeMap<u64, i64>> {
        let mut tx = self.engine.begin().await.map_err(|e| failed(&e))?;
        let mut numbers = BTreeMap::new();
        for key in keys {
            let sql = "INSERT INTO incidents (client_id, number, key)
                SELECT $1, COALESCE(MAX(number), 0) + 1, $2 FROM incidents WHERE client_id = $1 HAVING true
                ON CONFLICT (client_id, key) DO UPDATE SET key = excluded.key RETURNING number";
            let row =
                sqlx::query(sql).bind(tenant.as_str()).bind(*key as i64).fetch_one(&mut *tx).await.map_err(|e| failed(&e))?;
            numbers.insert(*key, row.get(0));
        }
        tx.commit().await.map_err(|e| failed(&e))?;
        Ok(numbers)
    }
}

/// Refuses writers whose lease has passed to somebody else.
async fn fence(tx: &mut Transaction<'_, Sqlite>, tenant: &Tenant, partition: u32, epoch: i64) -> Result<()> {
    // An update first: it takes the write lock, so that the epoch cannot change before the commit.
    let sql = "UPDATE leases SET epoch = epoch WHERE client_id = $1 AND partition = $2 AND epoch = $3";
    let done = sqlx::query(sql).bind(tenant.as_str()).bind(i64::from(partition)).bind(epoch).execute(&mut **tx).await;
    if done.map_err(|e| failed(&e))?.rows_affected() == 0 {
        return Err(Error::new(ErrorKind::Fenced, format!("{tenant} partition {partition}: epoch {epoch} has passed")));
    }
    Ok(())
}

async fn add_usage(tx: &mut Transaction<'_, Sqlite>, tenant: &Tenant, usage: &BTreeMap<(String, String), i64>) -> Result<()> {
    for ((day, metric), amount) in usage {
        let sql = "INSERT INTO usage_metrics (client_id, day, metric, amount) VALUES ($1, $2, $3, $4)
            ON CONFLICT (client_id, day, metric) DO UPDATE SET amount = usage_metrics.amount + excluded.amount";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(day).bind(metric).bind(*amount);
        query.execute(&mut **tx).await.map_err(|e| failed(&e))?;
    }
    Ok(())
}

async fn incidents(tx: &mut Transaction<'_, Sqlite>, tenant: &Tenant, commit: &Commit) -> Result<()> {
    for row in &commit.incidents {
        write_row(tx, tenant, row).await?;
    }
    for (key, transition) in &commit.transitions {
        let sql = "INSERT INTO incident_events (client_id, number, event)
            SELECT $1, number, $3 FROM incidents WHERE client_id = $1 AND key = $2";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(*key as i64).bind(to_json(transition)?);
        query.execute(&mut **tx).await.map_err(|e| failed(&e))?;
    }
    for row in &commit.answers {
        let sql = "INSERT INTO answers (client_id, number, scorer, at, answer)
            SELECT $1, number, $3, $4, $5 FROM incidents WHERE client_id = $1 AND key = $2
            ON CONFLICT (client_id, number, scorer, at) DO UPDATE SET answer = excluded.answer";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(row.key as i64).bind(row.scorer.as_str());
        query.bind(row.answer.window.to.0).bind(to_json(&row.answer)?).execute(&mut **tx).await.map_err(|e| failed(&e))?;
        let sql = "DELETE FROM answers WHERE client_id = $1 AND scorer = $3
            AND number = (SELECT number FROM incidents WHERE client_id = $1 AND key = $2)
            AND at <= (SELECT at FROM answers a WHERE a.client_id = $1 AND a.scorer = $3 AND a.number = answers.number
                ORDER BY at DESC LIMIT 1 OFFSET $4)";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(row.key as i64).bind(row.scorer.as_str()).bind(ANSWERS_KEPT);
        query.execute(&mut **tx).await.map_err(|e| failed(&e))?;
    }
    Ok(())
}

async fn write_row(tx: &mut Transaction<'_, Sqlite>, tenant: &Tenant, row: &IncidentRow) -> Result<()> {
    let mut row = row.clone();
    if row.component.is_none() {
        keep_headline(tx, tenant, &mut row).await?;
    }
    let row = &row;
    let sql = "UPDATE incidents SET row = $3, state = $4, severity = $5, cluster = $6, component = $7, namespace = $8,
        started_at = $9 WHERE client_id = $1 AND key = $2";
    sqlx::query(sql)
        .bind(tenant.as_str())
        .bind(row.key as i64)
        .bind(to_json(row)?)
        .bind(row.state.as_str())
        .bind(row.severity as i64)
        .bind(&row.cluster)
        .bind(&row.component)
        .bind(&row.namespace)
        .bind(row.started_at.0)
        .execute(&mut **tx)
        .await
        .map_err(|e| failed(&e))?;
    Ok(())
}

/// An incident that is over is not ranked again: what was said last stays.
async fn keep_headline(tx: &mut Transaction<'_, Sqlite>, tenant: &Tenant, row: &mut IncidentRow) -> Result<()> {
    let sql = "SELECT row FROM incidents WHERE client_id = $1 AND key = $2 AND row IS NOT NULL";
    let query = sqlx::query(sql).bind(tenant.as_str()).bind(row.key as i64);
    if let Some(found) = query.fetch_optional(&mut **tx).await.map_err(|e| failed(&e))? {
        let before: IncidentRow = super::from_json(found.get(0))?;
        row.component = before.component;
        row.namespace = before.namespace;
        row.fault_type = before.fault_type;
        row.confidence = before.confidence;
    }
    Ok(())
}
