//! Notifications: settings, silences, and what was sent to whom.

use super::audit::append;
use super::incidents::lock_incidents;
use super::job::{put_job, put_jobs};
use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, Transaction, from_json, to_json};
use crate::jobs::NewJob;
use crate::model::Time;
use crate::notify::{Silence, Told};
use crate::storage::{
    DeliveryEnd, DeliveryRow, DeliveryState, Error, ErrorKind, Notifications, NotifySettings,
    Result,
};
use crate::tenancy::{Audit, TenantId};

/// The order in which [`delivery`] reads them.
macro_rules! columns {
    () => {
        "transition, receiver, number, state, reason, notice, attempts, created_at, updated_at"
    };
}

/// Enqueues the job that plans notifications, where the tenant has receivers.
pub(super) async fn wake(
    tx: &mut dyn Transaction,
    tenant: &TenantId,
    job: Option<&NewJob>,
) -> Result<()> {
    let Some(job) = job else {
        return Ok(());
    };
    let sql = "SELECT planned FROM notify_settings WHERE client_id = $1";
    if !tx.rows(sql, values![tenant.as_str()]).await?.is_empty() {
        put_job(tx, job).await?;
    }
    Ok(())
}

#[async_trait::async_trait]
impl<D: Database> Notifications for SqlMeta<D> {
    async fn notify_settings(&self, tenant: &TenantId) -> Result<Option<NotifySettings>> {
        let sql = "SELECT config, planned FROM notify_settings WHERE client_id = $1";
        let row = self
            .read_one(Reach::Tenant(tenant), sql, values![tenant.as_str()])
            .await?;
        row.map(|mut row| {
            Ok(NotifySettings {
                config: row.text()?,
                planned: row.int()?,
            })
        })
        .transpose()
    }

    async fn put_notify_settings(
        &self,
        tenant: &TenantId,
        config: &str,
        audit: &Audit,
    ) -> Result<()> {
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        // Otherwise a transition that commits at the same time is before or behind it by chance.
        lock_incidents(&mut *tx, tenant).await?;
        let sql = "INSERT INTO notify_settings (client_id, config, planned)
            SELECT $1, $2, COALESCE(MAX(id), 0) FROM incident_events WHERE client_id = $1
            ON CONFLICT (client_id) DO UPDATE SET config = excluded.config";
        tx.run(sql, values![tenant.as_str(), config]).await?;
        append(&mut *tx, audit, self.signer()).await?;
        tx.commit().await
    }

    async fn plan_deliveries(
        &self,
        tenant: &TenantId,
        after: i64,
        upto: i64,
        rows: &[DeliveryRow],
        jobs: &[NewJob],
    ) -> Result<bool> {
        let mut tx = self
            .database
            .begin(Reach::Tenant(tenant), Purpose::Durable)
            .await?;
        let sql = "UPDATE notify_settings SET planned = $3 WHERE client_id = $1 AND planned = $2";
        let moved = tx.run(sql, values![tenant.as_str(), after, upto]).await?;
        if moved == 0 {
            return Ok(false);
        }
        for row in rows {
            let sql = concat!(
                "INSERT INTO deliveries (client_id, ",
                columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT DO NOTHING"
            );
            let values = values![
                tenant.as_str(),
                row.transition,
                &row.receiver,
                row.number,
                row.state.as_str(),
                &row.reason,
                to_json(&row.notice)?,
                row.attempts,
                row.created_at,
            ];
            tx.run(sql, values).await?;
        }
        put_jobs(&mut *tx, jobs).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn deliveries(
        &self,
        tenant: &TenantId,
        number: i64,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM deliveries WHERE client_id = $1 AND number = $2
             ORDER BY transition DESC, receiver DESC LIMIT $3"
        );
        let values = values![tenant.as_str(), number, limit];
        let rows = self.read(Reach::Tenant(tenant), sql, values).await?;
        rows.into_iter().rev().map(delivery).collect()
    }

    async fn told(&self, tenant: &TenantId, number: i64) -> Result<Told> {
        let sql = "SELECT DISTINCT receiver FROM deliveries
            WHERE client_id = $1 AND number = $2 AND state <> 'muted'";
        let values = values![tenant.as_str(), number];
        let rows = self.read(Reach::Tenant(tenant), sql, values).await?;
        rows.into_iter().map(|mut row| row.text()).collect()
    }

    async fn has_earlier(&self, tenant: &TenantId, row: &DeliveryRow) -> Result<bool> {
        let sql = "SELECT transition FROM deliveries WHERE client_id = $1 AND number = $2
            AND receiver = $3 AND transition < $4 AND state = 'pending' LIMIT 1";
        let values = values![tenant.as_str(), row.number, &row.receiver, row.transition];
        let found = self.read_one(Reach::Tenant(tenant), sql, values).await?;
        Ok(found.is_some())
    }

