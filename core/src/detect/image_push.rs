//! Images that do not exist because the build could not push them: the fault lies with the registry
//! or the build, and not with those that want the image.

use super::finding::{Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::Severity;
use crate::model::time::MINUTE;
use crate::trouble::Class;

/// How long before a pull the push of its image may have failed, in microseconds.
const BEFORE: i64 = 6 * 60 * MINUTE;
/// Shorter reasons are said in many places.
const MIN_REASON: usize = 24;

/// Reports why images were not pushed that pods cannot pull.
pub(super) fn refused(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    let missing = |f: &&Finding| f.active && f.fault == FaultId::ImageReferenceWrong;
    for pull in found.iter().filter(missing) {
        let Some((builder, log)) = push_of(view, pull) else {
            continue;
        };
        let registry = refusal(view, builder, log);
        let is_full = log.trouble().has(Class::ServerDiskFull);
        let blamed = registry.map(|(writer, _)| writer).unwrap_or(builder);
        let fault = if is_full {
            FaultId::StorageVolumeFull
        } else if log.trouble().has(Class::LoginRefused) {
            FaultId::DependencyCredentialsRejected
        } else {
            FaultId::RuntimeJobFailed
        };
        let owner = view.top_owner(if is_full { blamed } else { builder });
        let message = format!(
            "The image of {} could not be pushed: {}",
            view.title(pull.blamed),
            short(reason(&log.sample), 200)
        );
        let said = registry.map(|(writer, log)| view.log_evidence(writer, log));
        out.push(
            view.finding(fault, owner, pull.on, Strength::Proof)
                .active(true)
                .message(message)
                .with([view.log_evidence(builder, log)])
                .with(said)
                .with(pull.evidence.iter().cloned())
                .build(),
        );
    }
}

/// The line of a build that could not push an image of a pod.
fn push_of<'a>(view: &View<'a>, pull: &Finding) -> Option<(Idx, &'a LogTemplate)> {
    let spec = view.pod_spec(pull.on)?;
    let images = spec.all_containers().filter_map(|c| c.image.as_deref());
    let images: Vec<&str> = images.filter(|image| image.contains('/')).collect();
    let mut logs = view.episodes.logs.iter().filter(|(_, log)| {
        log.severity >= Severity::Error
            && view.now.0 - log.last.0 <= BEFORE
            && has(&log.sample, &["push"])
    });
    let found = logs.find(|(_, log)| images.iter().any(|image| log.sample.contains(image)));
    found.map(|(writer, log)| (*writer, *log))
}

/// What follows the last colon of an error: its reason.
fn reason(line: &str) -> &str {
    let last = line.trim_end().lines().next_back().unwrap_or(line);
    last.rsplit(": ").next().unwrap_or(last)
}

/// The line of another program that gives the same reason: that of the registry.
fn refusal<'a>(view: &View<'a>, builder: Idx, log: &LogTemplate) -> Option<(Idx, &'a LogTemplate)> {
    let reason = reason(&log.sample);
    let own = view.component_id(builder);
    let mut logs = view.episodes.logs.iter().filter(|(writer, other)| {
        reason.len() >= MIN_REASON
            && other.sample.contains(reason)
            && view.component_id(*writer) != own
    });
    logs.next().map(|(writer, log)| (*writer, *log))
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_reason_follows_the_last_colon() {
        let line =
            "error pushing image: PUT https://r.example/v2/a: DENIED: quota of 50 GiB is used";
        assert_eq!(reason(line), "quota of 50 GiB is used");
        assert_eq!(reason("no reason"), "no reason");
    }
}
