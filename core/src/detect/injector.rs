//! Injectors that are gone while the API server goes on without them: new pods lack the container
//! that they ask for, and nothing refuses them.

use std::collections::BTreeSet;

use super::finding::{Finding, Strength};
use super::text::short;
use super::webhook::cannot_answer;
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::object::report::Role;
use crate::model::object::workload::is_asked;
use crate::model::{Kind, Severity};

/// Words of the names of injectors and annotations that tell nothing apart.
const COMMON: [&str; 12] = [
    "sidecar",
    "injector",
    "injection",
    "inject",
    "webhook",
    "agent",
    "system",
    "proxy",
    "admission",
    "enabled",
    "workload",
    "mutating",
];
/// The least number of letters of a word that tells products apart.
const MIN_WORD: usize = 4;

/// Reports the Service of a webhook whose failure is ignored, where failing pods lack what they ask
/// it for.
pub(super) fn absent(view: &View<'_>, out: &mut Vec<Finding>) {
    for idx in view
        .graph
        .of_kind(&Kind::parse("MutatingWebhookConfiguration"))
    {
        let Some(report) = view.object(idx).and_then(|o| o.report()) else {
            continue;
        };
        let asked: BTreeSet<Idx> = report
            .references
            .iter()
            .filter(|to| to.role == Role::Asks)
            .filter_map(|to| {
                let namespace = to.namespace.as_deref().unwrap_or_default();
                view.graph.find_live(Kind::Service, namespace, &to.name)
            })
            .collect();
        for service in asked {
            if let Some(why) = cannot_answer(view, service) {
                out.extend(missed(view, idx, service, why));
            }
        }
    }
}

/// The failing workloads whose pods lack what an injector adds.
fn missed(view: &View<'_>, webhook: Idx, service: Idx, why: &str) -> Vec<Finding> {
    let node = view.graph.get(service);
    let own = [view.graph.get(webhook).name(), node.name()].map(words);
    let is_meant = |key: &str| {
        let asked = words(key);
        let mut own = own.iter().flatten();
        own.any(|a| asked.iter().any(|b| is_same(a, b)))
    };
    let mut found = Vec::new();
    let kinds = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
    let workloads = kinds.iter().flat_map(|kind| view.graph.of_kind(kind));
    for workload in workloads.filter(|w| view.exists(*w)) {
        let Some(key) = asks(view, workload).find(|key| is_meant(key)) else {
            continue;
        };
        let Some((pod, line)) = failing(view, workload) else {
            continue;
        };
        let message = format!(
            "{} calls Service `{}`, {why}, and its failures are ignored: {} lacks the container \
             that it asks for by `{key}`: {}",
            view.title(webhook),
            node.name(),
            view.title(workload),
            line.map(|l| short(&l.sample, 160)).unwrap_or_default()
        );
        let lacks = format!("asks by `{key}`, and has no container beside its own");
        found.push(
            view.finding(
                FaultId::AdmissionWebhookUnavailable,
                service,
                pod,
                Strength::Strong,
            )
            .active(true)
            .message(message)
            .with([
                view.state_evidence(webhook, format!("Service `{}`, {why}", node.name())),
                view.state_evidence(workload, lacks),
            ])
            .with(line.map(|l| view.log_evidence(pod, l)))
            .build(),
        );
    }
    found
}

/// The annotations and labels by which the pods of a workload ask for something.
fn asks<'a>(view: &View<'a>, workload: Idx) -> impl Iterator<Item = &'a str> {
    let template = view
        .object(workload)
        .and_then(|o| o.workload())
        .and_then(|w| w.spec.template.as_deref());
    template.into_iter().flat_map(|template| {
        let labels = template.metadata.labels.iter();
        let labelled = labels.filter(|(key, value)| is_asked(key, value));
        let annotated = template.metadata.asks.iter().map(|key| &**key);
        annotated.chain(labelled.map(|(key, _)| key))
    })
}

/// A pod of a workload that has only the containers of its template and fails, with what it says.
fn failing<'a>(view: &View<'a>, workload: Idx) -> Option<(Idx, Option<&'a LogTemplate>)> {
    let template = view.pod_spec(workload)?;
    let known: BTreeSet<&str> = template.all_containers().map(|c| &*c.name).collect();
    let is_bare = |pod: &Idx| {
        let spec = view.pod(*pod).and_then(|p| p.spec.as_deref());
        spec.is_some_and(|s| s.all_containers().all(|c| known.contains(&*c.name)))
    };
    let error = |pod: Idx| {
        view.logs(pod)
            .find(|log| log.severity >= Severity::Error && view.is_current(pod, log))
    };
    let pods = view.pods_of(workload).into_iter();
    pods.filter(is_bare)
        .map(|pod| (pod, error(pod)))
        .find(|(pod, line)| line.is_some() || view.is_pod_unhealthy(*pod))
}

/// The words of a name that tell a product from others.
fn words(name: &str) -> Vec<String> {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() >= MIN_WORD && !COMMON.contains(word))
        .map(str::to_ascii_lowercase)
        .collect()
}

/// Whether two words mean the same product: `jaeger` and `jaegertracing`.
fn is_same(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_is_that_of_the_injector_of_its_product() {
        let shares = |key: &str, service: &str| {
            let (a, b) = (words(key), words(service));
            a.iter().any(|a| b.iter().any(|b| is_same(a, b)))
        };
        assert!(shares("linkerd.io/inject", "linkerd-proxy-injector"));
        assert!(shares(
            "sidecar.jaegertracing.io/inject",
            "jaeger-operator-webhook"
        ));
        assert!(shares(
            "vault.hashicorp.com/agent-inject",
            "vault-agent-injector-svc"
        ));
        assert!(!shares(
            "vault.hashicorp.com/agent-inject",
            "consul-connect-injector"
        ));
        assert!(!shares("sidecar.istio.io/inject", "sidecar-injector"));
    }
}
