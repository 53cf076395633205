//! Slowness and exhaustion, mostly told by alerts. An alert means what the words of its name and
//! texts mean, whoever wrote the rule.

use std::collections::BTreeMap;

use super::finding::{Finding, Strength};
use super::text::{find, short};
use super::{ComponentId, FaultId, View};
use crate::graph::Idx;
use crate::model::{Alert, Kind};

/// What an alert measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Signal {
    Loss,
    Latency,
    Throughput,
    Errors,
    Throttling,
    Cpu,
    Memory,
    Disk,
    Pool,
}

/// Words that carry each meaning, in names, labels and annotations.
const TOKENS: [(Signal, &[&str]); 9] = [
    (
        Signal::Loss,
        &[
            "retrans",
            "packetloss",
            "packet_loss",
            "packet loss",
            "packets lost",
            "packet drop",
            "dropped packets",
            "loss",
        ],
    ),
    (Signal::Throttling, &["throttl", "cfs"]),
    (
        Signal::Latency,
        &[
            "latency",
            "slow",
            "responsetime",
            "response time",
            "duration",
            "delay",
            "rtt",
        ],
    ),
    (
        Signal::Throughput,
        &["throughput", "traffic", "rps", "request rate", "bandwidth"],
    ),
    (
        Signal::Errors,
        &[
            "error",
            "5xx",
            "availability",
            "success rate",
            "failure rate",
            "500",
            "502",
            "503",
        ],
    ),
    (Signal::Cpu, &["cpu"]),
    (Signal::Memory, &["memory", "oom", "rss"]),
    (Signal::Disk, &["disk", "iops", "iowait", "i/o wait"]),
    (
        Signal::Pool,
        &[
            "connection pool",
            "connectionpool",
            "pool exhausted",
            "saturation",
            "queue",
        ],
    ),
];

/// What an alert measures, by the words of its name, then of its annotations.
pub(super) fn signals(alert: &Alert) -> Vec<Signal> {
    let text = format!(
        "{} {}",
        alert.name,
        alert
            .annotations
            .iter()
            .map(|(_, v)| v)
            .collect::<Vec<_>>()
            .join(" ")
    );
    TOKENS
        .iter()
        .filter(|(_, words)| words.iter().any(|w| find(&text, w).is_some()))
        .map(|(s, _)| *s)
        .collect()
}

/// The largest plain number that an alert's annotations quote: among alerts of one rule the one
/// that measured most is the worst, whatever its unit. Percentages are left out, for they compare
/// with an unknown past.
pub(super) fn measured(alert: &Alert) -> f64 {
    let mut largest = 0.0_f64;
    for (_, text) in alert.annotations.iter() {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            while at < bytes.len() && (bytes[at].is_ascii_digit() || bytes[at] == b'.') {
                at += 1;
            }
            if at > start
                && bytes.get(at) != Some(&b'%')
                && (start == 0 || !bytes[start - 1].is_ascii_alphanumeric())
            {
                largest = largest.max(text[start..at].trim_end_matches('.').parse().unwrap_or(0.0));
            }
            at = at.max(start + 1);
        }
    }
    largest
}

/// The largest rise that a slow component's alerts quote, in percent of what is usual there.
fn rise(alert: &Alert) -> Option<f64> {
    let number = |text: &str| {
        let start = text
            .rfind(|c: char| !(c.is_ascii_digit() || c == '.'))
            .map_or(0, |at| at + 1);
        text[start..].parse::<f64>().ok()
    };
    let texts = alert
        .annotations
        .iter()
        .flat_map(|(_, v)| v.split('%').collect::<Vec<_>>());
    texts.filter_map(number).reduce(f64::max)
}

/// Of several that are slow the one whose latency rose most against its own past: a delay weighs
/// most where it arises, for whoever waits behind it has more time of its own to begin with.
pub(super) fn slowest(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut rises: BTreeMap<ComponentId, (f64, Idx, &Alert)> = BTreeMap::new();
    for (idx, alert) in &view.episodes.alerts {
        let slow =
            signals(alert).contains(&Signal::Latency) && *view.graph.get(*idx).kind() != Kind::Node;
        let Some(rise) = rise(alert).filter(|_| slow) else {
            continue;
        };
        let known = rises
            .entry(view.component_id(*idx))
            .or_insert((rise, *idx, alert));
        if rise > known.0 {
            *known = (rise, *idx, alert);
        }
    }
    let mut all: Vec<_> = rises.into_values().collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let [(most, idx, alert), (next, ..), ..] = all[..] else {
        return;
    };
    let known = out.iter().any(|f| {
        f.active
            && f.strength >= Strength::Strong
            && matches!(
                f.fault,
                FaultId::NodeNetworkDelay | FaultId::NodeNetworkLoss
            )
    });
    if most < next * 1.5 || known {
        return;
    }
    let owner = view.top_owner(idx);
    out.push(
        view.finding(FaultId::PerformanceNetworkDelay, owner, idx, Strength::Fair)
            .active(true)
            .message(format!(
                "{} became slow by {most:.0} %, more than any other (alert {})",
                view.title(owner),
                alert.name
            ))
            .with([view.alert_evidence(idx, alert)])
            .build(),
    );
}

