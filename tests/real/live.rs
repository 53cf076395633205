//! `kgrca analyze` of a live cluster: against a real API server that has the objects, events and
//! logs of recorded faults, and against one whose controllers act.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kgrca_tests::kube::Kube;
use kgrca_tests::kubelet::Kubelet;
use kgrca_tests::played::Stage;
use kgrca_tests::{binary, repository};
use serde_json::Value;

use super::agent::{CALLED, WEB, printed};

/// Faults of every family that needs no alert.
const FAULTS: [&str; 25] = [
    "admission/limit-range",
    "admission/real-quota-cpu",
    "admission/real-service-account-missing",
    "config/arguments-invalid",
    "config/configmap-missing",
    "config/env-invalid-placeholder",
    "config/key-missing",
    "config/real-secret-missing-volume",
    "dependency/credentials-rejected-registry-store",
    "dependency/database-missing-topic",
    "image/reference-wrong-tag",
    "image/registry-rate-limited",
    "node/disk-pressure-pull-no-space",
    "node/runtime-down-silent",
    "runtime/crash-on-start-config-file",
    "runtime/job-gave-up",
    "runtime/oom-killed-every-few-minutes",
    "runtime/port-conflict-berth-api",
    "runtime/readiness-wrong-port-rollout",
    "scheduling/node-selector-mismatch",
    "scheduling/real-taint",
    "service/ingress-class-missing-recipes",
    "service/real-selector",
    "storage/read-only-filesystem",
    "storage/real-pvc-missing",
];

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("kgrca"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn live(kube: &Kube, arguments: &[&str]) -> Command {
    let mut command = command(&["analyze"]);
    command.args(arguments).env("KUBECONFIG", kube.kubeconfig());
    command
}

/// The first cause of an answer in JSON, as `component fault`.
fn first(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", printed(output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cause = &answer["causes"][0];
    let text = |key: &str| cause[key].as_str().unwrap_or_default().to_owned();
    format!("{} {}", text("component"), text("fault_type"))
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures of this run")]
async fn a_live_cluster_has_the_first_cause_of_its_recording() {
    let kube = Kube::frozen();
    let kubelet = Kubelet::start(&kube);
    let mut stage = Stage::new(&kube, &kubelet);
    let (mut others, mut logs) = (Vec::new(), 0);
    for case in FAULTS {
        stage.play(case).await;
        let file = repository().join(format!("tests/scenarios/{case}.jsonl"));
        let arguments = ["analyze", file.to_str().unwrap(), "-o", "json"];
        let recorded = first(&command(&arguments).output().unwrap());
        let began = Instant::now();
        let output = live(&kube, &["-o", "json"]).output().unwrap();
        let found = first(&output);
        let asked = kubelet.asked().len();
        println!("{case}: {found} ({:.1?}, {asked} logs)", began.elapsed());
        logs += asked;
        if found != recorded {
            others.push(format!(
                "{case}: {found}, recorded: {recorded}\n{}",
                printed(&output)
            ));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
    assert!(logs > 20, "logs were read of {logs} runs of containers");
}

/// Waits for a line of a process that holds a text, and for what was printed until then.
fn until(lines: &mut impl Iterator<Item = std::io::Result<String>>, text: &str) -> String {
    let mut seen = String::new();
    for line in lines {
        seen += &(line.unwrap() + "\n");
        if seen.contains(text) {
            return seen;
        }
    }
    panic!("it ended without `{text}`:\n{seen}");
}

#[test]
fn a_watch_prints_what_changes_and_ends_with_ctrl_c() {
    let kube = Kube::start();
    kube.nodes(0, 3);
    let mut watch = live(&kube, &["--watch"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(watch.stderr.take().unwrap()).lines();
    let head = until(&mut messages, "watching for changes");
    assert!(head.contains("Reading all namespaces of cluster test (context test, https://"));
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let before = until(&mut lines, "nothing found");
    assert!(!before.contains("cause:"), "{before}");
    kube.apply(WEB);
    until(&mut lines, "namespace/shop  admission.quota_pods");
    kube.apply(CALLED);
    until(&mut lines, "app/cart  service.selector_mismatch");
    kube.does(
        &["-n", "lab", "patch", "service", "cart", "-p", SELECTS],
        None,
    );
    kube.does(&["delete", "namespace", "shop", "lab"], None);
    until(&mut lines, "nothing found");
    Command::new("kill")
        .args(["-INT", &watch.id().to_string()])
        .status()
        .unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

const SELECTS: &str = r#"{"spec":{"selector":{"app":"cart"}}}"#;

/// A user who may read pods, workloads and events of one namespace.
const READER: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules:
- {apiGroups: ["", apps], resources: [pods, deployments, replicasets, events], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default, namespace: shop}]
"#;

#[test]
fn only_what_the_user_may_read_is_read_and_the_rest_is_named() {
    let kube = Kube::start();
    kube.nodes(0, 1);
    kube.apply(WEB);
    kube.apply(READER);
    kube.until("the quota refuses a pod", 30, |kube| {
        let events = kube.does(&["-n", "shop", "get", "events"], None);
        events.contains("exceeded quota")
    });
    let token = ["-n", "shop", "create", "token", "default"];
    let token = kube.does(&token, None);
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("kubeconfig");
    let admin = std::fs::read_to_string(kube.kubeconfig()).unwrap();
    let users = admin.rfind("users:").unwrap();
    let with = |token: &str| {
        let user = format!("users: [{{name: admin, user: {{token: {token}}}}}]\n");
        std::fs::write(&own, format!("{}{user}", &admin[..users])).unwrap();
    };
    with(token.trim());
    let read = |arguments: &[&str]| {
        let mut command = live(&kube, arguments);
        command.env("KUBECONFIG", &own).output().unwrap()
    };
    let output = read(&["-n", "shop", "-o", "json"]);
    assert_eq!(first(&output), "namespace/shop admission.quota_pods");
    let text = printed(&output);
    for named in [
        "not allowed to list: namespaces, nodes, services",
        "kubectl auth can-i list secrets -n shop",
    ] {
        assert!(text.contains(named), "{named}: {text}");
    }
    let nothing = read(&[]);
    assert_eq!(nothing.status.code(), Some(4), "{}", printed(&nothing));
    with("expired");
    let unknown = read(&[]);
    assert_eq!(unknown.status.code(), Some(4), "{}", printed(&unknown));
    kube.kill("apiserver");
    let gone = live(&kube, &[]).output().unwrap();
    assert_eq!(gone.status.code(), Some(6), "{}", printed(&gone));
}

/// The most memory that a process has had, in MiB.
fn peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib >> 10)
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures of this run")]
async fn five_thousand_pods_are_read_in_ten_seconds_and_200_mib() {
    let kube = Kube::frozen();
    let kubelet = Kubelet::start(&kube);
    let mut stage = Stage::new(&kube, &kubelet);
    stage.play("service/real-selector").await;
    stage.multiply("pods", 5_000).await;
    let began = Instant::now();
    let mut child = live(&kube, &["-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(peak(child.id()).unwrap_or_default());
        std::thread::sleep(Duration::from_millis(10));
    }
    let took = began.elapsed();
    let output = child.wait_with_output().unwrap();
    assert_eq!(first(&output), "app/stock-level service.selector_mismatch");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("5,000 pods: {took:.1?}, {most} MiB, {}", answer["records"]);
    assert!(answer["records"]["seen"].as_u64() > Some(5_000));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(most <= 200, "{most} MiB");
}

#[test]
fn a_namespace_that_does_not_exist_is_an_error() {
    let kube = Kube::frozen();
    let output = live(&kube, &["-n", "nosuch"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", printed(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("namespace nosuch is not in cluster test"),
        "{said}"
    );
    assert!(said.contains("get namespaces"), "{said}");
}
