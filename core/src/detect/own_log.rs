//! What one workload's own log says: of a dependency that turns it away, of itself, of the disk it
//! writes to.

use std::collections::BTreeSet;

use super::dependency::is_database_port;
use super::finding::{Finding, Strength};
use super::reading::Reading;
use super::text::{has, short};
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::model::{Kind, Severity};

/// What a client logs about itself and what it calls: the setting, the right or the pool is the
/// client's.
const CLIENT_SIDE: [(FaultId, &[&str]); 5] = [
    (
        FaultId::DependencyCredentialsRejected,
        &[
            "password authentication failed",
            "access denied for user",
            "wrongpass",
            "noauth authentication required",
            "sasl authentication",
            "access_refused",
            "login was refused",
            "login failed for user",
            "(403) access_refused",
            "unauthenticated desc",
            "authentication failed",
            "invalid username or password",
            "invalid credentials",
            "401 unauthorized",
        ],
    ),
    (
        FaultId::DependencyDatabaseMissing,
        &[
            "unknown database",
            "database \"",
            "no such database",
            "ns does not exist",
        ],
    ),
    (
        FaultId::PerformancePoolExhausted,
        &[
            "connection is not available, request timed out",
            "queuepool limit of size",
            "timeout acquiring a connection",
            "resourcerequest timed out",
            "timeout waiting for connection from pool",
            "connection pool timeout",
            "connection pool exhausted",
            "connection pool is exhausted",
            "pool exhausted",
            "no available connection in pool",
            "could not get a resource from the pool",
            "timeout: pool empty",
            "obtaining a connection from the pool",
        ],
    ),
    (
        FaultId::AdmissionRbacForbidden,
        &[
            "\" cannot list resource",
            "\" cannot get resource",
            "\" cannot watch resource",
            "\" cannot create resource",
            "\" cannot update resource",
            "\" cannot patch resource",
            "\" cannot delete resource",
        ],
    ),
    (
        FaultId::StorageReadOnlyFilesystem,
        &["read-only file system", "erofs:"],
    ),
];

/// Refusals that a server tells its own users as well: only with words of a connection they are
/// about a dependency.
const AMBIGUOUS: [&str; 5] = [
    "authentication failed",
    "invalid username or password",
    "invalid credentials",
    "401 unauthorized",
    "login failed for user",
];
const CONNECTION: [&str; 20] = [
    "connect",
    "dial",
    "driver",
    "jdbc",
    "sql",
    "redis",
    "mongo",
    "kafka",
    "amqp",
    "rabbit",
    "sasl",
    "broker",
    "pool",
    "ldap",
    "smtp",
    "upstream",
    "rpc error",
    "datasource",
    "backend",
    "database",
];

/// What a dependency's own log says about it.
const OWN: [(FaultId, &[&str]); 4] = [
    (
        FaultId::DependencyConnectionLimit,
        &[
            "too many connections",
            "too many clients",
            "remaining connection slots are reserved",
            "max number of clients reached",
            "connection limit exceeded",
            "too_many_connections",
        ],
    ),
    (
        FaultId::DependencyReadOnly,
        &[
            "read-only transaction",
            "read only replica",
            "readonly you can't write",
            "--read-only option",
            "not primary",
            "not master",
        ],
    ),
    (
        FaultId::DependencyDown,
        &[
            "database system is in recovery mode",
            "database system is starting up",
            "database system is shut down",
            "not yet accepting connections",
            "could not write to file",
            "panic:  could not",
            "loading redis is loading",
            "loading the dataset in memory",
            "cluster is down",
            "clusterdown",
        ],
    ),
    (
        FaultId::StorageVolumeFull,
        &["no space left on device", "enospc", "disk quota exceeded"],
    ),
];

/// Which kinds of refusal that clients log a line is, as bits.
pub(super) fn client_side(text: &str) -> u32 {
    let said = |(fault, phrases): &(FaultId, &[&str])| {
        has(text, phrases)
            && match *fault {
                FaultId::DependencyDatabaseMissing => has(
                    text,
                    &["unknown database", "does not exist", "no such database"],
                ),
                FaultId::DependencyCredentialsRejected => {
                    let plain = phrases
                        .iter()
                        .filter(|p| !AMBIGUOUS.contains(p))
                        .any(|p| has(text, &[p]));
                    plain || has(text, &CONNECTION)
                }
                _ => true,
            }
    };
    bits(CLIENT_SIDE.iter().map(said))
}

/// Which kinds of trouble of a server with itself a line tells of, as bits.
pub(super) fn own(text: &str) -> u32 {
    bits(OWN.iter().map(|(_, phrases)| has(text, phrases)))
}

fn bits(said: impl Iterator<Item = bool>) -> u32 {
    said.enumerate().map(|(i, yes)| u32::from(yes) << i).sum()
}

