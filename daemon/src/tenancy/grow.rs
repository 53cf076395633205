//! More partitions: clusters move to others, and take the newest state of their objects with them.

use kgrca_core::model::Topic;
use kgrca_core::storage::{Entry, Error, ErrorKind, Stored, StreamId, partition_of};
use kgrca_core::tenancy::{Tenant, TenantId, TenantState};

use super::Tenancy;
use super::steps;
use crate::workers::cluster_of;

/// How many records are moved at once.
const CHUNK: usize = 5000;

/// Whether a tenant, as it is to be, can get so many partitions: it must be suspended, and nothing
/// may wait. What were worked off between copying and switching would be missing where its cluster
/// goes.
pub async fn can_grow(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &Tenant,
    partitions: u32,
) -> Result<(), Error> {
    if partitions < client.partitions {
        let message = format!(
            "{tenant} has {} partitions; they only grow",
            client.partitions
        );
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    let waits = ctx.fleet.waiting_records(tenant).await?;
    if partitions > client.partitions && (client.state != TenantState::Suspended || waits > 0) {
        let why = if waits > 0 {
            format!("{waits} records of it wait")
        } else {
            "it is served".to_owned()
        };
        return Err(Error::new(ErrorKind::Conflict, format!("{tenant} cannot get more partitions while {why}"))
            .hint(format!("kgrca tenant suspend {tenant}; when its lag is 0 the same again; kgrca tenant resume {tenant}")));
    }
    Ok(())
}

/// Gives a suspended tenant more partitions. Its workers begin anew with them; records that went to
/// a partition of before are sent on by the worker that finds them. Its own producers cannot write
/// meanwhile.
pub async fn grow(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &mut Tenant,
    partitions: u32,
) -> Result<(), Error> {
    let before = std::mem::replace(&mut client.partitions, partitions);
    if before == partitions {
        return Ok(());
    }
    let log = &ctx.stores.provisioner.log;
    log.remove_acls(tenant).await?;
    let grown = all_moved(ctx, tenant, client, before).await;
    log.put_acls(tenant).await?;
    grown?;
    ctx.stores.meta.put_tenant(client).await?;
    ctx.fleet.know(tenant, partitions);
    ctx.keys_changed();
    Ok(())
}

async fn all_moved(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &Tenant,
    before: u32,
) -> Result<(), Error> {
    steps::put_topics(ctx, tenant, client).await?;
    for topic in [Topic::Resource, Topic::Topology] {
        for partition in 0..before {
            move_state(
                ctx,
                tenant,
                StreamId { topic, partition },
                (before, client.partitions),
            )
            .await?;
        }
    }
    Ok(())
}

/// Copies what a compacted stream holds of clusters that belong elsewhere now. What it holds from
/// before an earlier growth lies in another one already, and may be older there.
async fn move_state(
    ctx: &Tenancy,
    tenant: &TenantId,
    stream: StreamId,
    (before, after): (u32, u32),
) -> Result<(), Error> {
    let mut from = 0;
    loop {
        let read = ctx.stores.log.read(tenant, stream, from, CHUNK).await?;
        let Some(last) = read.last() else {
            return Ok(());
        };
        from = last.offset + 1;
        let entry = |stored: Stored| {
            let cluster = cluster_of(tenant, stream.topic, &stored)?;
            if partition_of(tenant, &cluster, before) != stream.partition {
                return None;
            }
            let stream = StreamId {
                partition: partition_of(tenant, &cluster, after),
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
            .filter(|e| e.stream != stream)
            .collect();
        if !moved.is_empty() {
            ctx.stores.log.append(tenant, moved).await?;
        }
    }
}
