//! What each step does and how it is taken back. All of it may be repeated.

use kgrca_core::billing;
use kgrca_core::model::time::MINUTE;
use kgrca_core::storage::{Error, ErrorKind};
use kgrca_core::tenancy::{Role, Saga, SagaKind, Step, Tenant, TenantId, TenantState};

use super::Tenancy;
use super::moving;
use crate::api_key;
use crate::clock::now;
use crate::random::random_text;

/// The name of a tenant's first key.
const FIRST: &str = "first";
/// What a tenant's user in Kafka may send each second when its plan sets no end to events.
const UNLIMITED_RATE: f64 = 50e6;
/// The least it may send, and what one event is taken for.
const LEAST_RATE: f64 = 1e6;
const EVENT_BYTES: f64 = 2048.0;

/// What is shown once.
#[derive(Default)]
pub struct Secrets {
    /// The tenant's first API key.
    pub api_key: Option<String>,
    /// The password of its user in Kafka.
    pub kafka_password: Option<String>,
}

/// Bytes a second that a plan's user may send: a whole day's events within ten minutes.
pub(super) fn byte_rate(client: &Tenant) -> f64 {
    let events = billing::find(&client.plan).and_then(|p| p.with(&client.limits).events_day);
    events.map_or(UNLIMITED_RATE, |n| {
        (n as f64 * EVENT_BYTES / 600.0)
            .clamp(LEAST_RATE, UNLIMITED_RATE)
            .round()
    })
}

pub(super) fn retention_days(client: &Tenant) -> u32 {
    billing::find(&client.plan).map_or(7, |p| p.with(&client.limits).retention_days)
}

/// Makes or changes the tenant's topics as its plan says.
pub(super) async fn put_topics(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &Tenant,
) -> Result<(), Error> {
    let log = &ctx.stores.provisioner.log;
    log.put_topics(tenant, client.partitions, retention_days(client))
        .await
}

/// Does a step.
pub(super) async fn act(
    ctx: &Tenancy,
    saga: &Saga,
    tenant: &TenantId,
    step: Step,
    secrets: &mut Secrets,
) -> Result<(), Error> {
    let (stores, client, creates) = (&ctx.stores, &saga.tenant, saga.kind == SagaKind::Create);
    match step {
        Step::Row => {
            stores
                .meta
                .put_tenant(&Tenant {
                    state: TenantState::Joining,
                    ..client.clone()
                })
                .await
        }
        Step::Graph if creates => stores.graph.create(tenant).await,
        Step::Topics if creates => put_topics(ctx, tenant, client).await,
        Step::User if creates => {
            let log = &stores.provisioner.log;
            if !log.has_users() {
                return Ok(());
            }
            let password = random_text(api_key::BASE62, 32);
            log.put_user(tenant, &password, byte_rate(client)).await?;
            secrets.kafka_password = Some(password);
            Ok(())
        }
        Step::Acls if creates => stores.provisioner.log.put_acls(tenant).await,
        Step::Subscription => {
            stores
                .meta
                .subscribe(tenant, &client.plan, client.created_at)
                .await
        }
        Step::Key => first_key(ctx, tenant, client, secrets).await,
        Step::Stop => {
            let leaving = Tenant {
                state: TenantState::Leaving,
                ..client.clone()
            };
            stores.meta.put_tenant(&leaving).await?;
            ctx.keys_changed();
            ctx.fleet.unload(tenant).await;
            Ok(())
        }
        Step::Wait => nobody_works(ctx, tenant, client).await,
        Step::Rows => {
            stores.meta.forget_tenant(tenant, false).await?;
            stores
                .meta
                .put_tenant(&Tenant {
                    state: TenantState::Deleted,
                    ..client.clone()
                })
                .await
        }
        Step::Graph | Step::Topics | Step::User | Step::Acls => undo(ctx, saga, tenant, step).await,
        Step::Hold | Step::Copy | Step::Switch | Step::Clear => {
            moving::act(ctx, saga, tenant, step).await
        }
        // Whoever loads says when it is done.
        Step::Load => Ok(()),
    }
}

async fn first_key(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &Tenant,
    secrets: &mut Secrets,
) -> Result<(), Error> {
    let meta = &ctx.stores.meta;
    for old in meta
        .keys(Some(tenant.as_str()))
        .await?
        .iter()
        .filter(|k| k.name == FIRST && k.revoked_at.is_none())
    {
        meta.revoke_key(Some(tenant.as_str()), &old.key_id, now())
            .await?;
    }
    let new = api_key::new_key(Some(tenant), FIRST, Role::Admin.scopes());
    meta.put_key(&new.key, &new.hash).await?;
    // One that is set up already stays as it is by now.
    if meta
        .tenant(tenant.as_str())
        .await?
        .is_none_or(|c| c.state == TenantState::Joining)
    {
        meta.put_tenant(&Tenant {
            state: TenantState::Active,
            ..client.clone()
        })
        .await?;
    }
    ctx.keys_changed();
    secrets.api_key = Some(new.secret);
    Ok(())
}

/// Waits for the workers of other daemons by taking their leases.
async fn nobody_works(ctx: &Tenancy, tenant: &TenantId, client: &Tenant) -> Result<(), Error> {
    for partition in 0..client.partitions {
        let lease = ctx
            .stores
            .meta
            .lease(tenant, partition, "saga", now().plus(5 * MINUTE), now())
            .await?;
        if lease.is_none() {
            let message = format!("a worker still has partition {partition} of {tenant}");
            return Err(Error::new(ErrorKind::Unavailable, message)
                .hint("it leaves within seconds; this goes on by itself"));
        }
    }
    Ok(())
}

/// Takes a step back.
pub(super) async fn undo(
    ctx: &Tenancy,
    saga: &Saga,
    tenant: &TenantId,
    step: Step,
) -> Result<(), Error> {
    let stores = &ctx.stores;
    match step {
        Step::Row => stores.meta.forget_tenant(tenant, true).await,
        Step::Graph => stores.graph.remove(tenant).await,
        Step::Topics => {
            ctx.fleet.unload(tenant).await;
            ctx.fleet
                .forget(tenant)
                .map_err(|e| Error::io(&"snapshots", &e))?;
            stores.log.remove(tenant).await
        }
        Step::User => stores.provisioner.log.remove_user(tenant).await,
        Step::Acls => stores.provisioner.log.remove_acls(tenant).await,
        Step::Hold | Step::Copy | Step::Switch | Step::Clear => {
            moving::undo(ctx, saga, tenant, step).await
        }
        // They go with the row, the graph and the topics.
        Step::Load | Step::Subscription | Step::Key | Step::Stop | Step::Wait | Step::Rows => {
            Ok(())
        }
    }
}
