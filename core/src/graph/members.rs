//! What lives in a namespace, found by kind and by label without looking at everything.

use super::{Graph, Idx, Map};
use crate::model::object::{Labels, Object};
use crate::model::{Kind, Str};

/// Resources in the order of their indexes: most are appended, so that keeping the order costs
/// nothing.
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

/// Resources by each label that counts for selection.
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
        self.0.get(pair).map_or(&[], |s| &s.0)
    }

    /// Those that carry the rarest pair of a selector: whether they carry the others is for the
    /// caller to see.
    fn rarest(&self, selector: &Labels) -> &[Idx] {
        selector
            .0
            .iter()
            .map(|pair| self.get(pair))
            .min_by_key(|found| found.len())
            .unwrap_or(&[])
    }
}

/// What of a namespace takes part in selection.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    pub(super) pods: Sorted,
    pub(super) services: Sorted,
    pub(super) workloads: Sorted,
    pub(super) policies: Sorted,
    pub(super) quotas: Sorted,
    pub(super) claims: Sorted,
    pub(super) hpas: Sorted,
    labelled: ByLabel,
    templates: ByLabel,
    /// Services by the first pair of their selector.
    selecting: ByLabel,
}

impl Members {
    fn of_kind(&mut self, kind: &Kind) -> Option<&mut Sorted> {
        Some(match kind {
            Kind::Pod => &mut self.pods,
            Kind::Service => &mut self.services,
            Kind::NetworkPolicy => &mut self.policies,
            Kind::ResourceQuota => &mut self.quotas,
            Kind::PersistentVolumeClaim => &mut self.claims,
            Kind::HorizontalPodAutoscaler => &mut self.hpas,
            kind if kind.is_workload() => &mut self.workloads,
            _ => return None,
        })
    }

    /// The index by label that an object belongs to, and its pairs there.
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

/// Labels of the pods that an object makes.
pub(super) fn template_labels(object: &Object) -> Option<&Labels> {
    let template = object
        .workload()
        .and_then(|w| w.spec.template.as_ref())
        .or_else(|| object.job().and_then(|j| j.spec.template.as_ref()))?;
    Some(&template.metadata.labels)
}

impl Graph {
    /// Enters a resource that lives among those of its kind and namespace.
    pub(super) fn enlist(&mut self, idx: Idx) {
        let node = &self.nodes[idx.0 as usize];
        let (kind, namespace) = (&node.alias.kind, &node.alias.namespace);
        if is_searched(kind) {
            self.kinds.entry(kind.clone()).or_default().insert(idx);
        }
        if !self.known.contains(&(kind.clone(), namespace.clone())) {
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

    /// Takes a resource out of the lists, before it ends or its labels change.
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
    }

    /// Live pods of a namespace that a selector selects; an empty one selects none.
    pub(super) fn selected(
        &self,
        namespace: &str,
        selector: &Labels,
    ) -> impl Iterator<Item = Idx> + '_ {
        let selector = selector.clone();
        let candidates = self
            .members
            .get(namespace)
            .map_or(&[][..], |m| m.labelled.rarest(&selector));
        candidates.iter().copied().filter(move |i| {
            self.get(*i).is_live() && self.get(*i).labels().contains_all(&selector)
        })
    }

    /// Live controllers of a namespace whose pods a selector selects.
    pub fn selected_templates(
        &self,
        namespace: &str,
        selector: &Labels,
    ) -> impl Iterator<Item = Idx> + '_ {
        let selector = selector.clone();
        let candidates = self
            .members
            .get(namespace)
            .map_or(&[][..], |m| m.templates.rarest(&selector));
        candidates.iter().copied().filter(move |i| {
            self.get(*i).is_live()
                && self
                    .template_labels(*i)
                    .is_some_and(|labels| labels.contains_all(&selector))
        })
    }

    /// Live Services of a namespace that select something with these labels.
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

/// Kinds that namespaces list are not listed again; leases and endpoints are as many as pods and
/// never searched.
fn is_searched(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::Pod | Kind::ReplicaSet | Kind::Endpoints | Kind::EndpointSlice
    )
}
