//! Log lines, with and without a prefix.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::lines::{Line, Stamp};
use super::origin::Origin;
use super::{Found, Source, Unread, unread};
use crate::trouble::report;

/// Longest message, in bytes.
const MAX_MESSAGE: usize = 32 << 10;

/// Reads log lines; those of an exception are one message.
///
/// # Errors
/// When no line says whose it is, and the source does not either.
pub(super) fn read(text: &str, source: &Source<'_>) -> Result<Found, Unread> {
    let origin = Origin::of(source);
    let mut found = Found::default();
    let mut open: BTreeMap<Origin, Open> = BTreeMap::new();
    let mut last: Option<Origin> = None;
    for text in text.lines().filter(|line| !line.trim().is_empty()) {
        let line = Line::of(text);
        let has_no_owner = line.pod.is_empty() && line.node.is_empty();
        // The lines of an exception often follow the first one without its prefix.
        let own = match last.take().filter(|_| has_no_owner && origin.is_unknown()) {
            Some(before) => before,
            None => origin.with(&line),
        };
        if own.is_unknown() {
            found.left_out += 1;
            continue;
        }
        if !open
            .get_mut(&own)
            .is_some_and(|message| message.takes(&line))
        {
            let new = Open::new(&line, source);
            if let Some(message) = open.insert(own.clone(), new) {
                found.push(&message.record(&own));
            }
        }
        last = Some(own);
    }
    for (own, message) in &open {
        found.push(&message.record(own));
    }
    if found.json.is_empty() {
        return Err(unread::without_pod());
    }
    Ok(found)
}

/// Whether a time is one that the container runtime wrote, as `kubectl logs --timestamps` shows it:
/// programs do not write nanoseconds.
fn is_of_runtime(time: &str) -> bool {
    let fraction = time.strip_suffix('Z').and_then(|t| t.split_once('.'));
    fraction.is_some_and(|(_, digits)| digits.len() > 6)
}

/// A message that the next line may continue.
struct Open {
    text: String,
    time: Option<String>,
    report: report::Open,
}

impl Open {
    fn new(line: &Line<'_>, source: &Source<'_>) -> Self {
        Self {
            text: line.message.to_owned(),
            time: line.time.at(source.taken_at).map(|at| at.to_string()),
            report: report::Open::new(line.message),
        }
    }

    /// Takes a line that continues the message.
    fn takes(&mut self, line: &Line<'_>) -> bool {
        let is_new = match line.time {
            // Kubernetes writes it before every line, also those of an exception.
            Stamp::Full(time) if is_of_runtime(time) => !Line::of(line.message).time.is_none(),
            time => !time.is_none(),
        };
        let continues = !is_new && self.report.continues_with(line.message);
        if continues && self.text.len() + line.message.len() < MAX_MESSAGE {
            self.text.push('\n');
            self.text.push_str(line.message);
        }
        continues
    }

    fn record(&self, of: &Origin) -> Value {
        let mut value = json!({ "etype": "k8s.log", "message": self.text });
        if let Some(time) = &self.time {
            value["time"] = time.as_str().into();
        }
        if of.pod.is_empty() {
            value["subject"] = json!({ "kind": "Node", "name": of.node });
            return value;
        }
        for (key, text) in [
            ("pod", &of.pod),
            ("namespace", &of.namespace),
            ("container", &of.container),
        ] {
            if !text.is_empty() {
                value[key] = text.as_str().into();
            }
        }
        value
    }
}
