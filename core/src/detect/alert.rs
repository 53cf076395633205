//! What alerts say of state that nobody sent. With the object at hand its state says more.

use super::View;
use super::finding::{Finding, Strength};
use super::performance::{Signal, signals};
use crate::graph::Idx;
use crate::model::{Alert, Kind};

/// Words of an alert's name, all of which must be there, and what they say: the vocabulary of
/// `kubernetes-mixin` and of those who write rules like it. Where a word fits several faults, the
/// likeliest stands with a hint.
type Word = (
    &'static [&'static str],
    &'static str,
    Strength,
    &'static str,
);

const OF_NODES: [Word; 9] = [
    (
        &["notready"],
        "node.kubelet_down",
        Strength::Fair,
        "is not ready",
    ),
    (
        &["unreachable"],
        "node.kubelet_down",
        Strength::Fair,
        "is not ready",
    ),
    (
        &["node", "down"],
        "node.kubelet_down",
        Strength::Hint,
        "is down",
    ),
    (
        &["kubelet", "down"],
        "node.kubelet_down",
        Strength::Fair,
        "is down",
    ),
    (
        &["diskpressure"],
        "node.disk_pressure",
        Strength::Fair,
        "runs out of disk space",
    ),
    (
        &["filesystem", "space"],
        "node.disk_pressure",
        Strength::Fair,
        "runs out of disk space",
    ),
    (
        &["memorypressure"],
        "node.memory_pressure",
        Strength::Fair,
        "runs out of memory",
    ),
    (
        &["memory", "high"],
        "node.memory_pressure",
        Strength::Hint,
        "runs out of memory",
    ),
    (
        &["pidpressure"],
        "node.pid_pressure",
        Strength::Fair,
        "runs out of process ids",
    ),
];

const OF_THE_REST: [Word; 26] = [
    (
        &["controllermanager", "down"],
        "controlplane.controller_manager_down",
        Strength::Fair,
        "is down",
    ),
    (
        &["scheduler", "down"],
        "controlplane.scheduler_down",
        Strength::Fair,
        "is down",
    ),
    (
        &["apiserver", "latency"],
        "controlplane.api_server_slow",
        Strength::Fair,
        "is slow",
    ),
    (
        &["apiserver", "slow"],
        "controlplane.api_server_slow",
        Strength::Fair,
        "is slow",
    ),
    (
        &["etcd"],
        "controlplane.etcd_unhealthy",
        Strength::Fair,
        "is not well",
    ),
    (
        &["dns", "down"],
        "controlplane.dns_down",
        Strength::Fair,
        "is down",
    ),
    (
        &["coredns", "down"],
        "controlplane.dns_down",
        Strength::Fair,
        "is down",
    ),
    (
        &["coredns", "errors"],
        "controlplane.dns_down",
        Strength::Hint,
        "answers with errors",
    ),
    (
        &["oomkilled"],
        "runtime.oom_killed",
        Strength::Fair,
        "ran out of its memory limit",
    ),
    (
        &["oomkill"],
        "runtime.oom_killed",
        Strength::Fair,
        "ran out of its memory limit",
    ),
    (
        &["imagepullbackoff"],
        "image.reference_wrong",
        Strength::Fair,
        "does not get its image",
    ),
    (
        &["crashlooping"],
        "runtime.crash_on_start",
        Strength::Hint,
        "crashes again and again",
    ),
    (
        &["crashloopbackoff"],
        "runtime.crash_on_start",
        Strength::Hint,
        "crashes again and again",
    ),
    (
        &["crashloop"],
        "runtime.crash_on_start",
        Strength::Hint,
        "crashes again and again",
    ),
    (
        &["restarting"],
        "runtime.crash_later",
        Strength::Hint,
        "restarts again and again",
    ),
    (
        &["restarts"],
        "runtime.crash_later",
        Strength::Hint,
        "restarts again and again",
    ),
    (
        &["job", "failed"],
        "runtime.job_failed",
        Strength::Fair,
        "failed",
    ),
    (
        &["job", "completed"],
        "runtime.job_failed",
        Strength::Hint,
        "does not end",
    ),
    (
        &["hpa", "maxed"],
        "performance.autoscaler_at_limit",
        Strength::Fair,
        "is at its most replicas",
    ),
    (
        &["volume", "full"],
        "storage.volume_full",
        Strength::Fair,
        "has a volume that is full",
    ),
    (
        &["volume", "filling"],
        "storage.volume_full",
        Strength::Fair,
        "has a volume that fills up",
    ),
    (
        &["replicasmismatch"],
        "runtime.rollout_stuck",
        Strength::Hint,
        "has fewer replicas than it wants",
    ),
    (
        &["rolloutstuck"],
        "runtime.rollout_stuck",
        Strength::Hint,
        "does not get where it was told to go",
    ),
    (
        &["notready"],
        "runtime.rollout_stuck",
        Strength::Hint,
        "is not ready",
    ),
    (
        &["waiting"],
        "runtime.rollout_stuck",
        Strength::Hint,
        "waits to start",
    ),
    (&["down"], "dependency.down", Strength::Hint, "is down"),
];

