//! Tenants, as the operator handles them.

mod change;
mod create;
mod status;

use kgrca_core::api::{DamagedRecords, Page, TenantStatus};
use kgrca_core::billing::{self, Plan};
use kgrca_core::tenancy::{Saga, Tenant, TenantId, TenantState};

use super::actor::Actor;
use super::app::App;
use super::audit;
use super::audit_counts;
use super::error::{Error, Result};
use crate::tenancy;

pub use change::change;
pub use create::create;
pub(super) use create::{Creation, Operation, created};

/// The days in which a deletion can be reversed, unless the caller chooses.
const DEFAULT_GRACE_DAYS: u32 = 30;
const MAX_GRACE_DAYS: u32 = 365;

/// A tenant's checked id and its row.
pub(super) struct FoundTenant {
    pub id: TenantId,
    pub row: Tenant,
}

/// A tenant, even one that was deleted: its usage and invoices remain.
pub(super) async fn find(app: &App, id: &str) -> Result<FoundTenant> {
    let missing = || {
        Error::not_found(format!("tenant `{id}` not found"))
            .hint("GET /api/v1/admin/clients lists tenants")
    };
    Ok(FoundTenant {
        row: app.stores.meta.tenant(id).await?.ok_or_else(missing)?,
        id: TenantId::parse(id).ok_or_else(missing)?,
    })
}

/// A tenant that was not deleted.
pub(super) async fn find_existing(app: &App, id: &str) -> Result<FoundTenant> {
    let found = find(app, id).await?;
    if found.row.state == TenantState::Deleted {
        return Err(Error::not_found(format!("tenant `{id}` was deleted"))
            .hint("GET /api/v1/admin/clients lists tenants"));
    }
    Ok(found)
}

fn plan(name: &str) -> Result<&'static Plan> {
    billing::find(name).ok_or_else(|| {
        let names: Vec<&str> = billing::plans().iter().map(|p| p.name.as_str()).collect();
        Error::invalid(format!("unknown plan `{name}`"))
            .hint(format!("available plans: {}", names.join(", ")))
    })
}

/// All tenants that were not deleted, with what an operator watches. An accountant may see them,
/// too.
///
/// # Errors
/// When a store does not answer.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<TenantStatus>> {
    actor.accountant()?;
    audit_counts::read(app, actor, None, "tenants");
    let mut items = Vec::new();
    for tenant in app.stores.meta.list_tenants().await? {
        if tenant.state != TenantState::Deleted {
            items.push(status::of_tenant(app, tenant).await?);
        }
    }
    Ok(Page { items, next: None })
}

/// One tenant.
///
/// # Errors
/// `not_found` when there is none, or it was deleted.
pub async fn show(app: &App, actor: &Actor, id: &str) -> Result<TenantStatus> {
    actor.operator()?;
    let tenant = find_existing(app, id).await?.row;
    audit_counts::read(app, actor, Some(id), "tenant");
    let mut status = status::of_tenant(app, tenant).await?;
    if let Some(id) = TenantId::parse(id) {
        status.damaged = damaged(app, &id).await?;
    }
    Ok(status)
}

/// What is missing of a tenant's log because it was damaged.
pub(super) async fn damaged(app: &App, id: &TenantId) -> Result<Vec<DamagedRecords>> {
    let parts = app.stores.log.set_aside(id).await?;
    let missing = parts
        .into_iter()
        .filter(|part| part.records > 0 || part.has_unknown);
    Ok(missing
        .map(|part| DamagedRecords {
            topic: part.stream.topic.as_str().to_owned(),
            partition: part.stream.partition,
            first: part.first,
            records: part.records,
            has_unknown: part.has_unknown,
        })
        .collect())
}

/// Deletes a tenant: it is no longer served from now on, and its data is removed after the grace
/// period. Repeating it changes the grace period.
///
/// # Errors
/// `conflict` while the tenant is provisioned or its graph is moved.
pub async fn delete(app: &App, actor: &Actor, id: &str, grace_days: Option<u32>) -> Result<Saga> {
    actor.operator()?;
    let days = grace_days.unwrap_or(DEFAULT_GRACE_DAYS);
    if days > MAX_GRACE_DAYS {
        return Err(Error::invalid(format!(
            "`grace_days` must be at most {MAX_GRACE_DAYS}"
        )));
    }
    let tenant = find(app, id).await?.row;
    if tenant.state == TenantState::Deleted {
        let sagas = app.stores.meta.sagas(Some(id)).await?;
        let done = sagas.into_iter().next();
        return done.ok_or_else(|| Error::not_found(format!("tenant `{id}` was deleted")));
    }
    let target = format!("{days} days of grace");
    audit::record(app, actor, Some(id), "client.delete", &target).await?;
    tenancy::delete(&app.tenancy, tenant, days)
        .await
        .map_err(Error::of_server)
}

/// Moves a tenant's graph to another server while the tenant is served. The saga shows the
/// progress.
///
/// # Errors
/// `conflict` when the tenant is not served, is moving already, or the server is not free.
pub async fn move_graph(app: &App, actor: &Actor, id: &str, server: &str) -> Result<Saga> {
    actor.operator()?;
    let tenant = find_existing(app, id).await?;
    if !tenant.row.state.is_worked() {
        return Err(Error::conflict(format!("tenant `{id}` is not served")));
    }
    // Tenants read their chain: servers are in the operator's.
    audit::record(
        app,
        actor,
        None,
        "client.move",
        &format!("{id} to {server}"),
    )
    .await?;
    audit::record(app, actor, Some(id), "client.move", "to another server").await?;
    tenancy::move_graph(&app.tenancy, &tenant.id, tenant.row, server)
        .await
        .map_err(Error::of_server)
}
