//! Private keys in PEM, over several lines or on one line with escaped line breaks.

use super::scan::{Found, ahead};

/// Masks the body of a private key whose first line begins at `start`. Returns where it ends.
pub(super) fn block(text: &str, start: usize, found: &mut Found) -> usize {
    const BEGIN: usize = "-----BEGIN ".len();
    let rest = ahead(text, start + BEGIN);
    let Some(title) = rest.find("-----") else {
        return start;
    };
    if title > 40 || !rest[..title].contains("PRIVATE KEY") {
        return start;
    }
    let from = start + BEGIN + title + "-----".len();
    let body = &text[from..];
    // A key that was cut has no last line: then all that can belong to it is masked.
    let end = body.find("-----END").unwrap_or_else(|| {
        let is_part = |c: char| {
            c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "+/=\\-:,".contains(c)
        };
        body.find(|c| !is_part(c)).unwrap_or(body.len())
    });
    if body[..end].trim() != super::MASK {
        found.add(from..from + end);
    }
    from + end
}
