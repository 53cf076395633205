//! Paths of fields: `spec.template.spec.containers[api].env[LOG_LEVEL].value`,
//! `data["app.yaml"]`, `spec.rules[0]`.

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A field of an object, or a key of a map.
    Field(String),
    /// An item of a list, by what identifies it, or by its number.
    Item(String),
}

/// The steps of a path.
pub fn segments(path: &str) -> Vec<Segment> {
    let mut found = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let step;
        (step, rest) = first(rest);
        found.push(step);
    }
    found
}

/// The first step of a path, and what follows it.
fn first(path: &str) -> (Segment, &str) {
    if let Some(quoted) = path.strip_prefix("[\"") {
        let end = close(quoted);
        let key = format!("\"{}\"", &quoted[..end]);
        let key = serde_json::from_str(&key).unwrap_or(key);
        let rest = quoted.get(end + 2..).unwrap_or_default();
        return (Segment::Field(key), rest);
    }
    if let Some(item) = path.strip_prefix('[') {
        let end = item.find(']').unwrap_or(item.len());
        let rest = item.get(end + 1..).unwrap_or_default();
        return (Segment::Item(item[..end].to_owned()), rest);
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let end = path.find(['.', '[']).unwrap_or(path.len());
    // A path that ends with a dot has nothing behind it.
    (Segment::Field(path[..end].to_owned()), &path[end..])
}

/// Where the quote that closes a key is.
fn close(quoted: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    quoted.len()
}

/// Where each step of a path ends, in bytes, shortest prefix first.
pub(super) fn ends(path: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = first(rest).1;
        ends.push(path.len() - rest.len());
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_has_fields_keys_and_items() {
        let field = |s: &str| Segment::Field(s.to_owned());
        let item = |s: &str| Segment::Item(s.to_owned());
        assert_eq!(
            segments("spec.containers[api].env[A].value"),
            [
                field("spec"),
                field("containers"),
                item("api"),
                field("env"),
                item("A"),
                field("value")
            ]
        );
        assert_eq!(
            segments(r#"metadata.labels["app.kubernetes.io/name"]"#),
            [
                field("metadata"),
                field("labels"),
                field("app.kubernetes.io/name")
            ]
        );
        assert_eq!(
            segments(r#"data["a\"].b"]"#),
            [field("data"), field(r#"a"].b"#)]
        );
        assert_eq!(ends("a.b[c]"), [1, 3, 6]);
    }

    proptest! {
        #[test]
        fn every_text_is_read(path in "[a-c.\\[\\]\"\\\\é]{0,20}") {
            let ends = ends(&path);
            prop_assert_eq!(segments(&path).len(), ends.len());
            prop_assert!(ends.last().copied().unwrap_or(0) == path.len());
        }
    }
}
