//! `StatefulSet`s whose pods have no names of their own.

use super::finding::{Finding, Strength};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::{Kind, Severity};

/// Reports a StatefulSet whose `serviceName` is that of no Service: then the names of its pods do
/// not resolve. It matters where a program uses them.
pub(super) fn governing_service(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let node = view.graph.get(idx);
    let workload = view.object(idx).and_then(|o| o.workload());
    let wanted = workload.and_then(|w| w.spec.service_name.as_deref());
    let Some(wanted) = wanted.filter(|name| !name.is_empty() && view.exists(idx)) else {
        return;
    };
    let namespace = node.namespace();
    let is_known = view.knows(&Kind::Service, namespace);
    let found = view.graph.find_live(Kind::Service, namespace, wanted);
    if found.is_some() || !is_known {
        return;
    }
    let name_of_pod = format!("{}-0.{wanted}", node.name());
    let start = format!("{}-", node.name());
    let uses = |text: &str| {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.')))
            .any(|word| word.starts_with(&start) && word.contains(&format!(".{wanted}")))
    };
    let mut lines = view.episodes.logs.iter().filter(|(_, log)| {
        log.severity >= Severity::Warning && uses(&log.sample) && !log.trouble().is_empty()
    });
    let Some((writer, log)) = lines.next() else {
        return;
    };
    let message = format!(
        "{} has serviceName `{wanted}`, which no Service in namespace `{namespace}` has: names \
         such as `{name_of_pod}` do not resolve",
        view.title(idx)
    );
    out.push(
        view.finding(
            FaultId::ServiceNameUnresolved,
            idx,
            *writer,
            Strength::Proof,
        )
        .active(true)
        .message(message)
        .with([
            view.state_evidence(idx, format!("serviceName is `{wanted}`")),
            view.log_evidence(*writer, log),
        ])
        .build(),
    );
}
