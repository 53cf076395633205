//! Faults that alerts report for resources whose state is not known. Known state is more precise.

use super::finding::{Finding, Strength};
use super::signals::{Signal, signals};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::{Alert, Kind};

/// Words in the names of alerts, as in `kubernetes-mixin` and similar rules, with their meaning.
/// A word that fits several faults is a hint at the most likely one.
struct Meaning {
    /// All of them must occur.
    words: &'static [&'static str],
    fault: FaultId,
    strength: Strength,
    /// What is wrong, to follow the name of the resource.
    predicate: &'static str,
}

const fn meaning(
    words: &'static [&'static str],
    fault: FaultId,
    strength: Strength,
    predicate: &'static str,
) -> Meaning {
    Meaning {
        words,
        fault,
        strength,
        predicate,
    }
}

const OF_NODES: [Meaning; 9] = [
    meaning(
        &["notready"],
        FaultId::NodeKubeletDown,
        Strength::Fair,
        "is not ready",
    ),
    meaning(
        &["unreachable"],
        FaultId::NodeKubeletDown,
        Strength::Fair,
        "is not ready",
    ),
    meaning(
        &["node", "down"],
        FaultId::NodeKubeletDown,
        Strength::Hint,
        "is down",
    ),
    meaning(
        &["kubelet", "down"],
        FaultId::NodeKubeletDown,
        Strength::Fair,
        "is down",
    ),
    meaning(
        &["diskpressure"],
        FaultId::NodeDiskPressure,
        Strength::Fair,
        "is under disk pressure",
    ),
    meaning(
        &["filesystem", "space"],
        FaultId::NodeDiskPressure,
        Strength::Fair,
        "is under disk pressure",
    ),
    meaning(
        &["memorypressure"],
        FaultId::NodeMemoryPressure,
        Strength::Fair,
        "is under memory pressure",
    ),
    meaning(
        &["memory", "high"],
        FaultId::NodeMemoryPressure,
        Strength::Hint,
        "is under memory pressure",
    ),
    meaning(
        &["pidpressure"],
        FaultId::NodePidPressure,
        Strength::Fair,
        "is under PID pressure",
    ),
];

const OF_OTHERS: [Meaning; 26] = [
    meaning(
        &["controllermanager", "down"],
        FaultId::ControlplaneControllerManagerDown,
        Strength::Fair,
        "is down",
    ),
    meaning(
        &["scheduler", "down"],
        FaultId::ControlplaneSchedulerDown,
        Strength::Fair,
        "is down",
    ),
    meaning(
        &["apiserver", "latency"],
        FaultId::ControlplaneApiServerSlow,
        Strength::Fair,
        "is slow",
    ),
    meaning(
        &["apiserver", "slow"],
        FaultId::ControlplaneApiServerSlow,
        Strength::Fair,
        "is slow",
    ),
    meaning(
        &["etcd"],
        FaultId::ControlplaneEtcdUnhealthy,
        Strength::Fair,
        "is unhealthy",
    ),
    meaning(
        &["dns", "down"],
        FaultId::ControlplaneDnsDown,
        Strength::Fair,
        "is down",
    ),
    meaning(
        &["coredns", "down"],
        FaultId::ControlplaneDnsDown,
        Strength::Fair,
        "is down",
    ),
    meaning(
        &["coredns", "errors"],
        FaultId::ControlplaneDnsDown,
        Strength::Hint,
        "returns errors",
    ),
    meaning(
        &["oomkilled"],
        FaultId::RuntimeOomKilled,
        Strength::Fair,
        "exceeded its memory limit",
    ),
    meaning(
        &["oomkill"],
        FaultId::RuntimeOomKilled,
        Strength::Fair,
        "exceeded its memory limit",
    ),
    meaning(
        &["imagepullbackoff"],
        FaultId::ImageReferenceWrong,
        Strength::Fair,
        "cannot pull its image",
    ),
    meaning(
        &["crashlooping"],
        FaultId::RuntimeCrashOnStart,
        Strength::Hint,
        "keeps crashing",
    ),
    meaning(
        &["crashloopbackoff"],
        FaultId::RuntimeCrashOnStart,
        Strength::Hint,
        "keeps crashing",
    ),
    meaning(
        &["crashloop"],
        FaultId::RuntimeCrashOnStart,
        Strength::Hint,
        "keeps crashing",
    ),
    meaning(
        &["restarting"],
        FaultId::RuntimeCrashLater,
        Strength::Hint,
        "keeps restarting",
    ),
    meaning(
        &["restarts"],
        FaultId::RuntimeCrashLater,
        Strength::Hint,
        "keeps restarting",
    ),
    meaning(
        &["job", "failed"],
        FaultId::RuntimeJobFailed,
        Strength::Fair,
        "failed",
    ),
    meaning(
        &["job", "completed"],
        FaultId::RuntimeJobFailed,
        Strength::Hint,
        "does not complete",
    ),
    meaning(
        &["hpa", "maxed"],
        FaultId::PerformanceAutoscalerAtLimit,
        Strength::Fair,
        "is at maxReplicas",
    ),
    meaning(
        &["volume", "full"],
        FaultId::StorageVolumeFull,
        Strength::Fair,
        "has a full volume",
    ),
    meaning(
        &["volume", "filling"],
        FaultId::StorageVolumeFull,
        Strength::Fair,
        "has a volume that is filling up",
    ),
    meaning(
        &["replicasmismatch"],
        FaultId::RuntimeRolloutStuck,
        Strength::Hint,
        "has fewer ready replicas than desired",
    ),
    meaning(
        &["rolloutstuck"],
        FaultId::RuntimeRolloutStuck,
        Strength::Hint,
        "has a stuck rollout",
    ),
    meaning(
        &["notready"],
        FaultId::RuntimeRolloutStuck,
        Strength::Hint,
        "is not ready",
    ),
    meaning(
        &["waiting"],
        FaultId::RuntimeRolloutStuck,
        Strength::Hint,
        "is waiting to start",
    ),
    meaning(
        &["down"],
        FaultId::DependencyDown,
        Strength::Hint,
        "is down",
    ),
];

