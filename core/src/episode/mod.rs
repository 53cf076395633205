//! Events, log patterns and alerts of the last hour. Repeats are folded, so that memory grows with
//! the number of different messages, not with the traffic. The order of arrival does not matter.

mod journal;
mod limit;
mod snapshot;
mod template;

use std::sync::OnceLock;

use hashbrown::hash_map::Entry;

use crate::model::time::MINUTE;
use crate::model::{Alert, Episode, LogLine, Severity, Str, Subject, Time};
use crate::trouble::{self, Classes};

pub use journal::Happened;
pub use template::fingerprint;

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// How long an episode is kept after it was last seen, in microseconds: the analysis window, plus
/// the time in which incidents reopen and records may be late.
pub const RETENTION: i64 = 60 * MINUTE;
/// Maximum number of patterns per writer; all others are folded into one.
const MAX_TEMPLATES: u32 = 200;
/// Maximum number of alerts.
const MAX_ALERTS: usize = 10_000;
/// For how many minutes a pattern keeps its counts.
const RATE_MINUTES: usize = 30;

/// Log lines of one pattern by one writer.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct LogTemplate {
    /// The pod or workload that wrote them.
    pub subject: Subject,
    /// Name of the container, if known.
    pub container: Option<Str>,
    /// The earliest line, as an example.
    pub sample: Str,
    /// The highest severity of the lines.
    pub severity: Severity,
    /// Time of the first line.
    pub first: Time,
    /// Time of the last line.
    pub last: Time,
    /// Number of lines.
    pub count: u64,
    /// Lines per minute since the epoch, newest last.
    minutes: Vec<(i64, u32)>,
    /// [`fingerprint`] of the sample.
    pub pattern: u64,
    /// The trouble that the sample reports, read once: every evaluation needs it.
    #[borsh(skip)]
    trouble: OnceLock<Classes>,
}

impl LogTemplate {
    fn new(line: LogLine, pattern: u64, at: Time) -> Self {
        Self {
            subject: line.subject,
            container: line.container,
            sample: line.message,
            severity: line.severity,
            first: line.first,
            last: at,
            count: u64::from(line.count),
            minutes: vec![(at.0 / MINUTE, line.count)],
            pattern,
            trouble: OnceLock::new(),
        }
    }

    fn add(&mut self, line: LogLine, pattern: u64, at: Time) {
        self.last = self.last.max(at);
        self.count += u64::from(line.count);
        self.severity = self.severity.max(line.severity);
        count_minute(&mut self.minutes, at.0 / MINUTE, line.count);
        if (line.first, &line.message) < (self.first, &self.sample) {
            self.first = line.first;
            self.sample = line.message;
            self.pattern = pattern;
            self.trouble = OnceLock::new();
        }
    }

    /// The classes of trouble that the sample reports.
    pub fn trouble(&self) -> Classes {
        *self.trouble.get_or_init(|| trouble::read(&self.sample))
    }

    /// Number of lines in the last five minutes relative to the mean of five minutes before; `None`
    /// without earlier lines.
    pub fn rise(&self, now: Time) -> Option<f64> {
        let minute = now.0 / MINUTE;
        let sum = |counts: &mut dyn Iterator<Item = &(i64, u32)>| {
            counts.map(|(_, n)| f64::from(*n)).sum::<f64>()
        };
        let recent = sum(&mut self.minutes.iter().filter(|(m, _)| *m > minute - 5));
        let before: Vec<_> = self
            .minutes
            .iter()
            .filter(|(m, _)| *m <= minute - 5)
            .collect();
        let span = (minute - 5 - before.first()?.0 + 1).max(1);
        let usual = sum(&mut before.iter().copied()) / span as f64 * 5.0;
        Some(recent / usual)
    }
}

/// The recent episodes of one cluster.
#[derive(Clone, Debug, Default)]
pub struct Episodes {
    events: Map<u64, Episode>,
    logs: Map<(u64, u64), LogTemplate>,
    templates_of: Map<u64, u32>,
    alerts: Map<(Str, Time), Alert>,
    /// Time of the first log line of the cluster, of any severity.
    pub logs_since: Option<Time>,
    touched: Option<Box<journal::Touched>>,
    /// How much memory all of them take, and how much they may.
    size: limit::Size,
}

