//! What changed since it was last asked for: the graph store keeps what the live graph forgets.

use super::{Graph, Idx, Relation};
use crate::model::Time;

/// Changes of a graph since they were last taken.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Resources that began, changed what is told of them, or ended.
    pub resources: Vec<Idx>,
    /// Edges that began or ended.
    pub edges: Vec<EdgeChange>,
    /// Resources whose id changed when their uid became known, with the id before.
    pub renamed: Vec<(String, Idx)>,
}

/// An edge that began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EdgeChange {
    /// Where it starts.
    pub from: Idx,
    /// Its type.
    pub relation: Relation,
    /// Where it ends.
    pub to: Idx,
    /// Since when it was valid.
    pub since: Time,
    /// Until when; `None` while it is.
    pub until: Option<Time>,
}

impl Graph {
    /// Keeps a journal from now on.
    pub fn keep_journal(&mut self) {
        self.journal.get_or_insert_default();
    }

    /// Notes everything that exists.
    pub fn note_everything(&mut self) {
        let mut all = Journal::default();
        for (idx, node) in self.iter() {
            all.resources.push(idx);
            let edge = |l: &super::Link| EdgeChange {
                from: idx,
                relation: l.relation,
                to: l.other,
                since: l.from,
                until: l.to,
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
        // An edge that began and ended meanwhile stands there twice: its end is what counts.
        taken.edges.sort_unstable_by_key(|e| {
            (
                e.from,
                e.relation,
                e.to,
                e.since,
                std::cmp::Reverse(e.until),
            )
        });
        taken
            .edges
            .dedup_by_key(|e| (e.from, e.relation, e.to, e.since));
        taken
    }

    /// Says that what is told of a resource changed.
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
        }
    }

    /// To be called before a resource that was known by name alone becomes one that was known by
    /// its uid.
    pub(super) fn note_merge(&mut self, from: Idx, into: Idx) {
        let id = self.get(from).id();
        let Some(journal) = &mut self.journal else {
            return;
        };
        journal.renamed.push((id, into));
        journal.resources.push(into);
        for edge in &mut journal.edges {
            for end in [&mut edge.from, &mut edge.to]
                .into_iter()
                .filter(|i| **i == from)
            {
                *end = into;
            }
        }
    }

    /// To be called before a resource that was known by name alone gets its uid.
    pub(super) fn note_uid(&mut self, idx: Idx) {
        let id = self.journal.is_some().then(|| self.get(idx).id());
        if let (Some(journal), Some(id)) = (&mut self.journal, id) {
            journal.renamed.push((id, idx));
            journal.resources.push(idx);
        }
    }
}
