//! Log lines: normalized, those of Vector's `kubernetes_logs` source, and with the labels that Loki and
//! kubectl plug-ins use (`namespace`, `pod`, `time`).

use serde::Deserialize;

use super::text::{Count, RefWire, Text, first_time, non_empty};
use super::{Context, Reason, Reject, check_tenant, cluster, log_severity};
use crate::model::{Body, Kind, LogLine, Record, Severity, Str, Subject};
use crate::trouble;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(borrow)]
    event_time: Option<Text<'a>>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    first_time: Option<Text<'a>>,
    count: Count,
    #[serde(borrow)]
    client_id: Option<Text<'a>>,
    #[serde(borrow)]
    cluster: Option<Text<'a>>,
    #[serde(borrow)]
    severity: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    subject: Option<RefWire<'a>>,
    #[serde(borrow)]
    pod_uid: Option<Text<'a>>,
    #[serde(borrow)]
    pod_namespace: Option<Text<'a>>,
    #[serde(borrow)]
    pod_name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    pod: Option<Text<'a>>,
    #[serde(borrow)]
    time: Option<Text<'a>>,
    #[serde(borrow)]
    container: Option<Text<'a>>,
    #[serde(borrow)]
    kubernetes: Option<KubernetesWire<'a>>,
    #[serde(borrow)]
    src: Option<Text<'a>>,
    seq: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KubernetesWire<'a> {
    #[serde(borrow)]
    pod_uid: Option<Text<'a>>,
    #[serde(borrow, alias = "namespace_name")]
    pod_namespace: Option<Text<'a>>,
    #[serde(borrow)]
    pod_name: Option<Text<'a>>,
    #[serde(borrow)]
    container_name: Option<Text<'a>>,
}

pub(super) fn parse(
    text: &str,
    context: &Context<'_>,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|e| Reject::json(&e))?;
    check_tenant(non_empty(wire.client_id.as_ref()), context)?;
    let Some(subject) = subject(&wire) else {
        return Err(Reject::new(
            Reason::UnknownShape,
            "a log line needs `subject`, `pod_name`, `pod` or `kubernetes.pod_name`",
        ));
    };
    let at = first_time([
        wire.event_time.as_ref(),
        wire.timestamp.as_ref(),
        wire.time.as_ref(),
    ])
    .unwrap_or(context.received_at);
    let message = non_empty(wire.message.as_ref()).unwrap_or("");
    let severity = non_empty(wire.severity.as_ref())
        .and_then(Severity::parse)
        .unwrap_or_else(|| log_severity::of(message));
    // An access log has no levels.
    let severity = if trouble::is_unrouted(message) || trouble::is_lost_writer(message) {
        severity.max(Severity::Warning)
    } else {
        severity
    };
    // Below WARNING only the number of lines matters: do not copy the text.
    let message = if severity >= Severity::Warning {
        Str::from(super::mask::secrets(message))
    } else {
        Str::default()
    };
    let kubernetes = wire.kubernetes.as_ref();
    let container = non_empty(wire.container.as_ref()).or(non_empty(
        kubernetes.and_then(|k| k.container_name.as_ref()),
    ));
    out.push(Record {
        cluster: cluster(non_empty(wire.cluster.as_ref()), context)?,
        at,
        sequence: non_empty(wire.src.as_ref())
            .zip(wire.seq.0)
            .map(|(s, n)| (Str::from(s), n)),
        body: Body::Log(Box::new(LogLine {
            first: first_time([wire.first_time.as_ref()]).unwrap_or(at).min(at),
            count: wire.count.at_least_one(),
            severity,
            message,
            container: container.map(Str::from),
            subject,
        })),
    });
    Ok(())
}

fn subject(wire: &Wire<'_>) -> Option<Subject> {
    if let Some(subject) = wire.subject.as_ref().and_then(RefWire::subject) {
        return Some(subject);
    }
    let k = wire.kubernetes.as_ref();
    let pick = |flat: &Option<Text<'_>>, nested: Option<&Text<'_>>| {
        non_empty(flat.as_ref())
            .or(non_empty(nested))
            .map(Str::from)
    };
    let uid = pick(&wire.pod_uid, k.and_then(|k| k.pod_uid.as_ref()));
    let name = pick(&wire.pod_name, k.and_then(|k| k.pod_name.as_ref()))
        .or_else(|| non_empty(wire.pod.as_ref()).map(Str::from));
    if uid.is_none() && name.is_none() {
        return None;
    }
    let namespace = pick(
        &wire.pod_namespace,
        k.and_then(|k| k.pod_namespace.as_ref()),
    )
    .or_else(|| non_empty(wire.namespace.as_ref()).map(Str::from))
    .unwrap_or_default();
    Some(Subject {
        kind: Kind::Pod,
        uid,
        namespace,
        name: name.unwrap_or_default(),
    })
}