fn hash(value: &impl std::hash::Hash) -> u64 {
    use std::hash::BuildHasher;

    foldhash::fast::FixedState::default().hash_one(value)
}

/// The outcome of adding a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folded {
    /// It was new, or changed a known episode.
    New,
    /// It was known.
    Known,
}

impl Episodes {
    /// Adds an event. Repeats of one event raise its count and never become a second episode.
    pub fn event(&mut self, event: Episode) -> Folded {
        let key = match &event.id {
            Some(id) => hash(id),
            None => hash(&(&event.subject, &event.reason, fingerprint(&event.message))),
        };
        if let Some(touched) = self
            .touched
            .as_mut()
            .filter(|_| event.severity >= Severity::Warning)
        {
            touched.events.insert(key);
        }
        let folded = match self.events.entry(key) {
            Entry::Vacant(slot) => {
                self.size.add(&event);
                slot.insert(event);
                Folded::New
            }
            Entry::Occupied(mut slot) => {
                let known = slot.get_mut();
                if event.count <= known.count
                    && event.last <= known.last
                    && event.first >= known.first
                {
                    return Folded::Known;
                }
                known.first = known.first.min(event.first);
                known.count = known.count.max(event.count);
                if event.last >= known.last {
                    known.last = event.last;
                    self.size.replace(&known.message, &event.message);
                    known.message = event.message;
                }
                Folded::New
            }
        };
        self.make_room();
        folded
    }

