//! Compares two versions of an object.

use std::collections::BTreeMap;

use super::path::ends;
use super::{FieldChange, MAX_FIELDS, MAX_VALUE, UNKNOWN};
use crate::model::object::Fields;
use crate::model::object::fields::{CUT, HASH, REST};

/// The fields that differ, in the order of their paths, and how many more there are. What was added
/// or removed as a whole is one field.
pub fn diff(old: &Fields, new: &Fields) -> (Vec<FieldChange>, u32) {
    if old == new {
        return (Vec::new(), 0);
    }
    let (before, after) = (old.leaves(), new.leaves());
    let before: BTreeMap<&str, &str> = before.iter().map(|(p, v)| (p.as_str(), *v)).collect();
    let after: BTreeMap<&str, &str> = after.iter().map(|(p, v)| (p.as_str(), *v)).collect();
    let mut changes = Vec::new();
    for (path, old) in &before {
        if let Some(new) = after.get(path).filter(|new| *new != old) {
            changes.push(changed(path, old, new));
        }
    }
    for (path, leaves) in groups(&before, &after) {
        changes.push(FieldChange {
            path,
            old: Some(shown_all(&leaves)),
            new: None,
        });
    }
    for (path, leaves) in groups(&after, &before) {
        changes.push(FieldChange {
            path,
            old: None,
            new: Some(shown_all(&leaves)),
        });
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    let more = changes.len().saturating_sub(MAX_FIELDS);
    changes.truncate(MAX_FIELDS);
    (changes, u32::try_from(more).unwrap_or(u32::MAX))
}

fn changed(path: &str, old: &str, new: &str) -> FieldChange {
    let path = if path == REST { "other fields" } else { path }.to_owned();
    let (old, new) = match (plain(old), plain(new)) {
        // What differs may be behind what is kept.
        (Some(old), Some(new)) if old != new => around(&old, &new),
        _ => (UNKNOWN.to_owned(), UNKNOWN.to_owned()),
    };
    FieldChange {
        path,
        old: Some(old),
        new: Some(new),
    }
}

/// The leaves that only one version has, by the highest path of which the other has nothing.
fn groups<'a>(
    one: &BTreeMap<&'a str, &'a str>,
    other: &BTreeMap<&str, &str>,
) -> BTreeMap<String, Vec<(&'a str, &'a str)>> {
    let mut groups: BTreeMap<&str, Vec<(&'a str, &'a str)>> = BTreeMap::new();
    for (path, value) in one.iter().filter(|(path, _)| !other.contains_key(*path)) {
        // Labels and annotations have nothing to do with each other.
        let first = if path.starts_with("metadata.") { 2 } else { 0 };
        let mut tops = ends(path).into_iter().skip(first);
        let top = tops.find(|end| !has_below(other, &path[..*end]));
        let top = top.unwrap_or(path.len());
        groups.entry(&path[..top]).or_default().push((path, value));
    }
    let full = |(top, leaves): (&str, Vec<(&'a str, &'a str)>)| {
        // Of a single field, its own path says more.
        if let [(path, value)] = leaves.as_slice() {
            return ((*path).to_owned(), vec![("", *value)]);
        }
        let below = |(path, value): &(&'a str, &'a str)| {
            (path[top.len()..].trim_start_matches('.'), *value)
        };
        (top.to_owned(), leaves.iter().map(below).collect())
    };
    groups.into_iter().map(full).collect()
}

