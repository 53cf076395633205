//! Whether what was said about a failure names something.

/// Words of Kubernetes that messages have whatever changed.
pub(super) fn is_common(word: &str) -> bool {
    let words = [
        "name", "value", "image", "spec", "data", "app", "key", "path", "port", "ports", "memory",
        "cpu", "command", "args", "replicas", "selector", "type", "labels", "pods", "limits",
        "requests", "env", "host", "hard", "rules", "verbs", "volumes", "number",
    ];
    words.contains(&word)
}

pub(super) fn is_label(path: &str) -> bool {
    path.contains("labels") || path.contains("taints")
}

/// Whether a value is more than a word that many texts have.
pub(super) fn is_telling(value: &str) -> bool {
    let is_number = value.bytes().all(|b| b.is_ascii_digit());
    let words = [
        "true", "false", "changed", "default", "unset", "info", "debug", "error",
    ];
    !words.contains(&value) && (value.len() >= 4 || is_number && value.len() >= 2)
}

/// Whether a text has a word as a whole.
pub(super) fn says(text: &str, word: &str) -> bool {
    if word.len() < 2 {
        return false;
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_named_as_a_whole_only() {
        assert!(says("key `DB_HOST` is missing", "DB_HOST"));
        assert!(says("pull api:2: not found", "api:2"));
        assert!(!says("MY_DB_HOST", "DB_HOST") && !says("api-2", "api") && !says("x", "x"));
    }
}
