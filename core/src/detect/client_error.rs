//! Errors that a workload logs as the client of a dependency.

use super::dependency::is_database_port;
use super::finding::{Finding, Strength};
use super::server_named::named_server;
use super::text::{has, short};
use super::{FaultId, View, odd_secret};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::trouble::{Class, product};

/// An error whose cause is on the side of the workload that logs it: its setting, permission or
/// pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientError {
    CredentialsRejected,
    DatabaseMissing,
    PoolExhausted,
    RbacForbidden,
    ReadOnlyFilesystem,
    SchemaMissing,
    RecordUnreadable,
    VersionMismatch,
    CertificateRefused,
    MessageTooLarge,
    DataIncompatible,
}

impl ClientError {
    pub(super) const ALL: [Self; 11] = [
        Self::CredentialsRejected,
        Self::DatabaseMissing,
        Self::PoolExhausted,
        Self::RbacForbidden,
        Self::ReadOnlyFilesystem,
        Self::SchemaMissing,
        Self::RecordUnreadable,
        Self::VersionMismatch,
        Self::CertificateRefused,
        Self::MessageTooLarge,
        Self::DataIncompatible,
    ];

    pub(super) fn fault(self) -> FaultId {
        match self {
            Self::CredentialsRejected => FaultId::DependencyCredentialsRejected,
            Self::DatabaseMissing => FaultId::DependencyDatabaseMissing,
            Self::PoolExhausted => FaultId::PerformancePoolExhausted,
            Self::RbacForbidden => FaultId::AdmissionRbacForbidden,
            Self::ReadOnlyFilesystem => FaultId::StorageReadOnlyFilesystem,
            Self::SchemaMissing
            | Self::RecordUnreadable
            | Self::VersionMismatch
            | Self::DataIncompatible => FaultId::DependencyVersionMismatch,
            Self::CertificateRefused => FaultId::ServiceCertificateInvalid,
            Self::MessageTooLarge => FaultId::ConfigEnvInvalid,
        }
    }

    /// The class of trouble that reports this error.
    pub(super) fn class(self) -> Class {
        match self {
            Self::CredentialsRejected => Class::LoginRefused,
            Self::DatabaseMissing => Class::DatabaseMissing,
            Self::PoolExhausted => Class::PoolExhausted,
            Self::RbacForbidden => Class::RbacForbidden,
            Self::ReadOnlyFilesystem => Class::ReadOnlyFilesystem,
            Self::SchemaMissing => Class::SchemaMissing,
            Self::RecordUnreadable => Class::RecordUnreadable,
            Self::VersionMismatch => Class::VersionMismatch,
            Self::CertificateRefused => Class::ClientCertificateRefused,
            Self::MessageTooLarge => Class::MessageTooLarge,
            Self::DataIncompatible => Class::DataIncompatible,
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
            Self::RecordUnreadable => "cannot decode the records that it reads",
            Self::SchemaMissing => "uses a table or column that its database does not have",
            Self::CertificateRefused => "has a certificate that its server does not accept",
            Self::MessageTooLarge => "sends or gets more at once than a limit allows",
            Self::DataIncompatible => "cannot continue what another version of it began",
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

pub(super) fn client_finding(
    view: &View<'_>,
    idx: Idx,
    error: ClientError,
    lines: &[&LogTemplate],
) -> Option<Finding> {
    let first = lines
        .iter()
        .find(|l| !(error.is_a_refusal() && is_server_side(view, idx, &l.sample)))?;
    let owner = view.top_owner(idx);
    if error == ClientError::CredentialsRejected
        && let Some(finding) = odd_server(view, idx, first, lines)
    {
        return Some(finding);
    }
    let message = format!(
        "{} {}: {}",
        view.title(owner),
        error.predicate(),
        short(&first.sample, 200)
    );
    // A migration that failed or has not run, or the other side, may be at fault as well.
    let strength = match error {
        ClientError::SchemaMissing
        | ClientError::RecordUnreadable
        | ClientError::VersionMismatch => Strength::Hint,
        ClientError::MessageTooLarge => Strength::Fair,
        ClientError::CredentialsRejected if refuses_a_caller(view, idx, &first.sample) => {
            Strength::Hint
        }
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

/// The server that a line names, if it holds another Secret than the writer and its other peers.
fn odd_server(
    view: &View<'_>,
    idx: Idx,
    first: &LogTemplate,
    lines: &[&LogTemplate],
) -> Option<Finding> {
    let server = named_server(view, idx, &first.sample)?;
    let owner = view.top_owner(idx);
    let odd = odd_secret::server(view, owner, server)?;
    let message = format!(
        "{} refuses {}: it uses Secret `{}`, its peers use `{}`: {}",
        view.title(odd.workload),
        view.title(owner),
        odd.secret,
        odd.usual,
        short(&first.sample, 160)
    );
    let finding = view
        .finding(
            FaultId::DependencyCredentialsRejected,
            odd.workload,
            idx,
            Strength::Proof,
        )
        .active(true)
        .message(message)
        .with([view.state_evidence(odd.workload, format!("uses Secret `{}`", odd.secret))])
        .with(lines.iter().take(5).map(|l| view.log_evidence(idx, l)));
    Some(finding.build())
}

/// Whether a line of a program that runs well refuses a caller of its own: it has the address of
/// one that the cluster does not know, and names no server. What serves users refuses some of them
/// every day.
fn refuses_a_caller(view: &View<'_>, idx: Idx, text: &str) -> bool {
    const OF_CLIENTS: [&str; 8] = [
        "connect to",
        "connection to",
        "dial ",
        "://",
        "host=",
        // Relays of mail repeat what the next server answers.
        " said: ",
        "relay=",
        "; server ",
    ];
    let is_address = |word: &str| {
        let ip = word.parse::<std::net::IpAddr>();
        ip.is_ok_and(|ip| !ip.is_loopback() && !ip.is_unspecified())
            && view.graph.by_address(word).is_none()
    };
    let mut words = text.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':')));
    view.is_healthy(idx) == Some(true)
        && !has(text, &OF_CLIENTS)
        && words.any(|word| {
            let (host, port) = word.rsplit_once(':').unwrap_or((word, ""));
            is_address(word) || is_address(host) && port.bytes().all(|c| c.is_ascii_digit())
        })
}

/// Whether the writer is the server that refused a login. Databases and brokers log refusals as
/// well, and are known by their port or by the format of the line.
fn is_server_side(view: &View<'_>, idx: Idx, text: &str) -> bool {
    // A pooler is the client of its database, and reports that it could not log in there.
    if has(text, &["server login failed"]) {
        return false;
    }
    // A member of a cluster is the client of another one that it names.
    if named_server(view, idx, text).is_some() {
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
        || view.is_healthy(idx) == Some(true) && is_server_image(view, idx)
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

/// Whether a container runs the image of a known server.
fn is_server_image(view: &View<'_>, idx: Idx) -> bool {
    let spec = view.pod_spec(idx);
    let mut images = spec
        .into_iter()
        .flat_map(|spec| spec.containers.iter())
        .filter_map(|c| c.image.as_deref());
    images.any(|image| {
        let name = image.rsplit('/').next().unwrap_or(image);
        product::is_server(name.split([':', '@']).next().unwrap_or(name))
    })
}
