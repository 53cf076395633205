//! Kubernetes events: normalized, `v1`, `events.k8s.io/v1`, and those of kubernetes-event-exporter.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::change::{self, Report};
use super::text::{Count, RefWire, Text, first_time, non_empty};
use super::{Context, Reason, Reject, check_tenant, cluster, list};
use crate::model::{Body, Episode, Kind, Record, Severity, Str};

/// The union of the four formats: their field names do not collide.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(borrow)]
    event_id: Option<Text<'a>>,
    #[serde(borrow)]
    event_time: Option<Text<'a>>,
    #[serde(borrow)]
    first_time: Option<Text<'a>>,
    count: Count,
    #[serde(borrow)]
    client_id: Option<Text<'a>>,
    #[serde(borrow)]
    cluster: Option<Text<'a>>,
    #[serde(borrow, rename = "clusterName")]
    cluster_name: Option<Text<'a>>,
    #[serde(borrow)]
    severity: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    event_type: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    note: Option<Text<'a>>,
    #[serde(borrow)]
    subject: Option<RefWire<'a>>,
    #[serde(borrow, rename = "involvedObject")]
    involved_object: Option<RefWire<'a>>,
    #[serde(borrow)]
    regarding: Option<RefWire<'a>>,
    #[serde(borrow)]
    metadata: Option<MetaWire<'a>>,
    #[serde(borrow, rename = "firstTimestamp")]
    first_timestamp: Option<Text<'a>>,
    #[serde(borrow, rename = "lastTimestamp")]
    last_timestamp: Option<Text<'a>>,
    #[serde(borrow, rename = "eventTime")]
    micro_time: Option<Text<'a>>,
    #[serde(rename = "deprecatedCount")]
    deprecated_count: Count,
    #[serde(borrow, rename = "deprecatedFirstTimestamp")]
    deprecated_first: Option<Text<'a>>,
    #[serde(borrow, rename = "deprecatedLastTimestamp")]
    deprecated_last: Option<Text<'a>>,
    #[serde(borrow)]
    series: Option<SeriesWire<'a>>,
    items: Option<IgnoredAny>,
    #[serde(borrow)]
    src: Option<Text<'a>>,
    seq: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MetaWire<'a> {
    #[serde(borrow)]
    uid: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, rename = "creationTimestamp")]
    created: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SeriesWire<'a> {
    count: Count,
    #[serde(borrow, rename = "lastObservedTime")]
    last: Option<Text<'a>>,
}

pub(super) fn parse(
    text: &str,
    context: &Context<'_>,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    match change::parse(text, context)? {
        Report::Other => {}
        Report::NotYet => return Ok(()),
        Report::Change(record) => {
            out.push(record);
            return Ok(());
        }
    }
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|e| Reject::json(&e))?;
    if wire.items.is_some() {
        return Err(list::refusal());
    }
    check_tenant(non_empty(wire.client_id.as_ref()), context)?;
    let subject = [&wire.subject, &wire.involved_object, &wire.regarding]
        .into_iter()
        .flatten()
        .find_map(RefWire::subject);
    let Some(mut subject) = subject else {
        return Err(Reject::new(
            Reason::UnknownShape,
            "an event needs `subject`, `involvedObject` or `regarding` with a name or uid",
        ));
    };
    let meta = wire.metadata.as_ref();
    // Kubelets do not know the uid of their node and set its name instead.
    if subject.kind == Kind::Node && subject.uid.as_deref() == Some(&*subject.name) {
        subject.uid = None;
    }
    if subject.namespace.is_empty() && !subject.kind.is_cluster_scoped() {
        subject.namespace = non_empty(meta.and_then(|m| m.namespace.as_ref()))
            .unwrap_or("")
            .into();
    }
    let series = wire.series.as_ref();
    let last = first_time([
        wire.event_time.as_ref(),
        series.and_then(|s| s.last.as_ref()),
        wire.last_timestamp.as_ref(),
        wire.deprecated_last.as_ref(),
        wire.micro_time.as_ref(),
        wire.first_timestamp.as_ref(),
        meta.and_then(|m| m.created.as_ref()),
    ])
    .unwrap_or(context.received_at);
    let first = first_time([
        wire.first_time.as_ref(),
        wire.first_timestamp.as_ref(),
        wire.deprecated_first.as_ref(),
        wire.micro_time.as_ref(),
        wire.event_time.as_ref(),
    ]);
    let count = [
        wire.count,
        series.map(|s| s.count).unwrap_or(Count(None)),
        wire.deprecated_count,
    ]
    .into_iter()
    .find(|c| c.0.is_some());
    let word = non_empty(wire.severity.as_ref())
        .or(non_empty(wire.event_type.as_ref()))
        .unwrap_or("Normal");
    let id = non_empty(wire.event_id.as_ref()).or(non_empty(meta.and_then(|m| m.uid.as_ref())));
    let message = non_empty(wire.message.as_ref())
        .or(non_empty(wire.note.as_ref()))
        .unwrap_or("");
    out.push(Record {
        cluster: cluster(
            non_empty(wire.cluster.as_ref()).or(non_empty(wire.cluster_name.as_ref())),
            context,
        )?,
        at: last,
        sequence: non_empty(wire.src.as_ref())
            .zip(wire.seq.0)
            .map(|(s, n)| (Str::from(s), n)),
        body: Body::Event(Box::new(Episode {
            id: id.map(Str::from),
            first: first.unwrap_or(last).min(last),
            last,
            count: count.unwrap_or_default().at_least_one(),
            severity: Severity::parse(word).unwrap_or(Severity::Warning),
            reason: non_empty(wire.reason.as_ref()).unwrap_or("").into(),
            message: super::mask::secrets(message).into(),
            subject,
        })),
    });
    Ok(())
}
