//! Keeps phrases out of text that users read, each with a better one. Checked are string literals,
//! doc comments that become help texts or API documentation, the fault catalogue, docs, man pages
//! and deployment files.

use std::path::Path;

use kgrca_tests::repository;
use kgrca_tests::source::sources;
use regex::Regex;

/// What not to write, and what to write instead.
const PATTERNS: &[(&str, &str)] = &[
    (
        r"` is no [a-km-z]|\bthis is no [a-km-z]",
        "invalid …: expected …",
    ),
    (
        r"\b(is|are|was|were|be) (told|heard of|looked at|looked for)\b",
        "is reported, received, checked",
    ),
    (r"\btells?\b", "reports, shows, returns"),
    (r"\b(hear|hears|heard) of\b", "receives from, has reported"),
    (
        r"\b(look|looks|looked|looking) at\b",
        "check, inspect, list, evaluate",
    ),
    (r"\blook(s|ed)? again\b", "check again, retry"),
    (r"\b(go|goes|went|going) on\b", "continue, resume, retry"),
    (r"\banew\b", "again"),
    (r"\bby (itself|themselves)\b", "automatically"),
    (r"\bfar(e|es|ed|ing)\b", "status, health"),
    (r"\bmend(s|ed|ing)?\b", "fix"),
    (r"\bhurts?\b", "is affected, degraded; has symptoms"),
    (
        r"\bunwell\b|\b(is|are|not) well\b|\bwell again\b",
        "healthy, unhealthy",
    ),
    (
        r"\b(nobody|somebody|anybody|everybody)\b",
        "name them: another daemon, the controller, no workload",
    ),
    (
        r"\bstands? (in|there|beside|behind)\b",
        "is in, is stored in",
    ),
    (r"\b(taken|take|takes|taking|took) back\b", "roll back"),
    (
        r"\bSay (that|what|whether)\b",
        "report, resolve, acknowledge",
    ),
    (
        r"\b[Mm]ost (rows|records|causes|bytes|MiB|resources|things)\b",
        "maximum",
    ),
    (r"\bagain and again\b", "repeatedly"),
    (r"\bin the place of\b", "instead of, replaces"),
    (r"\bworked off\b", "processed"),
    (r"\bturn(s|ed)? away\b", "rejects"),
    (r"\bbroke off\b", "was interrupted, was closed"),
    (r"\bhas room for\b", "allows"),
    (r"\bas it stood\b", "as of"),
    (r"\bany more\b", "no longer"),
    (r"\b\d+ letters\b", "characters"),
    (r"\bwhat became of\b", "status, result, outcome"),
    (
        r"\bin order that\b|\bwherefore\b|\bthereof\b|\bhitherto\b",
        "so that",
    ),
];

/// Folders and files whose doc comments users read: as help texts and in the API's document.
const SHOWN_DOCS: &[&str] = &[
    "cli/src/commands/",
    "core/src/api/",
    "core/src/rca/answer.rs",
    "daemon/src/agent/config.rs",
    "daemon/src/config.rs",
    "daemon/src/http/",
];

/// Files with text for users, besides Rust sources.
const PAGES: &[&str] = &[
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "install.sh",
    "tests/run.sh",
    "core/src/detect/catalogue.yaml",
    "docs",
    "deploy",
    "man",
    "completions",
    "tests/suite/snapshots",
];

struct Rule {
    pattern: Regex,
    better: &'static str,
}

fn rules() -> Vec<Rule> {
    let compile = |(pattern, better): &(&str, &'static str)| Rule {
        pattern: Regex::new(pattern).unwrap(),
        better,
    };
    PATTERNS.iter().map(compile).collect()
}

fn check(rules: &[Rule], place: &str, text: &str, found: &mut Vec<String>) {
    for rule in rules {
        if let Some(hit) = rule.pattern.find(text) {
            let hit = hit.as_str();
            found.push(format!(
                "{place}: `{hit}` → {}: {}",
                rule.better,
                text.trim()
            ));
        }
    }
}

fn pages(path: &Path, rules: &[Rule], found: &mut Vec<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            pages(&entry.unwrap().path(), rules, found);
        }
        return;
    }
    // Names of recorded scenarios are not ours.
    if path.extension().is_some_and(|e| e == "tsv") {
        return;
    }
    let Ok(text) = std::fs::read_to_string(path) else {
        return;
    };
    let name = path
        .strip_prefix(repository())
        .unwrap()
        .display()
        .to_string();
    for (line, text) in text.lines().enumerate() {
        check(rules, &format!("{name}:{}", line + 1), text, found);
    }
}

#[test]
fn texts_read_like_plain_english() {
    let rules = rules();
    let mut found = Vec::new();
    for package in ["core", "daemon", "cli"] {
        for source in sources(&format!("{package}/src")) {
            let shows_docs = SHOWN_DOCS
                .iter()
                .any(|shown| source.file.starts_with(shown));
            for text in source.texts() {
                if text.doc && !shows_docs {
                    continue;
                }
                // A string that is broken over lines is one text.
                let flat = text.text.split_whitespace().collect::<Vec<_>>().join(" ");
                check(
                    &rules,
                    &format!("{}:{}", source.file, text.line),
                    &flat,
                    &mut found,
                );
            }
        }
    }
    for page in PAGES {
        let path = repository().join(page);
        assert!(path.exists(), "{page} is gone: remove it from this test");
        pages(&path, &rules, &mut found);
    }
    found.sort();
    assert!(
        found.is_empty(),
        "{} texts\n{}",
        found.len(),
        found.join("\n")
    );
}
