//! What was written for a tenant after it was deleted, by a daemon that did not know yet, or that
//! died between its steps.

use std::collections::BTreeSet;

use kgrca_core::storage::Error;
use kgrca_core::tenancy::{TenantId, TenantState};

use super::Tenancy;

/// Removes files of deleted tenants, and the rows that came with them.
///
/// # Errors
/// The first failure; those of one tenant do not keep the others.
pub async fn remove_leftovers(ctx: &Tenancy) -> Result<(), Error> {
    let stores = &ctx.stores;
    let mut with_files: BTreeSet<TenantId> = stores.log.tenants_with_files()?.into_iter().collect();
    with_files.extend(stores.graph.tenants_with_files()?);
    if with_files.is_empty() {
        return Ok(());
    }
    // Only those that are known to be deleted: a tenant may have been created since.
    let tenants = stores.meta.list_tenants().await?;
    let deleted = tenants.iter().filter(|t| t.state == TenantState::Deleted);
    let mut result = Ok(());
    for id in deleted.filter_map(|t| TenantId::parse(&t.client_id)) {
        if with_files.contains(&id) {
            tracing::warn!(client_id = %id, "removing files of a deleted tenant");
            result = result.and(remove(ctx, &id).await);
        }
    }
    result
}

async fn remove(ctx: &Tenancy, id: &TenantId) -> Result<(), Error> {
    ctx.fleet.stop_writing(id);
    ctx.fleet.unload(id).await;
    let snapshots = ctx.fleet.forget(id);
    snapshots.map_err(|e| Error::io(&"snapshots", &e))?;
    ctx.stores.log.remove(id).await?;
    ctx.stores.graph.remove(id).await?;
    ctx.stores.meta.forget_tenant(id, false).await?;
    ctx.stores.encryption.forget(id);
    Ok(())
}
