//! The metadata.

use std::collections::BTreeMap;

use super::tenant;
use crate::billing::Overrides;
use crate::incident::{State, Transition};
use crate::model::time::{DAY, MINUTE};
use crate::model::{Time, Topic};
use crate::storage::archive::IncidentCopy;
use crate::storage::{
    AgentRow, ClusterCounts, ClusterRow, Commit, DaemonRow, ErrorKind, IncidentFilter, MetaStore,
    Offset, StreamId,
};
use crate::tenancy::{
    ApiKey, Audit, Saga, SagaKind, SagaState, Scope, Tenant, TenantId, TenantState, first_break,
};

pub(super) fn client(id: &str) -> Tenant {
    Tenant {
        client_id: id.into(),
        name: "Acme".into(),
        plan: "free".into(),
        state: TenantState::Active,
        contact_email: "ops@acme.example".into(),
        created_at: Time(MINUTE),
        deleted_at: None,
        partitions: 6,
        limits: Overrides {
            rca_hour: Some(7),
            ..Overrides::default()
        },
    }
}

/// What every [`MetaStore`] does.
pub async fn meta_store(meta: &dyn MetaStore) {
    let (a, b) = (tenant("a"), tenant("b"));
    administration(meta, &a, &b).await;
    commits(meta, &a, &b).await;
    let now = Time(2000 * DAY);
    assert_eq!(
        meta.idempotent(&a, "k", Some("one"), now).await.unwrap(),
        None
    );
    assert_eq!(
        meta.idempotent(&a, "k", Some("two"), now)
            .await
            .unwrap()
            .as_deref(),
        Some("one")
    );
    meta.put_feedback(&a, 1, None).await.unwrap();
    meta.put_feedback(&a, 1, Some(2)).await.unwrap();
    meta.put_feedback(&b, 1, None).await.unwrap();
    assert_eq!(
        meta.feedback().await.unwrap(),
        [Some(2), None],
        "the last word on an incident counts"
    );
    assert_eq!(
        meta.idempotent(&b, "k", None, now).await.unwrap(),
        None,
        "tenants do not share keys"
    );
    assert_eq!(
        meta.idempotent(&a, "k", None, now.plus(DAY + 1))
            .await
            .unwrap(),
        None,
        "a day later it is forgotten"
    );
    copies(meta).await;
    feed(meta).await;
    chains(meta, &a).await;
    sagas(meta, &a).await;
    super::jobs::jobs(meta).await;
    daemons(meta).await;
    agents(meta, &a, &b).await;
    graph_places(meta, &a, &b).await;
    meta.check().await.unwrap();
    farewell(meta, &a, &b).await;
}

/// Incidents that come from elsewhere keep their numbers and all that was said of them.
async fn copies(meta: &dyn MetaStore) {
    let c = tenant("c");
    let given = r#"[
        {"number":3,"key":"ffffffffffffff01","row":{"incident_id":"inc-3","cluster":"prod","state":"open","severity":"ERROR",
        "started_at":"2026-01-01T00:00:00Z","symptoms":2,"component":"app/web","confidence":0.8234567890123457},
        "events":[{"b":2,"a":1},{"c":3}],"answers":[{"scorer":"causal","at":"2026-01-01T00:01:00Z","answer":{"z":0.1}}]},
        {"number":5,"key":"000000000000000a","row":null,"events":[],"answers":[]}]"#;
    let given: Vec<IncidentCopy> = serde_json::from_str(given).unwrap();
    let clusters = [ClusterRow {
        cluster: "prod".into(),
        state: "{}".into(),
        last_record: Time(3),
        counts: None,
    }];
    for _ in 0..2 {
        meta.restore(&c, &given, &clusters).await.unwrap();
    }
    let text = |copies: &[_]| serde_json::to_string(copies).unwrap();
    assert_eq!(
        text(&meta.incident_copies(&c, 0, 9).await.unwrap()),
        text(&given),
        "also when they are copied twice"
    );
    assert_eq!(
        text(&meta.incident_copies(&c, 3, 9).await.unwrap()),
        text(&given[1..]),
        "behind a number"
    );
    assert_eq!(meta.clusters(&c).await.unwrap(), clusters);
    let web = IncidentFilter {
        component: Some("app/web".into()),
        limit: 9,
        ..IncidentFilter::default()
    };
    let found = meta.incidents(&c, &web).await.unwrap();
    assert_eq!(
        found
            .iter()
            .map(|i| (&*i.incident_id, i.key))
            .collect::<Vec<_>>(),
        [("inc-3", 0xffff_ffff_ffff_ff01)]
    );
    assert_eq!(
        meta.reserve(&c, &[10, 11]).await.unwrap(),
        BTreeMap::from([(10, 5), (11, 6)]),
        "numbers go on behind the last"
    );
    meta.forget_tenant(&c, true).await.unwrap();
    assert!(meta.incident_copies(&c, 0, 9).await.unwrap().is_empty());
}

