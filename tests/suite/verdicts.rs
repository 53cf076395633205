//! Verdicts that general knowledge of Kubernetes demands; each is a near miss of a detector.

use kgrca_core::analyze::{self, Analysis, Options};
use kgrca_core::model::Time;
use kgrca_core::rca::{Cause, Verdict};
use serde_json::{Value, json};

fn say(objects: &[Value]) -> Analysis {
    let text = objects
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

fn pod(name: &str, ready: bool, phase: &str, extra: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": name,
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": "web"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d9f8b6c5",
                    "uid": "rs", "controller": true,
                },
            ],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [
                {
                    "name": "app", "image": "r.example/web:1", "ports": [{"containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": 8081}},
                },
            ],
        },
        "status": {
            "phase": phase,
            "conditions": [
                {
                    "type": "Ready", "status": if ready {"True"} else {"False"},
                    "lastTransitionTime": "2026-01-01T00:10:00Z",
                },
            ],
        },
    });
    for (key, value) in extra.as_object().unwrap() {
        pod["status"][key] = value.clone();
    }
    pod
}

fn has_symptoms(said: &Analysis) -> bool {
    matches!(said.verdict, Verdict::Cause | Verdict::Inconclusive)
}

fn replica_set(wanted: i64, ready: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": "web-5d9f8b6c5", "namespace": "shop", "uid": "rs",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 1, "replicas": wanted, "readyReplicas": ready},
    })
}

#[test]
fn a_failed_pod_of_a_satisfied_owner_is_ignored() {
    let said = say(&[
        replica_set(1, 1),
        pod("web-1", true, "Running", &json!({})),
        pod("web-0", false, "Failed", &json!({"reason": "Terminated"})),
    ]);
    assert_eq!(said.verdict, Verdict::NothingFound, "{:?}", said.causes);
    let said = say(&[
        replica_set(1, 1),
        pod("web-1", true, "Running", &json!({})),
        pod(
            "web-0",
            false,
            "Failed",
            &json!({"reason": "Evicted", "message": "The node was low on resource: memory"}),
        ),
    ]);
    assert_eq!(said.verdict, Verdict::NothingFound, "{:?}", said.causes);
}

#[test]
fn a_service_on_an_undeclared_port_alone_is_no_fault() {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "uid": "s"},
        "spec": {
            "selector": {"app": "web"}, "clusterIP": "10.0.0.5",
            "ports": [{"port": 80, "targetPort": 9090}],
        },
    });
    let caller = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "shop", "uid": "d"},
        "spec": {
            "replicas": 1,
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {
                    "containers": [
                        {"name": "c", "env": [{"name": "WEB", "value": "http://web:80"}]},
                    ],
                },
            },
        },
        "status": {"readyReplicas": 1},
    });
    let well = [
        replica_set(1, 1),
        pod("web-1", true, "Running", &json!({})),
        service,
        caller,
    ];
    assert_eq!(say(&well).verdict, Verdict::NothingFound);
    let complaint = json!({
        "etype": "k8s.log", "event_time": "2026-01-01T00:59:00Z",
        "first_time": "2026-01-01T00:50:00Z", "count": 90, "severity": "ERROR",
        "message": "GET http://web:80/: dial tcp 10.0.0.5:80: connect: connection refused",
        "subject": {"kind": "Pod", "ns": "shop", "name": "shop-1"},
    });
    let said = say(&[&well[..], &[complaint]].concat());
    assert_eq!(
        said.causes[0].fault_type, "service.port_mismatch",
        "{:?}",
        said.causes
    );
}

