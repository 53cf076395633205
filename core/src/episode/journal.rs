//! Which episodes changed since it was last asked for.

use std::collections::BTreeSet;

use super::Episodes;
use crate::model::time::MINUTE;
use crate::model::{Severity, Str, Subject, Time};

/// Keys of episodes that changed; kept where somebody takes them.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    pub(super) events: BTreeSet<u64>,
    /// Template and minute.
    pub(super) logs: BTreeSet<((u64, u64), i64)>,
    pub(super) alerts: BTreeSet<(Str, Time)>,
}

/// An episode as the graph store keeps it: one per event, per alert, and per log template and
/// minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Identity within the cluster.
    pub id: String,
    /// What it is about.
    pub subject: Subject,
    /// `event`, `log` or `alert`.
    pub kind: &'static str,
    /// When it was seen first.
    pub first: Time,
    /// When it was seen last.
    pub last: Time,
    /// How bad it is.
    pub severity: Severity,
    /// Reason, alert name, or the container that wrote.
    pub reason: String,
    /// What was said.
    pub message: String,
    /// How often.
    pub count: u64,
}

impl Episodes {
    /// Keeps a journal from now on.
    pub fn keep_journal(&mut self) {
        self.touched.get_or_insert_default();
    }

    /// Notes everything that is held.
    pub fn note_everything(&mut self) {
        let Some(touched) = &mut self.touched else {
            return;
        };
        touched.events.extend(
            self.events
                .iter()
                .filter(|(_, e)| e.severity >= Severity::Warning)
                .map(|(key, _)| key),
        );
        touched.alerts.extend(self.alerts.keys().cloned());
        touched.logs.extend(
            self.logs
                .iter()
                .flat_map(|(k, l)| l.minutes.iter().map(|(minute, _)| (*k, *minute))),
        );
    }

    /// Takes the warnings, log minutes and alerts that changed since the last call.
    pub fn take_journal(&mut self) -> Vec<Happened> {
        let Some(touched) = self.touched.as_deref_mut().map(std::mem::take) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for event in touched.events.iter().filter_map(|key| self.events.get(key)) {
            let subject = &event.subject;
            let pattern = super::fingerprint(&event.message);
            let named = || {
                format!(
                    "{}/{}/{}/{}/{pattern:016x}",
                    subject.kind, subject.namespace, subject.name, event.reason
                )
            };
            all.push(Happened {
                id: event.id.as_deref().map_or_else(named, str::to_owned),
                subject: event.subject.clone(),
                kind: "event",
                first: event.first,
                last: event.last,
                severity: event.severity,
                reason: event.reason.to_string(),
                message: event.message.to_string(),
                count: u64::from(event.count),
            });
        }
        for (key, minute) in &touched.logs {
            let Some(log) = self.logs.get(key) else {
                continue;
            };
            let Some((_, count)) = log.minutes.iter().find(|(m, _)| m == minute) else {
                continue;
            };
            let start = Time(minute * MINUTE);
            all.push(Happened {
                id: format!("log/{:016x}/{:016x}/{minute}", key.0, key.1),
                subject: log.subject.clone(),
                kind: "log",
                first: start.max(log.first),
                last: start.plus(MINUTE - 1).min(log.last),
                severity: log.severity,
                reason: log.container.as_deref().unwrap_or("log").to_owned(),
                message: log.sample.to_string(),
                count: u64::from(*count),
            });
        }
        for alert in touched.alerts.iter().filter_map(|key| self.alerts.get(key)) {
            all.push(Happened {
                id: format!("alert/{}/{}", alert.fingerprint, alert.starts.0),
                subject: alert.subject.clone(),
                kind: "alert",
                first: alert.starts,
                last: alert.starts,
                severity: alert.severity,
                reason: alert.name.to_string(),
                message: if alert.firing {
                    "firing".to_owned()
                } else {
                    "resolved".to_owned()
                },
                count: 1,
            });
        }
        all
    }
}
