//! What alerts are about, and how incidents without alerts stand beside what affects users.

use serde_json::{Value, json};

use super::{Analysis, Options, analyze};
use crate::model::Time;

const NOW: &str = "2026-01-01T11:00:00Z";

fn state(object: Value) -> Value {
    json!({"topic": "state.k8s.resource", "value": object})
}

/// A workload whose pods are ready.
fn deployment(namespace: &str, name: &str) -> Value {
    state(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name, "uid": format!("d-{name}"),
            "creationTimestamp": "2025-12-01T00:00:00Z"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [
                {"name": "main", "image": "registry.example/main:1"}]}}},
        "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1},
    }))
}

fn alert(name: &str, severity: &str, labels: Value, at: &str) -> Value {
    let mut labels = labels;
    labels["alertname"] = name.into();
    labels["severity"] = severity.into();
    json!({"topic": "alerts.raw", "value": {"status": "firing", "alerts": [
        {"status": "firing", "labels": labels, "startsAt": at}]}})
}

/// A pod whose image cannot be pulled since `at`.
fn unpullable(namespace: &str, name: &str, at: &str) -> Value {
    state(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "uid": format!("p-{name}"),
            "creationTimestamp": at},
        "spec": {"nodeName": "n1", "containers": [
            {"name": "main", "image": "registry.example/batch:2"}]},
        "status": {"phase": "Pending",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at}],
            "containerStatuses": [{"name": "main", "ready": false, "restartCount": 0,
                "image": "registry.example/batch:2", "imageID": "",
                "state": {"waiting": {"reason": "ErrImagePull",
                    "message": "registry.example/batch:2: not found"}}}]},
    }))
}

fn answer(records: &[Value]) -> Analysis {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    let options = Options {
        at: Time::parse(NOW),
        now: Time::parse(NOW).unwrap(),
        ..Options::default()
    };
    analyze("input", lines.join("\n").as_bytes(), &options)
}

#[test]
fn a_recording_is_read_whatever_the_clock_of_its_reader_shows() {
    let counted = |collected_at: &str| {
        let head = json!({"topic": "case", "value": {"cluster": "prod",
            "collected_at": collected_at}});
        let labels = json!({"namespace": "shop", "deployment": "mail"});
        let alert = alert("Errors", "critical", labels, "2026-01-01T10:30:00Z");
        let lines = [head, deployment("shop", "mail"), alert];
        let lines = lines.map(|line| line.to_string()).join("\n");
        let options = Options {
            now: Time::parse("2025-12-01T00:00:00Z").unwrap(),
            ..Options::default()
        };
        let analysis = analyze("input", lines.as_bytes(), &options);
        (analysis.rejects.len(), analysis.causes.len())
    };
    assert_eq!(counted("2026-01-01T11:00:00Z"), (0, 1));
    assert_eq!(
        counted("2025-11-01T11:00:00Z"),
        (1, 0),
        "it says nothing of the sort"
    );
}

fn first(records: &[Value]) -> String {
    let causes = answer(records).causes;
    causes
        .first()
        .map(|c| format!("{} {}", c.component, c.fault_type))
        .unwrap_or_default()
}

#[test]
fn an_alert_is_about_what_its_name_a_label_or_its_text_names() {
    let shop = [
        deployment("shop", "billing-api"),
        deployment("shop", "mail"),
    ];
    let of = |name: &str, labels: Value| {
        first(
            &[
                &shop[..],
                &[alert(name, "warning", labels, "2026-01-01T10:50:00Z")],
            ]
            .concat(),
        )
    };
    let by_name = of("BillingApi5xxRate", json!({"namespace": "shop"}));
    assert_eq!(by_name, "app/billing-api unknown");
    let by_label = of("ErrorRate", json!({"namespace": "shop", "job": "mail"}));
    assert_eq!(by_label, "app/mail unknown");
    let by_none = of("ErrorRate", json!({"namespace": "shop", "job": "scraper"}));
    assert_eq!(by_none, "namespace/shop unknown");
}

#[test]
fn an_alert_about_a_namespace_belongs_to_what_fails_in_it() {
    let about = |namespace: &str| {
        let pod = unpullable("shop", "batch", "2026-01-01T10:30:00Z");
        let labels = json!({"namespace": namespace});
        answer(&[
            pod,
            alert("Backlog", "critical", labels, "2026-01-01T10:50:00Z"),
        ])
    };
    assert_eq!(about("shop").incidents.len(), 1);
    assert_eq!(
        about("crm").incidents.len(),
        2,
        "another namespace has its own incident"
    );
}

