//! Objects that the records do not have: whether they do not exist, or were only not recorded.

use super::View;
use crate::graph::{Idx, Relation};
use crate::model::Kind;

impl View<'_> {
    /// Whether a pod without state is one that its workload counts and that the records leave out:
    /// they have no pod of that workload.
    pub(super) fn is_unlisted(&self, idx: Idx) -> bool {
        let Some(workload) = self.namesake(idx) else {
            return false;
        };
        let status = self
            .object(workload)
            .and_then(|o| o.workload())
            .map(|w| &w.status);
        let counted = status.and_then(|s| s.desired_number_scheduled.or(s.replicas));
        counted.is_some_and(|n| n > 0) && !self.knows_pods(workload)
    }

    /// Whether the state of a pod of a workload is known, also without the ReplicaSet between them.
    pub(super) fn knows_pods(&self, workload: Idx) -> bool {
        let own = self.component_id(workload);
        let mut pods = self.graph.pods(self.graph.get(workload).namespace());
        !self.pods_of(workload).is_empty() || pods.any(|pod| self.component_id(pod) == own)
    }

    /// Whether no object of a name exists: objects of its kind are known, and nothing shows that
    /// this one was left out.
    pub(super) fn is_absent(&self, kind: &Kind, namespace: &str, name: &str) -> bool {
        let found = self.graph.find(kind.clone(), namespace, name);
        let is_seen = found.is_some_and(|idx| self.graph.get(idx).is_live() || self.is_proven(idx));
        !is_seen && self.knows(kind, namespace)
    }

    /// Whether no namespace of a name exists. Where the state has the namespace that every cluster
    /// has, it has all of them.
    pub(super) fn is_namespace_absent(&self, name: &str) -> bool {
        let is_live = |name| self.graph.find_live(Kind::Namespace, "", name).is_some();
        is_live("kube-system") && !is_live(name)
    }

    /// Whether an object without state must exist: a live object is its own, or has the addresses
    /// behind it. Controllers delete both with it.
    fn is_proven(&self, idx: Idx) -> bool {
        let is_live = |other: Idx| self.graph.get(other).is_live();
        let is_endpoints = |i: Idx| {
            matches!(
                self.graph.get(i).kind(),
                Kind::Endpoints | Kind::EndpointSlice
            )
        };
        let mut owned = self.graph.out(idx);
        let mut users = self.graph.incoming(idx);
        owned.any(|(relation, other)| relation == Relation::Controls && is_live(other))
            || users.any(|(relation, user)| {
                relation == Relation::Uses && is_endpoints(user) && is_live(user)
            })
    }

    /// Whether the pods behind a Service must exist although none is known: its endpoints have
    /// addresses, or a workload that it selects counts ready pods.
    pub(super) fn has_unseen_pods(&self, service: Idx) -> bool {
        let mut users = self.graph.incoming(service);
        let has_addresses = users.any(|(relation, user)| {
            let endpoints = self.object(user).and_then(|o| o.endpoints());
            relation == Relation::Uses && endpoints.is_some_and(|e| !e.endpoints.is_empty())
        });
        let Some(selector) = self.object(service).and_then(|o| o.service()) else {
            return has_addresses;
        };
        let namespace = self.graph.get(service).namespace();
        let mut workloads = self.graph.selected_templates(namespace, &selector.selector);
        let has_ready = |workload| {
            let status = self
                .object(workload)
                .and_then(|o| o.workload())
                .map(|w| &w.status);
            let ready = status.and_then(|s| s.number_ready.or(s.ready_replicas));
            ready.is_some_and(|n| n > 0)
        };
        has_addresses || workloads.any(has_ready)
    }
}
