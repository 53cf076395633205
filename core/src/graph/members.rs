//! Indexes of live resources by namespace, kind and label.

use super::{Graph, Idx, Map};
use crate::model::object::{Labels, Object};
use crate::model::{Kind, Str};

/// Resources in the order of their indexes. New ones mostly go to the end, so that keeping the
/// order is cheap.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorted(Vec<Idx>);

impl Sorted {
    fn insert(&mut self, idx: Idx) {
        if let Err(at) = self.0.binary_search(&idx) {
            self.0.insert(at, idx);
        }
    }

    fn remove(&mut self, idx: Idx) {
        if let Ok(at) = self.0.binary_search(&idx) {
            self.0.remove(at);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Idx> + '_ {
        self.0.iter().copied()
    }
}

/// Resources by each of their labels.
#[derive(Clone, Debug, Default)]
struct ByLabel(Map<(Str, Str), Sorted>);

impl ByLabel {
    fn insert<'a>(&mut self, pairs: impl IntoIterator<Item = &'a (Str, Str)>, idx: Idx) {
        for pair in pairs {
            if let Some(known) = self.0.get_mut(pair) {
                known.insert(idx);
            } else {
                self.0.insert(pair.clone(), Sorted(vec![idx]));
            }
        }
    }

    fn remove<'a>(&mut self, pairs: impl IntoIterator<Item = &'a (Str, Str)>, idx: Idx) {
        for pair in pairs {
            if let Some(known) = self.0.get_mut(pair) {
                known.remove(idx);
                if known.0.is_empty() {
                    self.0.remove(pair);
                }
            }
        }
    }

    fn get(&self, pair: &(Str, Str)) -> &[Idx] {
        self.0.get(pair).map(|s| &*s.0).unwrap_or_default()
    }

    /// Resources with the rarest label of a selector; the caller has to check the other labels.
    fn rarest(&self, selector: &Labels) -> &[Idx] {
        selector
            .0
            .iter()
            .map(|pair| self.get(pair))
            .min_by_key(|found| found.len())
            .unwrap_or_default()
    }
}

/// Of how many kinds and namespaces it is remembered that state was received. Of others it is
/// assumed that it was not.
const MAX_KNOWN: usize = 100_000;
/// Of how many namespaces it is remembered that they held something.
const MAX_NAMESPACES: usize = 10_000;

/// The live resources of a namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    pub(super) pods: Sorted,
    pub(super) services: Sorted,
    pub(super) workloads: Sorted,
    pub(super) policies: Sorted,
    pub(super) quotas: Sorted,
    pub(super) claims: Sorted,
    pub(super) hpas: Sorted,
    /// Pods by their labels.
    labelled: ByLabel,
    /// Workloads by the labels of their pods.
    templates: ByLabel,
    /// Services by the first label of their selector.
    selecting: ByLabel,
}

impl Members {
    /// Whether nothing is listed any more.
    fn are_none(&self) -> bool {
        let lists = [
            &self.pods,
            &self.services,
            &self.workloads,
            &self.policies,
            &self.quotas,
            &self.claims,
            &self.hpas,
        ];
        let labels = [&self.labelled, &self.templates, &self.selecting];
        lists.iter().all(|list| list.0.is_empty()) && labels.iter().all(|all| all.0.is_empty())
    }

    fn of_kind(&mut self, kind: &Kind) -> Option<&mut Sorted> {
        Some(match kind {
            Kind::Pod => &mut self.pods,
            Kind::Service => &mut self.services,
            Kind::NetworkPolicy => &mut self.policies,
            Kind::Other(kind) if &**kind == "CiliumNetworkPolicy" => &mut self.policies,
            Kind::ResourceQuota => &mut self.quotas,
            Kind::PersistentVolumeClaim => &mut self.claims,
            Kind::HorizontalPodAutoscaler => &mut self.hpas,
            kind if kind.is_workload() => &mut self.workloads,
            _ => return None,
        })
    }

    /// The label index that an object belongs to, and the labels under which it is listed.
    fn labels<'a>(&mut self, object: &'a Object) -> Option<(&mut ByLabel, &'a [(Str, Str)])> {
        if object.pod().is_some() {
            return Some((&mut self.labelled, &object.meta.labels.0));
        }
        if let Some(service) = object.service() {
            return Some((
                &mut self.selecting,
                service.selector.0.get(..1).unwrap_or_default(),
            ));
        }
        template_labels(object).map(|labels| (&mut self.templates, &*labels.0))
    }
}

/// The labels of the pods that an object creates.
pub(super) fn template_labels(object: &Object) -> Option<&Labels> {
    let template = object
        .workload()
        .and_then(|w| w.spec.template.as_ref())
        .or_else(|| object.job().and_then(|j| j.spec.template.as_ref()))?;
    Some(&template.metadata.labels)
}

