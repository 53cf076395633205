//! What each step of a saga does, and how it is rolled back. Every step can be repeated.

use std::time::Duration;

use kgrca_core::billing;
use kgrca_core::model::time::MINUTE;
use kgrca_core::storage::{Error, ErrorKind};
use kgrca_core::tenancy::{BASE62, Role, Saga, SagaKind, Step, Tenant, TenantId, TenantState};

use super::Tenancy;
use super::{moving, run};
use crate::api_key::{self, NewSecret};
use crate::clock::now;
use crate::random::random_text;

/// The name of a tenant's first key.
const FIRST_KEY: &str = "first";
/// Owner of the leases that a deletion takes from the workers.
const DELETION: &str = "saga";
/// How long a deletion waits for requests that write, each time that it is tried.
const WRITERS_END: Duration = Duration::from_secs(15);
/// Bytes a second that a tenant's Kafka user may send when its plan does not limit events.
const MAX_RATE: f64 = 50e6;
/// The lowest rate: short bursts have to pass on the smallest plan.
const MIN_RATE: f64 = 1e6;
/// Typical size of an event.
const EVENT_BYTES: f64 = 2048.0;
/// A whole day's events may be sent within this many seconds.
const BURST_SECONDS: f64 = 600.0;

/// What is shown to the caller once, and stored nowhere in the clear.
#[derive(Default)]
pub struct Secrets {
    /// The tenant's first API key.
    pub api_key: Option<String>,
    /// The password of its Kafka user.
    pub kafka_password: Option<String>,
    /// The first key, before it is stored.
    chosen: Option<NewSecret>,
}

/// Bytes a second that the Kafka user of a tenant may send.
pub(super) fn byte_rate(tenant: &Tenant) -> f64 {
    let plan = billing::find(&tenant.plan);
    let events_a_day = plan.and_then(|plan| plan.with(&tenant.limits).events_day);
    let Some(events) = events_a_day else {
        return MAX_RATE;
    };
    (events as f64 * EVENT_BYTES / BURST_SECONDS)
        .clamp(MIN_RATE, MAX_RATE)
        .round()
}

/// Days for which a tenant's records are kept; `None` when its plan is not in the catalogue.
pub(super) fn retention_days(tenant: &Tenant) -> Option<u32> {
    let plan = billing::find(&tenant.plan)?;
    Some(plan.with(&tenant.limits).retention_days)
}

/// Creates a tenant's topics, or adapts them to its plan. With an unknown plan they stay as they
/// are: a shorter retention deletes records for good.
pub(super) async fn put_topics(ctx: &Tenancy, id: &TenantId, tenant: &Tenant) -> Result<(), Error> {
    let Some(days) = retention_days(tenant) else {
        tracing::warn!(client_id = %id, plan = tenant.plan, "the plan is not in plans.yaml");
        return Ok(());
    };
    let log = &ctx.stores.provisioner.log;
    log.put_topics(id, tenant.partitions, days).await
}

/// Runs a step.
pub(super) async fn act(
    ctx: &Tenancy,
    saga: &Saga,
    step: Step,
    secrets: &mut Secrets,
) -> Result<(), Error> {
    let id = &run::tenant(saga)?;
    let (stores, tenant, creates) = (&ctx.stores, &saga.tenant, saga.kind == SagaKind::Create);
    match step {
        Step::Row => {
            let joining = Tenant {
                state: TenantState::Joining,
                ..tenant.clone()
            };
            stores.meta.put_tenant(&joining).await
        }
        Step::Graph if creates => stores.graph.create(id).await,
        Step::Topics if creates => put_topics(ctx, id, tenant).await,
        Step::User if creates => put_user(ctx, id, tenant, secrets).await,
        Step::Acls if creates => stores.provisioner.log.put_acls(id).await,
        Step::Subscription => {
            let subscribed = stores.meta.subscribe(id, &tenant.plan, tenant.created_at);
            subscribed.await
        }
        Step::Key => first_key(ctx, saga, id, secrets).await,
        Step::Stop => {
            set_state(ctx, id, tenant, TenantState::Leaving).await?;
            ctx.fleet.stop_writing(id);
            ctx.keys_changed();
            ctx.fleet.unload(id).await;
            Ok(())
        }
        Step::Wait => {
            let_writers_end(ctx, id).await?;
            take_leases(ctx, id, tenant).await
        }
        Step::Rows => {
            // With its data keys: what is left of its data on a disk or in a copy is unreadable.
            stores.meta.forget_tenant(id, false).await?;
            stores.encryption.forget(id);
            set_state(ctx, id, tenant, TenantState::Deleted).await
        }
        Step::Graph | Step::Topics | Step::User | Step::Acls => undo(ctx, saga, id, step).await,
        Step::Hold | Step::Copy | Step::Switch | Step::Clear => {
            moving::act(ctx, saga, id, step).await
        }
        // Ended by the caller, when all data is loaded.
        Step::Load => Ok(()),
    }
}

