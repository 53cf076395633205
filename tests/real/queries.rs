//! Queries that exhaust the time, memory or stack of a Neo4j server are refused, and it stays up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery};
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::{Error, ErrorKind, GraphStore, MetaStore};
use kgrca_core::tenancy::TenantId;
use kgrca_daemon::storage::neo4j;
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use kgrca_tests::services::Service;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

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

/// A tenant with pods, and the server that its graph is on.
async fn with_pods(server: &Server, name: &str, count: u64) -> (Tenant, Value) {
    let tenant = server.tenant(name, "pro").await;
    let pod = |i: u64| {
        json!({"op": "UPSERT", "at": "2026-01-01T00:00:00Z", "cluster": "prod", "kind": "Pod",
            "uid": format!("u-{i}"), "namespace": "shop", "name": format!("web-{i}"),
            "status": {"phase": "Running"}})
    };
    let pods: Value = (0..count).map(pod).collect();
    let body = pods.to_string().into_bytes();
    server.ingest(&tenant, "resources", body).await;
    server.settled(&tenant, count).await;
    let path = format!("/api/v1/admin/clients/{}", tenant.id);
    let place = server.get(&path, &server.operator).await["graph_server"].take();
    (tenant, place)
}

async fn asks(server: &Server, tenant: &Tenant, text: &str) -> (StatusCode, Value) {
    let body = json!({"query": text, "timeout_ms": 5_000}).to_string();
    let key = Some(tenant.key.as_str());
    let path = "/api/v1/query/cypher";
    let response = server.call(Method::POST, path, key, Some(body.into_bytes()));
    let response = response.await;
    (response.status(), response.json().await.unwrap())
}

const COUNT: &str = "MATCH (n:Pod) RETURN count(*) AS n";

/// Queries that take all time or memory that a server gives them.
fn expensive() -> [String; 4] {
    let doubled = "WITH s + s AS s ".repeat(26);
    [
        "MATCH (a), (b), (c), (d) WHERE a.id + b.id + c.id + d.id = 'x' RETURN count(*) AS n"
            .into(),
        "MATCH (a), (b), (c) RETURN collect(a.name + b.name + c.name) AS l".into(),
        "MATCH (a), (b), (c) RETURN DISTINCT a.name + b.name + c.name AS x".into(),
        format!("WITH 'aaaaaaaa' AS s {doubled} RETURN size(s) AS n"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn expensive_queries_of_one_tenant_leave_the_graph_server_of_another_alone() {
    let start = || Service::with("neo4j", None, &[("NEO4J_TRANSACTION_MEMORY", "64m")]);
    let (one, two) = std::thread::scope(|scope| {
        let started = [scope.spawn(start), scope.spawn(start)];
        let [one, two] = started.map(|server| server.join().unwrap());
        (one, two)
    });
    let url = format!("{},127.0.0.1:{}", one.url(), two.port);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &[], &[("KGRCA_GRAPH_URL", &url)]);
    let (attacker, place) = with_pods(&server, "Attacker", 100).await;
    let (victim, other) = with_pods(&server, "Victim", 3).await;
    assert_ne!(place, other, "each has a server of its own");
    let server = Arc::new(server);
    let expensive: Vec<_> = (0..2)
        .map(|_| {
            let (server, attacker) = (Arc::clone(&server), attacker.clone());
            tokio::spawn(async move {
                let mut refused = 0;
                for text in expensive() {
                    let (status, answer) = asks(&server, &attacker, &text).await;
                    // Its own server may be too busy to refuse in time: that is 503.
                    let status = status.as_u16();
                    assert!([200, 400, 503].contains(&status), "{text}: {answer}");
                    refused += usize::from(status != 200);
                }
                refused
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    let mut answers = 0;
    while expensive.iter().any(|one| !one.is_finished()) {
        let began = Instant::now();
        let (status, answer) = asks(&server, &victim, COUNT).await;
        assert_eq!(
            (status.as_u16(), &answer["rows"]),
            (200, &json!([[3]])),
            "{answer}"
        );
        slowest = slowest.max(began.elapsed());
        answers += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for one in expensive {
        assert!(one.await.unwrap() >= 2, "they were not expensive");
    }
    assert!(answers > 5, "{answers}");
    assert!(slowest < Duration::from_secs(3), "{slowest:?} of {answers}");
    // Its server is there as well, once it has ended what was abandoned.
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let (_, answer) = asks(&server, &attacker, COUNT).await;
        if answer["rows"] == json!([[100]]) {
            break;
        }
        assert!(Instant::now() < deadline, "{answer}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // What is written meanwhile is not lost either.
    let body = json!({"cluster": "prod", "kind": "Pod", "uid": "u-new", "namespace": "shop",
        "name": "new", "status": {"phase": "Running"}});
    let body = body.to_string().into_bytes();
    server.ingest(&attacker, "resources", body).await;
    server.settled(&attacker, 101).await;
    let (_, answer) = asks(&server, &attacker, COUNT).await;
    assert_eq!(answer["rows"], json!([[101]]), "{answer}");
}
