//! Everything of a tenant but the commit itself.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{SqliteMeta, failed, from_json};
use crate::model::time::DAY;
use crate::model::{Time, Topic};
use crate::rca::{Answer, Scorer};
use crate::storage::{
    ClusterRow, Commit, IncidentFilter, IncidentRow, MetaStore, Offset, Result, StreamId, Tenant, TransitionRow, UsageRow,
};

#[async_trait::async_trait]
impl MetaStore for SqliteMeta {
    async fn lease(&self, tenant: &Tenant, partition: u32, owner: &str, until: Time, now: Time) -> Result<Option<i64>> {
        let sql = "INSERT INTO leases (client_id, partition, owner, epoch, until) VALUES ($1, $2, $3, 1, $4)
            ON CONFLICT (client_id, partition) DO UPDATE SET until = excluded.until,
                epoch = leases.epoch + (leases.owner <> excluded.owner), owner = excluded.owner
            WHERE leases.owner = excluded.owner OR leases.until < $5 RETURNING epoch";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(i64::from(partition)).bind(owner).bind(until.0).bind(now.0);
        Ok(query.fetch_optional(&self.engine).await.map_err(|e| failed(&e))?.map(|r| r.get(0)))
    }

    async fn offsets(&self, tenant: &Tenant) -> Result<Vec<Offset>> {
        let sql = "SELECT topic, partition, next FROM offsets WHERE client_id = $1 ORDER BY topic, partition";
        let rows = sqlx::query(sql).bind(tenant.as_str()).fetch_all(&self.engine).await.map_err(|e| failed(&e))?;
        let offset = |r: &SqliteRow| {
            let stream = StreamId { topic: Topic::parse(r.get("topic"))?, partition: r.get::<i64, _>("partition") as u32 };
            Some(Offset { stream, next: r.get::<i64, _>("next") as u64 })
        };
        Ok(rows.iter().filter_map(offset).collect())
    }

    async fn clusters(&self, tenant: &Tenant) -> Result<Vec<ClusterRow>> {
        let sql = "SELECT cluster, state, last_record FROM clusters WHERE client_id = $1 ORDER BY cluster";
        let rows = sqlx::query(sql).bind(tenant.as_str()).fetch_all(&self.engine).await.map_err(|e| failed(&e))?;
        Ok(rows.iter().map(|r| ClusterRow { cluster: r.get(0), state: r.get(1), last_record: Time(r.get(2)) }).collect())
    }

    async fn reserve(&self, tenant: &Tenant, keys: &[u64]) -> Result<BTreeMap<u64, i64>> {
        self.reserve_numbers(tenant, keys).await
    }

    async fn commit(&self, tenant: &Tenant, partition: u32, commit: Commit) -> Result<()> {
        self.write_commit(tenant, partition, commit).await
    }

    async fn incidents(&self, tenant: &Tenant, f: &IncidentFilter) -> Result<Vec<IncidentRow>> {
        let sql = "SELECT number, key, row FROM incidents WHERE client_id = $1 AND row IS NOT NULL
            AND ($2 IS NULL OR state = $2) AND ($3 IS NULL OR severity >= $3) AND ($4 IS NULL OR component = $4)
            AND ($5 IS NULL OR namespace = $5) AND ($6 IS NULL OR cluster = $6) AND ($7 IS NULL OR started_at >= $7)
            AND ($8 IS NULL OR started_at < $8) AND ($9 IS NULL OR number < $9) ORDER BY number DESC LIMIT $10";
        let rows = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(f.state.map(crate::incident::State::as_str))
            .bind(f.severity.map(|s| s as i64))
            .bind(&f.component)
            .bind(&f.namespace)
            .bind(&f.cluster)
            .bind(f.since.map(|t| t.0))
            .bind(f.until.map(|t| t.0))
            .bind(f.before)
            .bind(f.limit as i64)
            .fetch_all(&self.engine)
            .await
            .map_err(|e| failed(&e))?;
        rows.iter().map(incident).collect()
    }

    async fn incident(&self, tenant: &Tenant, number: i64) -> Result<Option<IncidentRow>> {
        let sql = "SELECT number, key, row FROM incidents WHERE client_id = $1 AND number = $2 AND row IS NOT NULL";
        let row =
            sqlx::query(sql).bind(tenant.as_str()).bind(number).fetch_optional(&self.engine).await.map_err(|e| failed(&e))?;
        row.as_ref().map(incident).transpose()
    }

