//! What a batch changed, in one transaction.

use std::collections::BTreeMap;

use super::job::put_jobs;
use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta, Transaction, from_json, to_json};
use crate::storage::{ClusterRow, Commit, Error, ErrorKind, IncidentRow, Result};
use crate::tenancy::TenantId;

/// How many of an incident's earlier answers are kept for questions about the past.
const ANSWERS_KEPT: i64 = 200;

impl<D: Database> SqlMeta<D> {
    pub(super) async fn write_commit(
        &self,
        tenant: &TenantId,
        partition: u32,
        commit: Commit,
    ) -> Result<()> {
        let mut tx = self
            .0
            .begin(Reach::Tenant(tenant), Purpose::Replayed)
            .await?;
        fence(&mut *tx, tenant, partition, commit.epoch).await?;
        for offset in &commit.offsets {
            let sql =
                "INSERT INTO offsets (client_id, topic, partition, next) VALUES ($1, $2, $3, $4)
                ON CONFLICT (client_id, topic, partition) DO UPDATE SET next = excluded.next";
            let stream = offset.stream;
            tx.run(
                sql,
                values![
                    tenant.as_str(),
                    stream.topic.as_str(),
                    stream.partition,
                    offset.next
                ],
            )
            .await?;
        }
        write_clusters(&mut *tx, tenant, &commit.clusters).await?;
        add_usage(&mut *tx, tenant, &commit.usage).await?;
        incidents(&mut *tx, tenant, &commit).await?;
        put_jobs(&mut *tx, &commit.jobs).await?;
        tx.commit().await
    }

    pub(super) async fn write_usage(
        &self,
        tenant: &TenantId,
        usage: &BTreeMap<(String, String), i64>,
    ) -> Result<()> {
        let mut tx = self
            .0
            .begin(Reach::Tenant(tenant), Purpose::Replayed)
            .await?;
        add_usage(&mut *tx, tenant, usage).await?;
        tx.commit().await
    }

    pub(super) async fn reserve_numbers(
        &self,
        tenant: &TenantId,
        keys: &[u64],
    ) -> Result<BTreeMap<u64, i64>> {
        let mut tx = self.0.begin(Reach::Tenant(tenant), Purpose::Kept).await?;
        lock_incidents(&mut *tx, tenant).await?;
        let mut numbers = BTreeMap::new();
        for key in keys {
            let sql = "SELECT number FROM incidents WHERE client_id = $1 AND key = $2";
            let known = tx
                .rows(sql, values![tenant.as_str(), *key])
                .await?
                .into_iter()
                .next();
            let number = match known {
                Some(mut row) => row.int()?,
                None => new_number(&mut *tx, tenant, *key).await?,
            };
            numbers.insert(*key, number);
        }
        tx.commit().await?;
        Ok(numbers)
    }
}

/// Writes the engine's part of clusters.
pub(super) async fn write_clusters(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    clusters: &[ClusterRow],
) -> Result<()> {
    for cluster in clusters {
        let sql = "INSERT INTO clusters (client_id, cluster, state, last_record, counts) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (client_id, cluster) DO UPDATE SET state = excluded.state, last_record = excluded.last_record,
                counts = COALESCE(excluded.counts, clusters.counts)";
        let counts = cluster.counts.as_ref().map(to_json).transpose()?;
        let values = values![
            tenant.as_str(),
            &cluster.cluster,
            &cluster.state,
            cluster.last_record,
            &counts
        ];
        tx.run(sql, values).await?;
    }
    Ok(())
}

/// Lets workers of a tenant's partitions number incidents, and events of theirs, one after the
/// other: who follows the events sees none appear behind a later one.
async fn lock_incidents(tx: &mut dyn Transaction, tenant: &TenantId) -> Result<()> {
    let sql = "INSERT INTO incident_numbers (client_id, last) VALUES ($1, 0)
        ON CONFLICT (client_id) DO UPDATE SET last = incident_numbers.last";
    tx.run(sql, values![tenant.as_str()]).await?;
    Ok(())
}

async fn new_number(tx: &mut dyn Transaction, tenant: &TenantId, key: u64) -> Result<i64> {
    let sql = "UPDATE incident_numbers SET last = last + 1 WHERE client_id = $1 RETURNING last";
    let row = tx
        .rows(sql, values![tenant.as_str()])
        .await?
        .into_iter()
        .next();
    let number = row
        .ok_or_else(|| Error::new(ErrorKind::Internal, "metadata: no counter of incidents"))?
        .int()?;
    let sql = "INSERT INTO incidents (client_id, number, key) VALUES ($1, $2, $3)";
    tx.run(sql, values![tenant.as_str(), number, key]).await?;
    Ok(number)
}