#[test]
fn a_probe_that_siblings_pass_is_not_at_fault() {
    let refused = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": "e", "namespace": "shop", "uid": "e"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-2", "uid": "web-2"},
        "type": "Warning", "reason": "Unhealthy",
        "message": "Readiness probe failed: Get \"http://10.1.0.3:8081/\": dial tcp 10.1.0.3:8081: \
         connect: connection refused",
        "firstTimestamp": "2026-01-01T00:10:00Z", "lastTimestamp": "2026-01-01T00:59:50Z",
        "count": 300,
    });
    let alone = say(&[
        replica_set(1, 0),
        pod("web-2", false, "Running", &json!({})),
        refused.clone(),
    ]);
    assert_eq!(alone.causes[0].fault_type, "runtime.readiness_wrong_port");
    let with_sibling = say(&[
        replica_set(2, 1),
        pod("web-1", true, "Running", &json!({})),
        pod("web-2", false, "Running", &json!({})),
        refused,
    ]);
    assert!(
        with_sibling
            .causes
            .iter()
            .all(|c| c.fault_type != "runtime.readiness_wrong_port"),
        "{:?}",
        with_sibling.causes
    );
    assert!(has_symptoms(&with_sibling));
}

#[test]
fn pods_without_events_are_not_called_healthy() {
    for (reason, extra) in [
        (
            "CrashLoopBackOff",
            json!({
                "containerStatuses": [
                    {
                        "name": "app", "ready": false, "restartCount": 9,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {
                            "terminated": {
                                "exitCode": 1, "reason": "Error",
                                "finishedAt": "2026-01-01T00:58:00Z",
                            },
                        },
                    },
                ],
            }),
        ),
        (
            "ImagePullBackOff",
            json!({
                "containerStatuses": [
                    {
                        "name": "app", "ready": false, "restartCount": 0,
                        "state": {"waiting": {"reason": "ImagePullBackOff"}},
                    },
                ],
            }),
        ),
    ] {
        let said = say(&[pod(
            "web-1",
            false,
            if reason == "CrashLoopBackOff" {
                "Running"
            } else {
                "Pending"
            },
            &extra,
        )]);
        assert!(has_symptoms(&said), "{reason}");
        assert_eq!(
            said.causes[0].component, "app/web",
            "{reason}: {:?}",
            said.causes
        );
    }
}

#[test]
fn a_cluster_is_healthy_only_when_all_that_shows_health_was_seen() {
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "n"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "type": "Normal", "reason": "Started",
        "metadata": {"name": "web-1.1", "namespace": "shop", "uid": "e"},
        "lastTimestamp": "2026-01-01T00:50:00Z", "message": "Started container app",
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1"},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "uid": "s"},
        "spec": {"ports": [{"port": 443}]},
    });
    let log = json!({
        "namespace": "shop", "pod": "web-1", "container": "app", "severity": "INFO",
        "time": "2026-01-01T00:50:00Z", "message": "listening on :8080",
    });
    let all = [
        node,
        replica_set(1, 1),
        pod("web-1", true, "Running", &json!({})),
        event,
        service,
        log,
    ];
    assert_eq!(say(&all).verdict, Verdict::Healthy);
    for left_out in 0..all.len() {
        let mut rest = all.to_vec();
        rest.remove(left_out);
        let said = say(&rest);
        assert_eq!(said.verdict, Verdict::NothingFound, "without {left_out}");
        assert!(!said.missing_evidence.is_empty(), "without {left_out}");
    }
}

#[test]
fn an_empty_input_shows_nothing() {
    assert_eq!(say(&[]).verdict, Verdict::NothingFound);
}

#[test]
fn concatenated_documents_are_one_input() {
    let options = Options {
        top: 10,
        now: Time(1_900_000_000_000_000),
        ..Options::default()
    };
    let event = |name: &str| {
        serde_json::to_string_pretty(&serde_json::json!({
            "kind": "Event", "apiVersion": "v1", "type": "Warning", "reason": "Failed", "count": 5,
            "metadata": {"name": format!("{name}.1"), "namespace": "shop", "uid": name},
            "lastTimestamp": "2026-01-01T10:00:00Z", "firstTimestamp": "2026-01-01T09:58:00Z",
            "message": "Failed to pull image \"r.example/web:2\": manifest unknown: not found",
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": name},
        }))
        .unwrap()
    };
    let analysis = analyze::analyze(
        "two",
        format!("{}\n{}\n", event("web-1"), event("web-2")).as_bytes(),
        &options,
    );
    assert_eq!(
        (analysis.records.applied, analysis.records.rejected),
        (2, 0),
        "{:?}",
        analysis.rejects
    );
    assert_eq!(analysis.verdict, Verdict::Cause);
}

