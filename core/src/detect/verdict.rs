//! Which fault follows from what a controller says about an object.

use super::condition::Said;
use super::finding::Strength;
use super::mentions::Mention;
use super::server_error::ServerError;
use super::server_named::named_server;
use super::storage::unknown_node;
use super::text::has;
use super::{FaultId, View, account};
use crate::graph::{Idx, Relation};
use crate::model::Kind;
use crate::trouble::{self, Class};

/// The fault that an object has, as far as what its controller says shows.
pub(super) struct Verdict {
    pub(super) fault: FaultId,
    pub(super) blamed: Idx,
    pub(super) strength: Strength,
    /// To follow the name of the object.
    pub(super) predicate: String,
}

impl Verdict {
    pub(super) fn of(view: &View<'_>, said: &Said, named: &[Mention]) -> Self {
        refused_backend(view, said)
            .or_else(|| server_state(view, said))
            .or_else(|| missing_mention(view, said, named))
            .or_else(|| missing_reference(view, said.idx))
            .or_else(|| by_trouble(view, said))
            .or_else(|| rejected_spec(view, said))
            .unwrap_or_else(|| Self::of_kind(view, said))
    }

    /// Without a reason of another kind. What is named for one thing alone says so itself.
    fn of_kind(view: &View<'_>, said: &Said) -> Self {
        let fault = kind_fault(view, said.idx);
        let node = unknown_node(view, &said.text);
        let node = node.filter(|_| fault == FaultId::StorageAttachFailed);
        let strength = match fault {
            FaultId::ServiceCertificateInvalid | FaultId::StorageAttachFailed => Strength::Strong,
            _ => Strength::Fair,
        };
        Self {
            fault,
            blamed: node.unwrap_or_else(|| blamed_by_kind(view, said.idx)),
            strength,
            predicate: "is not healthy".to_owned(),
        }
    }

    fn missing(view: &View<'_>, idx: Idx, kind: &Kind, name: &str) -> Option<Self> {
        let fault = match kind {
            Kind::Secret => FaultId::ConfigSecretMissing,
            Kind::ConfigMap => FaultId::ConfigConfigmapMissing,
            Kind::ServiceAccount => FaultId::AdmissionServiceAccountMissing,
            Kind::Service if is_route(view, idx) => FaultId::ServiceRouteWrong,
            Kind::Service | Kind::Other(_) => kind_fault(view, idx),
            _ => return None,
        };
        Some(Self {
            fault,
            blamed: idx,
            strength: Strength::Strong,
            predicate: format!("refers to {kind} `{name}`, which does not exist"),
        })
    }
}

/// What the message says is missing.
fn missing_mention(view: &View<'_>, said: &Said, named: &[Mention]) -> Option<Verdict> {
    named
        .iter()
        .filter(|m| m.is_missing && m.resolve(view, said.idx).is_none())
        .find_map(|m| Verdict::missing(view, said.idx, &m.kind, &m.name))
}

/// Reasons of Gateway API for which a route cannot use its backend.
const REFUSED_BACKEND: [&str; 4] = [
    "RefNotPermitted",
    "BackendNotFound",
    "InvalidKind",
    "PortNotFound",
];

/// A route whose backend the gateway cannot use.
fn refused_backend(view: &View<'_>, said: &Said) -> Option<Verdict> {
    let is_refused = REFUSED_BACKEND.iter().any(|r| said.text.starts_with(r));
    (is_refused && is_route(view, said.idx)).then(|| Verdict {
        fault: FaultId::ServiceRouteWrong,
        blamed: said.idx,
        strength: Strength::Strong,
        predicate: "has a backend that it cannot use".to_owned(),
    })
}

/// Whether an object routes traffic to Services.
pub(super) fn is_route(view: &View<'_>, idx: Idx) -> bool {
    view.graph.out(idx).any(|(r, _)| r == Relation::Routes)
}

/// What the spec refers to and does not exist, where that kind is known.
fn missing_reference(view: &View<'_>, idx: Idx) -> Option<Verdict> {
    let uses = || view.graph.out(idx).filter(|(r, _)| *r == Relation::Uses);
    // What it takes over from an object of the cluster is in the namespace of the controller.
    let is_of_cluster = |target: Idx| {
        let kind = view.graph.get(target).kind();
        matches!(kind, Kind::Other(name) if name.starts_with("Cluster"))
    };
    if uses().any(|(_, target)| is_of_cluster(target)) {
        return None;
    }
    uses()
        .map(|(_, target)| target)
        .filter(|target| !view.exists(*target))
        .find_map(|target| {
            let node = view.graph.get(target);
            Verdict::missing(view, idx, node.kind(), node.name())
        })
}

