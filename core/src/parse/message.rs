//! Texts that people read: as much of them is kept as explains a fault.

use super::identifier::{ANNOTATIONS, LABEL_VALUE};
use crate::model::object::Labels;
use crate::model::{Body, Record, Str};

/// Most bytes that are kept of a message of an event, a log line, or an annotation of an alert: the
/// longest stack traces that agents send are shorter.
const MAX: usize = 16 << 10;
/// Most bytes of a label's value of an alert, of which names of objects are read.
const ALERT_LABEL: usize = 4 * LABEL_VALUE;
/// What stands for the middle of a longer one. Its end is kept: there a stack trace has its cause.
const CUT: &str = "\n[…]\n";

/// Cuts the middle out of long messages of a record, after secrets were masked.
pub(super) fn shorten(record: &mut Record) {
    match &mut record.body {
        Body::Event(event) => one(&mut event.message, MAX),
        Body::Log(line) => one(&mut line.message, MAX),
        Body::Alert(alert) => {
            all(&mut alert.labels, ALERT_LABEL);
            all(&mut alert.annotations, MAX);
            let (names, values) = alert
                .annotations
                .iter()
                .fold((0, 0), |(n, v), (name, value)| {
                    (n + name.len(), v + value.len())
                });
            if names + values > ANNOTATIONS {
                let each = ANNOTATIONS.saturating_sub(names) / alert.annotations.0.len();
                all(&mut alert.annotations, each);
            }
        }
        _ => {}
    }
}

/// Cuts each value to so many bytes.
fn all(labels: &mut Labels, max: usize) {
    if labels.iter().any(|(_, value)| value.len() > max) {
        let mut pairs = labels.0.to_vec();
        for (_, value) in &mut pairs {
            one(value, max);
        }
        labels.0 = pairs.into();
    }
}

fn one(text: &mut Str, max: usize) {
    if text.len() > max {
        let half = max.saturating_sub(CUT.len()) / 2;
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
    fn alerts_are_bounded_however_many_labels_and_annotations_they_have() {
        let many = |count: usize, size: usize| {
            let pairs = (0..count).map(|i| (format!("name-{i}"), "x".repeat(size).into()));
            serde_json::Value::Object(pairs.collect())
        };
        let read = |labels: serde_json::Value, annotations: serde_json::Value| {
            let mut labels = labels;
            labels["alertname"] = "a".into();
            let record = serde_json::json!({"cluster": "c", "labels": labels,
                "annotations": annotations, "startsAt": "1970-01-01T00:00:00Z"});
            let mut records = Vec::new();
            let text = record.to_string();
            let context = Context::default();
            let read = parse(Topic::Alerts, text.as_bytes(), &context, &mut records);
            let bytes = |labels: &Labels| {
                let sizes = labels.iter().map(|(name, value)| name.len() + value.len());
                sizes.sum::<usize>()
            };
            let sizes = records.iter().map(|record| match &record.body {
                Body::Alert(alert) => (bytes(&alert.labels), bytes(&alert.annotations)),
                _ => panic!("an alert"),
            });
            let sizes: Vec<_> = sizes.collect();
            read.map(|()| sizes[0])
        };
        for (count, size) in [(1, 900_000), (60, 16_000), (1000, 900), (3500, 0)] {
            let (_, annotations) = read(many(1, 1), many(count, size)).unwrap();
            let all = ANNOTATIONS + count * CUT.len();
            assert!(annotations <= all, "{count} of {size}: {annotations}");
        }
        let usual = many(10, 200);
        assert_eq!(read(usual.clone(), usual).unwrap(), (2070, 2060));
        let (labels, _) = read(many(15, 60_000), many(1, 1)).unwrap();
        assert!(labels <= 16 << 10, "{labels}");
        assert!(
            read(many(60, 16_000), many(1, 1)).is_err(),
            "too many labels"
        );
        assert!(read(many(1, 1), many(10_000, 0)).is_err(), "too many names");
    }

    #[test]
    fn a_message_of_the_maximum_stays_as_it_is() {
        let mut text: Str = "x".repeat(MAX).into();
        let before = text.clone();
        one(&mut text, MAX);
        assert_eq!(text, before);
    }
}