/// The words of a name, in lower case: `CoreDNSDown`, `core_dns_down`.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (i, c) in letters.iter().enumerate() {
        let before = i.checked_sub(1).map(|b| letters[b]);
        let starts = c.is_ascii_uppercase()
            && (before.is_some_and(|b| b.is_ascii_lowercase())
                || letters.get(i + 1).is_some_and(char::is_ascii_lowercase));
        if starts || !c.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

/// Whether words that follow each other make up a word of the vocabulary: `Crash`, `Loop`, `Back`,
/// `Off`.
fn has(words: &[String], wanted: &str) -> bool {
    (0..words.len())
        .any(|from| (from + 1..=words.len()).any(|to| words[from..to].concat() == wanted))
}

pub(super) fn alone(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let kind = view.graph.get(idx).kind();
    if *kind == Kind::Namespace || view.object(idx).is_some() {
        return;
    }
    let known: &[Word] = if *kind == Kind::Node {
        &OF_NODES
    } else {
        &OF_THE_REST
    };
    let serves = matches!(kind, Kind::Pod | Kind::Service) || kind.is_workload();
    for alert in view.alerts(idx) {
        let words = words(&alert.name);
        if let Some((_, fault, strength, says)) = known
            .iter()
            .find(|(all, ..)| all.iter().all(|w| has(&words, w)))
        {
            out.push(told(view, idx, alert, (fault, *strength), says));
        } else if serves && signals(alert).contains(&Signal::Errors) {
            out.push(told(
                view,
                idx,
                alert,
                ("dependency.down", Strength::Hint),
                "answers with errors",
            ));
        }
    }
}

fn told(
    view: &View<'_>,
    idx: Idx,
    alert: &Alert,
    (fault, strength): (&'static str, Strength),
    says: &str,
) -> Finding {
    let owner = view.top_owner(idx);
    view.finding(fault, owner, idx, strength)
        .active(true)
        .says(format!(
            "{} {says} (alert {})",
            view.title(owner),
            alert.name
        ))
        .with([view.alert_evidence(idx, alert)])
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_whole_words() {
        let fault = |name: &str, known: &[Word]| {
            let words = words(name);
            known
                .iter()
                .find(|(all, ..)| all.iter().all(|w| has(&words, w)))
                .map(|(_, fault, ..)| *fault)
        };
        assert_eq!(
            fault("KubeNodeNotReady", &OF_NODES),
            Some("node.kubelet_down")
        );
        assert_eq!(
            fault("NodeFilesystemAlmostOutOfSpace", &OF_NODES),
            Some("node.disk_pressure")
        );
        assert_eq!(
            fault("kube_pod_crash_looping", &OF_THE_REST),
            Some("runtime.crash_on_start")
        );
        assert_eq!(
            fault("CoreDNSDown", &OF_THE_REST),
            Some("controlplane.dns_down")
        );
        assert_eq!(
            fault("KubeAPIServerLatencyHigh", &OF_THE_REST),
            Some("controlplane.api_server_slow")
        );
        assert_eq!(
            fault("KubeHpaMaxedOut", &OF_THE_REST),
            Some("performance.autoscaler_at_limit")
        );
        for other in [
            "NodeDiskIOSaturation",
            "NodeRAIDDiskFailure",
            "NodeMemoryMajorPagesFaults",
            "RapidChange",
        ] {
            assert_eq!(fault(other, &OF_NODES), None, "{other}");
        }
        for other in ["MeetingRoomBloom", "PrestartsLate"] {
            assert_eq!(fault(other, &OF_THE_REST), None, "{other}");
        }
    }
}
