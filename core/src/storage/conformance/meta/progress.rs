//! Leases and the commits made under them.

use crate::billing::Metric;
use crate::model::{Time, Topic};
use crate::storage::{
    ClusterCounts, ClusterRow, Commit, ErrorKind, MetaStore, Offset, Skipped, StreamId,
    UsageCounts, UsageRow,
};
use crate::tenancy::TenantId;

pub(super) async fn commits(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let epoch = meta
        .lease(a, 0, "one", Time(10), Time(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        meta.lease(a, 0, "two", Time(20), Time(5)).await.unwrap(),
        None,
        "another daemon cannot take a lease that has not expired"
    );
    meta.release(a, 0, "two").await.unwrap();
    assert_eq!(
        meta.lease(a, 0, "one", Time(10), Time(2)).await.unwrap(),
        Some(epoch),
        "only the owner releases a lease"
    );
    let stream = StreamId {
        topic: Topic::Events,
        partition: 0,
    };
    let mut usage = UsageCounts::default();
    usage.add("2026-01-01", Metric::EventsIngested, 5);
    let cluster = |counts| ClusterRow {
        cluster: "prod".into(),
        state: "{}".into(),
        last_record: Time(3),
        last_arrival: None,
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
    let with_counts = Commit {
        clusters: vec![cluster(counts)],
        usage: UsageCounts::default(),
        ..commit(epoch)
    };
    meta.commit(a, 0, with_counts).await.unwrap();
    meta.commit(a, 0, commit(epoch)).await.unwrap();
    assert_eq!(
        meta.clusters(a).await.unwrap(),
        [cluster(counts)],
        "a commit without counts keeps the stored ones"
    );
    assert_eq!(
        meta.usage_total(a)
            .await
            .unwrap()
            .get(&Metric::EventsIngested),
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
        "a released lease can be taken at once"
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
        "a fenced commit writes nothing"
    );
    assert!(
        meta.usage(b, "2026-01-01", "2026-02-01")
            .await
            .unwrap()
            .is_empty()
    );
}

pub(super) async fn levels(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let level = |metric, amount| UsageRow {
        day: "2025-12-01".into(),
        metric,
        amount,
    };
    let bytes = |amount| level(Metric::StorageBytes, amount);
    meta.set_usage(a, &[bytes(7), level(Metric::GraphNodes, 3)])
        .await
        .unwrap();
    meta.set_usage(a, &[bytes(5)]).await.unwrap();
    assert_eq!(
        meta.usage(a, "2025-12-01", "2025-12-02").await.unwrap(),
        [level(Metric::GraphNodes, 3), bytes(5)],
        "a level is what was measured last, not a sum"
    );
    let others = meta.usage(b, "2025-12-01", "2025-12-02").await.unwrap();
    assert!(others.is_empty());
}

pub(super) async fn skipped(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let skipped = |topic, first, last, received_at| Skipped {
        stream: StreamId {
            topic,
            partition: 3,
        },
        first,
        last,
        reason: "refused".into(),
        received_at: Time(received_at),
    };
    let lease = meta.lease(a, 3, "one", Time(100), Time(90)).await.unwrap();
    let commit = |skipped: &[Skipped]| Commit {
        epoch: lease.unwrap(),
        skipped: skipped.to_vec(),
        ..Commit::default()
    };
    let (event, later, state) = (
        skipped(Topic::Events, 4, 6, 10),
        skipped(Topic::Events, 9, 9, 30),
        skipped(Topic::Resource, 2, 2, 10),
    );
    for _ in 0..2 {
        let all = [state.clone(), later.clone(), event.clone()];
        meta.commit(a, 3, commit(&all)).await.unwrap();
    }
    assert_eq!(
        meta.skipped(a).await.unwrap(),
        [event, later.clone(), state.clone()]
    );
    assert_eq!(meta.skipped(b).await.unwrap(), []);
    meta.forget_skipped(a, Time(30)).await.unwrap();
    assert_eq!(
        meta.skipped(a).await.unwrap(),
        [later.clone(), state.clone()],
        "a compacted stream keeps its records without an end in time"
    );
    for (next, left) in [(2, vec![later.clone(), state.clone()]), (3, vec![later])] {
        let compacted = Offset {
            stream: state.stream,
            next,
        };
        meta.forget_compacted(a, &[compacted]).await.unwrap();
        assert_eq!(meta.skipped(a).await.unwrap(), left);
    }
}
