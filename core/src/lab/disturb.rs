//! Renames the objects of a recorded case, moves its times, or reorders or leaves out its lines:
//! shows whether the engine depends on names, order or complete data.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

use serde_json::Value;

use crate::model::Time;

/// Names that mean the same in every cluster.
const WELL_KNOWN: [&str; 13] = [
    "default",
    "kubernetes",
    "coredns",
    "kindnet",
    "calico-node",
    "etcd",
    "cluster",
    "local",
    "localhost",
    "observability",
    "monitoring",
    "istio-system",
    "metrics-server",
];
/// Kinds whose names people choose, and which are parts of other names, such as those of pods.
const NAMED_KINDS: [&str; 9] = [
    "Namespace",
    "Node",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "Service",
    "Ingress",
    "Job",
];
/// Fields of a label or case that hold ids of the catalogue, not names.
const ID_FIELDS: [&str; 4] = ["fault_type", "root_cause", "fault_taxonomy", "case"];
/// Syllables of generated names. They have vowels, so that no name looks like the random suffix
/// that a controller appends.
const SYLLABLES: [&str; 16] = [
    "ba", "do", "fe", "gu", "ka", "li", "mo", "na", "pe", "ro", "sa", "ti", "vo", "wu", "ze", "hi",
];

fn number(seed: u64, of: &impl std::hash::Hash) -> u64 {
    foldhash::fast::FixedState::with_seed(seed).hash_one(of)
}

/// Leaves out a share of the events, logs and alerts; state and labels stay. The seed determines
/// which.
pub fn drop(bytes: &[u8], percent: u8, seed: u64) -> Vec<u8> {
    let is_episode = |line: &[u8]| {
        ["\"events.", "\"logs.", "\"alerts."]
            .iter()
            .any(|t| topic(line).starts_with(t.as_bytes()))
    };
    let is_kept = |(i, line): &(usize, &[u8])| {
        !is_episode(line) || number(seed, i) % 100 >= u64::from(percent)
    };
    let kept: Vec<&[u8]> = bytes
        .split(|b| *b == b'\n')
        .enumerate()
        .filter(is_kept)
        .map(|(_, line)| line)
        .collect();
    kept.join(&b'\n')
}

/// The lines in an order that the seed determines. Lines with a sequence number keep their order:
/// it is what the number states.
pub fn shuffle(bytes: &[u8], seed: u64) -> Vec<u8> {
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|i| (number(seed, i), *i));
    let is_numbered = |i: &usize| memchr::memmem::find(lines[*i], b"\"seq\":").is_some();
    let mut numbered = (0..lines.len()).filter(is_numbered);
    let shuffled: Vec<&[u8]> = order
        .iter()
        .filter_map(|i| {
            if is_numbered(i) {
                numbered.next()
            } else {
                Some(*i)
            }
        })
        .map(|i| lines[i])
        .collect();
    shuffled.join(&b'\n')
}

/// Moves every time by so many microseconds; lines that are not JSON stay.
pub fn shift(bytes: &[u8], micros: i64) -> Vec<u8> {
    let shifted = |line: &[u8]| match serde_json::from_slice::<Value>(line) {
        Ok(mut value) => {
            move_times(&mut value, micros);
            value.to_string().into_bytes()
        }
        Err(_) => line.to_vec(),
    };
    let lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(shifted).collect();
    lines.join(&b'\n')
}

