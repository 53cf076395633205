//! Masks secrets and personal data before anything is stored: what names announce, what has the
//! form of a known kind of secret, and the user part of connection strings. Hosts, ports, names and
//! flags stay, because the diagnosis reads them.

mod access_log;
mod encoded;
mod hash;
mod header;
mod languages;
mod manifest;
mod name;
mod parsed;
mod pem;
mod personal;
mod record;
mod rules;
mod scan;
mod url;
mod value;

use std::borrow::Cow;

pub use hash::HashKey;
pub use record::{hashed_record, object, record};
use scan::What;

/// Replaces a masked value.
pub const MASK: &str = "***";

/// Masks secrets and personal data in a text; borrowed if there are none.
pub fn line(text: &str) -> Cow<'_, str> {
    replace(text, What::All)
}

/// Masks secrets in a text, not personal data: `kgrca analyze` reads files as they are, and two
/// messages that differ by an e-mail address are two pieces of evidence.
pub fn secrets(text: &str) -> Cow<'_, str> {
    replace(text, What::Secrets)
}

fn replace(text: &str, what: What) -> Cow<'_, str> {
    let ranges = scan::ranges(text, what, 0);
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for range in ranges {
        out.push_str(&text[done..range.start]);
        out.push_str(MASK);
        done = range.end;
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// Whether a variable or key with this name holds a secret, whatever its value.
pub fn is_secret_name(name: &str) -> bool {
    matches!(name::sort(name), name::Sort::Password | name::Sort::Secret)
}

/// Masks the value of a variable or a key.
pub fn variable<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    let sort = name::sort(name);
    if header::is_authorization(name) && !value::is_placeholder(value) {
        return Cow::Borrowed(MASK);
    }
    if sort != name::Sort::Plain && !value::is_placeholder(value) && name::fits(sort, name, value) {
        Cow::Borrowed(MASK)
    } else {
        line(value)
    }
}
/// Masks an argument of a command line; `before` is the one before it, which may be the option
/// whose value this is.
pub fn argument<'a>(before: Option<&str>, text: &'a str) -> Cow<'a, str> {
    let names_secret = |option: &str| option.starts_with('-') && is_secret_name(option);
    if !text.starts_with('-')
        && before.is_some_and(|b| !b.contains('=') && names_secret(b))
        && !value::is_placeholder(text)
    {
        return Cow::Borrowed(MASK);
    }
    if matches!(before, Some("-H" | "--header")) {
        return header::line(text);
    }
    match text.split_once('=') {
        Some((option, value)) if names_secret(option) && !value::is_placeholder(value) => {
            Cow::Owned(format!("{option}={MASK}"))
        }
        _ => line(text),
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
    fn secrets_in_sentences_are_masked_and_names_are_not() {
        let secret = "zq03Xv9Tw7Lm4Kp2";
        for sentence in [
            r#"invalid token "SECRET""#,
            r#"invalid api key "SECRET" for tenant"#,
            "Incorrect API key provided: SECRET",
            "token used: SECRET was rejected\nretrying",
            r#"secret \"SECRET\" rejected"#,
            "the access token used was not `SECRET`; token `SECRET` expired",
        ] {
            let masked = line(&sentence.replace("SECRET", secret)).into_owned();
            assert!(masked.contains(MASK), "{masked}");
        }
        for plain in [
            r#"secret "orders-db-credentials" not found"#,
            r#"couldn't find key "DB_HOST" in ConfigMap shop/orders"#,
            r#"couldn't find key "DatabaseUrlPrimary2" in ConfigMap shop/orders"#,
            r#"invalid token "<" at line 3"#,
            "the key provided: is not a member of the group",
            "token used before issued",
        ] {
            assert_eq!(line(plain), plain);
        }
    }

    #[test]
    fn headers_of_probes_are_masked_but_for_those_without_credentials() {
        let header = |name: &str, value: &str| serde_json::json!({"name": name, "value": value});
        let mut pod = serde_json::json!({"kind": "Pod", "metadata": {}, "spec": {"containers": [{
            "livenessProbe": {"httpGet": {"port": 80, "httpHeaders": [
                header("Authorization", "ApiKey abc"), header("X-Forwarded-Access", "abc"),
                header("Host", "shop.example.com"),
            ]}},
        }], "routes": {"headers": {"Authorization": "GenieKey abc", "Accept": "text/html"}}}});
        assert!(object(&mut pod));
        let text = pod.to_string();
        assert!(!text.contains("abc"), "{text}");
        assert!(
            text.contains("shop.example.com") && text.contains("text/html"),
            "{text}"
        );
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

        #[test]
        fn any_text_is_masked_without_a_panic(
            pieces in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(&[
                        "password", "apiKey", "token", "pass", "=", ": ", ":", " ", "\"", "'", "\\",
                        "é", "€", "://", "@", "-----BEGIN PRIVATE KEY-----", "-----END", "-----",
                        "kind: Secret", "data:", "stringData", "\n", "  ", "{", "}", "<", ">", "</",
                        "client", "forwarded", "203.0.113.9", "AKIA", "cookie", "authorization",
                        "bearer ", "basic ", "-p", "value", "|", ",", "://u:p@h", "eyJ", "sig=",
                        "UGxhbnRlZFZhbHVlMDFl", "4111111111111111", "hash:", "***", "mysql ",
                        "$2y$",
                    ][..]).prop_map(str::to_owned),
                    ".{0,6}",
                ],
                0..14,
            )
        ) {
            let text = pieces.concat();
            let once = line(&text).into_owned();
            let _ = (secrets(&text), variable(&text, &text), argument(Some(&text), &once));
            let record = serde_json::json!({"message": text, text.clone(): once}).to_string();
            let _ = super::record(crate::model::Topic::Logs, record.as_bytes());
        }
    }
}
