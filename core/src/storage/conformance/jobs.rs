//! Jobs: who gets which, for how long, and how they end.

use serde_json::json;

use super::tenant;
use crate::jobs::{Job, JobAct, JobCursor, JobEnd, JobFilter, JobKind, JobState, NewJob, TakeJob};
use crate::model::Time;
use crate::model::time::{MINUTE, SECOND};
use crate::storage::{Commit, ErrorKind, MetaStore};
use crate::tenancy::{Saga, SagaKind, SagaState, TenantId};

const HOUR: i64 = 60 * MINUTE;
const START: Time = Time(1_000 * HOUR);

fn new_job(id: &str, tenant: &TenantId, run_at: Time) -> NewJob {
    NewJob {
        job_id: format!("job_{id}"),
        tenant: Some(tenant.clone()),
        kind: JobKind::SagaRun,
        payload: json!({ "saga_id": id }),
        key: None,
        run_at,
        every: None,
        max_attempts: 3,
        created_at: run_at,
    }
}

fn maintain(id: &str, tenant: &TenantId, run_at: Time) -> NewJob {
    NewJob {
        kind: JobKind::TenantMaintain,
        ..new_job(id, tenant, run_at)
    }
}

fn request(owner: &str, now: Time) -> TakeJob<'_> {
    TakeJob {
        owner,
        kinds: &JobKind::ALL,
        max_per_tenant: 2,
        until: now.plus(MINUTE),
        now,
    }
}

async fn take(meta: &dyn MetaStore, owner: &str, now: Time) -> Option<Job> {
    meta.take_job(&request(owner, now)).await.unwrap()
}

async fn state(meta: &dyn MetaStore, id: &str) -> JobState {
    meta.job(id).await.unwrap().unwrap().state
}

/// What every [`crate::storage::Jobs`] does.
pub(super) async fn jobs(meta: &dyn MetaStore) {
    drain(meta).await;
    leases(meta).await;
    endings(meta).await;
    recurring(meta).await;
    keys(meta).await;
    by_hand(meta).await;
    fairness(meta).await;
    races(meta).await;
    outbox(meta).await;
    lists(meta).await;
}

/// The migration enqueues recurring jobs of its own: they are not this suite's.
async fn drain(meta: &dyn MetaStore) {
    let all = JobFilter {
        limit: 100,
        ..JobFilter::default()
    };
    for job in meta.jobs(&all).await.unwrap() {
        meta.change_job(&job.job_id, JobAct::Cancel, START)
            .await
            .unwrap();
    }
    assert_eq!(take(meta, "one", START).await, None);
}

async fn leases(meta: &dyn MetaStore) {
    let a = tenant("lease");
    meta.enqueue(&new_job("a", &a, START)).await.unwrap();
    assert_eq!(take(meta, "one", Time(START.0 - 1)).await, None, "not due");
    let job = take(meta, "one", START).await.unwrap();
    assert_eq!(
        (job.state, job.epoch, job.attempts),
        (JobState::Running, 1, 1)
    );
    assert_eq!(job.payload, json!({ "saga_id": "a" }));
    assert_eq!(job.client_id.as_deref(), Some(a.as_str()));
    assert_eq!(job.lease_owner.as_deref(), Some("one"));
    let later = START.plus(30 * SECOND);
    assert_eq!(take(meta, "two", later).await, None, "it is leased");
    let until = START.plus(2 * MINUTE);
    assert!(
        meta.extend_job(&job.lease(), until, Some("half"))
            .await
            .unwrap()
    );
    assert_eq!(take(meta, "two", START.plus(MINUTE)).await, None);
    let again = take(meta, "two", until).await.unwrap();
    assert_eq!((again.epoch, again.attempts), (2, 2), "the lease ended");
    let end = JobEnd::Done(json!(1));
    assert!(!meta.finish_job(&job.lease(), &end, until).await.unwrap());
    assert!(!meta.extend_job(&job.lease(), until, None).await.unwrap());
    assert!(
        meta.finish_job(&again.lease(), &end, until).await.unwrap(),
        "only the run under the last lease counts"
    );
    let done = meta.job("job_a").await.unwrap().unwrap();
    assert_eq!(
        (done.state, done.result, done.lease_owner),
        (JobState::Done, Some(json!(1)), None)
    );
    meta.enqueue(&new_job("b", &a, START)).await.unwrap();
    take(meta, "one", START).await.unwrap();
    assert_eq!(meta.release_jobs("one").await.unwrap(), 1);
    let back = take(meta, "two", START).await.unwrap();
    assert_eq!(
        back.job_id, "job_b",
        "a daemon that starts again holds none"
    );
    meta.finish_job(&back.lease(), &end, START).await.unwrap();
}

