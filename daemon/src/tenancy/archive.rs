//! A tenant's data as lines: out of these stores, and into these from wherever they came.

use std::collections::BTreeMap;

use kgrca_core::engine::{Changes, ClusterState};
use kgrca_core::episode::RETENTION;
use kgrca_core::incident::Transition;
use kgrca_core::model::Topic;
use kgrca_core::model::time::MINUTE;
use kgrca_core::parse::mask;
use kgrca_core::rca::Answer;
use kgrca_core::storage::archive::{IncidentCopy, Part, RecordCopy};
use kgrca_core::storage::{
    ClusterRow, Commit, Entry, Error, ErrorKind, GraphBatch, Offset, Stored, StreamId, partition_of,
};
use kgrca_core::tenancy::{Saga, SagaState, Step, StepState, Tenant, TenantId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::mpsc::Sender;

use super::Tenancy;
use crate::clock::now;
use crate::workers::cluster_of;

/// How many resources or episodes are read and sent at once, how many incidents, each with hundreds
/// of answers, and how many records.
const PAGE: usize = 1000;
const INCIDENTS: usize = 10;
const RECORDS: usize = 5000;
/// The largest number of an incident that JSON carries everywhere.
const LARGEST: i64 = 1 << 53;
/// Who holds a tenant's partitions while it is loaded.
const LOADER: &str = "import";

/// Where the lines of a part go.
pub type Lines = Sender<Result<Vec<u8>, Error>>;

/// Sends rows as a piece; nobody may be left to read it.
async fn send<T: Serialize>(rows: &[T], out: &Lines) -> Result<(), Error> {
    for some in rows.chunks(PAGE) {
        let mut text = Vec::new();
        for row in some {
            serde_json::to_writer(&mut text, row)
                .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
            text.push(b'\n');
        }
        let left = |_| {
            Error::new(
                ErrorKind::Unavailable,
                "whoever asked for the export has left",
            )
        };
        out.send(Ok(text)).await.map_err(left)?;
    }
    Ok(())
}

/// Sends a part of a tenant, row by row, in the order of its ids.
///
/// # Errors
/// When a store does not answer, or the reader has left.
pub async fn export(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &Tenant,
    part: Part,
    out: &Lines,
) -> Result<(), Error> {
    let meta = &ctx.stores.meta;
    if let Some(of_graph) = part.of_graph() {
        let mut next = Some(String::new());
        while let Some(after) = next {
            let page = ctx
                .stores
                .graph
                .page(tenant, of_graph, &after, PAGE)
                .await?;
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
        return Ok(());
    }
    if part == Part::Clusters {
        // Databases sort text in their own ways.
        let mut clusters = meta.clusters(tenant).await?;
        clusters.sort_by(|a, b| a.cluster.cmp(&b.cluster));
        return send(&clusters, out).await;
    }
    if part == Part::Records {
        for partition in 0..client.partitions {
            for topic in Topic::INPUT {
                records(
                    ctx,
                    (tenant, client.partitions),
                    StreamId { topic, partition },
                    out,
                )
                .await?;
            }
        }
        return Ok(());
    }
    let mut after = 0;
    loop {
        let copies = meta.incident_copies(tenant, after, INCIDENTS).await?;
        let Some(last) = copies.last() else {
            return Ok(());
        };
        after = last.number;
        send(&copies, out).await?;
    }
}

/// Sends what a restart would read of a stream: of state the newest record of each object that
/// lives, else the window. What belongs to another partition since the tenant got more lies there,
/// too.
async fn records(
    ctx: &Tenancy,
    (tenant, count): (&TenantId, u32),
    stream: StreamId,
    out: &Lines,
) -> Result<(), Error> {
    let log = &ctx.stores.log;
    let is_state = stream.topic.is_compacted();
    let mut living: BTreeMap<Box<[u8]>, Stored> = BTreeMap::new();
    let bound = now().plus(-RETENTION);
    let mut from = if is_state {
        0
    } else {
        log.since(tenant, stream, bound).await?
    };
    loop {
        let mut read = log.read(tenant, stream, from, RECORDS).await?;
        let Some(last) = read.last() else { break };
        from = last.offset + 1;
        let is_here = |s: &Stored| {
            cluster_of(tenant, stream.topic, s)
                .is_some_and(|c| partition_of(tenant, &c, count) == stream.partition)
        };
        read.retain(is_here);
        if !is_state {
            send(
                &read
                    .iter()
                    .filter_map(|s| copy(stream.topic, s))
                    .collect::<Vec<_>>(),
                out,
            )
            .await?;
            continue;
        }
        for stored in read {
            living.insert(stored.key.clone(), stored);
        }
    }
    // In the order in which they came: senders number their records.
    let mut living: Vec<&Stored> = living.values().collect();
    living.sort_by_key(|s| s.offset);
    for some in living.chunks(PAGE) {
        send(
            &some
                .iter()
                .filter_map(|s| copy(stream.topic, s))
                .collect::<Vec<_>>(),
            out,
        )
        .await?;
    }
    Ok(())
}

fn copy(topic: Topic, stored: &Stored) -> Option<RecordCopy> {
    let key = String::from_utf8_lossy(&stored.key).into_owned();
    let value = lasting(&stored.value)?;
    Some(RecordCopy {
        topic: topic.as_str().to_owned(),
        key,
        received_at: stored.received_at,
        value,
    })
}

/// A record without the name of its tenant; `None` of one that ends something, or ends a listing.
fn lasting(value: &[u8]) -> Option<Box<RawValue>> {
    let mut record: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(value).ok()?;
    if record
        .get("op")
        .is_some_and(|op| op == "DELETE" || op == "SYNC")
    {
        return None;
    }
    record.remove("client_id");
    serde_json::value::to_raw_value(&record).ok()
}

fn rows<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, Error> {
    let lines = body
        .split(|b| *b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty());
    let row = |(i, line)| {
        serde_json::from_slice(line).map_err(|e| {
            Error::new(
                ErrorKind::Refused,
                format!("line {} of the body: {e}", i + 1),
            )
        })
    };
    lines.map(row).collect()
}

/// The saga of an import that still takes rows.
///
/// # Errors
/// When there is none, it takes none any more, or not yet.
pub async fn unfinished(ctx: &Tenancy, saga: &Saga) -> Result<(TenantId, Tenant), Error> {
    let takes =
        saga.state == SagaState::Running && saga.state_of(Step::Load) == Some(StepState::Pending);
    let is_ready = saga
        .steps
        .iter()
        .take_while(|s| s.step != Step::Load)
        .all(|s| s.state == StepState::Done);
    if !takes || !is_ready {
        let why = if takes {
            "the tenant is not set up so far"
        } else {
            "it is no import that takes rows"
        };
        return Err(
            Error::new(ErrorKind::Conflict, format!("{}: {why}", saga.saga_id))
                .hint(format!("kgrca saga show {}", saga.saga_id)),
        );
    }
    let missing = || {
        Error::new(
            ErrorKind::Internal,
            format!("{}: its tenant is missing", saga.saga_id),
        )
    };
    let tenant = TenantId::parse(&saga.client_id).ok_or_else(missing)?;
    let client = ctx
        .stores
        .meta
        .tenant(&saga.client_id)
        .await?
        .ok_or_else(missing)?;
    Ok((tenant, client))
}

/// Writes lines of a part into a tenant that is not served yet; the same lines again change
/// nothing. Returns how many rows they were.
///
/// # Errors
/// When a line is no row of the part, or a store does not take it.
pub(super) async fn import(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &Tenant,
    part: Part,
    body: &[u8],
) -> Result<usize, Error> {
    let mut changes = Changes::default();
    let count = match part {
        Part::Resources => {
            changes.resources = rows(body)?;
            changes.resources.len()
        }
        Part::Edges => {
            changes.edges = rows(body)?;
            changes.edges.len()
        }
        Part::Episodes => {
            changes.episodes = rows(body)?;
            changes.episodes.len()
        }
        Part::Causes => {
            let incidents: Vec<_> = rows(body)?;
            let count = incidents.len();
            // Nobody works on it yet: the first lease comes after this epoch.
            let batch = GraphBatch {
                whole: true,
                copied: true,
                incidents,
                ..GraphBatch::default()
            };
            ctx.stores.graph.write(tenant, batch).await?;
            return Ok(count);
        }
        Part::Incidents => {
            let copies: Vec<IncidentCopy> = rows(body)?;
            copies.iter().try_for_each(readable)?;
            ctx.stores.meta.restore(tenant, &copies, &[]).await?;
            return Ok(copies.len());
        }
        Part::Clusters => {
            let clusters: Vec<ClusterRow> = rows(body)?;
            for row in &clusters {
                // Whoever works on it would fail on what cannot be read.
                let read = ClusterState::new(row.cluster.as_str()).restore(&row.state);
                read.map_err(|e| {
                    Error::new(ErrorKind::Refused, format!("cluster {}: {e}", row.cluster))
                })?;
            }
            ctx.stores.meta.restore(tenant, &[], &clusters).await?;
            return Ok(clusters.len());
        }
        Part::Records => {
            let entries = rows(body)?
                .into_iter()
                .map(|copy| entry(tenant, client, copy))
                .collect::<Result<Vec<_>, _>>()?;
            let count = entries.len();
            ctx.stores.log.append(tenant, entries).await?;
            return Ok(count);
        }
    };
    ctx.stores
        .graph
        .write(
            tenant,
            GraphBatch {
                whole: true,
                copied: true,
                changes,
                ..GraphBatch::default()
            },
        )
        .await?;
    Ok(count)
}

/// Refuses an incident that could not be shown.
fn readable(copy: &IncidentCopy) -> Result<(), Error> {
    let refused = |e: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Refused, format!("incident {}: {e}", copy.number))
    };
    if !(1..LARGEST).contains(&copy.number) {
        return Err(refused(&"its number is not between 1 and 2^53"));
    }
    for event in &copy.events {
        serde_json::from_str::<Transition>(event.get()).map_err(|e| refused(&e))?;
    }
    for answer in &copy.answers {
        serde_json::from_str::<Answer>(answer.answer.get()).map_err(|e| refused(&e))?;
    }
    Ok(())
}

