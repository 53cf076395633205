//! A daemon in this process on stores that refuse one kind of write for what is in it, as servers
//! do with values that they cannot keep.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clap::Parser;
use kgrca_core::api::{DeadLetter, NewTenant};
use kgrca_core::billing::Metric;
use kgrca_core::engine::{EpisodeRow, ResourceRow};
use kgrca_core::model::{Time, Topic};
use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery};
use kgrca_core::storage::sql::{Database, Purpose, Reach, Row, SqlMeta, Transaction, Value};
use kgrca_core::storage::{
    Applied, Entry, Error, ErrorKind, EventLog, GraphBatch, GraphCounts, GraphPage, GraphPart,
    GraphStore, Limits, MetaStore, Offset, ResourceFilter, Result, Stored, StreamId, Subgraph,
    Tail, TimelineFilter, partition_of,
};
use kgrca_core::tenancy::TenantId;
use kgrca_daemon::config::Settings;
use kgrca_daemon::simulated::{IngestRequest, SimulatedDaemon, SimulatedStores};
use kgrca_daemon::storage::{GraphProvisioner, LogProvisioner, Provisioner};
use serde_json::{Value as Json, json};

/// What must be in a write for it to be refused.
const REFUSED: &str = "poison";
const OPERATOR_KEY: &str = "f3b0a1c97d5e2468f3b0a1c97d5e2468";
const PATIENCE: Duration = Duration::from_secs(30);

/// A kind of write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    /// The stored state of a cluster.
    ClusterState,
    /// Resources of the graph.
    Resources,
    /// Episodes of the graph.
    Episodes,
    /// Records that are appended to the partition that they belong to.
    Misplaced,
}

/// Which kind of write is refused at the moment.
#[derive(Clone, Default)]
struct Rule(Arc<Mutex<Option<Write>>>);

impl Rule {
    /// Refuses another kind of write from now on.
    fn set(&self, refused: Option<Write>) {
        *self.0.lock().unwrap() = refused;
    }

    fn check(&self, write: Write, text: &str) -> Result<()> {
        if *self.0.lock().unwrap() != Some(write) || !text.contains(REFUSED) {
            return Ok(());
        }
        let kind = match write {
            Write::Misplaced => ErrorKind::Refused,
            _ => ErrorKind::Unstorable,
        };
        Err(Error::new(kind, format!("refused: {write:?}")))
    }
}

/// Metadata that refuses.
struct Refusing<D> {
    inner: Arc<SqlMeta<D>>,
    rule: Rule,
}

struct RefusingTransaction {
    inner: Box<dyn Transaction>,
    rule: Rule,
}

#[async_trait]
impl<D: Database> Database for Refusing<D> {
    async fn begin(&self, reach: Reach<'_>, purpose: Purpose) -> Result<Box<dyn Transaction>> {
        let inner = self.inner.database().begin(reach, purpose).await?;
        let rule = self.rule.clone();
        Ok(Box::new(RefusingTransaction { inner, rule }))
    }

    async fn version(&self) -> Result<String> {
        self.inner.database().version().await
    }

    async fn now(&self) -> Result<Option<Time>> {
        self.inner.database().now().await
    }
}

#[async_trait]
impl Transaction for RefusingTransaction {
    async fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        self.inner.rows(sql, values).await
    }

    async fn run(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        if sql.starts_with("INSERT INTO clusters") {
            self.rule
                .check(Write::ClusterState, &format!("{values:?}"))?;
        }
        self.inner.run(sql, values).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.inner.commit().await
    }
}

/// A graph that refuses.
struct RefusingGraph {
    inner: Arc<dyn GraphStore>,
    rule: Rule,
}

