//! The whole way on real servers, all on the same cores: Kafka, engine, Neo4j, PostgreSQL.

use std::time::{Duration, Instant};

use kgrca_core::model::{Time, Topic};
use kgrca_core::storage::KafkaUrl;
use kgrca_core::storage::{Entry, EventLog, StreamId};
use kgrca_daemon::storage::kafka::KafkaLog;
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use kgrca_tests::simulate::{Cluster, Sent, Size};
use kgrca_tests::stack::Stack;
use serde_json::{Value, json};

use crate::figure;

/// Records of the stream behind the first listing.
const RECORDS: usize = 400_000;
/// Records that are appended at once.
const BATCH: usize = 5000;
/// Incidents whose way is timed.
const PROBES: usize = 40;

fn now() -> Time {
    Time(jiff::Timestamp::now().as_microsecond())
}

fn entries(records: Vec<Sent>, partition: u32) -> Vec<Entry> {
    let entry = |(topic, value): Sent| {
        let stream = StreamId { topic, partition };
        Entry {
            stream,
            key: b"prod".as_slice().into(),
            value: value.into(),
            received_at: now(),
        }
    };
    records.into_iter().map(entry).collect()
}

async fn applied(server: &Server, tenant: &Tenant) -> u64 {
    let stats = server.get("/api/v1/stats", &tenant.key).await;
    let of = |what: &str| stats["records"][what].as_u64().unwrap_or(0);
    of("applied") + of("duplicate") + of("rejected")
}

async fn until_applied(server: &Server, tenant: &Tenant, records: u64) {
    while applied(server, tenant).await < records {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

struct Bench {
    server: Server,
    tenant: Tenant,
    log: KafkaLog,
    owner: kgrca_core::tenancy::TenantId,
    partition: u32,
    cluster: Cluster,
    sent: u64,
}

impl Bench {
    async fn append(&mut self, records: Vec<Sent>) {
        self.sent += records.len() as u64;
        let done = self
            .log
            .append(&self.owner, entries(records, self.partition))
            .await;
        assert!(done.is_ok(), "{done:?}");
    }

    fn next(&mut self, count: usize) -> Vec<Sent> {
        (0..count).map(|_| self.cluster.next_record()).collect()
    }
}

/// Records a second over the whole way, and how long one incident takes at half of that.
pub(crate) fn stack() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime
        .unwrap_or_else(|e| panic!("{e}"))
        .block_on(measured());
}

async fn measured() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    // As a server that runs for long: the tests' own options start faster and write half as fast.
    let stack = Stack::with([&[], &[], &[("NEO4J_JVM", "-XX:+TieredCompilation")], &[]]);
    let server = stack.daemon(folder.path());
    let tenant = server.tenant("Bench", "enterprise").await;
    let settings = KafkaUrl::parse(&stack.kafka.url()).unwrap_or_else(|e| panic!("{e}"));
    let log = KafkaLog::open(settings)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let owner =
        kgrca_core::tenancy::TenantId::parse(&tenant.id).unwrap_or_else(|| panic!("{}", tenant.id));
    let partition = crc32fast::hash(format!("{}/prod", tenant.id).as_bytes()) % 6;
    let cluster = Cluster::new(Size::USUAL, 7, now());
    let mut bench = Bench {
        server,
        tenant,
        log,
        owner,
        partition,
        cluster,
        sent: 0,
    };
    let listing: Vec<Sent> = bench.cluster.listing().collect();
    let started = Instant::now();
    bench.append(listing).await;
    until_applied(&bench.server, &bench.tenant, bench.sent).await;
    figure(
        "stack_listing",
        bench.sent as f64 / started.elapsed().as_secs_f64(),
        "records/s",
    );
    let before = bench.sent;
    let started = Instant::now();
    for _ in 0..RECORDS / BATCH {
        let records = bench.next(BATCH);
        bench.append(records).await;
    }
    until_applied(&bench.server, &bench.tenant, bench.sent).await;
    let rate = (bench.sent - before) as f64 / started.elapsed().as_secs_f64();
    figure("stack", rate, "records/s");
    latency(&mut bench, rate / 2.0).await;
}

/// From a record's way into the log until its incident can be read, while others come at a rate.
async fn latency(bench: &mut Bench, rate: f64) {
    let mut times = Vec::new();
    let step = Duration::from_millis(50);
    for probe in 0..PROBES {
        let name = format!("broken-{probe}");
        let subject = json!({"kind": "Pod", "ns": format!("probe-{probe}"), "name": name});
        let message = "Failed to pull image \"registry.example/web:2\": rpc error: code = NotFound \
                       desc = manifest unknown: not found";
        let record = json!({
            "event_id": name, "event_time": now().to_string(), "cluster": "prod",
            "etype": "k8s.event", "severity": "WARNING", "reason": "Failed", "count": 5,
            "message": message, "subject": subject,
        });
        let started = Instant::now();
        bench
            .append(vec![(Topic::Events, record.to_string().into_bytes())])
            .await;
        loop {
            let list: Value = bench
                .server
                .get(
                    &format!("/api/v1/incidents?namespace=probe-{probe}"),
                    &bench.tenant.key,
                )
                .await;
            if list["items"].as_array().is_some_and(|i| !i.is_empty()) {
                break;
            }
            assert!(
                started.elapsed() < Duration::from_mins(1),
                "the incident of {name} is missing"
            );
            let records = bench.next((rate * step.as_secs_f64()) as usize);
            let next = Instant::now() + step;
            bench.append(records).await;
            tokio::time::sleep_until(next.into()).await;
        }
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    figure("stack_latency_median", times[times.len() / 2], "ms");
    figure("stack_latency_p95", times[times.len() * 95 / 100], "ms");
}
