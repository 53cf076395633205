//! Headers of HTTP that carry credentials.

use std::borrow::Cow;
use std::ops::Range;

use super::MASK;
use super::scan::{Found, ahead};
use super::value::is_placeholder;

/// Schemes behind which the credentials stand.
const SCHEMES: [&str; 16] = [
    "bearer",
    "basic",
    "digest",
    "token",
    "negotiate",
    "ntlm",
    "apikey",
    "api-key",
    "api-token",
    "geniekey",
    "ssws",
    "bot",
    "key",
    "splunk",
    "hmac",
    "aws4-hmac-sha256",
];
/// Words that follow `bearer` in messages.
const PROSE: [&str; 16] = [
    "token",
    "tokens",
    "auth",
    "authentication",
    "authorization",
    "scheme",
    "is",
    "was",
    "not",
    "required",
    "missing",
    "header",
    "and",
    "or",
    "for",
    "format",
];

/// Headers that carry no credentials.
const PLAIN: [&str; 14] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-type",
    "host",
    "origin",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
];

/// Whether a header carries no credentials.
pub(super) fn is_plain(name: &str) -> bool {
    PLAIN.iter().any(|plain| name.eq_ignore_ascii_case(plain))
}

/// A header as it is sent, without the value of one that may carry credentials.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    match text.split_once(':') {
        // Without a space it may be an address: other programs have the option, too.
        Some((name, value))
            if value.starts_with(' ')
                && !is_plain(name.trim())
                && !is_placeholder(value.trim()) =>
        {
            Cow::Owned(format!("{name}: {MASK}"))
        }
        _ => Cow::Borrowed(text),
    }
}

/// Whether a header carries nothing but credentials.
pub(super) fn is_authorization(name: &str) -> bool {
    [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
    ]
    .iter()
    .any(|header| name.eq_ignore_ascii_case(header))
}

/// The value of a header whose name ends at `from`: to the end of the line or to the closing quote.
fn content(text: &str, from: usize) -> Option<Range<usize>> {
    let rest = ahead(text, from);
    let skip = rest.find(|c: char| !matches!(c, '"' | '\'' | '\\' | ' '))?;
    if !rest[skip..].starts_with([':', '=']) {
        return None;
    }
    let inner = &rest[skip + 1..];
    let open = inner.find(|c: char| !matches!(c, '"' | '\'' | '\\' | ' ' | '[' | '>'))?;
    let start = from + skip + 1 + open;
    let value = ahead(text, start);
    let end = value.find(['"', '\'', ']', '\n', '\r', '\\']);
    // A longer one is masked up to the end of the text.
    Some(start..end.map(|n| start + n).unwrap_or(text.len()))
}

/// Masks the credentials of `Authorization` and `Proxy-Authorization`.
pub(super) fn authorization(text: &str, from: usize, found: &mut Found) {
    let Some(range) = content(text, from) else {
        return;
    };
    let value = &text[range.clone()];
    let first = value.split([' ', '=']).next().unwrap_or(value);
    let is_scheme = SCHEMES.iter().any(|s| first.eq_ignore_ascii_case(s));
    if is_scheme && first.len() < value.len() {
        let start = range.start + first.len() + 1;
        let credentials = &text[start..range.end];
        let is_list = first.eq_ignore_ascii_case("digest") || first.len() > 12;
        let len = if is_list {
            credentials.len()
        } else {
            credentials.find([' ', ',']).unwrap_or(credentials.len())
        };
        if !is_placeholder(&credentials[..len]) {
            found.add(start..start + len);
        }
    } else if !is_scheme && first.len() >= 8 && first.bytes().any(|c| c.is_ascii_digit()) {
        found.add(range.start..range.start + first.len());
    }
}

/// Masks the value of each cookie. Returns the end of what was masked without a gap: keywords
/// within it need no look of their own.
pub(super) fn cookies(text: &str, from: usize, found: &mut Found) -> usize {
    let Some(range) = content(text, from) else {
        return from;
    };
    let mut start = range.start;
    let (mut end, mut has_gap) = (from, false);
    for pair in text[range].split_inclusive(';') {
        let bare = pair.trim_end_matches(';');
        if let Some((name, value)) = bare.split_once('=')
            && !value.is_empty()
            && value != MASK
            && !is_attribute(name)
        {
            let at = start + name.len() + 1;
            let len = value.find([' ', ',', '}', ')']).unwrap_or(value.len());
            found.add(at..at + len);
            has_gap = has_gap || len < value.len();
            if end == from || !has_gap {
                end = at + len;
            }
        }
        start += pair.len();
    }
    end
}

fn is_attribute(name: &str) -> bool {
    ["path", "domain", "expires", "max-age", "samesite"]
        .iter()
        .any(|a| name.trim().eq_ignore_ascii_case(a))
}

/// Masks the word after `bearer`.
pub(super) fn bearer(text: &str, from: usize, found: &mut Found) {
    let rest = &text[from..];
    let Some(skip) = rest.find(|c: char| c != ' ').filter(|n| *n > 0) else {
        return;
    };
    let word = &rest[skip..];
    let end =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | ')' | ']' | '}' | '\\');
    let word = &word[..word.find(end).unwrap_or(word.len())];
    let bare = word.trim_end_matches([':', '.']);
    if bare.is_empty() || is_placeholder(word) || PROSE.iter().any(|p| bare.eq_ignore_ascii_case(p))
    {
        return;
    }
    found.add(from + skip..from + skip + word.len());
}
