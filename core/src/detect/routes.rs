//! Routes of a service mesh that lead nowhere.

use std::collections::BTreeMap;

use super::caller_errors::by_host;
use super::finding::{Evidence, Finding, Strength};
use super::ingress::{has_port, port_list};
use super::service::pods_behind;
use super::text::short;
use super::{ComponentId, FaultId, View};
use crate::graph::{Idx, derive};
use crate::model::Kind;
use crate::model::object::PortRef;
use crate::model::object::mesh::{Destination, Subset};
use crate::model::time::MINUTE;
use crate::trouble;

/// How many lines are evidence.
const MAX_LINES: usize = 5;

/// Reports `VirtualService`s whose destination does not exist, and requests that a proxy could not
/// route.
pub(super) fn lost(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut unrouted = unrouted(view);
    for idx in view.graph.of_kind(&Kind::parse("VirtualService")) {
        let routes = view.object(idx).and_then(|o| o.virtual_service());
        let wrong = routes
            .filter(|_| view.exists(idx))
            .and_then(|r| r.destinations.iter().find_map(|to| lacks(view, idx, to)));
        let Some(lacking) = wrong else { continue };
        let name = view.graph.get(idx).name();
        let fix = view.command("kubectl -n <namespace> edit virtualservice <name>", idx);
        out.push(
            view.finding(FaultId::ServiceRouteWrong, idx, idx, Strength::Proof)
                .active(true)
                .message(format!("VirtualService `{name}` routes to {lacking}"))
                .with([view.state_evidence(idx, format!("destination is {lacking}"))])
                .with(
                    unrouted
                        .remove(&view.component_id(idx))
                        .map(|r| r.evidence)
                        .unwrap_or_default(),
                )
                .fix(fix)
                .build(),
        );
    }
    for requests in unrouted.into_values() {
        let name = view.graph.get(requests.service).name();
        out.push(
            view.finding(
                FaultId::ServiceRouteWrong,
                requests.service,
                requests.proxy,
                Strength::Strong,
            )
            .active(true)
            .message(format!(
                "The proxy of {} has no destination for requests to `{name}`: {}",
                view.title(view.top_owner(requests.proxy)),
                short(requests.line, 160)
            ))
            .with(requests.evidence)
            .build(),
        );
    }
}

/// Requests to a Service that proxies could not route.
struct Unrouted<'a> {
    service: Idx,
    proxy: Idx,
    line: &'a str,
    evidence: Vec<Evidence>,
}

/// The requests of the last 15 minutes that a proxy could not route, by the component they meant.
fn unrouted<'a>(view: &View<'a>) -> BTreeMap<ComponentId, Unrouted<'a>> {
    let mut all: BTreeMap<ComponentId, Unrouted<'a>> = BTreeMap::new();
    for (proxy, log) in &view.episodes.logs {
        if view.now.0 - log.last.0 > 15 * MINUTE || !trouble::is_unrouted(&log.sample) {
            continue;
        }
        let namespace = view.graph.get(*proxy).namespace();
        let hosts = trouble::host::in_text(&log.sample).into_iter();
        let service = hosts
            .filter_map(|named| by_host(view, named.host, namespace))
            .find(|idx| *view.graph.get(*idx).kind() == Kind::Service);
        let Some(service) = service else { continue };
        let requests = all
            .entry(view.component_id(service))
            .or_insert_with(|| Unrouted {
                service,
                proxy: *proxy,
                line: &log.sample,
                evidence: Vec::new(),
            });
        if requests.evidence.len() < MAX_LINES {
            requests.evidence.push(view.log_evidence(*proxy, log));
        }
    }
    all
}

/// What a destination names that does not exist.
fn lacks(view: &View<'_>, route: Idx, to: &Destination) -> Option<String> {
    let namespace = view.graph.get(route).namespace();
    let alias = derive::called(&to.host, namespace);
    if alias.kind != Kind::Service {
        return None;
    }
    if view
        .graph
        .find_live(Kind::Service, &alias.namespace, &alias.name)
        .is_none()
    {
        // An entry of the mesh may define the host as well.
        let mut entries = view.graph.of_kind(&Kind::Other("ServiceEntry".into()));
        let is_absent = view.is_absent(&Kind::Service, &alias.namespace, &alias.name);
        return (is_absent && entries.next().is_none())
            .then(|| format!("host `{}`, which does not exist", to.host));
    }
    let service = view
        .graph
        .find_live(Kind::Service, &alias.namespace, &alias.name);
    if let Some(wrong) = service.and_then(|service| wrong_port(view, service, to)) {
        return Some(wrong);
    }
    let subset = to.subset.as_deref()?;
    let kind = Kind::parse("DestinationRule");
    let mut subsets: Vec<&Subset> = Vec::new();
    for rule in view.graph.of_kind(&kind) {
        let own = view.graph.get(rule).namespace();
        let object = view.object(rule).and_then(|o| o.destination_rule());
        // A rule for all hosts of a domain may define it.
        if object.is_some_and(|o| o.host.starts_with('*')) {
            return None;
        }
        if let Some(object) = object.filter(|o| derive::called(&o.host, own) == alias) {
            subsets.extend(object.subsets.iter());
        }
    }
    let defined = subsets.iter().find(|s| &*s.name == subset);
    if let Some(empty) = defined.filter(|s| selects_none(view, service, s)) {
        let labels = empty.labels.to_text();
        return Some(format!(
            "subset `{subset}` of `{}`, which has no pod with the labels `{labels}`",
            to.host
        ));
    }
    let is_known = view.knows(&kind, namespace);
    (is_known && !subsets.iter().any(|s| &*s.name == subset)).then(|| {
        let names: Vec<&str> = subsets.iter().map(|s| &*s.name).collect();
        format!(
            "subset `{subset}` of `{}`, which no DestinationRule defines (defined: {})",
            to.host,
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        )
    })
}

/// A port that the Service of a destination does not have.
fn wrong_port(view: &View<'_>, service: Idx, to: &Destination) -> Option<String> {
    let port = PortRef::Number(to.port?.number?);
    let offered = view.object(service)?.service()?;
    let fits = offered.ports.is_empty() || has_port(offered, &port);
    (!fits).then(|| {
        let ports = port_list(offered);
        format!("port `{port}` of `{}`, which only has {ports}", to.host)
    })
}

/// Whether a Service has pods, and a subset none of them.
fn selects_none(view: &View<'_>, service: Option<Idx>, subset: &Subset) -> bool {
    let pods = service.map(|service| pods_behind(view, service));
    let pods = pods.unwrap_or_default();
    let has = |pod: &Idx| {
        let labels = view.graph.get(*pod).labels();
        subset.labels.iter().all(|(k, v)| labels.get(k) == Some(v))
    };
    !pods.is_empty() && !pods.iter().any(has)
}
