//! Many tenants on one daemon, each with a cluster that has an incident: what starting, holding and
//! resting costs.

use std::path::Path;
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use kgrca_tests::services::Service;
use kgrca_tests::stack::Stack;
use serde_json::json;

use crate::figure;
use crate::process::resident;

/// How long the daemon rests while its CPU is measured.
const REST: Duration = Duration::from_mins(1);
/// Ticks of the kernel's clock in a second, as `getconf CLK_TCK` says on Linux.
const CLOCK: f64 = 100.0;

/// Seconds of CPU that a process used so far.
pub(crate) fn cpu(id: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: the 12th and 13th field are user and system time.
    let behind = text
        .rsplit_once(')')
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    let ticks = |n: usize| {
        behind
            .split_whitespace()
            .nth(n)
            .and_then(|t| t.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / CLOCK
}

fn incident() -> Vec<u8> {
    let message = "Failed to pull image \"registry.example/web:2\": rpc error: code = NotFound \
                   desc = manifest unknown: not found";
    let subject = json!({"kind": "Pod", "ns": "shop", "name": "web-1"});
    let at = jiff::Timestamp::now().to_string();
    json!({
        "event_id": "e1", "event_time": at, "cluster": "prod", "severity": "WARNING",
        "reason": "Failed", "count": 5, "message": message, "subject": subject,
    })
    .to_string()
    .into_bytes()
}

async fn measured(name: &str, count: usize, folder: &Path, start: &dyn Fn(&Path) -> Server) {
    let server = start(folder);
    let started = Instant::now();
    let mut tenants: Vec<Tenant> = Vec::new();
    for i in 0..count {
        tenants.push(server.tenant(&format!("T{i}"), "enterprise").await);
    }
    figure(
        &format!("{name}_created"),
        count as f64 / started.elapsed().as_secs_f64(),
        "tenants/s",
    );
    let started = Instant::now();
    for tenant in &tenants {
        server.ingest(tenant, "events", incident()).await;
    }
    for tenant in &tenants {
        server.settled(tenant, 1).await;
    }
    figure(
        &format!("{name}_first_records"),
        count as f64 / started.elapsed().as_secs_f64(),
        "tenants/s",
    );
    figure(
        &format!("{name}_memory"),
        resident(server.id()) / 1_048_576.0,
        "MiB",
    );
    assert!(server.terminate(), "it leaves in order");
    let started = Instant::now();
    let server = start(folder);
    figure(
        &format!("{name}_start"),
        started.elapsed().as_secs_f64(),
        "s",
    );
    for tenant in &tenants {
        server.get("/api/v1/rca", &tenant.key).await;
    }
    figure(
        &format!("{name}_all_answer"),
        started.elapsed().as_secs_f64(),
        "s",
    );
    let before = cpu(server.id());
    tokio::time::sleep(REST).await;
    figure(
        &format!("{name}_idle_cpu"),
        (cpu(server.id()) - before) / REST.as_secs_f64() * 100.0,
        "% of a core",
    );
    figure(
        &format!("{name}_memory_restarted"),
        resident(server.id()) / 1_048_576.0,
        "MiB",
    );
}

fn block_on(work: impl Future<Output = ()>) {
    match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(work),
        Err(e) => panic!("{e}"),
    }
}

/// 1,000 tenants on embedded stores; 100 on Kafka, PostgreSQL and Redis; 3 with Neo4j, too.
pub(crate) fn tenants() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let place = |name: &str| {
        let place = folder.path().join(name);
        std::fs::create_dir_all(&place).unwrap_or_else(|e| panic!("{e}"));
        place
    };
    block_on(measured(
        "tenants_embedded",
        1000,
        &place("embedded"),
        &|f| Server::start(f, &[]),
    ));
    let stack = Stack::start();
    let files = |f: &Path| stack.daemon_with(f, &[("KGRCA_GRAPH_URL", "mars:")]);
    block_on(measured("tenants_servers", 100, &place("servers"), &files));
    let more = [Service::start("neo4j"), Service::start("neo4j")];
    let stack = Stack::start();
    let url = format!(
        "{},127.0.0.1:{},127.0.0.1:{}",
        stack.neo4j.url(),
        more[0].port,
        more[1].port
    );
    let graphs = |f: &Path| stack.daemon_with(f, &[("KGRCA_GRAPH_URL", url.as_str())]);
    block_on(measured("tenants_neo4j", 3, &place("neo4j"), &graphs));
}
