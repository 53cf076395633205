//! Components: the workload, node, namespace or external host that a resource belongs to, as a
//! person would name it.

use std::fmt;

use super::workload_name::{
    claim_workload, cron_job_of, deployment_of, pod_workload, static_pod_host,
};
use super::{Graph, Idx, Relation};
use crate::model::object::Object;
use crate::model::{Kind, Str};

/// The kind of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComponentKind {
    /// A workload with everything that it owns or that only it uses.
    App,
    /// A node with its kubelet, runtime, proxy and control-plane processes.
    Node,
    /// A namespace with its quotas and limits.
    Namespace,
    /// The cluster itself, such as its scheduler or a storage class.
    Cluster,
    /// A host outside the cluster.
    External,
}

/// A component, identified within its cluster by kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Component {
    /// Its kind.
    pub kind: ComponentKind,
    /// Namespace of an app; empty otherwise.
    pub namespace: Str,
    /// Its name, without the kind.
    pub name: Str,
}

impl Component {
    /// The workload of a namespace.
    pub fn app(namespace: &str, name: &str) -> Self {
        Self {
            kind: ComponentKind::App,
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// A component outside namespaces.
    pub fn of(kind: ComponentKind, name: &str) -> Self {
        Self {
            kind,
            namespace: Str::default(),
            name: name.into(),
        }
    }

    /// The component with its namespace, such as `shop/app/cart` or `/node/n1`: unique within a
    /// cluster, unlike the text that people read.
    pub fn key(&self) -> String {
        component_key(&self.namespace, &self.to_string())
    }
}

/// See [`Component::key`]; `component` is its text, such as `app/cart`.
pub fn component_key(namespace: &str, component: &str) -> String {
    format!("{namespace}/{component}")
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ComponentKind::App => "app",
            ComponentKind::Node => "node",
            ComponentKind::Namespace => "namespace",
            ComponentKind::Cluster => "cluster",
            ComponentKind::External => "external",
        };
        write!(f, "{kind}/{}", self.name)
    }
}

/// Whether a kind is the custom one of this name.
fn is_named(kind: &Kind, name: &str) -> bool {
    matches!(kind, Kind::Other(other) if &**other == name)
}

impl Graph {
    /// The component of a resource.
    pub fn component(&self, idx: Idx) -> Component {
        self.component_within(idx, 8)
    }

    fn component_within(&self, idx: Idx, depth: usize) -> Component {
        let node = self.get(idx);
        let (namespace, name) = (node.namespace(), node.name());
        let app = |name: &str| Component::app(namespace, name);
        if depth == 0 {
            return app(name);
        }
        match node.kind() {
            Kind::Node => Component::of(ComponentKind::Node, name),
            Kind::Namespace => Component::of(ComponentKind::Namespace, name),
            Kind::ResourceQuota | Kind::LimitRange => {
                Component::of(ComponentKind::Namespace, namespace)
            }
            Kind::External => Component::of(ComponentKind::External, name),
            Kind::StorageClass | Kind::IngressClass | Kind::PriorityClass | Kind::RuntimeClass => {
                Component::of(ComponentKind::Cluster, name)
            }
            Kind::Lease if namespace == "kube-node-lease" => {
                Component::of(ComponentKind::Node, name)
            }
            Kind::Pod | Kind::ReplicaSet | Kind::Job => self.owned(idx, depth),
            Kind::Service => self.of_service(idx, depth),
            Kind::Endpoints | Kind::EndpointSlice => self
                .first_target(idx, Relation::Uses, depth)
                .unwrap_or_else(|| app(name)),
            Kind::HorizontalPodAutoscaler => self
                .first_target(idx, Relation::Scales, depth)
                .unwrap_or_else(|| app(name)),
            kind if *kind == Kind::Ingress || is_named(kind, "VirtualService") => self
                .only(
                    self.out(idx)
                        .filter(|(r, i)| *r == Relation::Routes && self.get(*i).is_live())
                        .map(|(_, i)| i),
                    depth,
                )
                .unwrap_or_else(|| app(name)),
            Kind::PersistentVolume => self
                .users(idx, depth)
                .unwrap_or_else(|| Component::of(ComponentKind::Cluster, name)),
            Kind::PersistentVolumeClaim => self
                .users(idx, depth)
                .unwrap_or_else(|| app(claim_workload(name))),
            Kind::ConfigMap | Kind::Secret | Kind::ServiceAccount => {
                self.users(idx, depth).unwrap_or_else(|| app(name))
            }
            // Longhorn, Cilium and CSI have an object of their own for each node.
            Kind::Other(kind) if kind.contains("Node") && self.is_node(name) => {
                Component::of(ComponentKind::Node, name)
            }
            Kind::PodDisruptionBudget => self.of_budget(idx, depth).unwrap_or_else(|| app(name)),
            Kind::Other(kind) if &**kind == "ScaledObject" => self
                .first_target(idx, Relation::Scales, depth)
                .unwrap_or_else(|| app(name)),
            Kind::Other(kind) if &**kind == "Cluster" && node.object.is_none() => {
                Component::of(ComponentKind::Cluster, name)
            }
            Kind::Other(_) => self.of_custom(idx, depth).unwrap_or_else(|| app(name)),
            _ => app(name),
        }
    }

