//! One suite per trait, run against every backend. Each case panics with what was expected.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "these are test cases; a panic is their answer")]

use std::collections::BTreeMap;

use super::{
    ApiKey, CauseRow, Client, ClientState, Commit, Entry, ErrorKind, EventLog, GraphBatch, GraphCounts, GraphStore,
    IncidentFilter, IncidentNode, Limits, MetaStore, Offset, Scope, StreamId, Tenant, TimelineFilter, Window,
};
use crate::engine::{Changes, EdgeRow, EpisodeRow, ResourceRow, resource_id};
use crate::graph::Relation;
use crate::incident::State;
use crate::model::time::{DAY, MINUTE};
use crate::model::{Severity, Time, Topic};
use crate::rca::ResourceRef;

fn tenant(name: &str) -> Tenant {
    Tenant::parse(&format!("client-{name}-abc123")).unwrap()
}

fn entry(topic: Topic, key: &str, value: &str) -> Entry {
    let stream = StreamId { topic, partition: 0 };
    Entry { stream, key: key.as_bytes().into(), value: value.as_bytes().into(), received_at: Time(MINUTE) }
}

/// What every [`EventLog`] does.
pub async fn event_log(log: &dyn EventLog) {
    let (a, b) = (tenant("a"), tenant("b"));
    let events = StreamId { topic: Topic::Events, partition: 0 };
    assert!(log.read(&a, events, 0, 10).await.unwrap().is_empty(), "a new stream is empty");
    let batch = (0..5).map(|i| entry(Topic::Events, "prod", &format!("v{i}"))).collect();
    log.append(&a, batch).await.unwrap();
    log.append(&a, vec![entry(Topic::Resource, "uid", "r0")]).await.unwrap();
    let read = log.read(&a, events, 0, 3).await.unwrap();
    assert_eq!(read.iter().map(|s| s.offset).collect::<Vec<_>>(), [0, 1, 2], "offsets rise by one");
    let rest = log.read(&a, events, 3, 10).await.unwrap();
    assert_eq!(rest.iter().map(|s| &*s.value).collect::<Vec<_>>(), [b"v3", b"v4"], "reading goes on where it ended");
    let ends: BTreeMap<StreamId, u64> = log.ends(&a).await.unwrap().into_iter().collect();
    assert_eq!(ends.get(&events), Some(&5));
    assert_eq!(log.go_on_at(&a, events, 4).await.unwrap(), 5, "a stream that is there already stays as it is");
    assert_eq!(log.go_on_at(&a, events, 9).await.unwrap(), 5);
    log.append(&a, vec![entry(Topic::Events, "prod", "v9")]).await.unwrap();
    let gap = log.read(&a, events, 4, 10).await.unwrap();
    assert_eq!(gap.iter().map(|s| s.offset).collect::<Vec<_>>(), [4, 9], "offsets that were lost are not given out again");
    assert!(log.ends(&b).await.unwrap().is_empty(), "tenants do not see each other");
    assert!(log.read(&b, events, 0, 10).await.unwrap().is_empty());
    assert!(log.bytes(&a).await.unwrap() > 0);
    log.remove(&a).await.unwrap();
    assert!(log.ends(&a).await.unwrap().is_empty(), "nothing is left of a removed tenant");
}

/// What every [`Limits`] does.
pub async fn limits(limits: &dyn Limits) {
    let (a, b) = (tenant("a"), tenant("b"));
    let now = Time(1000 * DAY);
    let window = Window { name: "api/minute", length: MINUTE, limit: 2 };
    for left in [1, 0] {
        let taken = limits.take(&a, window, 1, now).await.unwrap();
        assert_eq!((taken.allowed, taken.remaining), (true, left));
    }
    let refused = limits.take(&a, window, 1, now).await.unwrap();
    assert!(!refused.allowed);
    assert_eq!(refused.reset, now.plus(MINUTE));
    assert!(limits.take(&b, window, 1, now).await.unwrap().allowed, "tenants do not share");
    assert!(limits.take(&a, window, 1, now.plus(MINUTE)).await.unwrap().allowed, "a new window is whole");
    assert!(!limits.take(&a, window, 2, now.plus(MINUTE)).await.unwrap().allowed, "all or none");
    assert!(limits.take(&a, window, 1, now.plus(MINUTE)).await.unwrap().allowed, "what was refused took nothing");
    assert!(limits.take_day(&a, 90, 100, now).await.unwrap().allowed);
    assert!(limits.take_day(&a, 90, 100, now).await.unwrap().allowed, "a batch begun within quota is taken whole");
    assert!(!limits.take_day(&a, 1, 100, now).await.unwrap().allowed);
    limits.give_back_day(&a, 90, now).await.unwrap();
    assert!(limits.take_day(&a, 1, 100, now).await.unwrap().allowed, "what was given back can be taken");
    limits.preload_day(&b, 100, now).await.unwrap();
    assert!(!limits.take_day(&b, 1, 100, now).await.unwrap().allowed, "what was used before a restart counts");
}

