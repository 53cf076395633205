//! The pattern of a text: what stays when its variable parts are removed.

/// A hash of a text in which all words with digits and all long hexadecimal words are the same
/// word.
///
/// It depends on the line alone, unlike a learned template tree: lines are folded in the same way
/// in whatever order they arrive.
pub fn fingerprint(text: &str) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut last_was_variable = false;
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            if !last_was_variable {
                mix(bytes[at]);
            }
            at += 1;
            continue;
        }
        let start = at;
        let (mut digits, mut hex) = (0, 0);
        while at < bytes.len() && is_word(bytes[at]) {
            digits += usize::from(bytes[at].is_ascii_digit());
            hex += usize::from(bytes[at].is_ascii_hexdigit());
            at += 1;
        }
        let word = &bytes[start..at];
        if digits > 0 || (hex == word.len() && word.len() >= 8) {
            if !last_was_variable {
                mix(b'*');
            }
            last_was_variable = true;
        } else {
            for byte in word {
                mix(*byte);
            }
            last_was_variable = false;
        }
    }
    hash.max(1)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn only_variable_parts_are_ignored() {
        assert_eq!(
            fingerprint("request 17 took 3ms"),
            fingerprint("request 1234 took 900ms")
        );
        assert_eq!(
            fingerprint("id=17ce0c2c-d6b7-41c3-a053 x"),
            fingerprint("id=5f114132-baf1-4c9d-0000 x")
        );
        assert_ne!(
            fingerprint("user logged in"),
            fingerprint("user logged out")
        );
    }
}
