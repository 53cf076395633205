//! A record from which something follows that PostgreSQL or Neo4j refuses costs its tenant that
//! record.

use std::sync::Arc;

use kgrca_core::storage::embedded::files::RealFiles;
use kgrca_core::storage::embedded::log::FileLog;
use kgrca_core::storage::embedded::memory::MemoryLimits;
use kgrca_core::storage::{GraphStore, MetaStore};
use kgrca_daemon::storage::{neo4j, postgres};
use kgrca_tests::refusing::{self, Inner};
use kgrca_tests::services::{Service, database, psql};
use kgrca_tests::stack::OPERATOR;
use kgrca_tests::{Server, refusal};

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_postgres_refuses_is_skipped_for_good() {
    let url = database("refused");
    postgres::migrate(&url).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Server::start_with(
            folder.path(),
            &["--meta-url", &url],
            &[("KGRCA_OPERATOR_KEY", OPERATOR)],
        )
    };
    let server = start();
    let tenant = server.tenant("Acme", "pro").await;
    // As the server does for a NUL in a text.
    psql(
        &url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'invalid byte sequence' USING ERRCODE = '22021'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON clusters FOR EACH ROW
            WHEN (NEW.state LIKE '%poison%') EXECUTE FUNCTION refuse()",
    );
    refusal::send(&server, &tenant, 0).await;
    server.kill();
    let server = start();
    refusal::check(&server, &tenant, 1).await;
    refusal::send(&server, &tenant, 1).await;
    refusal::check(&server, &tenant, 2).await;
    server.kill();
    psql(&url, "DROP TRIGGER refuse ON clusters");
    let _ = std::fs::remove_dir_all(folder.path().join("snapshots"));
    let server = start();
    refusal::check(&server, &tenant, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_stops_a_partition() {
    // Installed by the first test of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = database("refusing");
    postgres::migrate(&url).await.unwrap();
    let meta = Arc::new(postgres::open(&url).await.unwrap());
    let server = Service::start("neo4j");
    let url = server.url();
    let places = Arc::clone(&meta) as Arc<dyn MetaStore>;
    let graph = neo4j::open(&url, places).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stores = Inner {
        meta,
        log: Arc::new(FileLog::open(
            Arc::new(RealFiles::default()),
            folder.path().join("log"),
        )),
        graph: Arc::new(graph) as Arc<dyn GraphStore>,
        limits: Arc::new(MemoryLimits::default()),
    };
    refusing::no_record_stops_a_partition(&stores, folder.path()).await;
    refusing::a_new_graph_that_refuses_gets_the_rest(&stores, folder.path()).await;
}
