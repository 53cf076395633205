//! How kubectl writes ages.

use crate::model::Time;
use crate::model::time::{DAY, MINUTE, SECOND};

/// An age in microseconds, such as `10s`, `3m2s`, `2d3h` or `4y12d`.
pub(super) fn micros(text: &str) -> Option<i64> {
    let (mut sum, mut number) = (0_i64, None);
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(
                number
                    .unwrap_or(0_i64)
                    .checked_mul(10)?
                    .checked_add(digit.into())?,
            );
            continue;
        }
        let unit = match c {
            's' => SECOND,
            'm' => MINUTE,
            'h' => 60 * MINUTE,
            'd' => DAY,
            'y' => 365 * DAY,
            _ => return None,
        };
        sum = sum.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    (number.is_none() && !text.is_empty()).then_some(sum)
}

/// When something was that is this old at an instant.
pub(super) fn before(at: Time, age: &str) -> Option<Time> {
    micros(age.trim()).map(|micros| at.plus(-micros))
}

/// How often and when something happened, as events have it: `10s` or `10s (x12 over 3m)`.
pub(super) struct Seen {
    pub last: Option<Time>,
    pub first: Option<Time>,
    pub count: u32,
}

impl Seen {
    pub(super) fn of(text: &str, at: Time) -> Self {
        let (last, repeated) = text.split_once('(').unwrap_or((text, ""));
        let repeated = repeated.trim_end_matches(')');
        let repeated = repeated
            .strip_prefix('x')
            .and_then(|r| r.split_once(" over "));
        let (count, over) = repeated.unwrap_or(("1", last));
        Self {
            last: before(at, last),
            first: before(at, over),
            count: count.parse().unwrap_or(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read() {
        for (text, seconds) in [
            ("10s", 10),
            ("3m2s", 182),
            ("2d3h", 183_600),
            ("1y", 31_536_000),
        ] {
            assert_eq!(micros(text), Some(seconds * SECOND), "{text}");
        }
        for text in ["", "<unknown>", "5", "m", "3x", "99999999999999999999s"] {
            assert_eq!(micros(text), None, "{text}");
        }
    }

    #[test]
    fn repetitions_are_read() {
        let at = Time(1000 * SECOND);
        let seen = Seen::of("10s (x12 over 3m)", at);
        assert_eq!((seen.last, seen.count), (Some(Time(990 * SECOND)), 12));
        assert_eq!(seen.first, Some(Time(820 * SECOND)));
        let once = Seen::of("3m2s", at);
        assert_eq!(
            (once.last, once.first, once.count),
            (once.first, once.last, 1)
        );
        assert_eq!(Seen::of("<unknown>", at).last, None);
    }
}
