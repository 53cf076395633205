//! Volumes that are full because what is on them cannot be handed on: a write-ahead log that is not
//! archived, chunks that are not flushed to the object store.

use super::View;
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::Severity;
use crate::model::time::MINUTE;
use crate::trouble::Class;

/// Whether a server has refused the logins of a workload repeatedly since before a line says that
/// the workload's volume is full.
pub(super) fn is(view: &View<'_>, owner: Idx, full: &LogTemplate) -> bool {
    let pods = view.pods_of(owner).into_iter();
    let mut logs = pods.flat_map(|pod| view.logs(pod));
    full.trouble().has(Class::NoSpace)
        && logs.any(|log| {
            log.trouble().has(Class::LoginRefused)
                && log.severity >= Severity::Error
                && log.count > 1
                && log.first < full.first
                && log.last.0 >= full.first.0 - 15 * MINUTE
        })
}
