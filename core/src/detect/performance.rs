//! Slowness and saturation, mostly by alerts. The words in an alert's name and texts decide what it
//! measures, whatever the rule is.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, Strength};
use super::text::find;
use super::{ComponentId, FaultId, View, waited_for};
use crate::graph::{Idx, Relation};
use crate::model::{Alert, Kind, Severity};
use crate::trouble::Class;

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

/// Words that stand for each signal in names and annotations.
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
            "receive errors",
            "transmit errors",
            "receiveerrs",
            "transmiterrs",
            "crc errors",
            "linkflapping",
            "interfaceflapping",
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

/// What an alert measures, by the words in its name and annotations.
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

/// The largest plain number in an alert's annotations. Among alerts of one rule the largest is the
/// worst, whatever the unit. Percentages do not count: they compare with an unknown past.
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

/// The largest rise in an alert's annotations, in percent.
fn rise(alert: &Alert) -> Option<f64> {
    let number = |text: &str| {
        let start = text
            .rfind(|c: char| !(c.is_ascii_digit() || c == '.'))
            .map(|at| at + 1)
            .unwrap_or(0);
        text[start..].parse::<f64>().ok()
    };
    let texts = alert
        .annotations
        .iter()
        .flat_map(|(_, v)| v.split('%').collect::<Vec<_>>());
    texts.filter_map(number).reduce(f64::max)
}

/// A slow component.
#[derive(Clone, Copy)]
struct Slow<'a> {
    idx: Idx,
    alert: &'a Alert,
    /// The rise against its own past, in percent.
    rise: f64,
    /// The largest value.
    measured: f64,
}

/// Of the slow components, the one whose latency rose most against its own past. A delay is the
/// largest share of the time where it arises: its callers take longer to begin with. From there, a
/// callee that is slow as well and accounts for half of its caller's time is closer to the cause.
pub(super) fn slowest(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut slow: BTreeMap<ComponentId, Slow<'_>> = BTreeMap::new();
    for (idx, alert) in &view.episodes.alerts {
        let is_slow =
            signals(alert).contains(&Signal::Latency) && *view.graph.get(*idx).kind() != Kind::Node;
        let Some(rise) = rise(alert).filter(|_| is_slow) else {
            continue;
        };
        let this = Slow {
            idx: *idx,
            alert,
            rise,
            measured: measured(alert),
        };
        let known = slow.entry(view.component_id(*idx)).or_insert(this);
        if this.rise > known.rise {
            *known = this;
        }
    }
    let known = out.iter().any(|f| {
        f.active
            && f.strength >= Strength::Strong
            && matches!(
                f.fault,
                FaultId::NodeNetworkDelay | FaultId::NodeNetworkLoss
            )
    });
    let by_rise = |a: &&Slow<'_>, b: &&Slow<'_>| a.rise.total_cmp(&b.rise);
    let Some(first) = slow.values().max_by(by_rise).filter(|_| !known) else {
        return;
    };
    // Several that rose about as much: the shares of callers and callees do not tell them apart.
    let is_close = |other: &&Slow<'_>| other.idx != first.idx && first.rise < other.rise * 1.5;
    if slow.values().any(|other| is_close(&other)) {
        return;
    }
    let Slow {
        idx, alert, rise, ..
    } = *walk_down(view, &slow, first);
    let owner = view.top_owner(idx);
    out.push(
        view.finding(FaultId::PerformanceNetworkDelay, owner, idx, Strength::Fair)
            .active(true)
            .message(format!(
                "Latency of {} rose by {rise:.0} %, the largest increase (alert {})",
                view.title(owner),
                alert.name
            ))
            .with([view.alert_evidence(idx, alert)])
            .build(),
    );
}

/// Follows calls to slow components that account for at least half of their caller's time and rose
/// at least half as much.
fn walk_down<'s, 'a>(
    view: &View<'_>,
    slow: &'s BTreeMap<ComponentId, Slow<'a>>,
    first: &'s Slow<'a>,
) -> &'s Slow<'a> {
    let mut at = first;
    let mut seen = BTreeSet::from([view.component_id(first.idx)]);
    loop {
        let callees: BTreeSet<ComponentId> = callees(view, at.idx);
        let deeper = slow
            .iter()
            .filter(|(id, s)| {
                callees.contains(id)
                    && !seen.contains(id)
                    && s.measured >= at.measured / 2.0
                    && s.rise >= at.rise / 2.0
            })
            .max_by(|(_, a), (_, b)| a.measured.total_cmp(&b.measured));
        let Some((id, next)) = deeper else {
            return at;
        };
        seen.insert(*id);
        at = next;
    }
}

/// The components that the component of a resource calls.
fn callees(view: &View<'_>, idx: Idx) -> BTreeSet<ComponentId> {
    let owner = view.top_owner(idx);
    let holders = [idx, owner].into_iter().chain(view.pods_of(owner));
    holders
        .flat_map(|holder| view.graph.out(holder))
        .filter(|(relation, _)| *relation == Relation::Calls)
        .map(|(_, callee)| view.component_id(callee))
        .collect()
}

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
