//! Moving a tenant's graph to another Neo4j server under load, and with the daemon killed at every
//! step.

use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use kgrca_tests::services::Service;
use kgrca_tests::stack::Stack;
use serde_json::Value;

use crate::crash::batches;
use crate::provisioning::{json_of, operator};

/// How often a move is written down: at its beginning, before and after each of its four steps, and
/// at its end.
const WRITES: usize = 10;

struct Moving {
    stack: Stack,
    other: Service,
    folder: tempfile::TempDir,
    batches: std::vec::IntoIter<(usize, Vec<u8>)>,
    acknowledged: Vec<Vec<u8>>,
    sent: u64,
}

impl Moving {
    fn start() -> Self {
        let (stack, other) = (Stack::start(), Service::start("neo4j"));
        let batches = batches(200).into_iter();
        Self {
            stack,
            other,
            folder: tempfile::tempdir().unwrap(),
            batches,
            acknowledged: Vec::new(),
            sent: 0,
        }
    }

    fn servers(&self) -> [String; 2] {
        [self.stack.neo4j.port, self.other.port].map(|port| format!("127.0.0.1:{port}"))
    }

    /// A daemon in a folder of its own: its name is another.
    fn daemon(&self, name: &str, more: &[(&str, &str)]) -> Server {
        let url = format!("{},127.0.0.1:{}", self.stack.neo4j.url(), self.other.port);
        self.stack.daemon_with(
            &self.folder.path().join(name),
            &[&[("KGRCA_GRAPH_URL", url.as_str())], more].concat(),
        )
    }

