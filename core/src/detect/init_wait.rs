//! Init containers that wait for a container of their own pod: it starts only after they end.

use super::finding::{Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::trouble::Class;

/// Names of a pod's own network interface.
const LOOPBACK: [&str; 4] = ["127.0.0.1", "localhost", "[::1]", "\"::1\""];

/// Reports an init container that is refused by its own pod. Init containers that stay, which are
/// sidecars, may be what it waits for.
pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    // A script may start a server of its own and wait for it.
    let lasts = |idx: Idx| view.exists(idx) && view.lasts(view.unhealthy_since(idx));
    let Some(pod) = view.pod(idx).filter(|_| lasts(idx)) else {
        return;
    };
    let mut init = pod.status.init_container_statuses.iter();
    let Some(waiting) = init.find(|c| c.ready != Some(true)) else {
        return;
    };
    let has_sidecar = view.pod_spec(idx).is_some_and(|spec| {
        let mut all = spec.init_containers.iter();
        all.any(|c| c.restart_policy.as_deref() == Some("Always"))
    });
    let refused = view.logs(idx).find(|log| {
        log.container.as_deref() == Some(&*waiting.name)
            && view.now.0 - log.last.0 <= 15 * MINUTE
            && log.trouble().has_any(&[Class::Refused, Class::Unavailable])
            && has(&log.sample, &LOOPBACK)
    });
    let Some(refused) = refused.filter(|_| !has_sidecar) else {
        return;
    };
    let owner = view.top_owner(idx);
    let message = format!(
        "Init container `{}` of {} waits for a server in its own pod, whose containers start only \
         after it ends: {}",
        waiting.name,
        view.title(owner),
        short(&refused.sample, 160)
    );
    out.push(
        view.finding(
            FaultId::RuntimeInitContainerFailed,
            owner,
            idx,
            Strength::Strong,
        )
        .active(true)
        .message(message)
        .with([view.log_evidence(idx, refused)])
        .build(),
    );
}
