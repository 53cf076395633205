//! Secrets are masked before anything is stored: passwords, tokens and the user part of connection
//! strings.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;

/// What stands in for a masked value.
pub const MASK: &str = "***";

/// Words after which a value is a secret, longest first so that the longest one is taken.
const WORDS: [&str; 19] = [
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

static NEEDLES: LazyLock<AhoCorasick> = LazyLock::new(|| build(&[&WORDS[..], &["://"]].concat()));
static NAMES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    build(
        &[
            &WORDS[..],
            &["credential", "auth_key", "_key", "_pass", "dsn"],
        ]
        .concat(),
    )
});

fn build(words: &[&str]) -> AhoCorasick {
    // The words are constants of plain ASCII: building cannot fail.
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .build(words)
        .unwrap_or_else(|e| unreachable!("{e}"))
}

/// Masks secrets in a line of text; borrowed when there are none.
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
        if let Some((from, to)) = range {
            out.push_str(&text[done..from]);
            out.push_str(MASK);
            done = to;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// `user:password` between `://` and `@`.
fn userinfo(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = &text[from..];
    let end = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '<'))
        .unwrap_or(rest.len());
    let at = rest[..end].rfind('@')?;
    (at > 0 && &rest[..at] != MASK).then_some((from, from + at))
}

/// The value behind a secret's name: `password=x`, `"token": "x"`, `Authorization: Bearer x`,
/// `bearer x`.
fn value(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = &text[from..];
    let named = text[..from].to_ascii_lowercase();
    let bearer = named.ends_with("bearer");
    let mut skip = rest
        .find(|c: char| !matches!(c, '"' | '\'' | '\\' | ' '))
        .unwrap_or(rest.len());
    let after = &rest[skip..];
    if after.starts_with(['=', ':']) {
        skip += 1;
        let quotes = rest[skip..]
            .find(|c: char| !matches!(c, '"' | '\'' | '\\' | ' '))
            .unwrap_or(0);
        skip += quotes;
        for scheme in ["Bearer ", "bearer ", "Basic ", "basic "] {
            if rest[skip..].starts_with(scheme) {
                skip += scheme.len();
            }
        }
    } else if !bearer || skip == 0 {
        return None;
    }
    let is_sentence = after.starts_with(": ")
        && !bearer
        && (named.ends_with("token") || named.ends_with("credentials"));
    let tail = &rest[skip..];
    let len = tail
        .find(|c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '&' | '}' | ')' | ']' | '\\')
        })
        .unwrap_or(tail.len());
    // `fetch anonymous token: unexpected status`: what goes on in plain words is a message, not a
    // value.
    if is_sentence
        && tail[..len].bytes().all(|b| b.is_ascii_lowercase())
        && tail[len..].starts_with(' ')
    {
        return None;
    }
    (len > 0 && &tail[..len] != MASK).then_some((from + skip, from + skip + len))
}

/// Whether a variable or key of this name holds a secret.
pub fn is_secret_name(name: &str) -> bool {
    NAMES.is_match(name)
}

/// Masks one value of a named variable.
pub fn variable<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    // A name that says where the secret is, holds no secret.
    let says_where = [
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
    if is_secret_name(name) && !says_where && !value.is_empty() {
        Cow::Borrowed(MASK)
    } else {
        line(value)
    }
}

/// Masks a record's bytes before they are stored; borrowed when nothing has to go. What is not JSON
/// is left to the parser.
pub fn record(topic: crate::model::Topic, bytes: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Cow::Borrowed(bytes);
    };
    let is_state = topic == crate::model::Topic::Resource;
    let suspicious = NEEDLES.is_match(text)
        || text.contains(":\\/\\/")
        || (is_state
            && (NAMES.is_match(text) || text.contains("last-applied") || text.contains("Secret")));
    if !suspicious {
        return Cow::Borrowed(bytes);
    }
    let Ok(mut value) = serde_json::from_str::<Value>(text) else {
        return Cow::Borrowed(bytes);
    };
    let changed = if is_state {
        object(&mut value)
    } else {
        leaves(&mut value)
    };
    match (changed, serde_json::to_vec(&value)) {
        (true, Ok(masked)) => Cow::Owned(masked),
        _ => Cow::Borrowed(bytes),
    }
}

/// Applies a change to all items. Returns whether any changed.
fn each(items: &mut [Value], change: fn(&mut Value) -> bool) -> bool {
    let mut changed = false;
    for item in items {
        changed |= change(item);
    }
    changed
}

