//! Conditions of many kinds of objects: a healthy one says nothing, a broken one is a cause that
//! names what the controller names.

use kgrca_core::analyze::{self, Analysis, Options};
use kgrca_core::model::Time;
use kgrca_tests::repository;
use serde_json::{Value, json};

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

/// The search for their component would not end if it went along every path.
#[test]
fn objects_of_which_each_refers_to_all_of_the_next_layer_are_read() {
    let object = |layer: usize, i: usize| {
        let next = (0..16).map(|j| json!({"kind": "Layer", "name": format!("l{}-{j}", layer + 1)}));
        json!({
            "apiVersion": "example.com/v1", "kind": "Layer",
            "metadata": {"name": format!("l{layer}-{i}"), "namespace": "shop", "uid": format!("{layer}-{i}")},
            "spec": {"backendRefs": next.collect::<Vec<_>>()},
            "status": {"conditions": [{
                "type": "Ready", "status": "False", "reason": "Failed", "message": "failed",
                "lastTransitionTime": "2026-05-04T08:00:00Z",
            }]},
        })
    };
    let items: Vec<Value> = (0..8)
        .flat_map(|layer| (0..16).map(move |i| object(layer, i)))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    assert!(!analyze(&list).causes.is_empty());
}
