//! Writing: upserts by key, in one transaction per batch.

use std::collections::HashMap;

use marsdb_graph::{
    Direction, EdgeId, GraphError, GraphStore as Database, NodeId, PropertyValue, Txn,
    WriteTransaction,
};

use super::row::{self, Props, text, time};
use super::{failed, read};
use crate::engine::EdgeRow;
use crate::model::Time;
use crate::storage::graph::{CauseRow, GraphBatch, IncidentNode, is_label};
use crate::storage::{Error, ErrorKind, Result};

/// Writes a batch, or the `last` or another part of one, under its epoch. A graph that gets
/// everything once knows the partition from the last part on: after a crash before that it gets
/// everything again.
pub(super) fn part(db: &Database, batch: &GraphBatch, is_last: bool) -> Result<()> {
    let tx = db.begin_write().map_err(|e| failed(&e))?;
    let mut writer = Writer {
        tx: &tx,
        ids: HashMap::new(),
        outgoing: None,
    };
    if let Err(e) = writer.fence(batch, is_last) {
        return Err(abort(tx, e));
    }
    match writer.all(batch) {
        Ok(()) => Database::commit(tx).map_err(|e| failed(&e)),
        Err(e) => {
            let error = failed(&e);
            Err(abort(tx, error))
        }
    }
}

fn abort(tx: WriteTransaction, error: Error) -> Error {
    // What cannot even be rolled back is rolled back when the file is opened again.
    let _ = Database::abort(tx);
    error
}

struct Writer<'a> {
    tx: &'a WriteTransaction,
    /// Nodes of this batch by label and id: most are referenced several times.
    ids: HashMap<(&'static str, String), NodeId>,
    /// Edges out of the node of which edges were written last: those of a node follow each other.
    outgoing: Option<Outgoing>,
}

/// The edges of one type out of a node, by their other ends. A Service has those of all pods that it
/// ever selected, and perhaps each of them many times: for each edge to walk all of them would take
/// forever.
struct Outgoing {
    from: NodeId,
    label: &'static str,
    to: HashMap<NodeId, Between>,
}

/// The edges between two nodes, and of those that were read, their validity.
#[derive(Default)]
struct Between {
    unread: Vec<EdgeId>,
    read: Vec<Known>,
}

struct Known {
    id: EdgeId,
    since: Option<PropertyValue>,
    until: Option<PropertyValue>,
}

impl Between {
    /// The first edge whose validity is as wanted.
    fn find(&mut self, is_it: impl Fn(&Known) -> bool) -> Option<&mut Known> {
        self.read.iter_mut().find(|known| is_it(known))
    }

    fn read_all(&mut self, tx: &WriteTransaction) -> Done {
        for id in std::mem::take(&mut self.unread) {
            let Some(edge) = Database::get_edge_in_txn(Txn::Write(tx), id)? else {
                continue;
            };
            self.read.push(Known {
                id,
                since: edge.props.get("valid_from").cloned(),
                until: edge.props.get("valid_to").cloned(),
            });
        }
        Ok(())
    }
}

type Done<T = ()> = std::result::Result<T, GraphError>;

