//! Assignment of tenants to graph servers.

use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta};
use crate::storage::{GraphPlacement, Result};
use crate::tenancy::TenantId;

#[async_trait::async_trait]
impl<D: Database> GraphPlacement for SqlMeta<D> {
    async fn graph_server(&self, tenant: &TenantId) -> Result<Option<String>> {
        let sql = "SELECT server FROM graph_places WHERE client_id = $1";
        self.read_one(Reach::Operator, sql, values![tenant.as_str()])
            .await?
            .map(|mut r| r.text())
            .transpose()
    }

    async fn graph_servers(&self) -> Result<Vec<(String, String)>> {
        let sql = "SELECT client_id, server FROM graph_places ORDER BY client_id";
        let rows = self.read(Reach::Operator, sql, Vec::new()).await?;
        rows.into_iter()
            .map(|mut r| Ok((r.text()?, r.text()?)))
            .collect()
    }

    async fn put_graph_server(
        &self,
        tenant: &TenantId,
        server: Option<&str>,
        exclusive: bool,
    ) -> Result<()> {
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        tx.run(
            "DELETE FROM graph_places WHERE client_id = $1",
            values![tenant.as_str()],
        )
        .await?;
        if let Some(server) = server {
            // `slot` is unique. On an exclusive server it is the server: a second tenant collides.
            let slot = if exclusive { server } else { tenant.as_str() };
            let sql = "INSERT INTO graph_places (client_id, server, slot) VALUES ($1, $2, $3)";
            tx.run(sql, values![tenant.as_str(), server, slot]).await?;
        }
        tx.commit().await
    }
}