#[test]
fn what_began_after_users_were_affected_is_not_why() {
    let beside = |since: &str| {
        let labels = json!({"namespace": "shop", "deployment": "mail"});
        first(&[
            deployment("shop", "mail"),
            alert("Errors", "critical", labels, "2026-01-01T10:30:00Z"),
            unpullable("other", "batch", since),
        ])
    };
    assert_eq!(beside("2026-01-01T10:40:00Z"), "app/mail unknown");
    assert_eq!(
        beside("2026-01-01T10:20:00Z"),
        "app/batch image.reference_wrong"
    );
}

#[test]
fn an_alert_for_information_is_no_symptom() {
    let of = |severity: &str| {
        let labels = json!({"namespace": "shop", "deployment": "mail"});
        let alert = alert("Watchdog", severity, labels, "2026-01-01T10:50:00Z");
        answer(&[deployment("shop", "mail"), alert]).incidents.len()
    };
    assert_eq!((of("none"), of("info"), of("warning")), (0, 0, 1));
}

#[test]
fn an_alert_that_fires_for_days_makes_nothing_else_background() {
    let beside = |paged: &str| {
        let labels = json!({"namespace": "shop", "deployment": "mail"});
        first(&[
            deployment("shop", "mail"),
            alert("Errors", "critical", labels, paged),
            unpullable("other", "batch", "2026-01-01T10:40:00Z"),
        ])
    };
    assert_eq!(
        beside("2025-12-30T10:00:00Z"),
        "app/batch image.reference_wrong"
    );
    assert_eq!(beside("2026-01-01T10:30:00Z"), "app/mail unknown");
}

/// Whether these records are evaluated: no number and no circle in them may stop it.
#[test]
fn extreme_states_are_evaluated() {
    let set = |name: &str, owner: &str| {
        state(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"namespace": "shop", "name": name, "uid": name, "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner,
                    "controller": true}]},
            "spec": {"replicas": 1}, "status": {},
        }))
    };
    let mut crashing = unpullable("shop", "batch", "2026-01-01T10:00:00Z");
    crashing["value"]["status"]["containerStatuses"][0] = json!({
        "name": "main", "ready": false, "restartCount": i64::MIN + 1, "image": "", "imageID": "",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "startedAt": "9999-01-01T00:00:00Z",
            "finishedAt": "1970-01-01T00:00:00Z"}},
    });
    let scaler = state(json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": "shop", "name": "mail", "uid": "h"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "mail"}, "maxReplicas": 1,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 1}}}]},
        "status": {"currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": [
            {"type": "Resource", "resource": {"name": "cpu",
                "current": {"averageUtilization": i64::MAX}}}]},
    }));
    let records = [
        set("a", "b"),
        set("b", "a"),
        crashing,
        deployment("shop", "mail"),
        scaler,
    ];
    assert_eq!(answer(&records).records.applied, 5);
}

#[test]
fn a_log_line_that_quotes_a_refusal_invents_no_quota() {
    let line = json!({"topic": "logs.normalized", "value": {"cluster": "prod",
        "namespace": "shop", "pod": "mail-1", "container": "main", "severity": "ERROR",
        "time": "2026-01-01T10:55:00Z",
        "message": "pods \"x\" is forbidden: exceeded quota: `sh`, requested: pods=1"}});
    let causes = answer(&[deployment("shop", "mail"), line]).causes;
    assert!(causes.iter().all(|c| !c.fix.contains("`sh`")), "{causes:?}");
}

#[test]
fn a_pod_for_which_a_node_is_on_its_way_lacks_nothing() {
    let pending = state(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "shop", "name": "batch", "uid": "p",
            "creationTimestamp": "2026-01-01T10:56:00Z"},
        "spec": {"containers": [{"name": "main", "image": "registry.example/main:1",
            "resources": {"requests": {"cpu": "2"}}}]},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu.",
            "lastTransitionTime": "2026-01-01T10:56:00Z"}]},
    }));
    let event = |reason: &str, at: &str| {
        json!({"topic": "events.normalized", "value": {"kind": "Event", "apiVersion": "v1",
            "metadata": {"namespace": "shop", "name": "e"}, "type": "Normal", "reason": reason,
            "message": "pod triggered scale-up: [{pool 1->2 (max: 9)}]", "count": 1,
            "firstTimestamp": at, "lastTimestamp": at,
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "batch", "uid": "p"}}})
    };
    let names = |event: Value| answer(&[pending.clone(), event]).causes;
    let is_named = |event: Value| names(event).iter().any(|c| c.fault_type != "unknown");
    assert!(!is_named(event("TriggeredScaleUp", "2026-01-01T10:57:00Z")));
    assert!(is_named(event("NotTriggerScaleUp", "2026-01-01T10:57:00Z")));
}
