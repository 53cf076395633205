//! Errors that a workload logs about itself: as the client of a dependency, or as a server.

use std::collections::BTreeSet;

use super::caller_errors::by_host;
use super::dependency::is_database_port;
use super::finding::{Finding, Strength};
use super::probe_checks::is_killed_while_starting;
use super::service::pods_behind;
use super::text::{has, short};
use super::{FaultId, View, replica};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation, derive};
use crate::model::time::MINUTE;
use crate::model::{Alias, Kind, Severity, Time};
use crate::trouble::{self, Class, product};

/// An error whose cause is on the side of the workload that logs it: its setting, permission or
/// pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientError {
    CredentialsRejected,
    DatabaseMissing,
    PoolExhausted,
    RbacForbidden,
    ReadOnlyFilesystem,
    SchemaMissing,
    VersionMismatch,
}

/// An error that a server logs about itself, or that its clients repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerError {
    ConnectionLimit,
    ReadOnly,
    Down,
    VolumeFull,
    DiskFull,
    MemoryFull,
    Denied,
    PlaintextRefused,
}

impl ClientError {
    const ALL: [Self; 7] = [
        Self::CredentialsRejected,
        Self::DatabaseMissing,
        Self::PoolExhausted,
        Self::RbacForbidden,
        Self::ReadOnlyFilesystem,
        Self::SchemaMissing,
        Self::VersionMismatch,
    ];

    fn fault(self) -> FaultId {
        match self {
            Self::CredentialsRejected => FaultId::DependencyCredentialsRejected,
            Self::DatabaseMissing => FaultId::DependencyDatabaseMissing,
            Self::PoolExhausted => FaultId::PerformancePoolExhausted,
            Self::RbacForbidden => FaultId::AdmissionRbacForbidden,
            Self::ReadOnlyFilesystem => FaultId::StorageReadOnlyFilesystem,
            Self::SchemaMissing | Self::VersionMismatch => FaultId::DependencyVersionMismatch,
        }
    }

    /// The class of trouble that reports this error.
    fn class(self) -> Class {
        match self {
            Self::CredentialsRejected => Class::LoginRefused,
            Self::DatabaseMissing => Class::DatabaseMissing,
            Self::PoolExhausted => Class::PoolExhausted,
            Self::RbacForbidden => Class::RbacForbidden,
            Self::ReadOnlyFilesystem => Class::ReadOnlyFilesystem,
            Self::SchemaMissing => Class::SchemaMissing,
            Self::VersionMismatch => Class::VersionMismatch,
        }
    }

    /// What happens to the workload, to follow its name.
    fn predicate(self) -> &'static str {
        match self {
            Self::CredentialsRejected => "is rejected by a dependency (credentials)",
            Self::DatabaseMissing => "uses a database, queue or index that does not exist",
            Self::PoolExhausted => "has exhausted its connection pool",
            Self::RbacForbidden => "is not authorized by RBAC",
            Self::ReadOnlyFilesystem => "cannot write to its file system",
            Self::SchemaMissing => "uses a table or column that its database does not have",
            Self::VersionMismatch => {
                "calls something that its dependency does not have, or not \
                                      in this version"
            }
        }
    }

    /// Whether the server logs this error as well when it refuses a client.
    fn is_a_refusal(self) -> bool {
        matches!(
            self,
            Self::CredentialsRejected
                | Self::DatabaseMissing
                | Self::SchemaMissing
                | Self::VersionMismatch
        )
    }
}

impl ServerError {
    const ALL: [Self; 8] = [
        Self::ConnectionLimit,
        Self::ReadOnly,
        Self::Down,
        Self::VolumeFull,
        Self::DiskFull,
        Self::MemoryFull,
        Self::Denied,
        Self::PlaintextRefused,
    ];

    fn fault(self) -> FaultId {
        match self {
            Self::ConnectionLimit => FaultId::DependencyConnectionLimit,
            Self::ReadOnly => FaultId::DependencyReadOnly,
            Self::Down => FaultId::DependencyDown,
            Self::VolumeFull | Self::DiskFull => FaultId::StorageVolumeFull,
            Self::MemoryFull => FaultId::PerformanceMemoryPressure,
            Self::Denied => FaultId::ServiceNetworkPolicyBlocks,
            Self::PlaintextRefused => FaultId::ServiceProtocolMismatch,
        }
    }

