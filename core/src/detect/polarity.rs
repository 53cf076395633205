//! Whether a condition of any kind shows that something is broken.
//!
//! Controllers agree on how conditions are named: most say what is good (`Ready`), some what is
//! bad (`Degraded`). A condition of another name counts only if its reason or message says that
//! something failed.

use super::text::has;
use crate::model::object::Condition;

/// Names of conditions, or their ends, that are good while they are True.
const GOOD: [&str; 26] = [
    "ready",
    "available",
    "healthy",
    "synced",
    "reconciled",
    "established",
    "accepted",
    "programmed",
    "resolvedrefs",
    "succeeded",
    "valid",
    "reachable",
    "provided",
    "resolved",
    "installed",
    "deployed",
    "released",
    "admitted",
    "assigned",
    "satisfied",
    "initialized",
    "configured",
    "registered",
    "conformant",
    "reconcilesucceeded",
    "provisioned",
];

/// Names of conditions, or their ends, that are bad while they are True.
const BAD: [&str; 23] = [
    "pressure",
    "unavailable",
    "degraded",
    "failing",
    "failed",
    "failure",
    "problem",
    "error",
    "errors",
    "conflicted",
    "unhealthy",
    "deadlock",
    "conflict",
    "readonlyfilesystem",
    "filesystemreadonly",
    "dangling",
    "terminal",
    "shutdown",
    "badblock",
    "errorfatal",
    "frequentcontainerdrestart",
    "frequentkubeletrestart",
    "frequentdockerrestart",
];

/// States in one word that are bad.
const BAD_STATES: [&str; 14] = [
    "failed",
    "error",
    "degraded",
    "unhealthy",
    "invalid",
    "installfailed",
    "upgradefailed",
    "lost",
    "faulted",
    "crashloopbackoff",
    "notready",
    "health_err",
    "red",
    "errored",
];

/// Reasons of a state that is wanted, or of work that has ended.
const WANTED: [&str; 25] = [
    "notraffic",
    "nohealthybackends",
    "suspended",
    "paused",
    "disabled",
    "stopped",
    "completed",
    "complete",
    "succeeded",
    "deleting",
    "scalernotactive",
    "notused",
    "notrequired",
    "notapplicable",
    "unknown",
    "vminotexists",
    "noreason",
    "nodata",
    "running",
    "reconcilepaused",
    "nopodsmatched",
    "cancelled",
    "canceled",
    "hibernated",
    "unapprovedannotation",
];

/// Reasons of work in progress.
const UNDER_WAY: [&str; 13] = [
    "pending",
    "progressing",
    "creating",
    "reconciling",
    "provisioning",
    "installing",
    "upgrading",
    "updating",
    "issuing",
    "waiting",
    "initializing",
    "awaitingreconciliation",
    "inprogress",
];

/// Words of reasons and messages by which a controller says that something failed.
const FAILS: [&str; 28] = [
    "fail",
    "error",
    "not found",
    "notfound",
    "not exist",
    "doesnotexist",
    "no such",
    "not present",
    "denied",
    "forbidden",
    "unauthorized",
    "refused",
    "invalid",
    "timed out",
    "timeout",
    "unable to",
    "could not",
    "couldn't",
    "missing",
    "insufficient",
    "conflict",
    "already in use",
    "ran out of",
    "unhealthy",
    "expired",
    "rejected",
    "stopped updating",
    "infeasible",
];

/// What a condition shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// Nothing that is wrong.
    Nothing,
    /// That something has not become good yet; only wrong if it lasts.
    Waiting,
    /// That something is wrong.
    Broken,
}

/// What a condition shows.
pub(super) fn shows(condition: &Condition) -> Shows {
    let name = base_name(&condition.kind);
    let reason = condition.reason.as_deref().unwrap_or("");
    let fails = says_failed(condition);
    // A budget that allows no disruption now is not broken.
    let is_wanted = reason == "InsufficientPods" || is_any(reason, &WANTED) && !fails;
    let is_bad = is_named_bad(condition);
    let is_good = !is_bad && ends_with(&name, &GOOD);
    match condition.status.as_deref() {
        _ if is_wanted => Shows::Nothing,
        // Some kinds list only errors, each as a condition without a status.
        Some("True") | None if is_bad => Shows::Broken,
        Some("False" | "Unknown") if is_good && fails => Shows::Broken,
        // Without a word of failure it may be on its way, whatever the reason is called.
        Some("False") if is_good => Shows::Waiting,
        Some("Unknown") if is_good && is_any(reason, &UNDER_WAY) => Shows::Waiting,
        Some("True" | "False" | "Unknown")
            if !is_good && !is_bad && fails && !says_none(reason) =>
        {
            Shows::Broken
        }
        Some("True" | "False" | "Unknown") | None => Shows::Nothing,
        Some(state) if is_any(state, &BAD_STATES) => Shows::Broken,
        Some(_) => Shows::Nothing,
    }
}

