//! Background jobs survive daemons that are killed while they run.

use std::path::Path;
use std::time::{Duration, Instant};

use kgrca_core::jobs::{JobFilter, JobKind, JobState, NewJob};
use kgrca_core::model::Time;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::MetaStore;
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::tenancy::TenantId;
use kgrca_daemon::storage::postgres;
use kgrca_tests::stack::Stack;
use kgrca_tests::{Server, soak};
use serde_json::{Value, json};

use crate::crash::endless;
use crate::provisioning::{json_of, operator};

const JOBS: usize = 60;

fn kills() -> usize {
    if soak() { 40 } else { 6 }
}

fn now() -> Time {
    Time(jiff::Timestamp::now().as_microsecond())
}

/// Recounts of a tenant's bill, each enqueued twice under one key.
async fn enqueue(meta: &dyn MetaStore, tenant: &TenantId) {
    for i in 0..JOBS {
        // `to` is exclusive: the records are of today.
        let tomorrow = now().plus(DAY).day();
        let days = json!({ "from": "2000-01-01", "to": tomorrow });
        let job = NewJob {
            tenant: Some(tenant.clone()),
            key: Some(format!("recount-{i}")),
            ..NewJob::new(format!("job_{i}"), JobKind::BillingVerify, days, now())
        };
        let twin = NewJob {
            job_id: format!("job_twin_{i}"),
            ..job.clone()
        };
        assert_eq!(meta.enqueue(&job).await.unwrap(), job.job_id);
        assert_eq!(meta.enqueue(&twin).await.unwrap(), job.job_id);
    }
    // A job that no attempt can do.
    let broken = NewJob {
        max_attempts: 2,
        ..NewJob::new("job_broken".into(), JobKind::SagaRun, json!({}), now())
    };
    meta.enqueue(&broken).await.unwrap();
}

async fn in_state(meta: &dyn MetaStore, kind: JobKind, state: JobState) -> usize {
    let filter = JobFilter {
        kind: Some(kind),
        state: Some(state),
        limit: 1000,
        ..JobFilter::default()
    };
    meta.jobs(&filter).await.unwrap().len()
}

/// Waits until so many recounts are done.
async fn done(meta: &dyn MetaStore, jobs: usize) {
    let deadline = Instant::now() + Duration::from_mins(3);
    while in_state(meta, JobKind::BillingVerify, JobState::Done).await < jobs {
        let all = meta.job_counts().await.unwrap();
        assert!(Instant::now() < deadline, "{all:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Every job ran, the twins did not, and the dead one says why.
async fn check(meta: &dyn MetaStore, server: &Server) {
    let filter = JobFilter {
        kind: Some(JobKind::BillingVerify),
        limit: 1000,
        ..JobFilter::default()
    };
    let jobs = meta.jobs(&filter).await.unwrap();
    assert_eq!(jobs.len(), JOBS, "one job for a key");
    for job in &jobs {
        assert_eq!(job.state, JobState::Done, "{job:?}");
        let items = &job.result.as_ref().unwrap()["items"];
        let days = items.as_array().unwrap();
        assert!(!days.is_empty(), "{job:?}");
        assert!(days.iter().all(|d| d["agrees"] == true), "{job:?}");
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    let dead = loop {
        let dead = json_of(&operator(server, &["job", "list", "--state", "dead"]));
        if !dead["items"].as_array().unwrap().is_empty() {
            break dead;
        }
        assert!(Instant::now() < deadline, "the broken job dies");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let job: &Value = &dead["items"][0];
    assert_eq!(job["job_id"], "job_broken", "{dead}");
    let why = job["error"].as_str().unwrap();
    assert!(
        why.contains("saga_id") && why.contains("2 attempts"),
        "{why}"
    );
}

/// Fills a tenant's log, so that a recount takes a while.
async fn tenant(server: &Server) -> TenantId {
    let tenant = server.tenant("Jobs", "enterprise").await;
    let batches: Vec<(usize, Vec<u8>)> = endless().take(400).collect();
    let mut sent = 0;
    for some in batches.chunks(100) {
        let body: Vec<u8> = some.iter().flat_map(|(_, batch)| batch.clone()).collect();
        let answer = server.ingest(&tenant, "events", body).await;
        sent += answer["accepted"].as_u64().unwrap();
    }
    server.settled(&tenant, sent).await;
    TenantId::parse(&tenant.id).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_continues_its_jobs_when_it_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let tenant = tenant(&server).await;
    let meta = SqliteMeta::open(&folder.path().join("meta.db"))
        .await
        .unwrap();
    enqueue(&meta, &tenant).await;
    for kill in 1..=kills() {
        done(&meta, JOBS * kill / (kills() + 2)).await;
        server.kill();
        server = Server::start(folder.path(), &[]);
    }
    done(&meta, JOBS).await;
    check(&meta, &server).await;
    let stopped = server.terminate();
    assert!(stopped, "it hands its jobs back in order");
    assert_eq!(
        in_state(&meta, JobKind::BillingVerify, JobState::Running).await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_daemon_takes_over_the_jobs_of_a_killed_one() {
    let stack = Stack::start();
    let folder = tempfile::tempdir().unwrap();
    let place = |i: usize| folder.path().join(i.to_string());
    let daemon = |folder: &Path| stack.daemon(folder);
    let mut servers = vec![daemon(&place(0)), daemon(&place(1))];
    let tenant = tenant(&servers[0]).await;
    let meta = postgres::open(&stack.postgres.url()).await.unwrap();
    enqueue(&meta, &tenant).await;
    for kill in 1..=kills() {
        done(&meta, JOBS * kill / (kills() + 2)).await;
        servers.remove(0).kill();
        servers.push(daemon(&place(kill + 1)));
    }
    done(&meta, JOBS).await;
    check(&meta, &servers[0]).await;
}
