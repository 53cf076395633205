//! Comparisons as CI systems read them: SARIF 2.1.0 and `JUnit`.

use std::fmt::Write;

use kgrca_core::analyze::Comparison;
use kgrca_core::rca::Cause;
use serde_json::{Value, json};

/// A log of SARIF 2.1.0: a result for each new cause.
pub(super) fn sarif(compared: &Comparison) -> Value {
    let mut rules: Vec<&str> = compared.new_causes.iter().map(|c| &*c.fault_type).collect();
    rules.sort_unstable();
    rules.dedup();
    let rules: Vec<Value> = rules
        .iter()
        .map(|id| json!({"id": id, "shortDescription": {"text": id}}))
        .collect();
    let results: Vec<Value> = compared.new_causes.iter().map(result).collect();
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
        }],
    })
}

fn result(cause: &Cause) -> Value {
    json!({
        "ruleId": cause.fault_type,
        "level": "error",
        "message": {"text": cause.message},
        "locations": [{"logicalLocations": [{
            "fullyQualifiedName": object(cause),
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

/// The object at fault: `shop/Deployment/web`.
fn object(cause: &Cause) -> String {
    let resource = &cause.resource;
    match resource.namespace.as_str() {
        "" => format!("{}/{}", resource.kind, resource.name),
        namespace => format!("{namespace}/{}/{}", resource.kind, resource.name),
    }
}

/// A `JUnit` report: a test for each object that was changed, which fails with the causes that its
/// change explains, and one for each other new cause.
pub(super) fn junit(compared: &Comparison) -> String {
    let mut cases: Vec<(String, Vec<&Cause>)> = Vec::new();
    for of in &compared.changes {
        let change = &of.change;
        let name = format!("{} {}/{}", change.kind, change.namespace, change.name);
        if !cases.iter().any(|(known, _)| *known == name) {
            cases.push((name, Vec::new()));
        }
    }
    for cause in &compared.new_causes {
        let changed = cause
            .change
            .as_ref()
            .and_then(|change| change.resource.as_ref());
        let name = match changed {
            Some(r) => format!("{} {}/{}", r.kind, r.namespace, r.name),
            None => format!("{} {}", object(cause), cause.fault_type),
        };
        match cases.iter_mut().find(|(known, _)| *known == name) {
            Some((_, causes)) => causes.push(cause),
            None => cases.push((name, vec![cause])),
        }
    }
    let failed = cases
        .iter()
        .filter(|(_, causes)| !causes.is_empty())
        .count();
    let counts = format!("tests=\"{}\" failures=\"{failed}\"", cases.len());
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites {counts}>");
    let _ = writeln!(
        xml,
        "  <testsuite name=\"kgrca\" {counts} errors=\"0\" skipped=\"0\">"
    );
    for (name, causes) in &cases {
        let name = escaped(name);
        if causes.is_empty() {
            let _ = writeln!(xml, "    <testcase classname=\"change\" name=\"{name}\"/>");
            continue;
        }
        let _ = writeln!(xml, "    <testcase classname=\"change\" name=\"{name}\">");
        for cause in causes {
            let (kind, message) = (escaped(&cause.fault_type), escaped(&cause.message));
            let fix = escaped(&cause.fix);
            let _ = writeln!(
                xml,
                "      <failure type=\"{kind}\" message=\"{message}\">{fix}</failure>"
            );
        }
        let _ = writeln!(xml, "    </testcase>");
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
