//! Replaces values that nothing reads by a keyed hash: a change can be seen, nothing can be
//! guessed. What the diagnosis reads of a value stays: its addresses, ports and the names of
//! options.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a replaced value begins with.
pub(super) const PREFIX: &str = "hash:";
/// Digits of a hash: enough to see a change, too few to be worth a search.
const DIGITS: usize = 12;

/// The key of one tenant's hashes.
#[derive(Clone)]
pub struct HashKey(Hmac<Sha256>);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(***)")
    }
}

impl HashKey {
    /// A key from a secret of any length.
    pub fn new(secret: &[u8]) -> Self {
        // HMAC takes keys of every length.
        let mac = Hmac::new_from_slice(secret).unwrap_or_else(|e| unreachable!("{e}"));
        Self(mac)
    }

    fn hash(&self, value: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(value.as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut text = PREFIX.to_owned();
        for byte in &digest[..DIGITS / 2] {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// The value of a variable: its hash, then the addresses in it.
    pub(super) fn variable<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if is_read(value)
            || (crate::model::address::names_host(name) && crate::model::address::is_host(value))
        {
            return Cow::Borrowed(value);
        }
        Cow::Owned(self.with(value, addresses(value)))
    }

    /// A value of a `ConfigMap`.
    pub(super) fn config<'a>(&self, value: &'a str) -> Cow<'a, str> {
        self.variable("", value)
    }

    /// An argument: options keep their names, and words that are no option's value stay.
    pub(super) fn argument<'a>(&self, before: Option<&str>, text: &'a str) -> Cow<'a, str> {
        let follows_option = before.is_some_and(|b| b.starts_with('-'));
        // Its value may be followed by the addresses in it.
        let is_replaced = |(option, value): (&str, &str)| option.starts_with('-') && is_hash(value);
        if is_read(text)
            || text.split_once('=').is_some_and(is_replaced)
            || (is_word(text) && !follows_option)
        {
            return Cow::Borrowed(text);
        }
        if text.contains(char::is_whitespace) {
            let options = text.split_whitespace().filter_map(|w| w.split('=').next());
            let options = options.filter(|w| is_option(w)).map(str::to_owned);
            return Cow::Owned(self.with(text, options.chain(addresses(text))));
        }
        match text.split_once('=') {
            Some((option, value)) if option.starts_with('-') => {
                let value = if is_read(value) {
                    value.to_owned()
                } else {
                    self.with(value, addresses(value))
                };
                Cow::Owned(format!("{option}={value}"))
            }
            _ if text.starts_with('-') => Cow::Borrowed(text),
            _ => Cow::Owned(self.with(text, addresses(text))),
        }
    }

    fn with(&self, value: &str, read: impl Iterator<Item = String>) -> String {
        let mut out = self.hash(value);
        for part in read {
            out.push(' ');
            out.push_str(&part);
        }
        out
    }
}

/// The addresses of a text in the form in which they are found again.
fn addresses(text: &str) -> impl Iterator<Item = String> + '_ {
    crate::model::address::in_text(text).map(|a| match a.port {
        Some(_) => a.to_string(),
        None => format!("://{a}"),
    })
}

/// Whether a value stays: a port or another small number, a switch, nothing, or what was replaced.
fn is_read(value: &str) -> bool {
    let is_number = value.len() <= 5 && value.bytes().all(|b| b.is_ascii_digit());
    is_number || matches!(value, "true" | "false" | super::MASK) || is_hash(value)
}

/// Whether a value is what [`HashKey::with`] writes: a hash, and behind it nothing but addresses and
/// names of options.
fn is_hash(value: &str) -> bool {
    let mut words = value.split(' ');
    let digits = words.next().and_then(|first| first.strip_prefix(PREFIX));
    let is_kept = |word: &str| is_option(word) || addresses(word).eq([word]);
    digits.is_some_and(|digits| {
        digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit())
    }) && words.all(is_kept)
}

/// The name of an option, such as `--max-size`.
fn is_option(word: &str) -> bool {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    name.is_some_and(|name| !name.is_empty() && name.len() <= 40 && name.bytes().all(is_part))
}

/// A subcommand or a program.
fn is_word(text: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_lowercase() || matches!(b, b'-' | b'/' | b'.' | b'_');
    text.len() <= 64 && !text.starts_with('-') && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> HashKey {
        HashKey::new(b"secret of one tenant")
    }

    #[test]
    fn what_is_read_stays_and_the_rest_cannot_be_read() {
        let key = key();
        for same in ["", "8080", "true", "***", "hash:0123456789ab db:5432"] {
            assert_eq!(key.variable("X", same), same);
        }
        assert_eq!(key.variable("DB_HOST", "orders-db"), "orders-db");
        let url = key
            .variable("URL", "postgres://***@db:5432/shop, http://pay/x")
            .into_owned();
        assert!(
            url.starts_with(PREFIX) && url.ends_with(" db:5432 ://pay"),
            "{url}"
        );
        let found: Vec<String> = addresses(&url).collect();
        assert_eq!(
            found,
            ["db:5432", "://pay"],
            "the same addresses are found again"
        );
        assert_eq!(key.argument(None, "serve"), "serve");
        assert!(key.argument(Some("--mode"), "serve").starts_with(PREFIX));
        let option = key.argument(None, "--upstream=http://pay:80/x");
        assert!(
            option.starts_with("--upstream=hash:") && option.ends_with(" pay:80"),
            "{option}"
        );
        assert_eq!(key.argument(None, &option), option, "replaced once");
        let script = key.argument(None, "run --fast --user=kim db:5432");
        assert!(script.ends_with(" --fast --user db:5432"), "{script}");
    }

    proptest! {
        #[test]
        fn a_value_that_looks_masked_hides_nothing(
            first in "(\\*\\*\\*|\\*\\*\\*@corp.io:|hash:0123456789ab|hash:0123456789ab db:5432)",
            secret in "[A-Z][a-z]{9}",
            middle in "( |: | is |, -)",
        ) {
            let value = format!("{first}{middle}{secret}");
            let key = key();
            prop_assert!(!key.config(&value).contains(&secret));
            prop_assert!(!key.variable("X_HOST", &value).contains(&secret));
            if middle != ", -" {
                prop_assert!(!key.argument(None, &value).contains(&secret));
            }
            let once = key.config(&value).into_owned();
            prop_assert_eq!(key.config(&once).into_owned(), once);
        }
    }

    #[test]
    fn a_change_is_seen_and_keys_differ() {
        let key = key();
        assert_eq!(key.config("a"), key.config("a"));
        assert_ne!(key.config("a"), key.config("b"));
        assert_ne!(key.config("a"), HashKey::new(b"another").config("a"));
    }
}
