//! Changing a tenant: suspend, resume, plan, limits, partitions, contact.

use kgrca_core::api::{Served, TenantChange, TenantStatus};
use kgrca_core::billing::Overrides;
use kgrca_core::tenancy::{Tenant, TenantState};

use super::create::MAX_EMAIL;
use super::{FoundTenant, find_existing, plan, status};
use crate::tenancy;
use crate::usecases::error::{Error, Result};
use crate::usecases::{Actor, App, audit, text};

/// A century.
const MAX_RETENTION_DAYS: u32 = 36_500;
const MAX_PARTITIONS: u32 = 64;
/// Limits are multiplied by microseconds: this many fit.
const MAX_LIMIT: u64 = 1_000_000_000;

/// Changes a tenant; what the change leaves out stays. It takes effect at once. Activating a tenant
/// that is being deleted cancels the deletion: one that was suspended before stays suspended.
///
/// # Errors
/// `invalid_request` and `conflict` before anything was changed. `conflict`, too, when another
/// request changed the tenant at the same time.
pub async fn change(
    app: &App,
    actor: &Actor,
    id: &str,
    change: TenantChange,
) -> Result<TenantStatus> {
    actor.operator()?;
    let FoundTenant { id, row: before } = find_existing(app, id).await?;
    validate(&before, &change)?;
    let mut after = changed(&before, &change)?;
    if before.state == TenantState::Leaving {
        after.state = tenancy::state_before_deletion(&app.tenancy, &before).await?;
    }
    if let Some(partitions) = change.partitions {
        tenancy::can_grow(&app.tenancy, &id, &after, partitions)
            .await
            .map_err(Error::of_server)?;
    }
    // The deletion is cancelled first: a tenant that is served again while its deletion is still
    // scheduled would lose its data. When the next step fails, the same request completes it.
    if before.state == TenantState::Leaving {
        tenancy::stay(&app.tenancy, &before)
            .await
            .map_err(Error::of_server)?;
    }
    let target = serde_json::to_string(&change).map_err(Error::internal)?;
    let audit = audit::entry(actor, Some(id.as_str()), "client.update", &target);
    app.stores
        .meta
        .change_tenant(&before, &after, &audit, &[])
        .await?;
    audit::log(actor, &audit);
    app.keys.clear();
    let mut tenant = after;
    if let Some(partitions) = change.partitions {
        let target = format!("{partitions} partitions");
        let audit = audit::entry(actor, Some(id.as_str()), "client.grow", &target);
        let written = tenancy::grow(&app.tenancy, &id, &mut tenant, partitions, audit)
            .await
            .map_err(Error::of_server)?;
        if let Some(audit) = &written {
            audit::log(actor, audit);
        }
    }
    tenancy::apply_plan(&app.tenancy, &id, &tenant)
        .await
        .map_err(Error::of_server)?;
    status::of_tenant(app, tenant).await
}

fn validate(tenant: &Tenant, change: &TenantChange) -> Result<()> {
    let id = &tenant.client_id;
    if tenant.state == TenantState::Joining {
        return Err(
            Error::conflict(format!("tenant `{id}` is still being provisioned"))
                .hint("`kgrca saga list` shows the progress"),
        );
    }
    if tenant.state == TenantState::Leaving && change.state != Some(Served::Active) {
        return Err(
            Error::conflict(format!("tenant `{id}` is being offboarded"))
                .hint(format!("`kgrca tenant resume {id}` cancels its deletion")),
        );
    }
    if let Some(name) = &change.plan {
        plan(name)?;
    }
    if change
        .partitions
        .is_some_and(|n| !(1..=MAX_PARTITIONS).contains(&n))
    {
        return Err(Error::invalid(format!(
            "`partitions` must be between 1 and {MAX_PARTITIONS}"
        )));
    }
    if let Some(email) = &change.contact_email {
        text("contact_email", email, MAX_EMAIL)?;
    }
    Ok(())
}

fn validate_limits(limits: &Overrides) -> Result<()> {
    let is_valid = |days: u32| (1..=MAX_RETENTION_DAYS).contains(&days);
    if limits.retention_days.is_some_and(|days| !is_valid(days)) {
        return Err(Error::invalid(format!(
            "`limits.retention_days` must be between 1 and {MAX_RETENTION_DAYS}"
        )));
    }
    for (field, limit) in [
        ("events_day", limits.events_day),
        ("rca_hour", limits.rca_hour),
        ("api_minute", limits.api_minute),
        ("clusters", limits.clusters),
        ("live_objects", limits.live_objects),
        ("state_mb_day", limits.state_mb_day),
    ] {
        if limit.is_some_and(|limit| limit > MAX_LIMIT) {
            return Err(Error::invalid(format!(
                "`limits.{field}` must be at most {MAX_LIMIT}"
            )));
        }
    }
    Ok(())
}

/// The row after a change. Partitions are not in it: they change when the records have moved.
fn changed(before: &Tenant, change: &TenantChange) -> Result<Tenant> {
    let mut after = before.clone();
    match change.state {
        Some(Served::Active) => {
            after.state = TenantState::Active;
            after.deleted_at = None;
        }
        Some(Served::Suspended) => after.state = TenantState::Suspended,
        None => {}
    }
    if let Some(plan) = &change.plan {
        after.plan.clone_from(plan);
    }
    if let Some(email) = &change.contact_email {
        after.contact_email.clone_from(email);
    }
    if let Some(limits) = &change.limits {
        let invalid = |e| Error::invalid(format!("`limits`: {e}"));
        after.limits = before.limits.changed(limits).map_err(invalid)?;
        validate_limits(&after.limits)?;
    }
    Ok(after)
}
