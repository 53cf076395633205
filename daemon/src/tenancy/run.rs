//! Runs a saga step by step, on one daemon at a time. Each step is recorded before it begins and
//! after it ended, so that any daemon can continue or roll back.

use std::time::Duration;

use kgrca_core::jobs::{JobKind, NewJob};
use kgrca_core::model::Time;
use kgrca_core::model::time::SECOND;
use kgrca_core::storage::{Error, ErrorKind};
use kgrca_core::tenancy::{Saga, SagaKind, SagaState, Step, StepState, TenantId, TenantState};

use super::Tenancy;
use super::steps::{self, Secrets};
use crate::clock::{now, sleep};
use crate::random::random_id;

/// How long a claim on a saga lasts, in microseconds, unless it is renewed. The saga of
/// a daemon that died is continued after it. The same daemon continues at once when it restarts.
const CLAIM: i64 = 30 * SECOND;
/// How often a step is tried while its server is unavailable, before the caller learns of it.
const MAX_ATTEMPTS: u32 = 3;

/// Exclusive access to a saga: within this process through a set, against other daemons through a
/// claim in the store.
pub(super) struct Held<'a> {
    pub ctx: &'a Tenancy,
    pub saga: Saga,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.ctx.running().remove(&self.saga.saga_id);
    }
}

/// Claims a saga, and reads it as it is now.
///
/// # Errors
/// `Conflict` while another task or daemon has it.
pub(super) async fn hold<'a>(ctx: &'a Tenancy, saga_id: &str) -> Result<Held<'a>, Error> {
    try_hold(ctx, saga_id).await?.ok_or_else(|| busy(saga_id))
}

/// Like [`hold`]; `None` while another task or daemon has it.
pub(super) async fn try_hold<'a>(
    ctx: &'a Tenancy,
    saga_id: &str,
) -> Result<Option<Held<'a>>, Error> {
    if !ctx.running().insert(saga_id.to_owned()) {
        return Ok(None);
    }
    let claimed = async {
        if !claim(ctx, saga_id).await? {
            return Ok(None);
        }
        let missing = || Error::new(ErrorKind::Internal, format!("saga {saga_id} is missing"));
        let saga = ctx.stores.meta.saga(saga_id).await?.ok_or_else(missing)?;
        Ok(Some(saga))
    };
    match claimed.await {
        Ok(Some(saga)) => Ok(Some(Held { ctx, saga })),
        other => {
            ctx.running().remove(saga_id);
            other.map(|_| None)
        }
    }
}

fn busy(saga_id: &str) -> Error {
    let message = format!("{saga_id} is being processed by another request or daemon");
    Error::new(ErrorKind::Conflict, message)
        .hint(format!("retry shortly; kgrca saga show {saga_id}"))
}

/// Stores a new saga that nobody runs yet, with the jobs that it causes.
pub(super) async fn store_new(ctx: &Tenancy, saga: &Saga, jobs: &[NewJob]) -> Result<(), Error> {
    ctx.stores.meta.put_saga(saga, jobs).await?;
    ctx.saga_was_written();
    Ok(())
}

/// Records the progress of a saga while the claim on it holds: a daemon that was suspended for too
/// long finds that another one continued, and stops.
pub(super) async fn record(ctx: &Tenancy, saga: &mut Saga) -> Result<(), Error> {
    saga.updated_at = now();
    write(ctx, saga, &[]).await
}

/// Records the progress of a saga, and enqueues the job that will see to it should this daemon
/// not.
pub(super) async fn record_and_continue(
    ctx: &Tenancy,
    saga: &mut Saga,
    run_at: Time,
) -> Result<(), Error> {
    saga.updated_at = now();
    let job = continuation(saga, run_at);
    write(ctx, saga, &[job]).await
}

async fn write(ctx: &Tenancy, saga: &Saga, jobs: &[NewJob]) -> Result<(), Error> {
    if !claim(ctx, &saga.saga_id).await? {
        return Err(busy(&saga.saga_id));
    }
    ctx.stores.meta.put_saga(saga, jobs).await?;
    ctx.saga_was_written();
    Ok(())
}

