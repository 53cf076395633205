//! Sending one notification.

use kgrca_core::model::Time;
use kgrca_core::model::time::{DAY, SECOND};
use kgrca_core::storage::{DeliveryEnd, DeliveryRow, DeliveryState};
use kgrca_core::tenancy::Scope;
use serde::Deserialize;

use super::{request, stored};
use crate::clock::now;
use crate::outbound::Failure;
use crate::usecases::actor::TenantScope;
use crate::usecases::error::{Error, Result};
use crate::usecases::{Actor, App};

/// A notification is given up after this, in microseconds, however often its receiver asks to wait.
pub const PATIENCE: i64 = DAY;

/// Which notification to send.
#[derive(Clone, Debug, Deserialize)]
pub struct Target {
    /// Id of the transition.
    pub transition: i64,
    /// Name of the receiver.
    pub receiver: String,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The notification is sent, or will not be.
    Ended(DeliveryState),
    /// It waits until then.
    Later(Time),
}

/// Sends a notification, once per transition and receiver as far as the receiver recognizes
/// repetitions: a daemon that is killed between the receiver's answer and its record sends it
/// again, with the same id.
///
/// # Errors
/// When it failed and may succeed later; not on the last attempt.
pub async fn deliver(app: &App, actor: &Actor, target: &Target, is_last: bool) -> Result<Attempt> {
    let tenant = actor.tenant(Scope::Admin)?;
    let meta = &app.stores.meta;
    let name = target.receiver.as_str();
    let row = meta.delivery(tenant.id, target.transition, name).await?;
    let Some(row) = row.filter(|row| row.state == DeliveryState::Pending) else {
        return Ok(Attempt::Ended(DeliveryState::Sent));
    };
    let at = now();
    // The notifications of an incident arrive in order.
    if meta.has_earlier(tenant.id, &row).await? {
        return Ok(Attempt::Later(at.plus(SECOND)));
    }
    let config = stored(app, tenant).await?.map(|(_, config)| config);
    let Some(receiver) = config.as_ref().and_then(|config| config.receiver(name)) else {
        return end(app, tenant, &row, "the receiver was removed").await;
    };
    let is_late = at.0 - row.created_at.0 > PATIENCE;
    if let Some(until) = app
        .breakers
        .closed_until(tenant.id, name, at)
        .filter(|_| !is_late)
    {
        return Ok(Attempt::Later(until));
    }
    let id = request::id(row.transition, name);
    let failure = match request::send(app, tenant.id, receiver, &row.notice, &id).await {
        Ok(()) => {
            app.breakers.succeeded(tenant.id, name);
            note(app, tenant, &row, DeliveryState::Sent, None).await?;
            return Ok(Attempt::Ended(DeliveryState::Sent));
        }
        Err(failure) => failure,
    };
    app.breakers.failed(tenant.id, name, at);
    failed(app, tenant, &row, failure, is_last || is_late).await
}

async fn failed(
    app: &App,
    tenant: TenantScope<'_>,
    row: &DeliveryRow,
    failure: Failure,
    gives_up: bool,
) -> Result<Attempt> {
    if failure.is_lasting || gives_up {
        return end(app, tenant, row, &failure.text).await;
    }
    note(
        app,
        tenant,
        row,
        DeliveryState::Pending,
        Some(&failure.text),
    )
    .await?;
    match failure.retry_after {
        Some(wait) => Ok(Attempt::Later(now().plus(wait.as_micros() as i64))),
        None => Err(Error::unavailable_for(failure.text, 1)),
    }
}

async fn end(app: &App, tenant: TenantScope<'_>, row: &DeliveryRow, why: &str) -> Result<Attempt> {
    note(app, tenant, row, DeliveryState::Dead, Some(why)).await?;
    tracing::warn!(tenant = %tenant.id, receiver = %row.receiver, reason = %why,
        "a notification cannot be delivered");
    Ok(Attempt::Ended(DeliveryState::Dead))
}

async fn note(
    app: &App,
    tenant: TenantScope<'_>,
    row: &DeliveryRow,
    state: DeliveryState,
    why: Option<&str>,
) -> Result<()> {
    let end = DeliveryEnd {
        state,
        reason: why.map(str::to_owned),
        at: now(),
    };
    let meta = &app.stores.meta;
    let was_pending = meta.note_attempt(tenant.id, row.transition, &row.receiver, &end);
    was_pending.await?;
    metrics::counter!("kg_notifications_total", "state" => state.as_str()).increment(1);
    Ok(())
}
