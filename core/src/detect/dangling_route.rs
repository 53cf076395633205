//! Routes of custom kinds that refer to what does not exist.

use super::finding::{Finding, Strength};
use super::verdict::is_route;
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::Kind;

/// Reports a route, such as Gateway API's or Traefik's, that names a Service, a middleware or a
/// gateway that does not exist: its proxy serves none of it.
pub(super) fn route(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let is_custom = matches!(view.graph.get(idx).kind(), Kind::Other(_));
    if !is_custom || !view.exists(idx) || !is_route(view, idx) {
        return;
    }
    let named = view
        .graph
        .out(idx)
        .filter(|(r, _)| matches!(r, Relation::Uses | Relation::Routes))
        .map(|(_, target)| target);
    for target in named {
        let node = view.graph.get(target);
        // `auth@file` is another provider's.
        let is_outside = *node.kind() == Kind::External || node.name().contains('@');
        let is_absent = || view.is_absent(node.kind(), node.namespace(), node.name());
        if is_outside || node.object.is_some() || view.exists(target) || !is_absent() {
            continue;
        }
        let what = format!("{} `{}`, which does not exist", node.kind(), node.name());
        out.push(
            view.finding(FaultId::ServiceRouteWrong, idx, idx, Strength::Proof)
                .active(true)
                .message(format!("{} refers to {what}", view.title(idx)))
                .with([view.state_evidence(idx, format!("spec names {what}"))])
                .build(),
        );
    }
}
