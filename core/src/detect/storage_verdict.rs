//! Why a claim is not bound, by the message of its events and by comparison with volumes.

use super::finding::Strength;
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::object::{Claim, Volume};
use crate::model::{Episode, Kind};

/// A fault with the reason for it, which follows `PVC … is not bound: `.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) fault: FaultId,
    pub(super) reason: String,
    pub(super) strength: Strength,
}

/// What the controllers report about claims; the first that matches counts.
const MESSAGES: [(FaultId, Strength, &[&str]); 5] = [
    (
        FaultId::StorageClassMissing,
        Strength::Strong,
        &["no storage class is set"],
    ),
    (
        FaultId::StorageVolumeBoundElsewhere,
        Strength::Strong,
        &[
            "already bound to a different claim",
            "already bound to another claim",
        ],
    ),
    (
        FaultId::StorageAccessModeMismatch,
        Strength::Strong,
        &["incompatible accessmode", "access mode"],
    ),
    (
        FaultId::StorageCapacityMismatch,
        Strength::Strong,
        &["too small"],
    ),
    (
        FaultId::StorageClassMismatch,
        Strength::Strong,
        &[
            "storageclassname does not match",
            "storageclasses do not match",
        ],
    ),
];

/// Judges by the message and reason of an event.
pub(super) fn from_message(message: &str, reason: &str) -> Option<Verdict> {
    let is_class_missing = has(message, &["storageclass.storage.k8s.io", "storage class"])
        && has(message, &["not found"]);
    let by_message = || {
        let rule = MESSAGES
            .iter()
            .find(|(.., phrases)| has(message, phrases))?;
        Some((rule.0, rule.1))
    };
    let (fault, strength) = if is_class_missing {
        (FaultId::StorageClassMissing, Strength::Proof)
    } else if let Some(known) = by_message() {
        known
    } else if reason == "ProvisioningFailed" {
        (FaultId::StorageProvisioningFailed, Strength::Fair)
    } else {
        return None;
    };
    Some(Verdict {
        fault,
        reason: short(message, 200),
        strength,
    })
}

/// Judges by the storage class and the volumes, else by the newest event that has a reason.
pub(super) fn judge(
    view: &View<'_>,
    idx: Idx,
    claim: &Claim,
    events: &[&Episode],
) -> Option<Verdict> {
    let by_message = events
        .iter()
        .rev()
        .find_map(|e| from_message(&e.message, &e.reason));
    let name = claim.spec.storage_class_name.as_deref();
    let class = name.and_then(|c| view.graph.find_live(Kind::StorageClass, "", c));
    if let Some(name) = name.filter(|c| !c.is_empty()) {
        let is_used =
            volumes(view).any(|(_, v)| v.spec.storage_class_name.as_deref() == Some(name));
        let is_reported = by_message
            .as_ref()
            .is_some_and(|v| v.fault == FaultId::StorageClassMissing);
        if class.is_none() && !is_used && (view.knows(&Kind::StorageClass, "") || is_reported) {
            return Some(Verdict {
                fault: FaultId::StorageClassMissing,
                reason: format!("StorageClass `{name}` does not exist"),
                strength: Strength::Proof,
            });
        }
    }
    // A class with a provisioner creates volumes: those that exist do not matter.
    let is_dynamic = class
        .and_then(|c| view.object(c)?.class())
        .and_then(|c| c.provisioner.as_deref())
        .is_some_and(|p| !p.contains("no-provisioner"));
    let by_volumes = if is_dynamic {
        None
    } else {
        nearest_volume(view, idx, claim)
    };
    by_volumes.or(by_message)
}

fn volumes<'a>(view: &View<'a>) -> impl Iterator<Item = (Idx, &'a Volume)> {
    let view = *view;
    view.graph
        .of_kind(&Kind::PersistentVolume)
        .filter_map(move |i| Some((i, view.object(i)?.volume()?)))
}

/// A requirement of a claim that a volume does not meet.
struct Mismatch {
    fault: FaultId,
    reason: String,
}