#[test]
fn unreadable_input_is_inconclusive() {
    let options = Options {
        top: 10,
        ..Options::default()
    };
    for text in ["hello world", "{}", "{\"a\":1}\n{\"b\":2}\nx"] {
        let analysis = analyze::analyze("garbage", text.as_bytes(), &options);
        assert_eq!(analysis.verdict, Verdict::Inconclusive, "{text}");
        assert!(
            analysis
                .missing_evidence
                .iter()
                .any(|m| m.what.contains("could not be read"))
        );
    }
    assert_eq!(
        analyze::analyze("empty", b"", &options).verdict,
        Verdict::NothingFound
    );
}

fn two_port_service(targets: [&Value; 2]) -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "uid": "s"},
        "spec": {"selector": {"app": "web"}, "clusterIP": "10.0.0.5", "ports": [
            {"name": "http", "port": 80, "targetPort": targets[0]},
            {"name": "metrics", "port": 9100, "targetPort": targets[1]}]}})
}

/// A healthy pod of `web` whose container declares the ports `http` 8080 and `metrics` 9090.
fn two_port_pod() -> Value {
    let mut pod = pod("web-1", true, "Running", &json!({}));
    pod["spec"]["containers"] = json!([{"name": "app", "image": "r.example/web:1", "ports": [
        {"name": "http", "containerPort": 8080},
        {"name": "metrics", "containerPort": 9090}]}]);
    pod
}

fn refused_call(port: u16) -> Value {
    json!({"etype": "k8s.log", "event_time": "2026-01-01T00:59:00Z",
        "first_time": "2026-01-01T00:50:00Z", "count": 90, "severity": "ERROR",
        "message": format!("GET http://web:{port}/: dial tcp 10.0.0.5:{port}: connect: \
            connection refused"),
        "subject": {"kind": "Pod", "ns": "shop", "name": "shop-1"}})
}

#[test]
fn the_fix_of_a_port_mismatch_patches_the_port_that_mismatches() {
    let said = say(&[
        replica_set(1, 1),
        two_port_pod(),
        two_port_service([&json!(8080), &json!(9091)]),
        refused_call(9100),
    ]);
    let cause = &said.causes[0];
    assert_eq!(
        cause.fault_type, "service.port_mismatch",
        "{:?}",
        said.causes
    );
    assert!(
        cause
            .fix
            .contains("/spec/ports/1/targetPort\",\"value\":9090}"),
        "{}",
        cause.fix
    );
}

#[test]
fn of_two_mismatched_ports_the_one_that_callers_use_is_reported() {
    for (called, index) in [(80, 0), (9100, 1)] {
        let said = say(&[
            replica_set(1, 1),
            two_port_pod(),
            two_port_service([&json!(8081), &json!(9091)]),
            refused_call(called),
        ]);
        let cause = &said.causes[0];
        assert_eq!(
            cause.fault_type, "service.port_mismatch",
            "{:?}",
            said.causes
        );
        assert!(
            cause.message.contains(&format!("port {called} ")),
            "{}",
            cause.message
        );
        let path = format!("/spec/ports/{index}/targetPort");
        assert!(cause.fix.contains(&path), "{}", cause.fix);
    }
}

