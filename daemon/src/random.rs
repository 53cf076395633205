//! Random identifiers and secrets, from the operating system's generator.

use rand::RngExt;

/// An identifier of lower-case letters and digits, safe in URLs, file names and labels.
pub fn random_id(len: usize) -> String {
    random_text(b"abcdefghijklmnopqrstuvwxyz0123456789", len)
}

/// Text of `len` characters drawn uniformly from `alphabet`, which must not be empty.
pub fn random_text(alphabet: &[u8], len: usize) -> String {
    let mut rng = rand::rng();
    (0..len)
        .map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_requested_length_and_only_letters_and_digits() {
        let id = random_id(40);
        assert_eq!(id.len(), 40);
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
            "{id}"
        );
        assert_ne!(id, random_id(40));
    }
}
