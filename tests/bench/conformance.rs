//! The suites of the stores, each on both of its backends, side by side.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use kgrca_core::storage::KafkaUrl;
use kgrca_core::storage::embedded::files::RealFiles;
use kgrca_core::storage::embedded::log::FileLog;
use kgrca_core::storage::embedded::mars::MarsGraph;
use kgrca_core::storage::embedded::memory::MemoryLimits;
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::{MetaStore, conformance};
use kgrca_core::tenancy::TenantId;
use kgrca_daemon::storage::LogProvisioner;
use kgrca_daemon::storage::kafka::KafkaLog;
use kgrca_daemon::storage::{neo4j, postgres, redis};
use kgrca_tests::services::Service;
use kgrca_tests::stack::Stack;

use crate::figure;

async fn timed(name: &str, suite: impl Future<Output = ()>) {
    let started = Instant::now();
    suite.await;
    figure(
        &format!("conformance_{name}"),
        started.elapsed().as_secs_f64() * 1000.0,
        "ms",
    );
}

/// What every backend needs for its suite.
pub(crate) fn conformance() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap_or_else(|e| panic!("{e}")).block_on(all());
}

async fn all() {
    // Installed by whoever was first in this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let (stack, second) = (Stack::start(), Service::start("neo4j"));
    let sqlite = |name: &str| {
        let path = folder.path().join(name);
        async move {
            SqliteMeta::open(&path)
                .await
                .unwrap_or_else(|e| panic!("{e}"))
        }
    };
    timed(
        "metadata_sqlite",
        conformance::meta_store(&sqlite("meta.db").await),
    )
    .await;
    let meta = postgres::open(&stack.postgres.url())
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    timed("metadata_postgres", conformance::meta_store(&meta)).await;
    timed(
        "graph_mars",
        conformance::graph_store(&MarsGraph::open(folder.path().join("graph"))),
    )
    .await;
    let places: Arc<dyn MetaStore> = Arc::new(sqlite("places.db").await);
    let url = format!("{},127.0.0.1:{}", stack.neo4j.url(), second.port);
    let graph = neo4j::open(&url, places)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    timed("graph_neo4j", conformance::graph_store(&graph)).await;
    timed(
        "log_file",
        conformance::event_log(&FileLog::open(
            Arc::new(RealFiles::default()),
            folder.path().join("log"),
        )),
    )
    .await;
    let log = KafkaLog::open(KafkaUrl::parse(&stack.kafka.url()).unwrap_or_else(|e| panic!("{e}")));
    let log = log.await.unwrap_or_else(|e| panic!("{e}"));
    for tenant in ["client-a-abc123", "client-b-abc123"]
        .iter()
        .filter_map(|id| TenantId::parse(id))
    {
        log.put_topics(&tenant, 1, 7)
            .await
            .unwrap_or_else(|e| panic!("{e}"));
    }
    timed("log_kafka", conformance::event_log(&log)).await;
    timed(
        "limits_memory",
        conformance::limits(&MemoryLimits::default()),
    )
    .await;
    let limits = redis::open(&stack.redis.url(), Arc::new(AtomicU64::new(1)))
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    timed("limits_redis", conformance::limits(&limits)).await;
}