    /// What a graph holds that follows from the records alone.
    async fn answers(server: &Server, tenant: &Tenant) -> Vec<String> {
        let mut all = Vec::new();
        for part in ["resources", "edges", "episodes"] {
            let path = format!("/api/v1/admin/clients/{}/export/{part}", tenant.id);
            let text = server
                .call(reqwest::Method::GET, &path, Some(&server.operator), None)
                .await
                .text()
                .await
                .unwrap();
            // Causes and symptoms depend on when was looked.
            let follows =
                |l: &&str| !l.contains(r#""kind":"cause""#) && !l.contains(r#""kind":"symptom""#);
            all.extend(text.lines().filter(follows).map(str::to_owned));
        }
        all
    }

    /// The graph is that of the same records in an undisturbed run on embedded stores.
    async fn compare(&self, server: &Server, tenant: &Tenant) {
        let stats = server.settled(tenant, self.sent).await;
        assert_eq!(stats["records"]["applied"], self.sent, "{stats}");
        let folder = tempfile::tempdir().unwrap();
        let calm = Server::start(folder.path(), &[]);
        let undisturbed = calm.tenant("Calm", "enterprise").await;
        for batch in &self.acknowledged {
            calm.ingest(&undisturbed, "events", batch.clone()).await;
        }
        calm.settled(&undisturbed, self.sent).await;
        let (expected, found) = (
            Self::answers(&calm, &undisturbed).await,
            Self::answers(server, tenant).await,
        );
        assert!(expected.len() > 100, "{}", expected.len());
        assert_eq!(
            found, expected,
            "everything that was sent is in the graph, once"
        );
    }

    async fn send(&mut self, server: &Server, tenant: &Tenant, batches: usize) {
        for (_, batch) in self.batches.by_ref().take(batches) {
            server.ingest(tenant, "events", batch.clone()).await;
            self.acknowledged.push(batch);
            self.sent += 20;
        }
    }
}

async fn over(server: &Server, saga: &str) -> Value {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let now = json_of(&operator(server, &["saga", "show", saga]));
        if now["state"] == "done" || now["state"] == "compensated" {
            return now;
        }
        assert!(Instant::now() < deadline, "{now}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Nodes that a server of the pool holds.
async fn nodes(service: &Service) -> i64 {
    let graph = neo4rs::Graph::new(
        format!("bolt://127.0.0.1:{}", service.port),
        "neo4j",
        "test-password",
    )
    .unwrap();
    let mut found = graph
        .execute(neo4rs::query("MATCH (n) RETURN count(n) AS n"))
        .await
        .unwrap();
    found
        .next()
        .await
        .unwrap()
        .unwrap()
        .get::<i64>("n")
        .unwrap()
}

fn place(server: &Server, tenant: &Tenant) -> String {
    json_of(&operator(server, &["tenant", "show", &tenant.id]))["graph_server"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_moves_under_load_and_nothing_is_lost() {
    let mut moving = Moving::start();
    let server = moving.daemon("one", &[]);
    let tenant = server.tenant("Mover", "enterprise").await;
    moving.send(&server, &tenant, 20).await;
    server.settled(&tenant, moving.sent).await;
    let from = place(&server, &tenant);
    let to = moving.servers().into_iter().find(|s| *s != from).unwrap();
    let (at, id, wanted) = (server.url.clone(), tenant.id.clone(), to.clone());
    let mover = std::process::Command::new(kgrca_tests::binary("kgrca"))
        .args([
            "tenant",
            "move",
            &id,
            "--graph-server",
            &wanted,
            "-o",
            "json",
        ])
        .env("KGRCA_URL", at)
        .env("KGRCA_OPERATOR_KEY", &server.operator)
        .env("XDG_CONFIG_HOME", moving.folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let moved = tokio::task::spawn_blocking(move || mover.wait_with_output().unwrap());
    while !moved.is_finished() {
        moving.send(&server, &tenant, 1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let saga = json_of(&moved.await.unwrap());
    assert_eq!(saga["state"], "done");
    moving.send(&server, &tenant, 5).await;
    moving.compare(&server, &tenant).await;
    assert_eq!(place(&server, &tenant), to);
    let old = if to.ends_with(&format!(":{}", moving.other.port)) {
        &moving.stack.neo4j
    } else {
        &moving.other
    };
    assert_eq!(nodes(old).await, 0, "nothing is left where it was");
    let stats = server.get("/api/v1/graph/stats", &tenant.key).await;
    assert_eq!(stats["stored"]["incidents"], 1, "{stats}");
    // The pool has a place for one more, and no other.
    json_of(&operator(&server, &["tenant", "create", "Second"]));
    let third = operator(&server, &["tenant", "create", "Third"]);
    assert_eq!(third.status.code(), Some(2), "{third:?}");
    let sagas = json_of(&operator(&server, &["saga", "list"]));
    let is_third = |s: &&Value| s["client"]["name"] == "Third";
    assert_eq!(
        sagas["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(is_third)
            .count(),
        1,
        "it was tried once: {sagas}"
    );
    let taken = operator(
        &server,
        &["tenant", "move", &tenant.id, "--graph-server", &to],
    );
    assert_eq!(taken.status.code(), Some(2), "it is there already");
    let unknown = operator(
        &server,
        &["tenant", "move", &tenant.id, "--graph-server", "nowhere:1"],
    );
    assert_eq!(unknown.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_step_a_graph_is_here_or_there() {
    let mut moving = Moving::start();
    let mut server = moving.daemon("one", &[]);
    let tenant = server.tenant("Mover", "enterprise").await;
    moving.send(&server, &tenant, 10).await;
    server.settled(&tenant, moving.sent).await;
    // Before the copy, with and without a way back, in the middle of the switch, and behind it.
    let writes: Vec<usize> = if kgrca_tests::soak() {
        (1..=WRITES).collect()
    } else {
        vec![4, 5, 6, 8]
    };
    for write in writes {
        let from = place(&server, &tenant);
        let to = moving.servers().into_iter().find(|s| *s != from).unwrap();
        server.kill();
        let mut dying = moving.daemon("dies", &[("KGRCA_ABORT_AT_SAGA_WRITE", &write.to_string())]);
        // It may die before it answers.
        operator(
            &dying,
            &["tenant", "move", &tenant.id, "--graph-server", &to],
        );
        assert!(dying.has_died(), "the daemon dies at write {write}");
        drop(dying);
        // Every other time by a daemon of another name, which waits until the claim ends.
        server = moving.daemon(if write % 4 == 2 { "dies" } else { "one" }, &[]);
        moving.send(&server, &tenant, 2).await;
        let all = json_of(&operator(
            &server,
            &["saga", "list", "--tenant", &tenant.id],
        ));
        let saga = all["items"][0]["saga_id"].as_str().unwrap().to_owned();
        // It continues automatically; a rollback may come first, as long as one is possible.
        let taken_back = write % 2 == 0
            && operator(&server, &["saga", "compensate", &saga])
                .status
                .success();
        let end = over(&server, &saga).await;
        let is_back = end["state"] == "compensated";
        assert!(is_back || !taken_back, "write {write}: {end}");
        assert_eq!(
            place(&server, &tenant),
            if is_back { from } else { to },
            "write {write}: {end}"
        );
        let here = i64::from(place(&server, &tenant).ends_with(&format!(":{}", moving.other.port)));
        let counts = [nodes(&moving.stack.neo4j).await, nodes(&moving.other).await];
        assert_eq!(
            counts[1 - here as usize],
            0,
            "write {write}: it is in one place: {counts:?}"
        );
    }
    moving.send(&server, &tenant, 3).await;
    moving.compare(&server, &tenant).await;
}
