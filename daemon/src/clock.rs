//! The only reader of the system clock for timestamps that end up in data.

use kgrca_core::model::Time;

/// The current time, in whole microseconds.
pub fn now() -> Time {
    Time(jiff::Timestamp::now().as_microsecond())
}
