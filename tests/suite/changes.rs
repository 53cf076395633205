//! Changes as evidence: recorded incidents in which one object was changed before, in which
//! something harmless was changed, and in which nothing was.
//!
//! `tests/changes/cases.jsonl` has a line per incident: a scenario, the object that was changed, and
//! how it was before (`set`: JSON pointers to the old values, where `null` means that there was
//! none). The versions get what the API server adds: a resource version and field managers.

#![expect(clippy::print_stdout, reason = "figures of a measurement")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use kgrca_core::analyze::{self, Analysis, Options};
use kgrca_core::model::Time;
use kgrca_core::model::time::MINUTE;
use kgrca_core::rca::{Cause, MAX_CAUSES};
use kgrca_tests::{binary, repository};
use serde_json::{Map, Value, json};

/// Who made the changes.
const EDITOR: &str = "kubectl-edit";

#[derive(Debug, serde::Deserialize)]
struct Case {
    scenario: String,
    #[serde(default)]
    object: String,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    field: Option<String>,
    /// The object was created by the change.
    #[serde(default)]
    created: bool,
    /// The object that was deleted by the change.
    #[serde(default)]
    deleted: Option<Value>,
}

impl Case {
    fn object(&self) -> (String, String) {
        if let Some(object) = &self.deleted {
            let name = object["metadata"]["name"].as_str().unwrap();
            return (object["kind"].as_str().unwrap().to_owned(), name.to_owned());
        }
        let (kind, name) = self.object.split_once('/').unwrap();
        (kind.to_owned(), name.to_owned())
    }
}

