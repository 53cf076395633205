//! Incidents, their transitions, answers and feedback.

use std::collections::BTreeMap;

use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, Transaction, from_json, missing, to_json};
use crate::model::Time;
use crate::rca::{Answer, Scorer};
use crate::storage::{
    Commit, Feedback, IncidentFilter, IncidentRow, Incidents, Result, TransitionRow,
};
use crate::tenancy::TenantId;

/// How many earlier answers of an incident are kept for queries as of a time in the past.
const KEEP_ANSWERS: i64 = 200;

#[async_trait::async_trait]
impl<D: Database> Incidents for SqlMeta<D> {
    async fn reserve_numbers(&self, tenant: &TenantId, keys: &[u64]) -> Result<BTreeMap<u64, i64>> {
        let mut tx = self
            .database
            .begin(Reach::Tenant(tenant), Purpose::Durable)
            .await?;
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

    async fn incidents(&self, tenant: &TenantId, f: &IncidentFilter) -> Result<Vec<IncidentRow>> {
        let sql = "SELECT number, key, row FROM incidents
            WHERE client_id = $1 AND row IS NOT NULL
                AND ($2 IS NULL OR state = $2) AND ($3 IS NULL OR severity >= $3)
                AND ($4 IS NULL OR component = $4) AND ($5 IS NULL OR namespace = $5)
                AND ($6 IS NULL OR cluster = $6) AND ($7 IS NULL OR started_at >= $7)
                AND ($8 IS NULL OR started_at < $8) AND ($9 IS NULL OR number < $9)
            ORDER BY number DESC LIMIT $10";
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
        let sql = "SELECT number, key, row FROM incidents
            WHERE client_id = $1 AND number = $2 AND row IS NOT NULL";
        self.read_one(Reach::Tenant(tenant), sql, values![tenant.as_str(), number])
            .await?
            .map(incident)
            .transpose()
    }

    async fn worst_incident(&self, tenant: &TenantId) -> Result<Option<IncidentRow>> {
        let sql = "SELECT number, key, row FROM incidents
            WHERE client_id = $1 AND row IS NOT NULL AND state <> 'resolved'
            ORDER BY severity DESC, number DESC LIMIT 1";
        self.read_one(Reach::Tenant(tenant), sql, values![tenant.as_str()])
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
        let sql = "SELECT id, number, event FROM incident_events
            WHERE client_id = $1 AND ($2 IS NULL OR number = $2) AND id > $3
            ORDER BY id LIMIT $4";
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

    async fn last_transition(&self, tenant: &TenantId) -> Result<i64> {
        let sql = "SELECT MAX(id) FROM incident_events WHERE client_id = $1";
        let row = self
            .read_one(Reach::Tenant(tenant), sql, values![tenant.as_str()])
            .await?;
        let last = row.map(|mut r| r.maybe_int()).transpose()?.flatten();
        Ok(last.unwrap_or(0))
    }

    async fn answer(
        &self,
        tenant: &TenantId,
        number: i64,
        scorer: Scorer,
        at: Option<Time>,
    ) -> Result<Option<Answer>> {
        let sql = "SELECT answer FROM answers
            WHERE client_id = $1 AND number = $2 AND scorer = $3 AND ($4 IS NULL OR at <= $4)
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
}

#[async_trait::async_trait]
impl<D: Database> Feedback for SqlMeta<D> {
    async fn put_feedback(&self, tenant: &TenantId, number: i64, rank: Option<u32>) -> Result<()> {
        let sql = "INSERT INTO feedback (client_id, number, place) VALUES ($1, $2, $3)
            ON CONFLICT (client_id, number) DO UPDATE SET place = excluded.place";
        let values = values![tenant.as_str(), number, rank.map(i64::from)];
        self.write(Reach::Tenant(tenant), Purpose::Durable, sql, values)
            .await?;
        Ok(())
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
            .map(|mut r| Ok(r.maybe_int()?.map(|rank| rank as u32)))
            .collect()
    }
}

fn incident(mut row: Row) -> Result<IncidentRow> {
    let (number, key) = (row.int()?, row.int()?);
    let mut incident: IncidentRow = from_json(&row.text()?)?;
    incident.incident_id = format!("inc-{number}");
    incident.key = key as u64;
    Ok(incident)
}

/// Serializes the workers of a tenant while they number incidents or append transitions, so that
/// nobody who follows the feed sees a transition appear before one already read.
pub(super) async fn lock_incidents(tx: &mut dyn Transaction, tenant: &TenantId) -> Result<()> {
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
        .ok_or_else(|| missing("the tenant's incident counter"))?
        .int()?;
    let sql = "INSERT INTO incidents (client_id, number, key) VALUES ($1, $2, $3)";
    tx.run(sql, values![tenant.as_str(), number, key]).await?;
    Ok(number)
}

/// Writes the incidents, transitions and answers of a batch.
pub(super) async fn write(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    commit: &Commit,
) -> Result<()> {
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
            AND at <= (SELECT at FROM answers a
                WHERE a.client_id = $1 AND a.scorer = $3 AND a.number = answers.number
                ORDER BY at DESC LIMIT 1 OFFSET $4)";
        tx.run(sql, values![tenant.as_str(), row.key, scorer, KEEP_ANSWERS])
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

/// Stores the row of a numbered incident and the columns that lists filter by.
pub(super) async fn put_row(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    row: &IncidentRow,
    text: String,
) -> Result<()> {
    let sql = "UPDATE incidents SET row = $3, state = $4, severity = $5, cluster = $6,
            component = $7, namespace = $8, started_at = $9
        WHERE client_id = $1 AND key = $2";
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

/// A resolved incident is not ranked again: keeps the first cause of its last answer.
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
        row.cause = before.cause;
    }
    Ok(())
}
