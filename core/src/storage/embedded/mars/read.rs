//! Reading: one consistent snapshot per question.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use marsdb_graph::{Direction, EdgeId, GraphStore as Database, Node, NodeId, PropertyValue, Txn};

use super::failed;
use super::row::{self, text, time};
use crate::engine::{EpisodeRow, ResourceRow};
use crate::model::Time;
use crate::storage::Result;
use crate::storage::graph::{GraphCounts, ResourceFilter, Subgraph, TimelineFilter};

/// The nodes that a uid or id names, newest first.
fn named(txn: Txn<'_>, uid: &str) -> Result<Vec<(NodeId, ResourceRow)>> {
    let mut found = Vec::new();
    for key in ["uid", "id"] {
        found.extend(
            Database::lookup_by_index_in_txn(txn, row::RESOURCE, key, &text(uid))
                .map_err(|e| failed(&e))?,
        );
    }
    let mut rows = Vec::new();
    for id in found {
        if let Some(node) = Database::get_node_in_txn(txn, id).map_err(|e| failed(&e))? {
            rows.push((id, row::resource(&node)));
        }
    }
    rows.sort_by(|(_, a), (_, b)| {
        (a.deleted.is_some(), b.created, &a.id).cmp(&(b.deleted.is_some(), a.created, &b.id))
    });
    rows.dedup_by_key(|(id, _)| *id);
    Ok(rows)
}

pub(super) fn resources(db: &Database, uid: &str) -> Result<Vec<ResourceRow>> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    Ok(named(Txn::Read(&tx), uid)?
        .into_iter()
        .map(|(_, r)| r)
        .collect())
}

/// Live resources in the order of their ids.
pub(super) fn find(db: &Database, filter: &ResourceFilter) -> Result<Vec<ResourceRow>> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let txn = Txn::Read(&tx);
    let start = text(filter.after.as_deref().unwrap_or_default());
    let cursor =
        Database::index_range_cursor_in_txn(txn, row::RESOURCE, "id", Some((&start, true)), None);
    let Some(mut cursor) = cursor.map_err(|e| failed(&e))? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    loop {
        let ids = cursor.next_chunk(txn, CHUNK).map_err(|e| failed(&e))?;
        for id in &ids {
            let node = Database::get_node_in_txn(txn, *id).map_err(|e| failed(&e))?;
            found.extend(
                node.as_ref()
                    .map(row::resource)
                    .filter(|r| filter.matches(r)),
            );
        }
        if ids.len() < CHUNK || found.len() >= filter.limit {
            found.truncate(filter.limit);
            return Ok(found);
        }
    }
}

pub(super) fn around(
    db: &Database,
    uid: &str,
    depth: usize,
    at: Time,
    limit: usize,
) -> Result<Option<Subgraph>> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let txn = Txn::Read(&tx);
    let born = |r: &ResourceRow| r.created.map(|created| created <= at).unwrap_or(true);
    let Some((start, first)) = named(txn, uid)?.into_iter().find(|(_, r)| born(r)) else {
        return Ok(None);
    };
    let mut rows = BTreeMap::from([(start, first)]);
    let mut order = vec![(start, 0)];
    let mut edges = BTreeSet::new();
    let mut next = 0;
    while let Some((here, distance)) = order.get(next).copied() {
        next += 1;
        if distance == depth {
            continue;
        }
        for (direction, outgoing) in [(Direction::Out, true), (Direction::In, false)] {
            for near in
                Database::neighbors_in_txn(txn, here, direction, None).map_err(|e| failed(&e))?
            {
                let Some(edge) =
                    Database::get_edge_in_txn(txn, near.edge_id).map_err(|e| failed(&e))?
                else {
                    continue;
                };
                let valid = row::get_time(&edge.props, "valid_from").is_some_and(|from| from <= at)
                    && row::get_time(&edge.props, "valid_to")
                        .map(|to| at < to)
                        .unwrap_or(true);
                if !valid {
                    continue;
                }
                if let Entry::Vacant(slot) = rows.entry(near.other) {
                    let node =
                        Database::get_node_in_txn(txn, near.other).map_err(|e| failed(&e))?;
                    let Some(other) = node.filter(|_| order.len() < limit) else {
                        continue;
                    };
                    slot.insert(row::resource(&other));
                    order.push((near.other, distance + 1));
                }
                let (from, to) = if outgoing {
                    (here, near.other)
                } else {
                    (near.other, here)
                };
                edges.extend(row::edge(&edge, &rows[&from].id, &rows[&to].id));
            }
        }
    }
    let resources = order
        .iter()
        .filter_map(|(id, _)| rows.get(id).cloned())
        .collect();
    Ok(Some(Subgraph {
        resources,
        edges: edges.into_iter().collect(),
    }))
}

/// Maximum number of episodes scanned for a page; a page may end early because of it.
const LOOKED_AT: usize = 100_000;
/// How many are read at once.
const CHUNK: usize = 1000;

/// A page of a timeline and the cursor of the next one.
type Timeline = (Vec<EpisodeRow>, Option<(Time, String)>);

pub(super) fn timeline(db: &Database, filter: &TimelineFilter) -> Result<Timeline> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let txn = Txn::Read(&tx);
    let wanted = |e: &EpisodeRow| {
        filter
            .cluster
            .as_ref()
            .map(|c| *c == e.cluster)
            .unwrap_or(true)
            && filter.kind.as_ref().map(|k| *k == e.kind).unwrap_or(true)
            && filter.from.map(|t| e.last >= t).unwrap_or(true)
            && filter.to.map(|t| e.last < t).unwrap_or(true)
            && filter
                .after
                .as_ref()
                .map(|(t, id)| (e.last, &e.id) > (*t, id))
                .unwrap_or(true)
    };
    let Some(uid) = &filter.resource else {
        return of_all(txn, filter, &wanted);
    };
    let mut found: Vec<EpisodeRow> = Vec::new();
    for (resource, _) in named(txn, uid)? {
        for near in Database::neighbors_in_txn(txn, resource, Direction::In, Some(row::ABOUT))
            .map_err(|e| failed(&e))?
        {
            found.extend(episode(txn, near.other)?.filter(&wanted));
        }
    }
    found.sort_by(|a, b| (a.last, &a.id).cmp(&(b.last, &b.id)));
    Ok(page(found, filter.limit, None))
}

