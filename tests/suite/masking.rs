//! Masking against the corpus: secrets go, what only looks like one stays.

use std::collections::BTreeSet;

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
    let kinds: BTreeSet<&str> = cases.iter().map(|case| &*case.kind).collect();
    assert!(kinds.len() >= 60, "{} kinds", kinds.len());
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

/// People's data and their passwords in other languages: what is planted goes.
#[test]
fn of_a_hundred_personal_data_at_most_one_survives() {
    let cases = read("personal.jsonl");
    assert!(cases.len() >= 60);
    let leaked = names(cases.iter().filter(|c| leaks(c)));
    assert!(leaked.len() * 100 <= cases.len(), "{leaked:#?}");
    let kept = cases.iter().filter(|c| c.keep.is_some());
    let cut = names(kept.filter(|c| is_touched(c)));
    assert!(cut.is_empty(), "{cut:#?}");
}

/// Order numbers, versions, times, private addresses and hosts of dependencies stay.
#[test]
fn of_a_hundred_texts_without_personal_data_at_most_one_is_touched() {
    let cases = read("personal-harmless.jsonl");
    assert!(cases.len() >= 60);
    let touched = names(cases.iter().filter(|c| is_touched(c)));
    assert!(touched.len() * 100 <= cases.len(), "{touched:#?}");
}

#[test]
fn a_masked_text_stays_as_it_is() {
    for case in read("planted.jsonl")
        .into_iter()
        .chain(read("personal.jsonl"))
    {
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

#[test]
fn a_text_that_was_made_to_be_slow_is_not() {
    for piece in [
        "://",
        "pass=",
        ":pass",
        "key=",
        "cookie=",
        "client",
        "eyJ",
        "@",
        "authorization: ",
        "data:{",
        "-----BEGIN PRIVATE KEY-----",
        "kind: Secret data:{",
        "pass='",
        "secret: |\n ",
        "bearer ",
        "<pass ",
        "mysql -p",
        "AUTH a",
        "token\\\"",
        "1 ",
        "Ab1",
        "sig=",
        "\"pass\",",
        "login ",
        "[10/Oct/2026:13:55:36 ",
        "[",
        "[2026-10-10T",
        "203.0.113.9 ",
        "from 203.0.113.9 port ",
        "[2026-10-10T13] \"1.1.1.1\" ",
        "senha=",
        "密码：",
    ] {
        // Ten times the text takes a hundred times as long by the square; a bounded reach less.
        let short = piece.repeat(10_000 / piece.len());
        let long = piece.repeat(100_000 / piece.len());
        let time = |text: &str| {
            let start = std::time::Instant::now();
            let _ = mask::line(text);
            start.elapsed()
        };
        let (short, long) = (time(&short).max(time(&short)), time(&long));
        let floor = std::time::Duration::from_millis(2);
        assert!(long < 60 * short.max(floor), "{piece}: {short:?}, {long:?}");
    }
}
