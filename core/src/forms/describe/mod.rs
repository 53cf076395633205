//! `kubectl describe` of one or more objects.

mod node;
mod other;
mod pod;
mod workload;

use serde_json::{Map, Value, json};

use super::Found;
use super::age::Seen;
use super::columns::Columns;
use super::outline::{self, Block};
use crate::model::Time;

/// Whether a text is what `kubectl describe` prints: it begins with a name, as its other lines are
/// fields.
pub(super) fn is_describe(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let is_field = |line: &str| {
        line.split_once(':')
            .is_some_and(|(key, _)| key.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    lines.next().is_some_and(begins) && lines.take(3).filter(|line| is_field(line)).count() >= 2
}

/// When descriptions were printed, as far as they show it.
pub(super) fn printed_at(text: &str) -> Option<Time> {
    let objects = objects(text).into_iter();
    objects
        .filter_map(|own| taken_at_of(&Block::read(own)))
        .max()
}

/// Whether a description begins with a line.
pub(super) fn begins(line: &str) -> bool {
    line.starts_with("Name:")
}

pub(super) fn read(text: &str, taken_at: Time) -> Found {
    let mut found = Found {
        printed_at: printed_at(text),
        ..Found::default()
    };
    let taken_at = found.printed_at.unwrap_or(taken_at);
    for own in objects(text) {
        let blocks = &Block::read(own);
        let described = Described { blocks, taken_at };
        match described.object() {
            Some(object) => {
                described.events(&object, own, &mut found);
                found.push(&object);
            }
            None => found.left_out += 1,
        }
    }
    found
}

/// The parts of a text that describe an object each.
fn objects(text: &str) -> Vec<&str> {
    let begins = |(at, _): &(usize, &str)| {
        // Without indentation: a volume has a name, too.
        *at == 0 || text[..*at].ends_with('\n')
    };
    let mut starts: Vec<usize> = text
        .match_indices("Name:")
        .filter(begins)
        .map(|(at, _)| at)
        .collect();
    starts.push(text.len());
    starts
        .windows(2)
        .map(|pair| &text[pair[0]..pair[1]])
        .collect()
}

/// What one object's description says.
struct Described<'b, 'a> {
    blocks: &'b [Block<'a>],
    taken_at: Time,
}

impl<'a> Described<'_, 'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        outline::value(self.blocks, key)
    }

    fn block(&self, key: &str) -> Option<&Block<'a>> {
        outline::find(self.blocks, key)
    }

    /// The object, as far as the text shows it; `None` when its kind is not known.
    fn object(&self) -> Option<Value> {
        let of_kind = [pod::object, node::object, workload::object, other::object];
        let mut object = of_kind.iter().find_map(|of| of(self))?;
        let mut meta = self.metadata();
        if let Some(own) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.append(own);
        }
        object["metadata"] = meta.into();
        Some(object)
    }

    fn metadata(&self) -> Map<String, Value> {
        let mut meta = Map::new();
        for (key, field) in [("Name", "name"), ("Namespace", "namespace")] {
            if let Some(text) = self.get(key) {
                meta.insert(field.to_owned(), text.into());
            }
        }
        for (key, field) in [("Labels", "labels"), ("Annotations", "annotations")] {
            meta.extend(
                self.block(key)
                    .map(|b| (field.to_owned(), pairs(b, &['=', ':']))),
            );
        }
        let created = self.get("CreationTimestamp").or(self.get("Start Time"));
        if let Some(created) = created.and_then(time) {
            meta.insert("creationTimestamp".into(), created.to_string().into());
        }
        if let Some((kind, name)) = self.get("Controlled By").and_then(|by| by.split_once('/')) {
            let owner = json!({ "kind": kind, "name": name, "controller": true });
            meta.insert("ownerReferences".into(), json!([owner]));
        }
        if let Some(since) = self
            .block("Status")
            .map(|b| b.value)
            .filter(|v| v.starts_with("Terminating"))
        {
            let age = since
                .split_once("lasts ")
                .map(|(_, age)| age.trim_end_matches(')'));
            let at = age.and_then(|age| super::age::before(self.taken_at, age));
            let at = at.unwrap_or(self.taken_at);
            meta.insert("deletionTimestamp".into(), at.to_string().into());
        }
        meta
    }

    /// The conditions as objects have them.
    fn conditions(&self) -> Value {
        let rows = self
            .block("Conditions")
            .map(|b| &b.children[..])
            .unwrap_or_default();
        let Some((head, rows)) = rows.split_first() else {
            return json!([]);
        };
        let Some(columns) = Columns::of(head.line) else {
            return json!([]);
        };
        let of = |row: &Block<'_>| {
            let row = columns.row(row.line);
            let mut condition = json!({ "type": row.get("Type")?, "status": row.get("Status")? });
            for (name, field) in [("Reason", "reason"), ("Message", "message")] {
                if let Some(text) = row.get(name) {
                    condition[field] = text.into();
                }
            }
            for (name, field) in [
                ("LastHeartbeatTime", "lastHeartbeatTime"),
                ("LastTransitionTime", "lastTransitionTime"),
            ] {
                if let Some(at) = row.get(name).and_then(time) {
                    condition[field] = at.to_string().into();
                }
            }
            Some(condition)
        };
        let is_rule = |row: &&Block<'_>| row.line.starts_with("--");
        rows.iter()
            .filter(|row| !is_rule(row))
            .filter_map(of)
            .collect()
    }

    /// The events below a description.
    fn events(&self, object: &Value, text: &str, found: &mut Found) {
        // Their columns are where they stand, so the lines must be as they were.
        let lines = text
            .lines()
            .skip_while(|line| !line.starts_with("Events:"))
            .skip(1);
        let mut lines =
            lines.filter(|line| !line.trim().is_empty() && !line.trim().starts_with("--"));
        let Some(columns) = lines.next().map(str::trim_start).and_then(Columns::of) else {
            return;
        };
        let about = json!({
            "kind": object["kind"],
            "apiVersion": object["apiVersion"],
            "namespace": object["metadata"]["namespace"],
            "name": object["metadata"]["name"],
        });
        for line in lines {
            let row = columns.row(line.trim_start());
            let Some(reason) = row.get("Reason") else {
                continue;
            };
            let seen = Seen::of(row.get("Age").unwrap_or_default(), self.taken_at);
            found.push(&event(
                &about,
                reason,
                &seen,
                [row.get("Type"), row.get("From"), row.get("Message")],
            ));
        }
    }
}

