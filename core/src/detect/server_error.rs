//! Errors that a server logs about itself, or that its clients repeat.

use super::fixes::edit_policy;
use std::collections::BTreeSet;

use super::caller_errors::by_host;
use super::dependency::is_database_port;
use super::finding::{Finding, Strength};
use super::service::{pods_behind, setting_with_host};
use super::text::{has, short};
use super::{FaultId, View, etcd, mismatch, new_client, piled_up, replica};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation, derive};
use crate::model::time::MINUTE;
use crate::model::{Alias, Kind, Time};
use crate::trouble::{self, Class, product};

/// An error that a server logs about itself, or that its clients repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerError {
    ConnectionLimit,
    ReadOnly,
    Down,
    VolumeFull,
    DiskFull,
    MemoryFull,
    Overloaded,
    Denied,
    PlaintextRefused,
    /// An etcd that is no part of the control plane.
    QuotaFull,
    LockWait,
}

impl ServerError {
    pub(super) const ALL: [Self; 11] = [
        Self::ConnectionLimit,
        Self::ReadOnly,
        Self::Down,
        Self::VolumeFull,
        Self::DiskFull,
        Self::MemoryFull,
        Self::Overloaded,
        Self::Denied,
        Self::PlaintextRefused,
        Self::QuotaFull,
        Self::LockWait,
    ];

    /// Those that only a server can answer of itself, whoever repeats them.
    pub(super) const REPEATED: [Self; 6] = [
        Self::Down,
        Self::ReadOnly,
        Self::ConnectionLimit,
        Self::DiskFull,
        Self::MemoryFull,
        Self::Overloaded,
    ];

    pub(super) fn fault(self) -> FaultId {
        match self {
            Self::ConnectionLimit => FaultId::DependencyConnectionLimit,
            // It still answers reads.
            Self::ReadOnly | Self::QuotaFull => FaultId::DependencyReadOnly,
            Self::Down => FaultId::DependencyDown,
            Self::VolumeFull | Self::DiskFull => FaultId::StorageVolumeFull,
            Self::MemoryFull => FaultId::PerformanceMemoryPressure,
            Self::Overloaded | Self::LockWait => FaultId::DependencySlow,
            Self::Denied => FaultId::ServiceNetworkPolicyBlocks,
            Self::PlaintextRefused => FaultId::ServiceProtocolMismatch,
        }
    }

    /// The class of trouble that reports this error.
    pub(super) fn class(self) -> Class {
        match self {
            Self::ConnectionLimit => Class::ConnectionLimit,
            Self::ReadOnly => Class::ReadOnlyServer,
            Self::Down => Class::NotServing,
            Self::VolumeFull => Class::NoSpace,
            Self::DiskFull => Class::ServerDiskFull,
            Self::MemoryFull => Class::ServerMemoryFull,
            Self::Overloaded => Class::Overloaded,
            Self::Denied => Class::MeshDenied,
            Self::PlaintextRefused => Class::PlaintextRefused,
            Self::QuotaFull => Class::EtcdFull,
            Self::LockWait => Class::LockWait,
        }
    }

    /// Whether the writer itself has it, whatever it calls.
    fn is_own(self) -> bool {
        matches!(self, Self::VolumeFull | Self::PlaintextRefused)
    }
}

/// A Service of which only what a client says is known.
#[derive(Clone, Debug)]
pub struct UnseenServer {
    /// Who repeats its error.
    pub client: Idx,
    /// Its name.
    pub alias: Alias,
    /// When the client first did.
    pub first: Time,
}

/// The Services, in namespaces of which none is known, whose errors clients repeat together with
/// their names.
pub fn unseen_servers(view: &View<'_>) -> Vec<UnseenServer> {
    let classes = ServerError::ALL.map(ServerError::class);
    let mut all = Vec::new();
    for (client, log) in &view.episodes.logs {
        let is_recent = view.now.0 - log.last.0 <= 15 * MINUTE;
        if !is_recent || !log.trouble().has_any(&classes) {
            continue;
        }
        let namespace = view.graph.get(*client).namespace();
        let named = stated_hosts(&log.sample)
            .into_iter()
            .map(|host| derive::called(&host, namespace))
            .find(|alias| match alias.kind {
                Kind::Service => !view.knows(&Kind::Service, &alias.namespace),
                _ => alias.name.parse::<std::net::IpAddr>().is_err(),
            });
        all.extend(named.map(|alias| UnseenServer {
            client: *client,
            alias,
            first: log.first,
        }));
    }
    all
}

