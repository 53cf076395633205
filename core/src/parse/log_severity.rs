//! Derives the severity of a log line whose sender does not provide one.

use crate::model::Severity;
use crate::trouble::{self, Class, report};

/// How far into a line a level is searched, in bytes: all common layouts have it near the start.
const HEAD: usize = 240;

/// Classes whose words also occur where nothing failed, as `timeout` in a URL.
const VAGUE: [Class; 6] = [
    Class::TimedOut,
    Class::Unavailable,
    Class::Disconnected,
    Class::RateLimited,
    Class::FileMissing,
    Class::PermissionDenied,
];

/// The severity of a line by its `level` field in JSON or logfmt, the first letter of klog, a level
/// word in capitals or brackets, or else words that only failures contain. A message with stack
/// frames or causes reports an exception, whatever its head says.
pub fn of(message: &str) -> Severity {
    let severity = of_line(message);
    if severity < Severity::Error && report::is_report(message) {
        return Severity::Error;
    }
    severity
}

fn of_line(line: &str) -> Severity {
    let bytes = line.as_bytes();
    let head = &bytes[..bytes.len().min(HEAD)];
    klog(bytes)
        .or_else(|| field(bytes))
        .or_else(|| word(head))
        .unwrap_or_else(|| content(line))
}

/// The prefix of klog and glog: `E0102 15:04:05.000000 …`.
fn klog(b: &[u8]) -> Option<Severity> {
    if b.len() < 6 || !b[1..5].iter().all(u8::is_ascii_digit) || b[5] != b' ' {
        return None;
    }
    match b[0] {
        b'I' => Some(Severity::Info),
        b'W' => Some(Severity::Warning),
        b'E' => Some(Severity::Error),
        b'F' => Some(Severity::Fatal),
        _ => None,
    }
}

/// `"level":"error"`, `"severity": "ERROR"`, `level=error`, `lvl=warn`.
fn field(b: &[u8]) -> Option<Severity> {
    let mut from = 0;
    while let Some(at) = b[from..]
        .iter()
        .position(|c| matches!(c, b'=' | b':'))
        .map(|p| p + from)
    {
        let key_end = b[..at]
            .iter()
            .rposition(|c| !matches!(c, b'"' | b' '))
            .map(|p| p + 1)
            .unwrap_or_default();
        let key = &b[..key_end];
        let is_level = [
            &b"level"[..],
            b"severity",
            b"lvl",
            b"levelname",
            b"LEVEL",
            b"Level",
        ]
        .iter()
        .any(|k| key.ends_with(k));
        if is_level {
            let rest = &b[at + 1..];
            let start = rest
                .iter()
                .position(|c| !matches!(c, b'"' | b' '))
                .unwrap_or(rest.len());
            let len = rest[start..]
                .iter()
                .position(|c| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len() - start);
            let word = std::str::from_utf8(&rest[start..start + len]).ok()?;
            if let Some(severity) = Severity::parse(word) {
                return Some(severity);
            }
        }
        from = at + 1;
    }
    None
}

/// The first token that is a level in capitals (`ERROR`, `[WARN]`, `INFO:`) or in brackets in any
/// case (`[error]`).
fn word(head: &[u8]) -> Option<Severity> {
    let mut start = 0;
    while start < head.len() {
        let Some(from) = head[start..]
            .iter()
            .position(u8::is_ascii_alphabetic)
            .map(|p| p + start)
        else {
            break;
        };
        let end = head[from..]
            .iter()
            .position(|c| !c.is_ascii_alphanumeric())
            .map(|p| p + from)
            .unwrap_or(head.len());
        let token = &head[from..end];
        let bracketed = from > 0
            && matches!(head[from - 1], b'[' | b'<' | b'(')
            && head
                .get(end)
                .is_some_and(|c| matches!(c, b']' | b'>' | b')'));
        if (3..=11).contains(&token.len())
            && (bracketed || token.iter().all(u8::is_ascii_uppercase))
        {
            let text = std::str::from_utf8(token).ok()?;
            // PostgreSQL has the levels `ALERT` and `LOG`.
            if let Some(severity) = Severity::parse(text) {
                return Some(severity);
            }
        }
        start = end.max(from + 1);
    }
    None
}

fn content(line: &str) -> Severity {
    let starts = |p: &str| line.starts_with(p);
    if starts("panic:")
        || starts("fatal error:")
        || starts("Traceback (most recent call last)")
        || starts("fatal:")
    {
        return Severity::Fatal;
    }
    let first_words = line.get(..line.len().min(120)).unwrap_or(line);
    let failed = [
        "Exception in thread",
        "Error:",
        "error:",
        "Exception:",
        "Unhandled",
        "Caused by:",
        "failed to ",
        "Failed to ",
        "cannot ",
        "Segmentation fault",
    ];
    if failed.iter().any(|p| first_words.contains(p)) {
        return Severity::Error;
    }
    // A program that is about to exit often writes the reason without a level.
    let names_trouble = || {
        let classes = trouble::read(line);
        classes.iter().any(|class| !VAGUE.contains(&class))
    };
    if ends_with_errno(line) || names_trouble() {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// Whether a line ends like those of perror(3): `<what failed>: Permission denied`.
fn ends_with_errno(line: &str) -> bool {
    const ERRNO: [&str; 10] = [
        "Permission denied",
        "Operation not permitted",
        "No such file or directory",
        "Not a directory",
        "Is a directory",
        "Input/output error",
        "Device or resource busy",
        "Connection refused",
        "Connection timed out",
        "Broken pipe",
    ];
    let line = line.trim_end().trim_end_matches('.');
    ERRNO.iter().any(|errno| {
        let before = line.strip_suffix(errno);
        before.is_some_and(|before| before.ends_with(": "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn levels_are_found_in_common_layouts() {
        for (line, severity) in [
            (
                "E0102 15:04:05.000000       1 controller.go:114] oops",
                Severity::Error,
            ),
            (
                r#"{"time":"2026-01-01","level":"warn","msg":"x"}"#,
                Severity::Warning,
            ),
            (r#"{"severity": "ERROR", "message": "x"}"#, Severity::Error),
            ("time=x level=error msg=y", Severity::Error),
            (
                "2026-01-01 10:00:00.000 UTC [1] FATAL:  password authentication failed",
                Severity::Fatal,
            ),
            (
                "2026-01-01 10:00:00,000 INFO [main] no ERROR here",
                Severity::Info,
            ),
            ("[error] 7#7: *1 connect() failed", Severity::Error),
            ("panic: runtime error: index out of range", Severity::Fatal),
            ("GET /healthz 200", Severity::Info),
            ("bind: address already in use", Severity::Warning),
            ("mkdir: /data/db: Permission denied", Severity::Warning),
            ("user denied: Permission denied by policy 7", Severity::Info),
            (
                "10:00:00 WARN retry\n\tat a.B.c(B.java:1)\nCaused by: java.lang.Error: x",
                Severity::Error,
            ),
        ] {
            assert_eq!(of(line), severity, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_has_a_severity(line in ".{0,300}") {
            let _ = of(&line);
        }
    }
}
