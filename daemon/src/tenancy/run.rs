//! How a saga is worked on: by one daemon at a time, step by step, each written down before it
//! begins and after it ended.

use std::time::Duration;

use kgrca_core::model::time::SECOND;
use kgrca_core::storage::{Error, ErrorKind};
use kgrca_core::tenancy::{Saga, SagaKind, SagaState, Step, StepState, TenantId};

use super::Tenancy;
use super::steps::{self, Secrets};
use crate::clock::now;

/// How long a daemon has a saga for itself, in microseconds, unless it claims it again: a tenant
/// whose graph moves waits so long when the mover dies. The same daemon goes on at once after it
/// was started again.
const CLAIM: i64 = 30 * SECOND;
/// How often a step that failed for a moment is tried.
const TRIES: u32 = 3;

/// A saga that this daemon works on, and nobody else: held in this process by a set, against others
/// by a claim.
pub(super) struct Held<'a> {
    pub ctx: &'a Tenancy,
    pub saga: Saga,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.ctx.running().remove(&self.saga.saga_id);
    }
}

/// Takes a saga for this daemon alone, as it stands now.
pub(super) async fn held<'a>(ctx: &'a Tenancy, saga_id: &str) -> Result<Held<'a>, Error> {
    if !ctx.running().insert(saga_id.to_owned()) {
        return Err(busy(saga_id));
    }
    let taken = async {
        claimed(ctx, saga_id).await?;
        let missing = || Error::new(ErrorKind::Internal, format!("{saga_id} is missing"));
        ctx.stores.meta.saga(saga_id).await?.ok_or_else(missing)
    };
    match taken.await {
        Ok(saga) => Ok(Held { ctx, saga }),
        Err(e) => {
            ctx.running().remove(saga_id);
            Err(e)
        }
    }
}

fn busy(saga_id: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("somebody works on {saga_id}"))
        .hint("look again in a moment: kgrca saga list")
}

/// Writes a new saga down; nobody works on it yet.
pub(super) async fn noted(ctx: &Tenancy, saga: &Saga) -> Result<(), Error> {
    ctx.stores.meta.put_saga(saga, &[]).await?;
    ctx.saga_was_written();
    Ok(())
}

/// Writes down how far a saga is, as long as it is ours: who slept too long finds it with somebody
/// else, and leaves it alone.
pub(super) async fn written(ctx: &Tenancy, saga: &mut Saga) -> Result<(), Error> {
    claimed(ctx, &saga.saga_id).await?;
    saga.updated_at = now();
    ctx.stores.meta.put_saga(saga, &[]).await?;
    ctx.saga_was_written();
    Ok(())
}

pub(super) fn tenant(saga: &Saga) -> Result<TenantId, Error> {
    TenantId::parse(&saga.client_id)
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{}: no tenant", saga.saga_id)))
}

/// Does the steps that are not done, up to one that waits. When one cannot be done, what can be
/// taken back is.
pub(super) async fn run(mut held: Held<'_>) -> Result<(Saga, Secrets), Error> {
    let ctx = held.ctx;
    let saga = &mut held.saga;
    let mut secrets = Secrets::default();
    for i in 0..saga.steps.len() {
        if saga.steps[i].state == StepState::Done {
            continue;
        }
        let step = saga.steps[i].step;
        if step == Step::Load || step == Step::Wait && saga.wait_until.is_some_and(|t| t > now()) {
            written(ctx, saga).await?;
            return Ok((saga.clone(), secrets));
        }
        saga.steps[i].state = StepState::Begun;
        written(ctx, saga).await?;
        if let Err(error) = tried(ctx, saga, step, &mut secrets).await? {
            return Err(failed(ctx, saga, step, error).await?);
        }
        saga.steps[i].state = StepState::Done;
        saga.error = None;
        written(ctx, saga).await?;
    }
    saga.state = SagaState::Done;
    written(ctx, saga).await?;
    Ok((saga.clone(), secrets))
}

/// Does a step, several times when it fails for a moment. Fails itself when the saga is somebody
/// else's by now.
async fn tried(
    ctx: &Tenancy,
    saga: &Saga,
    step: Step,
    secrets: &mut Secrets,
) -> Result<Result<(), Error>, Error> {
    let tenant = tenant(saga)?;
    let mut tries = 1;
    loop {
        let done = tokio::select! {
            done = steps::act(ctx, saga, &tenant, step, secrets) => done,
            lost = keep_claim(ctx, &saga.saga_id) => return Err(lost),
        };
        match done {
            Err(e) if e.kind == ErrorKind::Unavailable && tries < TRIES => tries += 1,
            other => return Ok(other),
        }
    }
}

/// Claims a saga, also one that is ours already.
async fn claimed(ctx: &Tenancy, saga_id: &str) -> Result<(), Error> {
    let is_ours = ctx
        .stores
        .meta
        .claim_saga(saga_id, ctx.fleet.owner(), now().plus(CLAIM), now())
        .await?;
    if is_ours { Ok(()) } else { Err(busy(saga_id)) }
}

/// Keeps a saga for this daemon as long as a step takes. Returns why it could not.
async fn keep_claim(ctx: &Tenancy, saga_id: &str) -> Error {
    loop {
        tokio::time::sleep(Duration::from_micros(CLAIM as u64 / 5)).await;
        match claimed(ctx, saga_id).await {
            Err(e) if e.kind == ErrorKind::Conflict => return e,
            // Looked at again before the claim ends.
            Err(e) => tracing::warn!(saga_id, error = %e, "the claim is renewed in a moment"),
            Ok(()) => {}
        }
    }
}

/// Writes down why a step failed, and takes back what can be taken back. Returns what the caller is
/// told.
async fn failed(ctx: &Tenancy, saga: &mut Saga, step: Step, error: Error) -> Result<Error, Error> {
    saga.error = Some(format!("{step:?}: {error}"));
    // Whether the switch took place is not known, unless somebody else is there: it is done again.
    let goes_on = step == Step::Clear || step == Step::Switch && error.kind != ErrorKind::Conflict;
    if saga.kind == SagaKind::Delete || goes_on {
        written(ctx, saga).await?;
        return Ok(error);
    }
    saga.state = SagaState::Compensating;
    written(ctx, saga).await?;
    let taken_back = match undo(ctx, saga).await {
        Ok(()) => "what was done was taken back".to_owned(),
        Err(e) => format!(
            "taking back goes on by itself ({e}); `kgrca saga show {}` tells",
            saga.saga_id
        ),
    };
    let hint = error
        .hint
        .map_or(taken_back.clone(), |hint| format!("{hint}; {taken_back}"));
    let what = if saga.kind == SagaKind::Move {
        "the graph was not moved"
    } else {
        "the tenant was not set up"
    };
    // That there is no room does not pass by itself.
    let kind = if error.kind == ErrorKind::Full {
        ErrorKind::Conflict
    } else {
        error.kind
    };
    Ok(Error::new(kind, format!("{what}: {}", error.message)).hint(hint))
}

pub(super) async fn undo(ctx: &Tenancy, saga: &mut Saga) -> Result<(), Error> {
    let tenant = tenant(saga)?;
    for i in (0..saga.steps.len()).rev() {
        if matches!(saga.steps[i].state, StepState::Begun | StepState::Done) {
            tokio::select! {
                done = steps::undo(ctx, saga, &tenant, saga.steps[i].step) => done?,
                lost = keep_claim(ctx, &saga.saga_id) => return Err(lost),
            }
            saga.steps[i].state = StepState::Undone;
            written(ctx, saga).await?;
        }
    }
    saga.state = SagaState::Compensated;
    written(ctx, saga).await
}
