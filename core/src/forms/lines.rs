//! What stands before the message of a log line: who wrote it and when.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::Time;

/// A log line without what stands before its message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The pod, or empty.
    pub pod: &'a str,
    /// The namespace, where the line names it.
    pub namespace: &'a str,
    /// The container, or empty.
    pub container: &'a str,
    /// The node whose daemon wrote it, or empty.
    pub node: &'a str,
    /// When, as RFC 3339 or as the format has it.
    pub time: Stamp<'a>,
    pub message: &'a str,
}

/// A time in front of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stamp<'a> {
    #[default]
    None,
    /// RFC 3339.
    Full(&'a str),
    /// Month, day and the time of the day without a year.
    Yearless { month: i8, day: i8, time: &'a str },
}

impl<'a> Line<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let text = text.trim_end_matches('\r');
        if let Some(line) = with_brackets(text) {
            return line;
        }
        if let Some(line) = of_journal(text) {
            return line;
        }
        match of_stern(text) {
            Some((start, rest)) => start.with_time(rest),
            None => Self::default().with_time(text),
        }
    }

    fn with_time(self, text: &'a str) -> Self {
        let (time, message) = stamped(text);
        Self {
            time,
            message,
            ..self
        }
    }
}

impl Stamp<'_> {
    pub(super) fn is_none(self) -> bool {
        self == Self::None
    }

    /// The instant; a year is the last in which it does not lie after `taken_at`.
    pub(super) fn at(self, taken_at: Time) -> Option<Time> {
        match self {
            Self::None => None,
            Self::Full(text) => Time::parse(text),
            Self::Yearless { month, day, time } => {
                let taken = jiff::Timestamp::from_microsecond(taken_at.0).ok()?;
                let year = taken.to_zoned(TimeZone::UTC).year();
                let of = |year| {
                    let date = Date::new(year, month, day).ok()?;
                    Time::parse(&format!("{date}T{time}Z"))
                };
                let day_later = taken_at.plus(crate::model::time::DAY);
                of(year)
                    .filter(|at| *at <= day_later)
                    .or_else(|| of(year - 1))
            }
        }
    }
}

/// `kubectl logs --prefix`: `[pod/api-1/api] …`.
fn with_brackets(text: &str) -> Option<Line<'_>> {
    let (prefix, rest) = text.strip_prefix("[pod/")?.split_once(']')?;
    let (pod, container) = prefix.split_once('/')?;
    let start = Line {
        pod,
        container,
        ..Line::default()
    };
    Some(start.with_time(rest.trim_start()))
}

/// `stern`: `[namespace] api-6b7c8d9f5-x2k8p api …`.
fn of_stern(text: &str) -> Option<(Line<'_>, &str)> {
    let mut words = text.splitn(4, ' ');
    let (first, second) = (words.next()?, words.next()?);
    let is_name = |word: &str| {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(is_part)
    };
    if is_generated(first) && is_name(second) {
        let start = Line {
            pod: first,
            container: second,
            ..Line::default()
        };
        let rest = text.get(first.len() + second.len() + 2..)?;
        return Some((start, rest));
    }
    let third = words.next()?;
    if is_name(first) && is_generated(second) && is_name(third) {
        let start = Line {
            namespace: first,
            pod: second,
            container: third,
            ..Line::default()
        };
        return Some((start, words.next().unwrap_or_default()));
    }
    None
}

/// Whether a word is a pod's name as a Deployment or DaemonSet makes it: it ends with five
/// characters of the alphabet that Kubernetes uses for these.
pub(super) fn is_generated(word: &str) -> bool {
    const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
    let Some((base, suffix)) = word.rsplit_once('-') else {
        return false;
    };
    let is_base = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    suffix.len() == 5
        && suffix.chars().all(|c| ALPHABET.contains(c))
        && base.starts_with(|c: char| c.is_ascii_lowercase())
        && base.chars().all(is_base)
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `journalctl` and syslog: `Nov 29 09:01:00 node-1 kubelet[1495]: …`.
fn of_journal(text: &str) -> Option<Line<'_>> {
    let month = MONTHS.iter().position(|m| text.starts_with(m))?;
    let mut words = text.split_ascii_whitespace().skip(1);
    let day: i8 = words.next()?.parse().ok()?;
    let (time, node, program) = (words.next()?, words.next()?, words.next()?);
    if time.split(':').count() != 3 || !program.ends_with(':') {
        return None;
    }
    let at = text.find(program)? + program.len();
    Some(Line {
        node,
        time: Stamp::Yearless {
            month: month as i8 + 1,
            day,
            time,
        },
        message: text[at..].trim_start(),
        ..Line::default()
    })
}

