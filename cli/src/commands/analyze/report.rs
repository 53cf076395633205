//! Comparisons as CI systems read them: SARIF 2.1.0 and `JUnit`.

use std::fmt::Write;

use kgrca_core::analyze::{Comparison, Flaw, Grade, Judgement};
use kgrca_core::rca::{Cause, ResourceRef};
use serde_json::{Value, json};

/// A log of SARIF 2.1.0: a result for each new cause.
pub(super) fn sarif(compared: &Comparison) -> Value {
    let causes = compared.new_causes.iter().map(|c| &*c.fault_type);
    let mut rules: Vec<&str> = causes
        .chain(compared.flaws.iter().map(|f| f.rule))
        .collect();
    rules.sort_unstable();
    rules.dedup();
    let rules: Vec<Value> = rules
        .iter()
        .map(|id| json!({"id": id, "shortDescription": {"text": id}}))
        .collect();
    let causes = compared.new_causes.iter().map(result);
    let results: Vec<Value> = causes.chain(compared.flaws.iter().map(flaw)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kgrca",
                "version": compared.after.engine.version,
                "rules": rules,
            }},
            "results": results,
            "properties": {"verdict": compared.verdict, "reason": compared.reason},
        }],
    })
}

fn result(cause: &Cause) -> Value {
    json!({
        "ruleId": cause.fault_type,
        "level": "error",
        "message": {"text": cause.message},
        "locations": [{"logicalLocations": [{
            "fullyQualifiedName": object(&cause.resource),
            "kind": "resource",
        }]}],
        "partialFingerprints": {
            "cause/v1": format!("{}/{}/{}", cause.namespace, cause.component, cause.fault_type),
        },
        "properties": {
            "component": cause.component,
            "confidence": cause.confidence,
            "change": cause.change,
            "fix": cause.fix,
        },
    })
}

fn flaw(flaw: &Flaw) -> Value {
    let level = match flaw.grade {
        Grade::Error => "error",
        Grade::Warning => "warning",
    };
    json!({
        "ruleId": flaw.rule,
        "level": level,
        "message": {"text": flaw.message},
        "locations": [{"logicalLocations": [{
            "fullyQualifiedName": object(&flaw.resource),
            "kind": "resource",
        }]}],
    })
}

/// An object: `shop/Deployment/web`.
fn object(resource: &ResourceRef) -> String {
    match resource.namespace.as_str() {
        "" => format!("{}/{}", resource.kind, resource.name),
        namespace => format!("{namespace}/{}/{}", resource.kind, resource.name),
    }
}

/// A failure of a test.
struct Failure {
    kind: String,
    /// What a list of tests shows.
    message: String,
    /// Everything that helps whoever opens it.
    body: String,
}

impl Failure {
    fn of_cause(cause: &Cause) -> Self {
        let mut body = cause.message.clone();
        for piece in &cause.evidence {
            let on = object(&piece.resource);
            let _ = write!(
                body,
                "\nevidence: {} {on}: {}",
                piece.at.to_seconds(),
                piece.what
            );
        }
        if !cause.fix.is_empty() {
            let _ = write!(body, "\nfix: {}", cause.fix);
        }
        if let Some(remedy) = &cause.remedy {
            let _ = write!(body, "\nrisk: {}", remedy.risk.as_str());
        }
        Self {
            kind: cause.fault_type.clone(),
            message: cause.message.clone(),
            body,
        }
    }

    fn of_flaw(flaw: &Flaw) -> Self {
        Self {
            kind: flaw.rule.to_owned(),
            message: flaw.message.clone(),
            body: flaw.message.clone(),
        }
    }
}

/// A `JUnit` report: a test for each object that was changed, which fails with the causes that its
/// change explains and with what is wrong with it, and one for each other new cause or error.
pub(super) fn junit(compared: &Comparison) -> String {
    let mut cases: Vec<(String, Vec<Failure>)> = Vec::new();
    let name_of = |r: &ResourceRef| format!("{} {}/{}", r.kind, r.namespace, r.name);
    for of in &compared.changes {
        let change = &of.change;
        let name = format!("{} {}/{}", change.kind, change.namespace, change.name);
        if !cases.iter().any(|(known, _)| *known == name) {
            cases.push((name, Vec::new()));
        }
    }
    let mut add =
        |name: String, failure: Failure| match cases.iter_mut().find(|(known, _)| *known == name) {
            Some((_, failures)) => failures.push(failure),
            None => cases.push((name, vec![failure])),
        };
    for cause in &compared.new_causes {
        let changed = cause
            .change
            .as_ref()
            .and_then(|change| change.resource.as_ref());
        let name = match changed {
            Some(resource) => name_of(resource),
            None => format!("{} {}", object(&cause.resource), cause.fault_type),
        };
        add(name, Failure::of_cause(cause));
    }
    for flaw in compared
        .flaws
        .iter()
        .filter(|flaw| flaw.grade == Grade::Error)
    {
        add(name_of(&flaw.resource), Failure::of_flaw(flaw));
    }
    let is_skipped = compared.verdict == Judgement::Inconclusive;
    written(&cases, Some(&*compared.reason).filter(|_| is_skipped))
}

/// The report as XML; what is inconclusive is a test that was skipped.
fn written(cases: &[(String, Vec<Failure>)], skipped: Option<&str>) -> String {
    let failed = cases.iter().filter(|(_, failures)| !failures.is_empty());
    let counts = format!(
        "tests=\"{}\" failures=\"{}\"",
        cases.len() + usize::from(skipped.is_some()),
        failed.count()
    );
    let skips = u8::from(skipped.is_some());
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites {counts}>");
    let _ = writeln!(
        xml,
        "  <testsuite name=\"kgrca\" {counts} errors=\"0\" skipped=\"{skips}\">"
    );
    for (name, failures) in cases {
        let name = escaped(name);
        if failures.is_empty() {
            let _ = writeln!(xml, "    <testcase classname=\"change\" name=\"{name}\"/>");
            continue;
        }
        let _ = writeln!(xml, "    <testcase classname=\"change\" name=\"{name}\">");
        for failure in failures {
            let (kind, message) = (escaped(&failure.kind), escaped(&failure.message));
            let body: Vec<String> = failure.body.lines().map(escaped).collect();
            let _ = writeln!(
                xml,
                "      <failure type=\"{kind}\" message=\"{message}\">{}</failure>",
                body.join("\n")
            );
        }
        let _ = writeln!(xml, "    </testcase>");
    }
    if let Some(reason) = skipped {
        let reason = escaped(reason);
        let _ = writeln!(
            xml,
            "    <testcase classname=\"state\" name=\"what runs afterwards\">\n      \
             <skipped message=\"{reason}\"/>\n    </testcase>"
        );
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// A text within XML, without the characters that XML does not have.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_break_no_report() {
        assert_eq!(
            escaped("a<b> & \"c\"\n\u{1b}[31m"),
            "a&lt;b&gt; &amp; &quot;c&quot; \u{fffd}[31m"
        );
    }
}
