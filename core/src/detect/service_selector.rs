//! Services whose selector matches no pod.

use serde_json::Value;

use super::finding::{Finding, Strength};
use super::service::is_used;
use super::text::has;
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::Kind;
use crate::model::object::{Labels, Service};

/// A Service that selects no pod although pods that were probably meant are running.
pub(super) fn selector(view: &View<'_>, idx: Idx, service: &Service, out: &mut Vec<Finding>) {
    let namespace = view.graph.get(idx).namespace();
    // The ReplicaSet of an old revision is at 0 replicas for good: no pod will come from it.
    let retired = |w: Idx| {
        let wanted = view
            .object(w)
            .and_then(|o| o.workload())
            .and_then(|w| w.spec.replicas);
        wanted == Some(0) && view.top_owner(w) != w
    };
    let has_template = view
        .graph
        .selected_templates(namespace, &service.selector)
        .any(|w| !retired(w));
    if has_template || !view.knows(&Kind::Pod, namespace) || view.has_unseen_pods(idx) {
        return;
    }
    let mut pods = view.graph.pods(namespace);
    let leaderless = pods.find_map(|pod| {
        let role = lost_role(&service.selector, view.graph.get(pod).labels())?;
        Some(leaderless(view, idx, pod, role))
    });
    if let Some(finding) = leaderless {
        out.push(finding);
        return;
    }
    let component = view.component(idx);
    let mut candidates: Vec<Idx> = view
        .graph
        .pods(namespace)
        .filter(|p| view.is_pod_healthy(*p) && view.component(*p) == component)
        .collect();
    if candidates.is_empty() {
        let nearest = view
            .graph
            .pods(namespace)
            .filter(|p| view.is_pod_healthy(*p))
            .map(|p| (likeness(&service.selector, view.graph.get(p).labels()), p))
            .filter(|(n, _)| *n > 0)
            .collect::<Vec<_>>();
        let Some(best) = nearest.iter().map(|(n, _)| *n).max() else {
            return;
        };
        candidates = nearest
            .into_iter()
            .filter(|(n, _)| *n == best)
            .map(|(_, p)| p)
            .collect();
    }
    let Some(labels) = candidates.first().map(|p| view.graph.get(*p).labels()) else {
        return;
    };
    let similar = similar_labels(&service.selector, labels);
    let pods = if candidates.len() == 1 {
        "1 similar pod has".to_owned()
    } else {
        format!("{} similar pods have", candidates.len())
    };
    let message = format!(
        "Selector `{}` of Service `{}` matches no pod; {pods} `{similar}`",
        service.selector.to_text(),
        view.graph.get(idx).name(),
    );
    let selector = selector_patch(&service.selector, labels).to_string();
    let template =
        r#"kubectl -n <namespace> patch service <name> -p '{"spec":{"selector":<keys>}}'"#;
    let fix = view.command(template, idx).fill([("keys", &*selector)]);
    let is_called = is_exposed(service) || is_used(view, idx, &component);
    let strength = if is_called {
        Strength::Proof
    } else {
        Strength::Strong
    };
    let evidence = [
        view.state_evidence(
            idx,
            format!("selector `{}` matches no pod", service.selector.to_text()),
        ),
        view.state_evidence(candidates[0], format!("labels `{}`", labels.to_text())),
    ];
    out.push(
        view.finding(FaultId::ServiceSelectorMismatch, idx, idx, strength)
            .active(is_called || is_namesake(view, idx, candidates[0]))
            .message(message)
            .with(evidence)
            .fix(fix)
            .build(),
    );
}

/// Words in the label that a member of a database gets when it leads.
const ROLES: [&str; 5] = ["master", "primary", "leader", "active", "writer"];

/// The only pair of a selector that a pod lacks, if it is one that members set themselves: which of
/// them leads is no part of their template.
fn lost_role<'a>(selector: &'a Labels, labels: &Labels) -> Option<(&'a str, &'a str)> {
    let mut lacking = selector.iter().filter(|(k, v)| labels.get(k) != Some(v));
    let (key, value) = lacking.next().filter(|_| lacking.next().is_none())?;
    let is_role = ROLES.contains(&value) || value == "true" && has(key, &ROLES);
    let has_others = selector.iter().count() > 1;
    (is_role && has_others).then_some((key, value))
}

/// A Service that leads to the member that leads, of which there is none.
fn leaderless(view: &View<'_>, idx: Idx, pod: Idx, (key, value): (&str, &str)) -> Finding {
    let owner = view.top_owner(pod);
    let message = format!(
        "No pod of {} has the label `{key}={value}`, which Service `{}` selects: none of them leads",
        view.title(owner),
        view.graph.get(idx).name()
    );
    let state = view.state_evidence(idx, format!("selects `{key}={value}`"));
    let finding = view.finding(FaultId::DependencyDown, owner, idx, Strength::Strong);
    finding.active(true).message(message).with([state]).build()
}

/// Whether a Service can be called from outside: who does so is not known.
fn is_exposed(service: &Service) -> bool {
    let kind = service.service_type.as_deref();
    matches!(kind, Some("LoadBalancer" | "NodePort"))
}

/// Whether a Service is called like the workload of a pod: it was made for it, whoever calls it.
fn is_namesake(view: &View<'_>, service: Idx, pod: Idx) -> bool {
    // Where no workload is known, its name is in that of its pods.
    &*view.component(pod).name == view.graph.get(service).name()
}

/// Whether a Service is meant to lead to a pod, although no caller is known.
pub(super) fn is_meant(view: &View<'_>, idx: Idx, service: &Service, pod: Idx) -> bool {
    is_exposed(service) || is_namesake(view, idx, pod)
}

/// How similar a pod's labels are to a selector: 4 points for each pair that they share, 2 for each
/// other pair whose value some label has, in full or up to a prefix.
fn likeness(selector: &Labels, labels: &Labels) -> usize {
    selector
        .iter()
        .map(|(k, v)| {
            if labels.get(k) == Some(v) {
                4
            } else if labels
                .iter()
                .any(|(_, w)| w == v || w.starts_with(v) || v.starts_with(w))
            {
                2
            } else {
                0
            }
        })
        .sum()
}

/// The labels of a pod that have a key or a value of the selector; without any, all but the hash of
/// its template.
fn similar_labels(selector: &Labels, labels: &Labels) -> String {
    let similar: Vec<String> = labels
        .iter()
        .filter(|(k, v)| selector.get(k).is_some() || selector.iter().any(|(_, w)| w == *v))
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    if similar.is_empty() {
        labels
            .iter()
            .filter(|(k, _)| *k != "pod-template-hash")
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>()
            .join(",")
    } else {
        similar.join(",")
    }
}

/// The members of a JSON object that turn a selector into a pod's labels. A patch merges objects,
/// so a key that the pod lacks is removed with `null`.
fn selector_patch(selector: &Labels, labels: &Labels) -> Value {
    let wanted = labels
        .iter()
        .filter(|(k, _)| !matches!(*k, "pod-template-hash" | "controller-revision-hash"))
        .map(|(k, v)| (k.to_owned(), Value::from(v)));
    let removed = selector
        .iter()
        .filter(|(k, _)| labels.get(k).is_none())
        .map(|(k, _)| (k.to_owned(), Value::Null));
    wanted.chain(removed).collect()
}