#[async_trait]
impl GraphStore for RefusingGraph {
    async fn create(&self, tenant: &TenantId) -> Result<()> {
        self.inner.create(tenant).await
    }
    async fn write(&self, tenant: &TenantId, batch: GraphBatch) -> Result<()> {
        for resource in &batch.changes.resources {
            self.rule.check(Write::Resources, &resource.id)?;
        }
        for episode in &batch.changes.episodes {
            self.rule.check(Write::Episodes, &episode.about)?;
        }
        self.inner.write(tenant, batch).await
    }
    async fn resources(&self, tenant: &TenantId, uid: &str) -> Result<Vec<ResourceRow>> {
        self.inner.resources(tenant, uid).await
    }
    async fn find(&self, tenant: &TenantId, filter: &ResourceFilter) -> Result<Vec<ResourceRow>> {
        self.inner.find(tenant, filter).await
    }
    async fn around(
        &self,
        tenant: &TenantId,
        uid: &str,
        depth: usize,
        at: Time,
        limit: usize,
    ) -> Result<Option<Subgraph>> {
        self.inner.around(tenant, uid, depth, at, limit).await
    }
    async fn knows(&self, tenant: &TenantId, partition: u32) -> Result<bool> {
        self.inner.knows(tenant, partition).await
    }
    async fn timeline(
        &self,
        tenant: &TenantId,
        filter: &TimelineFilter,
    ) -> Result<(Vec<EpisodeRow>, Option<(Time, String)>)> {
        self.inner.timeline(tenant, filter).await
    }
    async fn page(
        &self,
        tenant: &TenantId,
        part: GraphPart,
        after: &str,
        limit: usize,
    ) -> Result<GraphPage> {
        self.inner.page(tenant, part, after, limit).await
    }
    async fn counts(&self, tenant: &TenantId) -> Result<GraphCounts> {
        self.inner.counts(tenant).await
    }
    async fn cypher(&self, tenant: &TenantId, query: &CypherQuery) -> Result<CypherAnswer> {
        self.inner.cypher(tenant, query).await
    }
    async fn forget(&self, tenant: &TenantId, before: Time) -> Result<u64> {
        self.inner.forget(tenant, before).await
    }
    async fn check(&self) -> Result<String> {
        self.inner.check().await
    }
    async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        self.inner.bytes(tenant).await
    }
    async fn remove(&self, tenant: &TenantId) -> Result<()> {
        self.inner.remove(tenant).await
    }
}

/// A log that refuses.
struct RefusingLog {
    inner: Arc<dyn EventLog>,
    rule: Rule,
}

#[async_trait]
impl EventLog for RefusingLog {
    async fn append(&self, tenant: &TenantId, entries: Vec<Entry>) -> Result<()> {
        for entry in entries.iter().filter(|e| e.stream.topic != Topic::Dlq) {
            let text = String::from_utf8_lossy(&entry.value);
            self.rule.check(Write::Misplaced, &text)?;
        }
        self.inner.append(tenant, entries).await
    }
    async fn read(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Stored>> {
        self.inner.read(tenant, stream, from, max).await
    }
    async fn tail(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Tail> {
        self.inner.tail(tenant, stream, from, max).await
    }
    async fn since(&self, tenant: &TenantId, stream: StreamId, at: Time) -> Result<u64> {
        self.inner.since(tenant, stream, at).await
    }
    async fn ends(&self, tenant: &TenantId) -> Result<Vec<(StreamId, u64)>> {
        self.inner.ends(tenant).await
    }
    async fn resume_at(&self, tenant: &TenantId, stream: StreamId, offset: u64) -> Result<u64> {
        self.inner.resume_at(tenant, stream, offset).await
    }
    async fn maintain(
        &self,
        tenant: &TenantId,
        retention: i64,
        now: Time,
        applied: Applied,
    ) -> Result<Vec<Offset>> {
        self.inner.maintain(tenant, retention, now, applied).await
    }
    async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        self.inner.bytes(tenant).await
    }
    async fn check(&self) -> Result<String> {
        self.inner.check().await
    }
    async fn remove(&self, tenant: &TenantId) -> Result<()> {
        self.inner.remove(tenant).await
    }
}

/// Nothing has to be set up.
struct Nothing;
impl LogProvisioner for Nothing {}
impl GraphProvisioner for Nothing {}

/// The stores behind those that refuse.
pub struct Inner<D> {
    /// The metadata.
    pub meta: Arc<SqlMeta<D>>,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The graph.
    pub graph: Arc<dyn GraphStore>,
    /// Rate limits.
    pub limits: Arc<dyn Limits>,
}

/// A tenant of a daemon whose stores refuse.
struct Victim<'a, D> {
    stores: &'a Inner<D>,
    folder: &'a Path,
    rule: Rule,
    partitions: u32,
    tenant: Option<TenantId>,
    key: String,
    daemon: Option<SimulatedDaemon>,
    /// Records of all rounds, and how many of them were refused.
    sent: u64,
    refused: u64,
}

