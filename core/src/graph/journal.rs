//! Records the changes of a graph for the graph store, which keeps what the live graph drops.

use super::{Graph, Idx, Relation};
use crate::model::Time;

/// Changes of a graph since they were last taken.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Resources that are new, have changed or have ended.
    pub resources: Vec<Idx>,
    /// Edges that began or ended.
    pub edges: Vec<EdgeChange>,
    /// Resources whose id changed when their uid became known, with their old id.
    pub renamed: Vec<(String, Idx)>,
    /// How many edges there were when they were last thinned out.
    thinned: usize,
}

/// From how many edges on the journal is thinned out.
pub(super) const MANY: usize = 200_000;

/// An edge that began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EdgeChange {
    /// Source of the edge.
    pub from: Idx,
    /// Type of the edge.
    pub relation: Relation,
    /// Target of the edge.
    pub to: Idx,
    /// Start of its validity.
    pub since: Time,
    /// End of its validity; `None` while it lasts.
    pub until: Option<Time>,
}

impl EdgeChange {
    /// Which edge it is.
    fn key(&self) -> (Idx, Relation, Idx, Time) {
        (self.from, self.relation, self.to, self.since)
    }
}

impl Journal {
    /// Forgets edges that began and ended since the changes were last taken: history lacks what was
    /// there for such a short time, where it is more than anything else.
    fn thin_out(&mut self) {
        self.edges.sort_by_key(EdgeChange::key);
        let of_edge = |a: &EdgeChange, b: &EdgeChange| a.key() == b.key();
        let lasting = self.edges.chunk_by(of_edge).flat_map(|all| match all {
            [first, .., last] if first.until.is_none() && last.until.is_some() => vec![],
            // That it was known before stays known, too.
            [first, .., last] => vec![*first, *last],
            one => one.to_vec(),
        });
        self.edges = lasting.collect();
        self.thinned = self.edges.len();
    }
}

impl Graph {
    /// Starts to record changes.
    pub fn keep_journal(&mut self) {
        self.journal.get_or_insert_default();
    }

    /// Records everything as changed.
    pub fn note_all(&mut self) {
        let mut all = Journal::default();
        for (idx, node) in self.iter() {
            all.resources.push(idx);
            let edge = |l: &super::Link| EdgeChange {
                from: idx,
                relation: l.relation,
                to: l.other,
                since: l.from,
                until: None,
            };
            all.edges.extend(node.out.iter().map(edge));
        }
        if let Some(journal) = &mut self.journal {
            journal.resources.extend(all.resources);
            journal.edges.extend(all.edges);
        }
    }

    /// Takes the changes since the last call, each resource once and each edge as it is now.
    pub fn take_journal(&mut self) -> Journal {
        let Some(journal) = &mut self.journal else {
            return Journal::default();
        };
        let mut taken = std::mem::take(&mut **journal);
        taken.resources.sort_unstable();
        taken.resources.dedup();
        // An edge that began and ended in between is recorded twice: its last record counts.
        taken.edges.reverse();
        taken.edges.sort_by_key(EdgeChange::key);
        taken.edges.dedup_by_key(|e| e.key());
        taken
    }

    /// Records that a resource changed.
    pub fn note_resource(&mut self, idx: Idx) {
        if let Some(journal) = &mut self.journal {
            journal.resources.push(idx);
        }
    }

    pub(super) fn note_edge(
        &mut self,
        from: Idx,
        relation: Relation,
        to: Idx,
        since: Time,
        until: Option<Time>,
    ) {
        if let Some(journal) = &mut self.journal {
            journal.edges.push(EdgeChange {
                from,
                relation,
                to,
                since,
                until,
            });
            if journal.edges.len() > MANY + 2 * journal.thinned {
                journal.thin_out();
            }
        }
    }

    /// Must be called before a resource that is known by name alone is merged into one that is
    /// known by uid.
    pub(super) fn note_merge(&mut self, from: Idx, into: Idx) {
        let id = self.get(from).id();
        let Some(journal) = &mut self.journal else {
            return;
        };
        journal.renamed.push((id, into));
        journal.resources.push(into);
        for edge in &mut journal.edges {
            for end in [&mut edge.from, &mut edge.to] {
                if *end == from {
                    *end = into;
                }
            }
        }
    }

    /// Must be called before a resource that is known by name alone gets its uid.
    pub(super) fn note_uid(&mut self, idx: Idx) {
        let id = self.journal.is_some().then(|| self.get(idx).id());
        if let (Some(journal), Some(id)) = (&mut self.journal, id) {
            journal.renamed.push((id, idx));
            journal.resources.push(idx);
        }
    }
}
