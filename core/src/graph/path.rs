//! Paths through the graph.

use std::collections::VecDeque;

use super::{Graph, Idx, Map, Relation};

/// Maximum number of resources visited around one.
const MAX_VISITS: usize = 20_000;

/// One edge of a path, in the edge's own direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Source of the edge.
    pub from: Idx,
    /// Type of the edge.
    pub relation: Relation,
    /// Target of the edge.
    pub to: Idx,
}

impl Step {
    fn other_end(self, idx: Idx) -> Idx {
        if self.from == idx { self.to } else { self.from }
    }
}

/// An edge as a walk takes it, in either direction.
#[derive(Clone, Copy, Debug)]
pub struct Hop {
    /// The resource that the walk leaves.
    pub from: Idx,
    /// The resource that it comes to.
    pub to: Idx,
    /// Whether it leads to what can harm `from`, otherwise to what `from` can harm.
    pub is_upstream: bool,
}

impl Graph {
    /// The edges at a resource, outgoing ones first.
    fn around(&self, idx: Idx) -> impl Iterator<Item = Step> + '_ {
        let outgoing = self.out(idx).map(move |(relation, other)| Step {
            from: idx,
            relation,
            to: other,
        });
        let incoming = self.incoming(idx).map(move |(relation, other)| Step {
            from: other,
            relation,
            to: idx,
        });
        outgoing.chain(incoming)
    }

    /// The shortest path between two resources of at most `max` edges, ties broken by edge order;
    /// `may_take` decides which edges it may consist of.
    pub fn path(
        &self,
        from: Idx,
        to: Idx,
        max: usize,
        may_take: impl Fn(Hop) -> bool,
    ) -> Option<Vec<Step>> {
        if from == to {
            return Some(Vec::new());
        }
        let mut came: Map<Idx, Step> = Map::default();
        let mut queue = VecDeque::from([(from, 0_usize)]);
        while let Some((at, depth)) = queue.pop_front() {
            if depth == max {
                continue;
            }
            for step in self.around(at) {
                let other = step.other_end(at);
                let hop = Hop {
                    from: at,
                    to: other,
                    is_upstream: step.relation.harms_start() == (step.from == at),
                };
                if other == from || came.contains_key(&other) || !may_take(hop) {
                    continue;
                }
                came.insert(other, step);
                if other == to {
                    return Some(Self::trace(&came, from, to));
                }
                queue.push_back((other, depth + 1));
            }
        }
        None
    }

    fn trace(came: &Map<Idx, Step>, from: Idx, to: Idx) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = to;
        while at != from {
            let step = came[&at];
            steps.push(step);
            at = step.other_end(at);
        }
        steps.reverse();
        steps
    }

    /// All resources within `max` edges of `from`, with their distance, nearest first; `through`
    /// decides which resources are walked through. Stops after some thousands: where all share one
    /// `ServiceAccount`, everything is near.
    pub fn within(
        &self,
        from: Idx,
        max: usize,
        through: impl Fn(Idx) -> bool,
    ) -> Vec<(Idx, usize)> {
        let mut seen: Map<Idx, usize> = Map::default();
        seen.insert(from, 0);
        let mut order = vec![(from, 0)];
        let mut next = 0;
        while next < order.len() && order.len() < MAX_VISITS {
            let (at, depth) = order[next];
            next += 1;
            if depth == max || (depth > 0 && !through(at)) {
                continue;
            }
            for other in self.around(at).map(|step| step.other_end(at)) {
                if seen.insert(other, depth + 1).is_none() {
                    order.push((other, depth + 1));
                }
            }
        }
        order
    }
}
