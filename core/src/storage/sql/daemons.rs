//! Daemons and their heartbeats.

use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta};
use crate::model::Time;
use crate::model::time::DAY;
use crate::storage::{DaemonRow, Daemons, Result};

#[async_trait::async_trait]
impl<D: Database> Daemons for SqlMeta<D> {
    async fn beat(&self, d: &DaemonRow) -> Result<()> {
        let sql = "INSERT INTO daemons (owner, address, roles, version, started_at, seen_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (owner) DO UPDATE SET
                address = excluded.address, roles = excluded.roles, version = excluded.version,
                started_at = excluded.started_at, seen_at = excluded.seen_at";
        let values = values![
            &d.owner,
            &d.address,
            &d.roles,
            &d.version,
            d.started_at,
            d.seen_at
        ];
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Replayable)
            .await?;
        tx.run(sql, values).await?;
        tx.run(
            "DELETE FROM daemons WHERE seen_at < $1",
            values![d.seen_at.plus(-DAY)],
        )
        .await?;
        tx.commit().await
    }

    async fn leave(&self, owner: &str) -> Result<()> {
        self.write(
            Reach::Operator,
            Purpose::Replayable,
            "DELETE FROM daemons WHERE owner = $1",
            values![owner],
        )
        .await?;
        Ok(())
    }

    async fn daemons(&self, since: Time) -> Result<Vec<DaemonRow>> {
        let sql = "SELECT owner, address, roles, version, started_at, seen_at FROM daemons
            WHERE seen_at >= $1 ORDER BY owner";
        let rows = self.read(Reach::Operator, sql, values![since]).await?;
        rows.into_iter()
            .map(|mut r| {
                let (owner, address, roles, version) = (r.text()?, r.text()?, r.text()?, r.text()?);
                Ok(DaemonRow {
                    owner,
                    address,
                    roles,
                    version,
                    started_at: r.time()?,
                    seen_at: r.time()?,
                })
            })
            .collect()
    }
}
