//! More partitions: clusters move to others, and take the newest state of their objects with them.

use kgrca_core::model::Topic;
use kgrca_core::storage::{Client, ClientState, Entry, Error, ErrorKind, Stored, StreamId, Tenant};

use super::steps;
use crate::app::App;
use crate::engine::{cluster_of, partition_of};

/// How many records are moved at once.
const CHUNK: usize = 5000;

/// Gives a suspended tenant more partitions. Its workers begin anew with them; records that went to a partition of before are
/// sent on by the worker that finds them. Suspended, because what were worked off between copying and switching would be
/// missing where its cluster goes.
pub async fn grow(app: &App, tenant: &Tenant, client: &mut Client, partitions: u32) -> Result<(), Error> {
    if partitions < client.partitions {
        let message = format!("{tenant} has {} partitions; they only grow", client.partitions);
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    let before = std::mem::replace(&mut client.partitions, partitions);
    if before == partitions {
        return Ok(());
    }
    let waits = app.engine.waiting(tenant).await?;
    if client.state != ClientState::Suspended || waits > 0 {
        let why = if waits > 0 { format!("{waits} records of it wait") } else { "it is served".to_owned() };
        return Err(Error::new(ErrorKind::Conflict, format!("{tenant} cannot get more partitions while {why}"))
            .hint(format!("kgrca tenant suspend {tenant}; when its lag is 0 the same again; kgrca tenant resume {tenant}")));
    }
    steps::put_topics(app, tenant, client).await?;
    for topic in [Topic::Resource, Topic::Topology] {
        for partition in 0..before {
            move_state(app, tenant, StreamId { topic, partition }, partitions).await?;
        }
    }
    app.stores.meta.put_client(client).await?;
    app.engine.know(tenant, partitions);
    app.keys.clear();
    Ok(())
}

/// Copies what a compacted stream holds of clusters that belong elsewhere now.
async fn move_state(app: &App, tenant: &Tenant, stream: StreamId, partitions: u32) -> Result<(), Error> {
    let mut from = 0;
    loop {
        let read = app.stores.log.read(tenant, stream, from, CHUNK).await?;
        let Some(last) = read.last() else { return Ok(()) };
        from = last.offset + 1;
        let entry = |stored: Stored| {
            let partition = partition_of(tenant, &cluster_of(tenant, stream.topic, &stored)?, partitions);
            let stream = StreamId { partition, ..stream };
            Some(Entry { stream, key: stored.key, value: stored.value, received_at: stored.received_at })
        };
        let moved: Vec<Entry> = read.into_iter().filter_map(entry).filter(|e| e.stream != stream).collect();
        if !moved.is_empty() {
            app.stores.log.append(tenant, moved).await?;
        }
    }
}