fn client(id: &str) -> Client {
    Client {
        client_id: id.into(),
        name: "Acme".into(),
        plan: "free".into(),
        state: ClientState::Active,
        contact_email: "ops@acme.example".into(),
        created_at: Time(MINUTE),
        deleted_at: None,
    }
}

/// What every [`MetaStore`] does.
pub async fn meta_store(meta: &dyn MetaStore) {
    let (a, b) = (tenant("a"), tenant("b"));
    administration(meta, &a, &b).await;
    commits(meta, &a, &b).await;
    let now = Time(2000 * DAY);
    assert_eq!(meta.idempotent(&a, "k", Some("one"), now).await.unwrap(), None);
    assert_eq!(meta.idempotent(&a, "k", Some("two"), now).await.unwrap().as_deref(), Some("one"));
    meta.put_feedback(&a, 1, None).await.unwrap();
    meta.put_feedback(&a, 1, Some(2)).await.unwrap();
    meta.put_feedback(&b, 1, None).await.unwrap();
    assert_eq!(meta.feedback().await.unwrap(), [Some(2), None], "the last word on an incident counts");
    assert_eq!(meta.idempotent(&b, "k", None, now).await.unwrap(), None, "tenants do not share keys");
    assert_eq!(meta.idempotent(&a, "k", None, now.plus(DAY + 1)).await.unwrap(), None, "a day later it is forgotten");
    meta.check().await.unwrap();
}

async fn administration(meta: &dyn MetaStore, a: &Tenant, b: &Tenant) {
    meta.put_client(&client(a.as_str())).await.unwrap();
    let suspended = Client { state: ClientState::Suspended, ..client(a.as_str()) };
    meta.put_client(&suspended).await.unwrap();
    assert_eq!(meta.client(a.as_str()).await.unwrap(), Some(suspended), "writes are idempotent by key");
    assert_eq!(meta.client(b.as_str()).await.unwrap(), None);
    assert_eq!(meta.list_clients().await.unwrap().len(), 1);
    let key = ApiKey {
        key_id: "key_1".into(),
        client_id: Some(a.to_string()),
        name: "ci".into(),
        last4: "abcd".into(),
        scopes: vec![Scope::Ingest, Scope::Read],
        created_at: Time(MINUTE),
        revoked_at: None,
    };
    meta.put_key(&key, "hash").await.unwrap();
    assert_eq!(meta.key_by_hash("hash").await.unwrap(), Some(key));
    assert_eq!(meta.key_by_hash("other").await.unwrap(), None);
    assert!(!meta.revoke_key(Some(b.as_str()), "key_1", Time(9)).await.unwrap(), "another tenant cannot revoke it");
    assert!(meta.revoke_key(Some(a.as_str()), "key_1", Time(9)).await.unwrap());
    assert_eq!(meta.keys(Some(a.as_str())).await.unwrap()[0].revoked_at, Some(Time(9)));
    assert!(meta.keys(None).await.unwrap().is_empty());
}

async fn commits(meta: &dyn MetaStore, a: &Tenant, b: &Tenant) {
    let epoch = meta.lease(a, 0, "one", Time(10), Time(1)).await.unwrap().unwrap();
    assert_eq!(meta.lease(a, 0, "two", Time(20), Time(5)).await.unwrap(), None, "a lease that holds is not given away");
    let stream = StreamId { topic: Topic::Events, partition: 0 };
    let usage = BTreeMap::from([(("2026-01-01".to_owned(), "events_ingested_count".to_owned()), 5)]);
    let commit = |epoch| Commit { epoch, offsets: vec![Offset { stream, next: 7 }], usage: usage.clone(), ..Commit::default() };
    meta.commit(a, 0, commit(epoch)).await.unwrap();
    assert_eq!(meta.offsets(a).await.unwrap(), [Offset { stream, next: 7 }]);
    let next = meta.lease(a, 0, "two", Time(40), Time(30)).await.unwrap().unwrap();
    assert!(next > epoch);
    let fenced = meta.commit(a, 0, commit(epoch)).await.unwrap_err();
    assert_eq!(fenced.kind, ErrorKind::Fenced, "a daemon that lost its lease cannot commit");
    assert_eq!(meta.usage(a, "2026-01-01", "2026-02-01").await.unwrap()[0].amount, 5, "nothing of it was written");
    assert!(meta.usage(b, "2026-01-01", "2026-02-01").await.unwrap().is_empty());
    let numbers = meta.reserve(a, &[11, 12]).await.unwrap();
    assert_eq!(numbers, meta.reserve(a, &[12, 11]).await.unwrap(), "a number is reserved once");
    assert_eq!(numbers.values().copied().collect::<Vec<_>>(), [1, 2]);
    assert!(meta.incidents(a, &IncidentFilter { limit: 10, ..IncidentFilter::default() }).await.unwrap().is_empty());
}

