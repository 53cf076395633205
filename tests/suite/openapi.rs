//! The API's document is sound: what redocly finds in `tests/real/openapi.rs`, without a tool.

use std::collections::BTreeSet;

use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(&kgrca_daemon::openapi()).unwrap()
}

/// Calls a function with every value in a document.
fn visit(value: &Value, each: &mut impl FnMut(&Value)) {
    each(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit(item, each)),
        Value::Object(fields) => fields.values().for_each(|field| visit(field, each)),
        _ => {}
    }
}

#[test]
fn every_reference_resolves() {
    let document = document();
    let mut dangling = BTreeSet::new();
    visit(&document, &mut |value| {
        let target = value["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
        if let Some(target) = target.filter(|t| document.pointer(t).is_none()) {
            dangling.insert(target.to_owned());
        }
    });
    assert!(dangling.is_empty(), "{dangling:#?}");
}

#[test]
fn operations_have_unique_ids_and_described_responses() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(responses) = operation["responses"].as_object() else {
                continue;
            };
            let id = operation["operationId"].as_str().unwrap_or_default();
            assert!(
                ids.insert(id.to_owned()),
                "{method} {path}: `{id}` is used twice"
            );
            for (status, response) in responses {
                let described = response["description"].is_string() || response["$ref"].is_string();
                assert!(described, "{method} {path}: {status} has no description");
            }
        }
    }
}
