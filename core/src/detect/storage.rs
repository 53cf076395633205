//! Claims that are not bound and volumes that cannot be used.

use super::finding::{Evidence, Finding, Strength};
use super::text::{has, quoted_after, short};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::object::{Claim, Quota, Volume};
use crate::model::{Kind, Severity};

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.is_living(idx) || view.is_pod_well(idx) {
        return;
    }
    absent_claims(view, idx, out);
    kubelet_words(view, idx, out);
    own_words(view, idx, out);
}

/// The pod names a claim that does not exist. Where a storage quota has no room, the claim was most
/// likely refused.
fn absent_claims(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let namespace = view.graph.get(idx).namespace();
    let told: Vec<_> = view
        .warnings(idx)
        .filter(|e| {
            has(&e.message, &["persistentvolumeclaim \""])
                && has(&e.message, &["not found"])
                && view.still_holds(idx, e)
        })
        .collect();
    let in_spec = view
        .pod_spec(idx)
        .into_iter()
        .flat_map(|s| s.volumes.iter())
        .filter_map(|v| v.persistent_volume_claim.as_ref())
        .map(|c| &*c.claim_name);
    let in_message = told
        .iter()
        .filter_map(|e| quoted_after(&e.message, "persistentvolumeclaim "));
    let mut names: Vec<&str> = in_spec.chain(in_message).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let absent = view
            .graph
            .find_live(Kind::PersistentVolumeClaim, namespace, name)
            .is_none();
        let said = told.iter().any(|e| e.message.contains(name));
        if !absent || !(said || view.knows(&Kind::PersistentVolumeClaim, namespace)) {
            continue;
        }
        let owner = view.top_owner(idx);
        let evidence: Vec<Evidence> = told.iter().map(|e| view.event_evidence(idx, e)).collect();
        if let Some((quota, why, strength)) = storage_quota(view, namespace) {
            let summary = format!(
                "ResourceQuota `{}` of namespace `{namespace}` {why}: claim `{name}` of {} does not exist",
                view.graph.get(quota).name(),
                view.title(owner)
            );
            let evidence = evidence
                .iter()
                .cloned()
                .chain([view.state_evidence(quota, why)]);
            out.push(
                view.finding(FaultId::AdmissionQuotaStorage, quota, idx, strength)
                    .active(true)
                    .message(summary)
                    .with(evidence)
                    .fix(format!(
                        "kubectl -n {namespace} edit resourcequota {}",
                        view.graph.get(quota).name()
                    ))
                    .build(),
            );
        }
        let summary = format!(
            "{} needs claim `{name}`, which does not exist in namespace `{namespace}`",
            view.title(owner)
        );
        out.push(
            view.finding(FaultId::StorageClaimMissing, owner, idx, Strength::Strong)
                .active(true)
                .message(summary)
                .with(evidence)
                .build(),
        );
    }
}

/// A quota on storage with no room: at its limit, or with less left than the free volumes that
/// claims here would take.
fn storage_quota(view: &View<'_>, namespace: &str) -> Option<(Idx, String, Strength)> {
    view.graph.quotas(namespace).find_map(|idx| {
        let quota: &Quota = view.object(idx)?.quota()?;
        for resource in ["requests.storage", "persistentvolumeclaims"] {
            let (Some(hard), Some(hard_text)) =
                (quota.hard.get(resource), quota.hard.text(resource))
            else {
                continue;
            };
            let used = quota.used.get(resource).map_or(0, |q| q.0);
            let text = format!(
                "allows {resource} {hard_text}, {} used",
                quota.used.text(resource).unwrap_or("0")
            );
            if used >= hard.0 {
                return Some((idx, text, Strength::Proof));
            }
            let free = view
                .graph
                .of_kind(&Kind::PersistentVolume)
                .filter_map(|v| view.object(v)?.volume())
                .filter(|v| {
                    v.spec.claim_ref.as_ref().is_none_or(|r| r.name.is_none())
                        && v.phase.as_deref() == Some("Available")
                });
            let wants = free
                .filter_map(|v| v.spec.capacity.get("storage"))
                .map(|q| q.0)
                .min();
            let strength =
                if resource == "requests.storage" && wants.is_some_and(|w| used + w > hard.0) {
                    Strength::Proof
                } else {
                    Strength::Fair
                };
            return Some((idx, text, strength));
        }
        None
    })
}

/// What the kubelet and the attach controller say about volumes.
fn kubelet_words(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    for event in view.warnings(idx).filter(|e| {
        matches!(
            &*e.reason,
            "FailedMount" | "FailedAttachVolume" | "FailedMapVolume"
        ) && view.still_holds(idx, e)
    }) {
        let m = &*event.message;
        // Secrets and ConfigMaps have their own family; a volume that merely waits for others summary
        // nothing itself.
        if has(
            m,
            &[
                "secret \"",
                "configmap \"",
                "configmap cache",
                "secret cache",
                "kube-api-access",
            ],
        ) {
            continue;
        }
        let fault = if has(m, &["multi-attach error"]) {
            FaultId::StorageMultiAttach
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
            continue;
        };
        let owner = view.top_owner(idx);
        let summary = format!(
            "A volume of {} cannot be used: {}",
            view.title(owner),
            short(m, 200)
        );
        out.push(
            view.finding(fault, owner, idx, Strength::Strong)
                .active(true)
                .message(summary)
                .with([view.event_evidence(idx, event)])
                .build(),
        );
    }
}

