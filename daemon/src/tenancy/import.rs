//! Loads the lines of an export into a tenant that is not served yet.

use std::borrow::Cow;
use std::fmt::Display;

use kgrca_core::engine::{Changes, ClusterState, EpisodeRow};
use kgrca_core::incident::Transition;
use kgrca_core::model::time::MINUTE;
use kgrca_core::parse::{Signal, mask};
use kgrca_core::rca::Answer;
use kgrca_core::storage::archive::{IncidentCopy, Part, RecordCopy};
use kgrca_core::storage::{
    ClusterRow, Commit, Entry, Error, ErrorKind, GraphBatch, IncidentNode, Offset, Stored,
    StreamId, partition_of,
};
use kgrca_core::tenancy::{Saga, SagaState, Step, StepState, Tenant, TenantId};
use serde::de::DeserializeOwned;

use super::Tenancy;
use crate::clock::now;
use crate::workers::cluster_of;

/// The largest incident number: every JSON reader can represent it exactly.
const MAX_NUMBER: i64 = 1 << 53;
/// Owner of a tenant's leases while it is loaded.
const LOADER: &str = "import";

fn rows<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, Error> {
    let lines = body
        .split(|b| *b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty());
    let row = |(i, line)| {
        serde_json::from_slice(line)
            .map_err(|e| refused(format!("line {} of the body: {e}", i + 1)))
    };
    lines.map(row).collect()
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Refused, message)
}

/// The tenant of an import that accepts rows.
///
/// # Errors
/// `Conflict` when the saga is no import, or does not accept rows (yet, or any longer).
pub async fn unfinished(ctx: &Tenancy, saga: &Saga) -> Result<(TenantId, Tenant), Error> {
    let accepts_rows =
        saga.state == SagaState::Running && saga.state_of(Step::Load) == Some(StepState::Pending);
    let is_ready = saga
        .steps
        .iter()
        .take_while(|s| s.step != Step::Load)
        .all(|s| s.state == StepState::Done);
    if !accepts_rows || !is_ready {
        let reason = if accepts_rows {
            "the tenant is not created yet"
        } else {
            "this saga does not accept rows"
        };
        let message = format!("{}: {reason}", saga.saga_id);
        return Err(Error::new(ErrorKind::Conflict, message)
            .hint(format!("kgrca saga show {}", saga.saga_id)));
    }
    let missing = || {
        let message = format!("{}: its tenant is missing", saga.saga_id);
        Error::new(ErrorKind::Internal, message)
    };
    let id = TenantId::parse(&saga.client_id).ok_or_else(missing)?;
    let tenant = ctx.stores.meta.tenant(&saga.client_id).await?;
    Ok((id, tenant.ok_or_else(missing)?))
}

/// Writes the rows of a part; writing the same rows again changes nothing, except that records are
/// appended again. Returns how many rows there were.
///
/// # Errors
/// `Refused` when a line is not a row of the part; otherwise when a store is unavailable.
pub(super) async fn import(
    ctx: &Tenancy,
    id: &TenantId,
    tenant: &Tenant,
    part: Part,
    body: &[u8],
) -> Result<usize, Error> {
    match part {
        Part::Resources => {
            let resources = rows(body)?;
            let count = resources.len();
            let changes = Changes {
                resources,
                ..Changes::default()
            };
            write_graph(ctx, id, changes).await?;
            Ok(count)
        }
        Part::Edges => {
            let edges = rows(body)?;
            let count = edges.len();
            let changes = Changes {
                edges,
                ..Changes::default()
            };
            write_graph(ctx, id, changes).await?;
            Ok(count)
        }
        Part::Episodes => {
            let mut episodes: Vec<EpisodeRow> = rows(body)?;
            episodes.iter_mut().for_each(mask_message);
            let count = episodes.len();
            let changes = Changes {
                episodes,
                ..Changes::default()
            };
            write_graph(ctx, id, changes).await?;
            Ok(count)
        }
        Part::Causes => {
            let mut incidents: Vec<IncidentNode> = rows(body)?;
            for incident in &mut incidents {
                incident.symptoms.iter_mut().for_each(mask_message);
                let causes = incident.causes.iter_mut().flatten();
                causes.for_each(|cause| mask_message(&mut cause.episode));
            }
            let count = incidents.len();
            let batch = GraphBatch {
                incidents,
                ..copied()
            };
            ctx.stores.graph.write(id, batch).await?;
            Ok(count)
        }
        Part::Incidents => {
            let copies: Vec<IncidentCopy> = rows(body)?;
            copies.iter().try_for_each(check_incident)?;
            ctx.stores.meta.restore(id, &copies, &[]).await?;
            Ok(copies.len())
        }
        Part::Clusters => {
            let clusters: Vec<ClusterRow> = rows(body)?;
            clusters.iter().try_for_each(check_cluster)?;
            ctx.stores.meta.restore(id, &[], &clusters).await?;
            Ok(clusters.len())
        }
        Part::Records => {
            let copies = rows(body)?.into_iter();
            let entries: Result<Vec<Entry>, Error> =
                copies.map(|copy| entry(id, tenant, copy)).collect();
            let entries = entries?;
            let count = entries.len();
            ctx.stores.log.append(id, entries).await?;
            Ok(count)
        }
    }
}

