//! Texts that people read: as much of them is kept as explains a fault.

use crate::model::object::Labels;
use crate::model::{Body, Record, Str};

/// Most bytes that are kept of a message of an event, a log line, or an annotation of an alert: the
/// longest stack traces that agents send are shorter.
const MAX: usize = 16 << 10;
/// What stands for the middle of a longer one. Its end is kept: there a stack trace has its cause.
const CUT: &str = "\n[…]\n";

/// Cuts the middle out of long messages of a record, after secrets were masked.
pub(super) fn shorten(record: &mut Record) {
    match &mut record.body {
        Body::Event(event) => one(&mut event.message),
        Body::Log(line) => one(&mut line.message),
        Body::Alert(alert) => {
            all(&mut alert.labels);
            all(&mut alert.annotations);
        }
        _ => {}
    }
}

fn all(labels: &mut Labels) {
    if labels.iter().any(|(_, value)| value.len() > MAX) {
        let mut pairs = labels.0.to_vec();
        for (_, value) in &mut pairs {
            one(value);
        }
        labels.0 = pairs.into();
    }
}

fn one(text: &mut Str) {
    if text.len() > MAX {
        let half = (MAX - CUT.len()) / 2;
        let start = &text[..text.floor_char_boundary(half)];
        let end = &text[text.ceil_char_boundary(text.len() - half)..];
        *text = format!("{start}{CUT}{end}").into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topic;
    use crate::parse::{Context, parse};

    fn texts(topic: Topic, record: &serde_json::Value) -> String {
        let mut records = Vec::new();
        let text = record.to_string();
        parse(topic, text.as_bytes(), &Context::default(), &mut records).unwrap();
        format!("{records:?}")
    }

    #[test]
    fn long_messages_of_all_kinds_keep_their_start_and_end() {
        let long = format!("start {} end", "ä".repeat(MAX));
        let records = [
            (
                Topic::Events,
                serde_json::json!({"cluster": "c", "reason": "r", "message": long,
                    "subject": {"name": "p"}}),
            ),
            (
                Topic::Logs,
                serde_json::json!({"cluster": "c", "severity": "ERROR", "pod_name": "p",
                    "message": long}),
            ),
            (
                Topic::Alerts,
                serde_json::json!({"cluster": "c", "labels": {"alertname": "a", "long": long},
                    "annotations": {"summary": long}, "startsAt": "1970-01-01T00:00:00Z"}),
            ),
        ];
        for (topic, record) in records {
            let shown = texts(topic, &record);
            assert!(shown.len() < 4 * MAX, "{topic:?}: {} bytes", shown.len());
            assert!(
                shown.contains("start ä") && shown.contains("ä end"),
                "{topic:?}"
            );
        }
    }

    #[test]
    fn a_message_of_the_maximum_stays_as_it_is() {
        let mut text: Str = "x".repeat(MAX).into();
        let before = text.clone();
        one(&mut text);
        assert_eq!(text, before);
    }
}
