//! A tenant is created completely or not at all, wherever the daemon dies; checked on the servers
//! themselves.

use std::process::Command;
use std::time::{Duration, Instant};

use kgrca_tests::stack::{OPERATOR, Stack};
use kgrca_tests::{Server, binary};
use serde_json::{Value, json};

/// How often a creation is written down: at its beginning, before and after each of its seven
/// steps, and at its end.
const WRITES: usize = 16;

/// Everything that the servers know of tenants.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    topics: Vec<String>,
    users: String,
    acls: String,
    rows: String,
    graph: String,
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Asks Kafka with its own tools, as its superuser.
fn kafka(stack: &Stack, class: &str, arguments: &[&str]) -> String {
    let lib = std::env::var("KGRCA_SERVICES").unwrap() + "/kafka/lib/*";
    let config = stack.kafka.data().join("admin.properties");
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required \
                 username=\"admin\" password=\"admin-secret\";";
    let text = format!(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config={login}\n"
    );
    std::fs::write(&config, text).unwrap();
    let server = format!("127.0.0.1:{}", stack.kafka.port);
    said(
        Command::new("java")
            .args([
                "-XX:TieredStopAtLevel=1",
                "-cp",
                &lib,
                class,
                "--bootstrap-server",
                &server,
                "--command-config",
            ])
            .arg(&config)
            .args(arguments),
    )
}

/// Counts of every table that holds rows of tenants, but for the history of what was done.
fn rows(stack: &Stack) -> String {
    let tables = [
        "clients",
        "subscriptions",
        "api_keys",
        "leases",
        "offsets",
        "clusters",
        "incident_numbers",
        "incidents",
        "incident_events",
        "answers",
        "usage_metrics",
        "idempotency",
        "feedback",
        "agents",
        "graph_places",
        "tenant_secrets",
    ];
    let one = |t: &str| {
        format!("SELECT '{t}', count(*) FROM {t} WHERE client_id IS NOT NULL HAVING count(*) > 0")
    };
    let sql = tables.map(one).join(" UNION ALL ");
    said(
        Command::new("psql")
            .arg(stack.postgres.url())
            .args(["-Atqc", &sql]),
    )
}

async fn left(stack: &Stack) -> Left {
    let topics = kafka(stack, "org.apache.kafka.tools.TopicCommand", &["--list"]);
    let users = kafka(
        stack,
        "kafka.admin.ConfigCommand",
        &["--describe", "--entity-type", "users"],
    );
    let acls = kafka(stack, "org.apache.kafka.tools.AclCommand", &["--list"]);
    Left {
        topics: topics
            .lines()
            .filter(|t| t.starts_with("client-"))
            .map(str::to_owned)
            .collect(),
        users: users.lines().filter(|l| l.contains("client-")).collect(),
        acls: acls.lines().filter(|l| l.contains("client-")).collect(),
        rows: rows(stack),
        graph: graph(stack).await,
    }
}

/// Nodes of the graph server by label.
async fn graph(stack: &Stack) -> String {
    let graph = neo4rs::Graph::new(
        format!("bolt://127.0.0.1:{}", stack.neo4j.port),
        "neo4j",
        "test-password",
    )
    .unwrap();
    let mut found = graph
        .execute(neo4rs::query(
            "MATCH (n) RETURN labels(n)[0] AS label, count(*) AS n ORDER BY label",
        ))
        .await
        .unwrap();
    let mut text = String::new();
    while let Some(row) = found.next().await.unwrap() {
        text += &format!(
            "{} {} ",
            row.get::<String>("label").unwrap(),
            row.get::<i64>("n").unwrap()
        );
    }
    text
}

/// `kgrca` as the operator.
pub(crate) fn operator(server: &Server, arguments: &[&str]) -> std::process::Output {
    let home = server.folder.join("home");
    let mut command = Command::new(binary("kgrca"));
    command.args(arguments).args(["-o", "json"]);
    command
        .env("KGRCA_URL", &server.url)
        .env("KGRCA_OPERATOR_KEY", &server.operator)
        .env("XDG_CONFIG_HOME", home);
    command.output().unwrap()
}

