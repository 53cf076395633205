//! Moves a tenant's graph to another server while the tenant is served: until the copy is complete,
//! what its workers would write stays in the log, and queries are answered by the old server.

use kgrca_core::storage::{Error, ErrorKind};
use kgrca_core::tenancy::{GraphMove, Saga, SagaKind, Step, Tenant, TenantId};

use super::Tenancy;
use super::run::{continuation, store_new};
use super::saga;
use crate::clock::now;

/// Begins to move a tenant's graph; a job does it.
pub async fn move_graph(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: Tenant,
    to: &str,
) -> Result<Saga, Error> {
    let servers = &ctx.stores.provisioner.graph;
    let open = ctx
        .stores
        .meta
        .sagas(Some(tenant.as_str()))
        .await?
        .into_iter()
        .find(|s| !s.is_over());
    if let Some(open) = open {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("{} of {tenant} is still running", open.saga_id),
        )
        .hint(format!("kgrca saga show {}", open.saga_id)));
    }
    let from = ctx.stores.meta.graph_server(tenant).await?;
    let from = from.ok_or_else(|| {
        Error::new(
            ErrorKind::Conflict,
            format!("the graph of {tenant} is not on a Neo4j server, so it cannot be moved"),
        )
    })?;
    if from == to {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("the graph of {tenant} is already on {to}"),
        ));
    }
    servers.is_free(to).await?;
    let graph = Some(GraphMove {
        from,
        to: to.to_owned(),
    });
    let saga = Saga {
        graph,
        ..saga(SagaKind::Move, &Saga::MOVE, client)
    };
    store_new(ctx, &saga, &[continuation(&saga, now())]).await?;
    Ok(saga)
}

fn route(saga: &Saga) -> Result<&GraphMove, Error> {
    saga.graph.as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::Corrupt,
            format!("{} names no servers to move between", saga.saga_id),
        )
    })
}

/// Runs a step of a move.
pub(super) async fn act(
    ctx: &Tenancy,
    saga: &Saga,
    tenant: &TenantId,
    step: Step,
) -> Result<(), Error> {
    let (servers, route) = (&ctx.stores.provisioner.graph, route(saga)?);
    match step {
        Step::Hold => servers.hold(tenant, &route.from).await,
        Step::Copy => servers.copy(tenant, &route.from, &route.to).await,
        Step::Switch => servers.switch(tenant, &route.to).await,
        _ => servers.clear(tenant, &route.from).await,
    }
}

/// Rolls a step of a move back.
pub(super) async fn undo(
    ctx: &Tenancy,
    saga: &Saga,
    tenant: &TenantId,
    step: Step,
) -> Result<(), Error> {
    let (servers, route) = (&ctx.stores.provisioner.graph, route(saga)?);
    match step {
        Step::Hold => servers.unhold(tenant, &route.from).await,
        Step::Copy => {
            // Resume on the old server first: the new one may be unavailable for long.
            servers.unhold(tenant, &route.from).await?;
            servers.clear(tenant, &route.to).await
        }
        // A switch is rolled back only when it was refused: the server has another tenant.
        _ => Ok(()),
    }
}
