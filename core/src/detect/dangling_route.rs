//! Routes of custom kinds that refer to what does not exist.

use super::finding::{Evidence, Finding, Strength};
use super::ingress::{has_port, port_list};
use super::verdict::is_route;
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::object::report::Reference;
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};

/// How many lines and names are evidence.
const MAX_LINES: usize = 4;

/// Reports a route, such as Gateway API's or Traefik's, that names a Service, a middleware or a
/// gateway that does not exist: its proxy serves none of it.
pub(super) fn route(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let is_custom = matches!(view.graph.get(idx).kind(), Kind::Other(_));
    if !is_custom || !view.exists(idx) || !is_route(view, idx) {
        return;
    }
    let named = view
        .graph
        .out(idx)
        .filter(|(r, _)| matches!(r, Relation::Uses | Relation::Routes))
        .map(|(_, target)| target);
    for target in named {
        let node = view.graph.get(target);
        // `auth@file` is another provider's.
        let is_outside = *node.kind() == Kind::External || node.name().contains('@');
        let is_absent = || view.is_absent(node.kind(), node.namespace(), node.name());
        if is_outside || node.object.is_some() || view.exists(target) || !is_absent() {
            continue;
        }
        let what = format!("{} `{}`, which does not exist", node.kind(), node.name());
        out.push(finding(view, idx, &what));
    }
    let report = view.object(idx).and_then(|o| o.report());
    let references = report.into_iter().flat_map(|r| r.references.iter());
    out.extend(references.filter_map(|to| {
        let what = wrong_port(view, idx, to)?;
        Some(finding(view, idx, &what))
    }));
}

/// A port that the Service of a route does not have.
fn wrong_port(view: &View<'_>, route: Idx, to: &Reference) -> Option<String> {
    let port = to.port.as_ref().filter(|_| &*to.kind == "Service")?;
    let own = view.graph.get(route).namespace();
    let namespace = to.namespace.as_deref().unwrap_or(own);
    let service = view.graph.find_live(Kind::Service, namespace, &to.name)?;
    let offered = view.object(service)?.service()?;
    let has_none = offered.ports.is_empty() || has_port(offered, port);
    (!has_none).then(|| {
        let ports = port_list(offered);
        format!(
            "port `{port}` of Service `{}`, which only has {ports}",
            to.name
        )
    })
}

/// Who misses a route: the names outside that it serves, where something is known of them, and the
/// proxies whose errors name it.
fn missed(view: &View<'_>, idx: Idx) -> Vec<Evidence> {
    let node = view.graph.get(idx);
    let report = view.object(idx).and_then(|o| o.report());
    let hosts = report.into_iter().flat_map(|r| r.hosts.iter());
    let named = hosts.filter_map(|host| {
        let outside = view.graph.find(Kind::External, "", host)?;
        Some(view.state_evidence(outside, format!("is served by {}", view.title(idx))))
    });
    let (name, namespace) = (node.name(), node.namespace());
    let is_word = |line: &str, name: &str| {
        line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .any(|word| word == name)
    };
    let lines = view.episodes.logs.iter().filter(|(writer, log)| {
        log.severity >= Severity::Error
            && view.now.0 - log.last.0 <= 15 * MINUTE
            && view.graph.get(*writer).namespace() != namespace
            && log.sample.contains(name)
            && is_word(&log.sample, name)
            && is_word(&log.sample, namespace)
    });
    let lines = lines.take(MAX_LINES);
    named
        .take(MAX_LINES)
        .chain(lines.map(|(writer, log)| view.log_evidence(*writer, log)))
        .collect()
}

fn finding(view: &View<'_>, idx: Idx, what: &str) -> Finding {
    view.finding(FaultId::ServiceRouteWrong, idx, idx, Strength::Proof)
        .active(true)
        .message(format!("{} refers to {what}", view.title(idx)))
        .with([view.state_evidence(idx, format!("spec names {what}"))])
        .with(missed(view, idx))
        .build()
}
