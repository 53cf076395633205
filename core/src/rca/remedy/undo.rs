//! The command that takes another one back.

use serde_json::{Map, Value};

use super::effect::verb;
use super::target::Target;
use super::{Cause, Risk};
use crate::change::{Segment, segments};
use crate::model::Command;
use crate::model::object::fields::{CUT, HASH};

/// The command that takes back what words do; none if it is not known.
pub(super) fn of(cause: &Cause<'_>, target: &Target, words: &[String], risk: Risk) -> Command {
    let (verb, rest) = verb(words);
    let scope: &[String] = match words.get(1).map(String::as_str) {
        Some("-n") => words.get(..3).unwrap_or_default(),
        _ => words.get(..1).unwrap_or_default(),
    };
    let again = |other: &[&str]| {
        let scope = scope.iter().map(String::as_str);
        Command::words(scope.chain(other.iter().copied()))
    };
    let object = rest.iter().take_while(|word| !word.starts_with('-'));
    let object: Vec<&str> = object.map(String::as_str).collect();
    let is_of_template = risk == Risk::RestartsPods && target.is_rolling();
    let before = format!("{}/{}", target.kind, target.name);
    match verb.as_str() {
        "patch" if is_of_template => {
            let exact = patch(cause, target, words, &again);
            exact.unwrap_or_else(|| again(&["rollout", "undo", &before]))
        }
        "rollout undo" | "set image" | "set env" | "set resources" | "edit" if is_of_template => {
            again(&["rollout", "undo", &before])
        }
        // What the reader has to put in decides what is taken back.
        _ if risk == Risk::ReadOnly || words.iter().any(|word| word.starts_with('<')) => {
            Command::default()
        }
        // A claim can only grow, and what a pipe makes may have been there before.
        "patch" if words.iter().any(|word| word == "pvc") => Command::default(),
        _ if words.iter().any(|word| word == "|") => Command::default(),
        "cordon" | "drain" => again(&["uncordon", object.first().copied().unwrap_or_default()]),
        "uncordon" => again(&["cordon", object.first().copied().unwrap_or_default()]),
        "create" => match object[..] {
            ["secret", _, name] => again(&["delete", "secret", name]),
            [kind, name, ..] => again(&["delete", kind, name]),
            _ => Command::default(),
        },
        "scale" => match replicas(cause, target) {
            Some(count) => {
                let object = object.first().copied().unwrap_or_default();
                again(&["scale", object, &format!("--replicas={count}")])
            }
            None => Command::default(),
        },
        "patch" => patch(cause, target, words, &again).unwrap_or_default(),
        _ => Command::default(),
    }
}

/// How many replicas the target wants now.
fn replicas(cause: &Cause<'_>, target: &Target) -> Option<i64> {
    let object = cause.view.object(target.idx)?;
    object.workload()?.spec.replicas
}

/// The same patch with the values that the object has now.
fn patch(
    cause: &Cause<'_>,
    target: &Target,
    words: &[String],
    again: &dyn Fn(&[&str]) -> Command,
) -> Option<Command> {
    let at = words.iter().position(|word| word.starts_with('{'))?;
    let wanted: Value = serde_json::from_str(&words[at]).ok()?;
    let view = &cause.view;
    // The patched object is the blamed one, or the workload.
    let named = |name: &str| {
        words
            .iter()
            .any(|w| w == name || w.ends_with(&format!("/{name}")))
    };
    let blamed = view.graph.get(cause.blamed);
    let idx = match (named(blamed.name()), target.derived.is_none()) {
        (true, _) => cause.blamed,
        (false, true) if named(&target.name) => target.idx,
        _ => return None,
    };
    let object = view.object(idx)?;
    let leaves = object.fields.leaves();
    let leaves: Vec<(Vec<Segment>, &str)> = leaves
        .iter()
        .map(|(path, value)| (segments(path), *value))
        .collect();
    (!leaves.is_empty()).then_some(())?;
    let before = now(&wanted, &mut Vec::new(), &leaves)?.to_string();
    let from = words.iter().position(|word| word == "patch")?;
    let mut back: Vec<&str> = words[from..].iter().map(String::as_str).collect();
    back[at - from] = &before;
    Some(again(&back))
}

/// The values that an object has where a patch sets others; `null` where it has none. `None` if a
/// value is not known, or is in a list.
fn now(wanted: &Value, path: &mut Vec<Segment>, leaves: &[(Vec<Segment>, &str)]) -> Option<Value> {
    if let Value::Object(fields) = wanted {
        let mut back = Map::new();
        for (name, value) in fields {
            path.push(Segment::Field(name.clone()));
            back.insert(name.clone(), now(value, path, leaves)?);
            path.pop();
        }
        return Some(Value::Object(back));
    }
    if wanted.is_array() {
        return None;
    }
    match leaves.iter().find(|(leaf, _)| leaf == path) {
        Some((_, value)) if value.contains(HASH) || value.contains(CUT) => None,
        Some((_, value)) if value.contains("***") => None,
        Some((_, value)) => serde_json::from_str(value).ok(),
        None if leaves.iter().any(|(leaf, _)| leaf.starts_with(path)) => None,
        None => Some(Value::Null),
    }
}
