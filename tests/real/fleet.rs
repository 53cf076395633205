//! Several daemons on real servers: whatever goes away and comes back, nothing is lost and nothing
//! happens twice.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_tests::proxy::{Mode, Proxy};
use kgrca_tests::server::Tenant;
use kgrca_tests::stack::Stack;
use kgrca_tests::{Server, soak};
use serde_json::Value;

use crate::crash::endless;

/// Clusters that records go to: they lie in several partitions.
const CLUSTERS: usize = 6;

pub(crate) struct Fleet {
    pub(crate) stack: Arc<Stack>,
    folder: tempfile::TempDir,
    daemons: Vec<Server>,
    tenant: Tenant,
    /// What was acknowledged.
    batches: Vec<Vec<u8>>,
    sent: u64,
    seed: u64,
}

impl Fleet {
    async fn start(daemons: usize) -> Self {
        Self::on(Stack::start(), daemons).await
    }

    pub(crate) async fn on(stack: Stack, daemons: usize) -> Self {
        let stack = Arc::new(stack);
        let folder = tempfile::tempdir().unwrap();
        let daemons: Vec<Server> = (0..daemons)
            .map(|i| stack.daemon(&folder.path().join(i.to_string())))
            .collect();
        let tenant = daemons[0].tenant("Fleet", "enterprise").await;
        Self {
            stack,
            folder,
            daemons,
            tenant,
            batches: Vec::new(),
            sent: 0,
            seed: 0x2545_f491_4f6c_dd1d,
        }
    }

