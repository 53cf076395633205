//! Takes jobs, runs several at once, and keeps their leases while they run.

use std::sync::Arc;
use std::time::Duration;

use kgrca_core::jobs::{Job, JobEnd, JobKind, JobPolicy, TakeJob};
use kgrca_core::model::Time;
use kgrca_core::model::time::SECOND;
use kgrca_core::storage;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::{Outcome, Progress, handle};
use crate::clock::{instant, now, since, sleep};
use crate::random::random_share;
use crate::telemetry;
use crate::tenancy;
use crate::usecases::{App, Result};

/// Jobs that one daemon runs at once.
const MAX_RUNNING: usize = 8;
/// Jobs of one tenant that run at once, over all daemons, and one more that continues a saga. The
/// operator's count as one tenant's.
const MAX_PER_TENANT: u32 = 2;
/// How often an idle daemon looks for work.
const POLL: Duration = Duration::from_millis(500);
/// The lease under which a job is taken, in microseconds. It is extended at once to that of its
/// kind.
const FIRST_LEASE: i64 = 30 * SECOND;
/// A lease is extended this many times before it would end.
const EXTENSIONS: u64 = 3;

/// Jobs that run.
#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    /// One for each job: a channel wakes several receivers in a random order, and a simulation
    /// needs the same one each time.
    stops: Vec<watch::Sender<bool>>,
}

impl Running {
    fn start(&mut self, app: &Arc<App>, job: Job) {
        let (stop, stopped) = watch::channel(false);
        self.stops.retain(|stop| !stop.is_closed());
        self.stops.push(stop);
        self.tasks.spawn(execute(Arc::clone(app), job, stopped));
    }