fn cases() -> Vec<Case> {
    let file = repository().join("tests/changes/cases.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn scenario(name: &str) -> Vec<Value> {
    let file = repository().join(format!("tests/scenarios/{name}.jsonl"));
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{name}: {e}"));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn analyze(name: &str, lines: &[Value]) -> Analysis {
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    let options = Options {
        top: MAX_CAUSES,
        now: Time(1_900_000_000_000_000),
        ..Options::default()
    };
    analyze::analyze(name, text.join("\n").as_bytes(), &options)
}

/// When the incident began that has the first cause.
fn onset(analysis: &Analysis) -> Option<Time> {
    let first = analysis
        .causes
        .first()
        .map(|c| format!("{} {}", c.component, c.fault_type));
    let of_first = analysis.incidents.iter().find(|i| i.cause == first);
    of_first
        .or(analysis.incidents.first())
        .map(|i| i.started_at)
}

fn is_state(line: &Value) -> bool {
    line["topic"]
        .as_str()
        .is_some_and(|topic| topic.ends_with("state.k8s.resource"))
}

fn is_of(line: &Value, kind: &str, name: &str) -> bool {
    let value = &line["value"];
    let named = value["name"]
        .as_str()
        .or(value["metadata"]["name"].as_str());
    is_state(line) && value["kind"] == kind && named == Some(name) && value["op"] != "DELETE"
}

/// The metadata of an object, in whichever form it is.
fn meta(object: &mut Value) -> &mut Map<String, Value> {
    let has_own = object.get("metadata").is_some();
    let place = if has_own {
        &mut object["metadata"]
    } else {
        object
    };
    place.as_object_mut().unwrap()
}

/// Sets or removes what JSON pointers name; adds to the end of a list behind its last item.
fn set(object: &mut Value, at: &BTreeMap<String, Value>) {
    for (pointer, value) in at {
        let (place, last) = pointer.rsplit_once('/').unwrap();
        let last = last.replace("~1", "/").replace("~0", "~");
        let place = object
            .pointer_mut(place)
            .unwrap_or_else(|| panic!("no {pointer}"));
        match place {
            Value::Object(map) if value.is_null() => drop(map.remove(&last)),
            Value::Object(map) => drop(map.insert(last, value.clone())),
            Value::Array(items) => match items.get_mut(last.parse::<usize>().unwrap()) {
                Some(item) => *item = value.clone(),
                None => items.push(value.clone()),
            },
            other => panic!("{pointer}: {other}"),
        }
    }
}

/// A version as the API server gives it. Without the number in its sender's stream, by which the
/// others would be repetitions.
fn version(mut object: Value, at: Time, number: u32, changed_at: Time, changes: bool) -> Value {
    object["at"] = at.to_string().into();
    object.as_object_mut().unwrap().remove("seq");
    let manager = |name: &str, at: Time| {
        json!({"manager": name, "operation": "Update", "time": seconds(at), "fieldsType":
            "FieldsV1", "fieldsV1": {"f:spec": {}}})
    };
    let mut managers = vec![manager("helm", changed_at.plus(-5 * 24 * 60 * MINUTE))];
    managers.extend(changes.then(|| manager(EDITOR, changed_at)));
    // Records of agents have managers where the API has them.
    let place = meta(&mut object);
    place.insert(
        "resourceVersion".to_owned(),
        format!("{}", 70_000 + number).into(),
    );
    object["metadata"]["managedFields"] = managers.into();
    json!({"topic": "state.k8s.resource", "value": object})
}

fn seconds(at: Time) -> String {
    at.to_string()
        .split('.')
        .next()
        .unwrap()
        .trim_end_matches('Z')
        .to_owned()
        + "Z"
}

/// The scenario with a change of an object three minutes before its onset.
fn with_change(case: &Case, lines: &[Value], at: Time) -> Vec<Value> {
    let (kind, name) = case.object();
    let before = at.plus(-10 * MINUTE);
    let (own, mut lines): (Vec<Value>, Vec<Value>) = lines
        .iter()
        .cloned()
        .partition(|line| is_of(line, &kind, &name));
    let cluster = lines
        .iter()
        .find_map(|l| l["value"]["cluster"].as_str())
        .unwrap()
        .to_owned();
    if let Some(object) = &case.deleted {
        let mut object = object.clone();
        object["cluster"] = cluster.clone().into();
        object["metadata"]["uid"] = "0b1e2c3d-0000-4000-8000-000000000001".into();
        let mut gone = object.clone();
        gone["op"] = "DELETE".into();
        gone["at"] = at.to_string().into();
        lines.push(version(object, before, 1, at, false));
        lines.push(json!({"topic": "state.k8s.resource", "value": gone}));
        return lines;
    }
    let last = own
        .last()
        .unwrap_or_else(|| panic!("{}: no {kind} {name}", case.scenario));
    let mut object = last["value"].clone();
    if case.created {
        let key = if object.get("metadata").is_some() {
            "creationTimestamp"
        } else {
            "created"
        };
        meta(&mut object).insert(key.to_owned(), seconds(at).into());
        lines.push(version(object, at, 1, at, true));
        return lines;
    }
    let mut old = object.clone();
    set(&mut old, &case.set);
    lines.push(version(old, before, 1, at, false));
    lines.push(version(object, at.plus(1), 2, at, true));
    // What was seen of it later, such as its state.
    let later = own
        .iter()
        .map(|line| line["value"].clone())
        .filter(|object| {
            object["at"]
                .as_str()
                .and_then(Time::parse)
                .is_some_and(|seen| seen > at.plus(1))
        });
    let later: Vec<Value> = later.collect();
    for (i, object) in later.into_iter().enumerate() {
        let seen = object["at"].as_str().and_then(Time::parse).unwrap();
        lines.push(version(object, seen, 3 + i as u32, at, true));
    }
    lines
}

fn blamed(cause: Option<&Cause>) -> Blamed {
    let change = cause?.change.as_ref()?;
    let resource = change.resource.as_ref()?;
    Some((
        resource.kind.clone(),
        resource.name.clone(),
        change.field.clone(),
    ))
}

/// Object and field that a cause blames.
type Blamed = Option<(String, String, Option<String>)>;

/// Whether the change is named also when every other object of its namespace has a harmless one.
fn is_named_beside_harmless_ones(
    case: &Case,
    lines: &[Value],
    at: Time,
    expected: &Blamed,
) -> bool {
    let mut lines = with_change(case, lines, at);
    let (kind, name) = case.object();
    let (own, mut others): (Vec<Value>, Vec<Value>) = lines
        .drain(..)
        .partition(|line| is_of(line, &kind, &name) || !is_state(line));
    let namespaces: BTreeSet<String> = others
        .iter()
        .filter_map(|l| {
            l["value"]["namespace"]
                .as_str()
                .or(l["value"]["metadata"]["namespace"].as_str())
        })
        .map(str::to_owned)
        .collect();
    for namespace in namespaces {
        for kind in [
            "Deployment",
            "StatefulSet",
            "Service",
            "ConfigMap",
            "ServiceAccount",
        ] {
            harmless(&mut others, kind, &namespace, at);
        }
    }
    others.extend(own);
    let analysis = analyze(&case.scenario, &others);
    let said = blamed(analysis.causes.first());
    if said != *expected {
        println!("{} beside harmless ones: {said:?}", case.scenario);
    }
    said == *expected
}

#[test]
fn the_change_behind_an_incident_is_named() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    let kinds: BTreeSet<String> = cases.iter().map(|case| case.object().0).collect();
    assert!(kinds.len() >= 20, "{kinds:?}");
    let (mut right, mut beside, mut wrong) = (0, 0, Vec::new());
    for case in &cases {
        let lines = scenario(&case.scenario);
        let plain = analyze(&case.scenario, &lines);
        let Some(at) = onset(&plain) else {
            wrong.push(format!("{}: no incident", case.scenario));
            continue;
        };
        let at = at.plus(-3 * MINUTE);
        let analysis = analyze(&case.scenario, &with_change(case, &lines, at));
        let first = analysis.causes.first();
        let (kind, name) = case.object();
        let expected = Some((kind, name, case.field.clone()));
        let said = blamed(first);
        let same_cause = first.map(|c| (&c.component, &c.fault_type))
            == plain.causes.first().map(|c| (&c.component, &c.fault_type));
        if said == expected && same_cause {
            right += 1;
            beside += u32::from(is_named_beside_harmless_ones(case, &lines, at, &expected));
        } else {
            let cause = first.map(|c| format!("{} {}: {}", c.component, c.fault_type, c.message));
            let others: Vec<&str> = analysis.other_changes.iter().map(|c| &*c.what).collect();
            wrong.push(format!(
                "{}: expected {expected:?}, said {said:?}\n    {cause:?}\n    others {others:?}, \
                 same cause {same_cause}",
                case.scenario
            ));
        }
    }
    let share = f64::from(right) / cases.len() as f64;
    println!(
        "right object and field: {right} of {} ({share:.3})",
        cases.len()
    );
    println!(
        "with harmless changes at the same time: {beside} of {}",
        cases.len()
    );
    println!("{}", wrong.join("\n"));
    assert!(share >= 0.95, "{share:.3}");
    assert!(f64::from(beside) / cases.len() as f64 >= 0.95, "{beside}");
}

