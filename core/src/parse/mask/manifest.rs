//! Secrets of Kubernetes that are written out in a text, as JSON or YAML.

use super::scan::{Found, behind};

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
        let mut done = 0;
        for (at, _) in text.match_indices(name) {
            let from = at + name.len();
            let before = text[..at].bytes().next_back();
            if at < done || before.is_some_and(|c| c.is_ascii_alphanumeric()) {
                continue;
            }
            let rest = text[from..].trim_start_matches(['"', '\'', '\\', ' ']);
            let Some(rest) = rest.strip_prefix(':') else {
                continue;
            };
            let start = text.len() - rest.len();
            match rest.trim_start().strip_prefix('{') {
                Some(inner) => done = flow(text, text.len() - inner.len(), found),
                None => done = block(text, start, at, found),
            }
        }
    }
}

/// A map in braces: secrets have no nested ones. Returns where it ends.
fn flow(text: &str, from: usize, found: &mut Found) -> usize {
    let end = text[from..].find('}').unwrap_or(text.len() - from);
    if !is_masked(&text[from..from + end]) {
        found.add(from..from + end);
    }
    from + end
}

/// The indented lines below a name that begins at `at`. Returns where they end.
fn block(text: &str, from: usize, at: usize, found: &mut Found) -> usize {
    let line = behind(text, at);
    let indent = line.len() - line.rfind('\n').map(|n| n + 1).unwrap_or(0);
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
    start
}

fn is_masked(text: &str) -> bool {
    text.trim().is_empty() || text.trim() == super::MASK
}