pub(crate) fn json_of(output: &std::process::Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asks for a tenant of a daemon that dies at the n-th write of the saga.
async fn died_at(stack: &Stack, folder: &std::path::Path, write: usize) {
    let server = stack.daemon_with(folder, &[("KGRCA_ABORT_AT_SAGA_WRITE", &write.to_string())]);
    let body = json!({"name": "Acme", "plan": "pro"}).to_string();
    let request = server
        .http
        .post(format!("{}/api/v1/admin/clients", server.url))
        .header("x-api-key", OPERATOR)
        .body(body);
    assert!(
        request.send().await.is_err(),
        "the daemon dies at write {write}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_complete_or_gone_when_killed_at_every_step() {
    let stack = Stack::start();
    let folder = tempfile::tempdir().unwrap();
    let nothing = left(&stack).await;
    assert_eq!(nothing, Left::default());
    // Each boundary has two ways on; with few rounds some of both are taken.
    let step = if kgrca_tests::soak() { 1 } else { 3 };
    for write in (1..=WRITES).step_by(step) {
        died_at(&stack, folder.path(), write).await;
        let server = stack.daemon(folder.path());
        let open = json_of(&operator(&server, &["saga", "list", "--open"]));
        let sagas = open["items"].as_array().unwrap();
        assert_eq!(
            sagas.len(),
            usize::from(write < WRITES),
            "write {write}: {open}"
        );
        let id = if write < WRITES {
            let saga = sagas[0]["saga_id"].as_str().unwrap().to_owned();
            if write % 2 == 0 {
                let taken_back = json_of(&operator(&server, &["saga", "compensate", &saga]));
                assert_eq!(taken_back["state"], "compensated", "write {write}");
                assert_eq!(
                    left(&stack).await,
                    nothing,
                    "write {write}: nothing is left"
                );
                continue;
            }
            let created = json_of(&operator(&server, &["saga", "resume", &saga]));
            works(&server, &created).await;
            created["client_id"].as_str().unwrap().to_owned()
        } else {
            json_of(&operator(&server, &["tenant", "list"]))["items"][0]["client_id"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        json_of(&operator(
            &server,
            &["tenant", "delete", &id, "--yes", "--grace-days", "0"],
        ));
        gone(&server, &id).await;
        let rest = Left {
            rows: rows(&stack),
            ..left(&stack).await
        };
        let history = ["clients|", "subscriptions|", "usage_metrics|"];
        assert!(
            rest.rows
                .lines()
                .all(|l| history.iter().any(|h| l.starts_with(h))),
            "write {write}: {rest:?}"
        );
        assert_eq!(
            Left {
                rows: String::new(),
                ..rest
            },
            nothing,
            "write {write}: nothing but what it owes is left"
        );
        let forget = "DELETE FROM clients; DELETE FROM subscriptions; DELETE FROM usage_metrics";
        said(
            Command::new("psql")
                .arg(stack.postgres.url())
                .args(["-qc", forget]),
        );
    }
}

async fn gone(server: &Server, id: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let sagas = json_of(&operator(server, &["saga", "list", "--open"]));
        if sagas["items"].as_array().unwrap().is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{id}: {sagas}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Sends a record with the new tenant's key, and waits until it is processed.
async fn works(server: &Server, created: &Value) {
    let tenant = kgrca_tests::server::Tenant::from_created(created);
    let event = json!({
        "event_id": "e1", "event_time": jiff::Timestamp::now().to_string(), "cluster": "prod",
        "reason": "Started", "message": "x",
        "subject": {"kind": "Pod", "ns": "shop", "name": "web"},
    });
    server
        .ingest(&tenant, "events", event.to_string().into_bytes())
        .await;
    server.settled(&tenant, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_survives_a_restart_of_the_server() {
    let stack = Stack::start();
    let folder = tempfile::tempdir().unwrap();
    let server = stack.daemon_with(folder.path(), &[("KGRCA_ABORT_AT_SAGA_WRITE", "9")]);
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut command = Command::new(binary("kgrca"));
    command.args(["tenant", "create", "Acme", "--plan", "pro", "-o", "json"]);
    command
        .env("KGRCA_URL", &server.url)
        .env("KGRCA_OPERATOR_KEY", OPERATOR)
        .env("XDG_CONFIG_HOME", folder.path());
    let created = tokio::task::spawn_blocking(move || command.output().unwrap());
    let deadline = Instant::now() + Duration::from_mins(1);
    while server
        .http
        .get(format!("{}/livez", server.url))
        .send()
        .await
        .is_ok()
    {
        assert!(Instant::now() < deadline, "the daemon dies in the middle");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.kill();
    let again = stack.daemon_at(folder.path(), &address);
    let created = json_of(&created.await.unwrap());
    works(&again, &created).await;
    let tenants = json_of(&operator(&again, &["tenant", "list"]));
    assert_eq!(
        tenants["items"].as_array().unwrap().len(),
        1,
        "it was set up once: {tenants}"
    );
}