/// A deployment is rejected in CI with what it changed, and accepted when it breaks nothing.
#[test]
fn a_deployment_is_accepted_or_rejected() {
    let cases = cases();
    let case = cases
        .iter()
        .find(|case| case.scenario == "service/real-selector")
        .unwrap();
    let now = scenario(&case.scenario);
    let (kind, name) = case.object();
    let mut before = now.clone();
    for line in before.iter_mut().filter(|line| is_of(line, &kind, &name)) {
        set(&mut line["value"], &case.set);
        meta(&mut line["value"]).insert("resourceVersion".to_owned(), "1".into());
    }
    // What was said came with the change.
    before.retain(is_state);
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, lines: &[Value]| {
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        let path = folder.path().join(file);
        // The state before is a day old.
        let text = match file {
            "before.jsonl" => text.join("\n").replace("2026-11-21T", "2026-11-20T"),
            _ => text.join("\n"),
        };
        std::fs::write(&path, text).unwrap();
        path
    };
    let (before, after) = (write("before.jsonl", &before), write("after.jsonl", &now));
    let (sarif, junit) = (
        folder.path().join("out.sarif"),
        folder.path().join("out.xml"),
    );
    let run = |after: &Path| {
        let mut command = Command::new(binary("kgrca"));
        command
            .args(["analyze", "--before"])
            .arg(&before)
            .arg("--after")
            .arg(after);
        command
            .arg("--sarif")
            .arg(&sarif)
            .arg("--junit")
            .arg(&junit);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = run(&after);
    assert_eq!(code, Some(10), "{text}");
    let field = "spec.selector[\"app.kubernetes.io/name\"]: stock-level → stock-levels";
    assert!(
        text.contains("rejected: 1 new cause") && text.contains(field),
        "{text}"
    );
    let report: Value = serde_json::from_slice(&std::fs::read(&sarif).unwrap()).unwrap();
    assert_eq!(report["version"], "2.1.0");
    let result = &report["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "service.selector_mismatch");
    assert_eq!(
        report["runs"][0]["tool"]["driver"]["rules"][0]["id"],
        result["ruleId"]
    );
    assert_eq!(
        result["properties"]["change"]["resource"]["name"],
        "stock-level"
    );
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(
        xml.contains("failures=\"1\"") && xml.contains("<failure type=\"service."),
        "{xml}"
    );
    let (code, text) = run(&before);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("accepted: no new cause"), "{text}");
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("tests=\"0\" failures=\"0\""), "{xml}");
}

