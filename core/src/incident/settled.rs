//! Whether an incident is over: what showed its symptoms is healthy and quiet.

use super::{Symptom, SymptomKind};
use crate::detect::View;
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Severity, Time};

/// How long what is healthy again must be quiet to be settled, in microseconds.
const SETTLED: i64 = 5 * MINUTE;

/// Whether everything that showed these symptoms is healthy again and has been quiet for a while:
/// a container that was killed once and restarted, say.
pub fn is_settled(view: &View<'_>, symptoms: &[&Symptom]) -> bool {
    let is_quiet = |s: &Symptom| match s.kind {
        // A state holds until now, whatever it rests on: a restart may have ended it, and a program
        // that goes on to report errors shows that nothing did.
        SymptomKind::State => {
            let has_restarted = view
                .started(s.resource)
                .map(|start| start > s.onset)
                .unwrap_or(true);
            let is_error = |l: &LogTemplate| {
                l.severity >= Severity::Error
                    && view.now.0 - l.last.0 <= SETTLED
                    && !l.trouble().is_empty()
            };
            // What is wrong with a spec stays wrong without a pod that shows it.
            view.pod(s.resource).is_some()
                && (s.severity < Severity::Error || has_restarted)
                && !view.logs(s.resource).any(is_error)
        }
        SymptomKind::Event => view.now.0 - s.last.0 > SETTLED,
        // A program that reports an error only now and then has not recovered in between.
        SymptomKind::Log => view.started(s.resource).is_some_and(|start| s.last < start),
        // That a container restarted stays true for an hour, whether it runs again or not.
        SymptomKind::Alert => s.severity < Severity::Critical && is_about_restarts(&s.what),
    };
    symptoms.iter().all(|s| {
        view.is_healthy(s.resource) == Some(true)
            && is_quiet(s)
            && !is_between_restarts(view, s.resource)
    })
}

/// Whether an alert counts the restarts of containers.
fn is_about_restarts(what: &str) -> bool {
    let what = what.to_ascii_lowercase();
    ["restart", "oomkill"]
        .iter()
        .any(|word| what.contains(word))
}

/// Whether a pod restarts repeatedly, and runs now for less long than last time.
pub(super) fn is_between_restarts(view: &View<'_>, resource: Idx) -> bool {
    const RESTARTS: i64 = 5;
    const SHORT: f64 = 15.0 * 60.0;
    let statuses = view.pod(resource).map(|p| &p.status.container_statuses);
    statuses.into_iter().flat_map(|all| all.iter()).any(|c| {
        let runs = c.state.running.as_ref().and_then(|r| r.started_at.0);
        let ended = c.last_state.terminated.as_ref();
        let lasted = ended.and_then(|e| {
            let (start, end) = (e.started_at.0?, e.finished_at.0?);
            Some(end.seconds_since(start))
        });
        let is_short = |(start, lasted): (Time, f64)| {
            lasted <= SHORT && view.now.seconds_since(start) <= lasted
        };
        c.restart_count >= RESTARTS && runs.zip(lasted).is_some_and(is_short)
    })
}
