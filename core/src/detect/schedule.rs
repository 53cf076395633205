//! How often a cron schedule was due.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::Time;
use crate::model::time::MINUTE;

/// How far back missed runs are counted, in minutes: a daily schedule is due twice in two days.
const LOOK_BACK: i64 = 2 * 24 * 60;
/// Runs due within this many minutes are not missed yet: the controller starts Jobs within seconds.
const SLACK: i64 = 2;

/// How often a schedule was due between its last run and now, as the controller reads it: five
/// fields in UTC, or a word such as `@hourly`. `None` if it is invalid, or if it was not due at its
/// last run: then it was changed after that.
pub(super) fn missed(rule: &str, since: Time, now: Time) -> Option<usize> {
    let rule = Rule::parse(rule)?;
    if !rule.is_due(since.0.div_euclid(MINUTE)) {
        return None;
    }
    let (first, last) = (since.0 / MINUTE + 1, now.0 / MINUTE - SLACK);
    Some(
        (first.max(last - LOOK_BACK)..=last)
            .filter(|minute| rule.is_due(*minute))
            .count(),
    )
}

/// How often a schedule was due between two times, of which at most the last two days count.
pub(super) fn due_between(rule: &str, from: Time, to: Time) -> Option<usize> {
    let rule = Rule::parse(rule)?;
    let (first, last) = (from.0 / MINUTE + 1, to.0 / MINUTE);
    let minutes = first.max(last - LOOK_BACK)..=last;
    Some(minutes.filter(|minute| rule.is_due(*minute)).count())
}

/// The minutes, hours, days of the month, months and days of the week of a schedule, as bits.
struct Rule {
    fields: [u64; 5],
    /// Both kinds of days are restricted: then either is enough.
    either_day: bool,
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let text = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            return None;
        };
        let fields = [
            field(minute, 0, 59, &[])?,
            field(hour, 0, 23, &[])?,
            field(day, 1, 31, &[])?,
            field(
                month,
                1,
                12,
                &[
                    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov",
                    "dec",
                ],
            )?,
            field(
                weekday,
                0,
                7,
                &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
            )?,
        ];
        let is_open = |part: &str| part.starts_with(['*', '?']);
        Some(Self {
            fields,
            either_day: !is_open(day) && !is_open(weekday),
        })
    }

    fn is_due(&self, minute: i64) -> bool {
        let Ok(at) = jiff::Timestamp::from_second(minute * 60) else {
            return false;
        };
        let at: DateTime = TimeZone::UTC.to_datetime(at);
        let has = |field: usize, n: i8| self.fields[field] >> n & 1 == 1;
        let weekday = at.weekday().to_sunday_zero_offset();
        let by_month = has(2, at.day());
        let by_week = has(4, weekday) || (weekday == 0 && has(4, 7));
        let day = if self.either_day {
            by_month || by_week
        } else {
            by_month && by_week
        };
        has(0, at.minute()) && has(1, at.hour()) && has(3, at.month()) && day
    }
}

/// One field: lists of `*`, numbers, names and ranges, each with a step.
fn field(text: &str, min: u32, max: u32, names: &[&str]) -> Option<u64> {
    let number = |word: &str| {
        let named = names
            .iter()
            .position(|n| n.eq_ignore_ascii_case(word))
            .map(|at| at as u32 + min);
        named
            .or_else(|| word.parse().ok())
            .filter(|n| (min..=max).contains(n))
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = part
            .split_once('/')
            .map(|(range, step)| (range, Some(step)))
            .unwrap_or((part, None));
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (min, max),
            Some((from, to)) => (number(from)?, number(to)?),
            None if step.is_some() => (number(range)?, max),
            None => (number(range)?, number(range)?),
        };
        let step = match step {
            Some(step) => step.parse().ok().filter(|n| *n > 0)?,
            None => 1,
        };
        bits |= (from..=to).step_by(step).fold(0, |bits, n| bits | 1 << n);
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rule: &str, since: &str, now: &str) -> Option<usize> {
        missed(rule, Time::parse(since).unwrap(), Time::parse(now).unwrap())
    }

    #[test]
    fn missed_runs_are_counted() {
        for (rule, since, now, times) in [
            (
                "*/10 * * * *",
                "2026-03-01T10:00:01Z",
                "2026-03-01T10:09:00Z",
                0,
            ),
            (
                "*/10 * * * *",
                "2026-03-01T10:00:01Z",
                "2026-03-01T10:33:00Z",
                3,
            ),
            (
                "*/10 * * * *",
                "2026-03-01T10:00:01Z",
                "2026-03-01T10:11:00Z",
                0,
            ),
            ("@hourly", "2026-03-01T10:00:00Z", "2026-03-01T12:30:00Z", 2),
            (
                "30 2 * * mon-fri",
                "2026-03-06T02:30:00Z",
                "2026-03-09T12:00:00Z",
                1,
            ),
            (
                "0 0 1,15 * *",
                "2026-03-01T00:00:00Z",
                "2026-03-16T00:00:00Z",
                1,
            ),
            (
                "0 0 13 * 5",
                "2026-03-06T00:00:00Z",
                "2026-03-13T12:00:00Z",
                1,
            ),
            (
                "5/20 9-17/4 * JAN,MAR 0",
                "2026-03-01T09:05:00Z",
                "2026-03-01T18:00:00Z",
                8,
            ),
        ] {
            assert_eq!(count(rule, since, now), Some(times), "{rule} {since} {now}");
        }
    }

    #[test]
    fn an_invalid_schedule_is_none() {
        for rule in [
            "",
            "every minute",
            "61 * * * *",
            "* * * *",
            "*/0 * * * *",
            "H * * * *",
            "@every 5m",
        ] {
            assert_eq!(
                count(rule, "2026-03-01T10:00:00Z", "2026-03-01T12:00:00Z"),
                None,
                "{rule}"
            );
        }
    }

    #[test]
    fn runs_of_a_schedule_that_was_changed_since_are_not_counted() {
        let (last, now) = ("2026-03-01T10:17:00Z", "2026-03-01T12:30:00Z");
        assert_eq!(count("*/30 * * * *", last, now), None);
        assert_eq!(count("17 * * * *", last, now), Some(2));
    }
}
