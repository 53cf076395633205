//! Random numbers, identifiers and secrets, from the operating system's generator.

use rand::RngExt;

#[cfg(feature = "server")]
use crate::environment;

/// An identifier of lower-case letters and digits, safe in URLs, file names and labels.
pub fn random_id(len: usize) -> String {
    random_text(b"abcdefghijklmnopqrstuvwxyz0123456789", len)
}

/// Text of `len` characters drawn uniformly from `alphabet`, which must not be empty.
pub fn random_text(alphabet: &[u8], len: usize) -> String {
    (0..len)
        .map(|_| char::from(alphabet[random_index(alphabet.len())]))
        .collect()
}

/// A number below `end`, which must not be 0.
fn random_index(end: usize) -> usize {
    #[cfg(feature = "server")]
    if let Some(simulated) = environment::random() {
        return (simulated % end as u64) as usize;
    }
    rand::rng().random_range(0..end)
}

/// A number from 0 up to, but not including, 1.
#[cfg(feature = "server")]
pub fn random_share() -> f64 {
    match environment::random() {
        Some(simulated) => (simulated % 1000) as f64 / 1000.0,
        None => rand::rng().random(),
    }
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
