//! A record from which something follows that a store refuses costs its tenant that record.

use std::path::Path;

use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::sql::{Database, Purpose, Reach};
use kgrca_tests::{Server, refusal};

const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON clusters
    WHEN NEW.state LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'refused'); END";
const ACCEPT: &str = "DROP TRIGGER refuse";

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
