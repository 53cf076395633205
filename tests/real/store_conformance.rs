//! Every network store behaves as the embedded one does.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use kgrca_core::model::{Time, Topic};
use kgrca_core::storage::KafkaUrl;
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::{Entry, EventLog, MetaStore, StreamId, conformance};
use kgrca_core::tenancy::TenantId;
use kgrca_daemon::storage::LogProvisioner;
use kgrca_daemon::storage::kafka::KafkaLog;
use kgrca_daemon::storage::{neo4j, postgres, redis};
use kgrca_tests::services;

fn tls() {
    // Installed by the first test of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn tenants() -> [TenantId; 2] {
    ["client-a-abc123", "client-b-abc123"].map(|id| TenantId::parse(id).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms() {
    tls();
    let url = services::database("conformance");
    assert!(
        postgres::open(&url).await.is_err(),
        "without its migrations it is refused"
    );
    assert!(postgres::migrate(&url).await.unwrap() > 0);
    assert_eq!(postgres::migrate(&url).await.unwrap(), 0, "they run once");
    conformance::meta_store(&postgres::open(&url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_conforms() {
    let limits = redis::open(&services::redis().url(), Arc::new(AtomicU64::new(1)))
        .await
        .unwrap();
    conformance::limits(&limits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_conforms() {
    tls();
    for url in [services::kafka().url(), services::kafka().tls_url()] {
        let log = KafkaLog::open(KafkaUrl::parse(&url).unwrap())
            .await
            .unwrap();
        for tenant in tenants() {
            log.put_topics(&tenant, 1, 7).await.unwrap();
            log.put_topics(&tenant, 1, 7).await.unwrap();
        }
        conformance::event_log(&log).await;
        for tenant in tenants() {
            log.remove(&tenant).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neo4j_conforms() {
    tls();
    let folder = tempfile::tempdir().unwrap();
    let meta: Arc<dyn MetaStore> = Arc::new(
        SqliteMeta::open(&folder.path().join("meta.db"))
            .await
            .unwrap(),
    );
    let (one, two) = (services::neo4j(), services::Service::start("neo4j"));
    let url = format!("{},127.0.0.1:{}", one.url(), two.port);
    let graph = neo4j::open(&url, meta).await.unwrap();
    conformance::graph_store(&graph).await;
    let wrong = format!("neo4j://neo4j:not-the-password@127.0.0.1:{}", two.port);
    let places: Arc<dyn MetaStore> = Arc::new(
        SqliteMeta::open(&folder.path().join("wrong.db"))
            .await
            .unwrap(),
    );
    let refused = neo4j::open(&wrong, places).await.err().unwrap();
    assert!(
        refused
            .hint
            .is_some_and(|h| h.starts_with("check user and password")),
        "{}",
        refused.message
    );
    assert!(
        !refused.message.contains("too many times"),
        "one try, or its user is locked out: {}",
        refused.message
    );
}

/// Reads on until an offset, each time behind the last record.
async fn tailed(
    log: &KafkaLog,
    tenant: &TenantId,
    stream: StreamId,
    mut from: u64,
    until: u64,
) -> Vec<u64> {
    let mut offsets = Vec::new();
    while from < until {
        let tail = log.tail(tenant, stream, from, 100).await.unwrap();
        offsets.extend(tail.records.iter().map(|s| s.offset));
        from = tail.next;
    }
    offsets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_seeks_back_returns_nothing_of_its_old_position() {
    tls();
    let log = Arc::new(
        KafkaLog::open(KafkaUrl::parse(&services::kafka().url()).unwrap())
            .await
            .unwrap(),
    );
    let tenant = TenantId::parse("client-tail-abc123").unwrap();
    log.put_topics(&tenant, 1, 7).await.unwrap();
    let stream = StreamId {
        topic: Topic::Events,
        partition: 0,
    };
    let writer = (Arc::clone(&log), tenant.clone());
    // Records come all the time: there is always one on its way when the tail goes back.
    let writing = tokio::spawn(async move {
        for i in 0..200 {
            let entry = |n: usize| Entry {
                stream,
                key: b"prod"[..].into(),
                value: format!("{i}/{n}").into_bytes().into(),
                received_at: Time(1),
            };
            writer
                .0
                .append(&writer.1, (0..20).map(entry).collect())
                .await
                .unwrap();
        }
    });
    for round in 0..40_u64 {
        let (start, end) = (round * 20, round * 20 + 300);
        assert_eq!(
            tailed(&log, &tenant, stream, start, end).await[..300],
            (start..end).collect::<Vec<_>>(),
            "round {round}"
        );
        if round % 5 == 4 {
            log.release(&tenant, 0).await;
        }
    }
    writing.await.unwrap();
    log.remove(&tenant).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn added_partitions_are_written_and_read_at_once() {
    tls();
    let log = KafkaLog::open(KafkaUrl::parse(&services::kafka().url()).unwrap())
        .await
        .unwrap();
    let tenant = TenantId::parse("client-grow-abc123").unwrap();
    let entry = |partition: u32| {
        let stream = StreamId {
            topic: Topic::Events,
            partition,
        };
        Entry {
            stream,
            key: b"prod"[..].into(),
            value: b"v"[..].into(),
            received_at: Time(1),
        }
    };
    log.put_topics(&tenant, 1, 7).await.unwrap();
    log.append(&tenant, vec![entry(0)]).await.unwrap();
    log.ends(&tenant).await.unwrap();
    log.put_topics(&tenant, 3, 7).await.unwrap();
    let stream = entry(2).stream;
    // Brokers tell each other of new partitions within moments.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while let Err(e) = log.append(&tenant, vec![entry(2)]).await {
        assert!(std::time::Instant::now() < deadline, "{e}");
    }
    let is_empty = async || {
        log.tail(&tenant, stream, 0, 10)
            .await
            .unwrap()
            .records
            .is_empty()
    };
    while is_empty().await {
        assert!(
            std::time::Instant::now() < deadline,
            "the record in the new partition is read"
        );
    }
    while !log.ends(&tenant).await.unwrap().contains(&(stream, 1)) {
        assert!(
            std::time::Instant::now() < deadline,
            "the new partition is known to have an end"
        );
    }
    log.remove(&tenant).await.unwrap();
}