#[test]
fn the_fix_of_a_selector_removes_keys_that_the_pods_lack() {
    let mut service = two_port_service([&json!(8080), &json!(9090)]);
    service["spec"]["selector"] = json!({"app": "web", "tier": "front"});
    let said = say(&[replica_set(1, 1), two_port_pod(), service, refused_call(80)]);
    let is_selector = |c: &&Cause| c.fault_type == "service.selector_mismatch";
    let Some(cause) = said.causes.iter().find(is_selector) else {
        panic!("{:?}", said.causes);
    };
    assert!(
        cause.fix.contains(r#""app":"web","tier":null"#),
        "{}",
        cause.fix
    );
}

#[test]
fn packet_loss_on_one_node_leaves_another_with_its_latency() {
    let node = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    };
    let alert = |name: &str, node: &str, text: &str| {
        json!({"topic": "alerts.raw", "value": {"status": "firing",
            "labels": {"alertname": name, "node": node, "severity": "critical"},
            "annotations": {"summary": text},
            "startsAt": "2026-01-01T00:50:00Z", "fingerprint": format!("{name}-{node}")}})
    };
    let said = say(&[
        node("n1"),
        node("n2"),
        alert("NodePacketLoss", "n1", "retransmissions at 40 per second"),
        alert("NodeNetworkLatencyHigh", "n2", "round trip takes 40 ms"),
    ]);
    let fault = |component: &str| {
        let of_node = |c: &&Cause| c.component == component;
        said.causes.iter().find(of_node).map(|c| &*c.fault_type)
    };
    assert_eq!(
        fault("node/n1"),
        Some("node.network_loss"),
        "{:?}",
        said.causes
    );
    assert_eq!(
        fault("node/n2"),
        Some("node.network_delay"),
        "{:?}",
        said.causes
    );
}

#[test]
fn the_fix_of_a_quota_names_the_quota_also_when_only_the_refusal_is_known() {
    let refused = json!({"etype": "k8s.event", "event_id": "e1", "severity": "WARNING",
        "event_time": "2026-01-01T00:59:00Z", "first_time": "2026-01-01T00:50:00Z", "count": 20,
        "reason": "FailedCreate", "subject": {"kind": "ReplicaSet", "ns": "shop",
        "name": "web-5d9f8b6c5"}, "message": "Error creating: pods \"web-5d9f8b6c5-x\" is \
            forbidden: exceeded quota: compute, requested: requests.memory=4Gi, used: \
            requests.memory=6Gi, limited: requests.memory=8Gi"});
    let mut set = replica_set(2, 0);
    set["status"]["replicas"] = json!(0);
    let said = say(&[set, refused]);
    let cause = &said.causes[0];
    assert_eq!(cause.fault_type, "admission.quota_memory", "{cause:?}");
    assert_eq!(cause.fix, "kubectl -n shop edit resourcequota compute");
}

#[test]
fn a_quota_that_refuses_is_named_from_the_audit_log() {
    let refused = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "stage": "ResponseComplete", "verb": "create", "objectRef": {"resource": "pods",
        "namespace": "shop", "apiVersion": "v1"}, "responseStatus": {"code": 403,
        "message": "pods \"web-\" is forbidden: exceeded quota: compute, requested: pods=1, used: \
            pods=10, limited: pods=10"}, "requestReceivedTimestamp": "2026-01-01T00:59:00Z"});
    let said = say(&[refused]);
    let cause = &said.causes[0];
    assert_eq!(
        (&*cause.component, &*cause.fault_type),
        ("namespace/shop", "admission.quota_pods"),
        "{cause:?}"
    );
}

#[test]
fn a_kubelet_says_why_its_node_is_not_ready_unless_the_node_is() {
    let line = json!({"etype": "k8s.log", "event_time": "2026-01-01T00:59:00Z",
        "first_time": "2026-01-01T00:50:00Z", "count": 30, "severity": "ERROR",
        "message": "\"Container runtime network not ready\" networkReady=\"NetworkReady=false \
            reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not \
            initialized\"", "subject": {"kind": "Node", "name": "node-1"}});
    let cause = |records: &[Value]| say(records).causes.first().map(|c| c.fault_type.clone());
    let said = cause(std::slice::from_ref(&line));
    assert_eq!(said.as_deref(), Some("node.network_unavailable"));
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1",
        "uid": "n1", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {"conditions":
        [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let said = cause(&[node, line]);
    assert_ne!(said.as_deref(), Some("node.network_unavailable"));
}