/// The fault that the words of the message mean.
fn by_trouble(view: &View<'_>, said: &Said) -> Option<Verdict> {
    let classes = trouble::read(&said.text);
    let of_writer = [
        (
            Class::LoginRefused,
            FaultId::DependencyCredentialsRejected,
            "is refused the login",
        ),
        (
            Class::RbacForbidden,
            FaultId::AdmissionRbacForbidden,
            "is not authorized by RBAC",
        ),
        (
            Class::SourceUnavailable,
            FaultId::ConfigSourceUnavailable,
            "cannot fetch its source",
        ),
        (
            Class::CertificateExpired,
            FaultId::ServiceCertificateInvalid,
            "reports an invalid certificate",
        ),
        (
            Class::CertificateName,
            FaultId::ServiceCertificateInvalid,
            "reports an invalid certificate",
        ),
        (
            Class::CertificateUntrusted,
            FaultId::ServiceCertificateInvalid,
            "reports an invalid certificate",
        ),
        (
            Class::ProtocolMismatch,
            FaultId::ServiceProtocolMismatch,
            "reports a server that speaks another protocol",
        ),
        (
            Class::Unresolved,
            FaultId::ServiceNameUnresolved,
            "uses a name that does not resolve",
        ),
    ];
    let known = of_writer.iter().find(|(class, _, _)| {
        // Controllers resolve images and packages as well as hosts.
        let names_host = || trouble::host_of(&said.text, |c| c == *class).is_some();
        classes.has(*class) && (*class != Class::Unresolved || names_host())
    });
    if let Some((_, fault, predicate)) = known {
        // A controller that is not authorized says so at each object that it cares for.
        let holder =
            account::holder(view, &said.text).filter(|_| *fault == FaultId::AdmissionRbacForbidden);
        let predicate = match holder {
            Some(holder) => format!("shows that {} {predicate}", view.title(holder)),
            None => (*predicate).to_owned(),
        };
        let is_unknown = *fault == FaultId::ServiceNameUnresolved && names_no_service(view, said);
        let (fault, predicate) = if is_unknown {
            let predicate = "uses the name of a Service that does not exist";
            (FaultId::ServiceAddressWrong, predicate.to_owned())
        } else {
            (*fault, predicate)
        };
        return Some(Verdict {
            fault,
            blamed: holder.unwrap_or(said.idx),
            strength: Strength::Strong,
            predicate,
        });
    }
    let server = named_server(view, said.idx, &said.text)?;
    classes.has_any(&UNREACHED).then(|| Verdict {
        fault: FaultId::DependencyDown,
        blamed: server,
        strength: Strength::Fair,
        predicate: format!("cannot use {}", view.title(server)),
    })
}

/// How controllers say that they do not reach a server.
const UNREACHED: [Class; 6] = [
    Class::Refused,
    Class::Unavailable,
    Class::TimedOut,
    Class::ConnectTimedOut,
    Class::NoRoute,
    Class::Disconnected,
];

/// What a server answered of itself: the object only passes it on.
fn server_state(view: &View<'_>, said: &Said) -> Option<Verdict> {
    let classes = trouble::read(&said.text);
    let state = ServerError::REPEATED
        .into_iter()
        .find(|state| classes.has(state.class()));
    let certificate = [Class::CertificateExpired, Class::CertificateName];
    let fault = match state {
        Some(state) => state.fault(),
        None if classes.has_any(&certificate) => FaultId::ServiceCertificateInvalid,
        None => return None,
    };
    let server = named_server(view, said.idx, &said.text)?;
    Some(Verdict {
        fault,
        blamed: server,
        strength: Strength::Strong,
        predicate: format!("cannot use {}", view.title(server)),
    })
}

/// How controllers say that they cannot work with the spec of an object.
const REJECTED: [&str; 16] = [
    "is invalid",
    "invalid value",
    "invalid spec",
    "invalid configuration",
    "validation failed",
    "failed validation",
    "failed to validate",
    "unknown field",
    "must match",
    "must be one of",
    "must not be",
    "don't meet the specifications of the schema",
    "missing required",
    "path not found",
    "cannot be reached because only",
    "tasks that don't exist",
];

/// An object whose spec its controller does not accept.
fn rejected_spec(view: &View<'_>, said: &Said) -> Option<Verdict> {
    let is_plain = kind_fault(view, said.idx) == FaultId::OperatorConditionFailed;
    (is_plain && has(&said.text, &REJECTED)).then(|| Verdict {
        fault: FaultId::ConfigArgumentsInvalid,
        blamed: said.idx,
        strength: Strength::Strong,
        predicate: "has a spec that its controller does not accept".to_owned(),
    })
}

/// Whether the name that does not resolve is one of the cluster's domain, in a namespace whose
/// Services are known.
fn names_no_service(view: &View<'_>, said: &Said) -> bool {
    let Some((host, _)) = trouble::host_of(&said.text, |c| c == Class::Unresolved) else {
        return false;
    };
    let namespace = view.graph.get(said.idx).namespace();
    let alias = crate::graph::called(&host, namespace);
    alias.kind == Kind::Service
        && (view.knows(&Kind::Service, &alias.namespace)
            || view.is_namespace_absent(&alias.namespace))
        && view
            .graph
            .find_live(Kind::Service, &alias.namespace, &alias.name)
            .is_none()
}

/// The fault of an object of this kind whose controller gives no reason of another kind.
pub(super) fn kind_fault(view: &View<'_>, idx: Idx) -> FaultId {
    match view.graph.get(idx).kind().as_str() {
        "SecretStore" | "ClusterSecretStore" => FaultId::OperatorSecretStoreInvalid,
        "APIService" => FaultId::ControlplaneAggregatedApiUnavailable,
        // Those of cert-manager: whatever fails, there is no valid certificate in the end.
        "Certificate" | "CertificateRequest" | "Order" | "Challenge" => {
            FaultId::ServiceCertificateInvalid
        }
        "ScaledObject" | "ScaledJob" => FaultId::AutoscalingTriggerFailing,
        "VolumeAttachment" => FaultId::StorageAttachFailed,
        _ => FaultId::OperatorConditionFailed,
    }
}

/// An aggregated API is served by a Service, and an attachment is that of a volume; other objects
/// are at fault themselves.
pub(super) fn blamed_by_kind(view: &View<'_>, idx: Idx) -> Idx {
    let meant = match view.graph.get(idx).kind().as_str() {
        "APIService" => Kind::Service,
        "VolumeAttachment" => Kind::PersistentVolume,
        _ => return idx,
    };
    let mut targets = view.graph.out(idx).map(|(_, target)| target);
    let is_meant = |i: &Idx| *view.graph.get(*i).kind() == meant && view.object(*i).is_some();
    targets.find(is_meant).unwrap_or(idx)
}
