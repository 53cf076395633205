//! The agent: a cluster of many pods, what watching it costs; and the logs of a node.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run has no figures"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::kube::{AgentProcess, Kube};
use kgrca_tests::server::Tenant;
use serde_json::{Value, json};

use crate::figure;
use crate::tenants::cpu;

/// Pods of one Deployment.
const REPLICAS: usize = 100;

/// Watching clusters of 500 and of 5,000 pods.
pub(crate) fn agent() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let kube = Kube::start();
    kube.nodes(0, 100);
    runtime.block_on(async {
        for pods in [500, 5_000] {
            watched(&kube, pods).await;
        }
    });
}

fn deployments(kube: &Kube, pods: usize) {
    let all: String = (0..pods / REPLICAS)
        .map(|i| {
            let name = format!("web-{i}");
            let container = json!({
                "name": "app", "image": "registry.example/app:1",
                "env": [{"name": "DB_HOST", "value": "db.shop.svc:5432"}],
                "ports": [{"containerPort": 8080}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            });
            let template = json!({
                "metadata": {"labels": {"app": name}}, "spec": {"containers": [container]},
            });
            let spec = json!({
                "replicas": REPLICAS, "selector": {"matchLabels": {"app": name}},
                "template": template,
            });
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": name, "namespace": "default"}, "spec": spec,
            })
            .to_string()
                + "\n---\n"
        })
        .collect();
    kube.apply(&all);
    let running = |kube: &Kube| {
        let phases = kube.does(
            &[
                "get",
                "pods",
                "--no-headers",
                "-o",
                "custom-columns=P:.status.phase",
            ],
            None,
        );
        phases.lines().filter(|l| *l == "Running").count() >= pods
    };
    kube.until("pods run", 600, running);
}

