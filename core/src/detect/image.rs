//! Images that cannot be pulled or run.

use super::finding::{Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View, registry};
use crate::graph::{Idx, Relation};
use crate::model::object::pod::{PodSpec, is_pull_failure};
use crate::trouble::{self, Class};

/// How container runtimes report why a pull failed, the most specific first.
const REASONS: [(FaultId, &[&str]); 6] = [
    (
        FaultId::ImageRegistryRateLimited,
        &[
            "toomanyrequests",
            "429 too many requests",
            "pull rate limit",
        ],
    ),
    (
        FaultId::ImageRegistryUnresolvable,
        &[
            "no such host",
            "temporary failure in name resolution",
            "server misbehaving",
            "name or service not known",
        ],
    ),
    (
        FaultId::ImageArchitectureMismatch,
        &["no match for platform", "no matching manifest for"],
    ),
    (
        FaultId::ImagePullUnauthorized,
        &[
            "unauthorized",
            "authentication required",
            "authorization failed",
            "403 forbidden",
            "401 unauthorized",
            "no basic auth",
            "pull access denied",
            "denied:",
        ],
    ),
    (
        FaultId::ImageReferenceWrong,
        &[
            "manifest unknown",
            "not found",
            "invalid reference format",
            "couldn't parse image",
            "invalidimagename",
            "does not exist",
            "name unknown",
            "is not present with pull policy of never",
        ],
    ),
    (
        FaultId::ImageRegistryUnreachable,
        &[
            "i/o timeout",
            "connection refused",
            "deadline exceeded",
            "tls handshake",
            "x509",
            "no route to host",
            "eof",
            "connection reset",
            "context canceled",
            "503 service",
            "500 internal",
        ],
    ),
];

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let statuses = view.pod(idx).map(|p| p.status.all_containers());
    let waiting = statuses.into_iter().flatten().find(|c| {
        let waiting = c.state.waiting.as_ref();
        let reason = waiting.and_then(|w| w.reason.as_deref());
        reason.is_some_and(is_pull_failure)
    });
    let is_failing = still_fails(view, idx);
    let pulls: Vec<_> = view
        .events(idx)
        .filter(|e| {
            has(
                &e.message,
                &[
                    "failed to pull image",
                    "failed to apply default image tag",
                    "back-off pulling image",
                    "ErrImageNeverPull",
                ],
            ) || &*e.reason == "InspectFailed"
        })
        .filter(|e| view.still_holds(idx, e) || is_failing)
        .collect();
    if (waiting.is_none() && pulls.is_empty()) || !view.exists(idx) {
        return;
    }
    let state_message = waiting
        .and_then(|c| c.state.waiting.as_ref())
        .and_then(|w| w.message.as_deref())
        .unwrap_or("");
    let image = image_name(
        view,
        idx,
        waiting.map(|c| &*c.name),
        pulls.first().map(|e| &*e.message),
    );
    let mut messages: Vec<&str> = pulls.iter().rev().map(|e| &*e.message).collect();
    messages.push(state_message);
    let known = messages
        .iter()
        .find_map(|m| reason(m).map(|fault| (fault, *m)));
    let (fault, strength, why) = match known {
        Some((fault, message)) => (
            refine(fault, message, view, idx),
            Strength::Proof,
            cause_text(message),
        ),
        // If no other image comes from that registry, its host name is more likely wrong than the
        // rest of the reference.
        None if is_unused_registry(view, idx, &image) => (
            FaultId::ImageRegistryUnresolvable,
            Strength::Fair,
            "no other image comes from that registry".to_owned(),
        ),
        None => (
            FaultId::ImageReferenceWrong,
            Strength::Fair,
            "the container runtime gave no reason".to_owned(),
        ),
    };
    let owner = view.top_owner(idx);
    let placed = view.graph.out(idx).find(|(r, _)| *r == Relation::RunsOn);
    let node = placed.map(|(_, node)| node);
    let blamed = node
        .filter(|_| fault == FaultId::NodeDiskPressure)
        .unwrap_or(owner);
    let evidence = pulls
        .iter()
        .map(|e| view.event_evidence(idx, e))
        .chain(waiting.map(|c| {
            let reason = c
                .state
                .waiting
                .as_ref()
                .and_then(|w| w.reason.as_deref())
                .unwrap_or("");
            view.state_evidence(idx, format!("container `{}` is waiting: {reason}", c.name))
        }));
    out.push(
        view.finding(fault, blamed, idx, strength)
            .active(true)
            .message(format!("Image `{image}` cannot be pulled: {why}"))
            .with(evidence)
            .build(),
    );
}