    /// Lets all hand back their jobs, and waits until they have.
    async fn stop(mut self) {
        for stop in &self.stops {
            stop.send_replace(true);
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Runs jobs until the daemon stops; then hands back those under way, for another daemon to run.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut running = Running::default();
    let mut is_released = false;
    while !*stop.borrow() {
        let taken = async {
            if !is_released {
                // A daemon that starts runs nothing: what it holds is from before it died.
                app.stores.meta.release_jobs(app.fleet.owner()).await?;
                is_released = true;
                if let Err(error) = tenancy::enqueue_missing(&app.tenancy).await {
                    tracing::warn!(%error, "cannot enqueue missing jobs, retrying within the hour");
                }
            }
            take_due(&app, &mut running).await
        };
        if let Err(error) = taken.await {
            tracing::warn!(%error, "cannot take jobs, retrying");
        }
        tokio::select! {
            biased;
            () = sleep(POLL) => {}
            // A job that ended makes room, also for another of its tenant.
            Some(_) = running.tasks.join_next(), if !running.tasks.is_empty() => {}
            _ = stop.changed() => {}
        }
        while running.tasks.try_join_next().is_some() {}
    }
    running.stop().await;
}

async fn take_due(app: &Arc<App>, running: &mut Running) -> storage::Result<()> {
    while running.tasks.len() < MAX_RUNNING {
        let at = now();
        let usual = TakeJob {
            owner: app.fleet.owner(),
            kinds: &JobKind::ALL,
            max_per_tenant: MAX_PER_TENANT,
            until: at.plus(FIRST_LEASE),
            now: at,
        };
        // Long recounts must not keep deletions and rollbacks waiting: sagas come first, and have
        // a place of their own in this daemon and with each tenant.
        let sagas = TakeJob {
            kinds: &[JobKind::SagaRun],
            max_per_tenant: MAX_PER_TENANT + 1,
            ..usual
        };
        let mut taken = app.stores.meta.take_job(&sagas).await?;
        if taken.is_none() && running.tasks.len() + 1 < MAX_RUNNING {
            taken = app.stores.meta.take_job(&usual).await?;
        }
        let Some(job) = taken else {
            break;
        };
        running.start(app, job);
    }
    Ok(())
}

/// Runs one job to the end of this attempt.
async fn execute(app: Arc<App>, job: Job, mut stop: watch::Receiver<bool>) {
    let started = instant();
    let Some(kind) = JobKind::parse(&job.kind) else {
        // Only known kinds are asked for.
        return;
    };
    let policy = kind.policy();
    let progress = Progress::default();
    let run = handle(kind, Arc::clone(&app), job.clone(), progress.clone());
    // A task of its own, so that a panic ends only this attempt.
    let mut handler = tokio::spawn(run);
    let end = tokio::select! {
        biased;
        outcome = &mut handler => match outcome {
            Ok(outcome) => Some(end_of(&job, policy, outcome)),
            Err(panic) => Some(failed(&job, policy, format!("the handler panicked: {panic}"))),
        },
        () = keep_lease(&app, &job, policy, &progress) => {
            cancel(handler).await;
            None
        }
        () = stopped(&mut stop) => {
            cancel(handler).await;
            Some(JobEnd::Later(now()))
        }
    };
    let is_recorded = match &end {
        Some(end) => finish(&app, &job, end).await,
        None => false,
    };
    let attempt = telemetry::JobAttempt {
        job: &job,
        end: end.as_ref().filter(|_| is_recorded),
        seconds: since(started).as_secs_f64(),
    };
    attempt.emit();
}

/// Waits until the daemon stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The sender lives as long as the daemon: both results mean that it stops.
    let _ = stop.wait_for(|stops| *stops).await;
}

/// Stops a handler, and waits until it has: nothing of this run may happen once another daemon can
/// take the job. Work on files that it began on a thread of its own continues, and takes care of
/// itself: a compaction of the log excludes another one.
async fn cancel(handler: JoinHandle<Result<Outcome>>) {
    handler.abort();
    // Cancelled, or it just ended: either is fine.
    let _ = handler.await;
}

fn end_of(job: &Job, policy: JobPolicy, outcome: Result<Outcome>) -> JobEnd {
    match outcome {
        Ok(Outcome::Done(result)) => JobEnd::Done(result),
        Ok(Outcome::Later(at)) => JobEnd::Later(at),
        Err(error) => failed(job, policy, error.to_string()),
    }
}

fn failed(job: &Job, policy: JobPolicy, error: String) -> JobEnd {
    if job.attempts >= job.max_attempts {
        return JobEnd::Dead(format!("{error}; gave up after {} attempts", job.attempts));
    }
    let wait = policy.backoff.wait(job.attempts, random_share());
    JobEnd::Retry {
        at: now().plus(wait),
        error,
    }
}

/// Extends the lease until it is lost.
async fn keep_lease(app: &App, job: &Job, policy: JobPolicy, progress: &Progress) {
    let every = Duration::from_micros(policy.lease as u64 / EXTENSIONS);
    let mut ends = now().plus(FIRST_LEASE);
    loop {
        let until = now().plus(policy.lease);
        let lease = job.lease();
        match app
            .stores
            .meta
            .extend_job(&lease, until, progress.get().as_deref())
            .await
        {
            Ok(true) => ends = until,
            Err(error) if now() < ends => {
                tracing::warn!(job_id = %job.job_id, %error, "cannot extend the lease, retrying");
            }
            // Lost, or ended meanwhile: another daemon may have the job.
            Ok(false) | Err(_) => return,
        }
        sleep(every.min(until_time(ends))).await;
    }
}

/// How long it is to an instant; a second at least, so that a store that is away is not asked all
/// the time.
fn until_time(at: Time) -> Duration {
    Duration::from_micros((at.0 - now().0).max(0) as u64).max(Duration::from_secs(1))
}

/// Records the end of a run. Returns whether it counts: when the store is away the lease runs out,
/// and the job runs again.
async fn finish(app: &App, job: &Job, end: &JobEnd) -> bool {
    match app.stores.meta.finish_job(&job.lease(), end, now()).await {
        Ok(is_held) => is_held,
        Err(error) => {
            tracing::warn!(job_id = %job.job_id, %error, "cannot record the end of the job");
            false
        }
    }
}
