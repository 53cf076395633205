//! The rows of `trouble.yaml`, compiled into one automaton that reads a text once.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;

use super::class::Class;

/// A row of the vocabulary.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The class that the row's words report.
    pub class: Class,
    /// Where the words are defined.
    pub source: String,
    /// Any of them has to be in the line.
    pub phrases: Vec<String>,
    /// Any of them has to be in the line as well.
    #[serde(default)]
    pub with: Vec<String>,
    /// None of them may be in the line.
    #[serde(default)]
    pub without: Vec<String>,
    /// Phrases behind which the host stands.
    #[serde(default)]
    pub host_after: Vec<String>,
    /// A line that has to match.
    pub example: String,
    /// The host that the example names.
    #[serde(default)]
    pub host: Option<String>,
    /// The port that the example names.
    #[serde(default)]
    pub port: Option<u16>,
    /// A line that must not match.
    pub near_miss: String,
}

/// What a pattern of the automaton means for a row.
#[derive(Clone, Copy, Debug)]
enum Role {
    Phrase,
    With,
    Without,
}

/// A pattern of the automaton.
#[derive(Debug)]
struct Pattern {
    row: usize,
    role: Role,
    /// Whether it has to start, and to end, at the edge of a word.
    edges: Edges,
}

#[derive(Clone, Copy, Debug, Default)]
struct Edges {
    left: bool,
    right: bool,
}

/// What was found of a row in a text.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    phrase: Option<Span>,
    with: bool,
    without: bool,
}

/// A part of the text that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of its first byte.
    pub start: usize,
    /// Offset after its last byte.
    pub end: usize,
}

/// A row that matches a text.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// Index of the row.
    pub row: usize,
    /// The phrase that matched first.
    pub span: Span,
}

/// The compiled vocabulary.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
    automaton: Option<AhoCorasick>,
    patterns: Vec<Pattern>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    // A test reads the file, so that it cannot be invalid here.
    Table::new(serde_yaml::from_str(include_str!("trouble.yaml")).unwrap_or_default())
});

impl Table {
    /// The vocabulary of this build.
    pub fn shipped() -> &'static Self {
        &TABLE
    }

    fn new(rows: Vec<Row>) -> Self {
        let mut patterns = Vec::new();
        let mut texts: Vec<&str> = Vec::new();
        for (row, entry) in rows.iter().enumerate() {
            let phrases = entry.phrases.iter().map(|p| (Role::Phrase, p));
            let with = entry.with.iter().map(|p| (Role::With, p));
            let without = entry.without.iter().map(|p| (Role::Without, p));
            for (role, text) in phrases.chain(with).chain(without) {
                let edges = Edges {
                    left: text.starts_with('|'),
                    right: text.ends_with('|'),
                };
                patterns.push(Pattern { row, role, edges });
                texts.push(text.trim_matches('|'));
            }
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(&texts)
            .ok();
        Self {
            rows,
            automaton,
            patterns,
        }
    }

    /// A row by its index.
    pub fn row(&self, index: usize) -> &Row {
        &self.rows[index]
    }

    /// The rows that match a text, in the order of the file.
    pub fn hits(&self, text: &str) -> Vec<Hit> {
        let Some(automaton) = &self.automaton else {
            return Vec::new();
        };
        let mut found: Vec<Found> = Vec::new();
        for m in automaton.find_overlapping_iter(text) {
            let pattern = &self.patterns[m.pattern().as_usize()];
            let span = Span {
                start: m.start(),
                end: m.end(),
            };
            if !pattern.edges.hold(text, span) {
                continue;
            }
            if found.is_empty() {
                found.resize(self.rows.len(), Found::default());
            }
            let row = &mut found[pattern.row];
            match pattern.role {
                Role::Phrase => row.phrase = row.phrase.or(Some(span)),
                Role::With => row.with = true,
                Role::Without => row.without = true,
            }
        }
        let matches = |(row, found): (usize, Found)| {
            let needs_more = !self.rows[row].with.is_empty() && !found.with;
            let span = found.phrase.filter(|_| !needs_more && !found.without)?;
            Some(Hit { row, span })
        };
        found.into_iter().enumerate().filter_map(matches).collect()
    }
}

impl Edges {
    fn hold(self, text: &str, span: Span) -> bool {
        let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let before = span.start.checked_sub(1).and_then(|at| bytes.get(at));
        !(self.left && is_word(before) || self.right && is_word(bytes.get(span.end)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::trouble::host;

    fn rows() -> Vec<Row> {
        serde_yaml::from_str(include_str!("trouble.yaml")).unwrap()
    }

    fn matches(row: usize, text: &str) -> bool {
        Table::shipped().hits(text).iter().any(|hit| hit.row == row)
    }

    #[test]
    fn every_row_matches_its_example_and_not_its_near_miss() {
        for (i, row) in rows().iter().enumerate() {
            let what = format!("{} ({})", row.class, row.source);
            assert!(matches(i, &row.example), "{what}: {}", row.example);
            assert!(!matches(i, &row.near_miss), "{what}: {}", row.near_miss);
        }
    }

    #[test]
    fn every_row_finds_the_host_of_its_example() {
        for row in rows() {
            let found = host::after(&row.example, &row.host_after);
            let expected = row.host.as_deref().map(|host| (host, row.port));
            let found = found.map(|named| (named.host, named.port));
            if row.host.is_some() || !row.host_after.is_empty() {
                assert_eq!(found, expected, "{}: {}", row.class, row.example);
            }
        }
    }

    #[test]
    fn every_class_has_a_row_and_no_phrase_is_empty() {
        let rows = rows();
        let classes: BTreeSet<Class> = rows.iter().map(|row| row.class).collect();
        for class in Class::ALL {
            assert!(classes.contains(class), "{class} has no row");
        }
        for row in &rows {
            let all = row.phrases.iter().chain(&row.with).chain(&row.without);
            for phrase in all.chain(&row.host_after) {
                assert!(phrase.len() > 2, "{}: `{phrase}` is too short", row.class);
            }
        }
    }
}
