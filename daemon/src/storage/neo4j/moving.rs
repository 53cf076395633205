//! Moving a tenant's graph to another server: writes are held on the old one, the graph is copied
//! and compared, the tenant is assigned to the new one, and the old one is cleared.

use kgrca_core::storage::{Error, ErrorKind, GraphBatch, GraphPart, Result};
use kgrca_core::tenancy::TenantId;
use neo4rs::{Graph, query};

use crate::storage::GraphProvisioner;

use super::prepared::Prepared;
use super::{Neo4jGraph, copy, failed, persistent, read, rows, write};

/// How many resources, episodes or incidents are copied per page.
const PAGE: usize = 2000;

async fn run(
    graph: &Graph,
    text: &str,
    parameters: &[(&str, i64)],
    tenant: &TenantId,
) -> Result<()> {
    persistent(|| async {
        let question = parameters.iter().fold(
            query(text).param("tenant", tenant.as_str()),
            |q, (name, v)| q.param(name, *v),
        );
        graph
            .run(question)
            .await
            .map(|_| ())
            .map_err(|e| failed(&e))
    })
    .await
}

/// Compares a part on both servers, page by page.
async fn compare(from: &Graph, to: &Graph, part: GraphPart) -> Result<()> {
    let mut next = Some(String::new());
    while let Some(after) = next {
        let page = copy::page(from, part, &after, PAGE).await?;
        if copy::page(to, part, &after, PAGE).await? != page {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("graph: the copy differs in {part:?} after `{after}`"),
            ));
        }
        next = page.next;
    }
    Ok(())
}

#[async_trait::async_trait]
impl GraphProvisioner for Neo4jGraph {
    async fn is_free(&self, server: &str) -> Result<()> {
        self.0.is_free(server).await
    }

    async fn switch(&self, tenant: &TenantId, server: &str) -> Result<()> {
        self.0.assign(tenant, server).await
    }

    async fn hold(&self, tenant: &TenantId, server: &str) -> Result<()> {
        let graph = self.0.on(tenant, server).await?;
        // Workers that create a fence lock the owner first, too, so no fence appears later.
        let text = "MATCH (o:Owner {client_id: $tenant}) SET o.moves = true
            WITH o OPTIONAL MATCH (f:Fence) SET f.held = coalesce(f.held, f.epoch),
                f.epoch = $held";
        run(&graph, text, &[("held", write::HELD)], tenant).await
    }

    async fn unhold(&self, tenant: &TenantId, server: &str) -> Result<()> {
        let graph = self.0.on(tenant, server).await?;
        let text = "MATCH (o:Owner {client_id: $tenant}) REMOVE o.moves
            WITH o MATCH (f:Fence) WHERE f.held IS NOT NULL SET f.epoch = f.held REMOVE f.held";
        run(&graph, text, &[], tenant).await
    }

    async fn copy(&self, tenant: &TenantId, from: &str, to: &str) -> Result<()> {
        self.0.prepare_at(tenant, to).await?;
        let (from, to) = (self.0.on(tenant, from).await?, self.0.on(tenant, to).await?);
        let text = "MATCH (f:Fence) WHERE f.held IS NOT NULL
            RETURN f.partition AS partition, f.held AS epoch ORDER BY partition";
        let mut fences: Vec<(i64, i64)> = Vec::new();
        for row in &rows(&from, || query(text)).await? {
            fences.push((read::read(row, "partition")?, read::read(row, "epoch")?));
        }
        // Without a fence nothing was ever written.
        let Some((partition, epoch)) = fences.first().copied() else {
            return Ok(());
        };
        for part in GraphPart::ALL {
            let mut next = Some(String::new());
            while let Some(after) = next {
                let page = copy::page(&from, part, &after, PAGE).await?;
                let (changes, incidents) = (page.changes, page.incidents);
                let batch = GraphBatch {
                    partition: partition as u32,
                    epoch,
                    full_resync: true,
                    is_copy: true,
                    changes,
                    incidents,
                };
                let batch = Prepared::new(&batch);
                persistent(|| write::write(&to, tenant, &batch)).await?;
                next = page.next;
            }
        }
        for part in GraphPart::ALL {
            compare(&from, &to, part).await?;
        }
        for (partition, epoch) in fences {
            let text = "MATCH (:Owner {client_id: $tenant})
                MERGE (f:Fence {partition: $partition}) SET f.epoch = $epoch";
            run(
                &to,
                text,
                &[("partition", partition), ("epoch", epoch)],
                tenant,
            )
            .await?;
        }
        Ok(())
    }

    async fn clear(&self, tenant: &TenantId, server: &str) -> Result<()> {
        if self.0.name_of(tenant).await?.as_deref() == Some(server) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("graph: {server} holds the graph of {tenant}; refusing to clear it"),
            ));
        }
        self.0.clear(tenant, server).await
    }
}
