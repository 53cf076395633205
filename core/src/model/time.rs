//! Instants in microseconds since the epoch: totally ordered integers, as in SQL.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in microseconds since 1970-01-01T00:00:00Z.
#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
pub struct Time(pub i64);

/// One second in microseconds.
pub const SECOND: i64 = 1_000_000;
/// One minute in microseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// One day in microseconds.
pub const DAY: i64 = 24 * 60 * MINUTE;

impl Time {
    /// Parses RFC 3339; `None` for other texts and for the zero times of the Kubernetes API.
    pub fn parse(text: &str) -> Option<Self> {
        let micros = match fast_utc(text.as_bytes()) {
            Some(micros) => micros,
            None => text.parse::<jiff::Timestamp>().ok()?.as_microsecond(),
        };
        // Go writes "no time" as `0001-01-01T00:00:00Z`.
        (micros > 0).then_some(Self(micros))
    }

    /// Seconds from `earlier` to this instant; negative when this one is earlier.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / SECOND as f64
    }

    /// This instant moved by `micros`.
    #[must_use]
    pub fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// The UTC day as `YYYY-MM-DD`.
    pub fn day(self) -> String {
        self.to_string().chars().take(10).collect()
    }
}

/// Parses `2026-01-01T10:00:03[.ffffff]Z` without the general parser: nearly all records have this
/// form.
fn fast_utc(b: &[u8]) -> Option<i64> {
    if b.len() < 20
        || b.last() != Some(&b'Z')
        || b[4] != b'-'
        || b[7] != b'-'
        || b[10] != b'T'
        || b[13] != b':'
        || b[16] != b':'
    {
        return None;
    }
    let num = |from: usize, to: usize| {
        b[from..to].iter().try_fold(0_i64, |n, c| {
            c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0'))
        })
    };
    let (year, month, day) = (num(0, 4)?, num(5, 7)?, num(8, 10)?);
    let (hour, minute, second) = (num(11, 13)?, num(14, 16)?, num(17, 19)?);
    let month_days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    };
    if !(1..=12).contains(&month)
        || !(1..=month_days).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let mut micros = 0;
    if b[19] == b'.' {
        let digits = &b[20..b.len() - 1];
        if digits.is_empty() || digits.len() > 9 {
            return None;
        }
        for i in 0..6 {
            let digit = digits.get(i).copied().unwrap_or(b'0');
            micros = micros * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
    } else if b.len() != 20 {
        return None;
    }
    // Days from civil date, after Howard Hinnant's `days_from_civil`.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second) * SECOND + micros)
}

impl Time {
    /// The same without its fraction of a second.
    #[must_use]
    pub fn to_seconds(self) -> Self {
        Self(self.0 - self.0.rem_euclid(SECOND))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => write!(f, "{t}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        // Unlike in the Kubernetes API, the epoch is a valid time here.
        let read = |t: &str| {
            Time::parse(t)
                .or_else(|| Some(Self(t.parse::<jiff::Timestamp>().ok()?.as_microsecond())))
        };
        read(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not an RFC 3339 time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_zero_time_of_go_is_not_a_time() {
        assert_eq!(Time::parse("0001-01-01T00:00:00Z"), None);
        assert_eq!(Time::parse("yesterday"), None);
        assert_eq!(Time::parse("2026-02-30T00:00:00Z"), None);
    }

    proptest! {
        #[test]
        fn fast_path_agrees_with_the_general_parser(micros in 1_i64..4_000_000_000_000_000) {
            let text = Time(micros).to_string();
            prop_assert_eq!(Time::parse(&text), Some(Time(micros)));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}") {
            let _ = Time::parse(&text);
        }
    }
}
