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

/// Whether one entry of the log is charged for, given how many of its records were new: as one
/// event, however many records it holds, and only once however often it was sent.
pub fn is_billable(topic: Topic, new_records: usize) -> bool {
    topic.signal().is_metered && new_records > 0
}
