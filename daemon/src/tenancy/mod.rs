//! Tenants come and go in sagas: every step is written down before it begins and after it ended, may be repeated, and has its
//! way back.

mod grow;
mod steps;

use kgrca_core::model::Time;
use kgrca_core::model::time::{DAY, SECOND};
use kgrca_core::storage::{Client, ClientState, Error, ErrorKind, Saga, SagaKind, SagaState, SagaStep, Step, StepState, Tenant};

pub use grow::grow;
pub use steps::Secrets;

use crate::app::{App, now};
use crate::auth;

/// How long a daemon has a saga for itself, in microseconds; each step claims it anew.
const CLAIM: i64 = 90 * SECOND;
/// How often a step that failed for a moment is tried.
const TRIES: u32 = 3;

fn saga(kind: SagaKind, client: Client, request: Option<String>, wait_until: Option<Time>) -> Saga {
    let steps = if kind == SagaKind::Create { Saga::CREATE } else { Saga::DELETE };
    Saga {
        saga_id: format!("saga_{}", auth::random(b"abcdefghijklmnopqrstuvwxyz0123456789", 12)),
        client_id: client.client_id.clone(),
        kind,
        state: SagaState::Running,
        steps: steps.into_iter().map(|step| SagaStep { step, state: StepState::Pending }).collect(),
        error: None,
        request,
        client,
        wait_until,
        created_at: now(),
        updated_at: now(),
    }
}

/// Sets a tenant up. The same `request` goes on with what it began before; what is done already gets new secrets.
pub async fn create(app: &App, client: Client, request: Option<String>) -> Result<(Saga, Secrets), Error> {
    if let Some(request) = &request {
        let known = app.stores.meta.sagas(None).await?.into_iter().find(|s| s.request.as_ref() == Some(request));
        if let Some(known) = known.filter(|s| s.state != SagaState::Compensated) {
            return resume(app, known).await;
        }
    }
    let saga = saga(SagaKind::Create, client, request, None);
    app.stores.meta.put_saga(&saga).await?;
    run(app, saga).await
}

/// Goes on with a saga. One that is done gives new secrets: nobody keeps those it gave before.
pub async fn resume(app: &App, mut saga: Saga) -> Result<(Saga, Secrets), Error> {
    if saga.state == SagaState::Compensated {
        return Err(Error::new(ErrorKind::Conflict, format!("{} was taken back", saga.saga_id)).hint("create the tenant anew"));
    }
    if saga.kind == SagaKind::Create {
        saga.state = SagaState::Running;
        // Secrets are not kept: the steps that make them are done again.
        for step in saga.steps.iter_mut().filter(|s| matches!(s.step, Step::User | Step::Key) || s.state == StepState::Undone) {
            step.state = StepState::Pending;
        }
    }
    run(app, saga).await
}

/// Begins to take a tenant down: at once it is not served any more, after `grace_days` nothing is left but what it owes.
pub async fn delete(app: &App, mut client: Client, grace_days: u32) -> Result<Saga, Error> {
    let open = |s: &Saga| s.kind == SagaKind::Delete && !s.is_over();
    let known = app.stores.meta.sagas(Some(&client.client_id)).await?.into_iter().find(open);
    let wait_until = now().plus(i64::from(grace_days) * DAY);
    client.deleted_at = Some(client.deleted_at.unwrap_or_else(now));
    let saga = match known {
        Some(known) => Saga { wait_until: Some(wait_until), ..known },
        None => saga(SagaKind::Delete, client, None, Some(wait_until)),
    };
    app.stores.meta.put_saga(&saga).await?;
    Ok(run(app, saga).await?.0)
}

/// Lets what a plan says hold in the log: retention, and how fast the tenant's user sends.
pub async fn apply_plan(app: &App, tenant: &Tenant, client: &Client) -> Result<(), Error> {
    steps::put_topics(app, tenant, client).await?;
    match &app.stores.kafka {
        Some(kafka) => kafka.admin().put_rate(tenant, steps::byte_rate(client)).await,
        None => Ok(()),
    }
}

/// Serves a tenant again that is within its time of grace.
pub async fn stay(app: &App, client: &mut Client) -> Result<(), Error> {
    let open = |s: &Saga| s.kind == SagaKind::Delete && !s.is_over();
    for mut saga in app.stores.meta.sagas(Some(&client.client_id)).await?.into_iter().filter(open) {
        let waits = saga.steps.iter().any(|s| s.step == Step::Wait && s.state != StepState::Done);
        if !waits || !claimed(app, &saga).await? {
            return Err(Error::new(ErrorKind::Conflict, format!("{} is being removed", client.client_id)));
        }
        saga.state = SagaState::Compensated;
        written(app, &mut saga).await?;
    }
    client.state = ClientState::Active;
    client.deleted_at = None;
    Ok(())
}