/// Three workers write events of their partitions at once: whoever follows the feed sees each of
/// them, none behind a later one.
async fn feed(meta: &dyn MetaStore) {
    const EVENTS: u64 = 40;
    let d = tenant("d");
    let d = &d;
    let worker = async |partition: u32| {
        let epoch = meta
            .lease(d, partition, "one", Time(DAY), Time(1))
            .await
            .unwrap()
            .unwrap();
        for i in 0..EVENTS {
            let key = u64::from(partition) * 1000 + i % 4;
            meta.reserve(d, &[key]).await.unwrap();
            let event = Transition {
                at: Time(i as i64),
                to: State::Open,
                by: "engine".into(),
                note: None,
            };
            let commit = Commit {
                epoch,
                transitions: vec![(key, event)],
                ..Commit::default()
            };
            meta.commit(d, partition, commit).await.unwrap();
        }
    };
    let follower = async {
        let (mut seen, mut after) = (0, 0);
        while seen < 3 * EVENTS as usize {
            let page = meta.transitions(d, None, after, 7).await.unwrap();
            assert!(page.windows(2).all(|two| two[0].id < two[1].id));
            after = page.last().map_or(after, |last| last.id);
            seen += page.len();
        }
        // What appears behind a later one would be seen by whoever begins anew, and was missed
        // here.
        assert_eq!(
            meta.transitions(d, None, 0, 1000).await.unwrap().len(),
            seen
        );
    };
    tokio::join!(worker(0), worker(1), worker(2), follower);
    meta.forget_tenant(d, true).await.unwrap();
}

fn audit(client: Option<&TenantId>, at: i64) -> Audit {
    let client_id = client.map(ToString::to_string);
    Audit {
        client_id,
        at: Time(at),
        actor: "key_1".into(),
        action: "client.update".into(),
        target: "x".into(),
    }
}

async fn chains(meta: &dyn MetaStore, a: &TenantId) {
    for i in 0..3 {
        meta.audit(&audit(Some(a), i)).await.unwrap();
    }
    meta.audit(&audit(None, 9)).await.unwrap();
    let all = meta.audit_log(Some(a.as_str()), 0, 10).await.unwrap();
    assert_eq!(
        all.iter().map(|e| (e.seq, e.audit.at)).collect::<Vec<_>>(),
        [(1, Time(0)), (2, Time(1)), (3, Time(2))]
    );
    assert_eq!(
        first_break(None, &all),
        None,
        "each entry holds the hash of the one before"
    );
    assert_eq!(
        meta.audit_log(Some(a.as_str()), 2, 10).await.unwrap(),
        all[2..],
        "behind a place"
    );
    let operators = meta.audit_log(None, 0, 10).await.unwrap();
    assert_eq!(
        operators.iter().map(|e| e.seq).collect::<Vec<_>>(),
        [1],
        "the operator's chain is its own"
    );
}

