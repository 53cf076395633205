//! Sagas: how far each tenant is provisioned, removed or moved.

use super::job::put_jobs;
use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, from_json, to_json};
use crate::jobs::NewJob;
use crate::model::Time;
use crate::storage::{Result, Sagas};
use crate::tenancy::{Saga, SagaState};

#[async_trait::async_trait]
impl<D: Database> Sagas for SqlMeta<D> {
    async fn put_saga(&self, saga: &Saga, jobs: &[NewJob]) -> Result<()> {
        let sql = "INSERT INTO sagas (saga_id, client_id, saga, created_at, owner, until, request)
            VALUES ($1, $2, $3, $4, '', 0, $5)
            ON CONFLICT (saga_id) DO UPDATE SET saga = excluded.saga, request = excluded.request";
        let request = saga
            .request
            .as_ref()
            .filter(|_| saga.state != SagaState::Compensated)
            .cloned();
        let values = values![
            &saga.saga_id,
            &saga.client_id,
            to_json(saga)?,
            saga.created_at,
            &request
        ];
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        tx.run(sql, values).await?;
        put_jobs(&mut *tx, jobs).await?;
        tx.commit().await
    }

    async fn saga(&self, saga_id: &str) -> Result<Option<Saga>> {
        let row = self
            .read_one(
                Reach::Operator,
                "SELECT saga FROM sagas WHERE saga_id = $1",
                values![saga_id],
            )
            .await?;
        row.map(saga).transpose()
    }

    async fn saga_of_request(&self, request: &str) -> Result<Option<Saga>> {
        let sql = "SELECT saga FROM sagas WHERE request = $1";
        let row = self.read_one(Reach::Operator, sql, values![request]);
        row.await?.map(saga).transpose()
    }

    async fn release_request(&self, saga_id: &str) -> Result<()> {
        let sql = "UPDATE sagas SET request = NULL WHERE saga_id = $1";
        self.write(Reach::Operator, Purpose::Durable, sql, values![saga_id])
            .await?;
        Ok(())
    }

    async fn sagas(&self, tenant_id: Option<&str>) -> Result<Vec<Saga>> {
        let sql = "SELECT saga FROM sagas
            WHERE $1 IS NULL OR client_id = $1 ORDER BY created_at DESC, saga_id";
        self.read(Reach::Operator, sql, values![tenant_id])
            .await?
            .into_iter()
            .map(saga)
            .collect()
    }

    async fn claim_saga(&self, saga_id: &str, owner: &str, until: Time, now: Time) -> Result<bool> {
        let sql = "UPDATE sagas SET owner = $2, until = $3
            WHERE saga_id = $1 AND (owner = $2 OR until < $4)";
        Ok(self
            .write(
                Reach::Operator,
                Purpose::Durable,
                sql,
                values![saga_id, owner, until, now],
            )
            .await?
            > 0)
    }
}

fn saga(mut row: Row) -> Result<Saga> {
    from_json(&row.text()?)
}