pub(super) fn server_finding(
    view: &View<'_>,
    idx: Idx,
    error: ServerError,
    lines: &[&LogTemplate],
) -> Option<Finding> {
    let first = lines.first()?;
    let owner = view.top_owner(idx);
    let chosen = replica::chosen(view, owner).filter(|_| error == ServerError::ReadOnly);
    if let Some((variable, host)) = chosen {
        let message = format!(
            "{} sends its writes to `{host}` (`{variable}`), a replica, which accepts none: {}",
            view.title(owner),
            short(&first.sample, 160)
        );
        return Some(
            view.finding(FaultId::ServiceAddressWrong, owner, idx, Strength::Proof)
                .active(true)
                .message(message)
                .with([view.state_evidence(owner, format!("`{variable}` has `{host}`"))])
                .with(lines.iter().take(5).map(|l| view.log_evidence(idx, l)))
                .build(),
        );
    }
    let (blamed, strength) = if error == ServerError::PlaintextRefused {
        // Scanners of ports speak plain text as well; `mesh_tls` knows who may.
        (owner, Strength::Hint)
    } else if error.is_own() && piled_up::is(view, owner, first) {
        (owner, Strength::Hint)
    } else if error.is_own() {
        (owner, Strength::Strong)
    } else {
        subject(view, idx, owner, &first.sample, error.class())
    };
    // Who holds the lock is not said: of one client alone, it may be that itself.
    let strength = match error {
        ServerError::LockWait if is_common(view, error.class()) => strength.min(Strength::Fair),
        ServerError::LockWait => Strength::Hint,
        _ => strength,
    };
    // The API server's clients repeat what its etcd says.
    let is_of_etcd = || etcd::is_own(view, blamed);
    if error == ServerError::QuotaFull && !is_of_etcd() {
        return None;
    }
    let is_own_setting = || blamed != owner && mismatch::is_said_by(view, idx);
    if error == ServerError::Down && (has_started(view, blamed, first) || is_own_setting()) {
        return None;
    }
    if error == ServerError::Down
        && let Some(finding) = new_client::setting(view, idx, blamed, lines)
    {
        return Some(finding);
    }
    let message = format!(
        "{} reports: {}",
        view.title(blamed),
        short(&first.sample, 200)
    );
    let namespace = view.graph.get(blamed).namespace();
    let policy = match error {
        ServerError::PlaintextRefused => Some("peerauthentication"),
        ServerError::Denied => Some("authorizationpolicy"),
        _ => None,
    };
    let fix = policy.map(|kind| edit_policy(namespace, kind));
    let full = claim_of(view, idx).filter(|_| error == ServerError::DiskFull && blamed == owner);
    let full = full.map(|claim| view.state_evidence(claim, "has the data".to_owned()));
    Some(
        view.finding(error.fault(), blamed, idx, strength)
            .active(true)
            .message(message)
            .with(full)
            .with(lines.iter().take(5).map(|l| view.log_evidence(idx, l)))
            .fix(fix)
            .build(),
    )
}

/// Whether several workloads report a class.
fn is_common(view: &View<'_>, class: Class) -> bool {
    let logs = view.episodes.logs.iter();
    let mut writers = logs
        .filter(|(writer, log)| log.trouble().has(class) && view.is_current(*writer, log))
        .map(|(writer, _)| view.component_id(*writer));
    let first = writers.next();
    first.is_some_and(|first| writers.any(|other| other != first))
}

/// How a server says that it will be ready soon.
const STARTING: [&str; 4] = [
    "starting up",
    "not yet accepting",
    "in recovery mode",
    "loading",
];

/// Whether a server that was starting is ready now, and has refused no one since.
fn has_started(view: &View<'_>, server: Idx, line: &LogTemplate) -> bool {
    let is_quiet = view.now.0 - line.last.0 > 2 * MINUTE;
    let pods = if *view.graph.get(server).kind() == Kind::Service {
        pods_behind(view, server)
    } else {
        view.pods_of(server)
    };
    is_quiet
        && has(&line.sample, &STARTING)
        && !pods.is_empty()
        && pods.iter().all(|pod| view.is_pod_healthy(*pod))
}

/// The only claim that a pod mounts.
fn claim_of(view: &View<'_>, pod: Idx) -> Option<Idx> {
    let mounts = view.graph.out(pod).filter(|(r, _)| *r == Relation::Mounts);
    let mut claims = mounts
        .map(|(_, mounted)| mounted)
        .filter(|i| *view.graph.get(*i).kind() == Kind::PersistentVolumeClaim);
    claims.next().filter(|_| claims.next().is_none())
}

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
fn stated_hosts(text: &str) -> Vec<String> {
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
    let is_recent = |at: Time| view.now.0 - at.0 <= super::view::GRACE * 15;
    let mut warnings = view.warnings(pod);
    warnings.any(|e| is_recent(e.last) && trouble::read(&e.message).has(class))
        || view
            .logs(pod)
            .any(|l| is_recent(l.last) && l.trouble().has(class))
}