/// What programs say when their volume does not let them.
fn own_words(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let mounts = view.pod_spec(idx).is_some_and(|s| {
        s.volumes.iter().any(|v| {
            v.persistent_volume_claim.is_some()
                || v.config_map.is_none() && v.secret.is_none() && v.projected.is_none()
        })
    });
    let rules: [(FaultId, &[&str], Strength); 3] = [
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
    for (fault, phrases, strength) in rules {
        let logs: Vec<_> = view
            .logs(idx)
            .filter(|l| {
                l.severity >= Severity::Warning && has(&l.sample, phrases) && l.sample.contains('/')
            })
            .collect();
        if logs.is_empty()
            || (fault == FaultId::StorageMountPermissionDenied
                && (!mounts
                    || logs
                        .iter()
                        .all(|l| has(&l.sample, &["exec", "publickey", "dial unix"]))))
        {
            continue;
        }
        let owner = view.top_owner(idx);
        let summary = format!(
            "{} cannot use its file system: {}",
            view.title(owner),
            short(&logs[0].sample, 200)
        );
        out.push(
            view.finding(fault, owner, idx, strength)
                .active(true)
                .message(summary)
                .with(logs.iter().take(5).map(|l| view.log_evidence(idx, l)))
                .build(),
        );
    }
}

/// A claim that stays unbound, compared with classes and volumes field by field.
pub(super) fn claim(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(claim) = view.object(idx).and_then(|o| o.claim()) else {
        return named_claim(view, idx, out);
    };
    if claim.phase.as_deref() == Some("Bound") || claim.phase.is_none() || !view.is_living(idx) {
        return;
    }
    let told: Vec<_> = view.warnings(idx).collect();
    // `WaitForFirstConsumer` is Normal: the claim waits for its pod, not the pod for the claim.
    let waits = view
        .events(idx)
        .last()
        .is_some_and(|e| &*e.reason == "WaitForFirstConsumer");
    if told.is_empty() && (waits || !view.lasts(view.graph.get(idx).created)) {
        return;
    }
    let Some((fault, why, strength)) = judge(view, idx, claim, &told) else {
        return;
    };
    let owner = user(view, idx);
    let name = view.graph.get(idx).name();
    let evidence = told
        .iter()
        .map(|e| view.event_evidence(idx, e))
        .chain([view.state_evidence(
            idx,
            format!("claim is {}", claim.phase.as_deref().unwrap_or("unknown")),
        )]);
    out.push(
        view.finding(fault, owner, idx, strength)
            .active(true)
            .message(format!("Claim `{name}` stays unbound: {why}"))
            .with(evidence)
            .build(),
    );
}

/// Claims of which only events are known.
fn named_claim(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let told: Vec<_> = view
        .warnings(idx)
        .filter(|e| view.still_holds(idx, e))
        .collect();
    let Some(last) = told.last() else { return };
    let Some((fault, why, strength)) = judge_words(&last.message, &last.reason) else {
        return;
    };
    let evidence = told.iter().map(|e| view.event_evidence(idx, e));
    out.push(
        view.finding(fault, user(view, idx), idx, strength)
            .active(true)
            .message(format!(
                "Claim `{}` stays unbound: {why}",
                view.graph.get(idx).name()
            ))
            .with(evidence)
            .build(),
    );
}

/// The workload that mounts a claim; the claim itself while nobody is known to.
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

type Verdict = Option<(FaultId, String, Strength)>;

fn judge_words(message: &str, reason: &str) -> Verdict {
    let text = short(message, 200);
    if has(message, &["storageclass.storage.k8s.io", "storage class"])
        && has(message, &["not found"])
    {
        return Some((FaultId::StorageClassMissing, text, Strength::Proof));
    }
    if has(
        message,
        &[
            "already bound to a different claim",
            "already bound to another claim",
        ],
    ) {
        return Some((FaultId::StorageVolumeBoundElsewhere, text, Strength::Strong));
    }
    if has(message, &["incompatible accessmode", "access mode"]) {
        return Some((FaultId::StorageAccessModeMismatch, text, Strength::Strong));
    }
    if has(message, &["requested pv is too small", "too small"]) {
        return Some((FaultId::StorageCapacityMismatch, text, Strength::Strong));
    }
    if has(
        message,
        &[
            "storageclassname does not match",
            "storageclasses do not match",
        ],
    ) {
        return Some((FaultId::StorageClassMismatch, text, Strength::Strong));
    }
    (reason == "ProvisioningFailed").then_some((
        FaultId::StorageProvisioningFailed,
        text,
        Strength::Fair,
    ))
}

fn judge(view: &View<'_>, idx: Idx, claim: &Claim, told: &[&crate::model::Episode]) -> Verdict {
    let spec = &claim.spec;
    let words = told
        .iter()
        .rev()
        .find_map(|e| judge_words(&e.message, &e.reason));
    if let Some(class) = spec.storage_class_name.as_deref().filter(|c| !c.is_empty()) {
        let known = view
            .graph
            .find_live(Kind::StorageClass, "", class)
            .is_some();
        let volumes_have_it =
            volumes(view).any(|(_, v)| v.spec.storage_class_name.as_deref() == Some(class));
        if !known
            && !volumes_have_it
            && (view.knows(&Kind::StorageClass, "")
                || matches!(words, Some((FaultId::StorageClassMissing, ..))))
        {
            return Some((
                FaultId::StorageClassMissing,
                format!("StorageClass `{class}` does not exist"),
                Strength::Proof,
            ));
        }
    }
    let provisions = spec
        .storage_class_name
        .as_deref()
        .and_then(|c| view.graph.find_live(Kind::StorageClass, "", c))
        .and_then(|c| view.object(c)?.class());
    let is_static = provisions.is_none_or(|c| {
        c.provisioner
            .as_deref()
            .is_none_or(|p| p.contains("no-provisioner"))
    });
    if is_static && let Some(verdict) = compare(view, idx, claim) {
        return Some(verdict);
    }
    words
}

fn volumes<'a>(view: &View<'a>) -> impl Iterator<Item = (Idx, &'a Volume)> {
    let view = *view;
    view.graph
        .of_kind(&Kind::PersistentVolume)
        .filter_map(move |i| Some((i, view.object(i)?.volume()?)))
}

