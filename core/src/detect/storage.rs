//! Claims that are not bound, and volumes that cannot be attached, mounted or written.

use super::finding::{Evidence, Finding, Strength};
use super::fixes::edit_quota;
use super::scheduling::unschedulable;
use super::storage_verdict::{from_message, judge};
use super::text::{has, quoted_after, short};
use super::{FaultId, View, piled_up};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::model::object::{Claim, Quota};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};
use crate::trouble::{self, Class};

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.exists(idx) {
        return;
    }
    // A program that cannot write may go on to answer its probe.
    write_errors(view, idx, out);
    if view.is_pod_healthy(idx) {
        return;
    }
    missing_claims(view, idx, out);
    unbound(view, idx, out);
    mount_errors(view, idx, out);
}

/// Claims that the pod uses but that do not exist. If a storage quota has no room, the claim was
/// probably refused.
fn missing_claims(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let namespace = view.graph.get(idx).namespace();
    let events: Vec<_> = view
        .warnings(idx)
        .filter(|e| {
            has(&e.message, &["persistentvolumeclaim \""])
                && has(&e.message, &["not found"])
                && view.still_holds(idx, e)
        })
        .collect();
    let said = unschedulable(view, idx)
        .filter(|m| has(m, &["persistentvolumeclaim \""]) && has(m, &["not found"]));
    let in_spec = view
        .pod_spec(idx)
        .into_iter()
        .flat_map(|s| s.volumes.iter())
        .filter_map(|v| v.persistent_volume_claim.as_ref())
        .map(|c| &*c.claim_name);
    let in_message = events
        .iter()
        .map(|e| &*e.message)
        .chain(said)
        .filter_map(|m| quoted_after(m, "persistentvolumeclaim "));
    let mut names: Vec<&str> = in_spec.chain(in_message).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let is_missing = view
            .graph
            .find_live(Kind::PersistentVolumeClaim, namespace, name)
            .is_none();
        let is_reported = events
            .iter()
            .map(|e| &*e.message)
            .chain(said)
            .any(|m| m.contains(name));
        if !is_missing || !(is_reported || view.knows(&Kind::PersistentVolumeClaim, namespace)) {
            continue;
        }
        let owner = view.top_owner(idx);
        let evidence: Vec<Evidence> = events.iter().map(|e| view.event_evidence(idx, e)).collect();
        if let Some(quota) = storage_quota(view, namespace) {
            let message = format!(
                "ResourceQuota `{}` in namespace `{namespace}` {}: PVC `{name}` of {} does not \
                 exist",
                view.graph.get(quota.idx).name(),
                quota.usage,
                view.title(owner)
            );
            let evidence = evidence
                .iter()
                .cloned()
                .chain([view.state_evidence(quota.idx, quota.usage)]);
            out.push(
                view.finding(
                    FaultId::AdmissionQuotaStorage,
                    quota.idx,
                    idx,
                    quota.strength,
                )
                .active(true)
                .message(message)
                .with(evidence)
                .fix(edit_quota(namespace, view.graph.get(quota.idx).name()))
                .build(),
            );
        }
        let message = format!(
            "{} uses PVC `{name}`, which does not exist in namespace `{namespace}`",
            view.title(owner)
        );
        out.push(
            view.finding(FaultId::StorageClaimMissing, owner, idx, Strength::Strong)
                .active(true)
                .message(message)
                .with(evidence)
                .build(),
        );
    }
}

/// A storage quota that may have blocked a claim.
struct StorageQuota {
    idx: Idx,
    /// `limits requests.storage to 10Gi, 8Gi used`
    usage: String,
    strength: Strength,
}

/// A storage quota with its usage, and how certain it is that it has no room: it is at its limit,
/// or even the smallest available volume would exceed it.
fn storage_quota(view: &View<'_>, namespace: &str) -> Option<StorageQuota> {
    view.graph.quotas(namespace).find_map(|idx| {
        let quota: &Quota = view.object(idx)?.quota()?;
        for resource in ["requests.storage", "persistentvolumeclaims"] {
            let (Some(hard), Some(hard_text)) =
                (quota.hard.get(resource), quota.hard.text(resource))
            else {
                continue;
            };
            let used = quota.used.get(resource).map(|q| q.0).unwrap_or(0);
            let usage = format!(
                "limits {resource} to {hard_text}, {} used",
                quota.used.text(resource).unwrap_or("0")
            );
            if used >= hard.0 {
                let strength = Strength::Proof;
                return Some(StorageQuota {
                    idx,
                    usage,
                    strength,
                });
            }
            let free = view
                .graph
                .of_kind(&Kind::PersistentVolume)
                .filter_map(|v| view.object(v)?.volume())
                .filter(|v| {
                    let is_claimed = v.spec.claim_ref.as_ref().is_some_and(|r| r.name.is_some());
                    !is_claimed && v.phase.as_deref() == Some("Available")
                });
            let smallest = free
                .filter_map(|v| v.spec.capacity.get("storage"))
                .map(|q| q.0)
                .min();
            let strength =
                if resource == "requests.storage" && smallest.is_some_and(|w| used + w > hard.0) {
                    Strength::Proof
                } else {
                    Strength::Fair
                };
            return Some(StorageQuota {
                idx,
                usage,
                strength,
            });
        }
        None
    })
}

