//! What the log no longer has: its beginning, after its retention, and what was damaged.

use kgrca_core::api::DamagedRecords;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::Stored;

/// The most places of one stream that are remembered; a log on brokers has many gaps, none of which
/// is damage.
const MAX_PLACES: usize = 10_000;

/// The days of a stream's records, where they change, and behind each gap.
#[derive(Default)]
pub(super) struct DaysOfStream {
    places: Vec<(u64, String)>,
    /// Where the stream continues behind what was read.
    next: u64,
    /// The first record's offset, and the first day of which it may have everything.
    first: Option<(u64, String)>,
}

/// Damaged records, and the days of the records around them, where there are any.
pub(super) struct Gap {
    pub records: DamagedRecords,
    after: Option<String>,
    before: Option<String>,
}

impl DaysOfStream {
    /// Records in the order of their offsets.
    pub(super) fn note(&mut self, read: &[Stored]) {
        for stored in read {
            let is_behind_gap = stored.offset != self.next;
            self.next = stored.offset + 1;
            self.first
                .get_or_insert_with(|| (stored.offset, stored.received_at.plus(DAY).day()));
            let day = stored.received_at.day();
            let is_new = !matches!(self.places.last(), Some((_, last)) if *last == day);
            if (is_new || is_behind_gap) && self.places.len() < MAX_PLACES {
                self.places.push((stored.offset, day));
            }
        }
    }

    /// The first day of which the log has everything but what was damaged; `None` when that is all
    /// days. Retention may have removed a part of the day of the first record.
    pub(super) fn complete_from(&self, damaged: &[&DamagedRecords]) -> Option<String> {
        let (first, complete) = self.first.as_ref()?;
        let before = damaged.iter().filter(|of| of.first < *first);
        let lost: u64 = before.map(|of| of.records).sum();
        (*first > lost).then(|| complete.clone())
    }

    /// Where damaged records belong.
    pub(super) fn gap(&self, records: &DamagedRecords) -> Gap {
        let at = self
            .places
            .partition_point(|(offset, _)| *offset < records.first);
        let day = |place: Option<&(u64, String)>| place.map(|(_, day)| day.clone());
        Gap {
            records: records.clone(),
            after: day(at.checked_sub(1).and_then(|before| self.places.get(before))),
            before: day(self.places.get(at)),
        }
    }
}

impl Gap {
    /// Whether its records may be of a day.
    pub(super) fn covers(&self, day: &str) -> bool {
        let is_late = self.after.as_deref().is_some_and(|after| day < after);
        let is_early = self.before.as_deref().is_some_and(|before| day > before);
        !is_late && !is_early
    }
}

#[cfg(test)]
mod tests {
    use kgrca_core::model::Time;

    use super::*;

    fn record(offset: u64, day: i64) -> Stored {
        Stored {
            offset,
            key: Box::default(),
            value: Box::default(),
            received_at: Time(day * DAY),
        }
    }

    fn damaged(first: u64, records: u64) -> DamagedRecords {
        DamagedRecords {
            topic: String::new(),
            partition: 0,
            first,
            records,
            has_unknown: false,
        }
    }

    fn days(records: &[(u64, i64)]) -> DaysOfStream {
        let mut days = DaysOfStream::default();
        let records: Vec<Stored> = records.iter().map(|(at, day)| record(*at, *day)).collect();
        days.note(&records);
        days
    }

    #[test]
    fn a_gap_is_of_the_days_of_the_records_around_it() {
        let days = days(&[(0, 0), (1, 1), (3, 1), (4, 2), (6, 3)]);
        let covered = |first| {
            let gap = days.gap(&damaged(first, 1));
            let of = |day: &i64| gap.covers(&Time(day * DAY).day());
            (0..5).filter(of).collect::<Vec<_>>()
        };
        assert_eq!(covered(2), [1]);
        assert_eq!(covered(5), [2, 3]);
        assert_eq!(covered(7), [3, 4], "nothing follows");
        let none = DaysOfStream::default();
        assert!(
            none.gap(&damaged(0, 1)).covers("1970-01-01"),
            "nothing is left"
        );
    }

    #[test]
    fn a_damaged_beginning_is_not_one_that_retention_removed() {
        let days = days(&[(2, 1), (3, 1)]);
        assert_eq!(days.complete_from(&[&damaged(0, 2)]), None);
        let expired = Some(Time(2 * DAY).day());
        assert_eq!(days.complete_from(&[]), expired);
        assert_eq!(days.complete_from(&[&damaged(1, 1)]), expired);
    }
}
