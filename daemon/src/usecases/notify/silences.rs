//! Silences.

use kgrca_core::api::{NewSilence, Page};
use kgrca_core::model::time::DAY;
use kgrca_core::notify::Silence;
use kgrca_core::tenancy::Scope;

use crate::clock::now;
use crate::random::random_id;
use crate::usecases::error::{Error, Result};
use crate::usecases::{Actor, App, audit, text};

/// Longest silence, in microseconds.
const LONGEST: i64 = 90 * DAY;
/// Most silences that are in effect.
const MAX_ACTIVE: usize = 200;
/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// The silences in effect, in the order of their ends.
///
/// # Errors
/// `forbidden` without the scope `read`.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<Silence>> {
    let tenant = actor.tenant(Scope::Read)?;
    let items = app.stores.meta.silences(tenant.id, now()).await?;
    Ok(Page { items, next: None })
}

/// Adds a silence.
///
/// # Errors
/// `invalid_request` without a condition or a reason, and for an end that is past or too far away.
pub async fn add(app: &App, actor: &Actor, new: NewSilence) -> Result<Silence> {
    let tenant = actor.tenant(Scope::Admin)?;
    let _writing = super::super::begin_writing(app, tenant).await?;
    text("reason", &new.reason, MAX_REASON)?;
    let at = now();
    let problem = if new.reason.trim().is_empty() {
        Some("a silence needs a `reason`")
    } else if new.matcher.is_empty() {
        Some("a silence needs at least one condition: everything else would be silenced, too")
    } else if new.ends_at <= at {
        Some("`ends_at` is in the past")
    } else if new.ends_at.0 - at.0 > LONGEST {
        Some("`ends_at` is more than 90 days away")
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(Error::invalid(problem));
    }
    if let Some(problem) = new.matcher.problem() {
        return Err(Error::invalid(problem));
    }
    let meta = &app.stores.meta;
    if meta.silences(tenant.id, at).await?.len() >= MAX_ACTIVE {
        let message = format!("{MAX_ACTIVE} silences are in effect");
        return Err(Error::conflict(message).hint("`kgrca silence expire` ends one"));
    }
    let silence = Silence {
        silence_id: format!("sil_{}", random_id(10)),
        matcher: new.matcher,
        reason: new.reason,
        by: actor.identity.to_string(),
        created_at: at,
        ends_at: new.ends_at,
    };
    let target = format!(
        "{} until {}",
        silence.silence_id,
        silence.ends_at.to_seconds()
    );
    let entry = audit::entry(actor, Some(tenant.id.as_str()), "silence.add", &target);
    meta.put_silence(tenant.id, &silence, &entry).await?;
    audit::log(actor, &entry);
    Ok(silence)
}

/// Ends a silence at once.
///
/// # Errors
/// `not_found` when it is not in effect.
pub async fn end(app: &App, actor: &Actor, id: &str) -> Result<()> {
    let tenant = actor.tenant(Scope::Admin)?;
    let entry = audit::entry(actor, Some(tenant.id.as_str()), "silence.expire", id);
    if !app.stores.meta.end_silence(tenant.id, id, &entry).await? {
        return Err(Error::not_found(format!("silence `{id}` is not in effect"))
            .hint("`kgrca silence list` shows those that are"));
    }
    audit::log(actor, &entry);
    Ok(())
}