/// Counts all that was loaded as worked off: who works on it then begins as after a restart, and
/// nothing is charged for.
pub(super) async fn settle(ctx: &Tenancy, tenant: &TenantId, client: &Tenant) -> Result<(), Error> {
    let (meta, ends) = (&ctx.stores.meta, ctx.stores.log.ends(tenant).await?);
    for partition in 0..client.partitions {
        let until = now().plus(MINUTE);
        let held = || {
            Error::new(
                ErrorKind::Unavailable,
                format!("somebody works on partition {partition} of {tenant}"),
            )
        };
        let epoch = meta
            .lease(tenant, partition, LOADER, until, now())
            .await?
            .ok_or_else(held)?;
        // Not the epoch of this lease: rows that come again after a crash would be refused.
        ctx.stores
            .graph
            .write(
                tenant,
                GraphBatch {
                    partition,
                    whole: true,
                    ..GraphBatch::default()
                },
            )
            .await?;
        let of_partition = ends
            .iter()
            .filter(|(stream, _)| stream.partition == partition);
        let offsets = of_partition
            .map(|(stream, next)| Offset {
                stream: *stream,
                next: *next,
            })
            .collect();
        meta.commit(
            tenant,
            partition,
            Commit {
                epoch,
                offsets,
                ..Commit::default()
            },
        )
        .await?;
        meta.release(tenant, partition, LOADER).await?;
    }
    Ok(())
}

