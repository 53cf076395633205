//! Whether callers say that they wait for a server, by its name or its address.

use super::View;
use super::text::has;
use crate::graph::{Idx, Relation};
use crate::model::Severity;
use crate::model::time::MINUTE;
use crate::trouble::Class;

/// How many callers are asked.
const MAX_CALLERS: usize = 32;

/// Whether a caller of a workload reported within 15 minutes that its answer did not come in time.
pub(super) fn is(view: &View<'_>, idx: Idx) -> bool {
    let pods = view.pods_of(view.top_owner(idx));
    let selecting = pods
        .first()
        .into_iter()
        .flat_map(|p| view.graph.incoming(*p));
    let services = selecting.filter(|(r, _)| *r == Relation::Selects);
    services.map(|(_, service)| service).any(|service| {
        let callers = view.graph.incoming(service).take(MAX_CALLERS);
        let mut callers = callers.filter(|(r, _)| *r == Relation::Calls);
        callers.any(|(_, caller)| says_so(view, caller, service))
    })
}

fn says_so(view: &View<'_>, caller: Idx, service: Idx) -> bool {
    let name = view.graph.get(service).name();
    let address = view
        .object(service)
        .and_then(|o| o.service()?.cluster_ip.as_deref());
    let mut pods = view.pods_of(caller);
    pods.push(caller);
    let mut lines = pods.into_iter().flat_map(|pod| view.logs(pod));
    lines.any(|log| {
        log.severity >= Severity::Warning
            && view.now.0 - log.last.0 <= 15 * MINUTE
            && log.trouble().has(Class::TimedOut)
            && (has(&log.sample, &[name]) || address.is_some_and(|a| log.sample.contains(a)))
    })
}