    /// Adds log lines; those below `WARNING` are ignored.
    pub fn log(&mut self, line: LogLine, at: Time) {
        self.logs_since = Some(self.logs_since.unwrap_or(line.first).min(line.first));
        if line.severity < Severity::Warning {
            return;
        }
        let writer = hash(&(&line.subject, &line.container));
        let pattern = fingerprint(&line.message);
        let mut key = (writer, pattern);
        if !self.logs.contains_key(&key) {
            let count = self.templates_of.entry(writer).or_default();
            if *count >= MAX_TEMPLATES {
                key.1 = 0;
            } else {
                *count += 1;
            }
        }
        if let Some(touched) = &mut self.touched {
            touched.logs.insert((key, at.0 / MINUTE));
        }
        match self.logs.entry(key) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                let before = known.sample.clone();
                known.add(line, pattern, at);
                self.size.replace(&before, &known.sample);
            }
            Entry::Vacant(slot) => {
                let template = LogTemplate::new(line, pattern, at);
                self.size.add(&template);
                slot.insert(template);
            }
        }
        self.make_room();
    }

    /// Adds an alert, or resolves it by its status; its start never changes.
    pub fn alert(&mut self, alert: Alert) -> Folded {
        if let Some(touched) = &mut self.touched {
            touched
                .alerts
                .insert((alert.fingerprint.clone(), alert.starts));
        }
        match self.alerts.entry((alert.fingerprint.clone(), alert.starts)) {
            Entry::Vacant(slot) => {
                self.size.add(&alert);
                slot.insert(alert);
                self.limit_alerts();
                self.make_room();
                Folded::New
            }
            Entry::Occupied(mut slot) if slot.get().firing && !alert.firing => {
                slot.get_mut().firing = false;
                Folded::New
            }
            Entry::Occupied(_) => Folded::Known,
        }
    }

    /// Drops the alerts that began first when there are too many: those that are never resolved accumulate.
    fn limit_alerts(&mut self) {
        if self.alerts.len() <= MAX_ALERTS {
            return;
        }
        let mut keys: Vec<_> = self.alerts.keys().cloned().collect();
        keys.sort_by(|(a, began_a), (b, began_b)| (began_a, a).cmp(&(began_b, b)));
        for key in &keys[..MAX_ALERTS / 10] {
            self.alerts.remove(key);
        }
        self.measure();
    }

    /// Drops episodes that were last seen longer than [`RETENTION`] ago.
    pub fn prune(&mut self, now: Time) {
        let bound = now.plus(-RETENTION);
        self.events.retain(|_, e| e.last >= bound);
        self.alerts.retain(|_, a| a.firing || a.starts >= bound);
        let templates_of = &mut self.templates_of;
        self.logs.retain(|(writer, _), l| {
            let keep = l.last >= bound;
            if !keep && let Some(n) = templates_of.get_mut(writer) {
                *n = n.saturating_sub(1);
            }
            keep
        });
        templates_of.retain(|_, n| *n > 0);
        self.measure();
        self.size.forget_dropped(bound);
    }

    /// All events in a total order.
    pub fn events(&self) -> Vec<&Episode> {
        let mut all: Vec<_> = self.events.values().collect();
        all.sort_by(|a, b| {
            (a.first, &a.subject, &a.reason, &a.message, &a.id)
                .cmp(&(b.first, &b.subject, &b.reason, &b.message, &b.id))
        });
        all
    }

    /// All log patterns in a total order.
    pub fn logs(&self) -> Vec<&LogTemplate> {
        let mut all: Vec<_> = self.logs.values().collect();
        all.sort_by(|a, b| {
            (a.first, &a.subject, &a.container, &a.sample).cmp(&(
                b.first,
                &b.subject,
                &b.container,
                &b.sample,
            ))
        });
        all
    }

    /// All alerts in a total order.
    pub fn alerts(&self) -> Vec<&Alert> {
        let mut all: Vec<_> = self.alerts.values().collect();
        all.sort_by(|a, b| (a.starts, &a.fingerprint).cmp(&(b.starts, &b.fingerprint)));
        all
    }

    /// Number of episodes.
    pub fn len(&self) -> usize {
        self.events.len() + self.logs.len() + self.alerts.len()
    }

    /// Whether there are no episodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn count_minute(minutes: &mut Vec<(i64, u32)>, minute: i64, count: u32) {
    match minutes.binary_search_by_key(&minute, |(m, _)| *m) {
        Ok(at) => minutes[at].1 = minutes[at].1.saturating_add(count),
        Err(at) => {
            minutes.insert(at, (minute, count));
            if minutes.len() > RATE_MINUTES {
                minutes.remove(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use proptest::prelude::*;

    fn event(id: &str, last: i64, count: u32) -> Episode {
        Episode {
            id: Some(id.into()),
            first: Time(1),
            last: Time(last),
            count,
            severity: Severity::Warning,
            reason: "BackOff".into(),
            message: format!("seen {count}").into(),
            subject: Subject {
                kind: Kind::Pod,
                uid: None,
                namespace: "shop".into(),
                name: "web".into(),
            },
        }
    }

    #[test]
    fn repeats_update_one_episode() {
        let mut episodes = Episodes::default();
        assert_eq!(episodes.event(event("a", 10, 1)), Folded::New);
        assert_eq!(episodes.event(event("a", 20, 2)), Folded::New);
        assert_eq!(episodes.event(event("a", 20, 2)), Folded::Known);
        assert_eq!(episodes.events().len(), 1);
        assert_eq!(episodes.events()[0].count, 2);
    }

    #[test]
    fn alerts_that_nobody_resolves_are_bounded() {
        let mut episodes = Episodes::default();
        let alert = |i: usize| Alert {
            fingerprint: format!("f{i}").into(),
            starts: Time(i as i64),
            firing: true,
            name: "Down".into(),
            severity: Severity::Warning,
            labels: crate::model::object::Labels::default(),
            annotations: crate::model::object::Labels::default(),
            subject: event("a", 1, 1).subject,
        };
        for i in 0..3 * MAX_ALERTS {
            episodes.alert(alert(i));
            assert!(episodes.len() <= MAX_ALERTS);
        }
        let alerts = episodes.alerts();
        assert_eq!(
            alerts[alerts.len() - 1].starts,
            Time(3 * MAX_ALERTS as i64 - 1)
        );
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(
            mut seen in proptest::collection::vec((0_u8..3, 1_i64..100, 1_u32..9), 1..20),
            seed in any::<u64>(),
        ) {
            let fold = |list: &[(u8, i64, u32)]| {
                let mut episodes = Episodes::default();
                for (id, last, count) in list {
                    episodes.event(event(&id.to_string(), *last, *count));
                }
                episodes.events().iter().map(|e| (e.first, e.last, e.count)).collect::<Vec<_>>()
            };
            let a = fold(&seen);
            let turn = (seed % seen.len() as u64) as usize;
            seen.rotate_left(turn);
            let mut b = fold(&seen);
            let mut a = a;
            a.sort_unstable();
            b.sort_unstable();
            prop_assert_eq!(a, b);
        }
    }
}
