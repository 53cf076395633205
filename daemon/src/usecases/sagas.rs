//! Sagas: how far provisioning, deletion and moves of tenants are, and what to do with one that
//! stopped.

use kgrca_core::api::{CreatedTenant, Page, SagaAct};
use kgrca_core::tenancy::Saga;

use super::actor::Actor;
use super::app::App;
use super::audit;
use super::audit_counts;
use super::error::{Error, Result};
use super::tenants;
use crate::tenancy;

pub use crate::tenancy::Continued;

/// The outcome of an action on a saga. It has no `Debug`, because it may hold secrets.
pub enum SagaOutcome {
    /// It is in this state now.
    State(Box<Saga>),
    /// It completed the creation of a tenant. The secrets are new, and shown only now.
    Created(CreatedTenant),
}

/// Sagas of one tenant or of all, newest first.
///
/// # Errors
/// When the store does not answer.
pub async fn list(
    app: &App,
    actor: &Actor,
    client_id: Option<&str>,
    only_open: bool,
) -> Result<Page<Saga>> {
    actor.operator()?;
    audit_counts::read(app, actor, None, "sagas");
    let mut items = app.stores.meta.sagas(client_id).await?;
    items.retain(|saga| !only_open || !saga.is_over());
    Ok(Page { items, next: None })
}

pub(super) async fn find(app: &App, id: &str) -> Result<Saga> {
    app.stores.meta.saga(id).await?.ok_or_else(|| {
        Error::not_found(format!("saga `{id}` not found"))
            .hint("GET /api/v1/admin/sagas lists sagas")
    })
}

/// One saga with its steps.
///
/// # Errors
/// `not_found` when there is none.
pub async fn show(app: &App, actor: &Actor, id: &str) -> Result<Saga> {
    actor.operator()?;
    let saga = find(app, id).await?;
    audit_counts::read(app, actor, Some(&saga.client_id), "saga");
    Ok(saga)
}

/// Continues a saga that runs without a caller, as far as it goes now.
///
/// # Errors
/// When a step failed; it is tried again when the saga is continued.
pub async fn continue_unattended(app: &App, actor: &Actor, id: &str) -> Result<Continued> {
    actor.operator()?;
    tenancy::continue_saga(&app.tenancy, id)
        .await
        .map_err(Error::of_server)
}

/// Resumes a saga that stopped, or rolls back what it did.
///
/// # Errors
/// `conflict` when its state does not allow it, or another daemon is processing it.
pub async fn act(app: &App, actor: &Actor, id: &str, act: SagaAct) -> Result<SagaOutcome> {
    actor.operator()?;
    let saga = find(app, id).await?;
    let action = match act {
        SagaAct::Resume => "saga.resume",
        SagaAct::Compensate => "saga.compensate",
    };
    audit::record(app, actor, Some(&saga.client_id), action, id).await?;
    match act {
        SagaAct::Resume => {
            let (saga, secrets) = tenancy::resume(&app.tenancy, id)
                .await
                .map_err(Error::of_server)?;
            Ok(match secrets.api_key {
                Some(_) => SagaOutcome::Created(tenants::created(app, &saga, secrets)),
                None => SagaOutcome::State(Box::new(saga)),
            })
        }
        SagaAct::Compensate => {
            let saga = tenancy::compensate(&app.tenancy, id)
                .await
                .map_err(Error::of_server)?;
            Ok(SagaOutcome::State(Box::new(saga)))
        }
    }
}
