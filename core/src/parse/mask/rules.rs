//! The rules of [`rules.yaml`](rules.yaml): forms of secrets that need no name beside them.

use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use regex::bytes::Regex;
use serde::Deserialize;

use super::scan::REACH;

/// A form of secrets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Its name; for readers of the file, as the source is.
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "source")]
    _source: String,
    pub(super) keywords: Vec<String>,
    pattern: String,
    /// The match begins a word.
    #[serde(default)]
    word: bool,
    /// The match may begin so many bytes before the keyword.
    #[serde(default)]
    back: usize,
    /// Bits per character that a secret has at least.
    #[serde(default)]
    entropy: f64,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

/// All rules.
pub(super) static RULES: LazyLock<Vec<Rule>> =
    LazyLock::new(|| match serde_yaml::from_str(include_str!("rules.yaml")) {
        Ok(rules) => rules,
        Err(e) => unreachable!("rules.yaml: {e}"),
    });

impl Rule {
    /// Compiled when its first keyword is found: most rules never run.
    fn regex(&self) -> Option<&Regex> {
        let anchor = if self.back == 0 { "^" } else { "" };
        let compile = || Regex::new(&format!("(?-u){anchor}(?:{})", self.pattern)).ok();
        self.compiled.get_or_init(compile).as_ref()
    }

    /// The secret at a keyword that was found in a text.
    pub(super) fn secret(&self, text: &str, keyword: Range<usize>) -> Option<Range<usize>> {
        let bytes = text.as_bytes();
        if self.word && !begins_word(bytes, keyword.start) {
            return None;
        }
        let found = &bytes[keyword.clone()];
        if !self.keywords.iter().any(|k| k.as_bytes() == found) {
            return None;
        }
        let from = keyword.start.saturating_sub(self.back);
        let window = &bytes[from..bytes.len().min(keyword.end + REACH)];
        let groups = self.regex()?.captures(window)?;
        let whole = groups.get(0)?;
        if from + whole.start() > keyword.start {
            return None;
        }
        let secret = groups.get(1).unwrap_or(whole);
        let is_random = self.entropy == 0.0 || entropy(secret.as_bytes()) >= self.entropy;
        // A longer one is masked up to the end of the text.
        let is_cut = secret.end() == window.len();
        let end = if is_cut {
            bytes.len()
        } else {
            from + secret.end()
        };
        is_random.then(|| from + secret.start()..end)
    }
}

/// Whether a word begins at a position; the letter of an escape such as `\n` is not a word.
fn begins_word(bytes: &[u8], at: usize) -> bool {
    match bytes[..at] {
        [.., b'\\', b'n' | b't' | b'r'] | [] => true,
        [.., before] => !(before.is_ascii_alphanumeric() || before == b'_'),
    }
}

/// Shannon's entropy in bits per byte.
pub(super) fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    let share = |n: &u32| f64::from(*n) / total;
    let used = counts.iter().filter(|n| **n > 0).map(share);
    -used.map(|p| p * p.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_compiles_and_has_a_name_of_its_own() {
        let broken: Vec<&str> = RULES
            .iter()
            .filter(|r| r.regex().is_none() || r.keywords.is_empty())
            .map(|r| r.pattern.as_str())
            .collect();
        assert_eq!(broken, Vec::<&str>::new());
        let lines = include_str!("rules.yaml").lines();
        let names: Vec<&str> = lines
            .filter_map(|l| l.strip_prefix("- {id: ")?.split(',').next())
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), RULES.len());
    }
}
