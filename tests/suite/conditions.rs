//! Conditions of many kinds of objects: a healthy one says nothing, a broken one is a cause that
//! names what the controller names.

use kgrca_core::analyze::{self, Analysis, Options};
use kgrca_core::model::Time;
use kgrca_tests::repository;
use serde_json::Value;

/// Each object on its own, as `kubectl get -o json` prints it, at a quarter past nine.
fn analyze(object: &Value) -> Analysis {
    let now = Time::parse("2026-05-04T09:15:00Z").unwrap();
    let options = Options {
        at: Some(now),
        now,
        ..Options::default()
    };
    let text = format!("{object}\n");
    analyze::analyze("conditions", text.as_bytes(), &options)
}

fn corpus(name: &str) -> Vec<Value> {
    let path = repository().join("tests/data/conditions").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines.map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn healthy_conditions_are_no_symptom() {
    for object in corpus("healthy.jsonl") {
        let analysis = analyze(&object);
        let title = format!("{} {}", object["kind"], object["metadata"]["name"]);
        assert!(analysis.causes.is_empty(), "{title}: {:?}", analysis.causes);
    }
}

#[test]
fn broken_conditions_are_causes_with_the_names_that_they_give() {
    for row in corpus("broken.jsonl") {
        let object = &row["object"];
        let title = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let analysis = analyze(object);
        let first = analysis.causes.first();
        let text = serde_json::to_string(&first).unwrap();
        assert!(first.is_some(), "{title}");
        for name in row["names"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            assert!(text.contains(name), "{title} does not name {name}: {text}");
        }
    }
}
