//! Errors that a server logs about itself, or that its clients repeat.

use super::fixes::edit_policy;

use super::finding::{Finding, Strength};
use super::server_named::{stated_hosts, subject};
use super::service::pods_behind;
use super::text::{has, short};
use super::{FaultId, View, etcd, mismatch, new_client, piled_up, replica};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation, derive};
use crate::model::time::MINUTE;
use crate::model::{Alias, Kind, Time};
use crate::trouble::Class;

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