async fn sagas(meta: &dyn MetaStore, a: &TenantId) {
    let saga = Saga {
        saga_id: "saga_1".into(),
        client_id: a.to_string(),
        kind: SagaKind::Create,
        state: SagaState::Running,
        steps: Vec::new(),
        error: None,
        request: Some("r1".into()),
        tenant: client(a.as_str()),
        graph: None,
        wait_until: None,
        created_at: Time(5),
        updated_at: Time(5),
    };
    meta.put_saga(&saga, &[]).await.unwrap();
    let later = Saga {
        state: SagaState::Done,
        updated_at: Time(7),
        ..saga
    };
    meta.put_saga(&later, &[]).await.unwrap();
    assert_eq!(meta.saga("saga_1").await.unwrap().as_ref(), Some(&later));
    assert_eq!(meta.saga("saga_2").await.unwrap(), None);
    assert_eq!(
        meta.sagas(Some(a.as_str())).await.unwrap(),
        std::slice::from_ref(&later)
    );
    assert_eq!(meta.sagas(None).await.unwrap().len(), 1);
    let twin = Saga {
        saga_id: "saga_3".into(),
        created_at: Time(4),
        ..later.clone()
    };
    assert_eq!(
        meta.put_saga(&twin, &[]).await.unwrap_err().kind,
        ErrorKind::Conflict,
        "one saga for a request"
    );
    let rolled_back = Saga {
        state: SagaState::Compensated,
        ..later.clone()
    };
    meta.put_saga(&rolled_back, &[]).await.unwrap();
    meta.put_saga(&twin, &[]).await.unwrap();
    assert_eq!(
        meta.sagas(None).await.unwrap().len(),
        2,
        "but for one that was taken back"
    );
    assert!(
        meta.claim_saga("saga_1", "one", Time(50), Time(10))
            .await
            .unwrap()
    );
    assert!(
        !meta
            .claim_saga("saga_1", "two", Time(60), Time(20))
            .await
            .unwrap(),
        "one daemon at a time"
    );
    assert!(
        meta.claim_saga("saga_1", "one", Time(70), Time(20))
            .await
            .unwrap(),
        "the one that has it may go on"
    );
    assert!(
        meta.claim_saga("saga_1", "two", Time(99), Time(71))
            .await
            .unwrap(),
        "a claim ends"
    );
}

