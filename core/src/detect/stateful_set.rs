//! `StatefulSet`s whose pods have no names of their own.

use super::finding::{Finding, Strength};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::{Command, Kind, Severity};
use crate::trouble::Class;

/// Judges every StatefulSet.
pub(super) fn governing_services(view: &View<'_>, out: &mut Vec<Finding>) {
    for set in view.graph.of_kind(&Kind::StatefulSet) {
        governing_service(view, set, out);
    }
}

/// Reports a StatefulSet the names of whose pods do not resolve: its `serviceName` is that of no
/// Service, or the Service leaves out pods that are not ready, and no pod gets ready without the
/// others. It matters where a program uses the names.
fn governing_service(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let node = view.graph.get(idx);
    let workload = view.object(idx).and_then(|o| o.workload());
    let wanted = workload.and_then(|w| w.spec.service_name.as_deref());
    let Some(wanted) = wanted.filter(|name| !name.is_empty() && view.exists(idx)) else {
        return;
    };
    let namespace = node.namespace();
    let is_known = view.knows(&Kind::Service, namespace);
    let found = view.graph.find_live(Kind::Service, namespace, wanted);
    let waits = found.is_some_and(|service| leaves_out_all(view, idx, service));
    if found.is_some() && !waits || !is_known {
        return;
    }
    let name_of_pod = format!("{}-0.{wanted}", node.name());
    let start = format!("{}-", node.name());
    let uses = |text: &str| {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.')))
            .any(|word| word.starts_with(&start) && word.contains(&format!(".{wanted}")))
    };
    let mut lines = view.episodes.logs.iter().filter(|(_, log)| {
        log.severity >= Severity::Warning
            && uses(&log.sample)
            && !log.trouble().is_empty()
            && (!waits || log.trouble().has(Class::Unresolved))
    });
    let Some((writer, log)) = lines.next() else {
        return;
    };
    let (blamed, message, state) = match found {
        Some(service) => (
            service,
            format!(
                "Service `{wanted}` of {} publishes only pods that are ready, and none is: names \
                 such as `{name_of_pod}` do not resolve",
                view.title(idx)
            ),
            "publishNotReadyAddresses is not set".to_owned(),
        ),
        None => (
            idx,
            format!(
                "{} has serviceName `{wanted}`, which no Service in namespace `{namespace}` has: \
                 names such as `{name_of_pod}` do not resolve",
                view.title(idx)
            ),
            format!("serviceName is `{wanted}`"),
        ),
    };
    let patch = r#"kubectl -n <namespace> patch service <service> -p '{"spec":{"publishNotReadyAddresses":true}}'"#;
    let fix =
        found.map(|_| Command::of(patch).fill([("namespace", namespace), ("service", wanted)]));
    out.push(
        view.finding(
            FaultId::ServiceNameUnresolved,
            blamed,
            *writer,
            Strength::Proof,
        )
        .active(true)
        .message(message)
        .with([
            view.state_evidence(blamed, state),
            view.log_evidence(*writer, log),
        ])
        .fix(fix)
        .build(),
    );
}

/// Whether a Service leaves out pods that are not ready, and every pod of the set is such a one.
fn leaves_out_all(view: &View<'_>, set: Idx, service: Idx) -> bool {
    let spec = view.object(service).and_then(|o| o.service());
    let pods = view.pods_of(set);
    spec.is_some_and(|s| s.publish_not_ready_addresses != Some(true))
        && !pods.is_empty()
        && pods.iter().all(|pod| view.is_pod_unhealthy(*pod))
}
