//! Faults of the scenario library, moved to another time, for streams that last.

use std::collections::VecDeque;

use kgrca_core::model::{Time, Topic};
use serde_json::Value;

use crate::repository;
use crate::simulate::Sent;

/// One family each, in namespaces of their own.
const CASES: [&str; 5] = [
    "runtime/oom-killed-thumbnailer",
    "dependency/down-database",
    "image/pull-unauthorized",
    "service/selector-mismatch-typo",
    "scheduling/cpu-insufficient",
];

/// The records of several faults that all come to light at `now`, in the order of the library.
pub fn records(now: Time) -> VecDeque<Sent> {
    CASES.iter().flat_map(|case| fault(case, now)).collect()
}

fn fault(case: &str, now: Time) -> Vec<Sent> {
    let path = repository()
        .join("tests/scenarios")
        .join(format!("{case}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let head = lines.next().unwrap();
    let seen = Time::parse(head["value"]["collected_at"].as_str().unwrap()).unwrap();
    let sent = |mut line: Value| {
        let topic = Topic::parse(line["topic"].as_str()?)?;
        let mut record = line["value"].take();
        move_times(&mut record, now.0 - seen.0);
        record["cluster"] = "prod".into();
        Some((topic, record.to_string().into_bytes()))
    };
    lines.filter_map(sent).collect()
}

/// Moves every time in a record, by microseconds.
pub fn move_times(value: &mut Value, by: i64) {
    match value {
        Value::String(text) => {
            if let Some(time) = Time::parse(text) {
                *text = time.plus(by).to_string();
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|v| move_times(v, by)),
        Value::Object(fields) => fields.values_mut().for_each(|v| move_times(v, by)),
        _ => {}
    }
}
