//! Masks secrets before anything is stored: passwords, tokens and the user part of connection
//! strings.

mod record;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

pub use record::{object, record};

/// Replaces a masked value.
pub const MASK: &str = "***";

/// Names of secrets, longest first so that the longest one matches.
const SECRET_NAMES: [&str; 19] = [
    "authorization",
    "client_secret",
    "clientsecret",
    "access_token",
    "refresh_token",
    "private_key",
    "secret_key",
    "access_key",
    "credentials",
    "passphrase",
    "password",
    "passwd",
    "api_key",
    "api-key",
    "apikey",
    "bearer",
    "secret",
    "token",
    "pwd",
];

/// Finds what may be followed by a secret in a text.
static NEEDLES: LazyLock<AhoCorasick> =
    LazyLock::new(|| build(&[&SECRET_NAMES[..], &["://"]].concat()));
/// Finds names of variables that hold a secret.
static NAMES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let more = ["credential", "auth_key", "_key", "_pass", "dsn"];
    build(&[&SECRET_NAMES[..], &more].concat())
});

fn build(words: &[&str]) -> AhoCorasick {
    // Building cannot fail for these few constant words.
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .build(words)
        .unwrap_or_else(|e| unreachable!("{e}"))
}

/// Masks the secrets in a line of text; borrowed if there are none.
pub fn line(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut done = 0;
    for found in NEEDLES.find_iter(text) {
        if found.start() < done {
            continue;
        }
        let range = if &text[found.range()] == "://" {
            userinfo(text, found.end())
        } else {
            value(text, found.end())
        };
        if let Some(secret) = range {
            out.push_str(&text[done..secret.start]);
            out.push_str(MASK);
            done = secret.end;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// The range of `user:password` between `://` and `@`.
fn userinfo(text: &str, from: usize) -> Option<Range<usize>> {
    let rest = &text[from..];
    let end = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '<'))
        .unwrap_or(rest.len());
    let at = rest[..end].rfind('@')?;
    (at > 0 && &rest[..at] != MASK).then_some(from..from + at)
}

/// The range of the value that follows the name of a secret: `password=x`, `"token": "x"`,
/// `Authorization: Bearer x`, `bearer x`.
fn value(text: &str, from: usize) -> Option<Range<usize>> {
    let rest = &text[from..];
    let named = text[..from].to_ascii_lowercase();
    let is_bearer = named.ends_with("bearer");
    let mut skip = quotes(rest).unwrap_or(rest.len());
    let after = &rest[skip..];
    if after.starts_with(['=', ':']) {
        skip += 1;
        skip += quotes(&rest[skip..]).unwrap_or(0);
        for scheme in ["Bearer ", "bearer ", "Basic ", "basic "] {
            if rest[skip..].starts_with(scheme) {
                skip += scheme.len();
            }
        }
    } else if !is_bearer || skip == 0 {
        return None;
    }
    let tail = &rest[skip..];
    let len = tail
        .find(|c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '&' | '}' | ')' | ']' | '\\')
        })
        .unwrap_or(tail.len());
    // `fetch anonymous token: unexpected status`: a message follows, not a value.
    let may_be_message = after.starts_with(": ")
        && !is_bearer
        && (named.ends_with("token") || named.ends_with("credentials"));
    if may_be_message
        && tail[..len].bytes().all(|b| b.is_ascii_lowercase())
        && tail[len..].starts_with(' ')
    {
        return None;
    }
    (len > 0 && &tail[..len] != MASK).then_some(from + skip..from + skip + len)
}

/// The length of the quotes and spaces at the start of a text; `None` if it has nothing else.
fn quotes(text: &str) -> Option<usize> {
    text.find(|c: char| !matches!(c, '"' | '\'' | '\\' | ' '))
}

/// Whether a variable or key with this name holds a secret.
pub fn is_secret_name(name: &str) -> bool {
    NAMES.is_match(name)
}

/// Masks the value of a variable.
pub fn variable<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    // A variable with the location of a secret does not hold the secret.
    let is_location = [
        "_FILE",
        "_PATH",
        "_DIR",
        "_URL",
        "_URI",
        "_ENDPOINT",
        "_file",
        "_path",
    ]
    .iter()
    .any(|s| name.ends_with(s));
    if is_secret_name(name) && !is_location && !value.is_empty() {
        Cow::Borrowed(MASK)
    } else {
        line(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_after_a_colon_is_not_masked() {
        let message = "failed to fetch anonymous token: unexpected status from GET request";
        assert_eq!(line(message), message);
        for secret in [
            "token: abc",
            "token: abc9 x",
            "password: hunter two",
            "token=unexpected status",
            "bearer abc def",
        ] {
            assert!(line(secret).contains(MASK), "{secret}");
        }
    }

    #[test]
    fn secrets_are_masked_and_addresses_stay() {
        for (raw, masked) in [
            (
                "postgres://app:hunter2@db:5432/shop",
                "postgres://***@db:5432/shop",
            ),
            (
                "login failed password=hunter2 host=db",
                "login failed password=*** host=db",
            ),
            (
                r#"{"token": "abc", "host": "db"}"#,
                r#"{"token": "***", "host": "db"}"#,
            ),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            (
                "no secrets at http://db:80/x@y",
                "no secrets at http://db:80/x@y",
            ),
            (
                "password authentication failed for user",
                "password authentication failed for user",
            ),
        ] {
            assert_eq!(line(raw), masked);
        }
    }

    proptest! {
        #[test]
        fn masking_is_idempotent(text in ".{0,60}(password|token|://)[=: ]?.{0,20}") {
            let once = line(&text).into_owned();
            prop_assert_eq!(line(&once).into_owned(), once.clone());
        }
    }
}
