//! How much memory episodes may take. Beyond that, those that were last seen first are dropped, and
//! counted.

use borsh::BorshSerialize;

use super::Episodes;
use crate::model::{Str, Time, memory};

/// What an episode takes in its map, and what a log pattern's counts grow to, in bytes.
const ENTRY: u64 = 600;

/// The memory of all episodes, in bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Size {
    bytes: u64,
    max: Option<u64>,
    /// How many were dropped, and when the newest episode was seen that there was then.
    dropped: u64,
    dropped_until: Time,
}

impl Size {
    pub(super) fn add(&mut self, episode: &impl BorshSerialize) {
        self.bytes += memory(episode) + ENTRY;
    }

    pub(super) fn replace(&mut self, before: &Str, after: &Str) {
        let bytes = self.bytes + after.len() as u64;
        self.bytes = bytes.saturating_sub(before.len() as u64);
    }

    /// Forgets what was dropped when it would have ended anyway.
    pub(super) fn forget_dropped(&mut self, bound: Time) {
        if self.dropped_until < bound {
            self.dropped = 0;
        }
    }
}

/// An episode that may be dropped, in the order in which they are. Those of one time are dropped in a
/// fixed order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    /// An alert that fires is true now, however long ago it began.
    is_firing: bool,
    last: Time,
    key: Key,
    bytes: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Event(u64),
    Log((u64, u64)),
    Alert((Str, Time)),
}

impl Episodes {
    /// Limits the memory that they take, in bytes.
    pub fn limit(&mut self, max: Option<u64>) {
        self.size.max = max;
        self.make_room();
    }

    /// How many of the last hour were dropped because there were too many.
    pub fn dropped(&self) -> u64 {
        self.size.dropped
    }

    /// How much memory they take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.size.bytes
    }

    pub(super) fn measure(&mut self) {
        self.size.bytes = 0;
        let size = &mut self.size;
        self.events.values().for_each(|event| size.add(event));
        self.logs.values().for_each(|log| size.add(log));
        self.alerts.values().for_each(|alert| size.add(alert));
    }

    /// Drops a tenth of what they may take when it is more.
    pub(super) fn make_room(&mut self) {
        let Some(max) = self.size.max.filter(|max| self.size.bytes > *max) else {
            return;
        };
        let kept = |last: Time, bytes: u64, key: Key| Kept {
            is_firing: false,
            last,
            key,
            bytes,
        };
        let events = self.events.iter();
        let events = events.map(|(key, e)| kept(e.last, memory(e), Key::Event(*key)));
        let logs = self.logs.iter();
        let logs = logs.map(|(key, l)| kept(l.last, memory(l), Key::Log(*key)));
        // They may take half of it: nothing explains alerts of which all evidence is dropped.
        let firing = self.alerts.values().filter(|alert| alert.firing);
        let are_few = firing.map(|alert| memory(alert) + ENTRY).sum::<u64>() <= max / 2;
        let alerts = self.alerts.iter();
        let alerts = alerts.map(|(key, a)| Kept {
            is_firing: a.firing && are_few,
            ..kept(a.starts, memory(a), Key::Alert(key.clone()))
        });
        let mut all: Vec<Kept> = events.chain(logs).chain(alerts).collect();
        all.sort_unstable();
        let newest = all.iter().map(|kept| kept.last).max().unwrap_or_default();
        let mut left = self.size.bytes;
        for Kept { key, bytes, .. } in all {
            if left <= max - max / 10 {
                break;
            }
            left = left.saturating_sub(bytes + ENTRY);
            self.drop_one(&key);
            self.size.dropped += 1;
        }
        self.size.dropped_until = self.size.dropped_until.max(newest);
        self.measure();
    }

    fn drop_one(&mut self, key: &Key) {
        match key {
            Key::Event(key) => drop(self.events.remove(key)),
            Key::Alert(key) => drop(self.alerts.remove(key)),
            Key::Log(key) => {
                self.logs.remove(key);
                if let Some(count) = self.templates_of.get_mut(&key.0) {
                    *count = count.saturating_sub(1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::MINUTE;
    use crate::model::{Body, Record, Topic};
    use crate::parse::{Context, parse};

    const MAX: u64 = 1 << 20;

    fn records(topic: Topic, i: usize) -> Vec<Record> {
        let text = "x".repeat(8000);
        let at = Time(i as i64 * 1_000_000);
        let record = match topic {
            Topic::Events => serde_json::json!({"event_id": format!("e{i}"), "cluster": "c",
                "event_time": at.to_string(), "severity": "WARNING", "reason": "Failed",
                "message": text, "subject": {"name": format!("p{i}")}}),
            Topic::Logs => serde_json::json!({"event_time": at.to_string(), "cluster": "c",
                "severity": "ERROR", "pod_name": format!("p{i}"), "message": text}),
            _ => serde_json::json!({"cluster": "c", "labels": {"alertname": format!("a{i}")},
                "annotations": {"summary": text}, "startsAt": at.to_string()}),
        };
        let mut records = Vec::new();
        let context = Context {
            received_at: at,
            ..Context::default()
        };
        parse(topic, record.to_string().as_bytes(), &context, &mut records).unwrap();
        records
    }

    #[test]
    fn episodes_of_each_kind_take_no_more_memory_than_they_may_and_the_newest_stay() {
        for topic in [Topic::Events, Topic::Logs, Topic::Alerts] {
            let mut episodes = Episodes::default();
            episodes.limit(Some(MAX));
            for i in 0..1000 {
                for record in records(topic, i) {
                    match record.body {
                        Body::Event(event) => {
                            episodes.event(*event);
                        }
                        Body::Log(line) => episodes.log(*line, record.at),
                        Body::Alert(alert) => {
                            episodes.alert(*alert);
                        }
                        _ => panic!("an episode"),
                    }
                    assert!(episodes.bytes() <= MAX, "{topic:?} {i}");
                }
            }
            let counted = episodes.bytes();
            episodes.measure();
            assert_eq!(episodes.bytes(), counted, "{topic:?}");
            let kept = episodes.len() as u64;
            assert!((90..130).contains(&kept), "{topic:?} {kept}");
            assert_eq!(kept + episodes.dropped(), 1000, "{topic:?}");
            let newest = match topic {
                Topic::Events => episodes.events().last().map(|e| e.last),
                Topic::Logs => episodes.logs().last().map(|l| l.last),
                _ => episodes.alerts().last().map(|a| a.starts),
            };
            assert_eq!(newest, Some(Time(999_000_000)), "{topic:?}");
        }
    }

    #[test]
    fn an_alert_that_fires_outlasts_events_and_what_was_dropped_counts_from_the_drop() {
        let mut episodes = Episodes::default();
        episodes.limit(Some(MAX));
        for record in records(Topic::Alerts, 0) {
            let Body::Alert(alert) = record.body else {
                panic!("an alert")
            };
            episodes.alert(*alert);
        }
        for i in 1..1000 {
            for record in records(Topic::Events, i) {
                let Body::Event(event) = record.body else {
                    panic!("an event")
                };
                episodes.event(*event);
            }
        }
        assert_eq!(episodes.alerts().len(), 1);
        let dropped = episodes.dropped();
        assert!(dropped > 800, "{dropped}");
        episodes.size.forget_dropped(Time(14 * MINUTE));
        assert_eq!(episodes.dropped(), dropped);
        episodes.size.forget_dropped(Time(17 * MINUTE));
        assert_eq!(episodes.dropped(), 0);
    }
}