pub(super) fn findings(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let recent = |l: &&LogTemplate| {
        l.severity >= Severity::Warning && view.now.0 - l.last.0 <= super::view::GRACE * 15
    };
    let logs: Vec<(Reading, &LogTemplate)> = view
        .logs(idx)
        .filter(recent)
        .map(|l| (Reading::of(l), l))
        .filter(|(r, _)| !r.is_silent())
        .collect();
    if logs.is_empty() {
        return;
    }
    let owner = view.top_owner(idx);
    for (i, &(fault, _)) in CLIENT_SIDE.iter().enumerate() {
        let hit: Vec<_> = logs
            .iter()
            .filter(|(r, _)| r.is_client_side(i))
            .map(|(_, l)| *l)
            .collect();
        // A server that logs refusals of others is not the one with the wrong setting: a client
        // names where it went.
        let refuses = matches!(
            fault,
            FaultId::DependencyCredentialsRejected | FaultId::DependencyDatabaseMissing
        );
        let Some(first) = hit
            .iter()
            .find(|l| !(refuses && is_server_side(view, idx, &l.sample)))
        else {
            continue;
        };
        let trouble = match fault {
            FaultId::PerformancePoolExhausted => "has no free connection left",
            FaultId::AdmissionRbacForbidden => "lacks a right at the API server",
            FaultId::StorageReadOnlyFilesystem => "cannot write to its file system",
            _ => "is turned away by what it depends on",
        };
        let says = format!(
            "{} {trouble}: {}",
            view.title(owner),
            short(&first.sample, 200)
        );
        out.push(said(
            view,
            (fault, owner, idx, Strength::Strong),
            says,
            &hit,
        ));
    }
    for (i, &(fault, _)) in OWN.iter().enumerate() {
        let hit: Vec<_> = logs
            .iter()
            .filter(|(r, _)| r.is_own(i))
            .map(|(_, l)| *l)
            .collect();
        let Some(first) = hit.first() else { continue };
        // A full disk is the writer's own, whatever it calls.
        let is_own = fault == FaultId::StorageVolumeFull;
        let (blamed, strength) = if is_own {
            (owner, Strength::Strong)
        } else {
            sayer(view, idx, owner, &first.sample)
        };
        let says = format!("{} says: {}", view.title(blamed), short(&first.sample, 200));
        out.push(said(view, (fault, blamed, idx, strength), says, &hit));
    }
}

fn said(
    view: &View<'_>,
    (fault, blamed, on, strength): (FaultId, Idx, Idx, Strength),
    says: String,
    logs: &[&LogTemplate],
) -> Finding {
    let evidence = logs.iter().take(5).map(|l| view.log_evidence(on, l));
    view.finding(fault, blamed, on, strength)
        .active(true)
        .says(says)
        .with(evidence)
        .build()
}

/// Stores and brokers log refused logins as well: what stands behind a well-known port of theirs is
/// not the client.
fn is_server_side(view: &View<'_>, idx: Idx, text: &str) -> bool {
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

/// Whether the writer speaks of itself or repeats what one it calls answered: then that one is
/// meant.
fn sayer(view: &View<'_>, idx: Idx, owner: Idx, text: &str) -> (Idx, Strength) {
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
    let stores: Vec<&Idx> = called.iter().filter(is_store).collect();
    if let Some(named) = called
        .iter()
        .find(|s| text.contains(view.graph.get(**s).name()))
    {
        return (*named, Strength::Strong);
    }
    if let [only] = stores.as_slice() {
        return (**only, Strength::Strong);
    }
    match only_store(view, owner, text) {
        Some(store) if stores.is_empty() => (store, Strength::Fair),
        _ if called.is_empty() => (owner, Strength::Strong),
        _ => (owner, Strength::Fair),
    }
}

/// The only one in the writer's namespace that serves at a port of those that speak like this; none
/// when that is the writer itself. Where settings hide whom a client calls, in a Secret for
/// instance, its words still tell the kind of store.
fn only_store(view: &View<'_>, owner: Idx, text: &str) -> Option<Idx> {
    let ports: &[i64] = if has(
        text,
        &[
            "redis",
            "readonly you can't",
            "clusterdown",
            "max number of clients",
        ],
    ) {
        &[6379]
    } else if has(text, &["not primary", "not master"]) {
        &[27017]
    } else if has(
        text,
        &[
            "sql",
            "jdbc",
            "psycopg",
            "too many clients",
            "connection slots",
            "data source",
            "--read-only",
        ],
    ) {
        &[3306, 5432, 1433, 1521]
    } else {
        return None;
    };
    let namespace = view.graph.get(owner).namespace();
    let serves = |s: &Idx| {
        let service = view.object(*s).and_then(|o| o.service());
        view.graph.get(*s).namespace() == namespace
            && service.is_some_and(|s| s.ports.iter().any(|p| ports.contains(&p.port)))
    };
    let stores: Vec<Idx> = view.graph.of_kind(&Kind::Service).filter(serves).collect();
    let components: BTreeSet<_> = stores.iter().map(|s| view.component_id(*s)).collect();
    let is_one = components.len() == 1 && !components.contains(&view.component_id(owner));
    stores.first().copied().filter(|_| is_one)
}