impl Writer<'_> {
    /// Refuses writers whose lease has passed to another daemon.
    fn fence(&mut self, batch: &GraphBatch, is_last: bool) -> Result<()> {
        let partition = PropertyValue::Int(i64::from(batch.partition));
        let epoch = PropertyValue::Int(batch.epoch);
        let known = Database::lookup_by_index_in_txn(
            Txn::Write(self.tx),
            row::FENCE,
            "partition",
            &partition,
        );
        let known = known.map_err(|e| failed(&e))?;
        let Some(node) = known.first().copied() else {
            if !batch.full_resync {
                let message = format!(
                    "the graph knows nothing of partition {}: it was lost or set aside",
                    batch.partition
                );
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            if !is_last {
                return Ok(());
            }
            let props = Props::from([
                ("partition".to_owned(), partition),
                ("epoch".to_owned(), epoch),
            ]);
            Database::create_node_in_txn(self.tx, &[row::FENCE], props).map_err(|e| failed(&e))?;
            return Ok(());
        };
        let before =
            Database::get_node_in_txn(Txn::Write(self.tx), node).map_err(|e| failed(&e))?;
        let before = before
            .and_then(|n| row::get_int(&n.props, "epoch"))
            .unwrap_or(i64::MIN);
        if before > batch.epoch {
            return Err(Error::new(
                ErrorKind::Fenced,
                format!(
                    "epoch {} has passed: {before} writes the graph",
                    batch.epoch
                ),
            ));
        }
        if before < batch.epoch {
            Database::set_node_prop_in_txn(self.tx, node, "epoch", epoch)
                .map_err(|e| failed(&e))?;
        }
        Ok(())
    }

    fn all(&mut self, batch: &GraphBatch) -> Done {
        for (old, new) in &batch.changes.renamed {
            self.rename(old, new)?;
        }
        for r in &batch.changes.resources {
            let labels = [row::RESOURCE, &r.resource.kind];
            let labels = if is_label(&r.resource.kind) {
                &labels[..]
            } else {
                &labels[..1]
            };
            self.upsert(row::RESOURCE, labels, &r.id, row::resource_props(r))?;
        }
        for edge in &batch.changes.edges {
            self.topology(edge, batch.is_copy)?;
        }
        for episode in &batch.changes.episodes {
            self.episode(&episode.id, &episode.about, row::episode_props(episode))?;
        }
        for incident in &batch.incidents {
            self.incident(incident)?;
        }
        Ok(())
    }

    fn find(&mut self, label: &'static str, id: &str) -> Done<Option<NodeId>> {
        let key = (label, id.to_owned());
        if let Some(node) = self.ids.get(&key) {
            return Ok(Some(*node));
        }
        let found = Database::lookup_by_index_limited_in_txn(
            Txn::Write(self.tx),
            label,
            "id",
            &text(id),
            1,
        )?;
        if let Some(node) = found.first() {
            self.ids.insert(key, *node);
        }
        Ok(found.first().copied())
    }

    /// Writes a node by its id: what is the same already is left alone.
    fn upsert(
        &mut self,
        label: &'static str,
        labels: &[&str],
        id: &str,
        props: Props,
    ) -> Done<NodeId> {
        let Some(node) = self.find(label, id)? else {
            let node = Database::create_node_in_txn(self.tx, labels, props)?;
            self.ids.insert((label, id.to_owned()), node);
            return Ok(node);
        };
        let known = Database::get_node_in_txn(Txn::Write(self.tx), node)?
            .map(|n| n.props)
            .unwrap_or_default();
        for key in known.keys().filter(|k| !props.contains_key(*k)) {
            Database::remove_node_prop_in_txn(self.tx, node, key)?;
        }
        for (key, value) in props {
            if known.get(&key) != Some(&value) {
                Database::set_node_prop_in_txn(self.tx, node, &key, value)?;
            }
        }
        Ok(node)
    }

    /// An edge by its ends and type; one that ended before is another. After a restart the
    /// beginning of an open edge may be known less well: it is the same edge.
    fn topology(&mut self, edge: &EdgeRow, is_copy: bool) -> Done {
        let (Some(from), Some(to)) = (
            self.find(row::RESOURCE, &edge.from)?,
            self.find(row::RESOURCE, &edge.to)?,
        ) else {
            return Ok(());
        };
        let (label, since) = (edge.relation.as_str(), time(edge.valid_from));
        let tx = self.tx;
        let between = self.outgoing(from, label)?.entry(to).or_default();
        between.read_all(tx)?;
        let until = edge.valid_to.map(time);
        let begins_then = |known: &Known| known.since.as_ref() == Some(&since);
        let known = if is_copy {
            between.find(|known| begins_then(known) && known.until == until)
        } else if between.read.iter().any(begins_then) {
            between.find(begins_then)
        } else {
            between.find(|known| known.until.is_none())
        };
        match (known, until) {
            (None, until) => {
                let since = Some(since);
                let props = [("valid_from", since.clone()), ("valid_to", until.clone())];
                let id = Database::create_edge_in_txn(tx, label, from, to, row::props(props))?;
                between.read.push(Known { id, since, until });
            }
            (Some(known), Some(until)) if !is_copy => {
                Database::set_edge_prop_in_txn(tx, known.id, "valid_to", until.clone())?;
                known.until = Some(until);
            }
            (Some(_), _) => {}
        }
        Ok(())
    }

    /// The edges of a type out of a node, by their other ends.
    fn outgoing(
        &mut self,
        from: NodeId,
        label: &'static str,
    ) -> Done<&mut HashMap<NodeId, Between>> {
        let is_it = |o: &Outgoing| o.from == from && o.label == label;
        let known = if let Some(known) = self.outgoing.take().filter(is_it) {
            known
        } else {
            let mut to: HashMap<_, Between> = HashMap::new();
            let (tx, label_of) = (Txn::Write(self.tx), Some(label));
            for near in Database::neighbors_in_txn(tx, from, Direction::Out, label_of)? {
                to.entry(near.other).or_default().unread.push(near.edge_id);
            }
            Outgoing { from, label, to }
        };
        Ok(&mut self.outgoing.insert(known).to)
    }

    fn connect(&self, from: NodeId, label: &str, to: NodeId) -> Done {
        let tx = Txn::Write(self.tx);
        let near = Database::neighbors_in_txn(tx, from, Direction::Out, Some(label))?;
        if !near.iter().any(|near| near.other == to) {
            Database::create_edge_in_txn(self.tx, label, from, to, Props::new())?;
        }
        Ok(())
    }

    fn episode(&mut self, id: &str, about: &str, props: Props) -> Done<NodeId> {
        let is_new = self.find(row::EPISODE, id)?.is_none();
        let node = self.upsert(row::EPISODE, &[row::EPISODE], id, props)?;
        if is_new && let Some(resource) = self.find(row::RESOURCE, about)? {
            Database::create_edge_in_txn(self.tx, row::ABOUT, node, resource, Props::new())?;
        }
        Ok(node)
    }

    fn incident(&mut self, incident: &IncidentNode) -> Done {
        let node = self.upsert(
            row::INCIDENT,
            &[row::INCIDENT],
            &incident.id,
            row::incident_props(incident),
        )?;
        for symptom in &incident.symptoms {
            let symptom = self.episode(&symptom.id, &symptom.about, row::episode_props(symptom))?;
            self.connect(symptom, row::SAME_INCIDENT, node)?;
        }
        let Some(causes) = &incident.causes else {
            return Ok(());
        };
        for old in Database::neighbors_in_txn(
            Txn::Write(self.tx),
            node,
            Direction::In,
            Some(row::POTENTIAL_CAUSE),
        )? {
            Database::delete_edge_in_txn(self.tx, old.edge_id)?;
        }
        for cause in causes {
            let episode = self.episode(
                &cause.episode.id,
                &cause.episode.about,
                row::episode_props(&cause.episode),
            )?;
            Database::create_edge_in_txn(
                self.tx,
                row::POTENTIAL_CAUSE,
                episode,
                node,
                cause_props(cause, incident.at),
            )?;
        }
        Ok(())
    }

    /// Gives a resource the id that follows from its uid. Where that one is known already, the two
    /// become one.
    fn rename(&mut self, old: &str, new: &str) -> Done {
        let Some(from) = self.find(row::RESOURCE, old)?.filter(|_| old != new) else {
            return Ok(());
        };
        self.ids.remove(&(row::RESOURCE, old.to_owned()));
        for near in
            Database::neighbors_in_txn(Txn::Write(self.tx), from, Direction::In, Some(row::ABOUT))?
        {
            Database::set_node_prop_in_txn(self.tx, near.other, "about", text(new))?;
        }
        let Some(into) = self.find(row::RESOURCE, new)? else {
            Database::set_node_prop_in_txn(self.tx, from, "id", text(new))?;
            return Ok(());
        };
        for (direction, outgoing) in [(Direction::Out, true), (Direction::In, false)] {
            for near in Database::neighbors_in_txn(Txn::Write(self.tx), from, direction, None)? {
                let Some(edge) = Database::get_edge_in_txn(Txn::Write(self.tx), near.edge_id)?
                else {
                    continue;
                };
                let (start, end) = if outgoing {
                    (into, near.other)
                } else {
                    (near.other, into)
                };
                Database::create_edge_in_txn(self.tx, &edge.label, start, end, edge.props)?;
            }
        }
        Database::delete_node_in_txn(self.tx, from, true)?;
        Ok(())
    }
}