/// The meaning of alerts about errors that no name above matches.
const RETURNS_ERRORS: Meaning = meaning(
    &[],
    FaultId::DependencyDown,
    Strength::Hint,
    "returns errors",
);

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

/// Whether consecutive words form a word of the vocabulary: `Crash`, `Loop`, `Back`, `Off`.
fn has(words: &[String], wanted: &str) -> bool {
    (0..words.len())
        .any(|from| (from + 1..=words.len()).any(|to| words[from..to].concat() == wanted))
}

/// Whether the name of an alert says that containers keep crashing.
pub(super) fn reports_crashes(name: &str) -> bool {
    let words = words(name);
    ["crashlooping", "crashloopbackoff", "crashloop"]
        .iter()
        .any(|wanted| has(&words, wanted))
}

/// Reports what the alerts of a resource without known state mean.
pub(super) fn alone(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let kind = view.graph.get(idx).kind();
    if *kind == Kind::Namespace || view.object(idx).is_some() {
        return;
    }
    let known: &[Meaning] = if *kind == Kind::Node {
        &OF_NODES
    } else {
        &OF_OTHERS
    };
    let serves = matches!(kind, Kind::Pod | Kind::Service) || kind.is_workload();
    for alert in view.alerts(idx) {
        let words = words(&alert.name);
        if let Some(meaning) = known
            .iter()
            .find(|m| m.words.iter().all(|w| has(&words, w)))
        {
            out.push(finding(view, idx, alert, meaning));
        } else if serves && signals(alert).contains(&Signal::Errors) {
            out.push(finding(view, idx, alert, &RETURNS_ERRORS));
        }
    }
}

fn finding(view: &View<'_>, idx: Idx, alert: &Alert, meaning: &Meaning) -> Finding {
    let owner = view.top_owner(idx);
    view.finding(meaning.fault, owner, idx, meaning.strength)
        .active(true)
        .message(format!(
            "{} {} (alert {})",
            view.title(owner),
            meaning.predicate,
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
        let fault = |name: &str, known: &[Meaning]| {
            let words = words(name);
            known
                .iter()
                .find(|m| m.words.iter().all(|w| has(&words, w)))
                .map(|m| m.fault)
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
            fault("kube_pod_crash_looping", &OF_OTHERS),
            Some(FaultId::RuntimeCrashOnStart)
        );
        assert_eq!(
            fault("CoreDNSDown", &OF_OTHERS),
            Some(FaultId::ControlplaneDnsDown)
        );
        assert_eq!(
            fault("KubeAPIServerLatencyHigh", &OF_OTHERS),
            Some(FaultId::ControlplaneApiServerSlow)
        );
        assert_eq!(
            fault("KubeHpaMaxedOut", &OF_OTHERS),
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
            assert_eq!(fault(other, &OF_OTHERS), None, "{other}");
        }
    }
}
