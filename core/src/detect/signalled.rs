//! Containers that a signal ended, where no event says who sent it.

use super::View;
use crate::graph::Idx;

/// Whether a signal ended a container that has a probe which makes the kubelet send one, and no
/// event says otherwise.
pub(super) fn is_signalled(view: &View<'_>, pod: Idx, name: &str) -> bool {
    let spec = view.pod_spec(pod);
    let container = spec.and_then(|s| s.containers.iter().find(|c| &*c.name == name));
    let is_probed =
        container.is_some_and(|c| c.liveness_probe.is_some() || c.startup_probe.is_some());
    let statuses = view.pod(pod).map(|p| &p.status.container_statuses);
    let status = statuses.and_then(|all| all.iter().find(|c| &*c.name == name));
    let ended = status.and_then(|c| {
        let now = c.state.terminated.as_ref();
        now.or(c.last_state.terminated.as_ref())
    });
    let by_signal = ended.is_some_and(|t| {
        matches!(t.exit_code, Some(137 | 143)) && t.reason.as_deref() != Some("OOMKilled")
    });
    is_probed && by_signal && view.events(pod).next().is_none()
}
