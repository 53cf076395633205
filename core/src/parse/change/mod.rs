//! Changes that tools and people report: deployments, flags, migrations, maintenance. They are
//! stored in one form, whatever the tool's was.

mod tools;

use serde::Deserialize;
use serde_json::{Value, json};

use super::text::{Count, RefWire, Text, first_time, non_empty};
use super::{Context, Reason, Reject, check_tenant, cluster, mask};
use crate::model::{Body, Record, ReportedChange, Str, Subject, Time};

/// Longest text that is kept, in characters.
const MAX_MESSAGE: usize = 300;
/// What is called a change without a reason.
const DEFAULT_REASON: &str = "change";

/// Our own form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(borrow)]
    etype: Option<Text<'a>>,
    #[serde(borrow)]
    event_id: Option<Text<'a>>,
    #[serde(borrow)]
    event_time: Option<Text<'a>>,
    #[serde(borrow)]
    client_id: Option<Text<'a>>,
    #[serde(borrow)]
    cluster: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    subject: Option<RefWire<'a>>,
    #[serde(borrow)]
    by: Option<Text<'a>>,
    #[serde(borrow)]
    source: Option<Text<'a>>,
    #[serde(borrow)]
    revision: Option<Text<'a>>,
    #[serde(borrow)]
    src: Option<Text<'a>>,
    seq: Count,
}

/// What a text says about changes.
pub(super) enum Report<T> {
    /// It is about something else.
    Other,
    /// A tool says that nothing was changed yet.
    NotYet,
    /// It reports a change.
    Change(T),
}

/// Reads the change that a text reports.
///
/// # Errors
/// When it is a change and cannot be used.
pub(super) fn parse(text: &str, context: &Context<'_>) -> Result<Report<Record>, Reject> {
    if text.contains("\"change\"") {
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|e| Reject::json(&e))?;
        if non_empty(wire.etype.as_ref()) == Some("change") {
            return wire.record(context).map(Report::Change);
        }
    }
    let (at, change) = match tools::report(text) {
        Report::Other => return Ok(Report::Other),
        Report::NotYet => return Ok(Report::NotYet),
        Report::Change(change) => change,
    };
    Ok(Report::Change(Record {
        cluster: cluster(None, context)?,
        at: at.unwrap_or(context.received_at),
        sequence: None,
        body: Body::Change(Box::new(change)),
    }))
}

impl Wire<'_> {
    fn record(&self, context: &Context<'_>) -> Result<Record, Reject> {
        check_tenant(non_empty(self.client_id.as_ref()), context)?;
        let Some(message) = non_empty(self.message.as_ref()) else {
            return Err(Reject::new(
                Reason::UnknownShape,
                "a change needs a `message` that says what was changed",
            ));
        };
        let text = |field: &Option<Text<'_>>| non_empty(field.as_ref()).map(masked);
        Ok(Record {
            cluster: cluster(non_empty(self.cluster.as_ref()), context)?,
            at: first_time([self.event_time.as_ref()]).unwrap_or(context.received_at),
            sequence: non_empty(self.src.as_ref())
                .zip(self.seq.0)
                .map(|(source, number)| (Str::from(source), number)),
            body: Body::Change(Box::new(ReportedChange {
                id: non_empty(self.event_id.as_ref()).map(Str::from),
                reason: text(&self.reason).unwrap_or_else(|| DEFAULT_REASON.into()),
                message: short(message),
                subject: self.subject.as_ref().and_then(RefWire::subject),
                by: text(&self.by),
                source: text(&self.source),
                revision: text(&self.revision),
            })),
        })
    }
}

/// What is stored of a change; `None` for other records.
pub fn encode(record: &Record) -> Option<Vec<u8>> {
    let Body::Change(change) = &record.body else {
        return None;
    };
    let mut value = json!({
        "etype": "change",
        "event_time": record.at.to_string(),
        "cluster": &*record.cluster,
        "reason": &*change.reason,
        "message": &*change.message,
    });
    let texts = [
        ("event_id", &change.id),
        ("by", &change.by),
        ("source", &change.source),
        ("revision", &change.revision),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            value[name] = (&**text).into();
        }
    }
    if let Some(subject) = &change.subject {
        value["subject"] = reference(subject);
    }
    if let Some((source, number)) = &record.sequence {
        value["src"] = (&**source).into();
        value["seq"] = (*number).into();
    }
    serde_json::to_vec(&value).ok()
}

fn reference(subject: &Subject) -> Value {
    let mut value = json!({"kind": subject.kind.as_str(), "name": &*subject.name});
    if !subject.namespace.is_empty() {
        value["ns"] = (&*subject.namespace).into();
    }
    if let Some(uid) = &subject.uid {
        value["uid"] = (&**uid).into();
    }
    value
}

/// A text of a report, without secrets, on one line and not longer than it is shown.
fn short(text: &str) -> Str {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = line.chars().take(4 * MAX_MESSAGE).collect();
    let masked = mask::secrets(&shown);
    masked.chars().take(MAX_MESSAGE).collect::<String>().into()
}

fn masked(text: &str) -> Str {
    mask::secrets(text).into()
}

/// The time of a tool: RFC 3339, or as Go and Ruby print it, `2026-01-01 10:00:00.123 +0200 CEST`.
fn time(text: &str) -> Option<Time> {
    Time::parse(text).or_else(|| {
        let mut words = text.split(' ');
        let (day, clock, offset) = (words.next()?, words.next()?, words.next()?);
        let offset = if offset == "UTC" { "Z" } else { offset };
        Time::parse(&format!("{day}T{clock}{offset}"))
    })
}

#[cfg(test)]
mod tests;
