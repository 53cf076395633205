//! How a saga is worked on: by one daemon at a time, step by step, each written down before it
//! begins and after it ended.

use std::sync::PoisonError;
use std::time::Duration;

use kgrca_core::model::time::SECOND;
use kgrca_core::storage::{Error, ErrorKind};
use kgrca_core::tenancy::{Saga, SagaKind, SagaState, Step, StepState, TenantId};

use super::steps::{self, Secrets};
use crate::app::App;
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
    pub app: &'a App,
    pub saga: Saga,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.app
            .sagas
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.saga.saga_id);
    }
}

/// Takes a saga for this daemon alone, as it stands now.
pub(super) async fn held<'a>(app: &'a App, saga_id: &str) -> Result<Held<'a>, Error> {
    if !app
        .sagas
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(saga_id.to_owned())
    {
        return Err(busy(saga_id));
    }
    let taken = async {
        claimed(app, saga_id).await?;
        let missing = || Error::new(ErrorKind::Internal, format!("{saga_id} is missing"));
        app.stores.meta.saga(saga_id).await?.ok_or_else(missing)
    };
    match taken.await {
        Ok(saga) => Ok(Held { app, saga }),
        Err(e) => {
            app.sagas
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(saga_id);
            Err(e)
        }
    }
}

fn busy(saga_id: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("somebody works on {saga_id}"))
        .hint("look again in a moment: kgrca saga list")
}

/// Writes a new saga down; nobody works on it yet.
pub(super) async fn noted(app: &App, saga: &Saga) -> Result<(), Error> {
    app.stores.meta.put_saga(saga).await?;
    app.settings.abort_at_saga_write();
    Ok(())
}

/// Writes down how far a saga is, as long as it is ours: who slept too long finds it with somebody
/// else, and leaves it alone.
pub(super) async fn written(app: &App, saga: &mut Saga) -> Result<(), Error> {
    claimed(app, &saga.saga_id).await?;
    saga.updated_at = now();
    app.stores.meta.put_saga(saga).await?;
    app.settings.abort_at_saga_write();
    Ok(())
}

pub(super) fn tenant(saga: &Saga) -> Result<TenantId, Error> {
    TenantId::parse(&saga.client_id)
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{}: no tenant", saga.saga_id)))
}

/// Does the steps that are not done, up to one that waits. When one cannot be done, what can be
/// taken back is.
pub(super) async fn run(mut held: Held<'_>) -> Result<(Saga, Secrets), Error> {
    let app = held.app;
    let saga = &mut held.saga;
    let mut secrets = Secrets::default();
    for i in 0..saga.steps.len() {
        if saga.steps[i].state == StepState::Done {
            continue;
        }
        let step = saga.steps[i].step;
        if step == Step::Load || step == Step::Wait && saga.wait_until.is_some_and(|t| t > now()) {
            written(app, saga).await?;
            return Ok((saga.clone(), secrets));
        }
        saga.steps[i].state = StepState::Begun;
        written(app, saga).await?;
        if let Err(error) = tried(app, saga, step, &mut secrets).await? {
            return Err(failed(app, saga, step, error).await?);
        }
        saga.steps[i].state = StepState::Done;
        saga.error = None;
        written(app, saga).await?;
    }
    saga.state = SagaState::Done;
    written(app, saga).await?;
    Ok((saga.clone(), secrets))
}

/// Does a step, several times when it fails for a moment. Fails itself when the saga is somebody
/// else's by now.
async fn tried(
    app: &App,
    saga: &Saga,
    step: Step,
    secrets: &mut Secrets,
) -> Result<Result<(), Error>, Error> {
    let tenant = tenant(saga)?;
    let mut tries = 1;
    loop {
        let done = tokio::select! {
            done = steps::act(app, saga, &tenant, step, secrets) => done,
            lost = keep_claim(app, &saga.saga_id) => return Err(lost),
        };
        match done {
            Err(e) if e.kind == ErrorKind::Unavailable && tries < TRIES => tries += 1,
            other => return Ok(other),
        }
    }
}

/// Claims a saga, also one that is ours already.
async fn claimed(app: &App, saga_id: &str) -> Result<(), Error> {
    let is_ours = app
        .stores
        .meta
        .claim_saga(saga_id, app.fleet.owner(), now().plus(CLAIM), now())
        .await?;
    if is_ours { Ok(()) } else { Err(busy(saga_id)) }
}

/// Keeps a saga for this daemon as long as a step takes. Returns why it could not.
async fn keep_claim(app: &App, saga_id: &str) -> Error {
    loop {
        tokio::time::sleep(Duration::from_micros(CLAIM as u64 / 5)).await;
        match claimed(app, saga_id).await {
            Err(e) if e.kind == ErrorKind::Conflict => return e,
            // Looked at again before the claim ends.
            Err(e) => tracing::warn!(saga_id, error = %e, "the claim is renewed in a moment"),
            Ok(()) => {}
        }
    }
}

/// Writes down why a step failed, and takes back what can be taken back. Returns what the caller is
/// told.
async fn failed(app: &App, saga: &mut Saga, step: Step, error: Error) -> Result<Error, Error> {
    saga.error = Some(format!("{step:?}: {error}"));
    // Whether the switch took place is not known, unless somebody else is there: it is done again.
    let goes_on = step == Step::Clear || step == Step::Switch && error.kind != ErrorKind::Conflict;
    if saga.kind == SagaKind::Delete || goes_on {
        written(app, saga).await?;
        return Ok(error);
    }
    saga.state = SagaState::Compensating;
    written(app, saga).await?;
    let taken_back = match undo(app, saga).await {
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

pub(super) async fn undo(app: &App, saga: &mut Saga) -> Result<(), Error> {
    let tenant = tenant(saga)?;
    for i in (0..saga.steps.len()).rev() {
        if matches!(saga.steps[i].state, StepState::Begun | StepState::Done) {
            tokio::select! {
                done = steps::undo(app, saga, &tenant, saga.steps[i].step) => done?,
                lost = keep_claim(app, &saga.saga_id) => return Err(lost),
            }
            saga.steps[i].state = StepState::Undone;
            written(app, saga).await?;
        }
    }
    saga.state = SagaState::Compensated;
    written(app, saga).await
}