/// The recorded incidents that have a cause, without those that are the cases above: one of each
/// few, so that all families are among them.
fn others(step: usize) -> Vec<(String, Vec<Value>, Analysis)> {
    let root = repository().join("tests/scenarios");
    let mut files = Vec::new();
    for folder in std::fs::read_dir(&root).unwrap() {
        let folder = folder.unwrap().path();
        files.extend(
            std::fs::read_dir(folder)
                .unwrap()
                .map(|file| file.unwrap().path()),
        );
    }
    files.sort();
    let names = files.iter().step_by(step).map(|file| {
        let name = file.strip_prefix(&root).unwrap().with_extension("");
        name.to_string_lossy().into_owned()
    });
    let read = names.map(|name| {
        let lines = scenario(&name);
        let analysis = analyze(&name, &lines);
        (name, lines, analysis)
    });
    read.filter(|(_, lines, analysis)| {
        let Some(onset) = onset(analysis) else {
            return false;
        };
        let day_before = onset.plus(-24 * 60 * MINUTE);
        !lines.iter().filter_map(creates).any(|at| at > day_before)
    })
    .collect()
}

/// When an object was created that can change how others work: such an incident has a change.
fn creates(line: &Value) -> Option<Time> {
    let kinds = [
        "Policy",
        "ResourceQuota",
        "LimitRange",
        "Budget",
        "Autoscaler",
        "Configuration",
    ];
    let value = &line["value"];
    let kind = value["kind"].as_str()?;
    let created = value["created"]
        .as_str()
        .or(value["metadata"]["creationTimestamp"].as_str());
    let governs = kinds.iter().any(|ending| kind.ends_with(ending));
    (is_state(line) && governs).then(|| Time::parse(created?))?
}

/// A harmless change of an object of a scenario.
fn harmless(lines: &mut Vec<Value>, kind: &str, namespace: &str, at: Time) -> usize {
    let is_of_namespace = |line: &&Value| {
        let value = &line["value"];
        let own = value["namespace"]
            .as_str()
            .or(value["metadata"]["namespace"].as_str());
        is_state(line) && value["kind"] == kind && own == Some(namespace)
    };
    let objects: Vec<Value> = lines.iter().filter(is_of_namespace).cloned().collect();
    let names: BTreeSet<String> = objects
        .iter()
        .filter_map(|l| {
            l["value"]["name"]
                .as_str()
                .or(l["value"]["metadata"]["name"].as_str())
        })
        .map(str::to_owned)
        .collect();
    for name in &names {
        // It may have been deleted.
        let Some(own) = objects.iter().find(|line| is_of(line, kind, name)) else {
            continue;
        };
        let own = own["value"].clone();
        let mut new = own.clone();
        let labels = meta(&mut new).entry("labels").or_insert(json!({}));
        labels["team"] = "platform".into();
        let notes = meta(&mut new).entry("annotations").or_insert(json!({}));
        notes["example.com/owner"] = "platform".into();
        if kind == "ConfigMap" && new["data"].is_object() {
            new["data"]["LOG_LEVEL"] = "warn".into();
        }
        lines.retain(|line| !is_of(line, kind, name));
        lines.push(version(own, at.plus(-10 * MINUTE), 1, at, false));
        lines.push(version(new, at, 2, at, true));
    }
    names.len()
}

#[test]
fn what_is_harmless_is_listed_and_not_blamed() {
    let (mut incidents, mut changes, mut wrong) = (0, 0, Vec::new());
    for (name, mut lines, plain) in others(9) {
        let Some(at) = onset(&plain) else {
            continue;
        };
        let at = at.plus(-3 * MINUTE);
        let namespace = plain.causes[0].resource.namespace.clone();
        let kinds = [
            "Deployment",
            "StatefulSet",
            "Service",
            "ConfigMap",
            "ServiceAccount",
        ];
        let made: usize = kinds
            .iter()
            .map(|k| harmless(&mut lines, k, &namespace, at))
            .sum();
        if made == 0 {
            continue;
        }
        let analysis = analyze(&name, &lines);
        (incidents, changes) = (incidents + 1, changes + made);
        let said = analysis.causes.iter().find_map(|cause| blamed(Some(cause)));
        if said.is_some() || analysis.other_changes.is_empty() {
            let others = analysis.other_changes.len();
            wrong.push(format!("{name}: {said:?}, {others} others"));
        }
    }
    println!(
        "{changes} harmless changes beside {incidents} incidents: {} wrong",
        wrong.len()
    );
    assert!(incidents >= 20 && changes >= 20);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_a_change_none_is_blamed() {
    let all = others(9);
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|(name, _, plain)| Some(format!("{name}: {:?}", blamed(plain.causes.first())?)))
        .collect();
    println!(
        "{} incidents without a change: {} wrong",
        all.len(),
        wrong.len()
    );
    assert!(all.len() >= 20);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
