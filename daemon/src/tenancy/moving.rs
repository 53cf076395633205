//! A tenant's graph goes to another server while the tenant is served: until the copy is whole,
//! what its workers would write waits in the log, and questions are answered by the server of
//! before.

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
            format!("the graph of {tenant} is on {to} already"),
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

fn way(saga: &Saga) -> Result<&GraphMove, Error> {
    saga.graph.as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::Corrupt,
            format!("{} moves nowhere", saga.saga_id),
        )
    })
}

/// Does a step of a move.
pub(super) async fn act(
    ctx: &Tenancy,
    saga: &Saga,
    tenant: &TenantId,
    step: Step,
) -> Result<(), Error> {
    let (servers, way) = (&ctx.stores.provisioner.graph, way(saga)?);
    match step {
        Step::Hold => servers.hold(tenant, &way.from).await,
        Step::Copy => servers.copy(tenant, &way.from, &way.to).await,
        Step::Switch => servers.switch(tenant, &way.to).await,
        _ => servers.clear(tenant, &way.from).await,
    }
}

/// Takes a step of a move back.
pub(super) async fn undo(
    ctx: &Tenancy,
    saga: &Saga,
    tenant: &TenantId,
    step: Step,
) -> Result<(), Error> {
    let (servers, way) = (&ctx.stores.provisioner.graph, way(saga)?);
    match step {
        Step::Hold => servers.unhold(tenant, &way.from).await,
        Step::Copy => {
            // First of all the tenant goes on where it is: the other server may be away for long.
            servers.unhold(tenant, &way.from).await?;
            servers.clear(tenant, &way.to).await
        }
        // It is only taken back when somebody else is where it was to go.
        _ => Ok(()),
    }
}
