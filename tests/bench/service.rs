//! The daemon over HTTP, client and daemon on the same cores.

use std::fmt::Write;
use std::time::{Duration, Instant};

use kgrca_core::model::{Time, Topic};
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use kgrca_tests::simulate::{Cluster, Size};
use serde_json::json;

use crate::figure;
use crate::process::{processor_seconds, resident};

fn block_on<T>(work: impl Future<Output = T>) -> T {
    match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(work),
        Err(e) => panic!("{e}"),
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"))
}

fn kind(topic: Topic) -> &'static str {
    match topic {
        Topic::Events => "events",
        Topic::Logs => "logs",
        Topic::Topology => "topology",
        Topic::Alerts => "alerts",
        _ => "resources",
    }
}

fn now() -> Time {
    Time(jiff::Timestamp::now().as_microsecond())
}

/// Records in batches of one topic.
fn batches(
    records: impl Iterator<Item = (Topic, Vec<u8>)>,
    size: usize,
) -> Vec<(Topic, usize, Vec<u8>)> {
    let mut open: std::collections::BTreeMap<Topic, (usize, Vec<u8>)> =
        std::collections::BTreeMap::new();
    let mut done = Vec::new();
    for (topic, bytes) in records {
        let batch = open.entry(topic).or_default();
        batch.0 += 1;
        batch.1.extend_from_slice(&bytes);
        batch.1.push(b'\n');
        if batch.0 == size {
            done.push((topic, batch.0, std::mem::take(&mut batch.1)));
            batch.0 = 0;
        }
    }
    done.extend(
        open.into_iter()
            .filter(|(_, (n, _))| *n > 0)
            .map(|(t, (n, b))| (t, n, b)),
    );
    done
}

async fn send(server: &Server, tenant: &Tenant, batches: Vec<(Topic, usize, Vec<u8>)>) -> u64 {
    let mut accepted = 0;
    // Four senders keep the group commit fed.
    let mut waiting = tokio::task::JoinSet::new();
    for (topic, _, body) in batches {
        if waiting.len() >= 4 {
            accepted += waiting
                .join_next()
                .await
                .and_then(Result::ok)
                .flatten()
                .unwrap_or(0);
        }
        let request = server
            .http
            .post(format!("{}/api/v1/ingest/{}", server.url, kind(topic)))
            .header("x-api-key", &tenant.key)
            .body(body);
        waiting.spawn(async move {
            let response = request.send().await.ok()?;
            let answer: serde_json::Value = response.json().await.ok()?;
            answer["accepted"].as_u64()
        });
    }
    while let Some(done) = waiting.join_next().await {
        accepted += done.ok().flatten().unwrap_or(0);
    }
    accepted
}

/// How often ingestion is measured, in clear and encrypted by turns: the machine's speed drifts.
const ROUNDS: usize = 5;
/// Records of one measurement.
const INGESTED: u32 = 500_000;

/// What one measurement of ingestion found, in records per second.
struct Rates {
    /// Until all are applied.
    applied: f64,
    /// Until all are acknowledged.
    durable: f64,
    /// Per second of the daemon's processor time, which other load on the machine changes less.
    processor: f64,
}

pub(crate) fn ingest() {
    let keys = folder();
    let key = keys.path().join("master.key");
    create_master_key(&key);
    let url = format!("file:{}", key.display());
    let (mut clear, mut encrypted) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        clear.push(ingest_once("ingest", &[]));
        encrypted.push(ingest_once("ingest_encrypted", &["--master-key-url", &url]));
    }
    let cost = |of: fn(&Rates) -> f64| {
        let rate = |all: &[Rates]| median(all.iter().map(of).collect());
        (1.0 - rate(&encrypted) / rate(&clear)) * 100.0
    };
    figure("ingest_encryption_cost", cost(|r| r.applied), "%");
    figure("ingest_durable_encryption_cost", cost(|r| r.durable), "%");
    figure(
        "ingest_processor_encryption_cost",
        cost(|r| r.processor),
        "%",
    );
}