/// A record in the partition of its cluster here.
fn entry(tenant: &TenantId, client: &Tenant, copy: RecordCopy) -> Result<Entry, Error> {
    let refused =
        |why: &str| Error::new(ErrorKind::Refused, format!("record `{}`: {why}", copy.key));
    let topic = Topic::parse(&copy.topic)
        .filter(|t| Topic::INPUT.contains(t))
        .ok_or_else(|| refused("no topic of records"))?;
    let masked = mask::record(topic, copy.value.get().as_bytes());
    let (key, value): (Box<[u8]>, Box<[u8]>) = (copy.key.as_bytes().into(), masked.into());
    let stored = Stored {
        offset: 0,
        key: key.clone(),
        value: value.clone(),
        received_at: copy.received_at,
    };
    let cluster =
        cluster_of(tenant, topic, &stored).ok_or_else(|| refused("it names no cluster"))?;
    let partition = partition_of(tenant, &cluster, client.partitions);
    Ok(Entry {
        stream: StreamId { topic, partition },
        key,
        value,
        received_at: copy.received_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_names_no_tenant_and_ends_nothing() {
        let copy = |text: &str| lasting(text.as_bytes()).map(|v| v.get().to_owned());
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

    #[test]
    fn a_line_that_is_no_row_is_named() {
        let error = rows::<RecordCopy>(b"\n{\"topic\":1}\n").unwrap_err();
        assert!(
            error.message.starts_with("line 2 of the body: "),
            "{}",
            error.message
        );
    }
}