/// An event; `texts` are its type, its source and its message.
pub(super) fn event(about: &Value, reason: &str, seen: &Seen, texts: [Option<&str>; 3]) -> Value {
    let [kind, from, message] = texts.map(Option::unwrap_or_default);
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "v1",
        "involvedObject": about,
        "reason": reason,
        "type": kind,
        "message": message,
        "count": seen.count,
        "source": { "component": from },
    });
    for (field, at) in [("firstTimestamp", seen.first), ("lastTimestamp", seen.last)] {
        if let Some(at) = at {
            event[field] = at.to_string().into();
        }
    }
    event
}

/// When a description was printed: a pod says when it started, and its events how long ago it was
/// assigned to a node.
fn taken_at_of(blocks: &[Block<'_>]) -> Option<Time> {
    let start = time(outline::value(blocks, "Start Time")?)?;
    let events = outline::find(blocks, "Events")?.children.iter();
    let mut words = events
        .filter_map(|row| row.line.split_once("Scheduled"))
        .map(|(_, rest)| rest);
    let age = words.next()?.split_whitespace().next()?;
    super::age::micros(age).map(|age| start.plus(age))
}

/// A time as descriptions have it: `Sun, 29 Nov 2026 09:00:10 +0000`.
fn time(text: &str) -> Option<Time> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Time(at.timestamp().as_microsecond()))
}

/// The pairs of a block, one per line.
fn pairs(block: &Block<'_>, between: &[char]) -> Value {
    let of = |line: &str| {
        let (key, value) = line.split_once(between)?;
        Some((key.trim().to_owned(), value.trim().into()))
    };
    let all: Map<String, Value> = block.values().filter_map(of).collect();
    all.into()
}