/// Refuses writers whose lease has passed to somebody else.
async fn fence(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    partition: u32,
    epoch: i64,
) -> Result<()> {
    // An update first: it locks the lease, so that the epoch cannot change before the commit.
    let sql =
        "UPDATE leases SET epoch = epoch WHERE client_id = $1 AND partition = $2 AND epoch = $3";
    if tx
        .run(sql, values![tenant.as_str(), partition, epoch])
        .await?
        == 0
    {
        return Err(Error::new(
            ErrorKind::Fenced,
            format!("{tenant} partition {partition}: epoch {epoch} has passed"),
        ));
    }
    Ok(())
}

async fn add_usage(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    usage: &BTreeMap<(String, String), i64>,
) -> Result<()> {
    for ((day, metric), amount) in usage {
        let sql = "INSERT INTO usage_metrics (client_id, day, metric, amount) VALUES ($1, $2, $3, $4)
            ON CONFLICT (client_id, day, metric) DO UPDATE SET amount = usage_metrics.amount + excluded.amount";
        tx.run(sql, values![tenant.as_str(), day, metric, *amount])
            .await?;
    }
    Ok(())
}

async fn incidents(tx: &mut dyn Transaction, tenant: &TenantId, commit: &Commit) -> Result<()> {
    for row in &commit.incidents {
        write_row(tx, tenant, row).await?;
    }
    if !commit.transitions.is_empty() {
        lock_incidents(tx, tenant).await?;
    }
    for (key, transition) in &commit.transitions {
        let sql = "INSERT INTO incident_events (client_id, number, event)
            SELECT client_id, number, $3 FROM incidents WHERE client_id = $1 AND key = $2";
        tx.run(sql, values![tenant.as_str(), *key, to_json(transition)?])
            .await?;
    }
    for row in &commit.answers {
        let sql = "INSERT INTO answers (client_id, number, scorer, at, answer)
            SELECT client_id, number, $3, $4, $5 FROM incidents WHERE client_id = $1 AND key = $2
            ON CONFLICT (client_id, number, scorer, at) DO UPDATE SET answer = excluded.answer";
        let scorer = row.scorer.as_str();
        tx.run(
            sql,
            values![
                tenant.as_str(),
                row.key,
                scorer,
                row.answer.window.to,
                to_json(&row.answer)?
            ],
        )
        .await?;
        let sql = "DELETE FROM answers WHERE client_id = $1 AND scorer = $3
            AND number = (SELECT number FROM incidents WHERE client_id = $1 AND key = $2)
            AND at <= (SELECT at FROM answers a WHERE a.client_id = $1 AND a.scorer = $3 AND a.number = answers.number
                ORDER BY at DESC LIMIT 1 OFFSET $4)";
        tx.run(sql, values![tenant.as_str(), row.key, scorer, ANSWERS_KEPT])
            .await?;
    }
    Ok(())
}

async fn write_row(tx: &mut dyn Transaction, tenant: &TenantId, row: &IncidentRow) -> Result<()> {
    let mut row = row.clone();
    if row.component.is_none() {
        keep_headline(tx, tenant, &mut row).await?;
    }
    let text = to_json(&row)?;
    put_row(tx, tenant, &row, text).await
}

/// Stores the row of a numbered incident, and what lists look at.
pub(super) async fn put_row(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    row: &IncidentRow,
    text: String,
) -> Result<()> {
    let sql = "UPDATE incidents SET row = $3, state = $4, severity = $5, cluster = $6, component = $7, namespace = $8,
        started_at = $9 WHERE client_id = $1 AND key = $2";
    let values = values![
        tenant.as_str(),
        row.key,
        text,
        row.state.as_str(),
        row.severity as i64,
        &row.cluster,
        &row.component,
        &row.namespace,
        row.started_at,
    ];
    tx.run(sql, values).await?;
    Ok(())
}

/// An incident that is over is not ranked again: what was said last stays.
async fn keep_headline(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    row: &mut IncidentRow,
) -> Result<()> {
    let sql = "SELECT row FROM incidents WHERE client_id = $1 AND key = $2 AND row IS NOT NULL";
    if let Some(mut found) = tx
        .rows(sql, values![tenant.as_str(), row.key])
        .await?
        .into_iter()
        .next()
    {
        let before: IncidentRow = from_json(&found.text()?)?;
        row.component = before.component;
        row.namespace = before.namespace;
        row.fault_type = before.fault_type;
        row.confidence = before.confidence;
    }
    Ok(())
}