async fn endings(meta: &dyn MetaStore) {
    let a = tenant("end");
    meta.enqueue(&new_job("c", &a, START)).await.unwrap();
    let job = take(meta, "one", START).await.unwrap();
    let at = START.plus(MINUTE);
    let retry = JobEnd::Retry {
        at,
        error: "no route".into(),
    };
    assert!(meta.finish_job(&job.lease(), &retry, START).await.unwrap());
    assert_eq!(take(meta, "one", START).await, None, "it waits");
    let job = take(meta, "one", at).await.unwrap();
    assert_eq!((job.attempts, job.error.as_deref()), (2, Some("no route")));
    let at = at.plus(MINUTE);
    meta.finish_job(&job.lease(), &JobEnd::Later(at), at)
        .await
        .unwrap();
    let job = take(meta, "one", at).await.unwrap();
    assert_eq!(job.attempts, 2, "waiting is not an attempt");
    let dead = JobEnd::Dead("refused".into());
    meta.finish_job(&job.lease(), &dead, at).await.unwrap();
    let job = meta.job("job_c").await.unwrap().unwrap();
    assert_eq!(
        (job.state, job.error.as_deref()),
        (JobState::Dead, Some("refused"))
    );
    // Each daemon that takes it dies.
    meta.enqueue(&new_job("d", &a, at)).await.unwrap();
    for i in 0..3 {
        let now = at.plus(i * MINUTE);
        assert_eq!(take(meta, "one", now).await.unwrap().job_id, "job_d");
    }
    assert_eq!(take(meta, "one", at.plus(3 * MINUTE)).await, None);
    let job = meta.job("job_d").await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Dead, "it is not tried for ever");
    assert!(job.error.unwrap().contains("attempt 3 never ended"));
    assert!(meta.purge_jobs(at.plus(HOUR)).await.unwrap() > 0);
    assert_eq!(meta.job("job_a").await.unwrap(), None, "it was done");
    assert_eq!(state(meta, "job_c").await, JobState::Dead, "dead ones stay");
}

async fn recurring(meta: &dyn MetaStore) {
    let a = tenant("every");
    let hourly = NewJob {
        every: Some(HOUR),
        ..new_job("hourly", &a, START)
    };
    meta.enqueue(&hourly).await.unwrap();
    let mut now = START;
    for end in [JobEnd::Done(json!("ok")), JobEnd::Dead("no".into())] {
        let job = take(meta, "one", now).await.unwrap();
        assert_eq!(job.attempts, 1);
        meta.finish_job(&job.lease(), &end, now).await.unwrap();
        let job = meta.job("job_hourly").await.unwrap().unwrap();
        assert_eq!(
            (job.state, job.run_at, job.every_seconds),
            (JobState::Queued, now.plus(HOUR), Some(3600))
        );
        now = job.run_at;
    }
    let job = meta.job("job_hourly").await.unwrap().unwrap();
    assert_eq!(job.error.as_deref(), Some("no"), "a failure stays visible");
    meta.change_job("job_hourly", JobAct::Cancel, now)
        .await
        .unwrap();
}

