//! Notifications: settings, silences, and what was sent to whom.

use serde_json::json;

use crate::incident::{State, Transition};
use crate::jobs::{JobFilter, JobKind, NewJob};
use crate::model::Time;
use crate::notify::{Matcher, Notice, Silence, Told};
use crate::storage::conformance::tenant;
use crate::storage::{Commit, DeliveryEnd, DeliveryRow, DeliveryState, MetaStore, TransitionRow};
use crate::tenancy::{Audit, TenantId};

fn audit(tenant: &TenantId, at: i64) -> Audit {
    Audit {
        client_id: Some(tenant.to_string()),
        at: Time(at),
        actor: "key_1".into(),
        action: "notify.apply".into(),
        target: "receivers".into(),
        address: None,
    }
}

fn job(tenant: &TenantId, id: &str, kind: JobKind) -> NewJob {
    NewJob {
        tenant: Some(tenant.clone()),
        ..NewJob::new(id.into(), kind, json!({}), Time(1))
    }
}

fn row(transition: i64, receiver: &str, number: i64, state: DeliveryState) -> DeliveryRow {
    let notice: Notice = serde_json::from_value(json!({
        "incident_id": "inc-1", "state": "open", "at": Time(1), "by": "engine",
        "severity": "ERROR", "started_at": Time(1), "cluster": "prod",
    }))
    .unwrap();
    DeliveryRow {
        transition,
        receiver: receiver.into(),
        number,
        state,
        reason: None,
        notice,
        attempts: 0,
        created_at: Time(10),
        updated_at: Time(10),
    }
}

/// Commits one transition of a tenant. Returns it.
async fn change(meta: &dyn MetaStore, tenant: &TenantId, key: u64, plan: &str) -> TransitionRow {
    let at = Time(1_000);
    let epoch = meta
        .lease(tenant, 5, "notifier", Time(9_000), at)
        .await
        .unwrap()
        .unwrap();
    let number = meta.reserve_numbers(tenant, &[key]).await.unwrap()[&key];
    let transition = Transition {
        at,
        to: State::Open,
        by: "engine".into(),
        note: None,
    };
    let commit = Commit {
        epoch,
        transitions: vec![(key, transition)],
        plan: Some(job(tenant, plan, JobKind::NotifyPlan)),
        ..Commit::default()
    };
    meta.commit(tenant, 5, commit).await.unwrap();
    let all = meta
        .transitions(tenant, Some(number), 0, 100)
        .await
        .unwrap();
    all.into_iter().next_back().unwrap()
}

async fn jobs(meta: &dyn MetaStore, tenant: &TenantId, kind: JobKind) -> usize {
    let filter = JobFilter {
        kind: Some(kind),
        client_id: Some(tenant.to_string()),
        limit: 100,
        ..JobFilter::default()
    };
    meta.jobs(&filter).await.unwrap().len()
}

/// Of a tenant that has nothing else; `b` is another one.
pub(super) async fn notifications(meta: &dyn MetaStore, b: &TenantId) {
    let a = tenant("notified");
    planning(meta, &a, b).await;
    silences(meta, &a, b).await;
    meta.forget_tenant(&a, false).await.unwrap();
    assert_eq!(meta.notify_settings(&a).await.unwrap(), None);
    assert!(meta.silences(&a, Time(0)).await.unwrap().is_empty());
    assert!(meta.deliveries(&a, 1, 9).await.unwrap().is_empty());
}