/// The volume that misses the fewest of the claim's demands tells which field differs.
fn compare(view: &View<'_>, idx: Idx, claim: &Claim) -> Verdict {
    let spec = &claim.spec;
    let mut nearest: Option<(usize, FaultId, String)> = None;
    for (volume_idx, volume) in volumes(view) {
        let name = view.graph.get(volume_idx).name();
        if spec
            .volume_name
            .as_deref()
            .is_some_and(|v| !v.is_empty() && v != name)
        {
            continue;
        }
        let mut misses: Vec<(FaultId, String)> = Vec::new();
        let (want, have) = (
            spec.storage_class_name.as_deref().unwrap_or(""),
            volume.spec.storage_class_name.as_deref().unwrap_or(""),
        );
        if want != have {
            misses.push((
                FaultId::StorageClassMismatch,
                format!("it wants class `{want}`, volume `{name}` has `{have}`"),
            ));
        }
        let lacking: Vec<&str> = spec
            .access_modes
            .iter()
            .filter(|m| !volume.spec.access_modes.contains(m))
            .map(|m| &**m)
            .collect();
        if !lacking.is_empty() && !volume.spec.access_modes.is_empty() {
            misses.push((
                FaultId::StorageAccessModeMismatch,
                format!(
                    "it wants {}, volume `{name}` offers {}",
                    lacking.join(", "),
                    volume.spec.access_modes.join(", ")
                ),
            ));
        }
        let asked = spec.resources.requests.get("storage");
        if asked
            .zip(volume.spec.capacity.get("storage"))
            .is_some_and(|(a, c)| a > c)
        {
            misses.push((
                FaultId::StorageCapacityMismatch,
                format!(
                    "it asks for {}, volume `{name}` has {}",
                    spec.resources.requests.text("storage").unwrap_or("?"),
                    volume.spec.capacity.text("storage").unwrap_or("?")
                ),
            ));
        }
        if spec
            .selector
            .as_ref()
            .is_some_and(|s| !s.matches(view.graph.get(volume_idx).labels()))
        {
            let wanted = spec
                .selector
                .as_ref()
                .map_or(String::new(), |s| s.match_labels.to_text());
            misses.push((
                FaultId::StorageSelectorMismatch,
                format!(
                    "it selects `{wanted}`, volume `{name}` has `{}`",
                    view.graph.get(volume_idx).labels().to_text()
                ),
            ));
        }
        let taken = volume.spec.claim_ref.as_ref().is_some_and(|r| {
            r.name.as_deref() != Some(view.graph.get(idx).name())
                || r.namespace.as_deref() != Some(view.graph.get(idx).namespace())
        });
        if taken {
            let by = volume
                .spec
                .claim_ref
                .as_ref()
                .and_then(|r| r.name.as_deref())
                .unwrap_or("?");
            misses.push((
                FaultId::StorageVolumeBoundElsewhere,
                format!("volume `{name}` belongs to claim `{by}`"),
            ));
            // A taken volume explains a claim only when the claim asks for that very volume.
            if spec.volume_name.as_deref() != Some(name) {
                continue;
            }
        }
        if let Some((fault, why)) = misses.first() {
            let rank = misses.len() * 2 + usize::from(*fault == FaultId::StorageClassMismatch);
            if nearest.as_ref().is_none_or(|(n, ..)| rank < *n) {
                nearest = Some((rank, *fault, why.clone()));
            }
        }
    }
    nearest.map(|(_, fault, why)| (fault, why, Strength::Proof))
}
