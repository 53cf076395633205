//! Callers that speak another protocol than the servers that they reach.

use std::collections::BTreeSet;

use super::caller_errors::CallError;
use super::finding::{Finding, Strength};
use super::handshake::{evidence, line};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::object::network::ServicePort;
use crate::model::object::{Object, Service};
use crate::model::time::MINUTE;
use crate::model::{Command, Severity};
use crate::trouble::Class;

/// Words of servers about their callers.
pub(super) const OF_SERVERS: [&str; 5] = [
    "to an https server",
    "tls handshake error from",
    "received http/1",
    "invalid http method",
    "security attack",
];

/// The server behind a Service speaks another protocol than its callers: on the port that they use,
/// or at all.
pub(super) fn of_server(view: &View<'_>, target: Idx, all: &[&CallError], out: &mut Vec<Finding>) {
    let before = out.len();
    out.extend(all.iter().filter_map(|e| other_port(view, target, e)));
    if out.len() > before {
        return;
    }
    let announced = view
        .object(target)
        .and_then(Object::service)
        .and_then(announcement);
    let strength = if announced.is_some() {
        Strength::Strong
    } else {
        Strength::Fair
    };
    let declared = announced
        .map(|a| format!(" (declared as {a})"))
        .unwrap_or_default();
    out.push(
        view.finding(
            FaultId::ServiceProtocolMismatch,
            target,
            all[0].caller,
            strength,
        )
        .active(true)
        .message(format!(
            "`{}`{declared} speaks another protocol than its callers: {}",
            view.graph.get(target).name(),
            short(line(view, all[0]), 160)
        ))
        .with(evidence(view, all))
        .build(),
    );
}

/// A caller that uses one port of a Service and speaks the protocol of another one.
fn other_port(view: &View<'_>, target: Idx, error: &CallError) -> Option<Finding> {
    let service = view.object(target).and_then(Object::service)?;
    let used = i64::from(error.port?);
    let words = spoken(line(view, error))?;
    let speaks = |p: &&ServicePort| {
        let texts = [p.name.as_deref(), p.app_protocol.as_deref()];
        let mut parts = texts.into_iter().flatten().flat_map(|t| t.split('-'));
        parts.any(|part| words.contains(&part))
    };
    let called = service.ports.iter().find(|p| p.port == used)?;
    let meant = service.ports.iter().find(speaks)?;
    if speaks(&called) {
        return None;
    }
    let owner = view.top_owner(error.caller);
    let name = |p: &ServicePort| p.name.as_deref().unwrap_or("").to_owned();
    let message = format!(
        "{} calls port {used} (`{}`) of Service `{}`, but speaks the protocol of port {} (`{}`): \
         {}",
        view.title(owner),
        name(called),
        view.graph.get(target).name(),
        meant.port,
        name(meant),
        short(line(view, error), 160)
    );
    let finding = view
        .finding(
            FaultId::DependencyPortWrong,
            owner,
            error.caller,
            Strength::Proof,
        )
        .active(true)
        .message(message)
        .with(evidence(view, &[error]))
        .fix(edit(view, owner));
    Some(finding.build())
}

/// The names of the protocol that a caller speaks, by its words about another one.
fn spoken(line: &str) -> Option<&'static [&'static str]> {
    const BY_WORDS: [(&[&str], &[&str]); 3] = [
        (
            &["http2", "http/2", "server preface", "grpc", "not settings"],
            &["grpc", "http2", "h2c"],
        ),
        (
            &[
                "http response to https client",
                "tls handshake",
                "ssl",
                "tls record",
            ],
            &["https", "tls", "ssl"],
        ),
        (
            &["http request to an https server", "malformed http response"],
            &["http", "web"],
        ),
    ];
    let found = BY_WORDS.iter().find(|(words, _)| has(line, words));
    found.map(|(_, names)| *names)
}

/// The protocol that a Service declares by `appProtocol` or by the prefix of a port's name.
fn announcement(service: &Service) -> Option<String> {
    const PREFIXES: [&str; 7] = ["http2", "https", "http", "grpc", "tcp", "tls", "udp"];
    service.ports.iter().find_map(|p| {
        let by_name = || {
            let name = p.name.as_deref()?;
            PREFIXES.iter().find(|w| {
                name == **w
                    || name
                        .strip_prefix(**w)
                        .is_some_and(|rest| rest.starts_with('-'))
            })
        };
        p.app_protocol
            .as_deref()
            .map(|a| format!("`{a}`"))
            .or_else(|| by_name().map(|w| format!("`{w}`")))
    })
}

/// A caller that speaks another protocol than a server outside the cluster's state: its settings
/// choose both.
pub(super) fn unknown_servers(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let known: BTreeSet<usize> = errors
        .iter()
        .filter(|e| e.target.is_some())
        .map(|e| e.log)
        .collect();
    let mut lines = view
        .episodes
        .logs
        .iter()
        .enumerate()
        .filter(|(i, (_, log))| {
            log.severity >= Severity::Error
                && view.now.0 - log.last.0 <= 15 * MINUTE
                && log.trouble().has(Class::ProtocolMismatch)
                && !known.contains(i)
                && !has(&log.sample, &OF_SERVERS)
        });
    let Some((_, (writer, log))) = lines.next() else {
        return;
    };
    // Of one server that several complain about, the protocol is wrong.
    let own = view.component_id(*writer);
    if lines.any(|(_, (other, _))| view.component_id(*other) != own) {
        return;
    }
    let owner = view.top_owner(*writer);
    let message = format!(
        "{} speaks another protocol than the server that it calls: {}",
        view.title(owner),
        short(&log.sample, 160)
    );
    out.push(
        view.finding(
            FaultId::ServiceProtocolMismatch,
            owner,
            *writer,
            Strength::Fair,
        )
        .active(true)
        .message(message)
        .with([view.log_evidence(*writer, log)])
        .fix(edit(view, owner))
        .build(),
    );
}

/// The command that opens the settings of a workload.
pub(super) fn edit(view: &View<'_>, owner: Idx) -> Command {
    view.command("kubectl -n <namespace> edit <kind>/<name>", owner)
}