async fn agents(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let agent = |name: &str, cluster: &str, what: &str, seen: i64| {
        let status = format!(
            r#"{{"cluster":"{cluster}","agent":"{name}",{what},"version":"0.1.0","started_at":"2026-01-01T00:00:00Z","lag_seconds":0,"spooled_bytes":0}}"#
        );
        AgentRow {
            status: serde_json::from_str(&status).unwrap(),
            seen_at: Time(seen),
        }
    };
    let (watch, logs) = (r#""mode":"watch""#, r#""mode":"logs","node":"n1""#);
    for told in [
        agent("one", "prod", watch, 1),
        agent("two", "prod", watch, 7),
        agent("three", "prod", logs, 5),
    ] {
        meta.put_agent(a, &told).await.unwrap();
    }
    let mut known = [
        agent("three", "prod", logs, 5),
        agent("two", "prod", watch, 7),
    ];
    known[1].status.before = vec!["one".into()];
    assert_eq!(
        meta.agents(a).await.unwrap(),
        known,
        "who watches after another took its place"
    );
    assert_eq!(meta.agents(b).await.unwrap(), [], "another tenant's");
    let later = agent("four", "stage", watch, 2 * DAY);
    meta.put_agent(a, &later).await.unwrap();
    assert_eq!(
        meta.agents(a).await.unwrap(),
        [known[1].clone(), later.clone()],
        "nodes go"
    );
    let back = agent("one", "prod", watch, 2 * DAY);
    meta.put_agent(a, &back).await.unwrap();
    assert_eq!(
        meta.agents(a).await.unwrap()[0].status.rival.as_deref(),
        Some("two"),
        "who comes back has a rival"
    );
    assert_eq!(meta.forget_agents(a, "stage").await.unwrap(), 1);
    let much_later = agent("five", "stage", watch, 33 * DAY);
    meta.put_agent(a, &much_later).await.unwrap();
    assert_eq!(
        meta.agents(a).await.unwrap(),
        [much_later],
        "who was silent for long is forgotten"
    );
}

async fn daemons(meta: &dyn MetaStore) {
    let daemon = |owner: &str, seen: i64| DaemonRow {
        owner: owner.into(),
        address: "http://127.0.0.1:1".into(),
        roles: "api,worker".into(),
        version: "0.1.0".into(),
        started_at: Time(10),
        seen_at: Time(seen),
    };
    meta.beat(&daemon("one", 100)).await.unwrap();
    meta.beat(&daemon("two", 150)).await.unwrap();
    meta.beat(&daemon("one", 120)).await.unwrap();
    assert_eq!(
        meta.daemons(Time(0)).await.unwrap(),
        [daemon("one", 120), daemon("two", 150)]
    );
    assert_eq!(
        meta.daemons(Time(121)).await.unwrap().len(),
        1,
        "who was silent is left out"
    );
    meta.leave("two").await.unwrap();
    assert_eq!(meta.daemons(Time(0)).await.unwrap().len(), 1);
}

async fn graph_places(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    assert_eq!(meta.graph_place(a).await.unwrap(), None);
    meta.put_graph_place(a, Some("one"), true).await.unwrap();
    let taken = meta
        .put_graph_place(b, Some("one"), true)
        .await
        .unwrap_err();
    assert_eq!(
        taken.kind,
        ErrorKind::Conflict,
        "a server that holds one tenant holds no second"
    );
    meta.put_graph_place(b, Some("big"), false).await.unwrap();
    meta.put_graph_place(a, Some("big"), false).await.unwrap();
    assert_eq!(
        meta.graph_place(a).await.unwrap().as_deref(),
        Some("big"),
        "a tenant is at one place"
    );
    assert_eq!(meta.graph_places().await.unwrap().len(), 2);
    meta.put_graph_place(a, None, false).await.unwrap();
    assert_eq!(meta.graph_place(a).await.unwrap(), None);
}

async fn farewell(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    meta.forget_tenant(a, false).await.unwrap();
    assert!(
        meta.keys(Some(a.as_str())).await.unwrap().is_empty()
            && meta.offsets(a).await.unwrap().is_empty()
    );
    assert!(
        meta.tenant(a.as_str()).await.unwrap().is_some(),
        "its row is kept"
    );
    assert!(
        !meta
            .usage(a, "2026-01-01", "2026-02-01")
            .await
            .unwrap()
            .is_empty(),
        "and what it owes"
    );
    meta.forget_tenant(a, true).await.unwrap();
    assert_eq!(meta.tenant(a.as_str()).await.unwrap(), None);
    assert!(meta.usage_total(a).await.unwrap().is_empty());
    assert_eq!(
        meta.audit_log(Some(a.as_str()), 0, 10).await.unwrap().len(),
        3,
        "what was done to it stays"
    );
    assert_eq!(meta.feedback().await.unwrap(), [None], "others keep theirs");
    meta.forget_tenant(b, true).await.unwrap();
}

async fn administration(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    meta.put_tenant(&client(a.as_str())).await.unwrap();
    let suspended = Tenant {
        state: TenantState::Suspended,
        ..client(a.as_str())
    };
    meta.put_tenant(&suspended).await.unwrap();
    assert_eq!(
        meta.tenant(a.as_str()).await.unwrap(),
        Some(suspended),
        "writes are idempotent by key"
    );
    assert_eq!(meta.tenant(b.as_str()).await.unwrap(), None);
    assert_eq!(meta.list_tenants().await.unwrap().len(), 1);
    let key = ApiKey {
        key_id: "key_1".into(),
        client_id: Some(a.to_string()),
        name: "ci".into(),
        last4: "abcd".into(),
        scopes: vec![Scope::Ingest, Scope::Read],
        created_at: Time(MINUTE),
        expires_at: None,
        revoked_at: None,
    };
    meta.put_key(&key, "hash").await.unwrap();
    assert_eq!(meta.key_by_hash("hash").await.unwrap(), Some(key));
    assert_eq!(meta.key_by_hash("other").await.unwrap(), None);
    assert!(
        !meta
            .revoke_key(Some(b.as_str()), "key_1", Time(9))
            .await
            .unwrap(),
        "another tenant cannot revoke it"
    );
    assert!(
        meta.revoke_key(Some(a.as_str()), "key_1", Time(9))
            .await
            .unwrap()
    );
    assert_eq!(
        meta.keys(Some(a.as_str())).await.unwrap()[0].revoked_at,
        Some(Time(9))
    );
    assert!(meta.keys(None).await.unwrap().is_empty());
    assert!(
        !meta
            .expire_key(Some(a.as_str()), "key_1", Time(99))
            .await
            .unwrap(),
        "a revoked key is over"
    );
    let rotated = ApiKey {
        key_id: "key_2".into(),
        revoked_at: None,
        ..meta.keys(Some(a.as_str())).await.unwrap().remove(0)
    };
    meta.put_key(&rotated, "hash 2").await.unwrap();
    assert!(
        meta.expire_key(Some(a.as_str()), "key_2", Time(99))
            .await
            .unwrap()
    );
    let known = meta.key_by_hash("hash 2").await.unwrap().unwrap();
    assert_eq!(
        (known.holds(Time(98)), known.holds(Time(99))),
        (true, false),
        "a rotated key ends"
    );
    meta.subscribe(a, "pro", Time(5)).await.unwrap();
    meta.subscribe(a, "basic", Time(5)).await.unwrap();
}

async fn commits(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let epoch = meta
        .lease(a, 0, "one", Time(10), Time(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        meta.lease(a, 0, "two", Time(20), Time(5)).await.unwrap(),
        None,
        "a lease that holds is not given away"
    );
    meta.release(a, 0, "two").await.unwrap();
    assert_eq!(
        meta.lease(a, 0, "one", Time(10), Time(2)).await.unwrap(),
        Some(epoch),
        "only its owner gives a lease back"
    );
    let stream = StreamId {
        topic: Topic::Events,
        partition: 0,
    };
    let usage = BTreeMap::from([(
        ("2026-01-01".to_owned(), "events_ingested_count".to_owned()),
        5,
    )]);
    let cluster = |counts| ClusterRow {
        cluster: "prod".into(),
        state: "{}".into(),
        last_record: Time(3),
        counts,
    };
    let commit = |epoch| Commit {
        epoch,
        offsets: vec![Offset { stream, next: 7 }],
        usage: usage.clone(),
        clusters: vec![cluster(None)],
        ..Commit::default()
    };
    let counts = Some(ClusterCounts {
        resources: 3,
        edges: 2,
        episodes: 1,
        incidents: 0,
    });
    let told = Commit {
        clusters: vec![cluster(counts)],
        usage: BTreeMap::new(),
        ..commit(epoch)
    };
    meta.commit(a, 0, told).await.unwrap();
    meta.commit(a, 0, commit(epoch)).await.unwrap();
    assert_eq!(
        meta.clusters(a).await.unwrap(),
        [cluster(counts)],
        "counts that are not told stay"
    );
    assert_eq!(
        meta.usage_total(a)
            .await
            .unwrap()
            .get("events_ingested_count"),
        Some(&5)
    );
    assert_eq!(meta.offsets(a).await.unwrap(), [Offset { stream, next: 7 }]);
    let next = meta
        .lease(a, 0, "two", Time(40), Time(30))
        .await
        .unwrap()
        .unwrap();
    assert!(next > epoch);
    meta.release(a, 0, "two").await.unwrap();
    let next = meta.lease(a, 0, "three", Time(50), Time(31)).await.unwrap();
    assert!(
        next.is_some_and(|n| n > epoch + 1),
        "a lease that was given back is free"
    );
    let fenced = meta.commit(a, 0, commit(epoch)).await.unwrap_err();
    assert_eq!(
        fenced.kind,
        ErrorKind::Fenced,
        "a daemon that lost its lease cannot commit"
    );
    assert_eq!(
        meta.usage(a, "2026-01-01", "2026-02-01").await.unwrap()[0].amount,
        5,
        "nothing of it was written"
    );
    assert!(
        meta.usage(b, "2026-01-01", "2026-02-01")
            .await
            .unwrap()
            .is_empty()
    );
    let numbers = meta.reserve(a, &[11, 12]).await.unwrap();
    assert_eq!(
        numbers,
        meta.reserve(a, &[12, 11]).await.unwrap(),
        "a number is reserved once"
    );
    assert_eq!(numbers.values().copied().collect::<Vec<_>>(), [1, 2]);
    let (left, right) = tokio::join!(meta.reserve(a, &[21, 22]), meta.reserve(a, &[31, 32]));
    let mut both: Vec<i64> = left
        .unwrap()
        .into_values()
        .chain(right.unwrap().into_values())
        .collect();
    both.sort_unstable();
    assert_eq!(
        both,
        [3, 4, 5, 6],
        "numbers that are reserved at once differ"
    );
    assert!(
        meta.incidents(
            a,
            &IncidentFilter {
                limit: 10,
                ..IncidentFilter::default()
            }
        )
        .await
        .unwrap()
        .is_empty()
    );
}
