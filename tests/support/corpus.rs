//! The corpus of planted secrets and of text that only looks like one: see `tests/corpus`.

use kgrca_core::model::Topic;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::repository;

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
