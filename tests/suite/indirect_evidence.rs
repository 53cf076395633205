//! Conclusions about objects whose state was not received, and about evidence that is stale; each
//! with a near miss.

use kgrca_core::analyze::{self, Analysis, Options};
use kgrca_core::model::Time;
use serde_json::{Value, json};

fn analyze_records(records: &[Value]) -> Analysis {
    let text = records
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    let at = Time::parse("2026-01-01T01:00:00Z");
    analyze::analyze(
        "case",
        text.as_bytes(),
        &Options {
            at,
            top: 10,
            now: at.unwrap(),
            ..Options::default()
        },
    )
}

/// The first cause as `component fault`; empty without one.
/// The first cause that names a fault.
fn first(records: &[Value]) -> String {
    analyze_records(records)
        .causes
        .iter()
        .find(|c| c.fault_type != "unknown")
        .map(|c| format!("{} {}", c.component, c.fault_type))
        .unwrap_or_default()
}

fn event(
    kind: &str,
    name: &str,
    reason: &str,
    message: &str,
    (from, to, count): (&str, &str, u32),
) -> Value {
    json!({
        "etype": "k8s.event", "severity": "WARNING", "reason": reason, "message": message,
        "count": count, "first_time": format!("2026-01-01T{from}Z"),
        "event_time": format!("2026-01-01T{to}Z"),
        "subject": {"kind": kind, "ns": "shop", "name": name},
    })
}

fn log(pod: &str, severity: &str, message: &str, (from, to, count): (&str, &str, u32)) -> Value {
    json!({"etype": "k8s.log", "severity": severity, "message": message, "count": count,
        "first_time": format!("2026-01-01T{from}Z"), "event_time": format!("2026-01-01T{to}Z"),
        "subject": {"kind": "Pod", "ns": "shop", "name": pod}})
}

fn alert(labels: &Value) -> Value {
    json!({
        "status": "firing", "labels": labels, "annotations": {"summary": "see the runbook"},
        "startsAt": "2026-01-01T00:50:00Z",
    })
}

fn pod(name: &str, app: &str, container: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": name,
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": app},
        },
        "spec": {"nodeName": "n1", "containers": [container]}, "status": status,
    })
}

fn ready(name: &str, app: &str) -> Value {
    let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    pod(
        name,
        app,
        &json!({"name": "main", "image": "r.example/x:1"}),
        &status,
    )
}

fn service(name: &str, app: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("svc-{name}"),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "selector": {"app": app}, "clusterIP": "10.0.0.9",
            "ports": [{"port": port, "targetPort": port}],
        },
    })
}

const NOW: (&str, &str, u32) = ("00:50:00", "00:59:50", 90);

#[test]
fn an_alert_alone_blames_the_resource_it_names() {
    let node = alert(&json!({"alertname": "KubeNodeNotReady", "node": "n7"}));
    assert_eq!(first(&[node]), "node/n7 node.kubelet_down");
    let crashing = alert(&json!({
        "alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "web-5d9f8b6c5-x7k2p",
    }));
    assert_eq!(first(&[crashing]), "app/web runtime.crash_on_start");
    let behind = alert(&json!({
        "alertname": "KubeDeploymentReplicasMismatch", "namespace": "shop", "deployment": "web",
    }));
    assert_eq!(
        first(std::slice::from_ref(&behind)),
        "app/web runtime.rollout_stuck"
    );
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "d"}, "spec": {"replicas": 1},
        "status": {"readyReplicas": 1, "updatedReplicas": 1},
    });
    assert_eq!(
        first(&[behind, deployment]),
        "",
        "the state contradicts the alert"
    );
}

#[test]
fn a_rejection_that_is_not_repeated_has_ended() {
    let refusal = |when| {
        let message = "Error creating: pods \"web-5d9f8b6c5-\" is forbidden: error looking up \
                       service account shop/web: serviceaccount \"web\" not found";
        event("ReplicaSet", "web-5d9f8b6c5", "FailedCreate", message, when)
    };
    assert_eq!(
        first(&[refusal(("00:50:00", "00:57:30", 14))]),
        "app/web admission.service_account_missing"
    );
    assert_eq!(
        first(&[refusal(("00:55:00", "00:55:01", 3))]),
        "",
        "the next attempt was due seconds later"
    );
}

#[test]
fn errors_that_stopped_have_ended() {
    let line = "GET http://stock:80/: dial tcp 10.0.0.9:80: connect: connection refused";
    let cluster = [
        service("stock", "stock", 80),
        ready("stock-1", "stock"),
        ready("web-1", "web"),
        ready("api-1", "api"),
    ];
    let complaints = |when| {
        [
            log("web-1", "ERROR", line, when),
            log("api-1", "ERROR", line, when),
        ]
    };
    let ongoing = [&cluster[..], &complaints(NOW)].concat();
    assert_eq!(first(&ongoing), "app/stock dependency.down");
    let stopped = [&cluster[..], &complaints(("00:50:00", "00:55:00", 300))].concat();
    assert_eq!(
        first(&stopped),
        "",
        "one a second, and then none for five minutes"
    );
}

fn crashed(args: &[&str], code: i64) -> Value {
    let terminated = json!({
        "exitCode": code, "reason": "Error", "startedAt": "2026-01-01T00:58:00Z",
        "finishedAt": "2026-01-01T00:58:30Z",
    });
    let status = json!({
        "phase": "Running", "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [
            {
                "name": "main", "ready": false, "restartCount": 5,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": terminated},
            },
        ],
    });
    let container = json!({
        "name": "main", "image": "r.example/cache:7", "command": ["cache-server"], "args": args,
        "livenessProbe": {"tcpSocket": {"port": 7000}}, "ports": [{"containerPort": 6000}],
    });
    pod("cache-1", "cache", &container, &status)
}

