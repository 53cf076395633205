//! Decides which records are new and which are billable: one rule for the engine and for the
//! recount that verifies bills.

use super::state::Map;
use crate::model::{Record, Str, Time, Topic};

/// The highest number seen of each sender's stream within a cluster. Senders repeat records after a
/// failure, under the same number.
#[derive(Clone, Debug, Default)]
pub struct Sequences(pub(super) Map<Str, (u64, Time)>);

impl Sequences {
    /// Whether a record is new on its stream; one without a number always is. To be asked in the
    /// order of the log. `at` is when the stream was last used, see `prune`.
    pub fn admit(&mut self, topic: Topic, record: &Record, at: Time) -> bool {
        let Some((source, number)) = &record.sequence else {
            return true;
        };
        let stream = stream(topic, source);
        match self.0.get_mut(&stream) {
            Some((highest, _)) if *highest >= *number => return false,
            Some(known) => *known = (*number, at),
            None => {
                self.0.insert(stream, (*number, at));
            }
        }
        true
    }

    /// Number of streams.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a stream is known.
    pub(super) fn has(&self, topic: Topic, source: &str) -> bool {
        self.0.contains_key(&stream(topic, source))
    }

    /// Drops streams that were not used since an instant.
    pub(super) fn prune(&mut self, before: Time) {
        self.0.retain(|_, (_, at)| *at > before);
    }
}

fn stream(topic: Topic, source: &str) -> Str {
    Str::from(format!("{}/{source}", topic.as_str()))
}

/// How many alerts of one notification count as one event. Alertmanager repeats all alerts of a
/// group together, so that most notifications are one event.
pub const ALERTS_PER_EVENT: u64 = 100;

/// As how many events one entry of the log is charged for, given how many of its records were new:
/// each counts, and only once however often it was sent.
pub fn events_of(topic: Topic, new_records: u64) -> u64 {
    match topic {
        Topic::Alerts => new_records.div_ceil(ALERTS_PER_EVENT),
        _ if topic.signal().is_metered => new_records,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_record_holds_more_events_than_are_charged_for() {
        for (topic, records, events) in [
            (Topic::Events, 0, 0),
            (Topic::Events, 9000, 9000),
            (Topic::Logs, 7, 7),
            (Topic::Alerts, 0, 0),
            (Topic::Alerts, 1, 1),
            (Topic::Alerts, 100, 1),
            (Topic::Alerts, 101, 2),
            (Topic::Resource, 5, 0),
            (Topic::Topology, 5, 0),
        ] {
            assert_eq!(events_of(topic, records), events, "{topic:?} {records}");
        }
    }
}