/// Sets a tenant's state. The rest of its row stays: it may have changed since the saga began, and
/// `tenant` is from then.
async fn set_state(
    ctx: &Tenancy,
    id: &TenantId,
    tenant: &Tenant,
    state: TenantState,
) -> Result<(), Error> {
    let meta = &ctx.stores.meta;
    meta.set_tenant_state(id, state, tenant.deleted_at).await
}

/// Creates the user under which the tenant's own producers send, where the log has users.
async fn put_user(
    ctx: &Tenancy,
    id: &TenantId,
    tenant: &Tenant,
    secrets: &mut Secrets,
) -> Result<(), Error> {
    let log = &ctx.stores.provisioner.log;
    if !log.has_users() {
        return Ok(());
    }
    let password = random_text(BASE62, 32);
    log.put_user(id, &password, byte_rate(tenant)).await?;
    secrets.kafka_password = Some(password);
    Ok(())
}

/// Chooses the tenant's first key. The caller records the saga, which names the key, before the key
/// is stored: so a key is known whose secret was lost.
pub(super) fn choose_key(saga: &mut Saga, secrets: &mut Secrets) -> Result<(), Error> {
    let id = run::tenant(saga)?;
    let new = api_key::new_key(Some(&id), FIRST_KEY, Role::Admin.scopes());
    saga.key_ids.push(new.key.key_id.clone());
    secrets.chosen = Some(new);
    Ok(())
}

/// Stores the tenant's first key, and activates the tenant. Keys that the same saga created before
/// are revoked: their secrets were not kept.
async fn first_key(
    ctx: &Tenancy,
    saga: &Saga,
    id: &TenantId,
    secrets: &mut Secrets,
) -> Result<(), Error> {
    let meta = &ctx.stores.meta;
    let Some(new) = &secrets.chosen else {
        return Err(Error::new(
            ErrorKind::Internal,
            "the first key was not chosen",
        ));
    };
    meta.put_key(&new.key, &new.hash).await?;
    let stored = meta.tenant(id.as_str()).await?;
    // A tenant that was active before may have been suspended since.
    let is_new = stored.is_some_and(|stored| stored.state == TenantState::Joining);
    for earlier in meta.keys(Some(id.as_str())).await? {
        let is_lost = is_new || saga.key_ids.contains(&earlier.key_id);
        if is_lost && earlier.key_id != new.key.key_id && earlier.revoked_at.is_none() {
            meta.revoke_key(Some(id.as_str()), &earlier.key_id, now())
                .await?;
        }
    }
    if is_new {
        set_state(ctx, id, &saga.tenant, TenantState::Active).await?;
    }
    ctx.keys_changed();
    secrets.api_key = Some(new.secret.clone());
    Ok(())
}

/// Waits for the requests that write for a tenant, and stops the workers that they woke.
async fn let_writers_end(ctx: &Tenancy, id: &TenantId) -> Result<(), Error> {
    // Again, because this daemon may have started since the tenant was stopped.
    ctx.fleet.stop_writing(id);
    if !ctx.fleet.written(id, WRITERS_END).await {
        let message = format!("requests that write for {id} are still running");
        return Err(Error::new(ErrorKind::Unavailable, message)
            .hint("they end within a minute; the deletion is retried automatically"));
    }
    ctx.fleet.unload(id).await;
    Ok(())
}

/// Takes the leases of all partitions, so that no worker of any daemon writes for the tenant.
async fn take_leases(ctx: &Tenancy, id: &TenantId, tenant: &Tenant) -> Result<(), Error> {
    for partition in 0..tenant.partitions {
        let (until, at) = (now().plus(5 * MINUTE), now());
        let lease = ctx.stores.meta.lease(id, partition, DELETION, until, at);
        if lease.await?.is_none() {
            let message = format!("partition {partition} of {id} is still leased by a worker");
            return Err(Error::new(ErrorKind::Unavailable, message)
                .hint("the worker stops within seconds; the deletion is retried automatically"));
        }
    }
    Ok(())
}

/// Rolls a step back.
pub(super) async fn undo(
    ctx: &Tenancy,
    saga: &Saga,
    id: &TenantId,
    step: Step,
) -> Result<(), Error> {
    let stores = &ctx.stores;
    match step {
        Step::Row => {
            stores.meta.forget_tenant(id, true).await?;
            stores.encryption.forget(id);
            Ok(())
        }
        Step::Graph => stores.graph.remove(id).await,
        Step::Topics => {
            ctx.fleet.unload(id).await;
            ctx.fleet
                .forget(id)
                .map_err(|e| Error::io(&"snapshots", &e))?;
            stores.log.remove(id).await
        }
        Step::User => stores.provisioner.log.remove_user(id).await,
        Step::Acls => stores.provisioner.log.remove_acls(id).await,
        Step::Hold | Step::Copy | Step::Switch | Step::Clear => {
            moving::undo(ctx, saga, id, step).await
        }
        // Removed with the row, the graph and the topics.
        Step::Load | Step::Subscription | Step::Key | Step::Stop | Step::Wait | Step::Rows => {
            Ok(())
        }
    }
}
