//! The lines of a recorded case.

use serde_json::Value;

/// A line with what it is about.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    /// Empty for a line that is not JSON.
    pub(super) topic: String,
    pub(super) value: Value,
}

/// The lines of a case.
pub(super) fn lines(bytes: &[u8]) -> Vec<Line<'_>> {
    let line = |text| {
        let mut parsed: Value = serde_json::from_slice(text).unwrap_or_default();
        Line {
            text,
            topic: parsed["topic"].as_str().unwrap_or_default().to_owned(),
            value: parsed.get_mut("value").map(Value::take).unwrap_or_default(),
        }
    };
    bytes
        .split(|b| *b == b'\n')
        .filter(|text| !text.is_empty())
        .map(line)
        .collect()
}

/// The lines that a predicate keeps; the case's head and label stay.
pub(super) fn only(lines: &[Line<'_>], keeps: impl Fn(usize, &Line<'_>) -> bool) -> Vec<u8> {
    let kept: Vec<&[u8]> = lines
        .iter()
        .enumerate()
        .filter(|(i, line)| line.is_frame() || keeps(*i, line))
        .map(|(_, line)| line.text)
        .collect();
    kept.join(&b'\n')
}

impl Line<'_> {
    /// The head or the label of a case.
    pub(super) fn is_frame(&self) -> bool {
        matches!(self.topic.as_str(), "case" | "label")
    }

    pub(super) fn is_state(&self) -> bool {
        self.topic.starts_with("state.")
    }

    pub(super) fn text(&self, pointer: &str) -> &str {
        self.value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The kind of an object, else the topic.
    pub(super) fn kind(&self) -> String {
        match self.text("/kind") {
            kind if self.is_state() && !kind.is_empty() => kind.to_owned(),
            _ => self.topic.clone(),
        }
    }

    /// What a person would call the line: an object, the reason and subject of an event, the
    /// source and the first words of a log line.
    pub(super) fn about(&self) -> String {
        let name = match self.text("/name") {
            "" => self.text("/metadata/name"),
            name => name,
        };
        let message: String = match self.text("/message") {
            "" => self.text("/msg"),
            message => message,
        }
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .take(40)
        .collect();
        let subject = [
            "/subject/name",
            "/involvedObject/name",
            "/regarding/name",
            "/pod",
        ]
        .map(|at| self.text(at))
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or_default();
        if self.is_state() {
            format!("{} {name}", self.kind())
        } else {
            format!(
                "{} {subject} {} {message}",
                self.topic,
                self.text("/reason")
            )
        }
    }
}
