//! A record from which something follows that a store refuses costs its tenant that record.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_core::storage::embedded::files::RealFiles;
use kgrca_core::storage::embedded::log::FileLog;
use kgrca_core::storage::embedded::mars::MarsGraph;
use kgrca_core::storage::embedded::memory::MemoryLimits;
use kgrca_core::storage::embedded::sqlite::{SqliteFile, SqliteMeta};
use kgrca_core::storage::sql::{Database, Purpose, Reach};
use kgrca_tests::refusing::{self, Inner};
use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, refusal};
use serde_json::json;

use super::Watchdog;

const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON clusters
    WHEN NEW.state LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'refused'); END";
const ACCEPT: &str = "DROP TRIGGER refuse";
/// What follows from the evaluation of a cluster, in each table that it is written to.
const REFUSE_INCIDENT: &str = "CREATE TRIGGER refuse BEFORE UPDATE ON incidents
    WHEN NEW.row LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'refused'); END";
const REFUSE_ANSWER: &str = "CREATE TRIGGER refuse BEFORE INSERT ON answers
    WHEN NEW.answer LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'refused'); END";

async fn change(folder: &Path, sql: &'static str) {
    let meta = SqliteMeta::open(&folder.join("meta.db")).await.unwrap();
    let database = meta.database();
    let mut tx = database
        .begin(Reach::Operator, Purpose::Durable)
        .await
        .unwrap();
    tx.run(sql, Vec::new()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_metadata_refuses_is_skipped_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    assert!(server.terminate());
    change(folder.path(), REFUSE).await;
    let rounds = 3;
    for round in 0..rounds {
        let server = Server::start(folder.path(), &[]);
        refusal::send(&server, &tenant, round).await;
        if round == 1 {
            refusal::check(&server, &tenant, 2).await;
        }
        // In the middle of its work, but for the second time.
        server.kill();
    }
    let server = Server::start(folder.path(), &[]);
    refusal::check(&server, &tenant, rounds).await;
    server.kill();
    change(folder.path(), ACCEPT).await;
    // Without snapshots everything is read from the log again.
    let _ = std::fs::remove_dir_all(folder.path().join("snapshots"));
    let server = Server::start(folder.path(), &["--tick-seconds", "1"]);
    refusal::check(&server, &tenant, rounds).await;
}

/// Sends image pulls that fail repeatedly, of which an incident follows.
async fn send_failure(server: &Server, tenant: &Tenant, cluster: &str, id: &str) {
    let event = json!({
        "event_id": id,
        "event_time": jiff::Timestamp::now().to_string(),
        "cluster": cluster,
        "severity": "WARNING",
        "reason": "Failed",
        "count": 5,
        "message": "Failed to pull image \"r.example/web:2\": manifest unknown: not found",
        "subject": {"kind": "Pod", "ns": "shop", "name": format!("{cluster}-web")},
    });
    let body = event.to_string().into_bytes();
    let answer = server.ingest(tenant, "events", body).await;
    assert_eq!(answer["accepted"], 1, "{answer}");
}

/// Waits until exactly these clusters have an incident.
async fn until_incidents(server: &Server, tenant: &Tenant, wanted: &[&str]) {
    let wanted: BTreeSet<&str> = wanted.iter().copied().collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let page = server.get("/api/v1/incidents", &tenant.key).await;
        let rows = page["items"].as_array().unwrap();
        let found = rows.iter().filter_map(|row| row["cluster"].as_str());
        if found.collect::<BTreeSet<_>>() == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{wanted:?}: {page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_incidents_are_refused_holds_up_no_other() {
    for refuse in [REFUSE_INCIDENT, REFUSE_ANSWER] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &[]);
        let tenant = server.tenant("Acme", "pro").await;
        let victim = server.tenant("Victim", "pro").await;
        assert!(server.terminate());
        change(folder.path(), refuse).await;
        for round in 0..2 {
            let server = Server::start(folder.path(), &["--tick-seconds", "1"]);
            let watchdog = Watchdog::start(&server, &victim).await;
            let clusters = ["good", "poison", ["later", "last"][round]];
            for cluster in clusters {
                send_failure(&server, &tenant, cluster, &format!("{cluster}-{round}")).await;
            }
            let good = &["good", "later", "last"][..round + 2];
            until_incidents(&server, &tenant, good).await;
            let stats = server.settled(&tenant, (round as u64 + 1) * 3).await;
            assert_eq!(
                stats["records"]["rejected"], 0,
                "no record is at fault: {stats}"
            );
            watchdog.check().await;
            // In the middle of its work, but for the second time.
            server.kill();
        }
        change(folder.path(), ACCEPT).await;
        let server = Server::start(folder.path(), &["--tick-seconds", "1"]);
        until_incidents(&server, &tenant, &["good", "later", "last", "poison"]).await;
    }
}

async fn embedded(folder: &Path) -> Inner<SqliteFile> {
    let meta = SqliteMeta::open(&folder.join("meta.db")).await.unwrap();
    Inner {
        meta: Arc::new(meta),
        log: Arc::new(FileLog::open(
            Arc::new(RealFiles::default()),
            folder.join("log"),
        )),
        graph: Arc::new(MarsGraph::open(folder.join("graph"))),
        limits: Arc::new(MemoryLimits::default()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_stops_a_partition() {
    let folder = tempfile::tempdir().unwrap();
    let stores = embedded(folder.path()).await;
    refusing::no_record_stops_a_partition(&stores, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_graph_that_refuses_gets_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let stores = embedded(folder.path()).await;
    refusing::a_new_graph_that_refuses_gets_the_rest(&stores, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misplaced_record_that_is_refused_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let stores = embedded(folder.path()).await;
    refusing::a_misplaced_record_that_is_refused_is_skipped(&stores, folder.path()).await;
}