/// Changes are planned once, from the moment on at which there are receivers.
async fn planning(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    assert_eq!(meta.notify_settings(a).await.unwrap(), None);
    let before = change(meta, a, 901, "job_n1").await;
    assert_eq!(
        jobs(meta, a, JobKind::NotifyPlan).await,
        0,
        "there are no receivers"
    );
    meta.put_notify_settings(a, "one", &audit(a, 5))
        .await
        .unwrap();
    let settings = meta.notify_settings(a).await.unwrap().unwrap();
    assert_eq!(
        (settings.config.as_str(), settings.planned),
        ("one", before.id)
    );
    assert_eq!(
        meta.notify_settings(b).await.unwrap(),
        None,
        "of another tenant"
    );

    let next = change(meta, a, 901, "job_n2").await;
    assert_eq!(jobs(meta, a, JobKind::NotifyPlan).await, 1);
    let number = next.incident_id.trim_start_matches("inc-").parse().unwrap();
    let rows = [
        row(next.id, "team", number, DeliveryState::Pending),
        row(next.id, "boss", number, DeliveryState::Muted),
    ];
    let send = [job(a, "job_n3", JobKind::NotifyDeliver)];
    let plan = |after| meta.plan_deliveries(a, after, next.id, &rows, &send);
    assert!(plan(before.id).await.unwrap());
    assert!(!plan(before.id).await.unwrap(), "it is planned already");
    assert_eq!(jobs(meta, a, JobKind::NotifyDeliver).await, 1);
    let found = meta.deliveries(a, number, 9).await.unwrap();
    assert_eq!(found, [rows[1].clone(), rows[0].clone()]);
    assert!(meta.deliveries(b, number, 9).await.unwrap().is_empty());
    assert_eq!(
        meta.deliveries(a, number, 1).await.unwrap(),
        [rows[0].clone()]
    );
    assert_eq!(
        meta.told(a, number).await.unwrap(),
        Told::from(["team".into()])
    );
    let later = row(next.id + 1, "team", number, DeliveryState::Pending);
    assert!(meta.has_earlier(a, &later).await.unwrap());
    assert!(!meta.has_earlier(a, &rows[0]).await.unwrap());
    let other = row(next.id + 1, "boss", number, DeliveryState::Pending);
    assert!(!meta.has_earlier(a, &other).await.unwrap(), "it was muted");
    meta.put_notify_settings(a, "two", &audit(a, 6))
        .await
        .unwrap();
    let settings = meta.notify_settings(a).await.unwrap().unwrap();
    assert_eq!(
        (settings.config.as_str(), settings.planned),
        ("two", next.id)
    );
    attempts(meta, a, next.id, number).await;
}

async fn attempts(meta: &dyn MetaStore, a: &TenantId, transition: i64, number: i64) {
    let end = |state, at| DeliveryEnd {
        state,
        reason: Some("busy".into()),
        at: Time(at),
    };
    let note = async |state, at| {
        let end = end(state, at);
        meta.note_attempt(a, transition, "team", &end)
            .await
            .unwrap()
    };
    assert!(note(DeliveryState::Pending, 20).await);
    assert!(note(DeliveryState::Dead, 30).await);
    assert!(!note(DeliveryState::Sent, 40).await, "it has ended");
    let row = meta.delivery(a, transition, "team").await.unwrap().unwrap();
    assert_eq!(
        (row.state, row.attempts, row.updated_at),
        (DeliveryState::Dead, 2, Time(30))
    );
    let again = [
        (
            transition,
            "team".to_owned(),
            job(a, "job_n4", JobKind::NotifyDeliver),
        ),
        (
            transition,
            "boss".to_owned(),
            job(a, "job_n5", JobKind::NotifyDeliver),
        ),
    ];
    let revived = meta
        .revive_deliveries(a, &again, &audit(a, 50))
        .await
        .unwrap();
    assert_eq!(revived, 1, "what was muted was not to be sent");
    assert_eq!(jobs(meta, a, JobKind::NotifyDeliver).await, 2);
    meta.trim_deliveries(a, Time(51), Time(0)).await.unwrap();
    let row = meta.delivery(a, transition, "team").await.unwrap().unwrap();
    assert_eq!(row.state, DeliveryState::Dead, "it waited for too long");
    meta.trim_deliveries(a, Time(0), Time(11)).await.unwrap();
    let left = meta.deliveries(a, number, 9).await.unwrap();
    assert_eq!(left.len(), 1, "what is old is forgotten");
}

/// Silences end in time, or by hand.
async fn silences(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let silence = |id: &str, ends| Silence {
        silence_id: id.into(),
        matcher: Matcher {
            namespace: Some("shop".into()),
            ..Matcher::default()
        },
        reason: "maintenance".into(),
        by: "jane".into(),
        created_at: Time(1),
        ends_at: Time(ends),
    };
    for (id, ends) in [("sil_1", 200), ("sil_2", 100)] {
        meta.put_silence(a, &silence(id, ends), &audit(a, 1))
            .await
            .unwrap();
    }
    let found = meta.silences(a, Time(50)).await.unwrap();
    assert_eq!(found, [silence("sil_2", 100), silence("sil_1", 200)]);
    assert_eq!(meta.silences(a, Time(100)).await.unwrap().len(), 1);
    assert!(meta.silences(b, Time(0)).await.unwrap().is_empty());
    let end = async |id, at| meta.end_silence(a, id, &audit(a, at)).await.unwrap();
    assert!(end("sil_1", 60).await);
    assert!(!end("sil_1", 61).await && !end("sil_9", 61).await);
    let found = meta.silences(a, Time(50)).await.unwrap();
    assert_eq!(found[0].ends_at, Time(60), "it ended by hand");
}
