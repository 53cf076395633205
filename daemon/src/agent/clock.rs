//! The server's clock, as far as it is known: that of a node may be minutes off.

use std::sync::atomic::{AtomicI64, Ordering};

use kgrca_core::model::Time;

use crate::clock::now;

/// What differs less than this is the way of an answer, not a clock, in microseconds.
const NOTICED: i64 = 2_000_000;

/// Tells the server's time.
#[derive(Debug, Default)]
pub struct Clock {
    ahead: AtomicI64,
    /// What was told last: as long as the clocks keep their distance, time does not go back.
    told: AtomicI64,
}

impl Clock {
    /// Now, by the server's clock.
    pub fn now(&self) -> Time {
        let now = now().plus(self.ahead.load(Ordering::Relaxed));
        Time(self.told.fetch_max(now.0, Ordering::Relaxed).max(now.0))
    }

    /// How far the server's clock is ahead of ours, in microseconds.
    pub fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Takes the server's word for what time it is, as in the header `Date`.
    pub fn set(&self, date: &str) {
        let Ok(told) = jiff::fmt::rfc2822::parse(date) else {
            return;
        };
        let ahead = told.timestamp().as_microsecond() - now().0;
        // Answers name whole seconds: what differs by less than is noticed is the same as before.
        if (ahead - self.ahead.load(Ordering::Relaxed)).abs() > NOTICED {
            self.ahead.store(
                if ahead.abs() > NOTICED { ahead } else { 0 },
                Ordering::Relaxed,
            );
            // What was told by a clock that is far off must not hold the right one back.
            self.told.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_noticed_and_the_way_of_an_answer_is_not() {
        let clock = Clock::default();
        let date = |seconds: i64| {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
            jiff::fmt::rfc2822::DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&at)
                .unwrap()
        };
        clock.set(&date(1));
        assert_eq!(clock.ahead(), 0);
        clock.set(&date(-300));
        assert!(
            (clock.ahead() + 300_000_000).abs() < 2_000_000,
            "{}",
            clock.ahead()
        );
        let before = clock.now();
        clock.set(&date(-301));
        assert!(
            clock.now() >= before,
            "a second more or less is the way of an answer"
        );
        clock.set("no date");
        assert!(clock.ahead() < 0);
    }
}
