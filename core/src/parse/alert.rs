//! Alertmanager v4 webhooks and their alerts.

use serde::Deserialize;

use super::text::{Text, non_empty};
use super::{Context, Reason, Reject, check_tenant, cluster};
use crate::model::object::Labels;
use crate::model::{Alert, Body, Kind, Record, Severity, Str, Subject, Time};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(borrow)]
    alerts: Option<Vec<Element<'a>>>,
    #[serde(borrow, flatten)]
    element: Element<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Element<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    labels: Labels,
    annotations: Labels,
    #[serde(borrow)]
    starts_at: Option<Text<'a>>,
    #[serde(borrow)]
    ends_at: Option<Text<'a>>,
    #[serde(borrow)]
    fingerprint: Option<Text<'a>>,
    #[serde(borrow, rename = "client_id")]
    client_id: Option<Text<'a>>,
    #[serde(borrow)]
    cluster: Option<Text<'a>>,
}

pub(super) fn parse(
    text: &str,
    context: &Context<'_>,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|e| Reject::json(&e))?;
    check_tenant(non_empty(wire.element.client_id.as_ref()), context)?;
    let outer = non_empty(wire.element.cluster.as_ref());
    match &wire.alerts {
        Some(alerts) => alerts.iter().try_for_each(|a| push(a, outer, context, out)),
        None if wire.element.starts_at.is_some() || !wire.element.labels.is_empty() => {
            push(&wire.element, outer, context, out)
        }
        None => Err(Reject::new(
            Reason::UnknownShape,
            "an alert needs `alerts`, or `labels` and `startsAt`",
        )),
    }
}

fn push(
    element: &Element<'_>,
    outer: Option<&str>,
    context: &Context<'_>,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    let labels = &element.labels;
    let starts = element
        .starts_at
        .as_ref()
        .and_then(|t| Time::parse(&t.0))
        .unwrap_or(context.received_at);
    let status = element.status.as_ref().map(|s| &*s.0).unwrap_or_default();
    let firing = !status.eq_ignore_ascii_case("resolved");
    let ends = element.ends_at.as_ref().and_then(|t| Time::parse(&t.0));
    // A resolved alert counts at its end, a firing one at its start.
    let at = if firing {
        starts
    } else {
        ends.filter(|e| *e >= starts)
            .unwrap_or(context.received_at.max(starts))
    };
    let cluster = cluster(
        non_empty(element.cluster.as_ref())
            .or(outer)
            .or(labels.get("cluster"))
            .or(context.cluster),
        context,
    )?;
    let name = labels.get("alertname").unwrap_or("");
    let fingerprint = non_empty(element.fingerprint.as_ref())
        .map(str::to_owned)
        .unwrap_or_else(|| hash(labels));
    out.push(Record {
        cluster,
        at,
        sequence: None,
        body: Body::Alert(Box::new(Alert {
            fingerprint: fingerprint.into(),
            starts,
            firing,
            name: name.into(),
            severity: labels
                .get("severity")
                .and_then(Severity::parse)
                .unwrap_or(Severity::Warning),
            subject: subject(labels),
            annotations: element.annotations.clone(),
            labels: element.labels.clone(),
        })),
    });
    Ok(())
}

fn hash(labels: &Labels) -> String {
    format!("{:08x}", crc32c::crc32c(labels.to_text().as_bytes()))
}