    fn random(&mut self, n: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed % n as u64) as usize
    }

    fn place(&self, daemon: usize) -> PathBuf {
        self.folder.path().join(daemon.to_string())
    }

    /// Kills a daemon and starts it again on its folder.
    fn restart(&mut self, daemon: usize) {
        let killed = self.daemons.remove(daemon);
        killed.kill();
        let again = self.stack.daemon(&self.place(daemon));
        self.daemons.insert(daemon, again);
    }

    /// Sends a batch until some daemon acknowledges it, each time another one.
    pub(crate) async fn send(&mut self, batch: Vec<u8>, records: u64) {
        let deadline = Instant::now() + Duration::from_mins(3);
        loop {
            let daemon = self.random(self.daemons.len());
            let server = &self.daemons[daemon];
            let request = server
                .http
                .post(format!("{}/api/v1/ingest/events", server.url))
                .header("x-api-key", &self.tenant.key)
                .timeout(Duration::from_secs(40))
                .body(batch.clone());
            if request.send().await.is_ok_and(|r| r.status() == 202) {
                self.sent += records;
                self.batches.push(batch);
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no daemon accepts a batch: {}",
                self.log(daemon)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self, daemon: usize) -> String {
        let text =
            std::fs::read_to_string(self.place(daemon).join("daemon.log")).unwrap_or_default();
        text.lines().rev().take(30).collect::<Vec<_>>().join("\n")
    }

    /// What a daemon says of the records, once all are processed.
    async fn settled(&self) -> Value {
        let deadline = Instant::now() + Duration::from_mins(3);
        loop {
            let server = &self.daemons[0];
            let answer = server
                .call(
                    reqwest::Method::GET,
                    "/api/v1/stats",
                    Some(&self.tenant.key),
                    None,
                )
                .await;
            let text = answer.text().await.unwrap();
            let stats: Value = serde_json::from_str(&text).unwrap_or_default();
            let records = &stats["records"];
            if stats["lag"] == 0 && records["applied"].as_u64().unwrap_or(0) >= self.sent {
                return stats;
            }
            assert!(
                Instant::now() < deadline,
                "{} records were sent: {text}\n{}",
                self.sent,
                self.log(0)
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Nothing is lost, nothing was done twice, and every daemon says the same.
    pub(crate) async fn accounts(&self) {
        let stats = self.settled().await;
        let of = |what: &str| stats["records"][what].as_u64().unwrap();
        assert_eq!(of("applied"), self.sent, "each record counts once: {stats}");
        assert_eq!(
            of("seen"),
            of("applied") + of("duplicate") + of("rejected"),
            "{stats}"
        );
        assert_eq!(of("rejected"), 0, "{stats}");
        let expected = self.undisturbed().await;
        assert_eq!(expected.len(), CLUSTERS);
        for server in &self.daemons {
            let incidents = incidents(server, &self.tenant).await;
            assert_eq!(
                incidents, expected,
                "the causes are those of an undisturbed run, whoever is asked"
            );
        }
    }

    /// The incidents of the same records in an undisturbed run on embedded stores.
    async fn undisturbed(&self) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let calm = Server::start(folder.path(), &[]);
        let tenant = calm.tenant("Calm", "enterprise").await;
        for batch in &self.batches {
            calm.ingest(&tenant, "events", batch.clone()).await;
        }
        calm.settled(&tenant, self.sent).await;
        incidents(&calm, &tenant).await
    }
}

/// Every incident's cluster, component and fault, in order.
async fn incidents(server: &Server, tenant: &Tenant) -> Vec<String> {
    let list = server.get("/api/v1/incidents?limit=500", &tenant.key).await;
    let items = list["items"].as_array().unwrap();
    let mut all: Vec<String> = items
        .iter()
        .map(|i| format!("{} {} {}", i["cluster"], i["component"], i["fault_type"]))
        .collect();
    all.sort();
    all
}

/// The batches of one round, each of another cluster.
pub(crate) fn rounds() -> impl Iterator<Item = Vec<Vec<u8>>> {
    let moved = |cluster: usize, batch: &[u8]| {
        let text = String::from_utf8(batch.to_vec()).unwrap();
        let text = text.replace(
            "\"cluster\":\"prod\"",
            &format!("\"cluster\":\"c{cluster}\""),
        );
        // A sender numbers its own stream.
        text.replace(
            "\"src\":\"sender\"",
            &format!("\"src\":\"sender-{cluster}\""),
        )
        .into_bytes()
    };
    endless().map(move |(_, batch)| (0..CLUSTERS).map(|c| moved(c, &batch)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_that_are_killed_lose_nothing() {
    let kills = if soak() { 30 } else { 3 };
    let mut fleet = Fleet::start(3).await;
    for (i, round) in rounds().take(kills * 3 + 3).enumerate() {
        for batch in round {
            fleet.send(batch, 20).await;
        }
        if i % 3 == 2 && i / 3 < kills {
            let daemon = fleet.random(3);
            fleet.restart(daemon);
        }
    }
    fleet.accounts().await;
}

/// Sends rounds of batches while a server is killed and started again.
async fn while_killed(
    fleet: &mut Fleet,
    rounds: &mut impl Iterator<Item = Vec<Vec<u8>>>,
    name: &'static str,
) {
    let stack = Arc::clone(&fleet.stack);
    let trouble = tokio::task::spawn_blocking(move || {
        stack.service(name).kill();
        stack.service(name).run();
    });
    while !trouble.is_finished() {
        for batch in rounds.next().unwrap() {
            fleet.send(batch, 20).await;
        }
    }
    trouble.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_killed_lose_nothing() {
    let kills = if soak() { 10 } else { 1 };
    let mut fleet = Fleet::start(2).await;
    let mut rounds = rounds();
    for service in ["kafka", "postgres", "neo4j", "redis"] {
        for _ in 0..kills {
            while_killed(&mut fleet, &mut rounds, service).await;
        }
    }
    fleet.accounts().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_wakes_up_after_its_partitions_went_to_another_is_fenced() {
    let mut fleet = Fleet::start(2).await;
    let mut rounds = rounds();
    for batch in rounds.next().unwrap() {
        fleet.send(batch, 20).await;
    }
    fleet.settled().await;
    fleet.daemons[1].signal("STOP");
    let asleep = fleet.daemons.remove(1);
    // Longer than its leases: the other one takes over and works on.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(25) {
        for batch in rounds.next().unwrap() {
            fleet.send(batch, 20).await;
        }
    }
    fleet.settled().await;
    asleep.signal("CONT");
    fleet.daemons.push(asleep);
    for round in rounds.by_ref().take(10) {
        for batch in round {
            fleet.send(batch, 20).await;
        }
    }
    fleet.accounts().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_or_stall_or_are_slow_lose_nothing() {
    let trouble = Duration::from_secs(if soak() { 60 } else { 4 });
    let mut proxies = Vec::new();
    for _ in 0..4 {
        proxies.push(Proxy::start(0).await);
    }
    let doors: Vec<Option<u16>> = proxies.iter().map(|p| Some(p.port)).collect();
    let stack = Stack::behind(doors.try_into().unwrap());
    for (proxy, service) in
        proxies
            .iter()
            .zip([&stack.postgres, &stack.kafka, &stack.neo4j, &stack.redis])
    {
        proxy.before(service.port);
    }
    let mut fleet = Fleet::on(stack, 2).await;
    let mut rounds = rounds();
    for proxy in &proxies {
        for mode in [Mode::Cut, Mode::Stall, Mode::Slow] {
            proxy.set(mode);
            let end = proxy.clone();
            let over = tokio::spawn(async move {
                tokio::time::sleep(trouble).await;
                end.set(Mode::Pass);
            });
            while !over.is_finished() {
                for batch in rounds.next().unwrap() {
                    fleet.send(batch, 20).await;
                }
            }
        }
    }
    fleet.accounts().await;
}
