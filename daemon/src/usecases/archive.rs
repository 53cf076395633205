//! Exporting tenants, and importing them from another installation.

use std::sync::Arc;

use kgrca_core::api::{CreatedTenant, Imported, NewTenant};
use kgrca_core::storage;
use kgrca_core::storage::archive::Part;
use kgrca_core::tenancy::{Saga, Tenant, TenantId, TenantState};
use tokio::sync::mpsc;

use super::actor::Actor;
use super::app::App;
use super::error::{Error, Result};
use super::tenants::{self, Creation, FoundTenant, Operation};
use super::{audit, sagas};
use crate::tenancy;

/// Rows as lines of JSON. A stream that ends with an error is incomplete.
pub type Rows = mpsc::Receiver<storage::Result<Vec<u8>>>;

fn part(name: &str) -> Result<Part> {
    let known = Part::EXPORTED.into_iter().find(|p| p.as_str() == name);
    known.ok_or_else(|| {
        let names = Part::EXPORTED.map(Part::as_str).join(", ");
        Error::not_found(format!("unknown export part `{name}`"))
            .hint(format!("use one of {names}"))
    })
}

/// A part of a tenant, in the order of the rows' ids.
///
/// # Errors
/// `not_found` for an unknown tenant or part; `conflict` while the tenant is provisioned.
pub async fn export(app: &Arc<App>, actor: &Actor, id: &str, part_name: &str) -> Result<Rows> {
    actor.operator()?;
    let part = part(part_name)?;
    let FoundTenant { id, row } = tenants::find_existing(app, id).await?;
    if row.state == TenantState::Joining {
        return Err(Error::conflict(format!(
            "tenant `{id}` is still being provisioned: its export would be incomplete"
        )));
    }
    audit::record(app, actor, Some(id.as_str()), "client.export", part_name).await?;
    Ok(rows(app, id, row, part))
}

/// Sends rows as fast as they are read.
fn rows(app: &Arc<App>, id: TenantId, row: Tenant, part: Part) -> Rows {
    let (sender, receiver) = mpsc::channel(4);
    let app = Arc::clone(app);
    tokio::spawn(async move {
        if let Err(e) = tenancy::export(&app.tenancy, &id, &row, part, &sender).await {
            tracing::warn!(client_id = %id, error = %e, "export failed");
            // The reader may have gone, and that may be why it failed.
            let _ = sender.send(Err(e)).await;
        }
    });
    receiver
}

/// Starts importing a tenant from another installation. It takes rows next, and is served once the
/// import is completed.
///
/// # Errors
/// As when a tenant is created.
pub async fn begin(
    app: &App,
    actor: &Actor,
    request: NewTenant,
    idempotency_key: Option<String>,
) -> Result<Saga> {
    actor.operator()?;
    let creation = Creation::new(app, actor, Operation::Import, request, idempotency_key)?;
    creation.audit(app, actor).await?;
    tenancy::create_to_load(&app.tenancy, creation.tenant, creation.request)
        .await
        .map_err(Error::of_server)
}

/// Loads rows of a part into a tenant that is being imported. Repeating rows changes nothing,
/// except for records: the answer says how many there are now.
///
/// # Errors
/// `not_found` for an unknown saga or part; `conflict` when the saga is not an open import.
pub async fn load(
    app: &App,
    actor: &Actor,
    saga_id: &str,
    part_name: &str,
    rows: &[u8],
) -> Result<Imported> {
    actor.operator()?;
    let saga = sagas::find(app, saga_id).await?;
    let part = part(part_name)?;
    let target = format!("{part_name}, {} bytes", rows.len());
    audit::record(app, actor, Some(&saga.client_id), "client.load", &target).await?;
    let (rows, records) = tenancy::load(&app.tenancy, &saga.saga_id, part, rows)
        .await
        .map_err(Error::of_server)?;
    Ok(Imported { rows, records })
}

/// What was loaded of a part so far, in the form of an export: equal to what was sent when it is
/// complete.
///
/// # Errors
/// As for [`load`].
pub async fn loaded(app: &Arc<App>, actor: &Actor, saga_id: &str, part_name: &str) -> Result<Rows> {
    actor.operator()?;
    let saga = sagas::find(app, saga_id).await?;
    let (id, row) = tenancy::unfinished(&app.tenancy, &saga)
        .await
        .map_err(Error::of_server)?;
    let part = part(part_name)?;
    audit::record(app, actor, Some(id.as_str()), "client.export", part_name).await?;
    Ok(rows(app, id, row, part))
}

/// Completes an import: the tenant gets its first key and is served.
///
/// # Errors
/// As for [`load`].
pub async fn complete(app: &App, actor: &Actor, saga_id: &str) -> Result<CreatedTenant> {
    actor.operator()?;
    let saga = sagas::find(app, saga_id).await?;
    let id = &saga.client_id;
    audit::record(app, actor, Some(id), "client.create", saga_id).await?;
    let (saga, secrets) = tenancy::loaded(&app.tenancy, &saga.saga_id)
        .await
        .map_err(Error::of_server)?;
    Ok(tenants::created(app, &saga, secrets))
}
