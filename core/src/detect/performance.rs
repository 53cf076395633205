//! Slowness and saturation, mostly by alerts. The words in an alert's name and texts decide what it
//! measures, whatever the rule is.

use std::collections::BTreeSet;

use super::finding::{Finding, Strength};
use super::signals::{Signal, signals};
use super::text::find;
use super::{ComponentId, FaultId, View, waited_for};
use crate::graph::Idx;
use crate::model::{Alert, Kind, Severity};
use crate::trouble::Class;

pub(super) fn alerts(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let kind = view.graph.get(idx).kind();
    if matches!(kind, Kind::Node | Kind::Namespace) {
        return;
    }
    for alert in view.alerts(idx) {
        let Some(mut meaning) = meaning(alert) else {
            continue;
        };
        if meaning.fault == FaultId::PerformanceNetworkDelay && meaning.strength == Strength::Hint {
            // Who waits for another one is slow because of that.
            if waits(view, idx) {
                continue;
            }
            if is_of_requests(alert) {
                meaning.fault = FaultId::DependencySlow;
                meaning.predicate = "is slow to execute what it is asked";
            }
        }
        // Others are slow and this one is not: it is used to being busy.
        if meaning.is_of_processor()
            && (is_note(alert) || is_background(view, idx) && !waited_for::is(view, idx))
        {
            meaning.strength = Strength::Hint;
        }
        let owner = view.top_owner(idx);
        out.push(
            view.finding(meaning.fault, owner, idx, meaning.strength)
                .active(true)
                .message(format!(
                    "{} {} (alert {})",
                    view.title(owner),
                    meaning.predicate,
                    alert.name
                ))
                .with([view.alert_evidence(idx, alert)])
                .build(),
        );
    }
}

/// How rules name what a database, a cache or a broker executes: its own time, without the network.
const OF_REQUESTS: [&str; 6] = [
    "command",
    "query",
    "queries",
    "statement",
    "commit",
    "slowlog",
];

/// Whether an alert about latency measures what a server executes.
fn is_of_requests(alert: &Alert) -> bool {
    let texts = format!("{} {}", alert.name, alert.annotations.to_text());
    OF_REQUESTS.iter().any(|word| find(&texts, word).is_some())
}

/// Whether a workload itself reports, as an error, that an answer did not come in time.
fn waits(view: &View<'_>, idx: Idx) -> bool {
    let pods = view.pods_of(view.top_owner(idx));
    let mut lines = pods
        .iter()
        .flat_map(|pod| view.logs(*pod).map(|log| (*pod, log)));
    lines.any(|(pod, log)| {
        log.severity >= Severity::Error
            && log.trouble().has(Class::TimedOut)
            && view.is_current(pod, log)
    })
}

/// What an alert means for the workload that it is about.
struct Meaning {
    fault: FaultId,
    strength: Strength,
    /// What is wrong, to follow the name of the workload.
    predicate: &'static str,
}

/// Whether an alert only notes that the processor is busy: by its own severity, and less than half
/// of the time. The usual rule fires from a quarter on.
fn is_note(alert: &Alert) -> bool {
    let text = alert.annotations.to_text();
    let (before, _) = text.split_once('%').unwrap_or_default();
    let number = before.rsplit(|c: char| !(c.is_ascii_digit() || c == '.'));
    let share: Option<f64> = number.into_iter().next().and_then(|n| n.parse().ok());
    alert.severity < Severity::Warning && share.unwrap_or(0.0) < 50.0
}

/// Whether other components are slow, and the one of a resource is not.
fn is_background(view: &View<'_>, idx: Idx) -> bool {
    let own = view.component_id(idx);
    let slow: BTreeSet<ComponentId> = view
        .episodes
        .alerts
        .iter()
        .filter(|(_, alert)| signals(alert).contains(&Signal::Latency))
        .map(|(idx, _)| view.component_id(*idx))
        .collect();
    !slow.is_empty() && !slow.contains(&own)
}

impl Meaning {
    /// Whether it is about the use of the processor.
    fn is_of_processor(&self) -> bool {
        matches!(
            self.fault,
            FaultId::PerformanceCpuThrottled | FaultId::PerformanceCpuSaturated
        )
    }

    const fn new(fault: FaultId, strength: Strength, predicate: &'static str) -> Self {
        Self {
            fault,
            strength,
            predicate,
        }
    }
}

/// The most likely fault behind an alert. Callers are slow and fail as well, so latency and errors
/// are weak evidence; what is measured on the connection itself (round trips, retransmissions,
/// drops) is stronger.
fn meaning(alert: &Alert) -> Option<Meaning> {
    let labels = alert
        .labels
        .iter()
        .map(|(k, _)| k)
        .collect::<Vec<_>>()
        .join(" ");
    let texts = format!("{} {}", alert.name, alert.annotations.to_text());
    let name_has = |words: &[&str]| words.iter().any(|w| find(&alert.name, w).is_some());
    let text_has = |words: &[&str]| words.iter().any(|w| find(&texts, w).is_some());
    let all = signals(alert);
    let has = |s: Signal| all.contains(&s);
    let disk = [
        "disk",
        "iops",
        "iowait",
        "volumequeue",
        "volume_queue",
        "volumelatency",
        "volume_latency",
        "diskqueue",
    ];
    Some(if has(Signal::Throttling) {
        Meaning::new(
            FaultId::PerformanceCpuThrottled,
            Strength::Strong,
            "is throttled at its CPU limit",
        )
    } else if name_has(&["pool"])
        || (text_has(&["pool"]) && text_has(&["connection", "idle", "pending"]))
        || labels.contains("pool")
    {
        Meaning::new(
            FaultId::PerformancePoolExhausted,
            Strength::Strong,
            "has exhausted its connection pool",
        )
    } else if name_has(&disk)
        || text_has(&[
            "iops",
            "queue length",
            "write latency",
            "read latency",
            "i/o wait",
            "iowait",
        ])
    {
        Meaning::new(
            FaultId::PerformanceIoSaturated,
            Strength::Fair,
            "is limited by disk I/O",
        )
    } else if name_has(&["cpu"]) {
        Meaning::new(
            FaultId::PerformanceCpuSaturated,
            Strength::Fair,
            "is saturating its CPU",
        )
    } else if name_has(&["memory", "oom"]) {
        Meaning::new(
            FaultId::PerformanceMemoryPressure,
            Strength::Fair,
            "is under memory pressure",
        )
    } else if has(Signal::Loss) && name_has(&["retrans", "drop", "loss", "packet"]) {
        Meaning::new(
            FaultId::PerformanceNetworkLoss,
            Strength::Strong,
            "is losing packets",
        )
    } else if has(Signal::Loss) {
        Meaning::new(
            FaultId::PerformanceNetworkLoss,
            Strength::Fair,
            "is losing packets",
        )
    } else if name_has(&[
        "rtt",
        "roundtrip",
        "round_trip",
        "tcplatency",
        "tcp_latency",
        "networklatency",
        "network_latency",
        "networkdelay",
    ]) {
        Meaning::new(
            FaultId::PerformanceNetworkDelay,
            Strength::Strong,
            "has high network latency",
        )
    } else if has(Signal::Latency) {
        Meaning::new(
            FaultId::PerformanceNetworkDelay,
            Strength::Hint,
            "has high latency",
        )
    } else {
        return None;
    })
}
