//! The unit a person would name: the workload, node, namespace or external host a resource belongs
//! to.

use std::fmt;

use super::{Graph, Idx, Relation};
use crate::model::object::Object;
use crate::model::{Kind, Str};

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComponentKind {
    /// A workload with everything it owns or that serves it alone.
    App,
    /// A node with kubelet, runtime, proxy and control-plane processes.
    Node,
    /// A namespace with its quotas and limits.
    Namespace,
    /// What no single part of a cluster carries.
    Cluster,
    /// A host outside.
    External,
}

/// A component; identity within a cluster is kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Component {
    /// What it is.
    pub kind: ComponentKind,
    /// Namespace of an app; empty otherwise.
    pub namespace: Str,
    /// Its name.
    pub name: Str,
}

impl Component {
    /// An app of a namespace.
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
            Kind::Ingress => self
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
            Kind::Other(kind) if &**kind == "Cluster" => {
                Component::of(ComponentKind::Cluster, name)
            }
            _ => app(name),
        }
    }

    /// Follows owner references up, else the names that controllers give.
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

    /// A Service belongs to the workload it selects; one that selects nothing to the workload of
    /// its name, else to the one whose labels differ least; one that serves several is its own.
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

    /// Labels of the pods that a workload makes.
    pub fn template_labels(&self, workload: Idx) -> Option<&crate::model::object::Labels> {
        self.get(workload)
            .object
            .as_deref()
            .and_then(super::members::template_labels)
    }

    fn first_target(&self, idx: Idx, relation: Relation, depth: usize) -> Option<Component> {
        self.out(idx)
            .find(|(r, _)| *r == relation)
            .map(|(_, i)| self.component_within(i, depth - 1))
    }

    /// The component that alone refers to a resource.
    fn users(&self, idx: Idx, depth: usize) -> Option<Component> {
        let users = self
            .incoming(idx)
            .filter(|(r, _)| matches!(r, Relation::Uses | Relation::Mounts | Relation::Bound))
            .map(|(_, i)| i);
        self.only(users, depth)
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

/// Whether a text is one of the random suffixes that the API server and controllers append.
fn is_random(text: &str, len: std::ops::RangeInclusive<usize>) -> bool {
    // The alphabet of k8s.io/apimachinery rand.String: no vowels and no 0, 1, 3.
    len.contains(&text.len())
        && text
            .bytes()
            .all(|c| b"bcdfghjklmnpqrstvwxz2456789".contains(&c))
}

/// The node in the name of a static pod of the control plane, `<process>-<node>`.
fn static_pod_host<'a>(namespace: &str, pod: &'a str) -> Option<&'a str> {
    const PROCESSES: [&str; 4] = [
        "kube-apiserver-",
        "kube-controller-manager-",
        "kube-scheduler-",
        "etcd-",
    ];
    let host = PROCESSES
        .iter()
        .find_map(|p| pod.strip_prefix(p))
        .filter(|_| namespace == "kube-system")?;
    (!host.is_empty()).then_some(host)
}

/// `<deployment>` of `<deployment>-<pod-template-hash>`.
fn deployment_of(replica_set: &str) -> &str {
    match replica_set.rsplit_once('-') {
        Some((name, hash)) if is_random(hash, 6..=10) => name,
        _ => replica_set,
    }
}

/// `<cronjob>` of `<cronjob>-<minutes>`.
fn cron_job_of(job: &str) -> &str {
    match job.rsplit_once('-') {
        Some((name, time)) if time.len() >= 8 && time.bytes().all(|c| c.is_ascii_digit()) => name,
        _ => job,
    }
}

/// The workload of a claim made by a `StatefulSet` template, `<template>-<statefulset>-<n>`; else
/// the claim's name.
fn claim_workload(claim: &str) -> &str {
    match claim.rsplit_once('-') {
        Some((rest, n)) if !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()) => {
            rest.split_once('-').map_or(rest, |(_, set)| set)
        }
        _ => claim,
    }
}

/// The workload of a pod by its name, for pods whose owner nobody told.
fn pod_workload<'a>(pod: &'a str, template_hash: Option<&str>) -> &'a str {
    if let Some(at) = template_hash.and_then(|hash| pod.find(&format!("-{hash}-"))) {
        return &pod[..at];
    }
    let Some((rest, last)) = pod.rsplit_once('-') else {
        return pod;
    };
    if is_random(last, 5..=5) {
        let set = deployment_of(rest);
        return if set.len() < rest.len() {
            set
        } else {
            cron_job_of(rest)
        };
    }
    if !last.is_empty() && last.len() <= 3 && last.bytes().all(|c| c.is_ascii_digit()) {
        return rest;
    }
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_workloads() {
        for (pod, workload) in [
            ("cart-7c5f46fc47-x2v9q", "cart"),
            ("db-0", "db"),
            ("report-28391040-k8d9z", "report"),
            ("agent-x2v9q", "agent"),
            ("debug", "debug"),
            ("my-app-v2", "my-app-v2"),
        ] {
            assert_eq!(pod_workload(pod, None), workload, "{pod}");
        }
        assert_eq!(claim_workload("data-kafka-2"), "kafka");
        assert_eq!(
            static_pod_host("kube-system", "kube-scheduler-cp-1"),
            Some("cp-1")
        );
        assert_eq!(static_pod_host("shop", "etcd-0"), None);
    }
}