fn cause_props(cause: &CauseRow, at: Time) -> Props {
    let float = PropertyValue::Float;
    row::props([
        ("rank", Some(PropertyValue::Int(cause.rank as i64))),
        ("confidence", Some(float(cause.confidence))),
        ("temporal_score", cause.temporal.map(float)),
        ("distance_score", cause.distance.map(float)),
        ("domain_score", cause.domain.map(float)),
        ("hops", Some(PropertyValue::Int(cause.hops as i64))),
        ("path", Some(text(&cause.path))),
        ("created_at", Some(time(at))),
    ])
}

/// How many nodes are erased in one transaction.
const ERASED: usize = 10_000;

/// Erases episodes that were last seen, and resources, incidents and edges that ended, before an
/// instant.
pub(super) fn forget(db: &Database, before: Time) -> Result<u64> {
    let mut erased = 0;
    for (label, key) in [
        (row::EPISODE, "last"),
        (row::RESOURCE, "deleted"),
        (row::INCIDENT, "ended"),
    ] {
        loop {
            let nodes = read::before(db, label, key, before, ERASED)?;
            let tx = db.begin_write().map_err(|e| failed(&e))?;
            for node in &nodes {
                Database::delete_node_in_txn(&tx, *node, true).map_err(|e| failed(&e))?;
            }
            Database::commit(tx).map_err(|e| failed(&e))?;
            erased += nodes.len() as u64;
            if nodes.len() < ERASED {
                break;
            }
        }
    }
    let ended = read::ended_edges(db, before)?;
    let tx = db.begin_write().map_err(|e| failed(&e))?;
    Database::delete_edges_in_txn(&tx, &ended).map_err(|e| failed(&e))?;
    Database::commit(tx).map_err(|e| failed(&e))?;
    Ok(erased + ended.len() as u64)
}
