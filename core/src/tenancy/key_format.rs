//! What keys look like: `kg_<owner>_<32 characters><6 characters of checksum>`. The checksum is
//! CRC32 in base62, as in GitHub's tokens: scanners recognise a key without asking anybody, and a
//! mistyped one needs no look-up. Keys of older versions end after the 32 characters.

/// The alphabet of keys, in the order of its digits.
pub const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Random characters of a key.
pub const RANDOM_CHARS: usize = 32;
/// Characters of the checksum: the largest CRC32 has six digits in base62.
const CHECKSUM_CHARS: usize = 6;

/// A complete key from its owner, a tenant's id or none for the operator, and its random part.
pub fn key_text(tenant_id: Option<&str>, random: &str) -> String {
    let owner = tenant_id.unwrap_or(OPERATOR);
    let text = format!("kg_{}_{random}", owner.trim_start_matches("client-"));
    let sum = checksum(&text);
    text + &sum
}

/// The owner in operator keys.
const OPERATOR: &str = "operator";

/// What a key's text shows without a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyText<'a> {
    /// The beginning, which is not secret: `kg_<owner>`. Empty for a key of another form, such as
    /// one that the operator chose.
    pub prefix: &'a str,
    /// Whether it has the form of a key with a checksum, and another checksum.
    pub is_mistyped: bool,
}

impl<'a> KeyText<'a> {
    /// Looks at a key.
    pub fn of(key: &'a str) -> Self {
        let other = Self {
            prefix: "",
            is_mistyped: false,
        };
        let Some((prefix, secret)) = key.rsplit_once('_') else {
            return other;
        };
        let is_generated = prefix.strip_prefix("kg_").is_some_and(is_owner)
            && secret.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_generated {
            return other;
        }
        let has_checksum = secret.len() == RANDOM_CHARS + CHECKSUM_CHARS;
        let (text, sum) = key.split_at(key.len() - CHECKSUM_CHARS.min(secret.len()));
        Self {
            prefix,
            is_mistyped: has_checksum && sum != checksum(text),
        }
    }

    /// The tenant that the key names. Whether it is that tenant's only the store knows.
    pub fn tenant_id(&self) -> Option<String> {
        let owner = self.prefix.strip_prefix("kg_")?;
        (owner != OPERATOR).then(|| format!("client-{owner}"))
    }
}

fn is_owner(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[rest % BASE62.len()];
        rest /= BASE62.len();
    }
    digits.iter().map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: &str = "0123456789abcdefghijABCDEFGHIJ01";

    #[test]
    fn a_key_names_its_owner_and_has_a_checksum() {
        let key = key_text(Some("client-acme-7f3k2a"), RANDOM);
        assert_eq!(key.len(), "kg_acme-7f3k2a_".len() + 38);
        let text = KeyText::of(&key);
        assert_eq!(text.prefix, "kg_acme-7f3k2a");
        assert_eq!(text.tenant_id().as_deref(), Some("client-acme-7f3k2a"));
        assert!(!text.is_mistyped);
        let operator = key_text(None, RANDOM);
        assert_eq!(KeyText::of(&operator).tenant_id(), None);
    }

    #[test]
    fn any_other_character_is_noticed() {
        let key = key_text(Some("client-acme-7f3k2a"), RANDOM);
        for at in "kg_acme-7f3k2a_".len()..key.len() {
            let mut other = key.clone().into_bytes();
            other[at] = if other[at] == b'x' { b'y' } else { b'x' };
            let other = String::from_utf8(other).unwrap();
            assert!(KeyText::of(&other).is_mistyped, "{other}");
        }
    }

    #[test]
    fn keys_without_a_checksum_are_not_mistyped() {
        let old = format!("kg_acme-7f3k2a_{RANDOM}");
        assert!(!KeyText::of(&old).is_mistyped);
        assert_eq!(KeyText::of(&old).prefix, "kg_acme-7f3k2a");
        for chosen in [
            "f3b0a1c97d5e2468f3b0a1c97d5e2468",
            "",
            "_",
            "kg__x",
            "kg_é_x",
            "a_é",
        ] {
            let text = KeyText::of(chosen);
            assert!(text.prefix.is_empty() && !text.is_mistyped, "{chosen}");
        }
    }
}
