//! What alerts say of state that nobody sent. With the object at hand its state summary more.

use super::finding::{Finding, Strength};
use super::performance::{Signal, signals};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::{Alert, Kind};

/// Words of an alert's name, all of which must be there, and what they say: the vocabulary of
/// `kubernetes-mixin` and of those who write rules like it. Where a word fits several faults, the
/// likeliest stands with a hint.
type Word = (&'static [&'static str], FaultId, Strength, &'static str);

const OF_NODES: [Word; 9] = [
    (
        &["notready"],
        FaultId::NodeKubeletDown,
        Strength::Fair,
        "is not ready",
    ),
    (
        &["unreachable"],
        FaultId::NodeKubeletDown,
        Strength::Fair,
        "is not ready",
    ),
    (
        &["node", "down"],
        FaultId::NodeKubeletDown,
        Strength::Hint,
        "is down",
    ),
    (
        &["kubelet", "down"],
        FaultId::NodeKubeletDown,
        Strength::Fair,
        "is down",
    ),
    (
        &["diskpressure"],
        FaultId::NodeDiskPressure,
        Strength::Fair,
        "runs out of disk space",
    ),
    (
        &["filesystem", "space"],
        FaultId::NodeDiskPressure,
        Strength::Fair,
        "runs out of disk space",
    ),
    (
        &["memorypressure"],
        FaultId::NodeMemoryPressure,
        Strength::Fair,
        "runs out of memory",
    ),
    (
        &["memory", "high"],
        FaultId::NodeMemoryPressure,
        Strength::Hint,
        "runs out of memory",
    ),
    (
        &["pidpressure"],
        FaultId::NodePidPressure,
        Strength::Fair,
        "runs out of process ids",
    ),
];

const OF_THE_REST: [Word; 26] = [
    (
        &["controllermanager", "down"],
        FaultId::ControlplaneControllerManagerDown,
        Strength::Fair,
        "is down",
    ),
    (
        &["scheduler", "down"],
        FaultId::ControlplaneSchedulerDown,
        Strength::Fair,
        "is down",
    ),
    (
        &["apiserver", "latency"],
        FaultId::ControlplaneApiServerSlow,
        Strength::Fair,
        "is slow",
    ),
    (
        &["apiserver", "slow"],
        FaultId::ControlplaneApiServerSlow,
        Strength::Fair,
        "is slow",
    ),
    (
        &["etcd"],
        FaultId::ControlplaneEtcdUnhealthy,
        Strength::Fair,
        "is not well",
    ),
    (
        &["dns", "down"],
        FaultId::ControlplaneDnsDown,
        Strength::Fair,
        "is down",
    ),
    (
        &["coredns", "down"],
        FaultId::ControlplaneDnsDown,
        Strength::Fair,
        "is down",
    ),
    (
        &["coredns", "errors"],
        FaultId::ControlplaneDnsDown,
        Strength::Hint,
        "answers with errors",
    ),
    (
        &["oomkilled"],
        FaultId::RuntimeOomKilled,
        Strength::Fair,
        "ran out of its memory limit",
    ),
    (
        &["oomkill"],
        FaultId::RuntimeOomKilled,
        Strength::Fair,
        "ran out of its memory limit",
    ),
    (
        &["imagepullbackoff"],
        FaultId::ImageReferenceWrong,
        Strength::Fair,
        "does not get its image",
    ),
    (
        &["crashlooping"],
        FaultId::RuntimeCrashOnStart,
        Strength::Hint,
        "crashes again and again",
    ),
    (
        &["crashloopbackoff"],
        FaultId::RuntimeCrashOnStart,
        Strength::Hint,
        "crashes again and again",
    ),
    (
        &["crashloop"],
        FaultId::RuntimeCrashOnStart,
        Strength::Hint,
        "crashes again and again",
    ),
    (
        &["restarting"],
        FaultId::RuntimeCrashLater,
        Strength::Hint,
        "restarts again and again",
    ),
    (
        &["restarts"],
        FaultId::RuntimeCrashLater,
        Strength::Hint,
        "restarts again and again",
    ),
    (
        &["job", "failed"],
        FaultId::RuntimeJobFailed,
        Strength::Fair,
        "failed",
    ),
    (
        &["job", "completed"],
        FaultId::RuntimeJobFailed,
        Strength::Hint,
        "does not end",
    ),
    (
        &["hpa", "maxed"],
        FaultId::PerformanceAutoscalerAtLimit,
        Strength::Fair,
        "is at its most replicas",
    ),
    (
        &["volume", "full"],
        FaultId::StorageVolumeFull,
        Strength::Fair,
        "has a volume that is full",
    ),
    (
        &["volume", "filling"],
        FaultId::StorageVolumeFull,
        Strength::Fair,
        "has a volume that fills up",
    ),
    (
        &["replicasmismatch"],
        FaultId::RuntimeRolloutStuck,
        Strength::Hint,
        "has fewer replicas than it wants",
    ),
    (
        &["rolloutstuck"],
        FaultId::RuntimeRolloutStuck,
        Strength::Hint,
        "does not get where it was told to go",
    ),
    (
        &["notready"],
        FaultId::RuntimeRolloutStuck,
        Strength::Hint,
        "is not ready",
    ),
    (
        &["waiting"],
        FaultId::RuntimeRolloutStuck,
        Strength::Hint,
        "waits to start",
    ),
    (
        &["down"],
        FaultId::DependencyDown,
        Strength::Hint,
        "is down",
    ),
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
        if let Some((_, fault, strength, summary)) = known
            .iter()
            .find(|(all, ..)| all.iter().all(|w| has(&words, w)))
        {
            out.push(told(view, idx, alert, (*fault, *strength), summary));
        } else if serves && signals(alert).contains(&Signal::Errors) {
            out.push(told(
                view,
                idx,
                alert,
                (FaultId::DependencyDown, Strength::Hint),
                "answers with errors",
            ));
        }
    }
}

fn told(
    view: &View<'_>,
    idx: Idx,
    alert: &Alert,
    (fault, strength): (FaultId, Strength),
    summary: &str,
) -> Finding {
    let owner = view.top_owner(idx);
    view.finding(fault, owner, idx, strength)
        .active(true)
        .message(format!(
            "{} {summary} (alert {})",
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
            Some(FaultId::NodeKubeletDown)
        );
        assert_eq!(
            fault("NodeFilesystemAlmostOutOfSpace", &OF_NODES),
            Some(FaultId::NodeDiskPressure)
        );
        assert_eq!(
            fault("kube_pod_crash_looping", &OF_THE_REST),
            Some(FaultId::RuntimeCrashOnStart)
        );
        assert_eq!(
            fault("CoreDNSDown", &OF_THE_REST),
            Some(FaultId::ControlplaneDnsDown)
        );
        assert_eq!(
            fault("KubeAPIServerLatencyHigh", &OF_THE_REST),
            Some(FaultId::ControlplaneApiServerSlow)
        );
        assert_eq!(
            fault("KubeHpaMaxedOut", &OF_THE_REST),
            Some(FaultId::PerformanceAutoscalerAtLimit)
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
