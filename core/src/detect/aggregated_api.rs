//! An aggregated API that does not answer is the reason for what its users report.

use std::collections::BTreeSet;

use super::caller_errors::called;
use super::condition::broken_conditions;
use super::finding::{Finding, Strength};
use super::service::pods_behind;
use super::verdict::blamed_by_kind;
use super::{ComponentId, FaultId, View};
use crate::graph::Idx;
use crate::model::Kind;

/// Reports broken aggregated APIs as the cause of findings that name their group: autoscalers
/// without metrics, namespaces that cannot be deleted.
pub(super) fn users(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    let kind = Kind::Other("APIService".into());
    let broken: Vec<Idx> = view
        .graph
        .of_kind(&kind)
        .filter(|i| view.exists(*i) && !broken_conditions(view, *i).is_empty())
        .collect();
    for api in broken {
        // The name is the version and the group: `v1beta1.metrics.k8s.io`.
        let Some((_, group)) = view.graph.get(api).name().split_once('.') else {
            continue;
        };
        // A message may be cut before the name of the group.
        let server = view.component_id(blamed_by_kind(view, api));
        let explains = |f: &Finding| {
            let repeats = [
                FaultId::ControlplaneAggregatedApiUnavailable,
                FaultId::RuntimeReadinessFailing,
                FaultId::PerformanceAutoscalerNoMetrics,
            ];
            let is_reason = f.active && f.strength >= Strength::Strong;
            is_reason && !repeats.contains(&f.fault) && view.component_id(f.blamed) == server
        };
        let has_reason = found.iter().any(explains);
        let lacks = |f: &Finding| {
            let words = spoken(group).filter(|_| !has_reason);
            f.fault == FaultId::PerformanceAutoscalerNoMetrics
                && words.is_some_and(|words| f.message.contains(words))
        };
        let uses = |f: &&Finding| f.on != api && (names(&f.message, group) || lacks(f));
        for user in found.iter().filter(uses) {
            let evidence = user.evidence.iter().cloned();
            out.push(
                view.finding(
                    FaultId::ControlplaneAggregatedApiUnavailable,
                    blamed_by_kind(view, api),
                    user.on,
                    Strength::Proof,
                )
                .active(true)
                .message(format!(
                    "The aggregated API `{group}` is unavailable, which {} needs",
                    view.title(user.on)
                ))
                .with(evidence)
                .build(),
            );
        }
    }
}

/// Reports the fault of the server of an API as the cause of findings of its users: a server of
/// metrics that answers and has none, because it cannot reach where they are.
pub(super) fn servers(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    let mut reasons = Vec::new();
    let mut explained = BTreeSet::new();
    for api in view.graph.of_kind(&Kind::Other("APIService".into())) {
        let Some((_, group)) = view.graph.get(api).name().split_once('.') else {
            continue;
        };
        let server = blamed_by_kind(view, api);
        let own = view.component_id(server);
        let of = |components: &[ComponentId]| {
            let all = found.iter().chain(out.iter()).filter(|f| {
                let blamed = view.component_id(f.blamed);
                f.active && f.strength >= Strength::Fair && components.contains(&blamed)
            });
            all.max_by_key(|f| f.strength)
        };
        // An adapter that is well has no metrics when the store that it asks has none.
        let called = || {
            let pods = pods_behind(view, server).into_iter();
            let called: Vec<ComponentId> = pods
                .flat_map(|pod| called(view, pod))
                .map(|service| view.component_id(service))
                .collect();
            of(&called)
        };
        let Some(fault) = of(&[own]).or_else(called) else {
            continue;
        };
        let lacks_metrics = |f: &&Finding| {
            f.fault == FaultId::PerformanceAutoscalerNoMetrics
                && spoken(group).is_some_and(|words| f.message.contains(words))
        };
        for user in found.iter().filter(lacks_metrics) {
            if !explained.insert(user.on) {
                continue;
            }
            let evidence = fault.evidence.iter().chain(&user.evidence);
            reasons.push(Finding {
                on: user.on,
                strength: Strength::Proof,
                evidence: evidence.cloned().collect(),
                ..fault.clone()
            });
        }
    }
    out.extend(reasons);
}

/// What the autoscaler's controller calls the APIs of metrics.
fn spoken(group: &str) -> Option<&'static str> {
    match group {
        "custom.metrics.k8s.io" => Some("from custom metrics API"),
        "external.metrics.k8s.io" => Some("from external metrics API"),
        "metrics.k8s.io" => Some("from resource metrics API"),
        _ => None,
    }
}

/// Whether a text names an API group, and not another one that ends or begins with it.
fn names(text: &str, group: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    group.contains('.')
        && text.match_indices(group).any(|(at, _)| {
            let after = &text[at + group.len()..];
            !text[..at].ends_with(is_part)
                && !after
                    .trim_start_matches('.')
                    .starts_with(|c: char| c.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_group_is_named_as_a_whole() {
        let text = "unable to fetch metrics from external.metrics.k8s.io: not found";
        assert!(names(text, "external.metrics.k8s.io"));
        assert!(!names(text, "metrics.k8s.io"), "the end of another one");
        assert!(names("no metrics of metrics.k8s.io.", "metrics.k8s.io"));
        assert!(!names("a crash", "a"), "a word by chance");
    }
}