/// The first mismatch of the volume that meets most of the claim's requirements.
fn nearest_volume(view: &View<'_>, idx: Idx, claim: &Claim) -> Option<Verdict> {
    let wanted = claim.spec.volume_name.as_deref();
    let mut nearest: Option<(usize, Mismatch)> = None;
    for (volume_idx, volume) in volumes(view) {
        let name = view.graph.get(volume_idx).name();
        if wanted.is_some_and(|v| !v.is_empty() && v != name) {
            continue;
        }
        let mut mismatches = mismatches(view, claim, volume_idx, volume);
        if let Some(owner) = other_owner(view, idx, volume) {
            // A bound volume explains a claim only if the claim names that volume.
            if wanted != Some(name) {
                continue;
            }
            mismatches.push(Mismatch {
                fault: FaultId::StorageVolumeBoundElsewhere,
                reason: format!("volume `{name}` belongs to PVC `{owner}`"),
            });
        }
        let number = mismatches.len();
        let Some(first) = mismatches.into_iter().next() else {
            continue;
        };
        // At the same number, another field than the class is the more likely mistake.
        let distance = number * 2 + usize::from(first.fault == FaultId::StorageClassMismatch);
        let is_nearer = match &nearest {
            Some((best, _)) => distance < *best,
            None => true,
        };
        if is_nearer {
            nearest = Some((distance, first));
        }
    }
    nearest.map(|(_, mismatch)| Verdict {
        fault: mismatch.fault,
        reason: mismatch.reason,
        strength: Strength::Proof,
    })
}

/// The name of another claim that a volume is bound to.
fn other_owner<'a>(view: &View<'_>, idx: Idx, volume: &'a Volume) -> Option<&'a str> {
    let claim = view.graph.get(idx);
    let owner = volume.spec.claim_ref.as_ref()?;
    let is_own = owner.name.as_deref() == Some(claim.name())
        && owner.namespace.as_deref() == Some(claim.namespace());
    (!is_own).then(|| owner.name.as_deref().unwrap_or("?"))
}

/// What a volume lacks of a claim's class, access modes, capacity and selector.
fn mismatches(view: &View<'_>, claim: &Claim, volume_idx: Idx, volume: &Volume) -> Vec<Mismatch> {
    let spec = &claim.spec;
    let node = view.graph.get(volume_idx);
    let name = node.name();
    let mut all = Vec::new();
    let mut add = |fault, reason| all.push(Mismatch { fault, reason });
    let (wanted, actual) = (
        spec.storage_class_name.as_deref().unwrap_or(""),
        volume.spec.storage_class_name.as_deref().unwrap_or(""),
    );
    if wanted != actual {
        add(
            FaultId::StorageClassMismatch,
            format!("it requests class `{wanted}`, but volume `{name}` has class `{actual}`"),
        );
    }
    let modes = &volume.spec.access_modes;
    let lacking: Vec<&str> = spec
        .access_modes
        .iter()
        .filter(|m| !modes.contains(m))
        .map(|m| &**m)
        .collect();
    if !lacking.is_empty() && !modes.is_empty() {
        add(
            FaultId::StorageAccessModeMismatch,
            format!(
                "it requests {}, but volume `{name}` only offers {}",
                lacking.join(", "),
                modes.join(", ")
            ),
        );
    }
    let (requests, capacity) = (&spec.resources.requests, &volume.spec.capacity);
    let sizes = requests.get("storage").zip(capacity.get("storage"));
    if sizes.is_some_and(|(requested, actual)| requested > actual) {
        add(
            FaultId::StorageCapacityMismatch,
            format!(
                "it requests {}, but volume `{name}` has {}",
                requests.text("storage").unwrap_or("?"),
                capacity.text("storage").unwrap_or("?")
            ),
        );
    }
    if let Some(selector) = &spec.selector
        && !selector.matches(node.labels())
    {
        add(
            FaultId::StorageSelectorMismatch,
            format!(
                "it selects `{}`, but volume `{name}` has labels `{}`",
                selector.match_labels.to_text(),
                node.labels().to_text()
            ),
        );
    }
    all
}