fn environment(kube: &Kube, server: &Server, tenant: &Tenant) -> Vec<(String, String)> {
    [
        ("KGRCA_CLUSTER", "prod".to_owned()),
        ("KGRCA_URL", server.url.clone()),
        ("KGRCA_API_KEY", tenant.key.clone()),
        ("KUBECONFIG", kube.kubeconfig().display().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Memory of a process in MiB: now, and at its peak.
fn memory(id: u32) -> (f64, f64) {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let of = |name: &str| {
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(name))
            .unwrap_or_default();
        line.split_whitespace()
            .next()
            .and_then(|n| n.parse::<f64>().ok())
            .unwrap_or(0.0)
            / 1024.0
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn seen(status: &Value, topic: &str) -> f64 {
    status["seen"][topic].as_f64().unwrap_or(0.0)
}

async fn watched(kube: &Kube, pods: usize) {
    deployments(kube, pods);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Bench", "enterprise").await;
    let started = Instant::now();
    let agent = AgentProcess::start(
        &folder.path().join("agent"),
        &environment(kube, &server, &tenant),
    );
    let status = loop {
        let status = agent.status().await;
        let kinds = status["kinds"].as_array().unwrap();
        let all = kinds
            .iter()
            .any(|k| k["kind"] == "Pod" && k["objects"].as_u64().unwrap() >= pods as u64);
        if all && status["spooled"].as_object().unwrap().is_empty() {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let name = format!("agent_{pods}_pods");
    figure(
        &format!("{name}_first_sync"),
        started.elapsed().as_secs_f64(),
        "s",
    );
    figure(
        &format!("{name}_first_sync_shipped"),
        status["shipped_bytes"].as_f64().unwrap() / 1_048_576.0,
        "MiB",
    );
    // What was needed for the moment is given back.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (now, peak) = memory(agent.id());
    figure(&format!("{name}_memory_after_first_sync"), now, "MiB");
    figure(&format!("{name}_memory_peak"), peak, "MiB");
    // kubectl sends 50 requests a second.
    let before = (cpu(agent.id()), agent.status().await, Instant::now());
    let mut changing = Command::new(kgrca_tests::services::installed("kube").join("kube"))
        .args(["kubectl", "--kubeconfig"])
        .arg(kube.kubeconfig())
        .args([
            "annotate",
            "pods",
            "--all",
            "--overwrite",
            &format!("turn={pods}"),
        ])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let seconds = before.2.elapsed().as_secs_f64();
    let after = agent.status().await;
    let changes = seen(&after, "state.k8s.resource") - seen(&before.1, "state.k8s.resource");
    figure(&format!("{name}_changes"), changes / seconds, "changes/s");
    figure(
        &format!("{name}_cpu"),
        (cpu(agent.id()) - before.0) / seconds * 100.0,
        "% of a core",
    );
    let _ = changing.kill();
    let _ = changing.wait();
    figure(
        &format!("{name}_memory_peak_after_changes"),
        memory(agent.id()).1,
        "MiB",
    );
}

/// Files of the logs, and how many lines are written in a second.
const FILES: usize = 50;
const RATE: usize = 50_000;
const SECONDS: usize = 30;

/// Logs of 50 files, 50,000 lines a second, with rotation; the agent has one core.
pub(crate) fn logs() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("pods");
        std::fs::create_dir_all(&logs).unwrap();
        let server = Server::start(folder.path(), &[]);
        let tenant = server.tenant("Bench", "enterprise").await;
        let environment: Vec<(String, String)> = [
            ("KGRCA_CLUSTER", "prod"),
            ("KGRCA_URL", server.url.as_str()),
            ("KGRCA_API_KEY", tenant.key.as_str()),
            ("KGRCA_LOGS_FROM", logs.to_str().unwrap()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let agent = AgentProcess::start(&folder.path().join("agent"), &environment);
        Command::new("taskset")
            .args(["-acp", "1", &agent.id().to_string()])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        let begun = cpu(agent.id());
        let written = tokio::task::spawn_blocking(move || write(&logs))
            .await
            .unwrap();
        let caught_up = Instant::now();
        loop {
            let status = agent.status().await;
            if seen(&status, "logs.normalized") as u64 >= written
                && status["spooled"].as_object().unwrap().is_empty()
            {
                assert_eq!(
                    seen(&status, "logs.normalized") as u64,
                    written,
                    "each line once"
                );
                break;
            }
            assert!(
                caught_up.elapsed() < Duration::from_mins(2),
                "{status:#} of {written}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        figure("logs_lines", written as f64 / SECONDS as f64, "lines/s");
        figure(
            "logs_caught_up",
            caught_up.elapsed().as_secs_f64(),
            "s behind",
        );
        figure(
            "logs_cpu",
            (cpu(agent.id()) - begun) / SECONDS as f64 * 100.0,
            "% of a core",
        );
        figure("logs_memory_peak", memory(agent.id()).1, "MiB");
    });
}

/// Writes lines at a steady rate, one in twenty an error, and rotates each file every ten seconds.
/// Returns how many.
fn write(root: &Path) -> u64 {
    let mut files: Vec<(PathBuf, std::fs::File)> = (0..FILES)
        .map(|i| {
            let folder = root.join(format!("shop_web-{i}_0000-{i}/app"));
            std::fs::create_dir_all(&folder).unwrap();
            (
                folder.clone(),
                std::fs::File::create(folder.join("0.log")).unwrap(),
            )
        })
        .collect();
    let (turns, began, mut lines) = (SECONDS * 10, Instant::now(), 0_u64);
    for turn in 0..turns {
        let now = jiff::Timestamp::now();
        for (folder, out) in &mut files {
            let mut text = String::new();
            for _ in 0..RATE / 10 / FILES {
                let level = if lines.is_multiple_of(20) {
                    "ERROR"
                } else {
                    "INFO"
                };
                text += &format!(
                    "{now} stdout F {level} request {lines} to /api/v1/orders took {} ms for \
                     customer 4711\n",
                    lines % 97
                );
                lines += 1;
            }
            out.write_all(text.as_bytes()).unwrap();
            if turn % 100 == 99 {
                std::fs::rename(
                    folder.join("0.log"),
                    folder.join(format!("0.log.20260101-{turn:06}")),
                )
                .unwrap();
                *out = std::fs::File::create(folder.join("0.log")).unwrap();
            }
        }
        // The rate is what is tried.
        let due = Duration::from_millis(100) * (turn as u32 + 1);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    lines
}
