//! Answers as an on-call engineer reads them.

use kgrca_core::rca::{Cause, Change, MissingEvidence, ResourceRef, Verdict};

use super::wrap::wrapped;
use super::{Output, Style, Styled, Table, path};

/// How many causes are printed.
const MAX_CAUSES: usize = 5;
/// How many lines of evidence are printed per cause.
const MAX_EVIDENCE: usize = 6;
/// How many characters of a piece of evidence are printed.
const MAX_EVIDENCE_CHARS: usize = 180;
/// How many other changes are printed.
const MAX_OTHER_CHANGES: usize = 5;
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
    pub missing: &'a [MissingEvidence],
    /// Changes that came with it and explain none of the causes.
    pub other_changes: &'a [Change],
    /// Whether the causal path is drawn as a tree.
    pub tree: bool,
}

/// An answer as text, also in a pipe: an explanation has no columns.
pub fn answer(out: &Output, shown: &Shown<'_>) -> Styled {
    let mut text = Styled::default();
    push_prose(&mut text, out, 0, &shown.head);
    push_verdict(&mut text, shown);
    for cause in shown.causes.iter().take(MAX_CAUSES) {
        text.push("\n");
        push_cause(&mut text, out, cause, shown.tree);
    }
    if shown.causes.len() > MAX_CAUSES {
        let more = shown.causes.len() - MAX_CAUSES;
        text.push(&format!("\n{more} more causes: use -o json\n"));
    }
    if !shown.other_changes.is_empty() && !shown.causes.is_empty() {
        text.push("\n");
        text.push_styled(
            Style::Bold,
            "changed at the same time; explains none of the causes",
        );
        text.push("\n");
        for change in shown.other_changes.iter().take(MAX_OTHER_CHANGES) {
            push_prose(&mut text, out, 2, &changed(out, change));
        }
    }
    let is_open = matches!(shown.verdict, Verdict::Inconclusive | Verdict::NothingFound);
    if is_open && !shown.missing.is_empty() {
        text.push("\n");
        text.push_styled(Style::Bold, "missing evidence");
        text.push("\n");
        for missing in shown.missing {
            push_prose(&mut text, out, 2, &missing_evidence(missing));
            if !missing.command.is_empty() {
                text.push_line(&format!("    {}", missing.command));
            }
        }
    }
    text
}

/// What was not seen, and what it would show.
fn missing_evidence(missing: &MissingEvidence) -> String {
    if missing.why.is_empty() {
        missing.what.clone()
    } else {
        format!("{}: {}", missing.what, missing.why)
    }
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

fn push_verdict(text: &mut Styled, shown: &Shown<'_>) {
    match (shown.verdict, shown.causes.first()) {
        (Verdict::Healthy, _) => text.push_styled(Style::Good, "healthy: no active symptoms"),
        (Verdict::NothingFound, _) => text.push_styled(
            Style::Unclear,
            "nothing found: no active symptoms, which does not show that the cluster is healthy",
        ),
        (Verdict::Cause, Some(c)) => {
            let percent = c.confidence * 100.0;
            let verdict = format!("cause: {} {} ({percent:.0} %)", c.component, c.fault_type);
            text.push_styled(Style::Bad, &verdict);
        }
        _ => text.push_styled(
            Style::Unclear,
            "inconclusive: symptoms found, no cause above the confidence threshold",
        ),
    }
    text.push("\n");
}

fn push_cause(text: &mut Styled, out: &Output, cause: &Cause, tree: bool) {
    let title = format!("{}. {}  {}", cause.rank, cause.component, cause.fault_type);
    text.push_styled(Style::Bold, &title);
    text.push(&format!("  {:.0} %", cause.confidence * 100.0));
    let scope = scope(cause);
    if !scope.is_empty() {
        text.push("  ");
        text.push_styled(Style::Dim, &scope);
    }
    text.push("\n");
    push_prose(text, out, 3, &cause.message);
    let change = cause.change.as_ref();
    let change = change.map(|c| changed(out, c));
    let sections = [
        ("evidence", evidence(out, cause)),
        ("changed", Vec::from_iter(change)),
        ("why", reasons(cause)),
        ("path", path::lines(&cause.path, tree)),
        ("fix", fix(cause)),
    ];
    for (title, lines) in sections.iter().filter(|(_, lines)| !lines.is_empty()) {
        text.push("   ");
        text.push_styled(Style::Dim, title);
        text.push("\n");
        for line in lines {
            // What is copied or drawn stays on its line.
            let is_whole = matches!(*title, "fix" | "path") && !line.starts_with("risk: ");
            if is_whole {
                text.push_line(&format!("     {line}"));
            } else {
                push_prose(text, out, 5, line);
            }
        }
    }
}

/// Adds a text that may be wrapped.
fn push_prose(text: &mut Styled, out: &Output, indent: usize, prose: &str) {
    for line in wrapped(prose, indent, out.width) {
        text.push_line(&line);
    }
}

/// The command, what it does, and the commands that belong to it.
fn fix(cause: &Cause) -> Vec<String> {
    if cause.fix.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![cause.fix.clone()];
    let Some(remedy) = &cause.remedy else {
        return lines;
    };
    let note = match remedy.note.as_str() {
        "" => String::new(),
        note => format!("; {note}"),
    };
    lines.push(format!("risk: {}{note}", remedy.risk.as_str()));
    let commands = [
        ("dry run", &remedy.dry_run),
        ("check", &remedy.check),
        ("undo", &remedy.undo),
    ];
    let known = commands.iter().filter(|(_, command)| !command.is_empty());
    lines.extend(known.map(|(name, command)| format!("{name}: {command}")));
    lines
}

/// A change on one line: when, what, and by whom.
fn changed(out: &Output, change: &Change) -> String {
    let author = [&change.by, &change.via].into_iter().flatten().cloned();
    let author = author.collect::<Vec<_>>().join(", ");
    let by = if author.is_empty() {
        String::new()
    } else {
        format!("  by {author}")
    };
    let at = if change.undated {
        "at an unknown time".to_owned()
    } else {
        out.time(change.at.to_seconds())
    };
    format!("{at}  {}{by}", change.what)
}

/// What the cluster of records is called that name none.
const UNNAMED: &str = "default";

/// Where a cause is: namespace and cluster, as far as they are known.
fn scope(cause: &Cause) -> String {
    let namespace = (!cause.namespace.is_empty()).then(|| format!("namespace {}", cause.namespace));
    let cluster = (cause.cluster != UNNAMED).then(|| format!("cluster {}", cause.cluster));
    let parts: Vec<String> = namespace.into_iter().chain(cluster).collect();
    parts.join(", ")
}

fn evidence(out: &Output, cause: &Cause) -> Vec<String> {
    let mut lines: Vec<String> = cause
        .evidence
        .iter()
        .take(MAX_EVIDENCE)
        .map(|e| {
            let mut what: String = e.what.chars().take(MAX_EVIDENCE_CHARS).collect();
            if e.what.chars().nth(MAX_EVIDENCE_CHARS).is_some() {
                what.push('…');
            }
            let at = out.time(e.at.to_seconds());
            format!("{at}  {}  {what}", resource(&e.resource))
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