fn move_times(value: &mut Value, micros: i64) {
    match value {
        Value::String(text) => {
            if let Some(at) = Time::parse(text) {
                *text = at.plus(micros).to_string();
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|v| move_times(v, micros)),
        Value::Object(fields) => fields.values_mut().for_each(|v| move_times(v, micros)),
        _ => {}
    }
}

/// The rest of a line from its topic, with the quotation mark.
fn topic(line: &[u8]) -> &[u8] {
    const FIELD: &[u8] = b"\"topic\":";
    let at = line
        .windows(FIELD.len())
        .position(|w| w == FIELD)
        .map(|at| at + FIELD.len());
    line[at.unwrap_or(line.len())..].trim_ascii_start()
}

/// Renames namespaces, nodes, hosts, workloads and uids consistently, wherever they appear as whole
/// words, the longest name first. Keys of maps, well-known names and ids of the catalogue stay, as
/// do lines that are not JSON.
pub fn scramble(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut lines: Vec<Result<Value, &[u8]>> = bytes
        .split(|b| *b == b'\n')
        .map(|line| serde_json::from_slice(line).map_err(|_| line))
        .collect();
    let mut known = BTreeSet::new();
    for line in lines.iter().flatten() {
        names(line, &mut known);
    }
    let map = renamed(&known, seed);
    let mut out = Vec::with_capacity(bytes.len());
    for (i, line) in lines.iter_mut().enumerate() {
        if i > 0 {
            out.push(b'\n');
        }
        match line {
            Ok(value) => {
                rename(value, &map);
                out.extend(value.to_string().into_bytes());
            }
            Err(line) => out.extend(*line),
        }
    }
    out
}

/// Collects the names of objects, owners and subjects.
fn names(value: &Value, known: &mut BTreeSet<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|v| names(v, known)),
        Value::Object(fields) => {
            let text = |key: &str| {
                fields
                    .get(key)
                    .and_then(Value::as_str)
                    .filter(|t| !t.is_empty())
            };
            let inner = fields
                .get("metadata")
                .and_then(|m| m.get("name"))
                .and_then(Value::as_str);
            if text("kind").is_some_and(|k| NAMED_KINDS.contains(&k)) {
                known.extend(text("name").into_iter().chain(inner).map(str::to_owned));
            }
            for key in [
                "namespace",
                "ns",
                "node",
                "nodeName",
                "uid",
                "pod_uid",
                "pod_namespace",
            ] {
                known.extend(text(key).map(str::to_owned));
            }
            fields.values().for_each(|v| names(v, known));
        }
        _ => {}
    }
}

fn renamed(known: &BTreeSet<String>, seed: u64) -> BTreeMap<String, String> {
    let own =
        |name: &str| WELL_KNOWN.contains(&name) || name.starts_with("kube-") || name.len() < 2;
    let mut taken = BTreeSet::new();
    let mut map = BTreeMap::new();
    for name in known.iter().filter(|n| !own(n)) {
        let new = (0..u64::MAX)
            .map(|round| generated(name, number(seed, &(name, round))))
            .find(|n| !known.contains(n) && !taken.contains(n));
        if let Some(new) = new {
            taken.insert(new.clone());
            map.insert(name.clone(), new);
        }
    }
    map
}

/// A uid for a uid, five syllables for any other name.
fn generated(name: &str, random: u64) -> String {
    let is_uid = name.len() == 36 && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if is_uid {
        let other = number(random, &name);
        return format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            random >> 32,
            random >> 16 & 0xffff,
            random & 0xfff,
            other >> 52,
            other & 0xffff_ffff_ffff
        );
    }
    (0..5)
        .map(|i| SYLLABLES[(random >> (i * 4) & 15) as usize])
        .collect()
}

fn rename(value: &mut Value, map: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => *text = replace_names(text, map),
        Value::Array(all) => all.iter_mut().for_each(|v| rename(v, map)),
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                // The value of a role, as in `kubernetes.io/role: master`, is not a name.
                let is_role = key.contains("role");
                if !is_role
                    && !ID_FIELDS.contains(&key.as_str())
                    && !matches!(key.as_str(), "kind" | "apiVersion" | "topic" | "reason")
                {
                    rename(value, map);
                }
            }
        }
        _ => {}
    }
}

/// Replaces the names in a text that are whole words; of several that match, the longest.
fn replace_names(text: &str, map: &BTreeMap<String, String>) -> String {
    let is_word = |b: u8| b.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let starts = is_word(bytes[at]) && (at == 0 || !is_word(bytes[at - 1]));
        let hit = starts.then(|| longest(&text[at..], map)).flatten();
        if let Some((name, new)) = hit {
            out += new;
            at += name.len();
        } else {
            let next = text[at..].chars().next().map(char::len_utf8).unwrap_or(1);
            out += &text[at..at + next];
            at += next;
        }
    }
    out
}

