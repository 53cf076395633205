//! Two states of a cluster, as before and after a deployment: what changed, and which causes are
//! new.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Analysis, Bounds, Evidence, Input, apply};
use crate::change::ClusterChange;
use crate::engine::ClusterState;
use crate::graph::Graph;
use crate::model::{Alias, Body, Op, Str, Time};
use crate::rca::Cause;

/// What became of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether no cause is new.
    pub accepted: bool,
    /// Causes that were not there before, and whose confidence reaches the threshold.
    pub new_causes: Vec<Cause>,
    /// Causes that are no longer there, as `component fault`.
    pub gone_causes: Vec<String>,
    /// What was changed, in the order of time.
    pub changes: Vec<ClusterChange>,
    /// The answer for the state after.
    pub after: Analysis,
}

impl Evidence<'_> {
    /// Compares this state with an earlier one. Objects that the earlier one has, and this one does
    /// not although it has others of their kind, were deleted; other kinds stay as they were.
    pub fn compare(mut self, mut before: Self, name: &str) -> Comparison {
        let (options, bounds) = (self.options, Bounds::NONE);
        let mut earlier = Analysis::empty(name, options);
        before.input.finish(options);
        let known = before.input.instant;
        let mut bases = BTreeMap::new();
        // Nothing stops any of these.
        let _ = apply(&mut bases, &mut before.input, &bounds);
        let _ = earlier.conclude(&mut bases, before.input, options, &bounds);
        self.input.finish(options);
        let mut clusters = continued(bases, &self.input, known);
        let present = present(&self.input);
        let instant = self.input.instant;
        let mut after = Analysis::empty(name, options);
        let _ = apply(&mut clusters, &mut self.input, &bounds);
        for state in clusters.values_mut() {
            state.end_missing(&present, instant);
        }
        let _ = after.conclude(&mut clusters, self.input, options, &bounds);
        let changes = clusters.values().flat_map(|state| {
            let cluster = state.name.to_string();
            state.history.all().iter().map(move |change| ClusterChange {
                cluster: cluster.clone(),
                change: change.clone(),
            })
        });
        let mut changes: Vec<ClusterChange> = changes.collect();
        changes.sort_by_key(|of| of.change.at);
        conclude(&earlier, after, changes, options.weights.threshold)
    }
}

fn conclude(
    earlier: &Analysis,
    after: Analysis,
    changes: Vec<ClusterChange>,
    threshold: f64,
) -> Comparison {
    let key = |c: &Cause| {
        (
            c.namespace.clone(),
            c.component.clone(),
            c.fault_type.clone(),
        )
    };
    let keys = |analysis: &Analysis| analysis.causes.iter().map(key).collect::<BTreeSet<_>>();
    let (old, now) = (keys(earlier), keys(&after));
    let sure = earlier.causes.iter().filter(|c| c.confidence >= threshold);
    let sure: BTreeSet<_> = sure.map(key).collect();
    let is_new = |c: &&Cause| c.confidence >= threshold && !sure.contains(&key(c));
    let new_causes: Vec<Cause> = after.causes.iter().filter(is_new).cloned().collect();
    let gone = old.difference(&now);
    Comparison {
        accepted: new_causes.is_empty(),
        gone_causes: gone
            .map(|(_, component, fault)| format!("{component} {fault}"))
            .collect(),
        new_causes,
        changes,
        after,
    }
}

/// The clusters as they were, to which the records of now are applied. Two inputs that have one
/// cluster each are about the same one, whatever they call it.
fn continued(
    bases: BTreeMap<Str, ClusterState>,
    now: &Input,
    known: Time,
) -> BTreeMap<Str, ClusterState> {
    let names: BTreeSet<&Str> = now.records.iter().map(|record| &record.cluster).collect();
    let is_one = bases.len() == 1 && names.len() == 1;
    let renamed = |own: Str| match names.first() {
        Some(name) if is_one => (*name).clone(),
        _ => own,
    };
    let continued = bases.into_iter().map(|(own, state)| {
        let name = renamed(own);
        let graph: Graph = state.graph;
        (name.clone(), ClusterState::continuing(name, graph, known))
    });
    continued.collect()
}

/// The objects that an input has.
fn present(input: &Input) -> BTreeSet<Alias> {
    let states = input
        .records
        .iter()
        .filter_map(|record| match &record.body {
            Body::State(Op::Upsert, object) => Some(&object.meta),
            _ => None,
        });
    let aliases = states.map(|meta| Alias {
        kind: meta.kind.clone(),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
    });
    aliases.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::analyze::Options;
    use crate::forms::Source;

    fn state(selector: &str, extra: Option<&str>) -> String {
        let meta = |name: &str, version: &str| {
            json!({"name": name, "namespace": "shop", "uid": format!("u-{name}"),
                "resourceVersion": version, "labels": {"app": "cart"},
                "creationTimestamp": "2026-01-01T00:00:00Z"})
        };
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let mut items = vec![
            json!({"apiVersion": "v1", "kind": "Service", "metadata": meta("cart", selector),
                "spec": {"selector": {"app": selector}, "ports": [{"port": 80}]}}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta("cart-1", "1"), "spec":
                {"nodeName": "n1", "containers": [{"name": "c", "image": "a",
                "env": [{"name": "CART_URL", "value": "http://cart"}]}]},
                "status": {"phase": "Running", "conditions": ready}}),
        ];
        items.extend(extra.map(|name| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(name, "1"),
                "spec": {"type": "ExternalName"}})
        }));
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
    }

    fn evidence<'o>(options: &'o Options, text: &str) -> Evidence<'o> {
        let mut evidence = Evidence::new(options);
        let source = Source {
            path: "x.json",
            bytes: text.as_bytes(),
            taken_at: Time::parse("2026-01-02T00:00:00Z").unwrap(),
            namespace: None,
        };
        evidence.add(&source).unwrap();
        evidence
    }

    #[test]
    fn what_changed_and_what_is_gone_is_listed() {
        let options = Options {
            now: Time::parse("2026-01-02T00:00:00Z").unwrap(),
            ..Options::default()
        };
        let (old, new) = (state("cart", Some("old")), state("cart-v2", None));
        let compared = evidence(&options, &new).compare(evidence(&options, &old), "x");
        let lines: Vec<String> = compared
            .changes
            .iter()
            .flat_map(|of| {
                of.change
                    .lines()
                    .into_iter()
                    .map(|l| format!("{} {l}", of.change.name))
            })
            .collect();
        assert_eq!(
            lines,
            ["cart spec.selector.app: cart → cart-v2", "old deleted"]
        );
        let same = evidence(&options, &old).compare(evidence(&options, &old), "x");
        assert!(same.accepted && same.changes.is_empty(), "{same:?}");
    }
}
