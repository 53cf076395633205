//! A client that was rolled out and finds no server since, although the servers are ready and serve
//! others: it asks for what they do not have, by a name or an address in its own settings.

use std::collections::BTreeSet;

use super::finding::{Finding, Strength};
use super::mismatch::rolled_out;
use super::server_named::says;
use super::service::pods_behind;
use super::text::short;
use super::{ComponentId, FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::Kind;
use crate::model::time::MINUTE;
use crate::trouble::Class;

/// The finding about a client's setting, if all speaks for it: the client alone says that a server
/// does not serve, since its own rollout; the pods of the server are ready for longer.
pub(super) fn setting(
    view: &View<'_>,
    client: Idx,
    server: Idx,
    lines: &[&LogTemplate],
) -> Option<Finding> {
    const CLASS: Class = Class::NotServing;
    let owner = view.top_owner(client);
    let first = lines.iter().min_by_key(|line| line.first)?;
    let at = rolled_out(view, owner, first.first)?;
    let pods = if *view.graph.get(server).kind() == Kind::Service {
        pods_behind(view, server)
    } else {
        view.pods_of(server)
    };
    let is_well = |pod: &Idx| {
        let is_older = view.started(*pod).is_some_and(|started| started < at);
        is_older && view.is_pod_healthy(*pod) && !says(view, *pod, CLASS)
    };
    let own = view.component_id(owner);
    let is_same = view.component_id(server) == own;
    if is_same || pods.is_empty() || !pods.iter().all(is_well) {
        return None;
    }
    let others: BTreeSet<ComponentId> = view
        .episodes
        .logs
        .iter()
        .filter(|(_, log)| view.now.0 - log.last.0 <= 15 * MINUTE && log.trouble().has(CLASS))
        .map(|(writer, _)| view.component_id(*writer))
        .filter(|writer| *writer != own)
        .collect();
    if !others.is_empty() {
        return None;
    }
    let message = format!(
        "{} was rolled out before it says of {}, which is ready: {}",
        view.title(owner),
        view.title(server),
        short(&first.sample, 200)
    );
    let lines = lines
        .iter()
        .take(5)
        .map(|line| view.log_evidence(client, line));
    let rollout = view.state_evidence(owner, format!("was rolled out at {at}"));
    let finding = view.finding(FaultId::ConfigEnvInvalid, owner, client, Strength::Strong);
    let finding = finding.active(true).message(message).with(lines);
    Some(finding.with([rollout]).build())
}
