//! Records which episodes change, for the graph store.

use std::collections::BTreeSet;

use super::{Episodes, LogTemplate};
use crate::model::time::MINUTE;
use crate::model::{Alert, Episode, Severity, Str, Subject, Time};

/// Keys of the episodes that changed since the last call.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    pub(super) events: BTreeSet<u64>,
    /// Pattern and minute.
    pub(super) logs: BTreeSet<((u64, u64), i64)>,
    pub(super) alerts: BTreeSet<(Str, Time)>,
}

/// An episode for the graph store: one per event, per alert, and per log pattern and minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Id within the cluster.
    pub id: String,
    /// The object that it is about.
    pub subject: Subject,
    /// `event`, `log` or `alert`.
    pub kind: &'static str,
    /// When it was first seen.
    pub first: Time,
    /// When it was last seen.
    pub last: Time,
    /// Severity.
    pub severity: Severity,
    /// Reason of an event, name of an alert, or name of the container that wrote the log.
    pub reason: String,
    /// The text of the event or log line, or the state of the alert.
    pub message: String,
    /// How often it was seen.
    pub count: u64,
}

impl Episodes {
    /// Starts to record changes.
    pub fn keep_journal(&mut self) {
        self.touched.get_or_insert_default();
    }

    /// Records everything as changed.
    pub fn note_all(&mut self) {
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
        let events = touched.events.iter().filter_map(|key| self.events.get(key));
        let logs = touched.logs.iter().filter_map(|(key, minute)| {
            let log = self.logs.get(key)?;
            log_minute(log, &format!("{:016x}/{:016x}", key.0, key.1), *minute)
        });
        let alerts = touched.alerts.iter().filter_map(|key| self.alerts.get(key));
        events
            .map(event)
            .chain(logs)
            .chain(alerts.map(alert))
            .collect()
    }
}

fn event(event: &Episode) -> Happened {
    let subject = &event.subject;
    let id = match &event.id {
        Some(id) => id.to_string(),
        None => format!(
            "{}/{}/{}/{}/{:016x}",
            subject.kind,
            subject.namespace,
            subject.name,
            event.reason,
            super::fingerprint(&event.message)
        ),
    };
    Happened {
        id,
        subject: subject.clone(),
        kind: "event",
        first: event.first,
        last: event.last,
        severity: event.severity,
        reason: event.reason.to_string(),
        message: event.message.to_string(),
        count: u64::from(event.count),
    }
}

/// The lines of a pattern within one minute; `key` identifies writer and pattern.
fn log_minute(log: &LogTemplate, key: &str, minute: i64) -> Option<Happened> {
    let (_, count) = log.minutes.iter().find(|(m, _)| *m == minute)?;
    let start = Time(minute * MINUTE);
    Some(Happened {
        id: format!("log/{key}/{minute}"),
        subject: log.subject.clone(),
        kind: "log",
        first: start.max(log.first),
        last: start.plus(MINUTE - 1).min(log.last),
        severity: log.severity,
        reason: log.container.as_deref().unwrap_or("log").to_owned(),
        message: log.sample.to_string(),
        count: u64::from(*count),
    })
}

fn alert(alert: &Alert) -> Happened {
    let state = if alert.firing { "firing" } else { "resolved" };
    Happened {
        id: format!("alert/{}/{}", alert.fingerprint, alert.starts.0),
        subject: alert.subject.clone(),
        kind: "alert",
        first: alert.starts,
        last: alert.starts,
        severity: alert.severity,
        reason: alert.name.to_string(),
        message: state.to_owned(),
        count: 1,
    }
}
