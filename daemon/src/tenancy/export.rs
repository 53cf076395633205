//! A tenant's data as lines of JSON, for another installation to import.

use std::collections::BTreeMap;

use kgrca_core::engine::Changes;
use kgrca_core::episode::RETENTION;
use kgrca_core::model::Topic;
use kgrca_core::storage::archive::{Part, RecordCopy};
use kgrca_core::storage::{
    Error, ErrorKind, GraphPart, SkippedOffsets, Stored, StreamId, partition_of,
};
use kgrca_core::tenancy::{Tenant, TenantId};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc::Sender;

use super::Tenancy;
use crate::clock::now;
use crate::workers::cluster_of;

/// Resources or episodes that are read and sent at once.
const PAGE: usize = 1000;
/// Incidents that are read at once; each may have hundreds of answers.
const INCIDENTS: usize = 10;
/// Records that are read at once.
const RECORDS: usize = 5000;

/// Receives the lines of a part in blocks.
pub type Lines = Sender<Result<Vec<u8>, Error>>;

/// Sends a part of a tenant, row by row, in the order of its ids.
///
/// # Errors
/// When a store is unavailable, or the receiver is gone.
pub async fn export(
    ctx: &Tenancy,
    id: &TenantId,
    tenant: &Tenant,
    part: Part,
    out: &Lines,
) -> Result<(), Error> {
    match part {
        Part::Records => {
            let skipped = ctx.stores.meta.skipped(id).await?.into_iter().collect();
            let source = Source {
                ctx,
                id,
                tenant,
                skipped,
            };
            source.send_records(out).await
        }
        Part::Clusters => {
            // Databases differ in how they sort text.
            let mut clusters = ctx.stores.meta.clusters(id).await?;
            clusters.sort_by(|a, b| a.cluster.cmp(&b.cluster));
            send(&clusters, out).await
        }
        Part::Incidents => send_incidents(ctx, id, out).await,
        Part::Causes | Part::Edges | Part::Episodes | Part::Resources => match part.of_graph() {
            Some(of_graph) => send_graph(ctx, id, of_graph, out).await,
            None => Ok(()),
        },
    }
}

/// Sends rows in blocks.
async fn send<T: Serialize>(rows: &[T], out: &Lines) -> Result<(), Error> {
    for block in rows.chunks(PAGE) {
        let mut text = Vec::new();
        for row in block {
            serde_json::to_writer(&mut text, row)
                .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
            text.push(b'\n');
        }
        let closed = |_| Error::new(ErrorKind::Unavailable, "the receiver closed the export");
        out.send(Ok(text)).await.map_err(closed)?;
    }
    Ok(())
}

async fn send_graph(
    ctx: &Tenancy,
    id: &TenantId,
    part: GraphPart,
    out: &Lines,
) -> Result<(), Error> {
    let mut next = Some(String::new());
    while let Some(after) = next {
        let page = ctx.stores.graph.page(id, part, &after, PAGE).await?;
        let Changes {
            resources,
            edges,
            episodes,
            ..
        } = &page.changes;
        send(resources, out).await?;
        send(edges, out).await?;
        send(episodes, out).await?;
        send(&page.incidents, out).await?;
        next = page.next;
    }
    Ok(())
}

async fn send_incidents(ctx: &Tenancy, id: &TenantId, out: &Lines) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let copies = ctx
            .stores
            .meta
            .incident_copies(id, after, INCIDENTS)
            .await?;
        let Some(last) = copies.last() else {
            return Ok(());
        };
        after = last.number;
        send(&copies, out).await?;
    }
}

/// The log of a tenant that is exported.
struct Source<'a> {
    ctx: &'a Tenancy,
    id: &'a TenantId,
    tenant: &'a Tenant,
    /// Records that were never applied here.
    skipped: SkippedOffsets,
}