/// Why a pull failed: by what runtimes say about images, else by the trouble that it names.
fn reason(message: &str) -> Option<FaultId> {
    const BY_CLASS: [(FaultId, &[Class]); 3] = [
        (FaultId::NodeDiskPressure, &[Class::NoSpace]),
        (
            FaultId::ImageRegistryUnresolvable,
            &[Class::Unresolved, Class::ResolverSilent],
        ),
        (
            FaultId::ImageRegistryUnreachable,
            &[
                Class::Refused,
                Class::NoRoute,
                Class::ConnectTimedOut,
                Class::TimedOut,
                Class::Disconnected,
                Class::Unavailable,
                Class::ProtocolMismatch,
                Class::CertificateUntrusted,
                Class::CertificateExpired,
                Class::CertificateName,
            ],
        ),
    ];
    let said = REASONS.iter().find(|(_, phrases)| has(message, phrases));
    said.map(|(fault, _)| *fault).or_else(|| {
        let classes = trouble::read(message);
        let by_class = BY_CLASS.iter().find(|(_, any)| classes.has_any(any));
        by_class.map(|(fault, _)| *fault)
    })
}

/// Whether the kubelet still reports that a pull fails: it gives the reason once.
fn still_fails(view: &View<'_>, idx: Idx) -> bool {
    view.warnings(idx)
        .any(|e| has(&e.message, &["ErrImagePull", "ImagePullBackOff"]) && view.still_holds(idx, e))
}

/// From how many containers what registries a namespace uses is known.
const FEW: usize = 4;

/// Whether no running container of the namespace has an image from the same registry.
fn is_unused_registry(view: &View<'_>, idx: Idx, image: &str) -> bool {
    let Some(own) = registry::host(image) else {
        return false;
    };
    let namespace = view.graph.get(idx).namespace();
    let others = view
        .graph
        .pods(namespace)
        .filter(|p| view.is_pod_healthy(*p))
        .filter_map(|p| view.pod_spec(p));
    let images: Vec<&str> = others
        .flat_map(PodSpec::all_containers)
        .filter_map(|c| c.image.as_deref())
        .collect();
    images.len() >= FEW && images.iter().all(|i| registry::host(i) != Some(own))
}

/// Registries give the same answer for a private and a missing repository; without a pull secret a
/// wrong name is more likely.
fn refine(fault: FaultId, message: &str, view: &View<'_>, idx: Idx) -> FaultId {
    let has_secret = view
        .pod_spec(idx)
        .is_some_and(|s| !s.image_pull_secrets.is_empty());
    // A host before the name is a private registry, which asks for credentials.
    let public = has(message, &["docker.io/"])
        || super::text::quoted_after(message, "image ")
            .is_some_and(|i| !i.split('/').next().unwrap_or("").contains('.'));
    let ambiguous = has(message, &["repository does not exist or may require"]) && public;
    if fault == FaultId::ImagePullUnauthorized && ambiguous && !has_secret {
        FaultId::ImageReferenceWrong
    } else {
        fault
    }
}

fn cause_text(message: &str) -> String {
    // The last parts of a wrapped error have the reason; the first ones only pass it on.
    let tail: Vec<&str> = message.rsplit(": ").take(2).collect();
    short(&tail.into_iter().rev().collect::<Vec<_>>().join(": "), 160)
}

fn image_name(view: &View<'_>, idx: Idx, container: Option<&str>, message: Option<&str>) -> String {
    let from_event = message.and_then(|m| super::text::quoted_after(m, "image "));
    let from_spec = view.pod_spec(idx).and_then(|s| {
        s.all_containers()
            .find(|c| container.unwrap_or(&*c.name) == &*c.name)
            .and_then(|c| c.image.as_deref())
    });
    from_event.or(from_spec).unwrap_or("?").to_owned()
}
