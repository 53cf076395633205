//! Paths through the graph.

use std::collections::VecDeque;

use super::{Graph, Idx, Map, Relation};

/// Maximum number of resources visited around one.
const VISITS: usize = 20_000;

/// One edge of a path, in the edge's own direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the edge starts.
    pub from: Idx,
    /// Its type.
    pub relation: Relation,
    /// Where it ends.
    pub to: Idx,
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
    /// Edges of either direction at a resource, with the direction: `true` when it leads out of
    /// `idx`.
    fn around(&self, idx: Idx) -> impl Iterator<Item = (Relation, Idx, bool)> + '_ {
        self.out(idx)
            .map(|(r, o)| (r, o, true))
            .chain(self.incoming(idx).map(|(r, o)| (r, o, false)))
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
            for (relation, other, outgoing) in self.around(at) {
                let hop = Hop {
                    from: at,
                    to: other,
                    is_upstream: relation.harms_start() == outgoing,
                };
                if other == from || came.contains_key(&other) || !may_take(hop) {
                    continue;
                }
                let step = if outgoing {
                    Step {
                        from: at,
                        relation,
                        to: other,
                    }
                } else {
                    Step {
                        from: other,
                        relation,
                        to: at,
                    }
                };
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
            at = if step.to == at { step.from } else { step.to };
        }
        steps.reverse();
        steps
    }

    /// All resources within `max` edges of `from`, with their distance, nearest first; `through`
    /// decides which resources are walked through. Beyond some thousands it stops: everything is
    /// near where everything shares one account.
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
        while next < order.len() && order.len() < VISITS {
            let (at, depth) = order[next];
            next += 1;
            if depth == max || (depth > 0 && !through(at)) {
                continue;
            }
            for (_, other, _) in self.around(at) {
                if seen.insert(other, depth + 1).is_none() {
                    order.push((other, depth + 1));
                }
            }
        }
        order
    }
}
