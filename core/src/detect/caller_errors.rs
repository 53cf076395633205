//! Errors that programs log about the servers they call: which caller, which target, what failure.

use super::View;
use super::protocol::OF_SERVERS;
use super::text::has;
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation, derive};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity, Time};
use crate::trouble::{self, Class, Classes};

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallFailure {
    /// No process listens on the port.
    Refused,
    /// The name does not resolve.
    Unresolved,
    /// No answer in time.
    TimedOut,
    /// The server answered with an error of its own, or was unavailable for another reason.
    Failed,
    /// The caller does not accept the server's certificate.
    CertificateRejected,
    /// The server speaks another protocol.
    ProtocolMismatch,
    /// The server has an incompatible version or schema.
    VersionMismatch,
}

/// An error that one caller logs about one target.
#[derive(Clone, Debug)]
pub struct CallError {
    /// The resource that wrote the line.
    pub caller: Idx,
    /// The resource that was called; `None` if no resource has the name.
    pub target: Option<Idx>,
    /// The target's name or address as it was written.
    pub name: String,
    /// The target's port, if one was written.
    pub port: Option<u16>,
    /// How the call failed.
    pub failure: CallFailure,
    /// Number of lines.
    pub count: u64,
    /// First line.
    pub first: Time,
    /// Last line.
    pub last: Time,
    /// Position of the log template in the view's logs.
    pub log: usize,
}

/// The classes of trouble that report each failure; the first that a line has counts.
const CLASSES: [(CallFailure, &[Class]); 7] = [
    (
        CallFailure::CertificateRejected,
        &[
            Class::CertificateExpired,
            Class::CertificateName,
            Class::CertificateUntrusted,
        ],
    ),
    (CallFailure::ProtocolMismatch, &[Class::ProtocolMismatch]),
    (CallFailure::VersionMismatch, &[Class::VersionMismatch]),
    (
        CallFailure::Unresolved,
        &[Class::Unresolved, Class::ResolverSilent],
    ),
    (CallFailure::Refused, &[Class::Refused, Class::NoRoute]),
    (
        CallFailure::TimedOut,
        &[Class::ConnectTimedOut, Class::TimedOut],
    ),
    (
        CallFailure::Failed,
        &[Class::Disconnected, Class::Unavailable],
    ),
];

/// How the call failed that a line with these classes reports; `None` if it reports no failed call.
pub(super) fn failure(classes: Classes) -> Option<CallFailure> {
    CLASSES
        .iter()
        .find(|(_, of)| classes.has_any(of))
        .map(|(failure, _)| *failure)
}

/// All errors about calls that were logged in the last 15 minutes, in the order of the logs.
pub fn call_errors(view: &View<'_>) -> Vec<CallError> {
    let mut all = Vec::new();
    for (i, (caller, log)) in view.episodes.logs.iter().enumerate() {
        // Balancers report a server that is down once, when it changes.
        let is_change =
            || view.now.0 - log.last.0 <= 60 * MINUTE && has(&log.sample, &["is down, reason:"]);
        let is_old = !view.is_current(*caller, log) && !is_change();
        if log.severity < Severity::Warning || is_old || has_stopped(view, *caller, log) {
            continue;
        }
        let Some(failure) = failure(log.trouble()) else {
            continue;
        };
        for target in targets(view, *caller, &log.sample, failure) {
            all.push(CallError {
                caller: *caller,
                target: target.resource,
                name: target.host,
                port: target.port,
                failure,
                count: log.count,
                first: log.first,
                last: log.last,
                log: i,
            });
        }
    }
    all
}

/// Whether a line that was repeated many times has been absent for much longer than its usual
/// interval: the error is gone.
fn has_stopped(view: &View<'_>, caller: Idx, log: &LogTemplate) -> bool {
    const MANY: u64 = 10;
    // A caller that is down logs nothing, whether the error is gone or not.
    if view.is_healthy(caller) == Some(false) {
        return false;
    }
    let interval = log.last.seconds_since(log.first) / (log.count.max(2) - 1) as f64;
    log.count >= MANY && view.now.seconds_since(log.last) > 60.0 + 10.0 * interval
}

/// A server that a line names.
struct Target {
    host: String,
    port: Option<u16>,
    resource: Option<Idx>,
}