/// Label names of each kind, the most specific ones first. Exporters add words of their own, as in
/// `k8s_pod_name`, `kubernetes_namespace` or `destination_workload`; kube-state-metrics and its
/// likes call a label after the kind.
const BY_LABEL: [(&str, &str); 26] = [
    ("pod", "Pod"),
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("replicaset", "ReplicaSet"),
    ("job_name", "Job"),
    ("cronjob", "CronJob"),
    ("workload", "Deployment"),
    ("hpa", "HorizontalPodAutoscaler"),
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("scaledobject", "ScaledObject"),
    ("pvc", "PersistentVolumeClaim"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("pdb", "PodDisruptionBudget"),
    ("poddisruptionbudget", "PodDisruptionBudget"),
    ("buildconfig", "BuildConfig"),
    ("persistentvolume", "PersistentVolume"),
    ("service", "Service"),
    ("ingress", "Ingress"),
    ("app", "Deployment"),
    ("application", "Deployment"),
    ("node", "Node"),
    ("nodename", "Node"),
    ("host", "Node"),
    ("instance", "Node"),
    ("namespace", "Namespace"),
];
/// Words that exporters add. Of the two ends of a connection, the destination is the subject.
const AROUND: [&str; 7] = [
    "k8s_",
    "kubernetes_",
    "kube_",
    "exported_",
    "destination_",
    "dest_",
    "label_",
];

/// The word of a label name that determines the kind.
fn kind_word(label: &str) -> &str {
    let inner = AROUND
        .iter()
        .find_map(|word| label.strip_prefix(word))
        .unwrap_or(label);
    let plain = inner.strip_suffix("_name").unwrap_or(inner);
    if BY_LABEL.iter().any(|(word, _)| *word == inner) {
        inner
    } else {
        plain
    }
}

/// The pod of a container path `/k8s/<namespace>/<pod>/<container>`.
fn by_path(labels: &Labels) -> Option<Subject> {
    let path = labels
        .get("container_id")
        .or(labels.get("id"))?
        .strip_prefix("/k8s/")?;
    let mut parts = path.split('/');
    let (namespace, pod) = (parts.next()?, parts.next()?);
    Some(Subject {
        kind: Kind::Pod,
        uid: None,
        namespace: namespace.into(),
        name: pod.into(),
    })
}

/// The subject that the labels name: the first of pod, workload kinds, service, node or instance,
/// namespace.
fn subject(labels: &Labels) -> Subject {
    let named = |word: &str| {
        let exact = labels.get(word).filter(|v| !v.is_empty());
        exact.or_else(|| {
            labels
                .iter()
                .find(|(k, v)| kind_word(k) == word && !v.is_empty())
                .map(|(_, v)| v)
        })
    };
    if let Some(subject) = by_path(labels) {
        return subject;
    }
    let ends = [
        "destination_workload_namespace",
        "destination_service_namespace",
        "destination_namespace",
    ];
    let called = labels
        .get("destination_workload")
        .or(labels.get("destination_service"))
        .is_some();
    let of_end = ends.iter().find_map(|l| labels.get(l)).filter(|_| called);
    let namespace = of_end
        .or_else(|| labels.get("namespace"))
        .or_else(|| named("namespace"))
        .unwrap_or("");
    for (label, kind) in BY_LABEL {
        if let Some(value) = named(label) {
            // What a prober asks: no node, and maybe nothing of the cluster.
            let url = value.split_once("://").filter(|_| label == "instance");
            if let Some((_, asked)) = url {
                return Subject {
                    kind: Kind::External,
                    uid: None,
                    namespace: Str::default(),
                    name: asked.split(['/', ':']).next().unwrap_or(asked).into(),
                };
            }
            let kind = Kind::parse(kind);
            let value = match label {
                "instance" => value.split(':').next().unwrap_or(value),
                // The fully qualified name of a Service.
                "service" => value.split('.').next().unwrap_or(value),
                _ => value,
            };
            let namespace = if kind.is_cluster_scoped() {
                ""
            } else {
                namespace
            };
            return Subject {
                kind,
                uid: None,
                namespace: namespace.into(),
                name: Str::from(value),
            };
        }
    }
    Subject {
        kind: Kind::Other("Cluster".into()),
        uid: None,
        namespace: Str::default(),
        name: Str::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[(&str, &str)]) -> (String, String) {
        let subject = subject(&labels.iter().copied().collect());
        (subject.kind.to_string(), subject.name.to_string())
    }

    #[test]
    fn what_a_prober_asks_is_no_node() {
        let asked = of(&[("instance", "https://www.example.com:8443/health")]);
        assert_eq!(asked, ("External".to_owned(), "www.example.com".to_owned()));
        let scraped = of(&[("instance", "node-1:9100")]);
        assert_eq!(scraped, ("Node".to_owned(), "node-1".to_owned()));
    }

    #[test]
    fn the_most_specific_label_names_the_subject() {
        let subject = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        for (label, kind) in [
            ("poddisruptionbudget", "PodDisruptionBudget"),
            ("buildconfig", "BuildConfig"),
            ("k8s_deployment_name", "Deployment"),
        ] {
            let found = of(&[("namespace", "shop"), (label, "web")]);
            assert_eq!(found, subject(kind, "web"), "{label}");
        }
        let of_pod = of(&[("replicaset", "web-1"), ("pod", "web-1-2")]);
        assert_eq!(of_pod, subject("Pod", "web-1-2"));
        assert_eq!(
            of(&[("namespace", "shop"), ("budget", "web")]),
            subject("Namespace", "shop")
        );
    }
}
