//! What an alert measures, by the words in its name and texts, whatever the rule is.

use super::text::find;
use crate::model::Alert;

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