fn resource(id: &str, uid: Option<&str>, deleted: Option<i64>) -> ResourceRow {
    let named = ResourceRef { kind: "Pod".into(), namespace: "shop".into(), name: id.into(), uid: uid.map(Into::into) };
    ResourceRow {
        id: resource_id("prod", &named),
        cluster: "prod".into(),
        resource: named,
        component: format!("app/{id}"),
        labels: "app=web".into(),
        healthy: Some(true),
        created: Some(Time(5)),
        deleted: deleted.map(Time),
    }
}

fn episode(id: &str, about: &str, last: i64) -> EpisodeRow {
    EpisodeRow {
        id: id.into(),
        about: about.into(),
        cluster: "prod".into(),
        kind: "event".into(),
        first: Time(last - 1),
        last: Time(last),
        severity: Severity::Warning,
        reason: "BackOff".into(),
        message: "back-off".into(),
        count: 2,
    }
}

fn edge(from: &str, to: &str, since: i64, until: Option<i64>) -> EdgeRow {
    let (valid_from, valid_to) = (Time(since), until.map(Time));
    EdgeRow { from: from.into(), relation: Relation::Calls, to: to.into(), valid_from, valid_to }
}

fn changes(resources: Vec<ResourceRow>, edges: Vec<EdgeRow>, episodes: Vec<EpisodeRow>) -> GraphBatch {
    GraphBatch { epoch: 1, changes: Changes { renamed: Vec::new(), resources, edges, episodes }, ..GraphBatch::default() }
}

/// What every [`GraphStore`] does.
pub async fn graph_store(graph: &dyn GraphStore) {
    let (a, b) = (tenant("a"), tenant("b"));
    assert_eq!(graph.counts(&a).await.unwrap(), GraphCounts::default(), "a new tenant has nothing");
    assert!(graph.around(&a, "u1", 1, Time(10), 10).await.unwrap().is_none());
    let (web, db) = (resource("web", Some("u1"), None), resource("db", Some("u2"), None));
    let first = changes(
        vec![web.clone(), db.clone()],
        vec![edge(&web.id, &db.id, 10, None)],
        vec![episode("e1", &web.id, 20), episode("e2", &web.id, 15), episode("e3", &db.id, 30)],
    );
    assert!(!graph.knows(&a, 0).await.unwrap());
    let lost = graph.write(&a, first.clone()).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::Corrupt, "a part without its beginning is refused");
    let first = GraphBatch { whole: true, ..first };
    for _ in 0..2 {
        graph.write(&a, first.clone()).await.unwrap();
    }
    let counts = graph.counts(&a).await.unwrap();
    assert_eq!((counts.resources, counts.episodes, counts.edges), (2, 3, 4), "writes are idempotent by key");
    assert!(graph.knows(&a, 0).await.unwrap() && !graph.knows(&a, 1).await.unwrap());
    assert_eq!(graph.counts(&b).await.unwrap(), GraphCounts::default(), "tenants do not share");
    assert_eq!(graph.resources(&a, "u1").await.unwrap(), std::slice::from_ref(&web), "rows come back as they were");
    history(graph, &a, &web, &db).await;
    timelines(graph, &a).await;
    incidents(graph, &a, &web).await;
    renames(graph, &a, &db).await;
    let fenced = graph.write(&a, GraphBatch { epoch: 0, ..first }).await.unwrap_err();
    assert_eq!(fenced.kind, ErrorKind::Fenced, "a daemon that lost its lease cannot write");
    assert!(graph.forget(&a, Time(25)).await.unwrap() >= 2);
    assert!(
        graph.timeline(&a, &TimelineFilter { to: Some(Time(25)), limit: 9, ..Default::default() }).await.unwrap().0.is_empty()
    );
    graph.remove(&a).await.unwrap();
    assert_eq!(graph.counts(&a).await.unwrap(), GraphCounts::default(), "nothing is left of a removed tenant");
}