    async fn transitions(&self, tenant: &Tenant, number: Option<i64>, after: i64, limit: usize) -> Result<Vec<TransitionRow>> {
        let sql = "SELECT id, number, event FROM incident_events WHERE client_id = $1 AND ($2 IS NULL OR number = $2)
            AND id > $3 ORDER BY id LIMIT $4";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(number).bind(after).bind(limit as i64);
        let rows = query.fetch_all(&self.engine).await.map_err(|e| failed(&e))?;
        let row = |r: &SqliteRow| {
            let incident_id = format!("inc-{}", r.get::<i64, _>("number"));
            Ok(TransitionRow { id: r.get("id"), incident_id, transition: from_json(r.get("event"))? })
        };
        rows.iter().map(row).collect()
    }

    async fn answer(&self, tenant: &Tenant, number: i64, scorer: Scorer, at: Option<Time>) -> Result<Option<Answer>> {
        let sql = "SELECT answer FROM answers WHERE client_id = $1 AND number = $2 AND scorer = $3 AND ($4 IS NULL OR at <= $4)
            ORDER BY at DESC LIMIT 1";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(number).bind(scorer.as_str()).bind(at.map(|t| t.0));
        let row = query.fetch_optional(&self.engine).await.map_err(|e| failed(&e))?;
        row.map(|r| {
            let mut answer: Answer = from_json(r.get(0))?;
            answer.incident_id = format!("inc-{number}");
            Ok(answer)
        })
        .transpose()
    }

    async fn put_feedback(&self, tenant: &Tenant, number: i64, place: Option<u32>) -> Result<()> {
        let sql = "INSERT INTO feedback (client_id, number, place) VALUES ($1, $2, $3)
            ON CONFLICT (client_id, number) DO UPDATE SET place = excluded.place";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(number).bind(place);
        query.execute(&self.admin).await.map_err(|e| failed(&e))?;
        Ok(())
    }

    async fn add_usage(&self, tenant: &Tenant, usage: &BTreeMap<(String, String), i64>) -> Result<()> {
        self.write_usage(tenant, usage).await
    }

    async fn usage(&self, tenant: &Tenant, from: &str, to: &str) -> Result<Vec<UsageRow>> {
        let sql = "SELECT day, metric, amount FROM usage_metrics WHERE client_id = $1 AND day >= $2 AND day < $3
            ORDER BY day, metric";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(from).bind(to);
        let rows = query.fetch_all(&self.engine).await.map_err(|e| failed(&e))?;
        Ok(rows.iter().map(|r| UsageRow { day: r.get(0), metric: r.get(1), amount: r.get(2) }).collect())
    }

    async fn idempotent(&self, tenant: &Tenant, key: &str, answer: Option<&str>, now: Time) -> Result<Option<String>> {
        let sql = "SELECT answer FROM idempotency WHERE client_id = $1 AND key = $2 AND at > $3";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(key).bind(now.0 - DAY);
        let known = query.fetch_optional(&self.engine).await.map_err(|e| failed(&e))?.map(|r| r.get(0));
        if let (None, Some(answer)) = (&known, answer) {
            let sql = "INSERT INTO idempotency (client_id, key, answer, at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (client_id, key) DO UPDATE SET answer = excluded.answer, at = excluded.at";
            let query = sqlx::query(sql).bind(tenant.as_str()).bind(key).bind(answer).bind(now.0);
            query.execute(&self.engine).await.map_err(|e| failed(&e))?;
            sqlx::query("DELETE FROM idempotency WHERE at < $1")
                .bind(now.0 - DAY)
                .execute(&self.engine)
                .await
                .map_err(|e| failed(&e))?;
        }
        Ok(known)
    }
}

fn incident(row: &SqliteRow) -> Result<IncidentRow> {
    let mut incident: IncidentRow = from_json(row.get("row"))?;
    incident.incident_id = format!("inc-{}", row.get::<i64, _>("number"));
    incident.key = row.get::<i64, _>("key") as u64;
    Ok(incident)
}