/// Volumes that the kubelet or the attach controller cannot provide.
/// A claim that is not bound, for pods whose claims are not known.
fn unbound(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    const UNBOUND: [&str; 1] = ["unbound immediate persistentvolumeclaims"];
    let mut mounts = view.graph.out(idx);
    let knows_claim = mounts.any(|(_, target)| {
        let claim = view.object(target).and_then(|o| o.claim());
        claim.is_some()
    });
    let events: Vec<Evidence> = view
        .warnings(idx)
        .filter(|e| has(&e.message, &UNBOUND) && view.still_holds(idx, e))
        .map(|e| view.event_evidence(idx, e))
        .collect();
    let says = unschedulable(view, idx).is_some_and(|m| has(m, &UNBOUND));
    if knows_claim || events.is_empty() && !says {
        return;
    }
    let owner = view.top_owner(idx);
    out.push(
        view.finding(
            FaultId::StorageProvisioningFailed,
            owner,
            idx,
            Strength::Fair,
        )
        .active(true)
        .message(format!(
            "A claim of {} is not bound to a volume; the records do not say why",
            view.title(owner)
        ))
        .with(events)
        .build(),
    );
}

fn mount_errors(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    for event in view.warnings(idx).filter(|e| {
        matches!(
            &*e.reason,
            "FailedMount" | "FailedAttachVolume" | "FailedMapVolume"
        ) && view.still_holds(idx, e)
    }) {
        let m = &*event.message;
        // The list of all volumes follows that of those that are not mounted.
        let unmounted = m.split("unattached volumes").next().unwrap_or(m);
        // `config` reports Secrets and ConfigMaps.
        if has(
            unmounted,
            &[
                "secret \"",
                "configmap \"",
                "configmap cache",
                "secret cache",
                "kube-api-access",
                "references non-existent",
            ],
        ) {
            continue;
        }
        // That the kubelet waits for its volumes is the end of many stories.
        let mut sums_up = false;
        let fault = if has(m, &["multi-attach error"]) {
            FaultId::StorageMultiAttach
        } else if trouble::read(m).has(Class::LoginRefused) {
            FaultId::DependencyCredentialsRejected
        } else if has(
            m,
            &[
                "permission denied",
                "access denied",
                "operation not permitted",
            ],
        ) {
            FaultId::StorageMountPermissionDenied
        } else if &*event.reason == "FailedAttachVolume" {
            FaultId::StorageAttachFailed
        } else if has(
            m,
            &[
                "MountVolume.",
                "mount failed",
                "mounting arguments",
                "hostPath type check failed",
                "MapVolume",
            ],
        ) {
            FaultId::StorageMountFailed
        } else {
            sums_up = true;
            FaultId::StorageMountFailed
        };
        let strength = if sums_up {
            Strength::Fair
        } else {
            Strength::Strong
        };
        let owner = view.top_owner(idx);
        let message = format!(
            "A volume of {} cannot be mounted: {}",
            view.title(owner),
            short(m, 200)
        );
        let blamed = unknown_node(view, m).unwrap_or(owner);
        out.push(
            view.finding(fault, blamed, idx, strength)
                .active(true)
                .message(message)
                .with([view.event_evidence(idx, event)])
                .build(),
        );
    }
}

/// The node that the driver of a volume does not know, although it exists: what the driver's agent
/// needs of the host is missing. A node without the agent lacks the driver instead.
pub(super) fn unknown_node(view: &View<'_>, message: &str) -> Option<Idx> {
    let (_, rest) = message.rsplit_once("desc = node ")?;
    let rest = rest.trim_start_matches('"');
    let name = rest.split([' ', '"']).next()?;
    let node = view.graph.find_live(Kind::Node, "", name);
    node.filter(|_| has(rest, &[" not found"]))
}

/// What else can be forbidden: programs, keys and sockets.
const NO_FILES: [&str; 6] = ["exec", "publickey", "dial unix", "bind", "listen", "socket"];

/// Whether a line names a file, by its path or by a word.
fn names_file(line: &str) -> bool {
    line.contains('/') || has(line, &[" file ", " dir ", " directory "])
}

/// An error that a healthy program reports counts for so long, in microseconds.
const RECENT: i64 = 15 * MINUTE;