impl Source<'_> {
    async fn send_records(&self, out: &Lines) -> Result<(), Error> {
        for partition in 0..self.tenant.partitions {
            for topic in Topic::inputs() {
                let stream = StreamId { topic, partition };
                if topic.signal().is_compacted() {
                    self.send_state(stream, out).await?;
                } else {
                    self.send_recent(stream, out).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends what a restart would read of a stream of state: the newest record of each object that
    /// exists.
    async fn send_state(&self, stream: StreamId, out: &Lines) -> Result<(), Error> {
        let mut newest: BTreeMap<Box<[u8]>, Stored> = BTreeMap::new();
        let mut from = 0;
        while let Some(read) = self.read(stream, &mut from).await? {
            newest.extend(read.into_iter().map(|stored| (stored.key.clone(), stored)));
        }
        // In the order of their arrival: senders number their records.
        let mut newest: Vec<&Stored> = newest.values().collect();
        newest.sort_by_key(|stored| stored.offset);
        for block in newest.chunks(PAGE) {
            let copies = block.iter().filter_map(|stored| copy(stream.topic, stored));
            send(&copies.collect::<Vec<_>>(), out).await?;
        }
        Ok(())
    }

    /// Sends what a restart would read of any other stream: its recent records.
    async fn send_recent(&self, stream: StreamId, out: &Lines) -> Result<(), Error> {
        let since = now().plus(-RETENTION);
        let mut from = self.ctx.stores.log.since(self.id, stream, since).await?;
        while let Some(read) = self.read(stream, &mut from).await? {
            let copies = read.iter().filter_map(|stored| copy(stream.topic, stored));
            send(&copies.collect::<Vec<_>>(), out).await?;
        }
        Ok(())
    }

    /// Reads on from an offset; `None` at the end. Records that belong to another partition since
    /// the tenant received more of them are in that one, too, and left out here.
    async fn read(&self, stream: StreamId, from: &mut u64) -> Result<Option<Vec<Stored>>, Error> {
        let log = &self.ctx.stores.log;
        let mut read = log.read(self.id, stream, *from, RECORDS).await?;
        let Some(last) = read.last() else {
            return Ok(None);
        };
        *from = last.offset + 1;
        read.retain(|stored| !self.skipped.contains(stream, stored.offset));
        read.retain(|stored| {
            cluster_of(self.id, stream.topic, stored).is_some_and(|cluster| {
                partition_of(self.id, &cluster, self.tenant.partitions) == stream.partition
            })
        });
        Ok(Some(read))
    }
}

fn copy(topic: Topic, stored: &Stored) -> Option<RecordCopy> {
    let key = String::from_utf8_lossy(&stored.key).into_owned();
    let value = without_tenant(topic, &stored.value)?;
    Some(RecordCopy {
        topic: topic.as_str().to_owned(),
        key,
        received_at: stored.received_at,
        value,
    })
}

/// A record without the name of its tenant; `None` for a deletion, or the end of a listing.
fn without_tenant(topic: Topic, value: &[u8]) -> Option<Box<RawValue>> {
    let mut record: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(value).ok()?;
    let op = record.get("op");
    // Elsewhere it is a field like any other.
    let is_state = topic.signal().is_compacted();
    if is_state && op.is_some_and(|op| op == "DELETE" || op == "SYNC") {
        return None;
    }
    record.remove("client_id");
    serde_json::value::to_raw_value(&record).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_records_name_no_tenant_and_delete_nothing() {
        let of =
            |topic, text: &str| without_tenant(topic, text.as_bytes()).map(|v| v.get().to_owned());
        let copy = |text| of(Topic::Resource, text);
        assert!(of(Topic::Logs, r#"{"op":"DELETE","message":"x"}"#).is_some());
        assert_eq!(
            copy(r#"{"op":"UPSERT","client_id":"client-a-abc123","n":0.1}"#).as_deref(),
            Some(r#"{"n":0.1,"op":"UPSERT"}"#)
        );
        assert_eq!(copy(r#"{"op":"DELETE","uid":"u"}"#), None);
        assert_eq!(copy(r#"{"op":"SYNC","kind":"Pod"}"#), None);
        assert!(
            copy(r#"{"kind":"Pod","metadata":{"name":"web"}}"#).is_some(),
            "a plain object"
        );
    }
}