/// The servers that a line is about: the name in a DNS error, else hosts and addresses, else
/// Services that are named in it.
fn targets(view: &View<'_>, caller: Idx, text: &str, failure: CallFailure) -> Vec<Target> {
    if failure == CallFailure::Unresolved
        && let Some(target) = from_dns_error(view, caller, text)
    {
        return vec![target];
    }
    // CoreDNS repeats the name that it was asked for; it called the next resolver.
    if has(text, &["plugin/errors: "]) {
        return next_resolver(view, caller, text).into_iter().collect();
    }
    let mut found = from_addresses(view, caller, text, failure);
    if found.iter().any(|t| t.resource.is_some()) {
        found.retain(|t| t.resource.is_some());
    }
    // The local address in `read tcp A:x->B:y` is the caller's own; another pod of its workload is
    // a peer.
    let own = view.component(caller);
    let is_peer = |r: Idx| r != caller && *view.graph.get(r).kind() == Kind::Pod;
    let is_own = |t: &Target| {
        t.resource
            .is_some_and(|r| view.component(r) == own && !is_peer(r))
    };
    found.retain(|t| !is_own(t));
    if found.is_empty() {
        found = from_service_names(view, caller, text);
    }
    if found.is_empty() {
        found.extend(from_backends(view, text));
    }
    if found.is_empty() {
        found.extend(only_called(view, caller, text, failure));
    }
    found
}

/// The resolver to which `CoreDNS` could not forward a question.
fn next_resolver(view: &View<'_>, caller: Idx, text: &str) -> Option<Target> {
    let hosts = trouble::host::in_text(text).into_iter();
    let mut resolvers = hosts.filter(|named| named.port == Some(53));
    let named = resolvers.next_back()?;
    Some(Target {
        host: named.host.to_owned(),
        port: named.port,
        resource: by_host(view, named.host, view.graph.get(caller).namespace()),
    })
}

/// The only Service that a caller has in its settings, where the line can be about no other call:
/// about what the two sides understand, or with the words of a driver of that server.
fn only_called(view: &View<'_>, caller: Idx, text: &str, failure: CallFailure) -> Option<Target> {
    let called = called(view, caller);
    let [only] = called[..] else { return None };
    let service = view.object(only)?.service()?;
    // What a server says about its callers is about none of the servers that it calls.
    let is_of_both = match failure {
        CallFailure::ProtocolMismatch => !has(text, &OF_SERVERS),
        failure => failure == CallFailure::VersionMismatch,
    };
    let is_driver = trouble::product::named(text).is_some_and(|p| {
        service
            .ports
            .iter()
            .any(|port| p.ports.contains(&port.port))
    });
    (is_of_both || is_driver).then(|| Target {
        host: view.graph.get(only).name().to_owned(),
        port: None,
        resource: Some(only),
    })
}

/// The Services that a caller is known to call, by its own settings and by its `ConfigMaps`.
pub(super) fn called(view: &View<'_>, caller: Idx) -> Vec<Idx> {
    let own = [caller, view.top_owner(caller)];
    let used = own.iter().flat_map(|idx| view.graph.out(*idx));
    let maps = used.filter(|(relation, to)| {
        matches!(relation, Relation::Uses | Relation::Mounts)
            && *view.graph.get(*to).kind() == Kind::ConfigMap
    });
    let holders: Vec<Idx> = maps.map(|(_, map)| map).chain(own).collect();
    let mut called: Vec<Idx> = holders
        .iter()
        .flat_map(|h| view.graph.out(*h))
        .filter(|(r, _)| *r == Relation::Calls)
        .map(|(_, s)| s)
        .collect();
    called.sort_unstable();
    called.dedup();
    called
}

/// The Service behind the name that a controller of Ingresses gives to its backend:
/// `shop_web_http` of `HAProxy`, `shop-web-80` of nginx and Traefik.
fn from_backends(view: &View<'_>, text: &str) -> Option<Target> {
    let ingresses = view.graph.of_kind(&Kind::Ingress);
    let routes = ingresses.flat_map(|ingress| view.graph.out(ingress));
    let mut backends = routes
        .filter(|(relation, _)| *relation == Relation::Routes)
        .map(|(_, service)| service);
    backends.find_map(|service| {
        let node = view.graph.get(service);
        let (namespace, name) = (node.namespace(), node.name());
        let names = ["_", "-"].map(|by| format!("{namespace}{by}{name}{by}"));
        names
            .iter()
            .any(|name| text.contains(name))
            .then(|| Target {
                host: name.to_owned(),
                port: None,
                resource: Some(service),
            })
    })
}

