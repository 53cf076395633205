//! What is looked up for each object that is reviewed, gathered once.

use std::collections::BTreeMap;

use super::template;
use crate::graph::{Graph, Idx};
use crate::model::Kind;
use crate::model::object::{Labels, PodSpec};

/// What makes pods: a workload, or a pod that nothing makes.
pub(super) struct Maker<'a> {
    pub(super) idx: Idx,
    pub(super) labels: &'a Labels,
    pub(super) spec: &'a PodSpec,
    pub(super) replicas: Option<i64>,
}

/// What is known of a kind in a namespace.
#[derive(Clone, Copy, Default)]
pub(super) struct Listed {
    /// Whether an object of it has a uid: it is from a cluster, not from a manifest.
    pub(super) is_of_cluster: bool,
}

#[derive(Default)]
pub(super) struct Index<'a> {
    makers: BTreeMap<&'a str, Vec<Maker<'a>>>,
    /// Places in the list of makers of a namespace, by a label.
    labelled: BTreeMap<(&'a str, &'a str, &'a str), Vec<usize>>,
    listed: BTreeMap<(&'a Kind, &'a str), Listed>,
    /// Namespaces that have custom resources.
    customs: BTreeMap<&'a str, Vec<Idx>>,
}

impl<'a> Index<'a> {
    pub(super) fn of(graph: &'a Graph) -> Self {
        let mut index = Self::default();
        for (idx, node) in graph.iter().filter(|(_, node)| node.is_live()) {
            let Some(object) = node.object.as_deref() else {
                continue;
            };
            let namespace = node.namespace();
            let listed = index.listed.entry((node.kind(), namespace)).or_default();
            listed.is_of_cluster |= object.meta.uid.is_some();
            if matches!(node.kind(), Kind::Other(_)) {
                index.customs.entry(namespace).or_default().push(idx);
            }
            if !object.meta.owners.is_empty() {
                continue;
            }
            let of_pod = object.pod().and_then(|pod| pod.spec.as_deref());
            let of_pod = of_pod.map(|spec| (&object.meta.labels, spec));
            let of_template = || template(object).map(|t| (&t.metadata.labels, &t.spec));
            if let Some((labels, spec)) = of_pod.or_else(of_template) {
                index.add(
                    namespace,
                    Maker {
                        idx,
                        labels,
                        spec,
                        replicas: object.workload().and_then(|w| w.spec.replicas),
                    },
                );
            }
        }
        index
    }

    fn add(&mut self, namespace: &'a str, maker: Maker<'a>) {
        let makers = self.makers.entry(namespace).or_default();
        for (key, value) in maker.labels.iter() {
            let places = self.labelled.entry((namespace, key, value)).or_default();
            places.push(makers.len());
        }
        makers.push(maker);
    }

    pub(super) fn makers(&self, namespace: &str) -> &[Maker<'a>] {
        self.makers
            .get(namespace)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The makers whose pods a selector selects.
    pub(super) fn selected(&self, namespace: &str, selector: &Labels) -> Vec<&Maker<'a>> {
        let makers = self.makers(namespace);
        let places = selector.iter().map(|(key, value)| {
            let places = self.labelled.get(&(namespace, key, value));
            places.map(Vec::as_slice).unwrap_or_default()
        });
        let fewest = places.min_by_key(|places| places.len()).unwrap_or_default();
        let candidates = fewest.iter().filter_map(|at| makers.get(*at));
        let is_selected = |maker: &&Maker<'a>| super::services::matches(selector, maker.labels);
        candidates.filter(is_selected).collect()
    }

    pub(super) fn listed(&self, kind: &Kind, namespace: &str) -> Option<Listed> {
        self.listed.get(&(kind, namespace)).copied()
    }

    /// The custom resources of a namespace.
    pub(super) fn customs(&self, namespace: &str) -> &[Idx] {
        self.customs
            .get(namespace)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}
