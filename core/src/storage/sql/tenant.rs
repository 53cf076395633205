//! What belongs to a tenant, but the commit itself.

use std::collections::BTreeMap;

use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, from_json, to_json};
use crate::api::AgentStatus;
use crate::model::time::DAY;
use crate::model::{Time, Topic};
use crate::rca::{Answer, Scorer};
use crate::storage::archive::IncidentCopy;
use crate::storage::{
    AgentRow, ClusterRow, Commit, Error, ErrorKind, IncidentFilter, IncidentRow, MOST_AGENTS,
    MetaStore, Offset, Result, StreamId, TransitionRow, UsageRow,
};
use crate::tenancy::TenantId;

/// For how long an agent that is silent is known: one that watches, and one that reads logs.
const WATCHING_KEPT: i64 = 30 * DAY;
const READING_KEPT: i64 = DAY;

#[async_trait::async_trait]
impl<D: Database> MetaStore for SqlMeta<D> {
    async fn lease(
        &self,
        tenant: &TenantId,
        partition: u32,
        owner: &str,
        until: Time,
        now: Time,
    ) -> Result<Option<i64>> {
        let sql = "INSERT INTO leases (client_id, partition, owner, epoch, until) VALUES ($1, $2, $3, 1, $4)
            ON CONFLICT (client_id, partition) DO UPDATE SET until = excluded.until,
                epoch = CASE WHEN leases.owner = excluded.owner THEN leases.epoch ELSE leases.epoch + 1 END,
                owner = excluded.owner
            WHERE leases.owner = excluded.owner OR leases.until < $5 RETURNING epoch";
        let mut tx = self
            .0
            .begin(Reach::Tenant(tenant), Purpose::Replayed)
            .await?;
        let rows = tx
            .rows(sql, values![tenant.as_str(), partition, owner, until, now])
            .await?;
        let epoch = rows.into_iter().next().map(|mut r| r.int()).transpose()?;
        tx.commit().await?;
        Ok(epoch)
    }

    async fn release(&self, tenant: &TenantId, partition: u32, owner: &str) -> Result<()> {
        let sql =
            "UPDATE leases SET until = 0 WHERE client_id = $1 AND partition = $2 AND owner = $3";
        self.write(
            Reach::Tenant(tenant),
            Purpose::Replayed,
            sql,
            values![tenant.as_str(), partition, owner],
        )
        .await?;
        Ok(())
    }

