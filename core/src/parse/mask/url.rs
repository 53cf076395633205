//! The user and password of connection strings, whichever characters the password has.

use super::MASK;
use super::scan::{Found, ahead, behind};

/// Masks `user:password` between `://` and `@`; `from` is behind `://`.
pub(super) fn user(text: &str, from: usize, found: &mut Found) {
    let rest = ahead(text, from);
    let stops = |c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '`' | '\\' | '|');
    let mut end = rest.find(stops).unwrap_or(rest.len());
    // The next URL of a list is not part of this one.
    if let Some(next) = rest[..end].find("://") {
        end = rest[..next].rfind(is_separator).unwrap_or(next);
    }
    let zone = unquoted(&rest[..end]);
    let Some(at) = last_at(zone) else {
        return;
    };
    let user = &zone[..at];
    if user.is_empty() || user == MASK || (is_web(text, from) && !is_user(user)) {
        return;
    }
    found.add(from..from + at);
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | ';' | '\'' | '(' | ')' | '[' | ']')
}

/// The part before a single quote that ends the URL: one that no letter follows.
fn unquoted(zone: &str) -> &str {
    let closes = |(at, _): &(usize, &str)| {
        let next = zone[at + 1..].bytes().next();
        !next.is_some_and(|c| c.is_ascii_alphanumeric())
    };
    match zone.match_indices('\'').find(closes) {
        Some((at, _)) => &zone[..at],
        None => zone,
    }
}

/// The last `@` that a host can follow.
fn last_at(zone: &str) -> Option<usize> {
    let is_host = |(at, _): &(usize, &str)| {
        let rest = &zone[at + 1..];
        // The digest of an image.
        if rest.starts_with("sha256:") || rest.starts_with("sha512:") {
            return false;
        }
        let next = rest.bytes().next();
        next.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'[' | b'/' | b'*' | b'$'))
    };
    zone.rmatch_indices('@').find(is_host).map(|(at, _)| at)
}

/// Whether the scheme before `://` is one whose paths may have an `@`.
fn is_web(text: &str, from: usize) -> bool {
    let before = behind(text, from - "://".len());
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let start = before.trim_end_matches(is_part).len();
    [
        "http",
        "https",
        "ws",
        "wss",
        "s3",
        "gs",
        "file",
        "docker-pullable",
        "containerd",
        "docker",
    ]
    .iter()
    .any(|scheme| before[start..].eq_ignore_ascii_case(scheme))
}

/// Whether the text before an `@` is a user, with or without a password, and not a host and a path.
fn is_user(text: &str) -> bool {
    match text.split_once(':') {
        // `host:80/path@x`: a port, then a path.
        Some((_, rest)) => match rest.find(['/', '?', '#']) {
            Some(end) => !rest[..end].bytes().all(|c| c.is_ascii_digit()),
            None => true,
        },
        None => !text.contains(['/', '?', '#']),
    }
}