/// The job that runs a saga without a caller. One per time that the saga came to need it: the same
/// saga may be rolled back, resumed, and rolled back again.
pub(super) fn continuation(saga: &Saga, run_at: Time) -> NewJob {
    let payload = serde_json::json!({ "saga_id": saga.saga_id });
    NewJob {
        tenant: TenantId::parse(&saga.client_id),
        key: Some(format!("{}/{}", saga.saga_id, saga.updated_at.0)),
        run_at,
        ..NewJob::new(job_id(), JobKind::SagaRun, payload, now())
    }
}

pub(super) fn tenant(saga: &Saga) -> Result<TenantId, Error> {
    TenantId::parse(&saga.client_id).ok_or_else(|| {
        Error::new(
            ErrorKind::Corrupt,
            format!("{}: invalid tenant id `{}`", saga.saga_id, saga.client_id),
        )
    })
}

/// Runs the steps that are not done, up to one that waits. When a step fails for good, the saga is
/// rolled back.
pub(super) async fn run(mut held: Held<'_>) -> Result<(Saga, Secrets), Error> {
    let ctx = held.ctx;
    let saga = &mut held.saga;
    let mut secrets = Secrets::default();
    if saga.is_over() {
        let message = format!("{} ended meanwhile", saga.saga_id);
        return Err(Error::new(ErrorKind::Conflict, message).hint("retry"));
    }
    for i in 0..saga.steps.len() {
        if saga.steps[i].state == StepState::Done {
            continue;
        }
        let step = saga.steps[i].step;
        if step == Step::Load || step == Step::Wait && saga.wait_until.is_some_and(|t| t > now()) {
            record(ctx, saga).await?;
            return Ok((saga.clone(), secrets));
        }
        saga.steps[i].state = StepState::Begun;
        if step == Step::Key {
            steps::choose_key(saga, &mut secrets)?;
        }
        record(ctx, saga).await?;
        if let Err(error) = attempt(ctx, saga, step, &mut secrets).await? {
            return Err(fail(ctx, saga, step, error).await?);
        }
        saga.steps[i].state = StepState::Done;
        saga.error = None;
        record(ctx, saga).await?;
    }
    saga.state = SagaState::Done;
    saga.updated_at = now();
    write(ctx, saga, &follow_up(saga)).await?;
    Ok((saga.clone(), secrets))
}

/// The jobs of a tenant that was just created.
fn follow_up(saga: &Saga) -> Vec<NewJob> {
    if saga.kind != SagaKind::Create {
        return Vec::new();
    }
    let tenant = TenantId::parse(&saga.client_id);
    vec![recurring(JobKind::TenantMaintain, tenant)]
}

/// A recurring job of a tenant, or of the installation.
pub(super) fn recurring(kind: JobKind, tenant: Option<TenantId>) -> NewJob {
    let payload = serde_json::json!({});
    NewJob {
        tenant,
        // There is one such job, however often it is enqueued.
        key: Some("hourly".to_owned()),
        ..NewJob::new(job_id(), kind, payload, now())
    }
}

fn job_id() -> String {
    format!("job_{}", random_id(12))
}

/// Runs a step, several times while its server is unavailable. The outer error means that the
/// claim was lost: another daemon has the saga now.
async fn attempt(
    ctx: &Tenancy,
    saga: &Saga,
    step: Step,
    secrets: &mut Secrets,
) -> Result<Result<(), Error>, Error> {
    let mut attempts = 1;
    loop {
        let done = tokio::select! {
            biased;
            done = steps::act(ctx, saga, step, secrets) => done,
            lost = keep_claim(ctx, &saga.saga_id) => return Err(lost),
        };
        match done {
            Err(e) if e.kind == ErrorKind::Unavailable && attempts < MAX_ATTEMPTS => attempts += 1,
            other => return Ok(other),
        }
    }
}