pub(super) fn alerts(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let kind = view.graph.get(idx).kind();
    if matches!(kind, Kind::Node | Kind::Namespace) {
        return;
    }
    for alert in view.alerts(idx) {
        let Some((fault, strength, what)) = meaning(alert) else {
            continue;
        };
        let owner = view.top_owner(idx);
        out.push(
            view.finding(fault, owner, idx, strength)
                .active(true)
                .message(format!(
                    "{} {what} (alert {})",
                    view.title(owner),
                    alert.name
                ))
                .with([view.alert_evidence(idx, alert)])
                .build(),
        );
    }
}

/// The fault that an alert speaks for first. Slowness and errors are felt by callers as well, so
/// they say little about whose; what is measured on the connection itself (round trips,
/// retransmissions, drops) summary more.
fn meaning(alert: &Alert) -> Option<(FaultId, Strength, &'static str)> {
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
        (
            FaultId::PerformanceCpuThrottled,
            Strength::Strong,
            "is throttled at its CPU limit",
        )
    } else if name_has(&["pool"])
        || (text_has(&["pool"]) && text_has(&["connection", "idle", "pending"]))
        || labels.contains("pool")
    {
        (
            FaultId::PerformancePoolExhausted,
            Strength::Strong,
            "has no free connection left",
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
        (
            FaultId::PerformanceIoSaturated,
            Strength::Fair,
            "waits for its disk",
        )
    } else if name_has(&["cpu"]) {
        (
            FaultId::PerformanceCpuSaturated,
            Strength::Fair,
            "uses all of its CPU",
        )
    } else if name_has(&["memory", "oom"]) {
        (
            FaultId::PerformanceMemoryPressure,
            Strength::Fair,
            "is short of memory",
        )
    } else if has(Signal::Loss) && name_has(&["retrans", "drop", "loss", "packet"]) {
        (
            FaultId::PerformanceNetworkLoss,
            Strength::Strong,
            "loses packets",
        )
    } else if has(Signal::Loss) {
        (
            FaultId::PerformanceNetworkLoss,
            Strength::Fair,
            "loses packets",
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
        (
            FaultId::PerformanceNetworkDelay,
            Strength::Strong,
            "is slow on the network",
        )
    } else if has(Signal::Latency) {
        (FaultId::PerformanceNetworkDelay, Strength::Hint, "is slow")
    } else {
        return None;
    })
}

pub(super) fn autoscaler(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(hpa) = view.object(idx).and_then(|o| o.hpa()) else {
        return;
    };
    if !view.is_living(idx) {
        return;
    }
    let target = view
        .graph
        .out(idx)
        .find(|(r, _)| *r == crate::graph::Relation::Scales)
        .map_or(idx, |(_, t)| t);
    let condition = |kind: &str, status: &str| {
        crate::model::object::condition(&hpa.conditions, kind).filter(|c| c.is(status))
    };
    if let Some(c) = condition("ScalingActive", "False")
        .filter(|c| c.reason.as_deref() != Some("ScalingDisabled"))
    {
        let summary = format!(
            "Autoscaler `{}` has no metrics: {}",
            view.graph.get(idx).name(),
            short(c.message.as_deref().unwrap_or(""), 160)
        );
        out.push(
            view.finding(
                FaultId::PerformanceAutoscalerNoMetrics,
                target,
                idx,
                Strength::Fair,
            )
            .active(false)
            .message(summary)
            .with([view.state_evidence(idx, "ScalingActive is False".into())])
            .build(),
        );
    }
    if let Some(c) = condition("ScalingLimited", "True")
        .filter(|c| c.reason.as_deref() == Some("TooManyReplicas"))
    {
        let summary = format!(
            "Autoscaler `{}` wants more than its {} replicas",
            view.graph.get(idx).name(),
            hpa.max_replicas.unwrap_or(0)
        );
        out.push(
            view.finding(
                FaultId::PerformanceAutoscalerAtLimit,
                target,
                idx,
                Strength::Fair,
            )
            .active(false)
            .message(summary)
            .with([view.state_evidence(
                idx,
                format!("ScalingLimited: {}", c.message.as_deref().unwrap_or("")),
            )])
            .build(),
        );
    }
}
