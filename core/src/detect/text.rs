//! Matches the stable parts of messages from Kubernetes and programs.

/// Whether a text contains any of the phrases, in any letter case.
pub(super) fn has(text: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|p| find(text, p).is_some())
}

/// The byte position of a phrase in a text, in any letter case.
pub(super) fn find(text: &str, phrase: &str) -> Option<usize> {
    let (t, p) = (text.as_bytes(), phrase.as_bytes());
    if p.is_empty() || t.len() < p.len() {
        return None;
    }
    let (lower, upper) = (p[0].to_ascii_lowercase(), p[0].to_ascii_uppercase());
    memchr::memchr2_iter(lower, upper, &t[..=t.len() - p.len()])
        .find(|i| t[*i..*i + p.len()].eq_ignore_ascii_case(p))
}

/// The quoted word after a phrase: `db` after `secret ` in `secret "db" not found`.
pub(super) fn quoted_after<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    let at = find(text, phrase)? + phrase.len();
    let rest = text.get(at..)?;
    let rest = rest
        .strip_prefix(['"', '\'', '`'])
        .or_else(|| rest.strip_prefix("\\\""))?;
    let end = rest.find(['"', '\'', '`', '\\'])?;
    rest.get(..end).filter(|w| !w.is_empty())
}

/// The word after a phrase up to white space or punctuation.
pub(super) fn word_after<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    let at = find(text, phrase)? + phrase.len();
    let rest = text.get(at..)?.trim_start();
    let end = rest
        .find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ')' | '"'))
        .unwrap_or(rest.len());
    rest.get(..end)
        .map(|w| w.trim_end_matches([':', '.']))
        .filter(|w| !w.is_empty())
}

/// A text trimmed and cut to at most `max` characters.
pub(super) fn short(text: &str, max: usize) -> String {
    let text = text.trim();
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let cut: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{cut}…")
}
