//! The server's clock, estimated from its responses: a node's own clock may be minutes off.

use std::sync::atomic::{AtomicI64, Ordering};

use kgrca_core::model::Time;

use crate::clock::now;

/// Differences up to this are network delay rather than a wrong clock, in microseconds.
const TOLERANCE: i64 = 2_000_000;

/// Gives the server's time.
#[derive(Debug, Default)]
pub struct Clock {
    /// Microseconds to add to the local clock.
    ahead: AtomicI64,
    /// The last time given: time does not go backwards while `ahead` stays the same.
    last: AtomicI64,
}

impl Clock {
    /// The current time by the server's clock.
    pub fn now(&self) -> Time {
        let now = now().plus(self.ahead.load(Ordering::Relaxed));
        Time(self.last.fetch_max(now.0, Ordering::Relaxed).max(now.0))
    }

    /// How far the server's clock is ahead of the local one, in microseconds.
    pub fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Adjusts to the `Date` header of a response. An invalid date is ignored.
    pub fn adjust(&self, date: &str) {
        let Ok(date) = jiff::fmt::rfc2822::parse(date) else {
            return;
        };
        let ahead = date.timestamp().as_microsecond() - now().0;
        // The header has whole seconds: a change within the tolerance is none.
        if (ahead - self.ahead.load(Ordering::Relaxed)).abs() > TOLERANCE {
            let ahead = if ahead.abs() > TOLERANCE { ahead } else { 0 };
            self.ahead.store(ahead, Ordering::Relaxed);
            // A time given by a clock far ahead must not hold back the corrected one.
            self.last.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_minutes_off_is_corrected_and_network_delay_is_ignored() {
        let clock = Clock::default();
        let date = |seconds: i64| {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
            jiff::fmt::rfc2822::DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&at)
                .unwrap()
        };
        clock.adjust(&date(1));
        assert_eq!(clock.ahead(), 0);
        clock.adjust(&date(-300));
        assert!(
            (clock.ahead() + 300_000_000).abs() < 2_000_000,
            "{}",
            clock.ahead()
        );
        let before = clock.now();
        clock.adjust(&date(-301));
        assert!(clock.now() >= before, "one second is network delay");
        clock.adjust("no date");
        assert!(clock.ahead() < 0);
    }
}
