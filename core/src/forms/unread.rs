//! Texts that hold nothing the engine reads, by what they look like.

use super::Unread;

/// How a kind of text begins, what it is, and what to do instead.
const SIGHTS: &[(&[&str], &str, &str)] = &[
    (
        &[
            "Error from server",
            "error: ",
            "Unable to connect to the server",
            "The connection to the server",
            "No resources found",
            "Error: ",
        ],
        "an error message, not a result",
        "fix the error and run the command again",
    ),
    (
        &["CONTAINER ", "POD ID "],
        "output of `crictl` or `docker`",
        "use `kubectl get all,events -A -o json`",
    ),
    (
        &["USER ", "PID ", "top - "],
        "a list of processes",
        "use `kubectl get all,events -A -o json`",
    ),
    (
        &["# HELP ", "# TYPE "],
        "metrics",
        "metrics are not read yet; use `kubectl get all,events -A -o json`",
    ),
    (
        &["<!DOCTYPE", "<html"],
        "a web page",
        "save what the page shows as text or JSON",
    ),
];

/// What nothing can be read from, if its beginning or name shows it.
pub(super) fn at_sight(text: &str, path: &str) -> Option<Unread> {
    let unread = |looks_like: &str, hint: &str| {
        Some(Unread {
            looks_like: looks_like.to_owned(),
            hint: hint.to_owned(),
        })
    };
    let start = text.trim_start();
    if start.is_empty() {
        return unread("empty", "check the command that wrote it");
    }
    if text.contains('\0') {
        return unread("a binary file", "pass text, JSON, or a .tar.gz archive");
    }
    if path.ends_with("version.yaml") && !start.contains("kind:") {
        return unread("a note about a bundle's version", "nothing to do");
    }
    let of_metrics = |line: &str| {
        line.starts_with("NAME") && line.contains("CPU(cores)") && line.contains("MEMORY(bytes)")
            || line.starts_with("NAMESPACE") && line.contains("CPU(cores)")
    };
    if start.lines().next().is_some_and(of_metrics) {
        return unread(
            "output of `kubectl top`",
            "usage is not read yet; use `kubectl get all,events -A -o json`",
        );
    }
    let mut lines = start
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(20);
    if lines.all(is_row) {
        return unread(
            "a table of `kubectl get` without its headings",
            "keep the first line, or leave out --no-headers",
        );
    }
    let (_, looks_like, hint) = SIGHTS
        .iter()
        .find(|(starts, _, _)| starts.iter().any(|s| start.starts_with(s)))?;
    unread(looks_like, hint)
}

/// Rows of `kubectl get pods` and others whose headings were cut off: a name, `1/1` and an age.
fn is_row(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_count = |word: &str| {
        let parts = word.split_once('/');
        parts.is_some_and(|(a, b)| a.parse::<u32>().is_ok() && b.parse::<u32>().is_ok())
    };
    let is_age = |word: &&str| {
        let word = word.trim_end_matches(['s', 'm', 'h', 'd', 'y']);
        !word.is_empty() && word.starts_with(|c: char| c.is_ascii_digit())
    };
    words.len() >= 4
        && words.iter().skip(1).take(2).any(|word| is_count(word))
        && words.last().is_some_and(is_age)
}

/// Log lines that do not say whose they are.
pub(super) fn without_pod() -> Unread {
    Unread {
        looks_like: "log lines without the name of their pod".into(),
        hint: "write them with `kubectl logs --prefix`, or name the file NAMESPACE_POD.log".into(),
    }
}
