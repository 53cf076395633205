//! Reading: one consistent snapshot per question.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use marsdb_graph::{Direction, EdgeId, GraphStore as Database, Node, NodeId, PropertyValue, Txn};

use super::failed;
use super::row::{self, text, time};
use crate::engine::ResourceRow;
use crate::model::Time;
use crate::storage::Result;
use crate::storage::graph::{GraphCounts, PAGE_BYTES, ResourceFilter, Subgraph};

/// How many nodes are found at once; they are read one by one.
const CHUNK: usize = 1000;

/// The nodes that a uid or id names, newest first.
pub(super) fn named(txn: Txn<'_>, uid: &str) -> Result<Vec<NodeId>> {
    let mut found = Vec::new();
    for key in ["uid", "id"] {
        let ids = Database::lookup_by_index_in_txn(txn, row::RESOURCE, key, &text(uid));
        found.extend(ids.map_err(|e| failed(&e))?);
    }
    // Only what they are sorted by: nothing limits how many have one uid.
    let mut order = Vec::new();
    for node_id in found {
        if let Some(r) = resource(txn, node_id)? {
            order.push((r.deleted.is_some(), Reverse(r.created), r.id, node_id));
        }
    }
    order.sort();
    order.dedup_by_key(|(.., node_id)| *node_id);
    Ok(order.into_iter().map(|(.., node_id)| node_id).collect())
}

fn resource(txn: Txn<'_>, id: NodeId) -> Result<Option<ResourceRow>> {
    let node = Database::get_node_in_txn(txn, id).map_err(|e| failed(&e))?;
    Ok(node.as_ref().map(row::resource))
}

pub(super) fn resources(db: &Database, uid: &str) -> Result<Vec<ResourceRow>> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let txn = Txn::Read(&tx);
    let (mut found, mut bytes) = (Vec::new(), 0);
    for id in named(txn, uid)? {
        let Some(r) = resource(txn, id)? else {
            continue;
        };
        bytes += r.bytes();
        found.push(r);
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    Ok(found)
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
    let (mut found, mut bytes) = (Vec::new(), 0);
    loop {
        let ids = cursor.next_chunk(txn, CHUNK).map_err(|e| failed(&e))?;
        for id in &ids {
            let Some(r) = resource(txn, *id)?.filter(|r| filter.matches(r)) else {
                continue;
            };
            bytes += r.bytes();
            found.push(r);
            if found.len() >= filter.limit || bytes >= PAGE_BYTES {
                return Ok(found);
            }
        }
        if ids.len() < CHUNK {
            return Ok(found);
        }
    }
}

/// The newest resource with a uid that existed at an instant.
fn born(txn: Txn<'_>, uid: &str, at: Time) -> Result<Option<(NodeId, ResourceRow)>> {
    for id in named(txn, uid)? {
        let existed = |r: &ResourceRow| r.created.map(|created| created <= at).unwrap_or(true);
        if let Some(r) = resource(txn, id)?.filter(existed) {
            return Ok(Some((id, r)));
        }
    }
    Ok(None)
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
    let Some((start, first)) = born(txn, uid, at)? else {
        return Ok(None);
    };
    let mut bytes = first.bytes();
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
                    if order.len() >= limit || bytes >= PAGE_BYTES {
                        continue;
                    }
                    let Some(other) = resource(txn, near.other)? else {
                        continue;
                    };
                    bytes += other.bytes();
                    slot.insert(other);
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
    let resources = order.iter().filter_map(|(id, _)| rows.remove(id)).collect();
    Ok(Some(Subgraph {
        resources,
        edges: edges.into_iter().collect(),
    }))
}

pub(super) fn knows(db: &Database, partition: u32) -> Result<bool> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let partition = PropertyValue::Int(i64::from(partition));
    let known =
        Database::lookup_by_index_in_txn(Txn::Read(&tx), row::FENCE, "partition", &partition);
    Ok(!known.map_err(|e| failed(&e))?.is_empty())
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