    /// Follows owner references, else the names that controllers give to pods.
    fn owned(&self, idx: Idx, depth: usize) -> Component {
        let node = self.get(idx);
        if let Some(owner) = self
            .incoming(idx)
            .filter(|(r, _)| *r == Relation::Controls)
            .map(|(_, o)| o)
            .min()
        {
            return self.component_within(owner, depth - 1);
        }
        let name = node.name();
        if let Some(host) = static_pod_host(node.namespace(), name) {
            return Component::of(ComponentKind::Node, host);
        }
        let workload = match node.kind() {
            Kind::ReplicaSet => deployment_of(name),
            Kind::Job => cron_job_of(name),
            _ => pod_workload(name, node.labels().get("pod-template-hash")),
        };
        Component::app(node.namespace(), workload)
    }

    /// A Service belongs to the workload that it selects. One that selects nothing belongs to the
    /// workload of its name, else to the one with the most similar labels; one that selects several
    /// is a component of its own.
    fn of_service(&self, idx: Idx, depth: usize) -> Component {
        let node = self.get(idx);
        let own = Component::app(node.namespace(), node.name());
        let Some(service) = node.object.as_deref().and_then(Object::service) else {
            return own;
        };
        let pods = self
            .out(idx)
            .filter(|(r, _)| *r == Relation::Selects)
            .map(|(_, i)| i)
            .filter(|i| self.get(*i).is_live());
        let templates = self.selected_templates(node.namespace(), &service.selector);
        let mut all: Vec<Component> = pods
            .chain(templates)
            .map(|i| self.component_within(i, depth - 1))
            .collect();
        all.sort();
        all.dedup();
        match all.len() {
            1 => all.remove(0),
            0 => self.nearest_workload(idx, depth).unwrap_or(own),
            _ => own,
        }
    }

    fn nearest_workload(&self, service: Idx, depth: usize) -> Option<Component> {
        let node = self.get(service);
        let namespace = node.namespace();
        for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet] {
            if self.find_live(kind, namespace, node.name()).is_some() {
                return Some(Component::app(namespace, node.name()));
            }
        }
        let selector = &node.object.as_deref().and_then(Object::service)?.selector;
        let values: Vec<&str> = selector.iter().map(|(_, v)| v).collect();
        let scored = self.workloads(namespace).filter_map(|w| {
            let labels = self.template_labels(w)?;
            let same = selector
                .iter()
                .filter(|(k, v)| labels.get(k) == Some(v))
                .count()
                * 2
                + labels.iter().filter(|(_, v)| values.contains(v)).count();
            (same > 0).then_some((same, std::cmp::Reverse(self.get(w).name().to_owned()), w))
        });
        scored
            .max()
            .map(|(.., w)| self.component_within(w, depth - 1))
    }

    /// The labels of the pods that a workload creates.
    pub fn template_labels(&self, workload: Idx) -> Option<&crate::model::object::Labels> {
        self.get(workload)
            .object
            .as_deref()
            .and_then(super::members::template_labels)
    }

    /// The component of a custom object: that of its owner, or of the only user of the Secret that
    /// it writes.
    fn of_custom(&self, idx: Idx, depth: usize) -> Option<Component> {
        // What runs pods is a component of its own, however many objects an operator makes of it.
        let runs_pods = self.out(idx).any(|(r, i)| {
            let kind = self.get(i).kind();
            r == Relation::Controls && (*kind == Kind::Pod || kind.is_workload())
        });
        if runs_pods {
            return None;
        }
        let owner = self
            .incoming(idx)
            .find(|(r, owner)| *r == Relation::Controls && self.get(*owner).object.is_some());
        if let Some((_, owner)) = owner {
            return Some(self.component_within(owner, depth - 1));
        }
        let routed = self
            .out(idx)
            .filter(|(r, i)| *r == Relation::Routes && self.get(*i).is_live())
            .map(|(_, i)| i)
            // Not on to other custom objects: what many refer to one another would be visited once
            // for each path.
            .filter(|i| !self.is_custom(*i));
        if let Some(routed) = self.only(routed, depth) {
            return Some(routed);
        }
        let written = self
            .out(idx)
            .find(|(r, i)| *r == Relation::Controls && *self.get(*i).kind() == Kind::Secret);
        self.users(written?.1, depth)
    }

    fn is_node(&self, name: &str) -> bool {
        self.find_live(Kind::Node, "", name).is_some()
    }

    /// The only component whose pods a disruption budget protects.
    fn of_budget(&self, idx: Idx, depth: usize) -> Option<Component> {
        let budget = self.get(idx).object.as_deref()?.budget()?;
        let labels = &budget.selector.match_labels;
        let protected = self.selected_templates(self.get(idx).namespace(), labels);
        self.only(protected.filter(|_| !labels.is_empty()), depth)
    }

    fn first_target(&self, idx: Idx, relation: Relation, depth: usize) -> Option<Component> {
        self.out(idx)
            .find(|(r, _)| *r == relation)
            .map(|(_, i)| self.component_within(i, depth - 1))
    }

    /// The only component that refers to a resource.
    fn users(&self, idx: Idx, depth: usize) -> Option<Component> {
        let users = self
            .incoming(idx)
            .filter(|(r, _)| matches!(r, Relation::Uses | Relation::Mounts | Relation::Bound))
            .map(|(_, i)| i)
            .filter(|i| !self.is_custom(*i));
        self.only(users, depth)
    }

    fn is_custom(&self, idx: Idx) -> bool {
        matches!(self.get(idx).kind(), Kind::Other(_))
    }

    fn only(&self, resources: impl Iterator<Item = Idx>, depth: usize) -> Option<Component> {
        let mut all: Vec<Component> = resources
            .take(64)
            .map(|i| self.component_within(i, depth - 1))
            .collect();
        all.sort();
        all.dedup();
        (all.len() == 1).then(|| all.remove(0))
    }
}
