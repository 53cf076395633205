//! Secrets of Kubernetes that are written out in a text, as JSON or YAML.

use super::scan::Found;

/// Whether `secret` at a position is the value of `kind`.
pub(super) fn is_kind(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches(['"', '\'', '\\', ' ']);
    let Some(before) = before.strip_suffix(':') else {
        return false;
    };
    before
        .trim_end_matches(['"', '\'', '\\', ' '])
        .ends_with("kind")
}

/// Masks what stands below `data` and `stringData`.
pub(super) fn data(text: &str, found: &mut Found) {
    for name in ["data", "stringData"] {
        for (at, _) in text.match_indices(name) {
            let from = at + name.len();
            let before = text[..at].bytes().next_back();
            if before.is_some_and(|c| c.is_ascii_alphanumeric()) {
                continue;
            }
            let rest = text[from..].trim_start_matches(['"', '\'', '\\', ' ']);
            let Some(rest) = rest.strip_prefix(':') else {
                continue;
            };
            let start = text.len() - rest.len();
            match rest.trim_start().strip_prefix('{') {
                Some(inner) => flow(text, text.len() - inner.len(), found),
                None => block(text, start, at, found),
            }
        }
    }
}

/// A map in braces: secrets have no nested ones.
fn flow(text: &str, from: usize, found: &mut Found) {
    let end = text[from..].find('}').unwrap_or(text.len() - from);
    if !is_masked(&text[from..from + end]) {
        found.add(from..from + end);
    }
}

/// The indented lines below a name that begins at `at`.
fn block(text: &str, from: usize, at: usize, found: &mut Found) {
    let line_start = text[..at].rfind('\n').map(|n| n + 1).unwrap_or(0);
    let indent = at - line_start;
    let mut start = from;
    for line in text[from..].split_inclusive('\n').skip(1) {
        start += text[start..].find('\n').map(|n| n + 1).unwrap_or(0);
        let depth = line.len() - line.trim_start().len();
        if !line.trim().is_empty() && depth <= indent {
            break;
        }
        let value = match line.split_once(':') {
            Some((name, _)) => start + name.len() + 1,
            None => start + depth,
        };
        let end = start + line.trim_end().len();
        if end > value && !is_masked(&text[value..end]) {
            found.add(value..end);
        }
    }
}

fn is_masked(text: &str) -> bool {
    text.trim().is_empty() || text.trim() == super::MASK
}
