//! One suite per trait, run against every backend. Each case panics with what was expected.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "these are test cases; a panic is their answer")]

use std::collections::BTreeMap;

use super::{
    ApiKey, Client, ClientState, Commit, Entry, ErrorKind, EventLog, IncidentFilter, Limits, MetaStore, Offset, Scope, StreamId,
    Tenant,
};
use crate::model::time::{DAY, MINUTE};
use crate::model::{Time, Topic};

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
    for left in [1, 0] {
        let taken = limits.take(&a, "api/minute", MINUTE, 2, now).await.unwrap();
        assert_eq!((taken.allowed, taken.remaining), (true, left));
    }
    let refused = limits.take(&a, "api/minute", MINUTE, 2, now).await.unwrap();
    assert!(!refused.allowed);
    assert_eq!(refused.reset, now.plus(MINUTE));
    assert!(limits.take(&b, "api/minute", MINUTE, 2, now).await.unwrap().allowed, "tenants do not share");
    assert!(limits.take(&a, "api/minute", MINUTE, 2, now.plus(MINUTE)).await.unwrap().allowed, "a new window is whole");
    assert!(limits.take_day(&a, 90, 100, now).await.unwrap().allowed);
    assert!(limits.take_day(&a, 90, 100, now).await.unwrap().allowed, "a batch begun within quota is taken whole");
    assert!(!limits.take_day(&a, 1, 100, now).await.unwrap().allowed);
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