/// Claims a saga, or renews the claim. Returns whether it is ours.
async fn claim(ctx: &Tenancy, saga_id: &str) -> Result<bool, Error> {
    let (owner, at) = (ctx.fleet.owner(), now());
    let claimed = ctx
        .stores
        .meta
        .claim_saga(saga_id, owner, at.plus(CLAIM), at);
    claimed.await
}

/// Renews the claim for as long as a step takes. Returns once it is lost.
async fn keep_claim(ctx: &Tenancy, saga_id: &str) -> Error {
    loop {
        sleep(Duration::from_micros(CLAIM as u64 / 5)).await;
        match claim(ctx, saga_id).await {
            Ok(true) => {}
            Ok(false) => return busy(saga_id),
            Err(e) => tracing::warn!(saga_id, error = %e, "cannot renew the claim, retrying"),
        }
    }
}

/// Records why a step failed, and rolls back what can be rolled back. Returns the error for the
/// caller.
async fn fail(ctx: &Tenancy, saga: &mut Saga, step: Step, error: Error) -> Result<Error, Error> {
    saga.error = Some(format!("{}: {error}", step.as_str()));
    // Whether a switch happened is unknown after a failure, unless it was refused: it is repeated.
    let is_retried =
        step == Step::Clear || step == Step::Switch && error.kind != ErrorKind::Conflict;
    if saga.kind == SagaKind::Delete || is_retried {
        record(ctx, saga).await?;
        return Ok(error);
    }
    if saga.kind == SagaKind::Create && is_served(ctx, saga).await? {
        record(ctx, saga).await?;
        let hint = format!(
            "`kgrca saga resume {}` completes its creation",
            saga.saga_id
        );
        return Ok(error.hint(hint));
    }
    let rolled_back = match roll_back(ctx, saga).await {
        Ok(()) => "everything was rolled back".to_owned(),
        Err(e) => format!(
            "the rollback will be retried automatically ({e}); see `kgrca saga show {}`",
            saga.saga_id
        ),
    };
    let hint = match &error.hint {
        Some(hint) => format!("{hint}; {rolled_back}"),
        None => rolled_back,
    };
    let what = match saga.kind {
        SagaKind::Move => "the graph was not moved",
        SagaKind::Create | SagaKind::Delete => "the tenant was not created",
    };
    // A server without room for another tenant has none a moment later either.
    let kind = match error.kind {
        ErrorKind::Full => ErrorKind::Conflict,
        kind => kind,
    };
    Ok(Error::new(kind, format!("{what}: {}", error.message)).hint(hint))
}

/// Whether the tenant of a creation is served, or was: then it may have data, and whoever rolled the
/// creation back would destroy that.
pub(super) async fn is_served(ctx: &Tenancy, saga: &Saga) -> Result<bool, Error> {
    let tenant = ctx.stores.meta.tenant(&saga.client_id).await?;
    Ok(tenant.is_some_and(|t| t.state != TenantState::Joining))
}

/// Rolls a saga back. Should this daemon not get to the end, a job will.
pub(super) async fn roll_back(ctx: &Tenancy, saga: &mut Saga) -> Result<(), Error> {
    if saga.state != SagaState::Compensating {
        saga.state = SagaState::Compensating;
        record_and_continue(ctx, saga, now()).await?;
    }
    let tenant = tenant(saga)?;
    for i in (0..saga.steps.len()).rev() {
        if matches!(saga.steps[i].state, StepState::Begun | StepState::Done) {
            tokio::select! {
                biased;
                done = steps::undo(ctx, saga, &tenant, saga.steps[i].step) => done?,
                lost = keep_claim(ctx, &saga.saga_id) => return Err(lost),
            }
            saga.steps[i].state = StepState::Undone;
            record(ctx, saga).await?;
        }
    }
    saga.state = SagaState::Compensated;
    record(ctx, saga).await
}
