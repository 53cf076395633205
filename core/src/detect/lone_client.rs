//! Clients that cannot use a server although the message names none: the words of the driver show
//! the kind of server, and how many workloads complain shows which side is at fault.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Evidence, Finding, Strength};
use super::service::pods_behind;
use super::text::short;
use super::{CallError, ComponentId, FaultId, View};
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};
use crate::trouble::{Class, product};

/// A workload that reports refused connections to a kind of server.
struct Client<'a> {
    owner: Idx,
    pod: Idx,
    line: &'a str,
    evidence: Vec<Evidence>,
}

/// Workloads by component.
type Clients<'a> = BTreeMap<ComponentId, Client<'a>>;

/// Judges clients of databases and brokers that are refused, where no line names the server.
pub(super) fn refused(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let named: BTreeSet<ComponentId> = errors
        .iter()
        .filter(|e| e.target.is_some())
        .map(|e| view.component_id(e.caller))
        .collect();
    for ((namespace, name), clients) in clients(view) {
        let [client] = clients.values().collect::<Vec<_>>()[..] else {
            continue;
        };
        let is_named = named.contains(&view.component_id(client.pod));
        let is_healthy = view.is_healthy(client.pod) == Some(true);
        if is_named || is_healthy || !has_ready_server(view, namespace, name) {
            continue;
        }
        let message = format!(
            "{} is refused by {name}, which is ready and refuses no other client: its port or host \
             is wrong: {}",
            view.title(client.owner),
            short(last_line(client.line), 160)
        );
        out.push(
            view.finding(
                FaultId::DependencyPortWrong,
                client.owner,
                client.pod,
                Strength::Strong,
            )
            .active(true)
            .message(message)
            .with(client.evidence.iter().cloned())
            .build(),
        );
    }
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text)
}

/// The workloads that report refused connections, by namespace and kind of server.
fn clients<'a>(view: &View<'a>) -> BTreeMap<(&'a str, &'static str), Clients<'a>> {
    let mut all: BTreeMap<(&str, &str), Clients<'a>> = BTreeMap::new();
    for (idx, log) in &view.episodes.logs {
        let is_recent = view.now.0 - log.last.0 <= 15 * MINUTE;
        if log.severity < Severity::Warning || !is_recent || !log.trouble().has(Class::Refused) {
            continue;
        }
        let Some(server) = product::named(&log.sample) else {
            continue;
        };
        let key = (view.graph.get(*idx).namespace(), server.product.as_str());
        let client = all
            .entry(key)
            .or_default()
            .entry(view.component_id(*idx))
            .or_insert_with(|| Client {
                owner: view.top_owner(*idx),
                pod: *idx,
                line: &log.sample,
                evidence: Vec::new(),
            });
        client.evidence.push(view.log_evidence(*idx, log));
    }
    all
}

/// Whether a server of this kind is ready in a namespace.
fn has_ready_server(view: &View<'_>, namespace: &str, name: &str) -> bool {
    let Some(server) = product::by_name(name) else {
        return false;
    };
    view.graph.of_kind(&Kind::Service).any(|idx| {
        let service = view.object(idx).and_then(|o| o.service());
        view.graph.get(idx).namespace() == namespace
            && service.is_some_and(|s| s.ports.iter().any(|p| server.ports.contains(&p.port)))
            && pods_behind(view, idx)
                .into_iter()
                .any(|pod| view.is_pod_healthy(pod))
    })
}
