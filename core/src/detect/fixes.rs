//! Commands that several detectors give.

use crate::model::Command;

/// Starts what was scaled to 0.
pub(super) const SCALE_UP: &str = "kubectl -n <namespace> scale <kind>/<name> --replicas=1";

/// Opens a quota.
pub(super) fn edit_quota(namespace: &str, quota: &str) -> Command {
    let edit = Command::of("kubectl -n <namespace> edit resourcequota <quota>");
    edit.fill([("namespace", namespace), ("quota", quota)])
}

/// Opens a policy whose name is not known.
pub(super) fn edit_policy(namespace: &str, kind: &str) -> Command {
    let edit = Command::of("kubectl -n <namespace> edit <kind> <policy>");
    edit.fill([("namespace", namespace), ("kind", kind)])
}
