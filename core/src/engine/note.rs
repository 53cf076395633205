//! What a record changes on an object, noted for the history.

use std::collections::BTreeSet;

use super::ClusterState;
use crate::change::{self, ObjectChange};
use crate::graph::{Graph, Idx};
use crate::model::object::{Meta, Object};
use crate::model::{Alias, Kind, ReportedChange, Str, Subject, Time};

impl ClusterState {
    /// Notes what a version changes of the one before.
    pub(super) fn note_version(&mut self, at: Time, object: &Object) {
        let meta = &object.meta;
        let by_uid = meta.uid.as_ref().and_then(|uid| self.graph.find_uid(uid));
        let known = by_uid
            .or_else(|| {
                self.graph
                    .find(meta.kind.clone(), &meta.namespace, &meta.name)
            })
            .map(|idx| self.graph.get(idx))
            .filter(|node| node.object.is_some());
        let change = match known {
            Some(node) if node.updated <= at => node
                .object
                .as_deref()
                .filter(|before| self.baseline.is_some() || is_other_version(&before.meta, meta))
                .and_then(|before| {
                    let since = self.baseline.map(|_| Time::default());
                    change::compare(before, since.unwrap_or(node.updated), object, at)
                }),
            Some(_) => None,
            None => change::created(object, at, self.baseline.is_some()),
        };
        // Of two states it is not known when the second began.
        let change = change.map(|change| ObjectChange {
            at: self
                .baseline
                .filter(|_| change.by.is_none())
                .unwrap_or(change.at),
            undated: self.baseline.is_some() && change.by.is_none(),
            ..change
        });
        self.note(change);
    }

    /// Notes the end of an object that was live until now.
    pub(super) fn note_end(&mut self, idx: Idx, at: Time) {
        let node = self.graph.get(idx);
        let ended_now = node.closed == Some(at);
        let object = node.object.as_deref().filter(|_| ended_now);
        let change = object.and_then(|object| change::deleted(object, at));
        let undated = self.baseline.is_some();
        self.note(change.map(|change| ObjectChange { undated, ..change }));
    }

    /// A cluster that continues from an earlier state, without what happened until then.
    pub fn continuing(name: impl Into<Str>, mut graph: Graph, known: Time) -> Self {
        graph.begin_again();
        Self {
            name: name.into(),
            graph,
            baseline: Some(known),
            ..Self::default()
        }
    }

    /// Ends the objects that a state of the cluster does not have, although it has others of their
    /// kind and namespace.
    pub fn end_missing(&mut self, present: &BTreeSet<Alias>, at: Time) {
        let kind_and_namespace = |alias: &Alias| (alias.kind.clone(), alias.namespace.clone());
        let seen: BTreeSet<(Kind, Str)> = present.iter().map(kind_and_namespace).collect();
        let live = self.graph.iter().filter(|(_, node)| node.is_live());
        let missing = live.filter(|(_, node)| {
            seen.contains(&kind_and_namespace(&node.alias)) && !present.contains(&node.alias)
        });
        let missing: Vec<Meta> = missing
            .filter_map(|(_, node)| node.object.as_ref().map(|object| object.meta.clone()))
            .collect();
        for meta in missing {
            if let Some(idx) = self.graph.delete(at, &meta) {
                self.note_end(idx, at);
            }
        }
    }

    /// Notes a change that a tool or a person reported, of its object or of the cluster.
    pub(super) fn note_reported(&mut self, at: Time, reported: &ReportedChange) {
        let subject = reported.subject.clone().unwrap_or_else(|| Subject {
            kind: Kind::Other("Cluster".into()),
            uid: None,
            namespace: Str::default(),
            name: Str::default(),
        });
        if self.journal {
            // The row of the change belongs to a resource.
            self.graph.refer(&subject, at);
        }
        self.note(Some(change::reported(at, reported, &subject)));
    }

    /// Adds a change to the history.
    pub fn note(&mut self, change: Option<ObjectChange>) {
        let Some(change) = change else {
            return;
        };
        if self.journal {
            self.noted.push(change.clone());
        }
        self.history.add(change);
    }
}

/// Whether the API server gave both versions, and they differ: what people paste of an object is
/// not all of it.
fn is_other_version(before: &Meta, now: &Meta) -> bool {
    let differ = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a != b);
    differ(before.version, now.version)
}
