//! Fixes as they come out of what people have: tables, objects and events.

use super::{Evidence, Options};
use crate::forms::Source;
use crate::model::Time;
use crate::rca::{Cause, Risk};

const NOW: &str = "2026-11-29T09:06:00Z";

/// The first cause of some texts about one cluster.
fn first(texts: &[&str]) -> Cause {
    let options = Options::default();
    let mut evidence = Evidence::new(&options);
    for text in texts {
        let source = Source {
            path: "x",
            bytes: text.as_bytes(),
            taken_at: Time::parse(NOW).unwrap(),
            namespace: None,
        };
        evidence.add(&source).unwrap();
    }
    let mut analysis = evidence.analyze("x");
    assert!(!analysis.causes.is_empty(), "no cause of {texts:?}");
    analysis.causes.remove(0)
}

/// A pod whose container was OOM-killed, with the lines of its owner and name.
fn oom_killed(name: &str, owner: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: shop\n  uid: {name}\n  \
         creationTimestamp: 2026-11-29T08:00:00Z\n{owner}spec:\n  containers:\n  - name: api\n    \
         image: api:1\n    resources:\n      limits:\n        memory: 256Mi\n  - name: proxy\n    \
         image: proxy:1\nstatus:\n  phase: Running\n  containerStatuses:\n  - name: api\n    \
         ready: false\n    restartCount: 4\n    state:\n      waiting:\n        reason: \
         CrashLoopBackOff\n    lastState:\n      terminated:\n        reason: OOMKilled\n        \
         exitCode: 137\n        finishedAt: 2026-11-29T09:05:00Z\n  - name: proxy\n    ready: true\n    \
         restartCount: 0\n    state:\n      running:\n        startedAt: 2026-11-29T08:00:00Z\n"
    )
}

fn owner(kind: &str, name: &str) -> String {
    format!(
        "  ownerReferences:\n  - apiVersion: apps/v1\n    kind: {kind}\n    name: {name}\n    \
         uid: o1\n    controller: true\n"
    )
}

#[test]
fn a_fix_is_aimed_at_the_owner_that_has_the_template() {
    let limits = "--limits=memory=512Mi --containers=api";
    for (owner, name, expected) in [
        (
            owner("ReplicaSet", "api-7d4b9c6f58"),
            "api-7d4b9c6f58-x2x7q",
            format!("kubectl -n shop set resources deployment/api {limits}"),
        ),
        (
            owner("StatefulSet", "api"),
            "api-0",
            format!("kubectl -n shop set resources statefulset/api {limits}"),
        ),
        (
            owner("DaemonSet", "api"),
            "api-x2x7q",
            format!("kubectl -n shop set resources daemonset/api {limits}"),
        ),
        // Somebody named a ReplicaSet: what owns it is not known.
        (
            owner("ReplicaSet", "api-blue"),
            "api-blue-x2x7q",
            "kubectl -n shop describe replicaset/api-blue".to_owned(),
        ),
        (
            String::new(),
            "api",
            "kubectl -n shop get pod api -o yaml > pod.yaml && vi pod.yaml && \
             kubectl -n shop replace --force -f pod.yaml"
                .to_owned(),
        ),
    ] {
        let cause = first(&[&oom_killed(name, &owner)]);
        assert_eq!(cause.fault_type, "runtime.oom_killed");
        assert_eq!(cause.fix, expected, "{name}");
    }
}

#[test]
fn a_name_that_was_derived_is_said_to_be() {
    let pod = oom_killed(
        "api-7d4b9c6f58-x2x7q",
        &owner("ReplicaSet", "api-7d4b9c6f58"),
    );
    let remedy = first(&[&pod]).remedy.unwrap();
    assert_eq!(
        remedy.note,
        "the Deployment's name is derived from that of ReplicaSet `api-7d4b9c6f58`"
    );
    assert_eq!(remedy.risk, Risk::RestartsPods);
    assert_eq!(
        remedy.dry_run,
        "kubectl -n shop set resources deployment/api --limits=memory=512Mi --containers=api \
         --dry-run=server"
    );
    assert_eq!(remedy.undo, "kubectl -n shop rollout undo deployment/api");
    assert_eq!(
        remedy.check,
        "kubectl -n shop rollout status deployment/api --timeout=5m"
    );
}

#[test]
fn without_a_rollout_in_evidence_none_is_undone() {
    for row in [
        "api-7d4b9c6f58-x2x7q   0/1     CrashLoopBackOff   4          9m",
        "api-7d4b9c6f58-x2x7q   0/1     Error              4          9m",
        "api-0                  0/1     CrashLoopBackOff   4          9m",
        "api-7d4b9c6f58-x2x7q   0/1     Evicted            0          9m",
    ] {
        let table = format!("NAME   READY   STATUS   RESTARTS   AGE\n{row}\n");
        let cause = first(&[&table]);
        for harm in ["rollout undo", "replace", "set resources pod", "replicaset"] {
            assert!(!cause.fix.contains(harm), "{row}: {}", cause.fix);
        }
    }
    let deployments = "NAME   READY   UP-TO-DATE   AVAILABLE   AGE\nweb    0/2     2            0           40d\n";
    let cause = first(&[deployments]);
    assert!(!cause.fix.contains("rollout undo"), "{}", cause.fix);
    assert_eq!(cause.remedy.unwrap().risk, Risk::ReadOnly);
}

#[test]
fn names_that_no_object_can_have_give_no_command() {
    for name in ["\"a;$(reboot) 'x\"", "--all", "/root/x", "..", "a/../../b"] {
        assert_eq!(first(&[&oom_killed(name, "")]).fix, "", "{name}");
    }
}

#[test]
fn causes_below_a_confidence_are_left_out() {
    let pod = oom_killed("api-0", &owner("StatefulSet", "api"));
    let options = Options {
        min_confidence: 0.999_9,
        ..Options::default()
    };
    let mut evidence = Evidence::new(&options);
    let source = Source {
        path: "x",
        bytes: pod.as_bytes(),
        taken_at: Time::parse(NOW).unwrap(),
        namespace: None,
    };
    evidence.add(&source).unwrap();
    assert!(evidence.analyze("x").causes.is_empty());
}

#[test]
fn memory_is_raised_of_the_init_container_that_lacked_it() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: db-0\n  namespace: shop\n  uid: p1\n  \
               creationTimestamp: 2026-11-29T08:00:00Z\n  ownerReferences:\n  - {apiVersion: \
               apps/v1, kind: StatefulSet, name: db, uid: o1, controller: true}\nspec:\n  \
               initContainers:\n  - name: migrate\n    image: m:1\n    resources: {limits: {memory: \
               64Mi}}\n  containers:\n  - name: db\n    image: d:1\n    resources: {limits: {memory: \
               1Gi}}\nstatus:\n  phase: Pending\n  initContainerStatuses:\n  - name: migrate\n    \
               ready: false\n    restartCount: 4\n    state: {waiting: {reason: \
               CrashLoopBackOff}}\n    lastState: {terminated: {reason: OOMKilled, exitCode: 137, \
               finishedAt: '2026-11-29T09:05:00Z'}}\n  containerStatuses:\n  - name: db\n    ready: \
               false\n    restartCount: 0\n    state: {waiting: {reason: PodInitializing}}\n";
    assert_eq!(
        first(&[pod]).fix,
        "kubectl -n shop set resources statefulset/db --limits=memory=128Mi --containers=migrate"
    );
}
