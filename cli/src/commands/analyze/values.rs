//! How values on the command line are read.

use kgrca_core::model::Time;
use kgrca_core::model::object::Selector;
use kgrca_core::model::time::{MINUTE, SECOND};
use kgrca_core::rca::Scorer;

use crate::output::now;

/// Parses an RFC 3339 time, or how long ago something was, such as `10m`.
pub(in super::super) fn time(text: &str) -> std::result::Result<Time, String> {
    let expected = "expected an RFC 3339 time such as 2026-01-01T10:00:00Z, or how long ago, such \
                    as 10m, 3h or 2d";
    let time = Time::parse(text).or_else(|| Some(now().plus(-ago(text)?)));
    time.ok_or_else(|| expected.to_owned())
}

/// Parses how long from now something is, such as `2h`.
pub(in super::super) fn time_ahead(text: &str) -> std::result::Result<Time, String> {
    let ahead = ago(text).filter(|ahead| *ahead > 0);
    let time = ahead.map(|ahead| now().plus(ahead));
    time.ok_or_else(|| "expected a duration such as 30m, 2h or 1d".to_owned())
}

/// A duration in microseconds: a number with its unit.
fn ago(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => SECOND,
        'm' => MINUTE,
        'h' => 60 * MINUTE,
        'd' => 24 * 60 * MINUTE,
        _ => return None,
    };
    let number: u32 = text[..text.len() - 1].parse().ok()?;
    i64::from(number).checked_mul(unit)
}

/// Parses a share of one.
pub(super) fn share(text: &str) -> std::result::Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1, such as 0.8".to_owned())
}

/// Parses the name of a ranking algorithm.
pub(in super::super) fn scorer(text: &str) -> std::result::Result<Scorer, String> {
    Scorer::parse(text).ok_or_else(|| "expected causal or weighted".to_owned())
}

/// Parses a label selector.
pub(super) fn selector(text: &str) -> std::result::Result<Selector, String> {
    let expected = "expected a label selector such as app=web or 'tier in (web, api)'";
    Selector::parse(text).ok_or_else(|| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_absolute_or_how_long_ago() {
        assert_eq!(time("1970-01-01T00:00:01Z"), Ok(Time(SECOND)));
        let minutes = now().seconds_since(time("10m").unwrap()) / 60.0;
        assert!((minutes - 10.0).abs() < 1.0, "{minutes}");
        for invalid in ["yesterday", "", "m", "-3h", "3w", "1é", "99999999999d"] {
            assert!(time(invalid).is_err(), "{invalid}");
        }
    }
}
