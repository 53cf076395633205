//! Adds partitions to a tenant: clusters move to other partitions, together with the current state
//! of their objects.

use kgrca_core::model::{Topic, counted};
use kgrca_core::storage::{
    Entry, Error, ErrorKind, SkippedOffsets, Stored, StreamId, partition_of,
};
use kgrca_core::tenancy::{Audit, Tenant, TenantId, TenantState};

use super::Tenancy;
use super::steps;
use crate::clock::now;
use crate::workers::cluster_of;

/// Records that are moved at once.
const CHUNK: usize = 5000;

/// Checks that a tenant, as it will be, can have this many partitions: it must be suspended and
/// drained. A record that was processed between copying and switching would be missing in its
/// cluster's new partition.
///
/// # Errors
/// `Conflict` when it cannot.
pub async fn can_grow(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &Tenant,
    partitions: u32,
) -> Result<(), Error> {
    if partitions < client.partitions {
        let message = format!(
            "{tenant} has {} partitions, and partitions cannot be removed",
            client.partitions
        );
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    if partitions > client.partitions && steps::retention_days(client).is_none() {
        let message = format!(
            "the plan `{}` of {tenant} is not in plans.yaml",
            client.plan
        );
        return Err(Error::new(ErrorKind::Conflict, message)
            .hint(format!("kgrca tenant update {tenant} --plan PLAN")));
    }
    let pending = ctx.fleet.waiting_records(tenant).await?;
    if partitions > client.partitions && (client.state != TenantState::Suspended || pending > 0) {
        let reason = if pending > 0 {
            let are = if pending == 1 { "is" } else { "are" };
            format!("{} {are} still waiting", counted(pending, "record"))
        } else {
            "the tenant is active".to_owned()
        };
        let message = format!(
            "partitions of {tenant} can be added only while it is suspended and drained: {reason}"
        );
        return Err(Error::new(ErrorKind::Conflict, message).hint(format!(
            "run `kgrca tenant suspend {tenant}`, wait for lag 0, retry, then run \
             `kgrca tenant resume {tenant}`"
        )));
    }
    Ok(())
}

/// Adds partitions to a suspended tenant. Its workers restart with them; a worker that finds a
/// record of another partition forwards it. Meanwhile the tenant's own producers cannot write.
///
/// Returns the audit entry that was written, unless the tenant has that many partitions already.
///
/// # Errors
/// `Conflict` when the tenant was changed or deleted meanwhile: its partitions stay as they were.
pub async fn grow(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &mut Tenant,
    partitions: u32,
    audit: Audit,
) -> Result<Option<Audit>, Error> {
    let before = client.clone();
    client.partitions = partitions;
    let growth = Growth {
        before: before.partitions,
        after: partitions,
    };
    if growth.before == growth.after {
        return Ok(None);
    }
    let log = &ctx.stores.provisioner.log;
    log.remove_acls(tenant).await?;
    let moved = move_clusters(ctx, tenant, client, growth).await;
    log.put_acls(tenant).await?;
    moved?;
    let audit = Audit { at: now(), ..audit };
    let meta = &ctx.stores.meta;
    meta.change_tenant(&before, client, &audit, &[]).await?;
    ctx.fleet.know(tenant, partitions);
    ctx.keys_changed();
    Ok(Some(audit))
}

/// The number of a tenant's partitions before and after.
#[derive(Clone, Copy)]
struct Growth {
    before: u32,
    after: u32,
}

async fn move_clusters(
    ctx: &Tenancy,
    id: &TenantId,
    tenant: &Tenant,
    growth: Growth,
) -> Result<(), Error> {
    steps::put_topics(ctx, id, tenant).await?;
    for topic in [Topic::Resource, Topic::Topology] {
        for partition in 0..growth.before {
            move_state(ctx, id, StreamId { topic, partition }, growth).await?;
        }
    }
    Ok(())
}

/// Copies the state of clusters that belong to another partition now. Clusters that belonged
/// elsewhere before are skipped: an earlier growth copied them, and what is left of them here may
/// be outdated.
async fn move_state(
    ctx: &Tenancy,
    tenant: &TenantId,
    stream: StreamId,
    growth: Growth,
) -> Result<(), Error> {
    let skipped: SkippedOffsets = ctx.stores.meta.skipped(tenant).await?.into_iter().collect();
    let mut from = 0;
    loop {
        let read = ctx.stores.log.read(tenant, stream, from, CHUNK).await?;
        let Some(last) = read.last() else {
            return Ok(());
        };
        from = last.offset + 1;
        let entry = |stored: Stored| {
            if skipped.contains(stream, stored.offset) {
                return None;
            }
            let cluster = cluster_of(tenant, stream.topic, &stored)?;
            if partition_of(tenant, &cluster, growth.before) != stream.partition {
                return None;
            }
            let stream = StreamId {
                partition: partition_of(tenant, &cluster, growth.after),
                ..stream
            };
            Some(Entry {
                stream,
                key: stored.key,
                value: stored.value,
                received_at: stored.received_at,
            })
        };
        let moved: Vec<Entry> = read
            .into_iter()
            .filter_map(entry)
            // A key from another producer may be too long for a new entry; ours are not.
            .filter(|e| e.stream != stream && e.check().is_ok())
            .collect();
        if !moved.is_empty() {
            ctx.stores.log.append(tenant, moved).await?;
        }
    }
}
