//! The face of the product: an answer as an engineer on call reads it.

use std::fmt::Write;

use kgrca_core::rca::{Cause, PathStep, ResourceRef, Verdict};

use super::{Output, Table, time};

/// How many lines of evidence are shown per cause.
const EVIDENCE: usize = 6;

/// What is printed of an answer besides its causes.
pub struct Shown<'a> {
    /// First line.
    pub head: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Ranked causes.
    pub causes: &'a [Cause],
    /// What would raise the confidence.
    pub missing: &'a [String],
    /// Whether the path is drawn as a tree.
    pub tree: bool,
}

/// Renders an answer for a terminal, or as one line per cause for a pipe.
pub fn answer(out: &Output, shown: &Shown<'_>) -> String {
    if !out.terminal {
        let nothing = || format!("{}\n", format!("{:?}", shown.verdict).to_lowercase());
        return if shown.causes.is_empty() {
            nothing()
        } else {
            shown.causes.iter().map(line).collect()
        };
    }
    let mut text = format!("{}\n{}\n", shown.head, verdict(out, shown));
    for cause in shown.causes.iter().take(5) {
        text.push('\n');
        text += &one(out, cause, shown.tree);
    }
    if shown.causes.len() > 5 {
        let _ = writeln!(text, "\n{} more with -o json", shown.causes.len() - 5);
    }
    if shown.verdict == Verdict::Inconclusive && !shown.missing.is_empty() {
        let _ = writeln!(text, "\n{}", out.paint("would help", "1"));
        for m in shown.missing {
            let _ = writeln!(text, "  {m}");
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

/// A row per cause, for spreadsheets; what was asked for and the verdict stand in each.
pub fn causes(asked: &'static str, id: &str, verdict: Verdict, causes: &[Cause]) -> Table {
    let verdict = format!("{verdict:?}").to_lowercase();
    let header = [
        asked,
        "VERDICT",
        "RANK",
        "COMPONENT",
        "NAMESPACE",
        "FAULT",
        "CONFIDENCE",
        "MESSAGE",
        "FIX",
    ];
    if causes.is_empty() {
        let none = String::new;
        return Table::new(&header).row([
            id.to_owned(),
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
    Table::new(&header).rows(causes, |c| {
        [
            id.to_owned(),
            verdict.clone(),
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
        (Verdict::Healthy, _) => out.paint("healthy: nothing hurts", "1;32"),
        (Verdict::Cause, Some(c)) => out.paint(
            &format!(
                "cause: {} {} ({:.0} %)",
                c.component,
                c.fault_type,
                c.confidence * 100.0
            ),
            "1;31",
        ),
        _ => out.paint(
            "inconclusive: something hurts, no cause is believed enough",
            "1;33",
        ),
    }
}

fn one(out: &Output, cause: &Cause, tree: bool) -> String {
    let mut text = String::new();
    let place = if cause.namespace.is_empty() {
        cause.cluster.clone()
    } else {
        format!("{}/{}", cause.cluster, cause.namespace)
    };
    let title = format!("{}. {}  {}", cause.rank, cause.component, cause.fault_type);
    let _ = writeln!(
        text,
        "{}  {:.0} %  {}",
        out.paint(&title, "1"),
        cause.confidence * 100.0,
        out.paint(&place, "2")
    );
    let _ = writeln!(text, "   {}", cause.message);
    if !cause.evidence.is_empty() {
        let _ = writeln!(text, "   {}", out.paint("evidence", "2"));
        for line in cause.evidence.iter().take(EVIDENCE) {
            let what: String = line.what.replace('\n', " ").chars().take(180).collect();
            let _ = writeln!(
                text,
                "     {}  {}  {what}",
                time::clock(line.at),
                name(&line.resource)
            );
        }
        if cause.evidence.len() > EVIDENCE {
            let _ = writeln!(text, "     … {} more", cause.evidence.len() - EVIDENCE);
        }
    }
    if let Some(change) = &cause.change {
        let _ = writeln!(
            text,
            "   {}\n     {}  {}",
            out.paint("changed", "2"),
            time::clock(change.at),
            change.what
        );
    }
    if !cause.scores.parts.is_empty() {
        let told = cause
            .scores
            .parts
            .iter()
            .filter(|(_, points)| points.abs() >= 0.05);
        let parts: Vec<String> = told
            .map(|(name, points)| format!("{name} {points:+.1}"))
            .collect();
        let _ = writeln!(
            text,
            "   {}\n     {}",
            out.paint("why", "2"),
            points(cause.scores.total, &parts)
        );
        if !cause.compared.is_empty() {
            let _ = writeln!(text, "     {}", cause.compared);
        }
    }
    if !cause.path.is_empty() {
        let _ = writeln!(text, "   {}", out.paint("path", "2"));
        text += &if tree {
            drawn(&cause.path)
        } else {
            format!("     {}\n", line_of(&cause.path))
        };
    }
    if !cause.fix.is_empty() {
        let _ = writeln!(text, "   {}\n     {}", out.paint("fix", "2"), cause.fix);
    }
    text
}

fn points(total: f64, parts: &[String]) -> String {
    if parts.is_empty() {
        format!("{total:.1} points")
    } else {
        format!("{total:.1} points: {}", parts.join(", "))
    }
}

fn name(r: &ResourceRef) -> String {
    format!("{}/{}", r.kind, r.name)
}

/// The resources of a path in walking order, each with the edge that leads to the next.
fn walk(path: &[PathStep]) -> Vec<(String, Option<String>)> {
    let mut at = match path {
        [one] => &one.from,
        [first, second, ..] if first.from == second.from || first.from == second.to => &first.to,
        [first, ..] => &first.from,
        [] => return Vec::new(),
    };
    let mut out = Vec::new();
    for step in path {
        let forward = step.from == *at;
        let edge = if forward {
            format!("─{}→", step.relation)
        } else {
            format!("←{}─", step.relation)
        };
        out.push((name(at), Some(edge)));
        at = if forward { &step.to } else { &step.from };
    }
    out.push((name(at), None));
    out
}

fn line_of(path: &[PathStep]) -> String {
    walk(path)
        .iter()
        .map(|(n, e)| {
            e.as_ref()
                .map_or_else(|| n.clone(), |e| format!("{n} {e} "))
        })
        .collect()
}

fn drawn(path: &[PathStep]) -> String {
    let mut text = String::new();
    let mut edge = String::new();
    for (depth, (name, next)) in walk(path).into_iter().enumerate() {
        let branch = if depth == 0 {
            String::new()
        } else {
            format!("{}└{edge} ", "   ".repeat(depth - 1))
        };
        let _ = writeln!(text, "     {branch}{name}");
        edge = next.unwrap_or_default();
    }
    text
}