    /// The class of trouble that reports this error.
    fn class(self) -> Class {
        match self {
            Self::ConnectionLimit => Class::ConnectionLimit,
            Self::ReadOnly => Class::ReadOnlyServer,
            Self::Down => Class::NotServing,
            Self::VolumeFull => Class::NoSpace,
            Self::DiskFull => Class::ServerDiskFull,
            Self::MemoryFull => Class::ServerMemoryFull,
            Self::Denied => Class::MeshDenied,
            Self::PlaintextRefused => Class::PlaintextRefused,
        }
    }

    /// Whether the writer itself has it, whatever it calls.
    fn is_own(self) -> bool {
        matches!(self, Self::VolumeFull | Self::PlaintextRefused)
    }
}

/// Reports the errors that a resource logged about itself in the last 15 minutes.
pub(super) fn findings(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let recent = |l: &&LogTemplate| {
        // That a server has become read-only is said once, when it happens.
        let is_change = l.count == 1 && l.trouble().has(Class::ReadOnlyServer);
        let minutes = if is_change { 30 } else { 15 };
        l.severity >= Severity::Warning && view.now.0 - l.last.0 <= minutes * MINUTE
    };
    probe_output(view, idx, out);
    let logs: Vec<&LogTemplate> = view
        .logs(idx)
        .filter(recent)
        .filter(|l| !l.trouble().is_empty())
        .collect();
    if logs.is_empty() {
        return;
    }
    out.extend(peer_certificate(view, idx, &logs));
    for error in ClientError::ALL {
        let lines = matching(&logs, error.class());
        out.extend(client_finding(view, idx, error, &lines));
    }
    for error in ServerError::ALL {
        let lines = matching(&logs, error.class());
        out.extend(server_finding(view, idx, error, &lines));
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

/// Replicas that reject one another's certificate: they form no cluster.
fn peer_certificate(view: &View<'_>, idx: Idx, logs: &[&LogTemplate]) -> Option<Finding> {
    const CLASS: Class = Class::CertificateExpired;
    let owner = view.top_owner(idx);
    let is_cluster = *view.graph.get(owner).kind() == Kind::StatefulSet;
    if !is_cluster || view.is_healthy(idx) != Some(false) {
        return None;
    }
    let line = logs.iter().find(|l| l.trouble().has(CLASS))?;
    let pods = view.pods_of(owner);
    let says = pods.iter().filter(|pod| says(view, **pod, CLASS)).count();
    let is_own = says >= 2 && named_server(view, idx, &line.sample).is_none();
    let message = format!(
        "The replicas of {} reject one another's certificate: {}",
        view.title(owner),
        short(&line.sample, 160)
    );
    let finding = view
        .finding(
            FaultId::ServiceCertificateInvalid,
            owner,
            idx,
            Strength::Strong,
        )
        .active(true)
        .message(message)
        .with([view.log_evidence(idx, line)]);
    is_own.then(|| finding.build())
}

/// What a server says about itself when the kubelet asks it: the output of a probe.
fn probe_output(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    for event in view.warnings(idx) {
        if &*event.reason != "Unhealthy" || !view.still_holds(idx, event) {
            continue;
        }
        let trouble = trouble::read(&event.message);
        let is_killed = is_killed_while_starting(view, idx, &event.message);
        for error in ServerError::ALL {
            if !trouble.has(error.class()) || is_killed {
                continue;
            }
            let owner = view.top_owner(idx);
            let said = short(&event.message, 200);
            out.push(
                view.finding(error.fault(), owner, idx, Strength::Strong)
                    .active(true)
                    .message(format!("{} says when probed: {said}", view.title(owner)))
                    .with([view.event_evidence(idx, event)])
                    .build(),
            );
        }
    }
}

fn matching<'a>(logs: &[&'a LogTemplate], class: Class) -> Vec<&'a LogTemplate> {
    let matching = logs.iter().filter(|log| log.trouble().has(class));
    matching.copied().collect()
}