#[test]
fn an_error_about_a_command_line_argument_blames_the_arguments() {
    let said = log(
        "cache-1",
        "ERROR",
        ">>> 'maxmemmory 100mb' Bad directive or wrong number of arguments",
        NOW,
    );
    assert_eq!(
        first(&[crashed(&["--maxmemmory", "100mb"], 1), said.clone()]),
        "app/cache config.arguments_invalid"
    );
    assert_eq!(
        first(&[crashed(&["--maxmemory", "100mb"], 1), said]),
        "app/cache runtime.crash_on_start"
    );
}

#[test]
fn a_container_killed_by_the_kubelet_did_not_crash() {
    let killing = event(
        "Pod",
        "cache-1",
        "Killing",
        "Container main failed liveness probe, will be restarted",
        ("00:58:00", "00:58:28", 5),
    );
    let failing = "Liveness probe failed: dial tcp 10.1.0.3:7000: connect: connection refused";
    let unhealthy = event("Pod", "cache-1", "Unhealthy", failing, NOW);
    assert_eq!(
        first(&[crashed(&[], 2), unhealthy.clone(), killing]),
        "app/cache runtime.liveness_wrong_port"
    );
    let earlier = event(
        "Pod",
        "cache-1",
        "Killing",
        "Container main failed liveness probe, will be restarted",
        ("00:40:00", "00:40:00", 1),
    );
    let crash = analyze_records(&[crashed(&[], 2), unhealthy, earlier]);
    assert!(
        crash
            .causes
            .iter()
            .any(|c| c.fault_type == "runtime.crash_on_start"),
        "{:?}",
        crash.causes
    );
}

#[test]
fn a_database_is_identified_by_its_protocol_when_it_is_the_only_one() {
    let full = log(
        "web-1",
        "ERROR",
        "Data source rejected establishment of connection, message from server: \"Too many \
         connections\"",
        NOW,
    );
    let cluster = [
        service("orders", "orders", 3306),
        ready("orders-1", "orders"),
        ready("web-1", "web"),
        full,
    ];
    assert_eq!(first(&cluster), "app/orders dependency.connection_limit");
    let second = [service("users", "users", 5432), ready("users-1", "users")];
    assert_eq!(
        first(&[&cluster[..], &second].concat()),
        "app/web dependency.connection_limit",
        "two candidates: no conclusion"
    );
}

#[test]
fn a_dns_server_is_identified_by_its_events() {
    let lookup = |pod: &str, name: &str| {
        log(
            pod,
            "ERROR",
            &format!("dial tcp: lookup {name} on 10.0.0.10:53: server misbehaving"),
            NOW,
        )
    };
    let mut server = event(
        "Pod",
        "coredns-7c44b9c6d8-h2v8k",
        "Unhealthy",
        "Readiness probe failed: HTTP probe failed with statuscode: 503",
        NOW,
    );
    server["subject"]["ns"] = "kube-system".into();
    let two = [
        lookup("web-5d9f8b6c5-x7k2p", "stock"),
        lookup("api-6f89c99b76-tqqgl", "users"),
        server.clone(),
    ];
    assert_eq!(first(&two), "app/coredns controlplane.dns_down");
    let one = [lookup("web-5d9f8b6c5-x7k2p", "stock"), server];
    assert!(
        analyze_records(&one)
            .causes
            .iter()
            .all(|c| c.fault_type != "controlplane.dns_down"),
        "one name may be wrong"
    );
}

#[test]
fn a_failing_webhook_is_at_fault_not_the_workloads_it_blocks() {
    let message = "Error creating: Internal error occurred: failed calling webhook \
                   \"gate.example.com\": failed to call webhook: Post \
                   \"https://gate.policy.svc:443/check?timeout=10s\": no endpoints available for \
                   service \"gate\"";
    let refused = |name: &str| event("ReplicaSet", name, "FailedCreate", message, NOW);
    assert_eq!(
        first(&[refused("web-5d9f8b6c5"), refused("api-6f89c99b76")]),
        "app/gate admission.webhook_unavailable"
    );
}

#[test]
fn zero_replicas_without_affected_callers_is_intended() {
    let object = |name: &str, replicas: i64, env: &Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": name, "namespace": "shop", "uid": name,
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "main", "env": env}]},
                },
            },
            "status": {
                "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas,
            },
        })
    };
    let off = object("news", 0, &json!([]));
    let caller = object(
        "gateway",
        1,
        &json!([{"name": "NEWS", "value": "http://news:80"}]),
    );
    let cluster = [off, caller, service("news", "news", 80)];
    assert_eq!(first(&cluster), "");
    let missed =
        alert(&json!({"alertname": "HighErrorRate", "namespace": "shop", "deployment": "gateway"}));
    assert_eq!(
        first(&[&cluster[..], &[missed]].concat()),
        "app/news runtime.scaled_to_zero"
    );
}

#[test]
fn an_incident_of_a_pod_without_state_starts_at_its_first_event() {
    let message = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.";
    let said = analyze_records(&[event(
        "Pod",
        "front-c85759b84-q7c6z",
        "FailedScheduling",
        message,
        ("00:58:00", "00:59:00", 3),
    )]);
    let started: Vec<String> = said
        .incidents
        .iter()
        .map(|i| i.started_at.to_string())
        .collect();
    assert_eq!(started.len(), 1, "{started:?}");
    assert!(started[0].starts_with("2026-01-01T00:5"), "{started:?}");
    assert!(
        said.causes
            .iter()
            .all(|c| c.timestamp.to_string().starts_with("2026-01-01")),
        "{:?}",
        said.causes
    );
}
