//! Queries that exhaust the time, memory or stack of a Neo4j server are refused, and it stays up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery};
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::{Error, ErrorKind, GraphStore, MetaStore};
use kgrca_core::tenancy::TenantId;
use kgrca_daemon::storage::neo4j;
use kgrca_tests::services::Service;
use serde_json::json;

const TIME: Duration = Duration::from_secs(2);

struct Asked<'a> {
    graph: &'a dyn GraphStore,
    tenant: TenantId,
}

impl Asked<'_> {
    async fn ask(&self, text: &str) -> Result<CypherAnswer, Error> {
        let many: Vec<String> = (0..500).map(|i| format!("name-{i}")).collect();
        let query = CypherQuery {
            text: text.into(),
            parameters: serde_json::Map::from_iter([("l".to_owned(), json!(many))]),
            time: TIME,
            rows: 10,
            bytes: 100_000,
        };
        self.graph.cypher(&self.tenant, &query).await
    }

    async fn still_answers(&self) {
        let answer = self.ask("RETURN 1 AS one").await.unwrap();
        assert_eq!(answer.rows, [[json!(1)]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_exhaust_a_server_are_refused_and_it_stays_up() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.db");
    let meta: Arc<dyn MetaStore> = Arc::new(SqliteMeta::open(&path).await.unwrap());
    let server = Service::with("neo4j", None, &[("NEO4J_TRANSACTION_MEMORY", "64m")]);
    let graph = neo4j::open(&server.url(), meta).await.unwrap();
    let tenant = TenantId::parse("client-a-abc123").unwrap();
    graph.create(&tenant).await.unwrap();
    let asked = Asked {
        graph: &graph,
        tenant,
    };
    for (before, open, close) in [
        ("RETURN ", "(", ")"),
        ("RETURN ", "[", "]"),
        ("RETURN ", "{a:", "}"),
        ("RETURN ", "- ", ""),
        ("RETURN ", "1+", ""),
        ("RETURN ", "CASE WHEN true THEN ", " END"),
        ("RETURN ", "abs(", ")"),
        ("RETURN ", "[x IN [1] | ", "]"),
        ("RETURN 1 AS a ", "UNION RETURN 1 AS a ", "//"),
        ("MATCH (n) WHERE ", "1 = 1 AND 1 = ", ""),
    ] {
        for times in [8, 31, 32, 100, 399, 5_000] {
            let (open, close) = (open.repeat(times), close.repeat(times));
            let tail = if before.starts_with("MATCH") {
                " RETURN n"
            } else {
                " AS x"
            };
            let text = format!("{before}{open}1{close}{tail}");
            if let Err(e) = asked.ask(&text).await {
                assert_eq!(e.kind, ErrorKind::Refused, "{before}{times}: {e}");
            }
        }
    }
    asked.still_answers().await;
    let rows = "UNWIND $l AS a UNWIND $l AS b UNWIND $l AS c";
    let memory = asked
        .ask(&format!("{rows} RETURN collect(a + b + c) AS x"))
        .await;
    let why = memory.unwrap_err();
    assert_eq!(why.kind, ErrorKind::Refused);
    assert!(why.message.contains("memory limit"), "{why}");
    asked.still_answers().await;
    let started = Instant::now();
    let time = format!("{rows} UNWIND $l AS d WITH a WHERE a = '' RETURN count(*) AS n");
    let why = asked.ask(&time).await.unwrap_err();
    assert!(why.message.contains("time limit"), "{why}");
    // Without the limit it takes minutes; a busy machine notices the limit late.
    assert!(started.elapsed() < TIME * 5);
    asked.still_answers().await;
    // The server does not count what an expression allocates; its heap is the limit.
    let doubled = "WITH s + s AS s ".repeat(30);
    let text = format!("WITH 'aaaaaaaa' AS s {doubled} RETURN size(s) AS n");
    if let Err(e) = asked.ask(&text).await {
        assert_eq!(e.kind, ErrorKind::Refused, "{e}");
    }
    asked.still_answers().await;
}