/// An earlier version may have masked less.
fn mask_message(episode: &mut EpisodeRow) {
    if let Cow::Owned(masked) = mask::line(&episode.message) {
        episode.message = masked;
    }
}

/// A batch of rows that another installation exported. No worker has the tenant yet: the first
/// lease is of a later epoch.
fn copied() -> GraphBatch {
    GraphBatch {
        full_resync: true,
        is_copy: true,
        ..GraphBatch::default()
    }
}

async fn write_graph(ctx: &Tenancy, id: &TenantId, changes: Changes) -> Result<(), Error> {
    let batch = GraphBatch {
        changes,
        ..copied()
    };
    ctx.stores.graph.write(id, batch).await
}

/// Refuses the state of a cluster that a worker could not read.
fn check_cluster(row: &ClusterRow) -> Result<(), Error> {
    ClusterState::new(row.cluster.as_str())
        .restore(&row.state)
        .map_err(|e| refused(format!("cluster {}: {e}", row.cluster)))
}

/// Refuses an incident that could not be shown.
fn check_incident(copy: &IncidentCopy) -> Result<(), Error> {
    let invalid = |e: &dyn Display| refused(format!("incident {}: {e}", copy.number));
    if !(1..MAX_NUMBER).contains(&copy.number) {
        return Err(invalid(&"the number must be between 1 and 2^53"));
    }
    for event in &copy.events {
        serde_json::from_str::<Transition>(event.get()).map_err(|e| invalid(&e))?;
    }
    for answer in &copy.answers {
        serde_json::from_str::<Answer>(answer.answer.get()).map_err(|e| invalid(&e))?;
    }
    Ok(())
}

/// Commits everything that was loaded as processed: workers then begin as after a restart, and
/// nothing is charged for.
pub(super) async fn settle(ctx: &Tenancy, id: &TenantId, tenant: &Tenant) -> Result<(), Error> {
    let ends = ctx.stores.log.ends(id).await?;
    for partition in 0..tenant.partitions {
        let offsets = ends
            .iter()
            .filter(|(stream, _)| stream.partition == partition)
            .map(|(stream, next)| Offset {
                stream: *stream,
                next: *next,
            });
        settle_partition(ctx, id, partition, offsets.collect()).await?;
    }
    Ok(())
}

async fn settle_partition(
    ctx: &Tenancy,
    id: &TenantId,
    partition: u32,
    offsets: Vec<Offset>,
) -> Result<(), Error> {
    let meta = &ctx.stores.meta;
    let held = || {
        let message = format!("partition {partition} of {id} is leased by a worker");
        Error::new(ErrorKind::Unavailable, message)
    };
    let until = now().plus(MINUTE);
    let epoch = meta.lease(id, partition, LOADER, until, now()).await?;
    let epoch = epoch.ok_or_else(held)?;
    // Without the epoch of this lease: rows that are sent again after a crash would be refused.
    let batch = GraphBatch {
        partition,
        full_resync: true,
        ..GraphBatch::default()
    };
    ctx.stores.graph.write(id, batch).await?;
    let commit = Commit {
        epoch,
        offsets,
        ..Commit::default()
    };
    meta.commit(id, partition, commit).await?;
    meta.release(id, partition, LOADER).await
}

/// A record in the partition that its cluster has here.
fn entry(id: &TenantId, tenant: &Tenant, copy: RecordCopy) -> Result<Entry, Error> {
    let shown: String = copy.key.chars().take(100).collect();
    let invalid = |why: &str| refused(format!("record `{shown}`: {why}"));
    let signal = Signal::input(&copy.topic).map_err(|e| invalid(&e.to_string()))?;
    let topic = signal.topic;
    let masked = mask::record(topic, copy.value.get().as_bytes());
    let (key, value): (Box<[u8]>, Box<[u8]>) = (copy.key.as_bytes().into(), masked.into());
    let stored = Stored {
        offset: 0,
        key: key.clone(),
        value: value.clone(),
        received_at: copy.received_at,
    };
    let cluster = cluster_of(id, topic, &stored).ok_or_else(|| invalid("it has no cluster"))?;
    let partition = partition_of(id, &cluster, tenant.partitions);
    let entry = Entry {
        stream: StreamId { topic, partition },
        key,
        value,
        received_at: copy.received_at,
    };
    entry.check().map_err(|e| invalid(&e.message))?;
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_line_is_named() {
        let error = rows::<RecordCopy>(b"\n{\"topic\":1}\n").unwrap_err();
        assert!(
            error.message.starts_with("line 2 of the body: "),
            "{}",
            error.message
        );
    }
}
