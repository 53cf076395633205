//! A cache of components by number: finding a component walks the graph, and comparing two compares
//! texts.

use std::cell::RefCell;

use crate::graph::{Component, Graph, Idx};

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// A component's number within one evaluation of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId(u32);

/// The components of one evaluation of a cluster.
#[derive(Debug, Default)]
pub struct Names(RefCell<Known>);

#[derive(Debug, Default)]
struct Known {
    of: Map<Idx, ComponentId>,
    ids: Map<Component, ComponentId>,
    all: Vec<Component>,
}

impl Names {
    /// The number of a resource's component.
    pub(super) fn of(&self, graph: &Graph, idx: Idx) -> ComponentId {
        if let Some(id) = self.0.borrow().of.get(&idx) {
            return *id;
        }
        let component = graph.component(idx);
        let mut known = self.0.borrow_mut();
        let id = known.ids.get(&component).copied().unwrap_or_else(|| {
            let id = ComponentId(known.all.len() as u32);
            known.all.push(component.clone());
            known.ids.insert(component, id);
            id
        });
        known.of.insert(idx, id);
        id
    }

    /// The component of a number.
    pub(super) fn get(&self, id: ComponentId) -> Component {
        self.0.borrow().all[id.0 as usize].clone()
    }

    /// The number of a component; `None` if no resource of it was requested yet.
    pub(super) fn find(&self, component: &Component) -> Option<ComponentId> {
        self.0.borrow().ids.get(component).copied()
    }

    /// Empties the cache after the graph changed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
