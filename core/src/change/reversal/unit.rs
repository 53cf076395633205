//! Fields that hold only together: where one is set back, all are.

use serde_json::Value;

use super::super::FieldChange;

/// The fields that belong to one at a path.
pub(super) struct Unit {
    /// Where they are.
    below: String,
    /// Their own names; empty for all.
    names: &'static [&'static str],
}

/// A variable has a value or a source of one, resources and probes have parts that fit each other,
/// and arguments are those of a command.
pub(super) fn of(path: &str) -> Option<Unit> {
    let all = |end: usize| Unit {
        below: path[..end].to_owned(),
        names: &[],
    };
    if let Some(at) = path.find(".env[") {
        let item = path[at..].find(']')?;
        return Some(all(at + item + 1));
    }
    let parts = [".resources", "Probe", ".strategy", ".updateStrategy"];
    let part = parts
        .iter()
        .find_map(|part| Some(path.find(part)? + part.len()));
    if let Some(end) = part {
        return Some(all(end));
    }
    let names: &[&str] = &["command", "args"];
    let (container, name) = path.rsplit_once("].")?;
    names.contains(&name).then(|| Unit {
        below: format!("{container}]"),
        names,
    })
}

/// Whether a path is in a unit.
pub(super) fn is_in(unit: Option<&Unit>, path: &str) -> bool {
    let Some(unit) = unit else { return false };
    let Some(rest) = path.strip_prefix(&*unit.below) else {
        return false;
    };
    let name = rest.trim_start_matches('.');
    let is_below = rest.is_empty() || rest.starts_with(['.', '[']);
    is_below && (unit.names.is_empty() || unit.names.contains(&name))
}

/// The path that a field is taken away at: a variable that came goes as a whole.
pub(super) fn top(field: &FieldChange, is_new: bool) -> &str {
    let path = field.path.as_str();
    let Some((before, rest)) = path.split_once(".env[").filter(|_| field.old.is_none()) else {
        return path;
    };
    let Some(item) = rest.find(']') else {
        return path;
    };
    let item = before.len() + ".env[".len() + item + 1;
    let source = item + ".valueFrom".len();
    if is_new {
        &path[..item]
    } else if path[item..].starts_with(".valueFrom") {
        &path[..source]
    } else {
        path
    }
}

/// Two patches as one; `None` if they are about items of different kinds.
pub(super) fn merged(one: Value, other: Value) -> Option<Value> {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            for (name, value) in other {
                let value = match one.remove(&name) {
                    Some(before) => merged(before, value)?,
                    None => value,
                };
                one.insert(name, value);
            }
            Some(Value::Object(one))
        }
        (Value::Array(mut one), Value::Array(mut other)) => {
            let both = (one.pop()?, other.pop()?);
            let is_single = one.is_empty() && other.is_empty();
            is_single.then_some(())?;
            Some(Value::Array(vec![merged(both.0, both.1)?]))
        }
        (one, other) => (one == other).then_some(one),
    }
}
