//! Answers as an on-call engineer reads them.

use std::fmt::Write;

use kgrca_core::rca::{Cause, ResourceRef, Verdict};

use super::path;
use super::{Output, Table, time};

/// How many causes are printed on a terminal.
const MAX_CAUSES: usize = 5;
/// How many lines of evidence are printed per cause.
const MAX_EVIDENCE: usize = 6;
/// How many characters of a piece of evidence are printed.
const MAX_EVIDENCE_CHARS: usize = 180;
/// Parts of a score below this many points are not printed.
const MIN_POINTS: f64 = 0.05;

/// An answer with what is printed around it.
pub struct Shown<'a> {
    /// First line.
    pub head: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Ranked causes.
    pub causes: &'a [Cause],
    /// Evidence that was not available.
    pub missing: &'a [String],
    /// Whether the causal path is drawn as a tree.
    pub tree: bool,
}

/// Renders an answer for a terminal, or as one line per cause for a pipe.
pub fn answer(out: &Output, shown: &Shown<'_>) -> String {
    if !out.terminal {
        return if shown.causes.is_empty() {
            format!("{}\n", shown.verdict.as_str())
        } else {
            shown.causes.iter().map(line).collect()
        };
    }
    let mut text = format!("{}\n{}\n", shown.head, verdict(out, shown));
    for cause in shown.causes.iter().take(MAX_CAUSES) {
        text.push('\n');
        text += &details(out, cause, shown.tree);
    }
    if shown.causes.len() > MAX_CAUSES {
        let more = shown.causes.len() - MAX_CAUSES;
        let _ = writeln!(text, "\n{more} more causes: use -o json");
    }
    if shown.verdict == Verdict::Inconclusive && !shown.missing.is_empty() {
        let _ = writeln!(text, "\n{}", out.paint("missing evidence", "1"));
        for missing in shown.missing {
            let _ = writeln!(text, "  {missing}");
        }
    }
    text
}

/// A cause as one line of tab-separated fields.
pub fn line(cause: &Cause) -> String {
    let fields = [
        cause.rank.to_string(),
        cause.component.clone(),
        cause.fault_type.clone(),
        format!("{:.3}", cause.confidence),
        cause.message.clone(),
    ];
    fields.map(|f| f.replace(['\t', '\n'], " ")).join("\t") + "\n"
}

/// A row per cause; each repeats the ID that was asked for and the verdict.
pub fn causes(id_header: &'static str, id: &str, verdict: Verdict, causes: &[Cause]) -> Table {
    let table = Table::new(&[
        id_header,
        "VERDICT",
        "RANK",
        "COMPONENT",
        "NAMESPACE",
        "FAULT",
        "CONFIDENCE",
        "MESSAGE",
        "FIX",
    ]);
    let verdict = verdict.as_str();
    if causes.is_empty() {
        let none = String::new;
        let (id, verdict) = (id.to_owned(), verdict.to_owned());
        return table.row([
            id,
            verdict,
            none(),
            none(),
            none(),
            none(),
            none(),
            none(),
            none(),
        ]);
    }
    table.rows(causes, |c| {
        [
            id.to_owned(),
            verdict.to_owned(),
            c.rank.to_string(),
            c.component.clone(),
            c.namespace.clone(),
            c.fault_type.clone(),
            format!("{:.3}", c.confidence),
            c.message.clone(),
            c.fix.clone(),
        ]
    })
}

fn verdict(out: &Output, shown: &Shown<'_>) -> String {
    match (shown.verdict, shown.causes.first()) {
        (Verdict::Healthy, _) => out.paint("healthy: no active symptoms", "1;32"),
        (Verdict::Cause, Some(c)) => {
            let percent = c.confidence * 100.0;
            let text = format!("cause: {} {} ({percent:.0} %)", c.component, c.fault_type);
            out.paint(&text, "1;31")
        }
        _ => out.paint(
            "inconclusive: symptoms found, no cause above the confidence threshold",
            "1;33",
        ),
    }
}

fn details(out: &Output, cause: &Cause, tree: bool) -> String {
    let title = format!("{}. {}  {}", cause.rank, cause.component, cause.fault_type);
    let mut text = format!(
        "{}  {:.0} %  {}\n   {}\n",
        out.paint(&title, "1"),
        cause.confidence * 100.0,
        out.paint(&scope(cause), "2"),
        cause.message
    );
    let mut section = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            let _ = writeln!(text, "   {}", out.paint(title, "2"));
            for line in lines {
                let _ = writeln!(text, "     {line}");
            }
        }
    };
    section("evidence", &evidence(cause));
    let change = cause.change.as_ref();
    let change = change.map(|c| format!("{}  {}", time::local(c.at), c.what));
    section("changed", change.as_slice());
    section("why", &reasons(cause));
    section("path", &path::lines(&cause.path, tree));
    if !cause.fix.is_empty() {
        section("fix", std::slice::from_ref(&cause.fix));
    }
    text
}

/// Where a cause is: namespace, if any, and cluster.
fn scope(cause: &Cause) -> String {
    if cause.namespace.is_empty() {
        format!("cluster {}", cause.cluster)
    } else {
        format!("namespace {}, cluster {}", cause.namespace, cause.cluster)
    }
}

fn evidence(cause: &Cause) -> Vec<String> {
    let mut lines: Vec<String> = cause
        .evidence
        .iter()
        .take(MAX_EVIDENCE)
        .map(|e| {
            let what = e.what.replace('\n', " ");
            let what: String = what.chars().take(MAX_EVIDENCE_CHARS).collect();
            format!("{}  {}  {what}", time::local(e.at), resource(&e.resource))
        })
        .collect();
    if cause.evidence.len() > MAX_EVIDENCE {
        lines.push(format!("… {} more", cause.evidence.len() - MAX_EVIDENCE));
    }
    lines
}

/// The parts of a cause's score, and how it compares with the next one.
fn reasons(cause: &Cause) -> Vec<String> {
    if cause.scores.parts.is_empty() {
        return Vec::new();
    }
    let parts: Vec<String> = cause
        .scores
        .parts
        .iter()
        .filter(|(_, points)| points.abs() >= MIN_POINTS)
        .map(|(name, points)| format!("{name} {points:+.1}"))
        .collect();
    let total = format!("{:.1} points", cause.scores.total);
    let mut lines = vec![match parts.as_slice() {
        [] => total,
        parts => format!("{total}: {}", parts.join(", ")),
    }];
    if !cause.compared.is_empty() {
        lines.push(cause.compared.clone());
    }
    lines
}

/// A resource's name: `Pod chat/web-1`, or `Node worker-1` outside namespaces.
pub fn resource(r: &ResourceRef) -> String {
    if r.namespace.is_empty() {
        format!("{} {}", r.kind, r.name)
    } else {
        format!("{} {}/{}", r.kind, r.namespace, r.name)
    }
}