impl Graph {
    /// Adds a live resource to the indexes.
    pub(super) fn enlist(&mut self, idx: Idx) {
        let node = &self.nodes[idx.0 as usize];
        let (kind, namespace) = (&node.alias.kind, &node.alias.namespace);
        if is_searched(kind) {
            self.kinds.entry(kind.clone()).or_default().insert(idx);
        }
        if self.known.len() < MAX_KNOWN && !self.known.contains(&(kind.clone(), namespace.clone()))
        {
            self.known.insert((kind.clone(), namespace.clone()));
        }
        let members = self.members.entry(namespace.clone()).or_default();
        if let Some(list) = members.of_kind(kind) {
            list.insert(idx);
        }
        if let Some((index, pairs)) = node.object.as_deref().and_then(|o| members.labels(o)) {
            index.insert(pairs, idx);
        }
    }

    /// Removes a resource from the indexes; must be called before it ends or its labels change.
    pub(super) fn delist(&mut self, idx: Idx) {
        let node = &self.nodes[idx.0 as usize];
        if let Some(list) = self.kinds.get_mut(&node.alias.kind) {
            list.remove(idx);
        }
        let Some(members) = self.members.get_mut(&node.alias.namespace) else {
            return;
        };
        if let Some(list) = members.of_kind(&node.alias.kind) {
            list.remove(idx);
        }
        if let Some((index, pairs)) = node.object.as_deref().and_then(|o| members.labels(o)) {
            index.remove(pairs, idx);
        }
        // Of the first ones it is remembered that they held something.
        if self.members.len() > MAX_NAMESPACES
            && let Some(members) = self.members.get(&node.alias.namespace)
            && members.are_none()
        {
            self.members.remove(&node.alias.namespace);
        }
    }

    /// Live pods of a namespace that match a selector; an empty selector matches none.
    pub(super) fn selected(
        &self,
        namespace: &str,
        selector: &Labels,
    ) -> impl Iterator<Item = Idx> + '_ {
        let selector = selector.clone();
        let candidates = self
            .members
            .get(namespace)
            .map(|m| m.labelled.rarest(&selector))
            .unwrap_or_default();
        candidates.iter().copied().filter(move |i| {
            self.get(*i).is_live() && self.get(*i).labels().contains_all(&selector)
        })
    }

    /// Live workloads of a namespace whose pods match a selector.
    pub fn selected_templates(
        &self,
        namespace: &str,
        selector: &Labels,
    ) -> impl Iterator<Item = Idx> + '_ {
        let selector = selector.clone();
        let candidates = self
            .members
            .get(namespace)
            .map(|m| m.templates.rarest(&selector))
            .unwrap_or_default();
        candidates.iter().copied().filter(move |i| {
            self.get(*i).is_live()
                && self
                    .template_labels(*i)
                    .is_some_and(|labels| labels.contains_all(&selector))
        })
    }

    /// Live Services of a namespace that select pods with these labels.
    pub fn selecting(&self, namespace: &str, labels: &Labels) -> Vec<Idx> {
        let Some(members) = self.members.get(namespace) else {
            return Vec::new();
        };
        let candidates = labels
            .0
            .iter()
            .flat_map(|pair| members.selecting.get(pair).iter().copied());
        let selects = |service: &Idx| {
            let selector = self
                .get(*service)
                .object
                .as_deref()
                .and_then(Object::service)
                .map(|s| &s.selector);
            self.get(*service).is_live() && selector.is_some_and(|s| labels.contains_all(s))
        };
        candidates.filter(selects).collect()
    }
}

/// Whether resources of a kind are searched across namespaces. Kinds with about as many resources
/// as there are pods are not.
fn is_searched(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::Pod | Kind::ReplicaSet | Kind::Endpoints | Kind::EndpointSlice
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;
    use crate::model::object::{Fields, Meta, ObjectBody, Origin};

    #[test]
    fn namespaces_that_come_and_go_are_forgotten_beyond_the_maximum() {
        let mut graph = Graph::default();
        for i in 0..MAX_NAMESPACES + 100 {
            let meta = Meta {
                kind: Kind::Pod,
                uid: Some(format!("u{i}").into()),
                namespace: format!("n{i}").into(),
                name: "p".into(),
                created: None,
                deleting: None,
                version: None,
                generation: None,
                labels: Labels::default(),
                owners: [].into(),
            };
            let body = ObjectBody::Opaque;
            let object = Object {
                meta: meta.clone(),
                body,
                fields: Fields::default(),
                origin: Origin::default(),
            };
            graph.upsert(Time(i as i64 * 10), Box::new(object));
            graph.delete(Time(i as i64 * 10 + 1), &meta);
        }
        assert!(
            graph.members.len() <= MAX_NAMESPACES,
            "{}",
            graph.members.len()
        );
        assert!(graph.knows_namespace("n0"));
    }
}