    async fn offsets(&self, tenant: &TenantId) -> Result<Vec<Offset>> {
        let sql = "SELECT topic, partition, next FROM offsets WHERE client_id = $1 ORDER BY topic, partition";
        let rows = self
            .read(Reach::Tenant(tenant), sql, values![tenant.as_str()])
            .await?;
        let mut offsets = Vec::new();
        for mut row in rows {
            // A topic that this version does not know is left to the one that does.
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

    async fn clusters(&self, tenant: &TenantId) -> Result<Vec<ClusterRow>> {
        let sql = "SELECT cluster, state, last_record, counts FROM clusters WHERE client_id = $1 ORDER BY cluster";
        let rows = self
            .read(Reach::Tenant(tenant), sql, values![tenant.as_str()])
            .await?;
        rows.into_iter()
            .map(|mut r| {
                let (cluster, state, last_record) = (r.text()?, r.text()?, r.time()?);
                let counts = r.maybe_text()?.map(|text| from_json(&text)).transpose()?;
                Ok(ClusterRow {
                    cluster,
                    state,
                    last_record,
                    counts,
                })
            })
            .collect()
    }

    async fn reserve(&self, tenant: &TenantId, keys: &[u64]) -> Result<BTreeMap<u64, i64>> {
        self.reserve_numbers(tenant, keys).await
    }

    async fn commit(&self, tenant: &TenantId, partition: u32, commit: Commit) -> Result<()> {
        self.write_commit(tenant, partition, commit).await
    }

    async fn incidents(&self, tenant: &TenantId, f: &IncidentFilter) -> Result<Vec<IncidentRow>> {
        let sql = "SELECT number, key, row FROM incidents WHERE client_id = $1 AND row IS NOT NULL
            AND ($2 IS NULL OR state = $2) AND ($3 IS NULL OR severity >= $3) AND ($4 IS NULL OR component = $4)
            AND ($5 IS NULL OR namespace = $5) AND ($6 IS NULL OR cluster = $6) AND ($7 IS NULL OR started_at >= $7)
            AND ($8 IS NULL OR started_at < $8) AND ($9 IS NULL OR number < $9) ORDER BY number DESC LIMIT $10";
        let values = values![
            tenant.as_str(),
            f.state.map(crate::incident::State::as_str),
            f.severity.map(|s| s as i64),
            &f.component,
            &f.namespace,
            &f.cluster,
            f.since,
            f.until,
            f.before,
            f.limit,
        ];
        self.read(Reach::Tenant(tenant), sql, values)
            .await?
            .into_iter()
            .map(incident)
            .collect()
    }

    async fn incident(&self, tenant: &TenantId, number: i64) -> Result<Option<IncidentRow>> {
        let sql = "SELECT number, key, row FROM incidents WHERE client_id = $1 AND number = $2 AND row IS NOT NULL";
        self.read_one(Reach::Tenant(tenant), sql, values![tenant.as_str(), number])
            .await?
            .map(incident)
            .transpose()
    }

    async fn transitions(
        &self,
        tenant: &TenantId,
        number: Option<i64>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TransitionRow>> {
        let sql = "SELECT id, number, event FROM incident_events WHERE client_id = $1 AND ($2 IS NULL OR number = $2)
            AND id > $3 ORDER BY id LIMIT $4";
        let rows = self
            .read(
                Reach::Tenant(tenant),
                sql,
                values![tenant.as_str(), number, after, limit],
            )
            .await?;
        rows.into_iter()
            .map(|mut r| {
                let (id, incident_id) = (r.int()?, format!("inc-{}", r.int()?));
                Ok(TransitionRow {
                    id,
                    incident_id,
                    transition: from_json(&r.text()?)?,
                })
            })
            .collect()
    }

    async fn answer(
        &self,
        tenant: &TenantId,
        number: i64,
        scorer: Scorer,
        at: Option<Time>,
    ) -> Result<Option<Answer>> {
        let sql = "SELECT answer FROM answers WHERE client_id = $1 AND number = $2 AND scorer = $3 AND ($4 IS NULL OR at <= $4)
            ORDER BY at DESC LIMIT 1";
        let row = self
            .read_one(
                Reach::Tenant(tenant),
                sql,
                values![tenant.as_str(), number, scorer.as_str(), at],
            )
            .await?;
        row.map(|mut r| {
            let mut answer: Answer = from_json(&r.text()?)?;
            answer.incident_id = format!("inc-{number}");
            Ok(answer)
        })
        .transpose()
    }

    async fn incident_copies(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<IncidentCopy>> {
        self.read_copies(tenant, after, limit).await
    }

    async fn restore(
        &self,
        tenant: &TenantId,
        incidents: &[IncidentCopy],
        clusters: &[ClusterRow],
    ) -> Result<()> {
        self.write_copies(tenant, incidents, clusters).await
    }

    async fn put_feedback(&self, tenant: &TenantId, number: i64, place: Option<u32>) -> Result<()> {
        let sql = "INSERT INTO feedback (client_id, number, place) VALUES ($1, $2, $3)
            ON CONFLICT (client_id, number) DO UPDATE SET place = excluded.place";
        let values = values![tenant.as_str(), number, place.map(i64::from)];
        self.write(Reach::Tenant(tenant), Purpose::Kept, sql, values)
            .await?;
        Ok(())
    }

    async fn add_usage(
        &self,
        tenant: &TenantId,
        usage: &BTreeMap<(String, String), i64>,
    ) -> Result<()> {
        self.write_usage(tenant, usage).await
    }

    async fn usage(&self, tenant: &TenantId, from: &str, to: &str) -> Result<Vec<UsageRow>> {
        let sql = "SELECT day, metric, amount FROM usage_metrics WHERE client_id = $1 AND day >= $2 AND day < $3
            ORDER BY day, metric";
        let rows = self
            .read(
                Reach::Tenant(tenant),
                sql,
                values![tenant.as_str(), from, to],
            )
            .await?;
        rows.into_iter()
            .map(|mut r| {
                Ok(UsageRow {
                    day: r.text()?,
                    metric: r.text()?,
                    amount: r.int()?,
                })
            })
            .collect()
    }

    async fn usage_total(&self, tenant: &TenantId) -> Result<BTreeMap<String, i64>> {
        let sql = "SELECT metric, CAST(SUM(amount) AS BIGINT) FROM usage_metrics WHERE client_id = $1 GROUP BY metric";
        let rows = self
            .read(Reach::Tenant(tenant), sql, values![tenant.as_str()])
            .await?;
        rows.into_iter()
            .map(|mut r| Ok((r.text()?, r.int()?)))
            .collect()
    }

    async fn put_agent(&self, tenant: &TenantId, agent: &AgentRow) -> Result<()> {
        let (status, slot) = (&agent.status, agent.status.slot());
        let mut tx = self
            .0
            .begin(Reach::Tenant(tenant), Purpose::Replayed)
            .await?;
        let silent = "DELETE FROM agents WHERE client_id = $1 AND (seen_at < $2 OR slot <> 'watch' AND seen_at < $3)";
        let (long, short) = (
            agent.seen_at.plus(-WATCHING_KEPT),
            agent.seen_at.plus(-READING_KEPT),
        );
        tx.run(silent, values![tenant.as_str(), long, short])
            .await?;
        let others =
            "SELECT COUNT(*) FROM agents WHERE client_id = $1 AND NOT (cluster = $2 AND slot = $3)";
        let others = tx
            .rows(others, values![tenant.as_str(), &status.cluster, &slot])
            .await?;
        if others
            .into_iter()
            .next()
            .map(|mut r| r.int())
            .transpose()?
            .unwrap_or(0)
            >= MOST_AGENTS
        {
            return Err(Error::new(
                ErrorKind::Full,
                format!("{tenant} has {MOST_AGENTS} agents"),
            ));
        }
        let last = "SELECT status FROM agents WHERE client_id = $1 AND cluster = $2 AND slot = $3";
        let last = tx
            .rows(last, values![tenant.as_str(), &status.cluster, &slot])
            .await?;
        let last: Option<AgentStatus> = last
            .into_iter()
            .next()
            .map(|mut r| from_json(&r.text()?))
            .transpose()?;
        let status = status.clone().after(last.as_ref());
        let sql = "INSERT INTO agents (client_id, cluster, slot, status, seen_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (client_id, cluster, slot) DO UPDATE SET status = excluded.status, seen_at = excluded.seen_at";
        tx.run(
            sql,
            values![
                tenant.as_str(),
                &status.cluster,
                &slot,
                to_json(&status)?,
                agent.seen_at
            ],
        )
        .await?;
        tx.commit().await
    }

    async fn agents(&self, tenant: &TenantId) -> Result<Vec<AgentRow>> {
        let sql = "SELECT status, seen_at FROM agents WHERE client_id = $1 ORDER BY cluster, slot";
        let rows = self
            .read(Reach::Tenant(tenant), sql, values![tenant.as_str()])
            .await?;
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
            Purpose::Replayed,
            sql,
            values![tenant.as_str(), cluster],
        )
        .await
    }

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
            let mut tx = self.0.begin(reach, Purpose::Replayed).await?;
            let sql = "INSERT INTO idempotency (client_id, key, answer, at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (client_id, key) DO UPDATE SET answer = excluded.answer, at = excluded.at";
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

fn incident(mut row: Row) -> Result<IncidentRow> {
    let (number, key) = (row.int()?, row.int()?);
    let mut incident: IncidentRow = from_json(&row.text()?)?;
    incident.incident_id = format!("inc-{number}");
    incident.key = key as u64;
    Ok(incident)
}
