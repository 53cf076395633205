//! Text encodings: UTF-8 with a byte order mark, and UTF-16 as PowerShell redirects output.

use std::borrow::Cow;

/// The bytes as UTF-8 without a byte order mark; as they are when they are neither.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, [u8]> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.into(),
        [0xff, 0xfe, rest @ ..] => from_utf16(rest, u16::from_le_bytes).into(),
        [0xfe, 0xff, rest @ ..] => from_utf16(rest, u16::from_be_bytes).into(),
        _ => bytes.into(),
    }
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    let units = bytes.as_chunks().0.iter().map(|pair| unit(*pair));
    let text: String = char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    text.into_bytes()
}

/// Whether a text is JSON: it begins as a value does that holds something, and a log line does not.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    match text {
        [b'{', ..] => true,
        // `[pod/api-1/api] …` is a log line.
        [b'[', rest @ ..] => matches!(
            rest.trim_ascii_start().first(),
            None | Some(b'{' | b'[' | b']' | b'"')
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_the_encoding() {
        let utf16 = |text: &str, swap: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}"
                .encode_utf16()
                .chain(text.encode_utf16())
                .flat_map(swap)
                .collect()
        };
        let text = "{\"a\": \"ü🙂\"}";
        for bytes in [
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
            utf16(text, u16::to_le_bytes),
            utf16(text, u16::to_be_bytes),
        ] {
            assert_eq!(decode(&bytes), text.as_bytes());
        }
        assert!(decode(&[0xff, 0xfe, b'a']).is_empty(), "half a character");
    }

    #[test]
    fn a_prefixed_log_line_is_not_json() {
        assert!(is_json(b" \n{}") && is_json(b"[\n {\"a\":1}]") && is_json(b"[]"));
        assert!(!is_json(b"[pod/api-1/api] started") && !is_json(b"2026-11-29 ERROR {}"));
    }
}