/// The name that could not be resolved.
fn from_dns_error(view: &View<'_>, caller: Idx, text: &str) -> Option<Target> {
    let is_dns = |class| matches!(class, Class::Unresolved | Class::ResolverSilent);
    let (host, port) = trouble::host_of(text, is_dns)?;
    let resource = by_host(view, &host, view.graph.get(caller).namespace());
    Some(Target {
        host,
        port,
        resource,
    })
}

/// The hosts in the text: those of resources, and those that the text states to be hosts.
fn from_addresses(view: &View<'_>, caller: Idx, text: &str, failure: CallFailure) -> Vec<Target> {
    let namespace = view.graph.get(caller).namespace();
    let hosts = trouble::host::in_text(text).into_iter().filter(|named| {
        let is_dns_server = named.port == Some(53);
        let is_local = matches!(named.host, "127.0.0.1" | "localhost" | "0.0.0.0");
        // Words that fail in general say nothing about a host beside them.
        let is_vague = failure == CallFailure::Failed
            && named.port.is_none()
            && !text.contains(&format!("://{}", named.host))
            && !text.contains(&format!("@{}", named.host));
        !(is_dns_server || is_local || is_vague)
    });
    hosts
        .filter_map(|named| {
            let resource = by_host(view, named.host, namespace);
            (resource.is_some() || named.is_stated).then(|| Target {
                host: named.host.to_owned(),
                port: named.port,
                resource,
            })
        })
        .collect()
}

/// The resource that a host means in a namespace: a Service by name or cluster IP, a pod by IP, or
/// the Ingress of a public name.
pub(super) fn by_host(view: &View<'_>, host: &str, namespace: &str) -> Option<Idx> {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return view.graph.by_address(host);
    }
    let alias = derive::called(host, namespace);
    let serves = |idx: &Idx| {
        let ingress = view.object(*idx).and_then(|o| o.ingress());
        view.exists(*idx) && ingress.is_some_and(|i| i.hosts.iter().any(|h| &**h == host))
    };
    if alias.kind == Kind::External
        && let Some(ingress) = view.graph.of_kind(&Kind::Ingress).find(serves)
    {
        return Some(ingress);
    }
    let found = view.graph.find(alias.kind, &alias.namespace, &alias.name);
    found.or_else(|| headless_service(view, host, namespace))
}

/// The headless Service that gives a pod of a `StatefulSet` its name, as in `db-0.db-headless`.
fn headless_service(view: &View<'_>, host: &str, namespace: &str) -> Option<Idx> {
    let mut labels = host.trim_end_matches('.').split('.');
    let (pod, service) = (labels.next()?, labels.next()?);
    let (_, ordinal) = pod.rsplit_once('-')?;
    let is_ordinal = !ordinal.is_empty() && ordinal.bytes().all(|c| c.is_ascii_digit());
    let namespace = labels.next().filter(|ns| *ns != "svc").unwrap_or(namespace);
    let found = view.graph.find_live(Kind::Service, namespace, service);
    found.filter(|_| is_ordinal)
}

/// Whether a name of five letters or more is part of a word, as `posting` of `PostingClient`.
fn is_part(text: &str, name: &str) -> bool {
    const ENDS: [&str; 2] = ["-service", "-svc"];
    let name = ENDS
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name);
    name.len() >= 5 && !name.contains('-') && has(text, &[name])
}

/// Services that the caller is known to call and whose name the text contains as a word.
fn from_service_names(view: &View<'_>, caller: Idx, text: &str) -> Vec<Target> {
    let is_named = |idx: &Idx| {
        let name = view.graph.get(*idx).name();
        *view.graph.get(*idx).kind() == Kind::Service
            && name.len() > 2
            && (text
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                .any(|w| w == name)
                || is_part(text, name))
    };
    called(view, caller)
        .into_iter()
        .filter(is_named)
        .map(|i| Target {
            host: view.graph.get(i).name().to_owned(),
            port: None,
            resource: Some(i),
        })
        .collect()
}
