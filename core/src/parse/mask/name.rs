//! Which names announce a secret, by their words: `dbPassword`, `SMTP_PASS`, `client-secret`.

use super::languages;
use super::rules::entropy;

/// What the value beside a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A password: every value is one.
    Password,
    /// Another secret. Messages use the same names: `token: unexpected status`.
    Secret,
    /// A secret if it looks like one: a long hexadecimal number or random characters.
    Number,
    /// A secret only if it is made of random characters: digests and identifiers have such names.
    Random,
    /// Nothing secret.
    Plain,
}

const PASSWORDS: [&str; 6] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "pass",
];
/// Ordinary words that end like one of them.
const NO_PASSWORDS: [&str; 8] = [
    "bypass",
    "compass",
    "trespass",
    "encompass",
    "surpass",
    "underpass",
    "overpass",
    "cwd",
];
const SECRETS: [&str; 12] = [
    "secret",
    "token",
    "apikey",
    "secretkey",
    "privatekey",
    "accesskey",
    "authkey",
    "credential",
    "credentials",
    "jwt",
    "psk",
    "apitoken",
];
/// Before `key`: the key itself is a secret.
const SECRET_KEYS: [&str; 27] = [
    "api",
    "secret",
    "private",
    "access",
    "encryption",
    "encrypt",
    "signing",
    "shared",
    "preshared",
    "account",
    "master",
    "license",
    "licence",
    "auth",
    "hmac",
    "jwt",
    "unseal",
    "storage",
    "admin",
    "root",
    "crypto",
    "cipher",
    "session",
    "wireguard",
    "security",
    "decryption",
    "signer",
];
/// Before `key`: often one.
const MAYBE_KEYS: [&str; 14] = [
    "service",
    "routing",
    "integration",
    "server",
    "app",
    "application",
    "client",
    "write",
    "ingest",
    "webhook",
    "user",
    "project",
    "maps",
    "tls",
];
const SESSIONS: [&str; 7] = [
    "sid",
    "sessid",
    "sessionid",
    "jsessionid",
    "phpsessid",
    "session",
    "signature",
];
/// Words of names that may belong to a secret.
const MAYBE: [&str; 12] = [
    "key",
    "auth",
    "authorization",
    "token",
    "tokens",
    "secret",
    "secrets",
    "password",
    "session",
    "credentials",
    "signature",
    "pass",
];

/// The words of a name in lower case.
fn words(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let bytes = name.as_bytes();
    for (at, b) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i));
        let next = bytes.get(at + 1);
        let is_upper = b.is_ascii_uppercase();
        let is_hump =
            is_upper && before.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        // The last capital of `APIKey` begins a word.
        let ends_capitals = is_upper
            && before.is_some_and(u8::is_ascii_uppercase)
            && next.is_some_and(u8::is_ascii_lowercase);
        let begins = !b.is_ascii_alphanumeric() || is_hump || ends_capitals;
        if begins && !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
        if b.is_ascii_alphanumeric() {
            word.push(char::from(b.to_ascii_lowercase()));
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// What a name announces.
pub(super) fn sort(name: &str) -> Sort {
    if languages::is_password(name) {
        return Sort::Password;
    }
    let words = words(name);
    let mut words: Vec<&str> = words
        .iter()
        .map(|w| w.trim_end_matches(|c: char| c.is_ascii_digit()))
        .filter(|w| !w.is_empty())
        .collect();
    let has_pair = |first: &[&str], second: &str| {
        words
            .windows(2)
            .any(|w| w[1] == second && first.contains(&w[0]))
    };
    // `SECRET_KEY_BASE`, `private_key_id`, `client-key-data`.
    let is_key = has_pair(&["secret", "private"], "key") || has_pair(&["key"], "data");
    let Some(last) = words.pop() else {
        return Sort::Plain;
    };
    let before = words.last().copied().unwrap_or("");
    let ends = |list: &[&str]| list.iter().any(|w| last.ends_with(w));
    if ends(&PASSWORDS) && !NO_PASSWORDS.contains(&last) {
        return Sort::Password;
    }
    let is_location = matches!(
        last,
        "file" | "path" | "dir" | "name" | "ref" | "url" | "uri"
    );
    if is_location {
        return Sort::Plain;
    }
    if ends(&SECRETS) || is_key || (last == "key" && SECRET_KEYS.contains(&before)) {
        return Sort::Secret;
    }
    if (last == "key" && MAYBE_KEYS.contains(&before)) || SESSIONS.contains(&last) {
        return Sort::Number;
    }
    if MAYBE.contains(&last) || words.iter().any(|w| MAYBE.contains(w)) {
        return Sort::Random;
    }
    Sort::Plain
}

/// Whether a value looks like a secret, whatever its name is.
pub(super) fn looks_secret(value: &str) -> bool {
    let is_hex = value.len() >= 20 && value.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex || is_random(value)
}

/// Whether a value is a name that is made of words, with a number at most at the end.
pub(super) fn is_of_words(value: &str) -> bool {
    let digits = |c: char| c.is_ascii_digit();
    !value.trim_end_matches(digits).contains(digits)
}

/// Whether a value is what its name announces.
pub(super) fn fits(sort: Sort, name: &str, value: &str) -> bool {
    match sort {
        // `pass: 12 fail: 0` counts.
        Sort::Password => !(name.eq_ignore_ascii_case("pass") && is_short_number(value)),
        Sort::Secret => !is_object_name(name, value) && !is_short_number(value),
        Sort::Number => looks_secret(value),
        Sort::Random => is_random(value),
        Sort::Plain => false,
    }
}

/// Numbers of tokens and limits are not secret.
fn is_short_number(value: &str) -> bool {
    value.len() <= 6 && value.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// `secret=orders-db`: the name of a Secret, which the diagnosis needs.
fn is_object_name(name: &str, value: &str) -> bool {
    let is_bare = ["secret", "credentials", "credential"]
        .iter()
        .any(|n| name.eq_ignore_ascii_case(n));
    let is_name = |b: u8| b.is_ascii_lowercase() || matches!(b, b'-' | b'.' | b'/');
    is_bare && value.bytes().all(is_name)
}

/// Whether a value is made of random characters; words, paths, hosts, numbers, digests and uids are
/// not.
pub(super) fn is_random(value: &str) -> bool {
    let has = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    let is_mixed =
        has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    value.len() >= 16
        && is_mixed
        && !value.starts_with('/')
        && !value.contains("://")
        && !value.contains(char::is_whitespace)
        && entropy(value.as_bytes()) >= 3.3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_their_words() {
        for (name, expected) in [
            ("dbPassword", Sort::Password),
            ("SMTP_PASS", Sort::Password),
            ("requirepass", Sort::Password),
            ("client-secret", Sort::Secret),
            ("APIKey", Sort::Secret),
            ("SECRET_KEY_BASE", Sort::Secret),
            ("apiKey2", Sort::Secret),
            ("routing_key", Sort::Number),
            ("cache_key", Sort::Random),
            ("passed", Sort::Plain),
            ("bypass", Sort::Plain),
            ("monkey", Sort::Plain),
            ("passwordFile", Sort::Plain),
            ("secretName", Sort::Plain),
        ] {
            assert_eq!(sort(name), expected, "{name}");
        }
    }
}
