//! Errors that programs log about the servers they call: which caller, which target, what failure.

use super::View;
use super::handshake;
use super::log_class::LogClass;
use super::text::{has, quoted_after, word_after};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation, address, derive};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity, Time};

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

impl CallFailure {
    pub(super) const ALL: [Self; 7] = [
        Self::Refused,
        Self::Unresolved,
        Self::TimedOut,
        Self::Failed,
        Self::CertificateRejected,
        Self::ProtocolMismatch,
        Self::VersionMismatch,
    ];
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

/// How clients in many languages report each failure; the first that matches counts.
const WORDS: [(CallFailure, &[&str]); 7] = [
    (
        CallFailure::CertificateRejected,
        &handshake::CERTIFICATE_REJECTED,
    ),
    (CallFailure::ProtocolMismatch, &handshake::PROTOCOL_MISMATCH),
    (CallFailure::VersionMismatch, &handshake::VERSION_MISMATCH),
    (
        CallFailure::Unresolved,
        &[
            "no such host",
            "name or service not known",
            "temporary failure in name resolution",
            "enotfound",
            "eai_again",
            "unknownhostexception",
            "could not translate host name",
            "dns resolution failed",
            "name resolution failure",
            "server misbehaving",
            "nodename nor servname",
            "failed to resolve",
            "getaddrinfo",
        ],
    ),
    (
        CallFailure::Refused,
        &[
            "connection refused",
            "econnrefused",
            "actively refused",
            "connect: no route to host",
            "ehostunreach",
            "no healthy upstream",
        ],
    ),
    (
        CallFailure::TimedOut,
        &[
            "i/o timeout",
            "deadline exceeded",
            "timed out",
            "etimedout",
            "timeout",
            "deadlineexceeded",
        ],
    ),
    (
        CallFailure::Failed,
        &[
            "connection reset",
            "econnreset",
            "unavailable",
            "bad gateway",
            "connection closed",
            "broken pipe",
            "unexpected eof",
            "transport failure",
            "unable to connect",
            "failed to connect",
            "not possible to connect",
            "connection error",
            "can't connect",
            "could not connect",
            "communications link failure",
        ],
    ),
];

/// How the call that a line reports failed; `None` if it reports no failed call.
pub(super) fn failure(text: &str) -> Option<CallFailure> {
    WORDS
        .iter()
        .find(|(_, words)| has(text, words))
        .map(|(failure, _)| *failure)
}

/// All errors about calls that were logged in the last 15 minutes, in the order of the logs.
pub fn call_errors(view: &View<'_>) -> Vec<CallError> {
    let mut all = Vec::new();
    for (i, (caller, log)) in view.episodes.logs.iter().enumerate() {
        let is_old = view.now.0 - log.last.0 > 15 * MINUTE;
        if log.severity < Severity::Warning || is_old || has_stopped(view, *caller, log) {
            continue;
        }
        let Some(failure) = LogClass::of(log).call_failure() else {
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
    let mut found = from_addresses(view, caller, text, failure);
    if found.iter().any(|t| t.resource.is_some()) {
        found.retain(|t| t.resource.is_some());
    }
    // The local address in `read tcp A:x->B:y` is the caller's own.
    let own = view.component(caller);
    let is_own = |t: &Target| t.resource.is_some_and(|r| view.component(r) == own);
    found.retain(|t| !is_own(t));
    if found.is_empty() {
        found = from_service_names(view, caller, text);
    }
    found
}

/// The name that could not be resolved, by the phrase before it.
fn from_dns_error(view: &View<'_>, caller: Idx, text: &str) -> Option<Target> {
    let word = word_after(text, "lookup ")
        .or_else(|| quoted_after(text, "host name "))
        .or_else(|| word_after(text, "ENOTFOUND "))
        .or_else(|| word_after(text, "EAI_AGAIN "))
        .or_else(|| word_after(text, "UnknownHostException: "))
        .or_else(|| word_after(text, "DNS resolution failed for "))?;
    let host = word.split(':').next().unwrap_or(word);
    Some(Target {
        host: host.to_owned(),
        port: None,
        resource: by_host(view, host, view.graph.get(caller).namespace()),
    })
}

/// Addresses and host names in the text, each host once.
fn from_addresses(view: &View<'_>, caller: Idx, text: &str, failure: CallFailure) -> Vec<Target> {
    let namespace = view.graph.get(caller).namespace();
    let mut found: Vec<Target> = Vec::new();
    let mut add = |host: &str, port: Option<u16>| {
        if found.iter().all(|t| t.host != host) {
            found.push(Target {
                host: host.to_owned(),
                port,
                resource: by_host(view, host, namespace),
            });
        }
    };
    for a in address::in_text(text) {
        let is_dns_server = a.port == Some(53);
        let is_local = matches!(a.host, "127.0.0.1" | "localhost" | "0.0.0.0");
        let is_vague =
            a.port.is_none() && failure != CallFailure::Unresolved && !text.contains("://");
        if !(is_dns_server || is_local || is_vague) {
            add(a.host, a.port);
        }
    }
    if failure != CallFailure::Failed {
        for host in address::hosts_in_text(text).filter(|h| !h.contains(".svc")) {
            add(host, None);
        }
    }
    found
}

/// The resource that a host means in a namespace: a Service by name or cluster IP, or a pod by IP.
fn by_host(view: &View<'_>, host: &str, namespace: &str) -> Option<Idx> {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return view.graph.by_address(host);
    }
    let alias = derive::called(host, namespace);
    view.graph.find(alias.kind, &alias.namespace, &alias.name)
}

/// Whether a name of five letters or more is part of a word, as `posting` of `PostingClient`.
fn is_part(text: &str, name: &str) -> bool {
    name.len() >= 5 && !name.contains('-') && has(text, &[name])
}

/// Services that the caller is known to call and whose name the text contains as a word.
fn from_service_names(view: &View<'_>, caller: Idx, text: &str) -> Vec<Target> {
    let holders = [caller, view.top_owner(caller)];
    let mut called: Vec<Idx> = holders
        .iter()
        .flat_map(|h| view.graph.out(*h))
        .filter(|(r, _)| *r == Relation::Calls)
        .map(|(_, s)| s)
        .collect();
    called.sort_unstable();
    called.dedup();
    let is_named = |idx: &Idx| {
        let name = view.graph.get(*idx).name();
        *view.graph.get(*idx).kind() == Kind::Service
            && name.len() > 2
            && (text
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                .any(|w| w == name)
                || is_part(text, name))
    };
    called
        .into_iter()
        .filter(is_named)
        .map(|i| Target {
            host: view.graph.get(i).name().to_owned(),
            port: None,
            resource: Some(i),
        })
        .collect()
}
