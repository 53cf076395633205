//! Renders the report of an evaluation as Markdown or HTML.

use std::fmt::Write;

use super::eval::{Figures, Outcome, Report};

/// The report as Markdown: the table of groups, then the misses.
pub fn markdown(report: &Report) -> String {
    let mut out = format!(
        "# Evaluation, {} scorer\n\n{}\n\n",
        report.scorer,
        headline(report)
    );
    let _ = writeln!(
        out,
        "| {} |\n|{}",
        COLUMNS.join(" | ").to_lowercase(),
        "---|".repeat(COLUMNS.len())
    );
    for row in rows(report) {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out += "\n## Misses\n\n";
    for miss in misses(report) {
        let _ = writeln!(
            out,
            "- `{}`: said {}, expected {}",
            miss.case,
            said(miss),
            miss.expected.join(" and ")
        );
        for line in &miss.evidence {
            let _ = writeln!(out, "  - {}", line.replace('\n', " "));
        }
    }
    out
}

/// The report as one self-contained HTML file.
pub fn html(report: &Report) -> String {
    let mut out = String::from(HEAD);
    let _ = write!(
        out,
        "<h1>Evaluation, {} scorer</h1><p>{}</p>",
        escaped(&report.scorer),
        escaped(&headline(report))
    );
    let _ = write!(
        out,
        "<table><tr><th>{}</tr>",
        COLUMNS.join("<th>").to_lowercase()
    );
    for [name, cells @ ..] in rows(report) {
        let low = if report
            .groups
            .get(&name)
            .is_some_and(|g| g.joint_at[0] < 0.9)
        {
            " class=low"
        } else {
            ""
        };
        let _ = write!(
            out,
            "<tr{low}><td>{}<td class=n>{}</tr>",
            escaped(&name),
            cells.join("<td class=n>")
        );
    }
    out += "</table><div class=charts>";
    out += &reliability(&report.outcomes);
    out += &risk_coverage(&report.outcomes);
    out += "</div><h2>Misses</h2>";
    for miss in misses(report) {
        let _ = write!(
            out,
            "<details><summary><b>{}</b>: said {} ({:.0}&nbsp;%), expected {}</summary><ul>",
            escaped(&miss.case),
            escaped(&said(miss)),
            miss.confidence * 100.0,
            escaped(&miss.expected.join(" and "))
        );
        for line in &miss.evidence {
            let _ = write!(out, "<li>{}", escaped(line));
        }
        out += "</ul></details>";
    }
    out + "</body></html>\n"
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
    <title>kgrca evaluation</title><style>\
    body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;\
    color:#1b1f24}\
    table{border-collapse:collapse;width:100%}\
    th,td{padding:.25rem .6rem;border-bottom:1px solid #d8dee4;text-align:left}\
    .n,th:not(:first-child){text-align:right;white-space:nowrap;\
    font-variant-numeric:tabular-nums}\
    figure{margin:0;max-width:330px}.low{background:#fff1e5}\
    tr:nth-last-child(-n+3){font-weight:600}\
    .charts{display:flex;gap:2rem;flex-wrap:wrap;margin:1.5rem 0}\
    svg{background:#f6f8fa;border-radius:6px}\
    summary{cursor:pointer;padding:.2rem 0}li{color:#57606a}\
    @media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}\
    th,td{border-color:#30363d}.low{background:#3d2b1f}svg{background:#161b22}}\
    </style><body>";

fn headline(report: &Report) -> String {
    let all = &report.overall;
    let auroc = match all.auroc {
        Some(auroc) => format!("{auroc:.3}"),
        None => "-".to_owned(),
    };
    format!(
        "{} cases; coverage {:.3}, calibration error {:.3}, Brier score {:.3}, AUROC {auroc}, \
         {:.0} cases/s",
        all.cases, all.coverage, all.ece, all.brier, report.cases_per_second
    )
}

/// The columns of the table of groups.
pub const COLUMNS: [&str; 9] = [
    "GROUP",
    "CASES",
    "COMPONENT@1",
    "95 %",
    "@3",
    "@5",
    "JOINT@1",
    "@3",
    "MRR",
];

/// The rows of the table of groups, with the means at the end.
pub fn rows(report: &Report) -> Vec<[String; COLUMNS.len()]> {
    let groups = report
        .groups
        .iter()
        .map(|(name, figures)| row(name, figures));
    let large = format!("mean over groups of at least {}", super::eval::LARGE);
    let means = [
        ("mean over groups", &report.mean),
        (&large, &report.large),
        ("over cases", &report.overall),
    ];
    groups
        .chain(
            means
                .into_iter()
                .filter(|(_, f)| f.cases > 0)
                .map(|(name, f)| row(name, f)),
        )
        .collect()
}

fn row(name: &str, f: &Figures) -> [String; COLUMNS.len()] {
    let three = |v: f64| format!("{v:.3}");
    let interval = if f.interval[1] > 0.0 {
        format!("{:.2}–{:.2}", f.interval[0], f.interval[1])
    } else {
        String::new()
    };
    let [first, third, fifth] = f.component_at.map(three);
    let [joint, joint_third] = f.joint_at.map(three);
    [
        name.to_owned(),
        f.cases.to_string(),
        first,
        interval,
        third,
        fifth,
        joint,
        joint_third,
        three(f.mrr),
    ]
}

fn misses(report: &Report) -> impl Iterator<Item = &Outcome> {
    report.outcomes.iter().filter(|o| o.joint_at[0] < 1.0)
}

fn said(outcome: &Outcome) -> String {
    outcome.said.clone().unwrap_or_else(|| "nothing".to_owned())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Side of a chart and its margin, in pixels.
const SIDE: f64 = 260.0;
const MARGIN: f64 = 34.0;

fn chart(title: &str, x: &str, y: &str, inside: &str) -> String {
    let (size, end) = (SIDE + 2.0 * MARGIN, SIDE + MARGIN);
    format!(
        "<figure><svg width={size} height={size} role=img aria-label=\"{title}\">\
         <g stroke=#8c959f fill=none><path d='M{MARGIN} {MARGIN}V{end}H{end}'/></g>{inside}\
         <g fill=#57606a font-size=11>\
         <text x={} y={} text-anchor=middle>{x}</text>\
         <text x=10 y={} transform='rotate(-90 10 {})' text-anchor=middle>{y}</text>\
         <text x={MARGIN} y={} text-anchor=middle>0</text>\
         <text x={end} y={} text-anchor=middle>1</text>\
         <text x={} y={MARGIN} text-anchor=end>1</text></g></svg>\
         <figcaption>{title}</figcaption></figure>",
        MARGIN + SIDE / 2.0,
        size - 4.0,
        MARGIN + SIDE / 2.0,
        MARGIN + SIDE / 2.0,
        end + 14.0,
        end + 14.0,
        MARGIN - 6.0,
    )
}

/// Pixels of a point whose coordinates lie between 0 and 1.
fn position(x: f64, y: f64) -> (f64, f64) {
    (
        (MARGIN + x * SIDE).round(),
        (MARGIN + (1.0 - y) * SIDE).round(),
    )
}

/// Confidence against the share of right answers, in ten bins: points on the diagonal are well
/// calibrated.
fn reliability(outcomes: &[Outcome]) -> String {
    let ((x0, y0), (x1, y1)) = (position(0.0, 0.0), position(1.0, 1.0));
    let mut inside = format!("<path d='M{x0} {y0}L{x1} {y1}' stroke=#8c959f stroke-dasharray=4 />");
    for bin in 0..10 {
        let own: Vec<&Outcome> = outcomes
            .iter()
            .filter(|o| !o.expected.is_empty() && ((o.confidence * 10.0) as usize).min(9) == bin)
            .collect();
        if own.is_empty() {
            continue;
        }
        let mean =
            |f: &dyn Fn(&Outcome) -> f64| own.iter().map(|o| f(o)).sum::<f64>() / own.len() as f64;
        let (x, y) = position(mean(&|o| o.confidence), mean(&|o| o.joint_at[0]));
        let radius = 3.0 + (own.len() as f64).sqrt();
        let _ = write!(
            inside,
            "<circle cx={x} cy={y} r={radius:.1} fill=#0969da fill-opacity=.6>\
             <title>{} cases</title></circle>",
            own.len()
        );
    }
    chart(
        "Reliability: share of right answers by confidence",
        "confidence",
        "right",
        &inside,
    )
}

/// The share of wrong answers among those with the highest confidence, for every share of answers.
fn risk_coverage(outcomes: &[Outcome]) -> String {
    let mut all: Vec<&Outcome> = outcomes.iter().filter(|o| !o.expected.is_empty()).collect();
    all.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut wrong = 0.0;
    let mut path = String::new();
    for (i, outcome) in all.iter().enumerate() {
        wrong += 1.0 - outcome.joint_at[0];
        let answered = (i + 1) as f64;
        let (x, y) = position(answered / all.len() as f64, wrong / answered);
        let _ = write!(path, "{}{x} {y}", if i == 0 { 'M' } else { 'L' });
    }
    let inside = format!("<path d='{path}' stroke=#cf222e stroke-width=2 fill=none />");
    chart(
        "Risk and coverage: wrong answers among the most confident ones",
        "share answered",
        "wrong",
        &inside,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rca::{Scorer, Verdict};

    fn outcome(case: &str, right: bool) -> Outcome {
        let share = f64::from(u8::from(right));
        Outcome {
            case: case.into(),
            group: "a <b>".into(),
            expected: vec!["app/x y.z".into()],
            said: Some("app/<q> y.z".into()),
            confidence: 0.7,
            verdict: Verdict::Cause,
            component_at: [share; 3],
            joint_at: [share; 2],
            reciprocal: share,
            evidence: vec!["FailedMount: \"x\"".into()],
        }
    }

    #[test]
    fn pages_hold_every_group_and_every_miss() {
        let report = super::super::eval::report(
            Scorer::Causal,
            vec![outcome("one", true), outcome("two", false)],
            1.0,
        );
        let page = html(&report);
        assert!(
            page.contains("a &lt;b&gt;")
                && page.contains("<b>two</b>")
                && !page.contains("<b>one</b>")
        );
        assert!(!page.contains("http"), "self-contained");
        let text = markdown(&report);
        assert!(
            text.contains("`two`: said app/<q> y.z, expected app/x y.z") && !text.contains("`one`")
        );
    }
}
