//! Recognizes records without a topic by their shape, as `kgrca analyze` reads them from files and
//! pipes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::{Text, non_empty};
use super::{Context, Reason, Reject, checked, foreign, parse, parse_stored};
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
    #[serde(borrow, rename = "apiVersion")]
    api_version: Option<Text<'a>>,
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

/// Parses a record of any format: `{"topic", "value"}`, a bare record, a Kubernetes object, a list
/// of these, or JSON of another tool.
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
    let lists = Lists {
        levels: MAX_LISTS,
        context,
    };
    parse_within(lists, bytes, out, rejects)
}

/// How deep lists may lie within lists, or in what wraps them.
const MAX_LISTS: u8 = 4;

/// After so many items of a list that cannot be read, the others are not tried.
const MAX_REJECTS: usize = 1000;

/// What the records in a list are parsed with.
#[derive(Clone, Copy)]
struct Lists<'c> {
    /// How many levels of lists may still follow.
    levels: u8,
    context: &'c Context<'c>,
}

impl Lists<'_> {
    fn parse(
        self,
        records: impl IntoIterator<Item = impl AsRef<str>>,
        out: &mut Vec<Record>,
        rejects: &mut Vec<Reject>,
    ) -> Result<Option<Topic>, Reject> {
        let Some(levels) = self.levels.checked_sub(1) else {
            let message = format!("lists lie more than {MAX_LISTS} deep within lists");
            return Err(Reject::new(Reason::TooDeep, message));
        };
        let mut records = records.into_iter();
        for record in records.by_ref() {
            let parsed = parse_within(
                Lists { levels, ..self },
                record.as_ref().as_bytes(),
                out,
                rejects,
            );
            rejects.extend(parsed.err());
            if rejects.len() >= MAX_REJECTS {
                break;
            }
        }
        if let left @ 1.. = records.count() {
            let message =
                format!("{left} more items are not read after {MAX_REJECTS} rejected ones");
            rejects.push(Reject::new(Reason::UnknownShape, message));
        }
        Ok(Some(Topic::Resource))
    }
}

fn parse_within(
    lists: Lists<'_>,
    bytes: &[u8],
    out: &mut Vec<Record>,
    rejects: &mut Vec<Reject>,
) -> Result<Option<Topic>, Reject> {
    let context = lists.context;
    let text = checked_list(bytes)?;
    if text.trim_start().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| Reject::json(&e))?;
        return lists.parse(items.iter().map(|item| item.get()), out, rejects);
    }
    if let Some(records) = foreign::records(text)? {
        return lists.parse(records, out, rejects);
    }
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
        let list = non_empty(probe.kind.as_ref()).unwrap_or_default();
        let api_version = non_empty(probe.api_version.as_ref()).unwrap_or_default();
        let items = items
            .iter()
            .map(|item| foreign::with_kind(item.get(), list, api_version));
        return lists.parse(items, out, rejects);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rejects(text: &str) -> Vec<Reason> {
        let (mut out, mut rejects) = (Vec::new(), Vec::new());
        let context = Context {
            cluster: Some("prod"),
            ..Context::default()
        };
        let result = parse_any(text.as_bytes(), &context, &mut out, &mut rejects);
        rejects.extend(result.err());
        rejects.into_iter().map(|reject| reject.reason).collect()
    }

    #[test]
    fn what_is_kept_of_rejected_items_is_bounded() {
        for open in [r#"{"items":["#, "["] {
            let close = if open.len() > 1 { "]}" } else { "]" };
            let text = format!("{open}{}0{close}", "0,".repeat(100_000));
            assert_eq!(rejects(&text).len(), MAX_REJECTS + 1);
        }
    }

    #[test]
    fn whatever_wraps_itself_ends() {
        for [open, close] in [
            [r#"{"items":["#, "]}"],
            ["[", "]"],
            [r#"{"type":"ADDED","object":"#, "}"],
            [r#"{"kind":"PodList","items":[{"items":["#, "]}]}"],
        ] {
            for depth in [5, 100, 100_000] {
                let text = format!("{}{{}}{}", open.repeat(depth), close.repeat(depth));
                let found = rejects(&text);
                assert_eq!(found.len(), 1, "{open} {depth}: {found:?}");
            }
        }
        let pod = r#"{"kind":"Pod","namespace":"shop","name":"a"}"#;
        assert_eq!(rejects(&format!(r#"[{{"items":[{pod}]}}]"#)), []);
    }
}
