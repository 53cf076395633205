//! Incidents as they are exported and imported.

use serde_json::value::RawValue;

use super::incidents::put_row;
use super::progress::write_clusters;
use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta, Transaction, from_json};
use crate::rca::Scorer;
use crate::storage::archive::{AnswerCopy, IncidentCopy};
use crate::storage::{ClusterRow, Error, ErrorKind, IncidentArchive, IncidentRow, Result};
use crate::tenancy::TenantId;

fn raw(text: String) -> Result<Box<RawValue>> {
    RawValue::from_string(text)
        .map_err(|e| Error::new(ErrorKind::Corrupt, format!("metadata: {e}")))
}

#[async_trait::async_trait]
impl<D: Database> IncidentArchive for SqlMeta<D> {
    async fn incident_copies(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<IncidentCopy>> {
        let mut tx = self
            .database()
            .begin(Reach::Tenant(tenant), Purpose::Read)
            .await?;
        let sql = "SELECT number, key, row FROM incidents
            WHERE client_id = $1 AND number > $2 ORDER BY number LIMIT $3";
        let mut copies = Vec::new();
        for mut found in tx.rows(sql, values![tenant.as_str(), after, limit]).await? {
            let (number, key) = (found.int()?, format!("{:016x}", found.int()? as u64));
            let row = found.maybe_text()?.map(raw).transpose()?;
            let (events, answers) = (
                events(&mut *tx, tenant, number).await?,
                answers(&mut *tx, tenant, number).await?,
            );
            copies.push(IncidentCopy {
                number,
                key,
                row,
                events,
                answers,
            });
        }
        Ok(copies)
    }

    async fn restore(
        &self,
        tenant: &TenantId,
        copies: &[IncidentCopy],
        clusters: &[ClusterRow],
    ) -> Result<()> {
        let mut tx = self
            .database()
            .begin(Reach::Tenant(tenant), Purpose::Durable)
            .await?;
        for copy in copies {
            write_copy(&mut *tx, tenant, copy).await?;
        }
        if let Some(last) = copies.iter().map(|c| c.number).max() {
            let sql = "INSERT INTO incident_numbers (client_id, last) VALUES ($1, $2)
                ON CONFLICT (client_id) DO UPDATE SET last = CASE
                    WHEN incident_numbers.last < excluded.last THEN excluded.last
                    ELSE incident_numbers.last END";
            tx.run(sql, values![tenant.as_str(), last]).await?;
        }
        write_clusters(&mut *tx, tenant, clusters).await?;
        tx.commit().await
    }
}

async fn events(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    number: i64,
) -> Result<Vec<Box<RawValue>>> {
    let sql = "SELECT event FROM incident_events WHERE client_id = $1 AND number = $2 ORDER BY id";
    tx.rows(sql, values![tenant.as_str(), number])
        .await?
        .into_iter()
        .map(|mut r| raw(r.text()?))
        .collect()
}

async fn answers(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    number: i64,
) -> Result<Vec<AnswerCopy>> {
    let sql = "SELECT scorer, at, answer FROM answers
        WHERE client_id = $1 AND number = $2 ORDER BY scorer, at";
    let mut all = Vec::new();
    for mut row in tx.rows(sql, values![tenant.as_str(), number]).await? {
        // A scorer that this version does not know is left out.
        let Some(scorer) = Scorer::parse(&row.text()?) else {
            continue;
        };
        all.push(AnswerCopy {
            scorer,
            at: row.time()?,
            answer: raw(row.text()?)?,
        });
    }
    Ok(all)
}

async fn write_copy(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    copy: &IncidentCopy,
) -> Result<()> {
    let unreadable = |e: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Refused, format!("incident {}: {e}", copy.number))
    };
    let key = u64::from_str_radix(&copy.key, 16).map_err(|e| unreadable(&e))?;
    for sql in [
        "DELETE FROM answers WHERE client_id = $1 AND number = $2",
        "DELETE FROM incident_events WHERE client_id = $1 AND number = $2",
        "DELETE FROM incidents WHERE client_id = $1 AND number = $2",
    ] {
        tx.run(sql, values![tenant.as_str(), copy.number]).await?;
    }
    let sql = "INSERT INTO incidents (client_id, number, key) VALUES ($1, $2, $3)";
    tx.run(sql, values![tenant.as_str(), copy.number, key])
        .await?;
    if let Some(text) = &copy.row {
        let mut row: IncidentRow = from_json(text.get()).map_err(|e| unreadable(&e))?;
        row.key = key;
        put_row(tx, tenant, &row, text.get().to_owned()).await?;
    }
    for event in &copy.events {
        let sql = "INSERT INTO incident_events (client_id, number, event) VALUES ($1, $2, $3)";
        tx.run(sql, values![tenant.as_str(), copy.number, event.get()])
            .await?;
    }
    for a in &copy.answers {
        let sql = "INSERT INTO answers (client_id, number, scorer, at, answer)
            VALUES ($1, $2, $3, $4, $5)";
        tx.run(
            sql,
            values![
                tenant.as_str(),
                copy.number,
                a.scorer.as_str(),
                a.at,
                a.answer.get()
            ],
        )
        .await?;
    }
    Ok(())
}
