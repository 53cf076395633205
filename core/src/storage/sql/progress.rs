//! Positions in the log, engine state of clusters, and the commit of a batch.

use super::job::put_jobs;
use super::value::values;
use super::{
    Database, Purpose, Reach, SqlMeta, Transaction, from_json, incidents, notifications, to_json,
    usage,
};
use crate::model::{Time, Topic};
use crate::storage::{
    ClusterRow, Commit, Error, ErrorKind, Offset, Progress, Result, Skipped, StreamId,
};
use crate::tenancy::TenantId;

#[async_trait::async_trait]
impl<D: Database> Progress for SqlMeta<D> {
    async fn offsets(&self, tenant: &TenantId) -> Result<Vec<Offset>> {
        let sql = "SELECT topic, partition, next FROM offsets
            WHERE client_id = $1 ORDER BY topic, partition";
        let rows = self
            .read(Reach::Tenant(tenant), sql, values![tenant.as_str()])
            .await?;
        let mut offsets = Vec::new();
        for mut row in rows {
            // A topic that this version does not know is processed by a newer daemon.
            let Some(topic) = Topic::parse(&row.text()?) else {
                continue;
            };
            let stream = StreamId {
                topic,
                partition: row.int()? as u32,
            };
            offsets.push(Offset {
                stream,
                next: row.int()? as u64,
            });
        }
        Ok(offsets)
    }

    async fn skipped(&self, tenant: &TenantId) -> Result<Vec<Skipped>> {
        let sql = "SELECT topic, partition, first_offset, last_offset, reason, received_at
            FROM skipped_records WHERE client_id = $1 ORDER BY topic, partition, first_offset";
        let rows = self
            .read(Reach::Tenant(tenant), sql, values![tenant.as_str()])
            .await?;
        let mut skipped = Vec::new();
        for mut row in rows {
            let Some(topic) = Topic::parse(&row.text()?) else {
                continue;
            };
            let stream = StreamId {
                topic,
                partition: row.int()? as u32,
            };
            skipped.push(Skipped {
                stream,
                first: row.int()? as u64,
                last: row.int()? as u64,
                reason: row.text()?,
                received_at: row.time()?,
            });
        }
        Ok(skipped)
    }

    async fn forget_skipped(&self, tenant: &TenantId, before: Time) -> Result<()> {
        let sql = "DELETE FROM skipped_records
            WHERE client_id = $1 AND topic = $2 AND received_at < $3";
        let mut tx = self
            .database
            .begin(Reach::Tenant(tenant), Purpose::Replayable)
            .await?;
        for topic in Topic::inputs() {
            if !topic.signal().is_compacted() {
                let values = values![tenant.as_str(), topic.as_str(), before];
                tx.run(sql, values).await?;
            }
        }
        tx.commit().await
    }

    async fn forget_compacted(&self, tenant: &TenantId, compacted: &[Offset]) -> Result<()> {
        let sql = "DELETE FROM skipped_records
            WHERE client_id = $1 AND topic = $2 AND partition = $3 AND last_offset < $4";
        let mut tx = self
            .database
            .begin(Reach::Tenant(tenant), Purpose::Replayable)
            .await?;
        for Offset { stream, next } in compacted {
            let topic = stream.topic.as_str();
            tx.run(
                sql,
                values![tenant.as_str(), topic, stream.partition, *next],
            )
            .await?;
        }
        tx.commit().await
    }

    async fn clusters(&self, tenant: &TenantId) -> Result<Vec<ClusterRow>> {
        let sql = "SELECT cluster, state, last_record, last_arrival, counts FROM clusters
            WHERE client_id = $1 ORDER BY cluster";
        let rows = self
            .read(Reach::Tenant(tenant), sql, values![tenant.as_str()])
            .await?;
        rows.into_iter()
            .map(|mut r| {
                let (cluster, state, last_record) = (r.text()?, r.text()?, r.time()?);
                let last_arrival = r.maybe_time()?;
                let counts = r.maybe_text()?.map(|text| from_json(&text)).transpose()?;
                Ok(ClusterRow {
                    cluster,
                    state,
                    last_record,
                    last_arrival,
                    counts,
                })
            })
            .collect()
    }

    async fn commit(&self, tenant: &TenantId, partition: u32, commit: Commit) -> Result<()> {
        let mut tx = self
            .database
            .begin(Reach::Tenant(tenant), Purpose::Replayable)
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
        write_skipped(&mut *tx, tenant, &commit.skipped).await?;
        write_clusters(&mut *tx, tenant, &commit.clusters).await?;
        usage::add(&mut *tx, tenant, &commit.usage).await?;
        incidents::write(&mut *tx, tenant, &commit).await?;
        put_jobs(&mut *tx, &commit.jobs).await?;
        notifications::wake(&mut *tx, tenant, commit.plan.as_ref()).await?;
        tx.commit().await
    }
}

async fn write_skipped(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    skipped: &[Skipped],
) -> Result<()> {
    for range in skipped {
        let sql = "INSERT INTO skipped_records (client_id, topic, partition, first_offset,
                last_offset, reason, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (client_id, topic, partition, first_offset) DO UPDATE SET
                last_offset = excluded.last_offset, reason = excluded.reason,
                received_at = excluded.received_at";
        let values = values![
            tenant.as_str(),
            range.stream.topic.as_str(),
            range.stream.partition,
            range.first,
            range.last,
            &range.reason,
            range.received_at,
        ];
        tx.run(sql, values).await?;
    }
    Ok(())
}

/// Writes the stored engine state of clusters.
pub(super) async fn write_clusters(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    clusters: &[ClusterRow],
) -> Result<()> {
    for cluster in clusters {
        let sql = "INSERT INTO clusters (client_id, cluster, state, last_record, last_arrival,
                counts)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (client_id, cluster) DO UPDATE SET
                state = excluded.state, last_record = excluded.last_record,
                last_arrival = COALESCE(excluded.last_arrival, clusters.last_arrival),
                counts = COALESCE(excluded.counts, clusters.counts)";
        let counts = cluster.counts.as_ref().map(to_json).transpose()?;
        let values = values![
            tenant.as_str(),
            &cluster.cluster,
            &cluster.state,
            cluster.last_record,
            cluster.last_arrival,
            &counts
        ];
        tx.run(sql, values).await?;
    }
    Ok(())
}

/// Fails with `Fenced` when the lease has passed to another daemon.
async fn fence(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    partition: u32,
    epoch: i64,
) -> Result<()> {
    // An update locks the lease, so that the epoch cannot change before the commit.
    let sql =
        "UPDATE leases SET epoch = epoch WHERE client_id = $1 AND partition = $2 AND epoch = $3";
    if tx
        .run(sql, values![tenant.as_str(), partition, epoch])
        .await?
        == 0
    {
        return Err(Error::new(
            ErrorKind::Fenced,
            format!("{tenant} partition {partition}: epoch {epoch} is no longer current"),
        ));
    }
    Ok(())
}
