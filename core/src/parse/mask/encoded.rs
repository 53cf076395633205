//! Secrets inside long runs of letters and digits: encoded in Base64, or with a form that has no
//! keyword.

use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::bytes::Regex;

use super::scan::{Found, MAX_ENCODINGS, What, ranges};

/// Shorter ones hold no secret that matters.
const MIN_RUN: usize = 16;

const TOLERANT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
static STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, TOLERANT);
static URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, TOLERANT);

/// Tokens of Discord's bots: no fixed part.
static DISCORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?-u)^[MNO][A-Za-z\d_-]{23,27}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27,40}$").ok()
});

/// The runs of at least `min` bytes of a class.
pub(super) fn long_runs<'a>(
    bytes: &'a [u8],
    min: usize,
    is_part: impl Fn(u8) -> bool + 'a,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        // Looking at the end of a window first skips most of the text.
        while from + min <= bytes.len() {
            let window = &bytes[from..from + min];
            if let Some(last) = window.iter().rposition(|b| !is_part(*b)) {
                from += last + 1;
                continue;
            }
            let start = from;
            let tail = &bytes[start + min..];
            let more = tail.iter().take_while(|b| is_part(**b)).count();
            from = start + min + more;
            return Some(start..from);
        }
        None
    })
}

/// Masks runs that decode to a text with a secret.
pub(super) fn runs(text: &str, encodings: u8, found: &mut Found) {
    let is_part =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'.' | b'=');
    for run in long_runs(text.as_bytes(), MIN_RUN, is_part) {
        let word = &text[run.clone()];
        let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
        if !has(u8::is_ascii_uppercase) || !has(u8::is_ascii_lowercase) {
            continue;
        }
        if word.len() > 58
            && DISCORD
                .as_ref()
                .is_some_and(|r| r.is_match(word.as_bytes()))
        {
            found.add(run);
            continue;
        }
        let mut start = run.start;
        for part in word.split_inclusive(['=', '.']) {
            let bare = part.trim_end_matches(['=', '.']);
            if bare.len() >= MIN_RUN && encodings < MAX_ENCODINGS && holds_secret(bare, encodings) {
                found.add(start..start + bare.len());
            }
            start += part.len();
        }
    }
}

/// Whether a word is the encoding of a text with a secret.
fn holds_secret(word: &str, encodings: u8) -> bool {
    let engine = if word.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    // Random bytes are hardly ever text: the beginning settles it.
    let is_text = |bytes: &[u8]| {
        bytes
            .iter()
            .all(|b| (b' '..0x7f).contains(b) || b"\n\r\t".contains(b))
    };
    let head = &word.as_bytes()[..MIN_RUN];
    if !engine.decode(head).is_ok_and(|d| is_text(&d)) {
        return false;
    }
    // One character more than whole bytes cannot be decoded.
    let whole = if word.len() % 4 == 1 {
        &word[..word.len() - 1]
    } else {
        word
    };
    let Some(decoded) = engine.decode(whole).ok() else {
        return false;
    };
    std::str::from_utf8(&decoded).is_ok_and(|inner| {
        is_basic(inner) || !ranges(inner, What::Secrets, encodings + 1).is_empty()
    })
}

/// `user:password`, as basic authentication encodes it.
fn is_basic(text: &str) -> bool {
    let Some((user, password)) = text.split_once(':') else {
        return false;
    };
    let is_user = |b: u8| b.is_ascii_alphanumeric() || b"._@-".contains(&b);
    let is_mixed = |is: fn(&u8) -> bool| password.as_bytes().iter().any(is);
    !user.is_empty()
        && user.bytes().all(is_user)
        && password.len() >= 6
        && password.bytes().all(|b| b.is_ascii_graphic())
        && is_mixed(u8::is_ascii_digit)
        && is_mixed(u8::is_ascii_alphabetic)
}