/// Whether a condition sums up the others.
pub(super) fn is_summary(condition: &Condition) -> bool {
    matches!(
        &*condition.kind,
        "Ready" | "Available" | "Healthy" | "Succeeded" | "Reconciled" | "Synced" | "phase"
    )
}

/// Whether a condition sums up the others, and is good.
pub(super) fn is_good_summary(condition: &Condition) -> bool {
    is_summary(condition) && condition.is("True")
}

/// Whether the name of a condition shows which of its states is good.
pub(super) fn is_known(condition: &Condition) -> bool {
    is_named_bad(condition) || ends_with(&base_name(&condition.kind), &GOOD)
}

/// Whether a condition is bad by its name alone, whatever another one sums up.
pub(super) fn is_named_bad(condition: &Condition) -> bool {
    let name = base_name(&condition.kind);
    let is_exact = matches!(name.as_str(), "stalled" | "notready" | "nomatchinginstance");
    is_exact || ends_with(&name, &BAD) && !name.starts_with("no")
}

fn base_name(kind: &str) -> String {
    let name = kind.rsplit(['/', '.']).next().unwrap_or(kind);
    name.to_ascii_lowercase()
}

fn ends_with(name: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| name.ends_with(end))
}

fn is_any(word: &str, words: &[&str]) -> bool {
    words.iter().any(|w| word.eq_ignore_ascii_case(w))
}

/// Whether a reason says that there is nothing of what its name is about: `NoTimeouts`, `Ok`.
fn says_none(reason: &str) -> bool {
    let after = reason.strip_prefix("No").unwrap_or_default();
    let is_none = after.starts_with(|c: char| c.is_ascii_uppercase());
    is_none && !after.contains("Found") || is_any(reason, &["ok", "healthy"])
}

/// Whether the reason or the message of a condition says that something failed.
fn says_failed(condition: &Condition) -> bool {
    let says = |text: &str| {
        // Counters name failures that there are none of.
        let mut text = text.to_ascii_lowercase();
        for none in ["failed: 0", "no errors", "no conflicts", "noconflicts"] {
            text = text.replace(none, "");
        }
        has(&text, &FAILS)
    };
    let texts = [condition.reason.as_deref(), condition.message.as_deref()];
    texts.into_iter().flatten().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Condition {
        Condition {
            reason: Some(reason.into()),
            ..Condition::of_field(kind, status, message)
        }
    }

    #[test]
    fn both_polarities_are_read() {
        let of = |kind, status, reason, message| shows(&condition(kind, status, reason, message));
        assert_eq!(of("Ready", "False", "LoginFailed", "401"), Shows::Broken);
        assert_eq!(of("Degraded", "True", "PodFailure", "x"), Shows::Broken);
        assert_eq!(of("Degraded", "False", "AsExpected", ""), Shows::Nothing);
        assert_eq!(of("KernelDeadlock", "False", "Fine", ""), Shows::Nothing);
        assert_eq!(of("Ready", "False", "Progressing", ""), Shows::Waiting);
        let missing = "Referenced \"Issuer\" not found";
        assert_eq!(of("Ready", "False", "Pending", missing), Shows::Broken);
        assert_eq!(of("health", "Degraded", "", ""), Shows::Broken);
    }

    #[test]
    fn an_unknown_name_counts_only_if_the_controller_says_that_something_failed() {
        let of = |reason, message| shows(&condition("Warm", "False", reason, message));
        assert_eq!(of("", ""), Shows::Nothing);
        assert_eq!(of("NoTraffic", "The target is idle."), Shows::Nothing);
        assert_eq!(of("FlavorNotFound", "references [gpu]"), Shows::Broken);
    }
}
