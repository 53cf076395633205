//! The audit log: who did what to whom.

use kgrca_core::tenancy::Audit;

use super::actor::Actor;
use super::app::App;
use super::error::Result;
use crate::clock::now;

/// Appends an act to the chain of the tenant that it concerns, else to the operator's.
///
/// # Errors
/// When it cannot be written; what was to be done must not be done then.
pub async fn record(
    app: &App,
    actor: &Actor,
    client_id: Option<&str>,
    action: &str,
    target: &str,
) -> Result<()> {
    let audit = Audit {
        client_id: client_id.map(str::to_owned),
        at: now(),
        actor: actor.audit_name(),
        action: action.to_owned(),
        target: target.to_owned(),
    };
    app.stores.meta.audit(&audit).await?;
    tracing::info!(
        client_id,
        actor = audit.actor,
        action,
        target,
        interface = actor.interface.as_str(),
        request_id = actor.request_id,
        "audit"
    );
    Ok(())
}