/// The longest name that a text starts with, up to the end of a word.
fn longest<'a>(text: &str, map: &'a BTreeMap<String, String>) -> Option<(&'a str, &'a str)> {
    let first = text.chars().next()?.to_string();
    map.range(first.clone()..)
        .take_while(|(name, _)| name.starts_with(&first))
        .filter(|(name, _)| text.starts_with(name.as_str()))
        .filter(|(name, _)| {
            !text
                .as_bytes()
                .get(name.len())
                .is_some_and(u8::is_ascii_alphanumeric)
        })
        .max_by_key(|(name, _)| name.len())
        .map(|(name, new)| (name.as_str(), new.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn case() -> Vec<u8> {
        let lines = [
            json!({"topic": "case", "value": {"case": "x/cart", "namespace": "shop"}}),
            json!({"topic": "state.k8s.resource", "value": {
                "kind": "Deployment", "namespace": "shop", "name": "cart",
                "uid": "7f0f1b14-e65e-4b46-95c8-1a3762907172", "labels": {"cart": "cart"},
            }}),
            json!({"topic": "state.k8s.resource", "value": {
                "kind": "Pod", "namespace": "shop", "name": "cart-7c5f46fc47-x2v9q",
                "spec": {"nodeName": "w-1"},
            }}),
            json!({"topic": "events.normalized", "value": {
                "message": "cart cart-config carts shop/cart kube-system",
                "subject": {"kind": "Pod", "ns": "shop", "name": "cart-7c5f46fc47-x2v9q"},
            }}),
            json!({"topic": "label", "value": {
                "component": "app/cart", "fault_type": "config.key_missing",
            }}),
        ];
        lines.map(|line| line.to_string()).join("\n").into_bytes()
    }

    #[test]
    fn names_change_everywhere_and_structure_stays() {
        let out = String::from_utf8(scramble(&case(), 7)).unwrap();
        let lines: Vec<Value> = out
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let new = lines[1]["value"]["name"].as_str().unwrap();
        assert_ne!(new, "cart");
        assert_eq!(
            lines[1]["value"]["labels"]["cart"], new,
            "keys stay, values change"
        );
        assert_eq!(lines[2]["value"]["name"], format!("{new}-7c5f46fc47-x2v9q"));
        let ns = lines[1]["value"]["namespace"].as_str().unwrap();
        assert_eq!(
            lines[3]["value"]["message"],
            format!("{new} {new}-config carts {ns}/{new} kube-system")
        );
        assert_eq!(lines[4]["value"]["component"], format!("app/{new}"));
        assert_eq!(lines[4]["value"]["fault_type"], "config.key_missing");
        assert_eq!(
            scramble(&case(), 7),
            out.as_bytes(),
            "the same seed gives the same names"
        );
        assert_ne!(scramble(&case(), 8), out.as_bytes());
    }

    #[test]
    fn times_move_and_nothing_else_does() {
        let line = br#"{"at":"2026-01-01T10:00:00Z","note":"2026-01-01","n":7}"#;
        let moved = String::from_utf8(shift(line, 90_000_000)).unwrap();
        assert_eq!(
            moved,
            r#"{"at":"2026-01-01T10:01:30Z","n":7,"note":"2026-01-01"}"#
        );
    }

    #[test]
    fn a_shuffle_keeps_every_line() {
        let sorted = |bytes: &[u8]| {
            let mut lines: Vec<Vec<u8>> =
                bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            lines.sort();
            lines
        };
        assert_ne!(shuffle(&case(), 1), case());
        assert_eq!(sorted(&shuffle(&case(), 1)), sorted(&case()));
    }

    #[test]
    fn only_events_logs_and_alerts_are_left_out() {
        assert_eq!(drop(&case(), 0, 1), case());
        let none = String::from_utf8(drop(&case(), 100, 1)).unwrap();
        assert_eq!(none.lines().count(), 4);
        assert!(!none.contains("events.normalized"));
    }
}
