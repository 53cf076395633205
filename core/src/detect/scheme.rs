//! Settings whose protocol contradicts the port that they name: `redis://` to the port of a
//! PostgreSQL server, plain text to a port for TLS.

use std::collections::BTreeSet;

use super::caller_errors::CallError;
use super::dependency::evidence;
use super::finding::{Finding, Strength};
use super::protocol::edit;
use super::{FaultId, View};
use crate::graph::{Idx, derive};
use crate::model::address;
use crate::model::object::network::ServicePort;
use crate::model::object::{Container, Service};

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http,
    Https,
    Postgres,
    Mysql,
    Redis,
    Amqp,
    Mongodb,
}

/// Schemes and names of ports, with well-known numbers.
const KNOWN: [(Protocol, &[&str], &[i64]); 7] = [
    (Protocol::Https, &["https"], &[443]),
    (Protocol::Http, &["http"], &[80]),
    (Protocol::Postgres, &["postgres", "postgresql"], &[5432]),
    (Protocol::Mysql, &["mysql", "mariadb"], &[3306]),
    (Protocol::Redis, &["redis", "rediss"], &[6379]),
    (Protocol::Amqp, &["amqp", "amqps"], &[5672, 5671]),
    (Protocol::Mongodb, &["mongodb", "mongo"], &[27017]),
];

impl Protocol {
    fn by_name(name: &str) -> Option<Self> {
        let known = KNOWN.iter().find(|(_, names, _)| names.contains(&name));
        known.map(|(protocol, ..)| *protocol)
    }

    /// What a port is for, by its name, else by its number.
    fn of_port(port: &ServicePort) -> Option<Self> {
        let names = port.app_protocol.iter().chain(&port.name);
        let by_name = names
            .flat_map(|name| name.split('-'))
            .find_map(Self::by_name);
        by_name.or_else(|| {
            let known = KNOWN.iter().find(|(.., ports)| ports.contains(&port.port));
            known.map(|(protocol, ..)| *protocol)
        })
    }

    fn is_web(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// A setting that contradicts a Service.
struct Contradiction {
    fault: FaultId,
    /// The setting with its value, as far as it is no secret.
    setting: String,
    port: i64,
}

/// Judges the settings of callers that report errors about a Service.
pub(super) fn contradictions(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let mut judged: BTreeSet<(Idx, Idx)> = BTreeSet::new();
    for error in errors {
        let Some(target) = error.target else { continue };
        let owner = view.top_owner(error.caller);
        let service = view.object(target).and_then(|o| o.service());
        let spec = view.pod_spec(owner).or_else(|| view.pod_spec(error.caller));
        let (Some(service), Some(spec)) = (service, spec) else {
            continue;
        };
        if !judged.insert((owner, target)) {
            continue;
        }
        let names_target = |host: &str| {
            let alias = derive::called(host, view.graph.get(owner).namespace());
            view.graph.find(alias.kind, &alias.namespace, &alias.name) == Some(target)
        };
        let Some(found) = spec
            .all_containers()
            .find_map(|c| contradiction(c, service, &names_target))
        else {
            continue;
        };
        let about: Vec<&CallError> = errors
            .iter()
            .filter(|e| e.target == Some(target) && view.top_owner(e.caller) == owner)
            .collect();
        let name = view.graph.get(target).name();
        let port = service.ports.iter().find(|p| p.port == found.port);
        let of_port = port.and_then(|p| p.name.as_deref()).unwrap_or("unnamed");
        out.push(
            view.finding(found.fault, owner, error.caller, Strength::Proof)
                .active(true)
                .message(format!(
                    "{} has {} for port {} of Service `{name}`, which is `{of_port}`: the \
                     protocol does not match the port",
                    view.title(owner),
                    found.setting,
                    found.port
                ))
                .with([view.state_evidence(owner, format!("has {}", found.setting))])
                .with(evidence(view, &about))
                .fix(edit(view, owner))
                .build(),
        );
    }
}

/// The first setting of a container that contradicts a Service.
fn contradiction(
    container: &Container,
    service: &Service,
    names_target: &dyn Fn(&str) -> bool,
) -> Option<Contradiction> {
    let port_of = |number: u16| service.ports.iter().find(|p| p.port == i64::from(number));
    let plain = container.env.iter().find(|e| {
        let is_protocol = e.name.to_ascii_uppercase().ends_with("SECURITY_PROTOCOL");
        is_protocol && matches!(e.value.as_deref(), Some("PLAINTEXT" | "SASL_PLAINTEXT"))
    });
    for env in &container.env {
        let value = env.value.as_deref().unwrap_or_default();
        let scheme = value.split_once("://").map(|(before, _)| before);
        let scheme = scheme.and_then(|s| s.rsplit(':').next());
        let spoken = scheme.and_then(Protocol::by_name);
        for address in address::in_text(value).filter(|a| names_target(a.host)) {
            let Some(port) = address.port.and_then(port_of) else {
                continue;
            };
            if let Some(plain) = plain.filter(|_| is_for_tls(port)) {
                return Some(Contradiction {
                    fault: FaultId::ServiceProtocolMismatch,
                    setting: format!(
                        "`{}` {}",
                        plain.name,
                        plain.value.as_deref().unwrap_or_default()
                    ),
                    port: port.port,
                });
            }
            let (Some(spoken), Some(wanted)) = (spoken, Protocol::of_port(port)) else {
                continue;
            };
            if spoken != wanted {
                let is_store = !spoken.is_web() && !wanted.is_web();
                return Some(Contradiction {
                    fault: if is_store {
                        FaultId::DependencyPortWrong
                    } else {
                        FaultId::ServiceProtocolMismatch
                    },
                    setting: format!("`{}` with `{}://`", env.name, scheme.unwrap_or_default()),
                    port: port.port,
                });
            }
        }
    }
    None
}

/// Whether a port's name says that it is for TLS: `tls`, `tcp-clientstls`, `ssl`.
fn is_for_tls(port: &ServicePort) -> bool {
    let name = port.name.as_deref().unwrap_or_default();
    name.split('-')
        .any(|part| part.ends_with("tls") || part.ends_with("ssl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, number: i64) -> ServicePort {
        ServicePort {
            name: Some(name.into()),
            port: number,
            ..ServicePort::default()
        }
    }

    #[test]
    fn a_port_shows_its_protocol_by_name_before_number() {
        assert_eq!(
            Protocol::of_port(&port("http-web", 443)),
            Some(Protocol::Http)
        );
        assert_eq!(
            Protocol::of_port(&port("db", 5432)),
            Some(Protocol::Postgres)
        );
        assert_eq!(Protocol::of_port(&port("metrics", 9100)), None);
        assert!(is_for_tls(&port("tcp-clientstls", 9093)));
        assert!(!is_for_tls(&port("tcp-clients", 9092)));
    }
}