async fn keys(meta: &dyn MetaStore) {
    let (a, b) = (tenant("key"), tenant("key2"));
    let keyed = |id: &str, tenant: &TenantId| NewJob {
        key: Some("k".into()),
        ..new_job(id, tenant, START)
    };
    assert_eq!(meta.enqueue(&keyed("k1", &a)).await.unwrap(), "job_k1");
    assert_eq!(meta.enqueue(&keyed("k1", &a)).await.unwrap(), "job_k1");
    assert_eq!(meta.enqueue(&keyed("k2", &a)).await.unwrap(), "job_k1");
    assert_eq!(
        meta.enqueue(&keyed("k3", &b)).await.unwrap(),
        "job_k3",
        "tenants do not share keys"
    );
    let done = JobEnd::Done(json!(null));
    for _ in 0..2 {
        let job = take(meta, "one", START).await.unwrap();
        meta.finish_job(&job.lease(), &done, START).await.unwrap();
    }
    assert_eq!(
        meta.enqueue(&keyed("k4", &a)).await.unwrap(),
        "job_k1",
        "also once it is done"
    );
    meta.purge_jobs(START.plus(1)).await.unwrap();
    assert_eq!(meta.enqueue(&keyed("k5", &a)).await.unwrap(), "job_k5");
    meta.change_job("job_k5", JobAct::Cancel, START)
        .await
        .unwrap();
    assert_eq!(
        meta.enqueue(&keyed("k6", &a)).await.unwrap(),
        "job_k6",
        "a cancelled job makes room"
    );
    let retried = meta.change_job("job_k5", JobAct::Retry, START).await;
    assert_eq!(retried.unwrap_err().kind, ErrorKind::Conflict);
    meta.change_job("job_k6", JobAct::Cancel, START)
        .await
        .unwrap();
}

async fn by_hand(meta: &dyn MetaStore) {
    let a = tenant("hand");
    meta.enqueue(&new_job("h", &a, START)).await.unwrap();
    let job = take(meta, "one", START).await.unwrap();
    assert!(
        !meta
            .change_job("job_h", JobAct::Retry, START)
            .await
            .unwrap(),
        "it runs already"
    );
    assert!(
        meta.change_job("job_h", JobAct::Cancel, START)
            .await
            .unwrap()
    );
    assert!(
        !meta.extend_job(&job.lease(), START, None).await.unwrap(),
        "the run learns that it was cancelled"
    );
    assert!(
        !meta
            .change_job("job_h", JobAct::Cancel, START)
            .await
            .unwrap()
    );
    assert!(
        meta.change_job("job_h", JobAct::Retry, START.plus(1))
            .await
            .unwrap()
    );
    let job = take(meta, "one", START.plus(1)).await.unwrap();
    assert_eq!((&*job.job_id, job.attempts), ("job_h", 1), "from the start");
    let end = JobEnd::Done(json!(null));
    meta.finish_job(&job.lease(), &end, START).await.unwrap();
    assert!(
        !meta
            .change_job("job_none", JobAct::Retry, START)
            .await
            .unwrap()
    );
}

/// A tenant with a thousand jobs that were due long before delays another's by a turn, whether
/// daemons run one job at a time or several.
async fn fairness(meta: &dyn MetaStore) {
    let (busy, other) = (tenant("busy"), tenant("other"));
    let lease = meta.lease(&busy, 0, "one", START.plus(HOUR), START).await;
    let many = Commit {
        epoch: lease.unwrap().unwrap(),
        jobs: (0..1000)
            .map(|i| maintain(&format!("busy{i:04}"), &busy, START))
            .collect(),
        ..Commit::default()
    };
    meta.commit(&busy, 0, many).await.unwrap();
    let now = START.plus(HOUR);
    let done = JobEnd::Done(json!(null));
    let first = take(meta, "one", now).await.unwrap();
    assert_eq!(
        first.job_id, "job_busy0000",
        "in the order in which they are due"
    );
    meta.finish_job(&first.lease(), &done, now).await.unwrap();
    for i in 0..5 {
        let job = maintain(&format!("other{i}"), &other, now);
        meta.enqueue(&job).await.unwrap();
    }
    let mut turns = Vec::new();
    for _ in 0..6 {
        let job = take(meta, "one", now).await.unwrap();
        turns.push(job.client_id.clone().unwrap() == other.as_str());
        meta.finish_job(&job.lease(), &done, now).await.unwrap();
    }
    assert_eq!(turns, [true, false, true, false, true, false], "in turns");
    let mut running = Vec::new();
    while let Some(job) = take(meta, "one", now).await {
        running.push(job);
    }
    let of_busy = running
        .iter()
        .filter(|job| job.client_id.as_deref() == Some(busy.as_str()));
    assert_eq!((of_busy.count(), running.len()), (2, 4), "two of each");
    // A tenant that is removed takes its jobs along.
    for tenant in [&busy, &other] {
        meta.forget_tenant(tenant, true).await.unwrap();
    }
    assert_eq!(take(meta, "one", now).await, None);
}