impl<'a, D: Database + 'static> Victim<'a, D> {
    /// Starts the daemon and creates the tenant.
    async fn start(stores: &'a Inner<D>, folder: &'a Path, partitions: u32) -> Self {
        let mut victim = Self {
            stores,
            folder,
            rule: Rule::default(),
            partitions,
            tenant: None,
            key: String::new(),
            daemon: None,
            sent: 0,
            refused: 0,
        };
        victim.restart().await;
        let request: NewTenant =
            serde_json::from_value(json!({"name": "Acme", "plan": "pro", "contact_email": "a@b"}))
                .unwrap();
        let daemon = victim.daemon.as_ref().unwrap();
        // A key of its own: under the same one it would be the same tenant.
        let name = folder.file_name().unwrap().to_string_lossy();
        let created = daemon.create_tenant(request, &name).await.unwrap();
        victim.tenant = TenantId::parse(&created.client_id);
        victim.key = created.api_key;
        victim
    }

    /// The tenant's id.
    fn tenant(&self) -> &TenantId {
        self.tenant.as_ref().unwrap()
    }

    /// Stops the daemon, if it runs, and starts it.
    async fn restart(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop().await;
        }
        let mut settings =
            Settings::try_parse_from(["kgrcad", "--operator-key", OPERATOR_KEY]).unwrap();
        settings.data = self.folder.to_owned();
        settings.partitions = Some(self.partitions);
        let rule = &self.rule;
        let stores = SimulatedStores {
            meta: Arc::new(SqlMeta::new(Refusing {
                inner: Arc::clone(&self.stores.meta),
                rule: rule.clone(),
            })) as Arc<dyn MetaStore>,
            log: Arc::new(RefusingLog {
                inner: Arc::clone(&self.stores.log),
                rule: rule.clone(),
            }),
            graph: Arc::new(RefusingGraph {
                inner: Arc::clone(&self.stores.graph),
                rule: rule.clone(),
            }),
            provisioner: Provisioner {
                log: Arc::new(Nothing),
                graph: Arc::new(Nothing),
            },
            limits: Arc::clone(&self.stores.limits),
        };
        let started = SimulatedDaemon::start(stores, settings, "daemon").await;
        self.daemon = Some(started.unwrap());
    }

    /// Removes the snapshots, so that a restart reads the log.
    fn forget_snapshots(&self) {
        let _ = std::fs::remove_dir_all(self.folder.join("snapshots"));
    }

    /// Sends 40 records of a kind, of which three have what is refused.
    async fn send(&mut self, kind: &str, round: usize) {
        let records: Json = (0..40).map(|i| record(kind, round, i)).collect();
        self.ingest(kind, &records).await;
    }

    /// Appends three records of which one has what is refused to partitions that are not theirs.
    async fn misplace(&mut self, round: usize) {
        let tenant = self.tenant().clone();
        let partition_of = |cluster: &str| partition_of(&tenant, cluster, self.partitions);
        let partition = (partition_of("prod") + 1) % self.partitions;
        let entries = [0, 1, 2].map(|i| Entry {
            stream: StreamId {
                topic: Topic::Events,
                partition,
            },
            key: (*b"prod").into(),
            value: record("events", round, 16 + i)
                .to_string()
                .into_bytes()
                .into(),
            received_at: Time(jiff::Timestamp::now().as_microsecond()),
        });
        let log = &self.stores.log;
        log.append(&tenant, entries.to_vec()).await.unwrap();
        self.sent += 3;
        // The daemon learns of new records by those that it takes in itself.
        let clusters = (0..).map(|i| format!("own-{i}"));
        let own = clusters.filter(|name| partition_of(name) == partition);
        let mut own_record = record("events", round, 100);
        own_record["cluster"] = own.take(1).collect::<String>().into();
        self.ingest("events", &json!([own_record])).await;
    }

    async fn ingest(&mut self, kind: &str, records: &Json) {
        let request = IngestRequest {
            kind: kind.to_owned(),
            cluster: None,
            idempotency_key: None,
            body: records.to_string().into(),
            held: None,
        };
        let daemon = self.daemon.as_ref().unwrap();
        let answer = daemon.ingest(&self.key, request).await.unwrap();
        let sent = records.as_array().unwrap().len() as u64;
        assert_eq!(answer.accepted, sent);
        self.sent += sent;
    }

    /// Notes how many of the records sent so far are refused.
    fn expect_refused(&mut self, refused: u64) {
        self.refused += refused;
    }

    async fn usage(&self, metric: Metric) -> u64 {
        let meta: &dyn MetaStore = &*self.stores.meta;
        let rows = meta.usage(self.tenant(), "2000-01-01", "2100-01-01").await;
        let rows = rows.unwrap().into_iter().filter(|r| r.metric == metric);
        rows.map(|r| r.amount as u64).sum()
    }

    /// Waits until every record is applied or rejected, and checks that only those are rejected
    /// that are refused, each with a dead letter.
    async fn check(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        let (applied, rejected) = loop {
            let counts = (
                self.usage(Metric::RecordsApplied).await,
                self.usage(Metric::RecordsRejected).await,
            );
            if counts.0 + counts.1 >= self.sent {
                break counts;
            }
            let sent = self.sent;
            assert!(Instant::now() < deadline, "{what}: {counts:?} of {sent}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(
            (applied, rejected),
            (self.sent - self.refused, self.refused),
            "{what}"
        );
        let mut letters = 0;
        for partition in 0..self.partitions {
            let stream = StreamId {
                topic: Topic::Dlq,
                partition,
            };
            let read = self.stores.log.read(self.tenant(), stream, 0, 1000).await;
            for stored in read.unwrap() {
                let letter: DeadLetter = serde_json::from_slice(&stored.value).unwrap();
                assert_eq!(letter.reason, "refused", "{what}");
                letters += 1;
            }
        }
        assert_eq!(letters, self.refused, "{what}: dead letters");
    }

    /// Waits until a resource with a name is in the graph.
    async fn until_in_graph(&self, name: &str) {
        let deadline = Instant::now() + PATIENCE;
        let filter = ResourceFilter {
            name: Some(name.to_owned()),
            limit: 10,
            ..ResourceFilter::default()
        };
        loop {
            let found = self.stores.graph.find(self.tenant(), &filter).await;
            if !found.unwrap().is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is not in the graph");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops the daemon, and makes room for the graph of another tenant.
    async fn end(mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop().await;
        }
        let removed = self.stores.graph.remove(self.tenant()).await;
        removed.unwrap();
    }
}

fn record(kind: &str, round: usize, i: usize) -> Json {
    let word = if [0, 17, 18].contains(&i) {
        REFUSED
    } else {
        "good"
    };
    let at = jiff::Timestamp::now().to_string();
    let mut record = json!({
        "cluster": "prod", "src": format!("{word}-{kind}-{round}-{i}"), "seq": 1,
    });
    let name = format!("{word}-{round}-{i}");
    let rest = match kind {
        "events" => json!({
            "event_id": format!("e-{round}-{i}"), "event_time": at, "severity": "WARNING",
            "reason": "Failed", "message": "no image",
            "subject": {"kind": "Pod", "ns": "shop", "name": name},
        }),
        _ => json!({
            "op": "UPSERT", "at": at, "kind": "Pod", "uid": format!("u-{name}"),
            "namespace": "shop", "name": name, "status": {"phase": "Running"},
        }),
    };
    let fields = record.as_object_mut().unwrap();
    fields.extend(rest.as_object().unwrap().clone());
    record
}

/// Whatever store refuses whatever write: the partition continues, each record that is refused has
/// a dead letter, and the counts add up, also after restarts with and without snapshots.
pub async fn no_record_stops_a_partition<D: Database + 'static>(stores: &Inner<D>, folder: &Path) {
    for (write, kind) in [
        (Write::ClusterState, "events"),
        (Write::ClusterState, "resources"),
        (Write::Resources, "resources"),
        (Write::Episodes, "events"),
    ] {
        let what = format!("{write:?} of {kind}");
        let own = folder.join(format!("{write:?}-{kind}"));
        if write == Write::Episodes {
            // Nor does a snapshot that cannot be written.
            std::fs::create_dir_all(&own).unwrap();
            std::fs::write(own.join("snapshots"), "not a folder").unwrap();
        }
        let mut victim = Victim::start(stores, &own, 1).await;
        victim.rule.set(Some(write));
        victim.send(kind, 0).await;
        victim.expect_refused(3);
        victim.check(&what).await;
        victim.restart().await;
        victim.send(kind, 1).await;
        victim.expect_refused(3);
        victim.check(&format!("{what}, after a restart")).await;
        victim.rule.set(None);
        victim.restart().await;
        victim.forget_snapshots();
        victim.restart().await;
        victim.send(kind, 2).await;
        victim.check(&format!("{what}, accepted again")).await;
        victim.end().await;
    }
}