fn create_master_key(file: &std::path::Path) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = std::fs::OpenOptions::new();
    let options = options.create_new(true).write(true).mode(0o600);
    // 32 bytes in Base64.
    let key = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=\n";
    let written = options
        .open(file)
        .and_then(|mut f| f.write_all(key.as_bytes()));
    written.unwrap_or_else(|e| panic!("{e}"));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ingest_once(name: &str, options: &[&str]) -> Rates {
    block_on(async {
        let folder = folder();
        let server = Server::start(folder.path(), options);
        let tenant = server.tenant("Bench", "enterprise").await;
        let mut cluster = Cluster::new(Size::USUAL, 7, now().plus(-200_000_000));
        let listing = batches(cluster.listing(), 1000);
        let listed = send(&server, &tenant, listing).await;
        server.settled(&tenant, listed).await;
        let before = processor_seconds(server.id());
        let load = batches((0..INGESTED).map(|_| cluster.next_record()), 2000);
        let started = Instant::now();
        let accepted = send(&server, &tenant, load).await;
        let durable = started.elapsed().as_secs_f64();
        server.settled(&tenant, listed + u64::from(INGESTED)).await;
        let rates = Rates {
            applied: f64::from(INGESTED) / started.elapsed().as_secs_f64(),
            durable: f64::from(INGESTED) / durable,
            processor: f64::from(INGESTED) / (processor_seconds(server.id()) - before),
        };
        figure(name, rates.applied, "records/s");
        figure(&format!("{name}_durable"), rates.durable, "records/s");
        figure(&format!("{name}_processor"), rates.processor, "records/s");
        let lost = f64::from(INGESTED) - accepted as f64;
        figure(&format!("{name}_lost"), lost, "records");
        rates
    })
}

pub(crate) fn api() {
    block_on(async {
        let folder = folder();
        let server = Server::start(folder.path(), &[]);
        let tenant = server.tenant("Bench", "enterprise").await;
        let at = now();
        let mut text = String::new();
        for i in 0..5_i64 {
            let time = at.plus(i * 1_000_000 - 300_000_000);
            let event = json!({
                "event_id": format!("e{i}"), "event_time": time.to_string(), "cluster": "prod",
                "severity": "WARNING", "reason": "Failed", "count": i + 1,
                "message": "Failed to pull image \"r.example/web:2\": manifest unknown: not found",
                "subject": {"kind": "Pod", "ns": "shop", "name": "web-1"},
            });
            let _ = writeln!(text, "{event}");
        }
        server.ingest(&tenant, "events", text.into_bytes()).await;
        server.settled(&tenant, 5).await;
        let rate = 5_000_u32;
        let mut times = Vec::new();
        let mut ticker = tokio::time::interval(Duration::from_millis(10));
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..500 {
            ticker.tick().await;
            for _ in 0..rate / 100 {
                let request = server
                    .http
                    .get(format!("{}/api/v1/rca", server.url))
                    .header("x-api-key", &tenant.key);
                let planned = Instant::now();
                running.spawn(async move {
                    let ok = request.send().await.is_ok_and(|r| r.status() == 200);
                    (ok, planned.elapsed().as_secs_f64() * 1000.0)
                });
            }
            while let Some(done) = running.try_join_next() {
                times.extend(done);
            }
        }
        while let Some(done) = running.join_next().await {
            times.extend(done);
        }
        let failed = times.iter().filter(|(ok, _)| !ok).count();
        let mut times: Vec<f64> = times.into_iter().map(|(_, t)| t).collect();
        times.sort_by(f64::total_cmp);
        figure("api_p50", times[times.len() / 2], "ms");
        figure("api_p95", times[times.len() * 95 / 100], "ms");
        figure("api_failed", failed as f64, "requests");
    });
}

pub(crate) fn memory() {
    block_on(async {
        let folder = folder();
        let server = Server::start(folder.path(), &[]);
        let idle = resident(server.id());
        figure("memory_idle", idle / 1_048_576.0, "MiB");
        for i in 0..200 {
            server.tenant(&format!("T{i}"), "free").await;
        }
        figure(
            "memory_idle_tenant",
            (resident(server.id()) - idle) / 200.0 / 1024.0,
            "KiB",
        );
        let tenant = server.tenant("Bench", "enterprise").await;
        let before = resident(server.id());
        let mut cluster = Cluster::new(
            Size {
                nodes: 200,
                workloads: 2000,
                replicas: 10,
                ..Size::USUAL
            },
            7,
            now().plus(-200_000_000),
        );
        let sent = send(&server, &tenant, batches(cluster.listing(), 500)).await;
        server.settled(&tenant, sent).await;
        figure(
            "memory_1000_pods",
            (resident(server.id()) - before) / 20.0 / 1_048_576.0,
            "MiB",
        );
    });
}
