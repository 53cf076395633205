//! The audit log: who did what to whom.

use kgrca_core::api::Page;
use kgrca_core::tenancy::{Audit, AuditEntry, Scope};

use super::actor::Actor;
use super::app::App;
use super::error::{Error, Result};
use super::within;
use crate::clock::now;

/// Appends an act to the chain of the tenant that it concerns, else to the operator's.
///
/// # Errors
/// When it cannot be written; what was to be done must not be done then.
pub(super) async fn record(
    app: &App,
    actor: &Actor,
    client_id: Option<&str>,
    action: &str,
    target: &str,
) -> Result<()> {
    let audit = entry(actor, client_id, action, target);
    app.stores.meta.audit(&audit).await?;
    log(actor, &audit);
    Ok(())
}

/// The entry of an act at this moment, for acts whose transaction writes it.
pub(super) fn entry(actor: &Actor, client_id: Option<&str>, action: &str, target: &str) -> Audit {
    Audit {
        client_id: client_id.map(str::to_owned),
        at: now(),
        actor: actor.audit_name(),
        action: action.to_owned(),
        target: target.to_owned(),
    }
}

/// Writes an entry that was stored to the daemon's log, too.
pub(super) fn log(actor: &Actor, audit: &Audit) {
    tracing::info!(
        client_id = audit.client_id,
        actor = audit.actor,
        action = audit.action,
        target = audit.target,
        interface = actor.interface.as_str(),
        request_id = actor.request_id,
        "audit"
    );
}

/// Whose chain of the audit log is meant.
#[derive(Clone, Copy, Debug)]
pub enum Chain<'a> {
    /// That of the actor's own tenant.
    OwnTenant,
    /// A tenant's, by its id; for the operator.
    Tenant(&'a str),
    /// The operator's.
    Operator,
}

/// A page of a chain, oldest first. Every entry carries the hash of the one before it.
///
/// # Errors
/// `invalid_request` for a position or a limit out of range.
pub async fn list(
    app: &App,
    actor: &Actor,
    chain: Chain<'_>,
    after: Option<i64>,
    limit: Option<usize>,
) -> Result<Page<AuditEntry>> {
    let client_id = match chain {
        Chain::OwnTenant => Some(actor.tenant(Scope::Admin)?.id.as_str()),
        Chain::Tenant(id) => actor.operator().map(|()| Some(id))?,
        Chain::Operator => actor.operator().map(|()| None)?,
    };
    let limit = within("limit", limit, 100, 1000)?;
    let after = after.unwrap_or(0);
    if after < 0 {
        return Err(Error::invalid("`after` must be 0 or greater"));
    }
    let items = app.stores.meta.audit_log(client_id, after, limit).await?;
    let next = items
        .last()
        .filter(|_| items.len() == limit)
        .map(|entry| entry.seq.to_string());
    Ok(Page { items, next })
}
