//! What a password is called in other languages: [`passwords.yaml`](passwords.yaml).

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// In lower case.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let languages: BTreeMap<String, Vec<String>> =
        match serde_yaml::from_str(include_str!("passwords.yaml")) {
            Ok(languages) => languages,
            Err(e) => unreachable!("passwords.yaml: {e}"),
        };
    languages.into_values().flatten().collect()
});

/// What to look for: the automaton knows capitals of ASCII only.
pub(super) static NEEDLES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for word in WORDS.iter() {
        let mut letters = word.chars();
        let first: String = letters
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .collect();
        all.push(word.clone());
        if !word.is_ascii() {
            all.push(first + letters.as_str());
            all.push(word.to_uppercase());
        }
    }
    all.sort();
    all.dedup();
    all
});

/// Shorter words end others, as French `passe` does `impasse`: they must be a word of the name.
const SHORT: usize = 5;

/// Whether a name ends like the word for a password.
pub(super) fn is_password(name: &str) -> bool {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let lower = name.to_lowercase();
    let mut words = WORDS.iter().filter(|word| lower.ends_with(word.as_str()));
    words.any(|word| word.len() > SHORT || begins_word(name, word.len()))
}

/// Whether the last bytes of a name are a word of it: `DB_SENHA`, `dbSenha`.
fn begins_word(name: &str, length: usize) -> bool {
    let Some((before, word)) = name.split_at_checked(name.len().saturating_sub(length)) else {
        return false;
    };
    let is_hump = word.starts_with(char::is_uppercase) && before.ends_with(char::is_lowercase);
    !before.ends_with(char::is_alphanumeric) || is_hump
}

#[cfg(test)]
mod tests {
    use super::super::{line, secrets};
    use super::*;

    #[test]
    fn every_word_announces_a_password() {
        assert!(WORDS.len() >= 40);
        for word in NEEDLES.iter() {
            for (text, masked) in [
                (format!("{word}=Xq7"), format!("{word}=***")),
                (format!("{word} : Xq7 x"), format!("{word} : *** x")),
                (
                    format!("{{\"{word}\":\"Xq7\"}}"),
                    format!("{{\"{word}\":\"***\"}}"),
                ),
            ] {
                assert_eq!(secrets(&text), masked);
            }
        }
    }

    #[test]
    fn names_are_read_in_the_notations_of_programs_and_languages() {
        for (text, masked) in [
            ("DB_PASSWORT=Xq7 host=db", "DB_PASSWORT=*** host=db"),
            ("DB_SENHA=Xq7", "DB_SENHA=***"),
            ("dbSenha: Xq7", "dbSenha: ***"),
            ("dbPasswort2: Xq7", "dbPasswort2: ***"),
            ("mot de passe\u{a0}: Xq7", "mot de passe\u{a0}: ***"),
            ("数据库密码：Xq7", "数据库密码：***"),
            ("ПАРОЛЬ=Xq7", "ПАРОЛЬ=***"),
        ] {
            assert_eq!(line(text), masked);
        }
        for same in [
            "Passwort falsch",
            "impasse=high",
            "密码错误",
            "passwortrichtlinie: streng",
        ] {
            assert_eq!(line(same), same);
        }
    }
}
