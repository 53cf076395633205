//! Secrets on the way through an agent and through Kafka: what is written of them, and where.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use kgrca_core::model::Topic;
use kgrca_core::storage::{EventLog, KafkaUrl, StreamId};
use kgrca_core::tenancy::TenantId;
use kgrca_daemon::storage::kafka::KafkaLog;
use kgrca_tests::corpus::{self, Case, PERSONAL, in_records, read, text_of};
use kgrca_tests::kube::AgentProcess;
use kgrca_tests::server::Tenant;
use kgrca_tests::services::Service;
use kgrca_tests::stack::Stack;
use kgrca_tests::{Server, services};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::Value;

/// A text that must be found, or else the search sees nothing.
const MARKER: &str = "marker-7c2f90de-of-the-search";

/// In 2023, in microseconds.
const LONG_AGO: i64 = 1_700_000_000_000_000;

/// Secrets that fit on one line, as programs log them.
fn lines(cases: &[Case]) -> Vec<String> {
    let own = cases.iter().filter(|case| case.at == "log");
    let own = own.map(Case::text).filter(|text| !text.contains('\n'));
    let personal = PERSONAL.iter().map(|(line, _)| (*line).to_owned());
    own.chain(personal).collect()
}

fn assert_masked(cases: &[Case], text: &str, place: &str) {
    assert!(
        text.contains(MARKER),
        "{place}: the search finds what was stored"
    );
    corpus::assert_masked(cases, text, place);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_spools_no_secret() {
    // Installed by the first test of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("pods");
    std::fs::create_dir_all(&logs).unwrap();
    let own = folder.path().join("agent");
    let environment = [
        ("KGRCA_CLUSTER", "prod"),
        // Nothing listens there: all that is read stays in the spool.
        ("KGRCA_URL", "http://127.0.0.1:9"),
        (
            "KGRCA_API_KEY",
            "kg_acme-7f3k2a_0123456789abcdef0123456789abcdef",
        ),
        ("KGRCA_LOGS_FROM", logs.to_str().unwrap()),
        ("KGRCA_NODE", "node-1"),
        ("KGRCA_LOGS_BELOW_WARNING", "all"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let agent = AgentProcess::start(&own, &environment);
    let deadline = Instant::now() + Duration::from_mins(1);
    while agent.status().await["kinds"].as_array().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "it looks for files");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pod = logs.join("shop_web-0_0000-0/app");
    std::fs::create_dir_all(&pod).unwrap();
    let cases = read("planted.jsonl");
    let mut lines = lines(&cases);
    // Not last: the last line waits for those that may continue it.
    lines.insert(0, MARKER.to_owned());
    let now = jiff::Timestamp::now();
    let mut text = String::new();
    for line in &lines {
        writeln!(text, "{now} stderr F {line}").unwrap();
    }
    let mut file = std::fs::File::create(pod.join("0.log")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    loop {
        let status = agent.status().await;
        let spooled = status["spooled"]["logs.normalized"].as_u64().unwrap_or(0);
        // Lines of one report become one record.
        if spooled > 0 && spooled + 50 > lines.len() as u64 {
            break;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    agent.kill();
    assert_masked(&cases, &text_of(&own), "the agent's folder");
}

async fn topics(kafka: &Service, tenant: &Tenant, skip: Option<Topic>) -> String {
    let log = KafkaLog::open(KafkaUrl::parse(&kafka.url()).unwrap())
        .await
        .unwrap();
    let id = TenantId::parse(&tenant.id).unwrap();
    let mut text = String::new();
    for topic in Topic::ALL.into_iter().filter(|t| Some(*t) != skip) {
        let stream = StreamId {
            topic,
            partition: 0,
        };
        let mut from = 0;
        loop {
            let read = log.read(&id, stream, from, 10_000).await.unwrap();
            let Some(last) = read.last() else {
                break;
            };
            from = last.offset + 1;
            for stored in &read {
                text += &String::from_utf8_lossy(&stored.value);
            }
        }
    }
    text
}

fn marker() -> Value {
    serde_json::json!({
        "cluster": "prod", "severity": "ERROR", "message": MARKER,
        "subject": {"kind": "Pod", "ns": "shop", "name": "orders"},
    })
}

/// Image pulls that fail with a message, of which an incident and an answer follow.
fn failure(message: &str) -> Value {
    serde_json::json!({
        "event_id": "e-marker", "event_time": jiff::Timestamp::now().to_string(),
        "cluster": "prod", "severity": "WARNING", "reason": "Failed", "count": 5,
        "message": format!("Failed to pull image \"r.example/{message}:2\": not found"),
        "subject": {"kind": "Pod", "ns": "shop", "name": "orders-pull"},
    })
}

/// The rows of all tables of a PostgreSQL.
fn rows(postgres: &Service) -> String {
    let dumped = Command::new("pg_dump")
        .args(["--data-only", "--no-owner", &postgres.url()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&dumped.stderr);
    assert!(dumped.status.success(), "{said}");
    String::from_utf8(dumped.stdout).unwrap()
}

/// The properties of all nodes and relationships of a Neo4j.
async fn properties(neo4j: &Service) -> String {
    let url = format!("bolt://127.0.0.1:{}", neo4j.port);
    let graph = neo4rs::Graph::new(url, "neo4j", "test-password").unwrap();
    let all =
        "MATCH (n) RETURN properties(n) AS p UNION ALL MATCH ()-[r]->() RETURN properties(r) AS p";
    let mut found = graph.execute(neo4rs::query(all)).await.unwrap();
    let mut text = String::new();
    while let Some(row) = found.next().await.unwrap() {
        let properties: HashMap<String, Value> = row.get("p").unwrap();
        for (name, value) in properties {
            match value {
                Value::String(value) => writeln!(text, "{name}: {value}").unwrap(),
                value => writeln!(text, "{name}: {value}").unwrap(),
            }
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_sent_over_http_reaches_a_server() {
    let stack = Stack::start();
    let folder = tempfile::tempdir().unwrap();
    let server = stack.daemon_with(folder.path(), &[("KGRCA_PARTITIONS", "1")]);
    let tenant = server.tenant("Acme", "enterprise").await;
    let cases = read("planted.jsonl");
    let mut all = in_records(&cases);
    all.entry("logs").or_default().push(marker());
    all.entry("events").or_default().push(failure(MARKER));
    let mut sent = 0;
    for (kind, records) in all {
        let body: Value = records.into_iter().collect();
        let answer = server
            .ingest(&tenant, kind, body.to_string().into_bytes())
            .await;
        sent += answer["accepted"].as_u64().unwrap();
    }
    server.settled(&tenant, sent).await;
    // Its evaluation writes what an incident shows.
    let deadline = Instant::now() + Duration::from_mins(1);
    while !rows(&stack.postgres).contains(MARKER) {
        assert!(Instant::now() < deadline, "no answer names the image");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(server.terminate(), "with a snapshot");
    assert_masked(&cases, &text_of(folder.path()), "the data folder");
    let topics = topics(&stack.kafka, &tenant, None).await;
    assert_masked(&cases, &topics, "the topics");
    assert_masked(&cases, &rows(&stack.postgres), "PostgreSQL");
    assert_masked(&cases, &properties(&stack.neo4j).await, "Neo4j");
}

/// Other producers write to the tenant's topics as they like: what they write there is their own.
/// Nothing of it goes further.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_producer_did_not_mask_stays_in_its_topic() {
    let kafka = services::kafka();
    let folder = tempfile::tempdir().unwrap();
    let options = ["--log-url", &kafka.url(), "--partitions", "1"];
    let server = Server::start(folder.path(), &options);
    let tenant = server.tenant("Acme", "enterprise").await;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", format!("127.0.0.1:{}", kafka.port))
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "SCRAM-SHA-512")
        .set("sasl.username", &tenant.id)
        .set("sasl.password", tenant.kafka_password.as_ref().unwrap())
        .create()
        .unwrap();
    let cases = read("planted.jsonl");
    let mut all = in_records(&cases);
    all.entry("logs").or_default().push(marker());
    let mut sent = 0;
    for (kind, records) in all {
        let topic = match kind {
            "resources" => Topic::Resource,
            "events" => Topic::Events,
            "logs" => Topic::Logs,
            _ => Topic::Alerts,
        };
        let name = format!("{}.{}", tenant.id, topic.as_str());
        for (i, record) in records.iter().enumerate() {
            let (key, value) = (format!("prod/{kind}/{i}"), record.to_string());
            let key = if topic == Topic::Resource {
                key.as_str()
            } else {
                "prod"
            };
            // Received long ago, as it says.
            let said = OwnedHeaders::new().insert(Header {
                key: "kgrca-at",
                value: Some(&LONG_AGO.to_be_bytes()),
            });
            let message = FutureRecord::to(&name).partition(0).headers(said);
            let message = message.key(key).payload(&value);
            let delivered = producer.send(message, Duration::from_secs(30)).await;
            delivered.unwrap();
            sent += 1;
        }
    }
    server.settled(&tenant, sent).await;
    let usage = server
        .get("/api/v1/usage?from=1970-01-01", &tenant.key)
        .await;
    let rows = usage["rows"].as_array().unwrap();
    let events = rows
        .iter()
        .filter(|row| row["metric"] == "events_ingested_count");
    let days: Vec<&Value> = events.map(|row| &row["day"]).collect();
    assert!(!days.is_empty(), "{usage}");
    let chosen = |day: &&Value| day.as_str().unwrap() < "2026";
    assert!(
        !days.iter().any(chosen),
        "its producer chose the day: {days:?}"
    );
    assert!(server.terminate(), "with a snapshot");
    assert_masked(&cases, &text_of(folder.path()), "the data folder");
}