/// The time that a message begins with, and the message behind it. A time without a zone stays in
/// the message, too: it may be a program's own.
fn stamped(text: &str) -> (Stamp<'_>, &str) {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    if first.len() >= 20 && Time::parse(first).is_some() {
        return (Stamp::Full(first), without_stream(rest));
    }
    match klog(text) {
        Some(stamp) => (stamp, text),
        None => (Stamp::None, text),
    }
}

/// A line of a container's log file without what the runtime wrote before it, such as `stderr F`.
fn without_stream(text: &str) -> &str {
    let of_stream = ["stdout F ", "stderr F ", "stdout P ", "stderr P "];
    of_stream
        .iter()
        .find_map(|start| text.strip_prefix(start))
        .unwrap_or(text)
}

/// `E1129 09:01:00.000000 …`
fn klog(text: &str) -> Option<Stamp<'_>> {
    let digits = text.strip_prefix(['I', 'W', 'E', 'F'])?;
    let (date, rest) = digits.split_once(' ')?;
    if date.len() != 4 {
        return None;
    }
    let time = rest.trim_start().split(' ').next()?;
    (time.split(':').count() == 3).then_some(())?;
    Some(Stamp::Yearless {
        month: date.get(..2)?.parse().ok()?,
        day: date.get(2..)?.parse().ok()?,
        time,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_separated_from_messages() {
        let time = Stamp::Full("2026-11-29T09:01:02.5Z");
        let of_pod = Line {
            pod: "api-6b7c8d9f5-x2k8p",
            container: "api",
            time,
            message: "ERROR no",
            ..Line::default()
        };
        for text in [
            "[pod/api-6b7c8d9f5-x2k8p/api] 2026-11-29T09:01:02.5Z ERROR no",
            "api-6b7c8d9f5-x2k8p api 2026-11-29T09:01:02.5Z ERROR no",
        ] {
            assert_eq!(Line::of(text), of_pod, "{text}");
        }
        let all = "shop api-6b7c8d9f5-x2k8p api 2026-11-29T09:01:02.5Z stderr F ERROR no";
        let expected = Line {
            namespace: "shop",
            ..of_pod
        };
        assert_eq!(Line::of(all), expected);
        for text in [
            "failed to connect to db",
            "retry 5 in api-server",
            "order-12345 was lost",
        ] {
            let plain = Line {
                message: text,
                ..Line::default()
            };
            assert_eq!(Line::of(text), plain, "{text}");
        }
    }

    #[test]
    fn times_without_a_year_are_in_the_past() {
        let line = Line::of("Nov 29 09:01:00 node-1 kubelet[1495]: E1129 09:01:00.5 1 a.go:1] x");
        assert_eq!(line.node, "node-1");
        assert_eq!(line.message, "E1129 09:01:00.5 1 a.go:1] x");
        let at = |taken: &str| {
            line.time
                .at(Time::parse(taken).unwrap())
                .unwrap()
                .to_string()
        };
        assert_eq!(at("2026-11-30T00:00:00Z"), "2026-11-29T09:01:00Z");
        assert_eq!(at("2027-01-02T00:00:00Z"), "2026-11-29T09:01:00Z");
        let klog = Line::of("E1129 09:01:00.500000    1495 kubelet.go:28] \"no\"");
        assert!(matches!(
            klog.time,
            Stamp::Yearless {
                month: 11,
                day: 29,
                ..
            }
        ));
        assert_eq!(Line::of("E99 x").time, Stamp::None);
    }
}
