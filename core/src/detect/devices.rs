//! Nodes that have lost their devices: the kubelet goes on to list a resource whose plug-in no longer
//! offers any, with an amount of 0.

use super::View;
use crate::graph::Idx;
use crate::model::object::pod::PodSpec;

/// The only node that lists a device which a pod asks for and has none.
pub(super) fn lost(view: &View<'_>, spec: &PodSpec) -> Option<Idx> {
    let has_none = |node: &Idx| {
        let status = view.object(*node).and_then(|o| o.node()).map(|n| &n.status);
        let mut listed = status.into_iter().flat_map(|s| s.allocatable.iter());
        listed.any(|r| r.name.contains('/') && r.quantity.0 == 0 && spec.requested(&r.name) > 0)
    };
    let mut nodes = view.nodes().into_iter().filter(has_none);
    nodes.next().filter(|_| nodes.next().is_none())
}
