//! Crashes of pods of which only events and logs are known.

use super::crash::killed_by_probe;
use super::finding::Finding;
use super::finding::Strength;
use super::text::{has, short};
use super::{FaultId, View, alert, exit_reason};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Episode, Severity};

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if killed_by_probe(view, idx) {
        return;
    }
    let back_off: Vec<&Episode> = view
        .warnings(idx)
        .filter(|e| {
            &*e.reason == "BackOff"
                && has(&e.message, &["restarting failed container"])
                && view.still_holds(idx, e)
        })
        .collect();
    let owner = view.top_owner(idx);
    let is_missed = is_missed(view, idx, owner);
    let tells =
        |l: &LogTemplate| l.severity >= Severity::Error || is_missed && !l.trouble().is_empty();
    let logs: Vec<&LogTemplate> = view
        .logs(idx)
        .filter(|l| tells(l) && view.now.0 - l.last.0 <= 15 * MINUTE)
        .collect();
    let Some(crash) = judge(back_off.last().copied(), &logs, is_missed) else {
        return;
    };
    let is_dying = is_missed || !back_off.is_empty();
    let how = if is_dying {
        "keeps crashing"
    } else {
        "exits with an error"
    };
    let message = format!("{} {how}: {}", view.title(owner), short(crash.last, 160));
    let lines = logs.iter().take(if is_dying { 5 } else { 1 });
    let lines = lines.map(|l| view.log_evidence(idx, l));
    out.push(
        view.finding(crash.fault, owner, idx, crash.strength)
            .active(is_dying)
            .message(message)
            .with(back_off.iter().map(|e| view.event_evidence(idx, e)))
            .with(lines)
            .build(),
    );
}

/// Whether something says what the state of a pod would: its workload lacks pods, or an alert
/// reports crashes.
fn is_missed(view: &View<'_>, pod: Idx, owner: Idx) -> bool {
    let mut alerts = [pod, owner].into_iter().flat_map(|i| view.alerts(i));
    view.is_healthy(owner) == Some(false) || alerts.any(|a| alert::reports_crashes(&a.name))
}

/// Why a container crashes, how certain that is, and its last words.
struct Crash<'a> {
    fault: FaultId,
    strength: Strength,
    last: &'a str,
}

fn judge<'a>(
    back_off: Option<&'a Episode>,
    logs: &[&'a LogTemplate],
    is_missed: bool,
) -> Option<Crash<'a>> {
    let lines: Vec<&str> = logs.iter().map(|l| &*l.sample).collect();
    // With two spaces, `FATAL:  ` is how a database ends a session; other programs end themselves.
    let fatal = logs
        .iter()
        .find(|l| l.severity >= Severity::Fatal && !has(&l.sample, &["fatal:  "]));
    let event = back_off.map(|event| &*event.message);
    if let Some(fault) = exit_reason::from_lines(None, "", &lines) {
        // Without a report of the kubelet the program may still be running.
        let is_certain = is_missed || event.is_some();
        return Some(Crash {
            fault,
            strength: if is_certain {
                Strength::Strong
            } else {
                Strength::Hint
            },
            last: event.unwrap_or(lines[0]),
        });
    }
    let strength = if is_missed || event.is_some() {
        Strength::Fair
    } else {
        Strength::Hint
    };
    event.or(fatal.map(|log| &*log.sample)).map(|last| Crash {
        fault: FaultId::RuntimeCrashOnStart,
        strength,
        last,
    })
}
