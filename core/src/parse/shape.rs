//! Recognizes records without a topic by their shape, as `kgrca analyze` reads them from files and
//! pipes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::{Text, non_empty};
use super::{Context, Reason, Reject, checked, parse, parse_stored};
use crate::model::{Record, Topic};

/// The fields that distinguish the formats.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Probe<'a> {
    #[serde(borrow)]
    topic: Option<Text<'a>>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    etype: Option<Text<'a>>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "involvedObject")]
    involved_object: Option<&'a RawValue>,
    #[serde(borrow)]
    regarding: Option<&'a RawValue>,
    #[serde(borrow)]
    alerts: Option<&'a RawValue>,
    #[serde(borrow, rename = "startsAt")]
    starts_at: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
    #[serde(borrow)]
    to: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
    #[serde(borrow)]
    subject: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    kubernetes: Option<&'a RawValue>,
    #[serde(borrow)]
    pod_name: Option<&'a RawValue>,
    #[serde(borrow)]
    pod: Option<&'a RawValue>,
}

/// Parses a record of any format: `{"topic", "value"}`, a bare record, a Kubernetes object or a
/// `List`.
///
/// Returns the topic, or `None` for the topics `case`, `label` and `answer`, which describe the
/// input and are not records. The items of a `List` are read one by one: those that cannot be read
/// are added to `rejects`.
///
/// # Errors
/// [`Reject`] when the whole record cannot be read.
pub fn parse_any(
    bytes: &[u8],
    context: &Context<'_>,
    out: &mut Vec<Record>,
    rejects: &mut Vec<Reject>,
) -> Result<Option<Topic>, Reject> {
    let text = checked_list(bytes)?;
    let probe: Probe<'_> = serde_json::from_str(text).map_err(|e| Reject::json(&e))?;
    if let (Some(topic), Some(value)) = (&probe.topic, probe.value) {
        if matches!(&*topic.0, "case" | "label" | "answer") {
            return Ok(None);
        }
        let topic = Topic::parse(&topic.0).ok_or_else(|| {
            Reject::new(Reason::UnknownShape, format!("unknown topic `{}`", topic.0))
        })?;
        parse_stored(topic, value.get().as_bytes(), context, out)?;
        return Ok(Some(topic));
    }
    if let Some(items) = &probe.items {
        for item in items {
            if let Err(reject) = parse_any(item.get().as_bytes(), context, out, rejects) {
                rejects.push(reject);
            }
        }
        return Ok(Some(Topic::Resource));
    }
    let topic = topic(&probe).ok_or_else(|| {
        Reject::new(
            Reason::UnknownShape,
            "neither a record of a known topic nor a Kubernetes object",
        )
    })?;
    parse(topic, bytes, context, out)?;
    Ok(Some(topic))
}

/// A `List` may be larger than a record: the limits apply to its items.
fn checked_list(bytes: &[u8]) -> Result<&str, Reject> {
    let head = &bytes[..bytes.len().min(4096)];
    let is_list = head.windows(7).any(|w| w == b"\"items\"")
        || bytes.ends_with(b"List\"}")
        || bytes.len() > super::MAX_BYTES;
    if is_list {
        std::str::from_utf8(bytes).map_err(|e| {
            Reject::new(
                Reason::NotUtf8,
                format!("not UTF-8 at byte {}", e.valid_up_to()),
            )
        })
    } else {
        checked(bytes)
    }
}

fn topic(probe: &Probe<'_>) -> Option<Topic> {
    match non_empty(probe.etype.as_ref()) {
        Some("k8s.log") => return Some(Topic::Logs),
        Some("k8s.event" | "change") => return Some(Topic::Events),
        _ => {}
    }
    if probe.alerts.is_some() || probe.starts_at.is_some() {
        Some(Topic::Alerts)
    } else if probe.involved_object.is_some() || probe.regarding.is_some() {
        Some(Topic::Events)
    } else if probe.from.is_some() && probe.to.is_some() {
        Some(Topic::Topology)
    } else if non_empty(probe.kind.as_ref()).is_some() {
        Some(Topic::Resource)
    } else if probe.subject.is_some() && probe.reason.is_some() {
        Some(Topic::Events)
    } else if probe.message.is_some()
        && (probe.subject.is_some()
            || probe.kubernetes.is_some()
            || probe.pod_name.is_some()
            || probe.pod.is_some())
    {
        Some(Topic::Logs)
    } else {
        None
    }
}