/// Daemons that take jobs at the same time never get the same one, and hold the limit together.
async fn races(meta: &dyn MetaStore) {
    let a = tenant("race");
    for i in 0..8 {
        let job = new_job(&format!("race{i}"), &a, START);
        meta.enqueue(&job).await.unwrap();
    }
    let now = START.plus(MINUTE);
    let (one, two, three) = tokio::join!(
        take(meta, "one", now),
        take(meta, "two", now),
        take(meta, "three", now)
    );
    let mut taken: Vec<String> = [one, two, three]
        .into_iter()
        .flatten()
        .map(|job| job.job_id)
        .collect();
    taken.sort();
    assert_eq!(taken, ["job_race0", "job_race1"]);
    for i in 0..8 {
        let id = format!("job_race{i}");
        meta.change_job(&id, JobAct::Cancel, now).await.unwrap();
    }
}

/// A change and the jobs that it causes are stored together, or neither is.
async fn outbox(meta: &dyn MetaStore) {
    let a = tenant("outbox");
    let epoch = meta
        .lease(&a, 0, "one", START.plus(HOUR), START)
        .await
        .unwrap()
        .unwrap();
    let commit = |epoch: i64, id: &str| Commit {
        epoch,
        jobs: vec![new_job(id, &a, START)],
        ..Commit::default()
    };
    let fenced = meta.commit(&a, 0, commit(epoch + 1, "fenced")).await;
    assert_eq!(fenced.unwrap_err().kind, ErrorKind::Fenced);
    assert_eq!(meta.job("job_fenced").await.unwrap(), None);
    meta.commit(&a, 0, commit(epoch, "batch")).await.unwrap();
    assert_eq!(state(meta, "job_batch").await, JobState::Queued);
    let saga = |id: &str| Saga {
        saga_id: id.into(),
        client_id: a.to_string(),
        kind: SagaKind::Delete,
        state: SagaState::Running,
        steps: Vec::new(),
        error: None,
        request: Some("outbox".into()),
        request_digest: None,
        key_ids: Vec::new(),
        tenant: super::meta::row(a.as_str()),
        graph: None,
        wait_until: None,
        created_at: START,
        updated_at: START,
    };
    let caused = [new_job("saga", &a, START)];
    meta.put_saga(&saga("saga_outbox"), &caused).await.unwrap();
    assert_eq!(state(meta, "job_saga").await, JobState::Queued);
    let refused = [new_job("refused", &a, START)];
    let twice = meta.put_saga(&saga("saga_twice"), &refused).await;
    assert_eq!(twice.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(meta.job("job_refused").await.unwrap(), None);
    for id in ["job_batch", "job_saga"] {
        meta.change_job(id, JobAct::Cancel, START).await.unwrap();
    }
    let over = Saga {
        state: SagaState::Compensated,
        ..saga("saga_outbox")
    };
    meta.put_saga(&over, &[]).await.unwrap();
    meta.forget_tenant(&a, true).await.unwrap();
}

async fn lists(meta: &dyn MetaStore) {
    meta.purge_jobs(Time(i64::MAX)).await.unwrap();
    let a = tenant("list");
    for i in 0..5 {
        let job = new_job(&format!("list{i}"), &a, START.plus(i / 2));
        meta.enqueue(&job).await.unwrap();
    }
    let mut filter = JobFilter {
        state: Some(JobState::Queued),
        kind: Some(JobKind::SagaRun),
        client_id: Some(a.to_string()),
        limit: 2,
        after: None,
    };
    let mut found = Vec::new();
    loop {
        let page = meta.jobs(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some(JobCursor::of(last));
        found.extend(page.into_iter().map(|job| job.job_id));
    }
    let newest_first = ["4", "3", "2", "1", "0"].map(|n| format!("job_list{n}"));
    assert_eq!(found, newest_first, "each once, over several pages");
    let counts = meta.job_counts().await.unwrap();
    let queued = counts
        .iter()
        .find(|c| (&*c.kind, c.state) == ("saga.run", JobState::Queued));
    assert_eq!(queued.unwrap().jobs, 5);
    for id in found {
        meta.change_job(&id, JobAct::Cancel, START).await.unwrap();
    }
}