/// Takes back what a saga that was not done did.
pub async fn compensate(app: &App, mut saga: Saga) -> Result<Saga, Error> {
    if saga.kind == SagaKind::Delete || saga.state == SagaState::Done {
        let message = format!("{} cannot be taken back", saga.saga_id);
        return Err(Error::new(ErrorKind::Conflict, message).hint("`kgrca tenant delete` removes a tenant that is set up"));
    }
    if saga.is_over() {
        return Ok(saga);
    }
    if !claimed(app, &saga).await? {
        return Err(busy(&saga));
    }
    saga.state = SagaState::Compensating;
    written(app, &mut saga).await?;
    undo(app, &mut saga).await?;
    Ok(saga)
}

/// Goes on with what goes by itself: deletions whose time came, and compensations that stopped.
pub async fn go_on(app: &App) -> Result<(), Error> {
    for mut saga in app.stores.meta.sagas(None).await?.into_iter().filter(|s| !s.is_over()) {
        let due = saga.wait_until.is_none_or(|t| t <= now());
        let done = match (saga.kind, saga.state) {
            (SagaKind::Delete, SagaState::Running) if due => run(app, saga.clone()).await.map(|_| ()),
            (SagaKind::Create, SagaState::Compensating) if claimed(app, &saga).await? => undo(app, &mut saga).await,
            _ => Ok(()),
        };
        if let Err(e) = done {
            tracing::warn!(saga_id = %saga.saga_id, error = %e, "the saga goes on in a moment");
        }
    }
    Ok(())
}

fn busy(saga: &Saga) -> Error {
    Error::new(ErrorKind::Conflict, format!("another daemon works on {}", saga.saga_id)).hint("look again in a minute")
}

async fn claimed(app: &App, saga: &Saga) -> Result<bool, Error> {
    app.stores.meta.claim_saga(&saga.saga_id, app.engine.owner(), now().plus(CLAIM), now()).await
}

async fn written(app: &App, saga: &mut Saga) -> Result<(), Error> {
    saga.updated_at = now();
    app.stores.meta.put_saga(saga).await?;
    app.settings.abort_at_saga_write();
    Ok(())
}

fn tenant(saga: &Saga) -> Result<Tenant, Error> {
    Tenant::parse(&saga.client_id).ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{}: no tenant", saga.saga_id)))
}

/// Does the steps that are not done. When one cannot be done, a creation takes back what it did.
async fn run(app: &App, mut saga: Saga) -> Result<(Saga, Secrets), Error> {
    let mut secrets = Secrets::default();
    for i in 0..saga.steps.len() {
        if saga.steps[i].state == StepState::Done {
            continue;
        }
        if !claimed(app, &saga).await? {
            return Err(busy(&saga));
        }
        let step = saga.steps[i].step;
        if step == Step::Wait && saga.wait_until.is_some_and(|t| t > now()) {
            return Ok((saga, secrets));
        }
        saga.steps[i].state = StepState::Begun;
        written(app, &mut saga).await?;
        if let Err(error) = tried(app, &saga, step, &mut secrets).await {
            return failed(app, saga, step, error).await;
        }
        saga.steps[i].state = StepState::Done;
        saga.error = None;
        written(app, &mut saga).await?;
    }
    saga.state = SagaState::Done;
    written(app, &mut saga).await?;
    Ok((saga, secrets))
}

async fn tried(app: &App, saga: &Saga, step: Step, secrets: &mut Secrets) -> Result<(), Error> {
    let mut tries = 1;
    loop {
        match steps::act(app, saga, &tenant(saga)?, step, secrets).await {
            Err(e) if e.kind == ErrorKind::Unavailable && tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

async fn failed(app: &App, mut saga: Saga, step: Step, error: Error) -> Result<(Saga, Secrets), Error> {
    saga.error = Some(format!("{step:?}: {error}"));
    if saga.kind == SagaKind::Delete {
        written(app, &mut saga).await?;
        return Err(error);
    }
    saga.state = SagaState::Compensating;
    written(app, &mut saga).await?;
    let taken_back = match undo(app, &mut saga).await {
        Ok(()) => "what was done was taken back".to_owned(),
        Err(e) => format!("taking back goes on by itself ({e}); `kgrca saga show {}` tells", saga.saga_id),
    };
    let hint = error.hint.map_or(taken_back.clone(), |hint| format!("{hint}; {taken_back}"));
    Err(Error::new(error.kind, format!("the tenant was not set up: {}", error.message)).hint(hint))
}

async fn undo(app: &App, saga: &mut Saga) -> Result<(), Error> {
    for i in (0..saga.steps.len()).rev() {
        if matches!(saga.steps[i].state, StepState::Begun | StepState::Done) {
            if !claimed(app, saga).await? {
                return Err(busy(saga));
            }
            steps::undo(app, &tenant(saga)?, saga.steps[i].step).await?;
            saga.steps[i].state = StepState::Undone;
            written(app, saga).await?;
        }
    }
    saga.state = SagaState::Compensated;
    written(app, saga).await
}
