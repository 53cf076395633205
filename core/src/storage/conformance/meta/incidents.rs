//! Incidents: numbers, the feed of transitions, copies and feedback.

use std::collections::BTreeMap;

use crate::incident::{State, Transition};
use crate::model::Time;
use crate::model::time::DAY;
use crate::storage::archive::IncidentCopy;
use crate::storage::conformance::tenant;
use crate::storage::{ClusterRow, Commit, IncidentFilter, MetaStore};
use crate::tenancy::TenantId;

/// Numbers are reserved once, also by workers that reserve at the same time.
pub(super) async fn numbers(meta: &dyn MetaStore, a: &TenantId) {
    let numbers = meta.reserve_numbers(a, &[11, 12]).await.unwrap();
    assert_eq!(
        numbers,
        meta.reserve_numbers(a, &[12, 11]).await.unwrap(),
        "a number is reserved once"
    );
    assert_eq!(numbers.values().copied().collect::<Vec<_>>(), [1, 2]);
    let (left, right) = tokio::join!(
        meta.reserve_numbers(a, &[21, 22]),
        meta.reserve_numbers(a, &[31, 32])
    );
    let (left, right) = (left.unwrap(), right.unwrap());
    let mut both: Vec<i64> = left.into_values().chain(right.into_values()).collect();
    both.sort_unstable();
    assert_eq!(
        both,
        [3, 4, 5, 6],
        "numbers reserved at the same time differ"
    );
    let filter = IncidentFilter {
        limit: 10,
        ..IncidentFilter::default()
    };
    assert!(
        meta.incidents(a, &filter).await.unwrap().is_empty(),
        "a number alone is not an incident"
    );
}

/// The last feedback on an incident counts.
pub(super) async fn feedback(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    meta.put_feedback(a, 1, None).await.unwrap();
    meta.put_feedback(a, 1, Some(2)).await.unwrap();
    meta.put_feedback(b, 1, None).await.unwrap();
    assert_eq!(meta.feedback().await.unwrap(), [Some(2), None]);
}

/// Imported incidents keep their numbers, transitions and answers.
pub(super) async fn copies(meta: &dyn MetaStore) {
    let c = tenant("c");
    let json = r#"[
        {"number":3,"key":"ffffffffffffff01","row":{"incident_id":"inc-3","cluster":"prod",
        "state":"open","severity":"ERROR",
        "started_at":"2026-01-01T00:00:00Z","symptoms":2,
        "component":"app/web","confidence":0.8234567890123457},
        "events":[{"b":2,"a":1},{"c":3}],
        "answers":[{"scorer":"causal","at":"2026-01-01T00:01:00Z","answer":{"z":0.1}}]},
        {"number":5,"key":"000000000000000a","row":null,"events":[],"answers":[]}]"#;
    let originals: Vec<IncidentCopy> = serde_json::from_str(json).unwrap();
    let clusters = [ClusterRow {
        cluster: "prod".into(),
        state: "{}".into(),
        last_record: Time(3),
        last_arrival: None,
        counts: None,
    }];
    for _ in 0..2 {
        meta.restore(&c, &originals, &clusters).await.unwrap();
    }
    let text = |copies: &[_]| serde_json::to_string(copies).unwrap();
    assert_eq!(
        text(&meta.incident_copies(&c, 0, 9).await.unwrap()),
        text(&originals),
        "importing twice changes nothing"
    );
    assert_eq!(
        text(&meta.incident_copies(&c, 3, 9).await.unwrap()),
        text(&originals[1..]),
        "copies above a number"
    );
    assert_eq!(meta.clusters(&c).await.unwrap(), clusters);
    let worst = meta.worst_incident(&c).await.unwrap();
    assert_eq!(worst.unwrap().incident_id, "inc-3");
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
        meta.reserve_numbers(&c, &[10, 11]).await.unwrap(),
        BTreeMap::from([(10, 5), (11, 6)]),
        "new numbers follow the imported ones"
    );
    meta.forget_tenant(&c, true).await.unwrap();
    assert!(meta.incident_copies(&c, 0, 9).await.unwrap().is_empty());
}

/// The unresolved incident with the worst severity comes first, whatever its number.
pub(super) async fn worst(meta: &dyn MetaStore) {
    let e = tenant("e");
    assert_eq!(meta.worst_incident(&e).await.unwrap(), None);
    let rows = [
        (1, "resolved", "CRITICAL"),
        (2, "acknowledged", "ERROR"),
        (3, "open", "WARNING"),
    ];
    let copies = rows.map(|(number, state, severity)| {
        let text = format!(
            r#"{{"number":{number},"key":"000000000000000{number}","events":[],"answers":[],
            "row":{{"incident_id":"inc-{number}","cluster":"prod","state":"{state}",
            "severity":"{severity}","started_at":"2026-01-01T00:00:00Z","symptoms":1}}}}"#
        );
        serde_json::from_str::<IncidentCopy>(&text).unwrap()
    });
    meta.restore(&e, &copies, &[]).await.unwrap();
    let worst = meta.worst_incident(&e).await.unwrap().unwrap();
    assert_eq!(worst.incident_id, "inc-2");
    meta.forget_tenant(&e, true).await.unwrap();
}

/// Workers of three partitions append transitions at the same time: a reader of the feed sees each
/// of them, and none appears before one that was read already.
pub(super) async fn feed(meta: &dyn MetaStore) {
    const EVENTS: u64 = 40;
    let d = tenant("d");
    let d = &d;
    assert_eq!(meta.last_transition(d).await.unwrap(), 0);
    let worker = async |partition: u32| {
        let epoch = meta
            .lease(d, partition, "one", Time(DAY), Time(1))
            .await
            .unwrap()
            .unwrap();
        for i in 0..EVENTS {
            let key = u64::from(partition) * 1000 + i % 4;
            meta.reserve_numbers(d, &[key]).await.unwrap();
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
            after = page.last().map(|last| last.id).unwrap_or(after);
            seen += page.len();
        }
        // Reading again from the start finds what was skipped the first time.
        assert_eq!(
            meta.transitions(d, None, 0, 1000).await.unwrap().len(),
            seen
        );
    };
    tokio::join!(worker(0), worker(1), worker(2), follower);
    let all = meta.transitions(d, None, 0, 1000).await.unwrap();
    assert_eq!(
        meta.last_transition(d).await.unwrap(),
        all.last().unwrap().id
    );
    meta.forget_tenant(d, true).await.unwrap();
}
