//! What objects alone show to be wrong, whether they run or are manifests: what contradicts each
//! other, and what is missing among others of its kind.

mod services;
mod templates;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::graph::{Graph, Idx};
use crate::model::Kind;
use crate::model::object::{Labels, Object, Template};
use crate::rca::{ResourceRef, reference};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// It may be meant.
    Warning,
    /// It cannot work.
    Error,
}

/// Something that objects show to be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// How bad it is.
    pub grade: Grade,
    /// Its rule, such as `service.selects_nothing`.
    pub rule: &'static str,
    /// The object that has it.
    pub resource: ResourceRef,
    /// One sentence.
    pub message: String,
    /// What it is about, apart from numbers, by which it is known again.
    #[serde(skip)]
    subject: String,
}

impl Flaw {
    fn key(&self) -> (&'static str, &ResourceRef, &str) {
        (self.rule, &self.resource, &self.subject)
    }
}

/// What is found in a state of a cluster.
pub(super) fn review(graph: &Graph) -> Vec<Flaw> {
    let mut review = Review {
        graph,
        flaws: Vec::new(),
    };
    for (idx, node) in graph.iter().filter(|(_, node)| node.is_live()) {
        let Some(object) = node.object.as_deref() else {
            continue;
        };
        if object.service().is_some() {
            review.service(idx, object);
        }
        if let Some(template) = template(object) {
            review.template(idx, object, template);
        }
    }
    review.flaws
}

/// The flaws that an earlier state does not have, those that cannot work first.
pub(super) fn new(earlier: &[Flaw], mut now: Vec<Flaw>) -> Vec<Flaw> {
    let without_uid = |flaw: &Flaw| Flaw {
        resource: ResourceRef {
            uid: None,
            ..flaw.resource.clone()
        },
        ..flaw.clone()
    };
    let earlier: Vec<Flaw> = earlier.iter().map(without_uid).collect();
    let known: BTreeSet<_> = earlier.iter().map(Flaw::key).collect();
    now.retain(|flaw| !known.contains(&without_uid(flaw).key()));
    now.sort_by(|a, b| b.grade.cmp(&a.grade).then_with(|| a.key().cmp(&b.key())));
    now
}

struct Review<'a> {
    graph: &'a Graph,
    flaws: Vec<Flaw>,
}

impl Review<'_> {
    fn add(&mut self, idx: Idx, rule: &'static str, grade: Grade, subject: &str, message: String) {
        self.flaws.push(Flaw {
            grade,
            rule,
            resource: reference(self.graph, idx),
            message,
            subject: subject.to_owned(),
        });
    }

    /// ``Deployment `web` ``
    fn title(&self, idx: Idx) -> String {
        let node = self.graph.get(idx);
        format!("{} `{}`", node.kind(), node.name())
    }

    /// What makes pods in a namespace, with their labels; pods that something makes are left out.
    fn makers(&self, namespace: &str) -> Vec<Maker<'_>> {
        let live = self.graph.iter().filter(|(_, node)| node.is_live());
        let of_namespace = live.filter(|(_, node)| node.namespace() == namespace);
        let makers = of_namespace.filter_map(|(idx, node)| {
            let object = node.object.as_deref()?;
            if !object.meta.owners.is_empty() {
                return None;
            }
            if let Some(pod) = object.pod() {
                let spec = pod.spec.as_deref()?;
                return Some(Maker {
                    idx,
                    labels: &object.meta.labels,
                    spec,
                    replicas: None,
                });
            }
            let template = template(object)?;
            Some(Maker {
                idx,
                labels: &template.metadata.labels,
                spec: &template.spec,
                replicas: object.workload().and_then(|w| w.spec.replicas),
            })
        });
        makers.collect()
    }

    /// How bad it is that an object is missing among those of its kind and namespace: what was there
    /// before is gone, what a cluster does not list does not exist, and beside manifests it may be
    /// in the cluster. `None` if it is there, or nothing of its kind is known.
    fn lacks(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Grade> {
        let found = self.graph.find(kind.clone(), namespace, name);
        let found = found.map(|idx| self.graph.get(idx));
        if found.is_some_and(|node| node.is_live() && node.object.is_some()) {
            return None;
        }
        let was_there = found.is_some_and(|node| node.closed.is_some());
        let of_kind = self.graph.of_kind(kind).map(|idx| self.graph.get(idx));
        let listed: Vec<&Object> = of_kind
            .filter(|node| node.is_live() && node.namespace() == namespace)
            .filter_map(|node| node.object.as_deref())
            .collect();
        let is_of_cluster = listed.iter().any(|object| object.meta.uid.is_some());
        if was_there || is_of_cluster {
            return Some(Grade::Error);
        }
        (!listed.is_empty()).then_some(Grade::Warning)
    }
}

struct Maker<'a> {
    idx: Idx,
    labels: &'a Labels,
    spec: &'a crate::model::object::PodSpec,
    replicas: Option<i64>,
}

fn template(object: &Object) -> Option<&Template> {
    let of_workload = object.workload().and_then(|w| w.spec.template.as_deref());
    of_workload.or_else(|| object.job().and_then(|job| job.spec.template.as_deref()))
}
