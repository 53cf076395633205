//! Times as people read them: relative, or local with date and offset.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use kgrca_core::model::Time;

/// Where zones named in `TZ` are.
const ZONEINFO: &str = "/usr/share/zoneinfo";

/// The zone named in `TZ`, else the system's.
static ZONE: LazyLock<TimeZone> = LazyLock::new(|| {
    let name = std::env::var("TZ").unwrap_or_default();
    named_zone(name.trim_start_matches(':')).unwrap_or_else(TimeZone::system)
});

fn named_zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() {
        return None;
    }
    let data = std::fs::read(std::path::Path::new(ZONEINFO).join(name)).ok()?;
    TimeZone::tzif(name, &data).ok()
}

/// The time by this machine's clock.
pub fn now() -> Time {
    Time(Timestamp::now().as_microsecond())
}

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

/// Local date and time with the zone's offset: `2026-01-01 15:04:05 +01:00`.
pub fn local(then: Time) -> String {
    match zoned(then, &ZONE) {
        Some(zoned) => zoned.strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        None => then.to_string(),
    }
}

/// When a refused request may succeed, in local time: `retry after 14:00 +01:00`.
pub fn retry_after(now: Time, at: Time) -> String {
    retry_after_in(now, at, &ZONE)
}

/// Rounded up to the minute unless it is less than one away; with the date unless it is today.
fn retry_after_in(now: Time, at: Time, zone: &TimeZone) -> String {
    let is_soon = at.seconds_since(now) < 60.0;
    let at = if is_soon { at } else { next_minute(at) };
    let (Some(now), Some(local)) = (zoned(now, zone), zoned(at, zone)) else {
        return format!("retry after {at}");
    };
    let format = match (local.date() == now.date(), is_soon) {
        (true, true) => "retry after %H:%M:%S %:z",
        (true, false) => "retry after %H:%M %:z",
        (false, _) => "retry after %Y-%m-%d %H:%M %:z",
    };
    local.strftime(format).to_string()
}

fn next_minute(at: Time) -> Time {
    let minute = kgrca_core::model::time::MINUTE;
    Time((at.0 + minute - 1).div_euclid(minute) * minute)
}

fn zoned(time: Time, zone: &TimeZone) -> Option<Zoned> {
    let timestamp = Timestamp::from_microsecond(time.0).ok()?;
    Some(timestamp.to_zoned(zone.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_zone_is_used_and_an_unknown_one_is_not() {
        assert!(named_zone("").is_none());
        assert!(named_zone("No/Such_Zone").is_none());
        // Minimal images have no zones at all.
        if let Some(zone) = named_zone("Asia/Tokyo") {
            let at = zoned(Time(0), &zone).unwrap();
            assert_eq!(at.strftime("%H:%M %:z").to_string(), "09:00 +09:00");
        }
    }

    #[test]
    fn retry_times_are_local_and_never_too_early() {
        let at = |text: &str| Time::parse(text).unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let shown = |now: &str, then: &str| retry_after_in(at(now), at(then), &zone);
        let now = "2026-01-01T12:10:00Z";
        assert_eq!(
            shown(now, "2026-01-01T13:00:00Z"),
            "retry after 14:00 +01:00"
        );
        assert_eq!(
            shown(now, "2026-01-01T12:59:01Z"),
            "retry after 14:00 +01:00"
        );
        assert_eq!(
            shown(now, "2026-01-01T12:10:20Z"),
            "retry after 13:10:20 +01:00"
        );
        assert_eq!(
            shown(now, "2026-01-02T00:00:00Z"),
            "retry after 2026-01-02 01:00 +01:00"
        );
    }
}
