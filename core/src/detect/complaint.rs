//! What programs say about those they call: who complains about whom, and of what.

use super::View;
use super::handshake;
use super::reading::Reading;
use super::text::{has, quoted_after, word_after};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation, address, derive};
use crate::model::{Kind, Severity, Time};

/// What a caller had to complain of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Nobody listens.
    Refused,
    /// The name does not resolve.
    Unresolved,
    /// No answer in time.
    TimedOut,
    /// The called one answered with an error of its own, or was not there for another reason.
    Failed,
    /// The certificate is not accepted.
    Distrusted,
    /// The other speaks another protocol.
    Garbled,
    /// The other is of another version.
    Incompatible,
}

/// One caller's complaint about one called resource.
#[derive(Clone, Debug)]
pub struct Complaint {
    /// Who wrote it.
    pub caller: Idx,
    /// Whom it names; `None` when no resource fits the name.
    pub target: Option<Idx>,
    /// The name or address as it was written.
    pub name: String,
    /// The port, when one was written.
    pub port: Option<u16>,
    /// Of what.
    pub trouble: Trouble,
    /// How many lines.
    pub count: u64,
    /// First line.
    pub first: Time,
    /// Last line.
    pub last: Time,
    /// Which log template.
    pub log: usize,
}

/// Words by which clients of many languages report each trouble.
const WORDS: [(Trouble, &[&str]); 7] = [
    (Trouble::Distrusted, &handshake::DISTRUST),
    (Trouble::Garbled, &handshake::GARBLED),
    (Trouble::Incompatible, &handshake::INCOMPATIBLE),
    (
        Trouble::Unresolved,
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
        Trouble::Refused,
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
        Trouble::TimedOut,
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
        Trouble::Failed,
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

/// Of what a line complains; `None` when it does not.
pub(super) fn trouble(text: &str) -> Option<Trouble> {
    WORDS
        .iter()
        .find(|(_, words)| has(text, words))
        .map(|(trouble, _)| *trouble)
}

/// All complaints of the window about things that are called, in the order of the logs.
pub fn complaints(view: &View<'_>) -> Vec<Complaint> {
    let mut all = Vec::new();
    for (i, (caller, log)) in view.episodes.logs.iter().enumerate() {
        // What stopped long before the end is over.
        let quiet = view.now.0 - log.last.0 > 15 * crate::model::time::MINUTE;
        if log.severity < Severity::Warning || quiet || fell_silent(view, *caller, log) {
            continue;
        }
        let Some(trouble) = Reading::of(log).trouble() else {
            continue;
        };
        for (name, port, target) in targets(view, *caller, &log.sample, trouble) {
            all.push(Complaint {
                caller: *caller,
                target,
                name,
                port,
                trouble,
                count: log.count,
                first: log.first,
                last: log.last,
                log: i,
            });
        }
    }
    all
}

/// Whether a line that came again and again has not come for far longer than it ever took: what it
/// told of is over.
fn fell_silent(view: &View<'_>, caller: Idx, log: &LogTemplate) -> bool {
    const MANY: u64 = 10;
    // Who died says nothing any more.
    if view.well(caller) == Some(false) {
        return false;
    }
    let rhythm = log.last.seconds_since(log.first) / (log.count.max(2) - 1) as f64;
    log.count >= MANY && view.now.seconds_since(log.last) > 60.0 + 10.0 * rhythm
}

/// Whom a line is about: the name that was looked up, else addresses with a port, else Services
/// named in it.
fn targets(
    view: &View<'_>,
    caller: Idx,
    text: &str,
    trouble: Trouble,
) -> Vec<(String, Option<u16>, Option<Idx>)> {
    let namespace = view.graph.get(caller).namespace();
    if trouble == Trouble::Unresolved {
        let looked_up = word_after(text, "lookup ")
            .or_else(|| quoted_after(text, "host name "))
            .or_else(|| word_after(text, "ENOTFOUND "))
            .or_else(|| word_after(text, "EAI_AGAIN "))
            .or_else(|| word_after(text, "UnknownHostException: "))
            .or_else(|| word_after(text, "DNS resolution failed for "));
        if let Some(word) = looked_up {
            let host = word.split(':').next().unwrap_or(word);
            return vec![(host.to_owned(), None, by_host(view, host, namespace))];
        }
    }
    let mut found: Vec<(String, Option<u16>, Option<Idx>)> = Vec::new();
    for a in address::in_text(text) {
        // The DNS server and local listeners are not what was called.
        if a.port == Some(53)
            || matches!(a.host, "127.0.0.1" | "localhost" | "0.0.0.0")
            || (a.port.is_none() && trouble != Trouble::Unresolved && !text.contains("://"))
        {
            continue;
        }
        let target = by_host(view, a.host, namespace);
        if !found.iter().any(|(h, ..)| h == a.host) {
            found.push((a.host.to_owned(), a.port, target));
        }
    }
    for host in address::hosts_in_text(text).filter(|h| !h.contains(".svc")) {
        if !found.iter().any(|(h, ..)| h == host) && trouble != Trouble::Failed {
            found.push((host.to_owned(), None, by_host(view, host, namespace)));
        }
    }
    if found.iter().any(|(.., t)| t.is_some()) {
        found.retain(|(.., t)| t.is_some());
    }
    // An address of a pod's own listener in `read tcp A:x->B:y` names the caller, too.
    let own = view.component(caller);
    found.retain(|(.., t)| t.is_none_or(|t| view.component(t) != own));
    if found.is_empty() {
        found.extend(named_services(view, caller, text));
    }
    found
}

/// The resource behind a host as seen from a namespace: a Service by name or cluster address, or a
/// pod by address.
fn by_host(view: &View<'_>, host: &str, namespace: &str) -> Option<Idx> {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return view.graph.by_address(host);
    }
    let alias = derive::called(host, namespace);
    view.graph.find(alias.kind, &alias.namespace, &alias.name)
}

/// Whether a name of some length is a part of a word, as in `PostingClient`.
fn is_part(text: &str, name: &str) -> bool {
    name.len() >= 5 && !name.contains('-') && has(text, &[name])
}

/// Services that the caller is known to call and whose name stands in the text as a word.
fn named_services(
    view: &View<'_>,
    caller: Idx,
    text: &str,
) -> Vec<(String, Option<u16>, Option<Idx>)> {
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
        .map(|i| (view.graph.get(i).name().to_owned(), None, Some(i)))
        .collect()
}