/// Programs that report errors writing to their volume.
fn write_errors(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let mounts = view.pod_spec(idx).is_some_and(|s| {
        s.volumes.iter().any(|v| {
            v.persistent_volume_claim.is_some()
                || v.config_map.is_none() && v.secret.is_none() && v.projected.is_none()
        })
    });
    let rules: [(FaultId, &[&str], Strength); 4] = [
        (
            FaultId::StorageVolumeFull,
            &["no space left on device", "disk quota exceeded"],
            Strength::Strong,
        ),
        (
            FaultId::StorageReadOnlyFilesystem,
            &["read-only file system", "readonly file system", "erofs"],
            Strength::Strong,
        ),
        (
            FaultId::StorageMountFailed,
            &[
                "stale file handle",
                "estale",
                "stale nfs file handle",
                "transport endpoint is not connected",
            ],
            Strength::Strong,
        ),
        (
            FaultId::StorageMountPermissionDenied,
            &[
                "permission denied",
                "eacces",
                "operation not permitted",
                "accessdeniedexception",
            ],
            Strength::Strong,
        ),
    ];
    // What a program says before it ends counts whatever its level.
    let is_dying = view.has_failed_to_start(idx);
    let is_healthy = view.is_pod_healthy(idx);
    let goes_on = |l: &LogTemplate| {
        l.severity >= Severity::Error && l.count >= 2 && view.now.0 - l.last.0 <= RECENT
    };
    for (fault, phrases, strength) in rules {
        let logs: Vec<_> = view
            .logs(idx)
            .filter(|l| l.severity >= Severity::Warning || is_dying)
            .filter(|l| !is_healthy || goes_on(l))
            .filter(|l| has(&l.sample, phrases) && names_file(&l.sample))
            .collect();
        if logs.is_empty()
            || (fault == FaultId::StorageMountPermissionDenied
                && (!mounts || logs.iter().all(|l| has(&l.sample, &NO_FILES))))
        {
            continue;
        }
        let owner = view.top_owner(idx);
        let strength = if fault == FaultId::StorageVolumeFull && piled_up::is(view, owner, logs[0])
        {
            Strength::Hint
        } else {
            strength
        };
        let message = format!(
            "{} cannot write to its file system: {}",
            view.title(owner),
            short(&logs[0].sample, 200)
        );
        out.push(
            view.finding(fault, owner, idx, strength)
                .active(true)
                .message(message)
                .with(logs.iter().take(5).map(|l| view.log_evidence(idx, l)))
                .build(),
        );
    }
}

/// A claim that stays unbound, compared with storage classes and volumes.
pub(super) fn claim(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(claim) = view.object(idx).and_then(|o| o.claim()) else {
        return claim_without_state(view, idx, out);
    };
    if claim.phase.as_deref() == Some("Bound") || claim.phase.is_none() || !view.exists(idx) {
        return;
    }
    if claim.phase.as_deref() == Some("Lost") {
        out.push(lost(view, idx, claim));
        return;
    }
    let events: Vec<_> = view.warnings(idx).collect();
    // With `WaitForFirstConsumer` the claim waits for its pod, not the pod for the claim.
    let waits = view
        .events(idx)
        .last()
        .is_some_and(|e| &*e.reason == "WaitForFirstConsumer");
    if events.is_empty() && (waits || !view.lasts(view.graph.get(idx).created)) {
        return;
    }
    let Some(verdict) = judge(view, idx, claim, &events) else {
        return;
    };
    let owner = user(view, idx);
    let name = view.graph.get(idx).name();
    let evidence = events
        .iter()
        .map(|e| view.event_evidence(idx, e))
        .chain([view.state_evidence(
            idx,
            format!("phase is {}", claim.phase.as_deref().unwrap_or("unknown")),
        )]);
    out.push(
        view.finding(verdict.fault, owner, idx, verdict.strength)
            .active(true)
            .message(format!("PVC `{name}` is not bound: {}", verdict.reason))
            .with(evidence)
            .build(),
    );
}

/// A claim whose volume is gone: nothing binds it again.
fn lost(view: &View<'_>, idx: Idx, claim: &Claim) -> Finding {
    let volume = claim.spec.volume_name.as_deref().unwrap_or("?");
    let events = view.warnings(idx).map(|e| view.event_evidence(idx, e));
    view.finding(
        FaultId::StorageVolumeLost,
        user(view, idx),
        idx,
        Strength::Proof,
    )
    .active(true)
    .message(format!(
        "PVC `{}` has lost its volume `{volume}`, which no longer exists or is bound to \
             another claim",
        view.graph.get(idx).name()
    ))
    .with(events)
    .with([view.state_evidence(idx, "phase is Lost".to_owned())])
    .build()
}

/// For claims of which only events are known.
fn claim_without_state(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let events: Vec<_> = view
        .warnings(idx)
        .filter(|e| view.still_holds(idx, e))
        .collect();
    let Some(last) = events.last() else { return };
    let Some(verdict) = from_message(&last.message, &last.reason) else {
        return;
    };
    let evidence = events.iter().map(|e| view.event_evidence(idx, e));
    out.push(
        view.finding(verdict.fault, user(view, idx), idx, verdict.strength)
            .active(true)
            .message(format!(
                "PVC `{}` is not bound: {}",
                view.graph.get(idx).name(),
                verdict.reason
            ))
            .with(evidence)
            .build(),
    );
}

/// The workload that mounts a claim; the claim itself if none is known.
fn user(view: &View<'_>, claim: Idx) -> Idx {
    let mut users: Vec<Idx> = view
        .graph
        .incoming(claim)
        .filter(|(r, _)| *r == Relation::Mounts)
        .map(|(_, u)| view.top_owner(u))
        .collect();
    users.sort_unstable();
    users.first().copied().unwrap_or(claim)
}