/// A graph that lost its data refuses what the one before accepted: it gets everything else.
pub async fn a_new_graph_that_refuses_gets_the_rest<D: Database + 'static>(
    stores: &Inner<D>,
    folder: &Path,
) {
    for write in [Write::Resources, Write::Episodes] {
        let own = folder.join(format!("lost-{write:?}"));
        let mut victim = Victim::start(stores, &own, 1).await;
        victim.send("resources", 0).await;
        victim.send("events", 0).await;
        victim.check("before").await;
        let tenant = victim.tenant().clone();
        stores.graph.remove(&tenant).await.unwrap();
        stores.graph.create(&tenant).await.unwrap();
        victim.rule.set(Some(write));
        victim.restart().await;
        victim.until_in_graph("good-0-1").await;
        victim.send("events", 1).await;
        // Events mention resources, too.
        victim.expect_refused(3);
        victim.check(&format!("{write:?}, after the loss")).await;
        victim.until_in_graph("good-1-1").await;
        victim.end().await;
    }
}

/// A record that belongs to another partition, whose log refuses it, is skipped; those around it
/// are appended there once.
pub async fn a_misplaced_record_that_is_refused_is_skipped<D: Database + 'static>(
    stores: &Inner<D>,
    folder: &Path,
) {
    let own = folder.join("misplaced");
    let mut victim = Victim::start(stores, &own, 2).await;
    victim.send("events", 0).await;
    victim.check("at first").await;
    victim.rule.set(Some(Write::Misplaced));
    victim.misplace(1).await;
    victim.expect_refused(2);
    victim.check("misplaced").await;
    victim.restart().await;
    victim.misplace(2).await;
    victim.expect_refused(2);
    victim.check("misplaced, after a restart").await;
    victim.end().await;
}
