//! Masking against the corpus: secrets go, what only looks like one stays.

use kgrca_core::parse::mask;
use kgrca_tests::corpus::{Case, read};
use serde_json::Value;

/// The texts of a record after masking, one per line.
fn masked(case: &Case) -> String {
    let (topic, record) = case.record("orders-1");
    let bytes = record.to_string().into_bytes();
    let masked = mask::record(topic, &bytes);
    let value: Value = serde_json::from_slice(&masked).unwrap();
    let mut texts = Vec::new();
    collect(&value, &mut texts);
    texts.join("\n")
}

fn collect(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|v| collect(v, out)),
        Value::Object(map) => map.values().for_each(|v| collect(v, out)),
        _ => {}
    }
}

fn leaks(case: &Case) -> bool {
    let text = masked(case);
    case.fragments().iter().any(|f| text.contains(f))
}

fn is_touched(case: &Case) -> bool {
    let (text, own) = (masked(case), case.text());
    match &case.keep {
        Some(parts) => !parts.iter().all(|p| text.contains(p)),
        None => !text.contains(&own),
    }
}

fn names<'a>(cases: impl Iterator<Item = &'a Case>) -> Vec<String> {
    cases
        .map(|c| format!("{} at {}: {}", c.kind, c.at, c.text()))
        .collect()
}

#[test]
fn of_a_hundred_planted_secrets_at_most_one_survives() {
    let cases = read("planted.jsonl");
    assert!(cases.len() >= 300);
    let leaked = names(cases.iter().filter(|c| leaks(c)));
    assert!(leaked.len() * 100 <= cases.len(), "{leaked:#?}");
}

#[test]
fn of_a_hundred_harmless_texts_at_most_one_is_touched() {
    let cases = read("harmless.jsonl");
    assert!(cases.len() >= 300);
    let touched = names(cases.iter().filter(|c| is_touched(c)));
    assert!(touched.len() * 100 <= cases.len(), "{touched:#?}");
}

#[test]
fn a_masked_text_stays_as_it_is() {
    for case in read("planted.jsonl") {
        let (topic, record) = case.record("orders-1");
        let bytes = record.to_string().into_bytes();
        let once = mask::record(topic, &bytes);
        let twice = mask::record(topic, &once);
        assert_eq!(
            String::from_utf8_lossy(&twice),
            String::from_utf8_lossy(&once),
            "{}",
            case.text()
        );
    }
}
