//! The corpus of planted secrets and of text that only looks like one: see `tests/corpus`.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;

use kgrca_core::model::Topic;
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::repository;

/// Personal data in a line, and what of it must not be found.
pub const PERSONAL: [(&str, &str); 3] = [
    ("login of jane.doe+x@example.com failed", "jane.doe+x"),
    ("card 5500-0000-0000-0004 was declined", "5500-0000"),
    ("client: 198.51.100.23, server: web", "198.51.100.23"),
];

/// A line of the corpus.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// What it is.
    pub kind: String,
    /// Where it stands: `log`, `event`, `arg`, `env:NAME`, `cm:KEY` or `anno:KEY`.
    pub at: String,
    text: String,
    #[serde(default)]
    secret: Vec<String>,
    /// What must survive; without it the whole text.
    pub keep: Option<Vec<String>>,
}

/// Reads a file of the corpus.
///
/// # Panics
/// If it cannot be read.
pub fn read(name: &str) -> Vec<Case> {
    let path = repository().join("tests/corpus").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect()
}

impl Case {
    /// The text with its secret.
    pub fn text(&self) -> String {
        self.text
            .replace("{S}", &self.secret.concat())
            .replace("{+}", "")
    }

    /// Parts of the secret of which none may be found: a secret that was cut is not masked.
    pub fn fragments(&self) -> Vec<String> {
        let last: Vec<char> = self
            .secret
            .last()
            .map(|s| s.chars().collect())
            .unwrap_or_default();
        let length = last.len().clamp(1, 8);
        last.windows(length).map(|w| w.iter().collect()).collect()
    }

    /// A record that has the text in its place, with a name of its own.
    pub fn record(&self, name: &str) -> (Topic, Value) {
        let text = self.text();
        let metadata = json!({"name": name, "namespace": "shop", "uid": format!("uid-{name}")});
        let pod = |container: Value| {
            let spec = json!({"containers": [container]});
            json!({"kind": "Pod", "cluster": "prod", "metadata": metadata, "spec": spec})
        };
        let (place, key) = self.at.split_once(':').unwrap_or((&self.at, ""));
        let state = match place {
            "env" => pod(json!({"name": "main", "env": [{"name": key, "value": text}]})),
            "arg" => pod(json!({"name": "main", "args": ["serve", text]})),
            "cm" => json!({
                "kind": "ConfigMap", "cluster": "prod", "metadata": metadata, "data": {key: text},
            }),
            "anno" => {
                let mut object = pod(json!({"name": "main"}));
                object["metadata"]["annotations"] = json!({key: text});
                object
            }
            "event" => {
                let subject = json!({"kind": "Pod", "ns": "shop", "name": name});
                return (
                    Topic::Events,
                    json!({
                        "event_id": name, "etype": "k8s.event", "cluster": "prod",
                    "severity": "WARNING",
                        "reason": "Failed", "message": text, "subject": subject,
                    }),
                );
            }
            _ => {
                return (
                    Topic::Logs,
                    json!({
                        "etype": "k8s.log", "cluster": "prod", "severity": "ERROR", "message": text,
                        "pod_namespace": "shop", "pod_name": name, "container": "main",
                    }),
                );
            }
        };
        (Topic::Resource, state)
    }
}

/// A secret in all kinds of records, besides its own place.
pub fn in_records(cases: &[Case]) -> HashMap<&'static str, Vec<Value>> {
    let mut all: HashMap<&'static str, Vec<Value>> = HashMap::new();
    for (at, case) in cases.iter().enumerate() {
        let (topic, own) = case.record(&format!("own-{at}"));
        let route = match topic {
            Topic::Resource => "resources",
            Topic::Events => "events",
            _ => "logs",
        };
        all.entry(route).or_default().push(own);
        // A bare password is only a word: the name before it gives it away.
        if !matches!(case.at.as_str(), "log" | "event") {
            continue;
        }
        let (text, name) = (case.text(), format!("pod-{at}"));
        let pod = json!({"kind": "Pod", "ns": "shop", "name": name});
        all.entry("events").or_default().push(json!({
            "event_id": format!("e-{at}"), "etype": "k8s.event", "cluster": "prod",
            "severity": "WARNING", "reason": "Failed", "message": text, "subject": pod,
        }));
        all.entry("logs").or_default().push(json!({
            "cluster": "prod", "severity": "ERROR", "message": text, "subject": pod,
        }));
        all.entry("alerts").or_default().push(json!({
            "startsAt": "2026-01-01T00:00:00Z", "status": "firing", "cluster": "prod",
            "labels": {"alertname": format!("A{at}"), "pod": name},
            "annotations": {"description": text},
        }));
        // Rejected: no subject.
        all.entry("logs")
            .or_default()
            .push(json!({"cluster": "prod", "message": text}));
    }
    for (at, (text, _)) in PERSONAL.iter().enumerate() {
        let pod = json!({"kind": "Pod", "ns": "shop", "name": format!("personal-{at}")});
        all.entry("events").or_default().push(json!({
            "event_id": format!("p-{at}"), "etype": "k8s.event", "cluster": "prod",
            "severity": "WARNING", "reason": "Failed", "message": text, "subject": pod,
        }));
        all.entry("logs").or_default().push(json!({
            "cluster": "prod", "severity": "ERROR", "message": text, "subject": pod,
        }));
    }
    all
}

/// The text of all files below a folder, also of what they have compressed.
pub fn text_of(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &text_of(&path);
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            text += &String::from_utf8_lossy(&bytes);
            for at in positions(&bytes, &ZSTD) {
                text += &decompressed(&bytes[at..]);
            }
        }
    }
    text
}

/// How a frame of zstd begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn positions(bytes: &[u8], word: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(word.len()).enumerate();
    windows
        .filter(|(_, w)| *w == word)
        .map(|(at, _)| at)
        .collect()
}

/// What can be read of a frame.
fn decompressed(frame: &[u8]) -> String {
    let mut out = Vec::new();
    if let Ok(decoder) = zstd::stream::read::Decoder::new(frame) {
        // Bytes that only look like a frame.
        let _ = decoder.single_frame().read_to_end(&mut out);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The texts of the cases of which a text has a secret.
fn leaked(cases: &[Case], text: &str) -> Vec<String> {
    let mut owners: HashMap<String, usize> = HashMap::new();
    for (at, case) in cases.iter().enumerate() {
        owners.extend(case.fragments().into_iter().map(|fragment| (fragment, at)));
    }
    let patterns: Vec<String> = owners.keys().map(|f| regex::escape(f)).collect();
    let any: Regex = regex::RegexBuilder::new(&patterns.join("|"))
        .size_limit(1 << 28)
        .build()
        .unwrap();
    let leaked: BTreeSet<usize> = any.find_iter(text).map(|m| owners[m.as_str()]).collect();
    leaked.iter().map(|at| cases[*at].text()).collect()
}

/// Fails when a text has secrets of more than one case in a hundred, or any personal data.
///
/// # Panics
/// See above.
pub fn assert_masked(cases: &[Case], text: &str, place: &str) {
    let leaked = leaked(cases, text);
    assert!(leaked.len() * 100 <= cases.len(), "{place}: {leaked:#?}");
    for (line, data) in PERSONAL {
        assert!(!text.contains(data), "{place}: {line}");
    }
}