async fn history(graph: &dyn GraphStore, a: &Tenant, web: &ResourceRow, db: &ResourceRow) {
    let ended = ResourceRow { deleted: Some(Time(40)), healthy: None, ..db.clone() };
    graph.write(a, changes(vec![ended.clone()], vec![edge(&web.id, &db.id, 10, Some(40))], Vec::new())).await.unwrap();
    let before = graph.around(a, "u1", 1, Time(39), 10).await.unwrap().unwrap();
    assert_eq!((before.resources.len(), before.edges.len()), (2, 1), "as it was before the end");
    assert_eq!(before.edges[0].valid_to, Some(Time(40)));
    let after = graph.around(a, "u1", 1, Time(40), 10).await.unwrap().unwrap();
    assert_eq!((after.resources.len(), after.edges.len()), (1, 0), "as it is after the end");
    assert!(graph.around(a, "u1", 1, Time(9), 10).await.unwrap().unwrap().edges.is_empty(), "before it began");
    assert_eq!(graph.resources(a, "u2").await.unwrap(), [ended], "what ended stays reachable");
}

async fn timelines(graph: &dyn GraphStore, a: &Tenant) {
    let all = TimelineFilter { limit: 2, ..TimelineFilter::default() };
    let (page, after) = graph.timeline(a, &all).await.unwrap();
    assert_eq!(page.iter().map(|e| &*e.id).collect::<Vec<_>>(), ["e2", "e1"], "in the order of time");
    assert!(after.is_some(), "there is more");
    let (rest, end) = graph.timeline(a, &TimelineFilter { after, ..all }).await.unwrap();
    assert_eq!(end, None, "there is no more");
    assert_eq!(rest.iter().map(|e| &*e.id).collect::<Vec<_>>(), ["e3"], "the cursor goes on");
    let about = TimelineFilter { resource: Some("u2".into()), limit: 9, ..TimelineFilter::default() };
    assert_eq!(graph.timeline(a, &about).await.unwrap().0.len(), 1, "of one resource");
    let none = TimelineFilter { kind: Some("alert".into()), limit: 9, ..TimelineFilter::default() };
    assert!(graph.timeline(a, &none).await.unwrap().0.is_empty(), "of one kind");
}

async fn incidents(graph: &dyn GraphStore, a: &Tenant, web: &ResourceRow) {
    let cause = |rank: usize, id: &str| CauseRow {
        episode: EpisodeRow { kind: "cause".into(), ..episode(id, &web.id, 35) },
        rank,
        confidence: 0.9,
        temporal: None,
        distance: None,
        domain: None,
        hops: 1,
        path: "web CALLS db".into(),
    };
    let incident = |causes: Vec<CauseRow>| IncidentNode {
        id: "inc-1".into(),
        cluster: "prod".into(),
        state: State::Open,
        severity: Severity::Error,
        started: Time(20),
        ended: None,
        symptoms: vec![episode("e1", &web.id, 20)],
        causes: Some(causes),
        at: Time(35),
    };
    let batch = |i| GraphBatch { epoch: 1, incidents: vec![i], ..GraphBatch::default() };
    let before = graph.counts(a).await.unwrap();
    graph.write(a, batch(incident(vec![cause(1, "c1"), cause(2, "c2")]))).await.unwrap();
    let two = graph.counts(a).await.unwrap();
    assert_eq!((two.incidents, two.edges - before.edges), (1, 5), "a symptom, two causes, and what these are about");
    graph.write(a, batch(incident(vec![cause(1, "c2")]))).await.unwrap();
    assert_eq!(graph.counts(a).await.unwrap().edges, two.edges - 1, "causes are replaced as a set");
}

async fn renames(graph: &dyn GraphStore, a: &Tenant, db: &ResourceRow) {
    let named = resource("queue", None, None);
    let known = resource("queue", Some("u3"), None);
    let call = vec![edge(&named.id, &db.id, 12, None)];
    graph.write(a, changes(vec![named.clone()], call, vec![episode("before", &named.id, 50)])).await.unwrap();
    let renamed = Changes { renamed: vec![(named.id.clone(), known.id.clone())], resources: vec![known], ..Changes::default() };
    graph.write(a, GraphBatch { epoch: 1, changes: renamed, ..GraphBatch::default() }).await.unwrap();
    assert!(graph.resources(a, &named.id).await.unwrap().is_empty(), "a name that got a uid is one resource");
    let around = graph.around(a, "u3", 1, Time(20), 10).await.unwrap().unwrap();
    assert_eq!(around.edges.len(), 1, "and keeps its edges");
    let about = TimelineFilter { resource: Some("u3".into()), limit: 9, ..TimelineFilter::default() };
    let (told, _) = graph.timeline(a, &about).await.unwrap();
    assert_eq!(told.len(), 1, "and what was told of it");
    assert_eq!(told[0].about, resource("queue", Some("u3"), None).id);
    // The same edge told again after a restart that knows no better since when.
    graph.write(a, changes(Vec::new(), vec![edge(&told[0].about, &db.id, 14, Some(60))], Vec::new())).await.unwrap();
    let around = graph.around(a, "u3", 1, Time(61), 10).await.unwrap().unwrap();
    assert!(around.edges.is_empty(), "an edge that ended is not open under another beginning");
}
