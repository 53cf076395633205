//! Masks e-mail addresses, so that they do not leave the node.

use std::borrow::Cow;

use kgrca_core::parse::mask::MASK;

/// Masks the part before the `@` of e-mail addresses. Borrows the text if there are none.
pub fn mask(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut done = 0;
    for (at, _) in text.match_indices('@') {
        if at < done {
            continue;
        }
        let name = text[done..at]
            .bytes()
            .rev()
            .take_while(|b| b.is_ascii_alphanumeric() || b"._%+-".contains(b))
            .count();
        let host = &text[at + 1..];
        let length = host
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || b".-".contains(b))
            .count();
        let has_dot = host[..length]
            .trim_end_matches('.')
            .rsplit_once('.')
            .is_some_and(|(_, top)| top.len() >= 2 && top.bytes().all(|b| b.is_ascii_alphabetic()));
        if name == 0 || !has_dot {
            continue;
        }
        out.push_str(&text[done..at - name]);
        out.push_str(MASK);
        done = at;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_masked_and_hosts_and_digests_are_not() {
        assert_eq!(
            mask("login of jane.doe+x@example.com failed"),
            "login of ***@example.com failed"
        );
        assert_eq!(mask("a@b.de, c@d.org"), "***@b.de, ***@d.org");
        for same in [
            "image app@sha256:0abc",
            "at https://db:5432/x",
            "user@localhost",
            "@Override",
            "***@example.com:5432 up",
        ] {
            assert_eq!(mask(same), same);
        }
    }
}
