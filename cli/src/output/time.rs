//! Times as people read them.

use kgrca_core::model::Time;

/// `3m ago`, `2h ago`, `5d ago`.
pub fn ago(now: Time, then: Time) -> String {
    let seconds = now.seconds_since(then).max(0.0) as i64;
    match seconds {
        0..=59 => format!("{seconds}s ago"),
        60..=3599 => format!("{}m ago", seconds / 60),
        3600..=86_399 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// The local time of day, `15:04:05`.
pub fn clock(then: Time) -> String {
    match jiff::Timestamp::from_microsecond(then.0) {
        Ok(t) => t
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%H:%M:%S")
            .to_string(),
        Err(_) => then.to_string(),
    }
}