fn of_all(
    txn: Txn<'_>,
    filter: &TimelineFilter,
    wanted: &dyn Fn(&EpisodeRow) -> bool,
) -> Result<Timeline> {
    // A range without any bound has no type and is empty.
    let start = time(
        filter
            .after
            .as_ref()
            .map(|(t, _)| *t)
            .max(filter.from)
            .unwrap_or(Time(i64::MIN)),
    );
    let end = filter.to.map(time);
    let (start, end) = (Some((&start, true)), end.as_ref().map(|v| (v, false)));
    let cursor = Database::index_range_cursor_in_txn(txn, row::EPISODE, "last", start, end)
        .map_err(|e| failed(&e))?;
    let Some(mut cursor) = cursor else {
        return Ok((Vec::new(), None));
    };
    let (mut found, mut looked_at, mut newest): (Vec<EpisodeRow>, _, _) = (Vec::new(), 0, None);
    loop {
        let ids = cursor.next_chunk(txn, CHUNK).map_err(|e| failed(&e))?;
        looked_at += ids.len();
        for id in &ids {
            if let Some(episode) = episode(txn, *id)? {
                newest = newest.max(Some(episode.last));
                found.extend(Some(episode).filter(wanted));
            }
        }
        found.sort_by(|a, b| (a.last, &a.id).cmp(&(b.last, &b.id)));
        // Episodes of one instant stand in any order: they are all there when a later one was seen.
        let is_full = found
            .get(filter.limit)
            .is_some_and(|_| newest > found.get(filter.limit - 1).map(|e| e.last));
        if ids.len() < CHUNK || is_full {
            return Ok(page(found, filter.limit, None));
        }
        if looked_at >= LOOKED_AT {
            found.retain(|e| Some(e.last) < newest);
            return Ok(page(
                found,
                filter.limit,
                newest.map(|t| (t, String::new())),
            ));
        }
    }
}

/// The first `limit` rows; it goes on behind them when there are more, else at `rest`.
fn page(mut found: Vec<EpisodeRow>, limit: usize, rest: Option<(Time, String)>) -> Timeline {
    let more = found.len() > limit;
    found.truncate(limit);
    let next = if more {
        found.last().map(|e| (e.last, e.id.clone()))
    } else {
        rest
    };
    (found, next)
}

pub(super) fn knows(db: &Database, partition: u32) -> Result<bool> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let partition = PropertyValue::Int(i64::from(partition));
    let known =
        Database::lookup_by_index_in_txn(Txn::Read(&tx), row::FENCE, "partition", &partition);
    Ok(!known.map_err(|e| failed(&e))?.is_empty())
}

fn episode(txn: Txn<'_>, id: NodeId) -> Result<Option<EpisodeRow>> {
    Ok(Database::get_node_in_txn(txn, id)
        .map_err(|e| failed(&e))?
        .as_ref()
        .map(row::episode))
}

pub(super) fn counts(db: &Database) -> Result<GraphCounts> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let txn = Txn::Read(&tx);
    let of = |label| Database::label_count_in_txn(txn, label).map_err(|e| failed(&e));
    Ok(GraphCounts {
        resources: of(row::RESOURCE)?,
        episodes: of(row::EPISODE)?,
        incidents: of(row::INCIDENT)?,
        edges: Database::edge_count_in_txn(txn).map_err(|e| failed(&e))?,
    })
}

/// Nodes whose time lies before an instant.
pub(super) fn before(
    db: &Database,
    label: &str,
    key: &str,
    before: Time,
    limit: usize,
) -> Result<Vec<NodeId>> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let end = time(before);
    let end: Option<(&PropertyValue, bool)> = Some((&end, false));
    let ids =
        Database::lookup_by_index_range_in_txn(Txn::Read(&tx), label, key, None, end, Some(limit));
    let ids = ids.map_err(|e| failed(&e))?;
    let is_before = |node: &Node| row::get_time(&node.props, key).is_some_and(|t| t < before);
    let mut found = Vec::new();
    for id in ids {
        let node = Database::get_node_in_txn(Txn::Read(&tx), id).map_err(|e| failed(&e))?;
        found.extend(node.filter(is_before).map(|n| n.id));
    }
    Ok(found)
}

/// Edges that ended before an instant.
pub(super) fn ended_edges(db: &Database, before: Time) -> Result<Vec<EdgeId>> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let txn = Txn::Read(&tx);
    let Some(key) = Database::lookup_prop_id_in_txn(txn, "valid_to").map_err(|e| failed(&e))?
    else {
        return Ok(Vec::new());
    };
    let mut cursor = Database::edge_scan_cursor();
    let mut ended = Vec::new();
    loop {
        let chunk = cursor.next_chunk(txn, 10_000).map_err(|e| failed(&e))?;
        if chunk.is_empty() {
            return Ok(ended);
        }
        for (id, bytes) in chunk {
            let until = Database::edge_record_prop(&bytes, key).map_err(|e| failed(&e))?;
            if matches!(until, Some(PropertyValue::Int(at)) if at < before.0) {
                ended.push(EdgeId(id));
            }
        }
    }
}
