//! Which server a line is about: the writer itself, one that it names, or the only one that fits.

use std::collections::BTreeSet;

use super::View;
use super::caller_errors::by_host;
use super::dependency::is_database_port;
use super::finding::Strength;
use super::service::{pods_behind, setting_with_host};
use super::text::has;
use crate::graph::{Idx, Relation};
use crate::model::time::MINUTE;
use crate::model::{Kind, Time};
use crate::trouble::{self, Class, product};

/// The server that a line is about, and how certain that is: the writer itself, or one that it
/// calls and whose error it repeats.
pub(super) fn subject(
    view: &View<'_>,
    idx: Idx,
    owner: Idx,
    text: &str,
    class: Class,
) -> (Idx, Strength) {
    // The access log of the server's own proxy, which names the caller's request.
    if has(text, &["rbac_access_denied_matched_policy"]) {
        return (owner, Strength::Strong);
    }
    if let Some(member) = named_member(view, idx, text, class) {
        return (member, Strength::Strong);
    }
    if let Some(server) = named_server(view, idx, text) {
        return (server, Strength::Strong);
    }
    let called: BTreeSet<Idx> = [idx, owner]
        .iter()
        .flat_map(|h| view.graph.out(*h))
        .filter(|(r, _)| *r == Relation::Calls)
        .map(|(_, s)| s)
        .collect();
    let is_store = |s: &&Idx| {
        let ports = ports_of(view, owner, **s);
        ports.into_iter().any(is_database_port)
    };
    // A line that names another product is not about the store of this one.
    let product = product::named(text).map(|product| &product.ports);
    let fits = |s: &&Idx| {
        let ports = ports_of(view, owner, **s);
        product
            .iter()
            .all(|p| ports.iter().any(|port| p.contains(port)))
    };
    let stores: Vec<&Idx> = called.iter().filter(is_store).filter(fits).collect();
    if let Some(named) = called
        .iter()
        .find(|s| is_in(text, view.graph.get(**s).name()))
    {
        return (*named, Strength::Strong);
    }
    if let [only] = stores.as_slice() {
        return (**only, Strength::Strong);
    }
    // What it calls is not known beside one that it calls.
    let only = called.first().filter(|_| called.len() == 1);
    if let Some(only) = only.filter(|s| !is_store(s) || fits(s)) {
        return (*only, Strength::Fair);
    }
    match likely_store(view, owner, text, class) {
        Some(store) if stores.is_empty() => (store, Strength::Fair),
        _ if called.is_empty() => (owner, Strength::Strong),
        _ => (owner, Strength::Fair),
    }
}

/// The ports of a server: those of its Service, or the one that its caller's settings have.
fn ports_of(view: &View<'_>, caller: Idx, server: Idx) -> Vec<i64> {
    let service = view.object(server).and_then(|o| o.service());
    if let Some(service) = service {
        return service.ports.iter().map(|p| p.port).collect();
    }
    let setting = setting_with_host(view, caller, view.graph.get(server).name());
    let port = setting.and_then(|(_, port)| port);
    port.map(i64::from).into_iter().collect()
}

/// Whether a text has a name elsewhere than in the package of a class, as in `org.name.Error`.
fn is_in(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let is_part = text[..at].ends_with('.') && text[at + name.len()..].starts_with('.');
        !is_part
    })
}

/// The workload of the pods that a line names as the members that are full or do not serve: whoever
/// writes it, a member or a client, only repeats what is known of them.
fn named_member(view: &View<'_>, idx: Idx, text: &str, class: Class) -> Option<Idx> {
    let namespace = view.graph.get(idx).namespace();
    let is_down = class == Class::NotServing;
    let is_meant = |pod: &Idx| {
        *pod != idx
            && *view.graph.get(*pod).kind() == Kind::Pod
            && (!is_down || view.is_pod_unhealthy(*pod))
    };
    if !is_down && class != Class::ServerDiskFull {
        return None;
    }
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.')));
    let mut pods = words.filter(|word| word.len() > 3).filter_map(|word| {
        let by_name = view.graph.find_live(Kind::Pod, namespace, word);
        by_name.or_else(|| view.graph.by_address(word))
    });
    pods.find(is_meant).map(|pod| view.top_owner(pod))
}

/// The server of another component whose URL or address a line has.
pub(super) fn named_server(view: &View<'_>, idx: Idx, text: &str) -> Option<Idx> {
    let namespace = view.graph.get(idx).namespace();
    stated_hosts(text)
        .iter()
        .filter_map(|host| by_host(view, host, namespace))
        .find(|server| {
            let kind = view.graph.get(*server).kind();
            matches!(kind, Kind::Service | Kind::External)
                && view.component_id(*server) != view.component_id(idx)
        })
}

/// The hosts that a text states to be such, the one that the trouble is about first.
pub(super) fn stated_hosts(text: &str) -> Vec<String> {
    let about = trouble::host_of(text, |_| true).map(|(host, _)| host);
    let others = trouble::host::in_text(text).into_iter();
    let others = others.filter(|named| named.is_stated);
    about
        .into_iter()
        .chain(others.map(|named| named.host.to_owned()))
        .collect()
}

/// The database of the product that the line names by its wording in the writer's namespace: the
/// only one, or the only one that says the same about itself; `None` if that is the writer. The
/// address that a client uses may be hidden, in a Secret for instance; the wording still shows the
/// product.
fn likely_store(view: &View<'_>, owner: Idx, text: &str, class: Class) -> Option<Idx> {
    let ports = &product::named(text)?.ports;
    let namespace = view.graph.get(owner).namespace();
    let serves = |s: &Idx| {
        let service = view.object(*s).and_then(|o| o.service());
        view.graph.get(*s).namespace() == namespace
            && service.is_some_and(|s| s.ports.iter().any(|p| ports.contains(&p.port)))
    };
    let stores: Vec<Idx> = view.graph.of_kind(&Kind::Service).filter(serves).collect();
    let own = view.component_id(owner);
    let only = |stores: &[Idx]| {
        let components: BTreeSet<_> = stores.iter().map(|s| view.component_id(*s)).collect();
        let is_one = components.len() == 1 && !components.contains(&own);
        stores.first().copied().filter(|_| is_one)
    };
    only(&stores).or_else(|| {
        let says = |s: &Idx| pods_behind(view, *s).iter().any(|p| says(view, *p, class));
        let speaking: Vec<Idx> = stores.iter().copied().filter(says).collect();
        only(&speaking)
    })
}

/// Whether a pod's log, or the output of its probes, reported a class in the last 15 minutes.
pub(super) fn says(view: &View<'_>, pod: Idx, class: Class) -> bool {
    let is_recent = |at: Time| view.now.0 - at.0 <= 15 * MINUTE;
    let mut warnings = view.warnings(pod);
    warnings.any(|e| is_recent(e.last) && trouble::read(&e.message).has(class))
        || view
            .logs(pod)
            .any(|l| is_recent(l.last) && l.trouble().has(class))
}
