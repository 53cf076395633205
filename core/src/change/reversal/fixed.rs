//! What the API server lets no one change once an object exists.

/// Whether a field cannot be set back: a claim may only grow.
pub(super) fn is_fixed(kind: &str, path: &str) -> bool {
    let is = |parts: &[&str]| parts.iter().any(|part| is_at(path, part));
    if path.starts_with("metadata.") {
        return false;
    }
    match kind {
        "PersistentVolumeClaim" => is(&["spec"]),
        "PersistentVolume" => is(&["spec"]) && !is(&["spec.persistentVolumeReclaimPolicy"]),
        "Pod" => !path.ends_with("].image"),
        "Job" => is(&[
            "spec.template",
            "spec.selector",
            "spec.completions",
            "spec.completionMode",
        ]),
        "StatefulSet" => {
            let free = [
                "spec.replicas",
                "spec.template",
                "spec.updateStrategy",
                "spec.minReadySeconds",
                "spec.ordinals",
                "spec.persistentVolumeClaimRetentionPolicy",
            ];
            is(&["spec"]) && !is(&free)
        }
        "Deployment" | "DaemonSet" | "ReplicaSet" => is(&["spec.selector"]),
        "RoleBinding" | "ClusterRoleBinding" => is(&["roleRef"]),
        "StorageClass" => !is(&["allowVolumeExpansion", "allowedTopologies"]),
        "Secret" => is(&["type"]),
        _ => false,
    }
}

/// Whether a path is a field or below it.
fn is_at(path: &str, field: &str) -> bool {
    let rest = path.strip_prefix(field);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