/// Whether there is a leaf at a path or below it.
fn has_below(leaves: &BTreeMap<&str, &str>, top: &str) -> bool {
    let is_below = |path: &str| {
        let rest = path.strip_prefix(top);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    // Between a path and those below it sort only paths that begin with it.
    let mut from = leaves.range(top..).map(|(path, _)| *path);
    from.by_ref()
        .take_while(|path| path.starts_with(top))
        .any(is_below)
}

/// The values of leaves that were added or removed together.
fn shown_all(leaves: &[(&str, &str)]) -> String {
    let shown = |(path, value): &(&str, &str)| {
        let value = plain(value).unwrap_or_else(|| "…".to_owned());
        if path.is_empty() {
            value
        } else {
            format!("{path}: {value}")
        }
    };
    if let [("", value)] = leaves
        && plain(value).is_none()
    {
        return UNKNOWN.to_owned();
    }
    let texts: Vec<String> = leaves.iter().map(shown).collect();
    cut(&texts.join(", "), 0)
}

/// A value as people write it; `None` if only its hash is kept.
fn plain(json: &str) -> Option<String> {
    let Ok(text) = serde_json::from_str::<String>(json) else {
        return Some(without_hashes(json));
    };
    let text = text.split(CUT).next().unwrap_or_default();
    (!text.starts_with(HASH)).then(|| text.to_owned())
}

/// A list without the hashes of what was cut or masked in it.
fn without_hashes(list: &str) -> String {
    let mut parts = list.split(CUT);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    text
}

/// Two values from where they begin to differ, if they are long.
fn around(old: &str, new: &str) -> (String, String) {
    let same = old
        .chars()
        .zip(new.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let is_long = old.chars().count().max(new.chars().count()) > MAX_VALUE;
    let skipped = if is_long {
        same.saturating_sub(MAX_VALUE / 4)
    } else {
        0
    };
    (cut(old, skipped), cut(new, skipped))
}

/// At most so many characters, without the first ones.
fn cut(text: &str, skipped: usize) -> String {
    let length = text.chars().count();
    let part: String = text.chars().skip(skipped).take(MAX_VALUE).collect();
    let part = part.replace('\n', "⏎").replace('\t', " ");
    let before = if skipped > 0 { "…" } else { "" };
    let after = if skipped + MAX_VALUE < length {
        "…"
    } else {
        ""
    };
    format!("{before}{part}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(leaves: &[(&str, &str)]) -> Fields {
        Fields::new(
            leaves
                .iter()
                .map(|(p, v)| ((*p).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    fn texts(old: &[(&str, &str)], new: &[(&str, &str)]) -> Vec<String> {
        let (changes, _) = diff(&fields(old), &fields(new));
        changes.iter().map(FieldChange::text).collect()
    }

    #[test]
    fn what_is_added_or_removed_as_a_whole_is_one_field() {
        let old = [
            ("spec.a", "1"),
            ("spec.b.c[x].d", "\"e\""),
            ("spec.b.c[x].f", "true"),
        ];
        let new = [("spec.a", "2"), ("spec.bb", "3")];
        assert_eq!(
            texts(&old, &new),
            [
                "spec.a: 1 → 2",
                "spec.b: c[x].d: e, c[x].f: true → unset",
                "spec.bb: unset → 3"
            ]
        );
    }

    #[test]
    fn values_of_which_only_a_hash_is_kept_are_not_shown() {
        let old = [
            ("data.a", "\"hash:000000000001\""),
            ("data.b", "\"hash:000000000003\""),
        ];
        let new = [("data.a", "\"hash:000000000002\"")];
        assert_eq!(texts(&old, &new), ["data.a: changed", "data.b: changed"]);
    }

    #[test]
    fn masked_values_that_differ_changed() {
        for (old, new, expected) in [
            ("\"***…#01\"", "\"***…#02\"", "data.a: changed"),
            (
                "[\"-p\",\"***…#01\"]",
                "[\"-p\",\"***…#02\"]",
                "data.a: changed",
            ),
            (
                "[\"-p\",\"***…#01\"]",
                "[\"-q\",\"***…#02\"]",
                "data.a: [\"-p\",\"***\"] → [\"-q\",\"***\"]",
            ),
            (
                "\"a://***@b…#01\"",
                "\"a://***@c…#02\"",
                "data.a: a://***@b → a://***@c",
            ),
        ] {
            assert_eq!(texts(&[("data.a", old)], &[("data.a", new)]), [expected]);
        }
    }

    #[test]
    fn of_long_values_the_part_that_differs_is_shown() {
        let text = |end: &str| format!("\"{}{end}\"", "x".repeat(300));
        let (old, new) = (text("old"), text("new"));
        let shown = texts(&[("data.a", &old)], &[("data.a", &new)]);
        assert!(shown[0].contains("xold → …"), "{shown:?}");
        assert!(shown[0].chars().count() < 100, "{shown:?}");
    }

    proptest! {
        #[test]
        fn each_difference_is_found_and_nothing_else(
            old in proptest::collection::btree_map("[ab]\\.[ab]\\.[ab]{1,2}", "[0-2]", 0..12),
            new in proptest::collection::btree_map("[ab]\\.[ab]\\.[ab]{1,2}", "[0-2]", 0..12),
        ) {
            let of = |leaves: &BTreeMap<String, String>| {
                Fields::new(leaves.clone().into_iter().collect())
            };
            let (changes, more) = diff(&of(&old), &of(&new));
            prop_assert_eq!(more, 0);
            prop_assert!(diff(&of(&old), &of(&old)).0.is_empty());
            let covers = |path: &str| changes.iter().any(|c| {
                let rest = path.strip_prefix(&c.path);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            for path in old.keys().chain(new.keys()) {
                prop_assert_eq!(covers(path), old.get(path) != new.get(path), "{}", path);
            }
            // Undone, each change is the same the other way round.
            let (back, _) = diff(&of(&new), &of(&old));
            let turned: Vec<_> = changes.iter().map(|c| (&c.path, &c.new, &c.old)).collect();
            let back: Vec<_> = back.iter().map(|c| (&c.path, &c.old, &c.new)).collect();
            prop_assert_eq!(turned, back);
        }
    }
}