/// Every text at any depth.
fn leaves(value: &mut Value) -> bool {
    match value {
        Value::Array(items) => each(items, leaves),
        Value::Object(map) => map.iter_mut().fold(false, |changed, (name, v)| {
            let masked = if v.is_string() {
                mask_text(name, v)
            } else {
                leaves(v)
            };
            masked || changed
        }),
        Value::String(_) => mask_text("", value),
        _ => false,
    }
}

/// Masks a whole object as the API writes it: Secrets' values, env literals, arguments, `ConfigMap`
/// values, annotations. Returns whether anything changed.
pub fn object(value: &mut Value) -> bool {
    let is_secret = value.get("kind").and_then(Value::as_str) == Some("Secret");
    let mut changed = false;
    if let Value::Object(map) = value {
        for key in ["data", "stringData", "binaryData"] {
            let Some(Value::Object(data)) = map.get_mut(key) else {
                continue;
            };
            for (name, v) in data.iter_mut() {
                changed |= if is_secret {
                    replace(v, "")
                } else {
                    mask_text(name, v)
                };
            }
        }
        for key in ["annotations", "labels"] {
            changed |= annotations(map.get_mut(key));
        }
        if let Some(Value::Object(meta)) = map.get_mut("metadata") {
            changed |= annotations(meta.get_mut("annotations"));
        }
        for key in ["spec", "status"] {
            changed |= map.get_mut(key).is_some_and(nested);
        }
        if let Some(Value::Array(items)) = map.get_mut("items") {
            for item in items {
                changed |= object(item);
            }
        }
    }
    changed
}

fn annotations(value: Option<&mut Value>) -> bool {
    let Some(Value::Object(map)) = value else {
        return false;
    };
    let before = map.len();
    map.retain(|k, _| !k.ends_with("last-applied-configuration"));
    let mut changed = map.len() != before;
    for (name, v) in map.iter_mut() {
        changed |= mask_text(name, v);
    }
    changed
}

/// Env literals, arguments and pod templates at any depth.
fn nested(value: &mut Value) -> bool {
    match value {
        Value::Array(items) => each(items, nested),
        Value::Object(map) => {
            let mut changed = annotations(map.get_mut("annotations"));
            if let (Some(Value::String(name)), true) =
                (map.get("name").cloned(), map.contains_key("value"))
            {
                changed |= map.get_mut("value").is_some_and(|v| mask_text(&name, v));
            }
            for (key, v) in map.iter_mut() {
                if matches!(key.as_str(), "args" | "command") {
                    changed |= arguments(v);
                } else if v.is_string() {
                    changed |= mask_text("", v);
                } else {
                    changed |= nested(v);
                }
            }
            changed
        }
        _ => false,
    }
}

fn arguments(value: &mut Value) -> bool {
    let Value::Array(items) = value else {
        return false;
    };
    let mut changed = false;
    let mut follows_secret = false;
    for item in items {
        if let Value::String(text) = item {
            let flag = text.starts_with('-') && !text.contains('=') && is_secret_name(text);
            changed |= if follows_secret {
                replace(item, MASK)
            } else {
                mask_text("", item)
            };
            follows_secret = flag;
        }
    }
    changed
}

fn mask_text(name: &str, value: &mut Value) -> bool {
    let Value::String(text) = value else {
        return false;
    };
    match variable(name, text) {
        Cow::Borrowed(same) if same.len() == text.len() => false,
        masked => {
            *text = masked.into_owned();
            true
        }
    }
}

fn replace(value: &mut Value, with: &str) -> bool {
    if value.as_str() == Some(with) {
        return false;
    }
    *value = Value::String(with.to_owned());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_sentence_behind_a_colon_is_no_token() {
        let said = "failed to fetch anonymous token: unexpected status from GET request";
        assert_eq!(line(said), said);
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
    fn secrets_go_and_addresses_stay() {
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

    #[test]
    fn an_object_keeps_its_shape() {
        let mut pod = json!({"kind": "Pod", "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x", "note": "ok"}},
            "spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "DB", "value": "db:5432"}], "args": ["--token", "abc", "--port=80"]}]}});
        assert!(object(&mut pod));
        assert!(!pod.to_string().contains("hunter2") && !pod.to_string().contains("abc"));
        assert!(pod.to_string().contains("db:5432"));
        let mut secret = json!({"kind": "Secret", "data": {"tls.key": "c2VjcmV0"}});
        assert!(object(&mut secret));
        assert_eq!(secret, json!({"kind": "Secret", "data": {"tls.key": ""}}));
        assert!(!object(&mut secret), "masking twice changes nothing");
    }

    proptest! {
        #[test]
        fn masking_is_idempotent(text in ".{0,60}(password|token|://)[=: ]?.{0,20}") {
            let once = line(&text).into_owned();
            prop_assert_eq!(line(&once).into_owned(), once.clone());
        }
    }
}