    async fn delivery(
        &self,
        tenant: &TenantId,
        transition: i64,
        receiver: &str,
    ) -> Result<Option<DeliveryRow>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM deliveries WHERE client_id = $1 AND transition = $2 AND receiver = $3"
        );
        let values = values![tenant.as_str(), transition, receiver];
        let row = self.read_one(Reach::Tenant(tenant), sql, values).await?;
        row.map(delivery).transpose()
    }

    async fn note_attempt(
        &self,
        tenant: &TenantId,
        transition: i64,
        receiver: &str,
        end: &DeliveryEnd,
    ) -> Result<bool> {
        let sql = "UPDATE deliveries SET state = $4, reason = $5, updated_at = $6,
                attempts = attempts + 1
            WHERE client_id = $1 AND transition = $2 AND receiver = $3 AND state = 'pending'";
        let values = values![
            tenant.as_str(),
            transition,
            receiver,
            end.state.as_str(),
            &end.reason,
            end.at,
        ];
        let changed = self.write(Reach::Tenant(tenant), Purpose::Durable, sql, values);
        Ok(changed.await? > 0)
    }

    async fn revive_deliveries(
        &self,
        tenant: &TenantId,
        rows: &[(i64, String, NewJob)],
        audit: &Audit,
    ) -> Result<u64> {
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        let mut revived = 0;
        for (transition, receiver, job) in rows {
            let sql = "UPDATE deliveries SET state = 'pending', created_at = $4, updated_at = $4
                WHERE client_id = $1 AND transition = $2 AND receiver = $3 AND state = 'dead'";
            let values = values![tenant.as_str(), *transition, receiver, audit.at];
            if tx.run(sql, values).await? > 0 {
                put_job(&mut *tx, job).await?;
                revived += 1;
            }
        }
        append(&mut *tx, audit, self.signer()).await?;
        tx.commit().await?;
        Ok(revived)
    }

    async fn trim_deliveries(&self, tenant: &TenantId, pending: Time, ended: Time) -> Result<()> {
        let mut tx = self
            .database
            .begin(Reach::Tenant(tenant), Purpose::Durable)
            .await?;
        let sql = "UPDATE deliveries SET state = 'dead', reason = 'not sent in time'
            WHERE client_id = $1 AND state = 'pending' AND created_at < $2";
        tx.run(sql, values![tenant.as_str(), pending]).await?;
        let sql = "DELETE FROM deliveries WHERE client_id = $1 AND updated_at < $2";
        tx.run(sql, values![tenant.as_str(), ended]).await?;
        let sql = "DELETE FROM silences WHERE client_id = $1 AND ends_at < $2";
        tx.run(sql, values![tenant.as_str(), ended]).await?;
        tx.commit().await
    }

    async fn put_silence(&self, tenant: &TenantId, silence: &Silence, audit: &Audit) -> Result<()> {
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        let sql = "INSERT INTO silences (client_id, silence_id, ends_at, silence)
            VALUES ($1, $2, $3, $4)";
        let values = values![
            tenant.as_str(),
            &silence.silence_id,
            silence.ends_at,
            to_json(silence)?,
        ];
        tx.run(sql, values).await?;
        append(&mut *tx, audit, self.signer()).await?;
        tx.commit().await
    }

    async fn silences(&self, tenant: &TenantId, after: Time) -> Result<Vec<Silence>> {
        let sql = "SELECT silence, ends_at FROM silences WHERE client_id = $1 AND ends_at > $2
            ORDER BY ends_at, silence_id";
        let values = values![tenant.as_str(), after];
        let rows = self.read(Reach::Tenant(tenant), sql, values).await?;
        let silence = |mut row: Row| {
            let silence: Silence = from_json(&row.text()?)?;
            let ends_at = row.time()?;
            Ok(Silence { ends_at, ..silence })
        };
        rows.into_iter().map(silence).collect()
    }

    async fn end_silence(
        &self,
        tenant: &TenantId,
        silence_id: &str,
        audit: &Audit,
    ) -> Result<bool> {
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        let sql = "UPDATE silences SET ends_at = $3
            WHERE client_id = $1 AND silence_id = $2 AND ends_at > $3";
        let values = values![tenant.as_str(), silence_id, audit.at];
        if tx.run(sql, values).await? == 0 {
            return Ok(false);
        }
        append(&mut *tx, audit, self.signer()).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn delivery(mut row: Row) -> Result<DeliveryRow> {
    Ok(DeliveryRow {
        transition: row.int()?,
        receiver: row.text()?,
        number: row.int()?,
        state: state(&row.text()?)?,
        reason: row.maybe_text()?,
        notice: from_json(&row.text()?)?,
        attempts: row.int()? as u32,
        created_at: row.time()?,
        updated_at: row.time()?,
    })
}

fn state(word: &str) -> Result<DeliveryState> {
    let unknown = || {
        let message = format!("metadata: a notification has the unknown state `{word}`");
        Error::new(ErrorKind::Corrupt, message)
    };
    DeliveryState::parse(word).ok_or_else(unknown)
}
