//! What objects alone show to be wrong, whether they run or are manifests: what contradicts each
//! other, and what is missing among others of its kind.

mod index;
mod services;
mod templates;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::graph::{Graph, Idx};
use crate::model::Kind;
use crate::model::object::{Object, Template};
use crate::rca::{ResourceRef, reference};
use index::Index;

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
    let index = Index::of(graph);
    let mut review = Review {
        graph,
        index: &index,
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
    index: &'a Index<'a>,
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
        let listed = self.index.listed(kind, namespace);
        let is_of_cluster = listed.is_some_and(|listed| listed.is_of_cluster);
        let is_error = (was_there || is_of_cluster) && !self.is_made(namespace, name);
        if is_error {
            return Some(Grade::Error);
        }
        (was_there || listed.is_some()).then_some(Grade::Warning)
    }

    /// Whether a custom resource has a name, or a field with it: it may make an object so called, as
    /// an `ExternalSecret`, a `SealedSecret` or a `Certificate` does.
    fn is_made(&self, namespace: &str, name: &str) -> bool {
        let text = serde_json::Value::from(name).to_string();
        self.index.customs(namespace).iter().any(|idx| {
            let node = self.graph.get(*idx);
            let fields = node.object.iter().flat_map(|object| object.fields.leaves());
            node.name() == name || fields.into_iter().any(|(_, value)| value == text)
        })
    }
}

fn template(object: &Object) -> Option<&Template> {
    let of_workload = object.workload().and_then(|w| w.spec.template.as_deref());
    of_workload.or_else(|| object.job().and_then(|job| job.spec.template.as_deref()))
}
