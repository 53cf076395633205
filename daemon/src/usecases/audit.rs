//! The audit log: who did what to whom.

use kgrca_core::storage::MAX_AUDIT_BYTES;
use kgrca_core::tenancy::{Audit, AuditEntry, AuditPage, AuditSigner, Scope};

use super::actor::Actor;
use super::app::App;
use super::audit_counts;
use super::error::{Error, Result};
use super::within;
use crate::clock::now;

/// The longest target of an entry, in characters; the rest is cut.
const MAX_TARGET: usize = 1000;
/// The longest actor of an entry, in characters: names of keys of older versions have no limit.
const MAX_ACTOR: usize = 300;

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
        actor: cut(&actor.audit_name(), MAX_ACTOR),
        action: action.to_owned(),
        target: cut(target, MAX_TARGET),
        // Tenants read their log: where the operator's people work is not in it.
        address: actor
            .address
            .filter(|_| client_id.is_none() || actor.reached_tenant().is_some())
            .map(|address| address.to_string()),
    }
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Writes an entry that was stored to the daemon's log, too.
pub(super) fn log(actor: &Actor, audit: &Audit) {
    tracing::info!(
        client_id = audit.client_id,
        actor = audit.actor,
        action = audit.action,
        target = audit.target,
        address = actor.address.map(tracing::field::display),
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
) -> Result<AuditPage> {
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
    audit_counts::read(app, actor, client_id, "audit log");
    let items = app.stores.meta.audit_log(client_id, after, limit).await?;
    // A page ends at the limit of entries or of bytes; one near the latter may be followed by an
    // empty one.
    let text = |e: &AuditEntry| e.audit.actor.len() + e.audit.target.len();
    let is_large = items.iter().map(text).sum::<usize>() > MAX_AUDIT_BYTES / 4;
    let next = items
        .last()
        .filter(|_| items.len() == limit || is_large)
        .map(|entry| entry.seq.to_string());
    Ok(AuditPage {
        items,
        next,
        public_key: Some(app.stores.audit_key.public_key()),
    })
}