fn client_finding(
    view: &View<'_>,
    idx: Idx,
    error: ClientError,
    lines: &[&LogTemplate],
) -> Option<Finding> {
    let first = lines
        .iter()
        .find(|l| !(error.is_a_refusal() && is_server_side(view, idx, &l.sample)))?;
    let owner = view.top_owner(idx);
    let message = format!(
        "{} {}: {}",
        view.title(owner),
        error.predicate(),
        short(&first.sample, 200)
    );
    // A migration that failed or has not run, or the other side, may be at fault as well.
    let strength = match error {
        ClientError::SchemaMissing | ClientError::VersionMismatch => Strength::Hint,
        _ => Strength::Strong,
    };
    Some(
        view.finding(error.fault(), owner, idx, strength)
            .active(true)
            .message(message)
            .with(lines.iter().take(5).map(|l| view.log_evidence(idx, l)))
            .build(),
    )
}

fn server_finding(
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
    let (blamed, strength) = if error.is_own() {
        (owner, Strength::Strong)
    } else {
        subject(view, idx, owner, &first.sample, error.class())
    };
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
    let fix = policy.map(|kind| format!("kubectl -n {namespace} edit {kind} <policy>"));
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

/// The only claim that a pod mounts.
fn claim_of(view: &View<'_>, pod: Idx) -> Option<Idx> {
    let mounts = view.graph.out(pod).filter(|(r, _)| *r == Relation::Mounts);
    let mut claims = mounts
        .map(|(_, mounted)| mounted)
        .filter(|i| *view.graph.get(*i).kind() == Kind::PersistentVolumeClaim);
    claims.next().filter(|_| claims.next().is_none())
}

/// Whether the writer is the server that refused a login. Databases and brokers log refusals as
/// well, and are known by their port or by the format of the line.
fn is_server_side(view: &View<'_>, idx: Idx, text: &str) -> bool {
    // A pooler is the client of its database, and reports that it could not log in there.
    if has(text, &["server login failed"]) {
        return false;
    }
    let serves = view
        .graph
        .incoming(idx)
        .filter(|(r, _)| *r == Relation::Selects)
        .filter_map(|(_, s)| view.object(s)?.service());
    let is_store = serves
        .flat_map(|s| s.ports.iter())
        .any(|p| is_database_port(p.port));
    is_store
        || has(
            text,
            &[
                "] fatal:  password authentication failed",
                "utc [",
                "[note]",
                "[warning] [my-",
                "detail:  connection matched",
            ],
        )
}

/// The server that a line is about, and how certain that is: the writer itself, or one that it
/// calls and whose error it repeats.
fn subject(view: &View<'_>, idx: Idx, owner: Idx, text: &str, class: Class) -> (Idx, Strength) {
    // The access log of the server's own proxy, which names the caller's request.
    if has(text, &["rbac_access_denied_matched_policy"]) {
        return (owner, Strength::Strong);
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
        view.object(**s)
            .and_then(|o| o.service())
            .is_some_and(|s| s.ports.iter().any(|p| is_database_port(p.port)))
    };
    // A line that names another product is not about the store of this one.
    let product = product::named(text).map(|product| &product.ports);
    let fits = |s: &&Idx| {
        let service = view.object(**s).and_then(|o| o.service());
        let mut ports = service.into_iter().flat_map(|s| s.ports.iter());
        product
            .iter()
            .all(|p| ports.any(|port| p.contains(&port.port)))
    };
    let stores: Vec<&Idx> = called.iter().filter(is_store).filter(fits).collect();
    if let Some(named) = called
        .iter()
        .find(|s| text.contains(view.graph.get(**s).name()))
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

/// The server of another component whose URL or address a line has.
fn named_server(view: &View<'_>, idx: Idx, text: &str) -> Option<Idx> {
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
fn says(view: &View<'_>, pod: Idx, class: Class) -> bool {
    let is_recent = |at: Time| view.now.0 - at.0 <= super::view::GRACE * 15;
    let mut warnings = view.warnings(pod);
    warnings.any(|e| is_recent(e.last) && trouble::read(&e.message).has(class))
        || view
            .logs(pod)
            .any(|l| is_recent(l.last) && l.trouble().has(class))
}
