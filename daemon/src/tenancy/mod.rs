//! Creates, moves and deletes tenants in sagas: each step is recorded before it begins and after it
//! ended, can be repeated, and can be rolled back. Sagas that no caller waits for are continued by
//! jobs of the kind `saga.run`, which are enqueued together with what makes them necessary.

mod context;
mod create;
mod export;
mod grow;
mod import;
mod leftovers;
mod moving;
mod reconcile;
mod run;
mod steps;

use kgrca_core::model::Time;
use kgrca_core::model::time::{DAY, SECOND};
use kgrca_core::storage::archive::Part;
use kgrca_core::storage::{Error, ErrorKind};
use kgrca_core::tenancy::{
    Saga, SagaKind, SagaState, SagaStep, Step, StepState, Tenant, TenantId, TenantState,
};

pub use context::Tenancy;
pub use create::{RequestKey, begun, create, create_to_load, loaded};
pub use export::export;
pub use grow::{can_grow, grow};
pub use import::unfinished;
pub use leftovers::remove_leftovers;
pub use moving::move_graph;
pub use reconcile::enqueue_missing;
pub use steps::Secrets;

use run::{
    Held, continuation, hold, is_served, record, record_and_continue, roll_back, run, store_new,
    try_hold,
};

use crate::clock::now;
use crate::random::random_id;

fn saga(kind: SagaKind, steps: &[Step], client: Tenant) -> Saga {
    Saga {
        saga_id: format!("saga_{}", random_id(12)),
        client_id: client.client_id.clone(),
        kind,
        state: SagaState::Running,
        steps: steps
            .iter()
            .map(|step| SagaStep {
                step: *step,
                state: StepState::Pending,
            })
            .collect(),
        error: None,
        request: None,
        request_digest: None,
        key_ids: Vec::new(),
        tenant: client,
        graph: None,
        wait_until: None,
        created_at: now(),
        updated_at: now(),
    }
}

/// Loads rows of a part into a tenant that is not served yet. Returns how many rows there were, and
/// how many records its log holds now.
pub async fn load(
    ctx: &Tenancy,
    saga_id: &str,
    part: Part,
    body: &[u8],
) -> Result<(usize, u64), Error> {
    let held = hold(ctx, saga_id).await?;
    let (tenant, client) = import::unfinished(ctx, &held.saga).await?;
    let rows = import::import(ctx, &tenant, &client, part, body).await?;
    let ends = ctx.stores.log.ends(&tenant).await?;
    Ok((rows, ends.iter().map(|(_, end)| end).sum()))
}

/// Resumes a saga that stopped.
pub async fn resume(ctx: &Tenancy, saga_id: &str) -> Result<(Saga, Secrets), Error> {
    resume_held(hold(ctx, saga_id).await?).await
}

async fn resume_held(mut held: Held<'_>) -> Result<(Saga, Secrets), Error> {
    let (ctx, saga) = (held.ctx, &mut held.saga);
    let refused = |saga: &Saga, why: &str| {
        Error::new(ErrorKind::Conflict, format!("{}: {why}", saga.saga_id))
    };
    if saga.state == SagaState::Compensated {
        return Err(refused(saga, "it was rolled back").hint("create the tenant again"));
    }
    if saga.state == SagaState::Done {
        return Err(refused(saga, "it is done").hint("`kgrca key create` creates another key"));
    }
    let was_rolled_back = saga.state == SagaState::Compensating;
    let creates = saga.kind == SagaKind::Create;
    for step in &mut saga.steps {
        // Secrets are not kept: the steps that create them are repeated.
        let is_secret = creates && matches!(step.step, Step::User | Step::Key);
        step.state = match step.state {
            // Perhaps it was undone, and the record of that failed. It is undone again should the
            // saga fail again, which a pending step is not.
            StepState::Done if was_rolled_back || is_secret => StepState::Begun,
            StepState::Undone if creates => StepState::Pending,
            state => state,
        };
    }
    saga.state = SagaState::Running;
    if !creates {
        // Forward from here on: a job must never roll back what comes after a switch.
        let due = saga.wait_until.unwrap_or_else(now);
        record_and_continue(ctx, saga, due).await?;
    }
    run(held).await
}

/// Deletes a tenant: from now on it is not served, and after `grace_days` its data is removed.
pub async fn delete(ctx: &Tenancy, mut tenant: Tenant, grace_days: u32) -> Result<Saga, Error> {
    let sagas = ctx.stores.meta.sagas(Some(&tenant.client_id)).await?;
    let open: Vec<Saga> = sagas.into_iter().filter(|s| !s.is_over()).collect();
    if let Some(other) = open.iter().find(|s| s.kind != SagaKind::Delete) {
        let what = match other.kind {
            SagaKind::Move => "its graph is being moved",
            SagaKind::Create | SagaKind::Delete => "it is still being created",
        };
        let message = format!("cannot delete {}: {what}", tenant.client_id);
        return Err(Error::new(ErrorKind::Conflict, message).hint(format!(
            "kgrca saga show {id}; kgrca saga compensate {id} rolls it back",
            id = other.saga_id
        )));
    }
    let purge_at = now().plus(i64::from(grace_days) * DAY);
    let held = if let Some(known) = open.first() {
        let mut held = hold(ctx, &known.saga_id).await?;
        check_not_cancelled(&held.saga)?;
        held.saga.wait_until = Some(purge_at);
        record_and_continue(ctx, &mut held.saga, purge_at).await?;
        held
    } else {
        // Never the time of an earlier deletion: by it a request that cancels that one notices this
        // one.
        tenant.deleted_at = Some(now());
        let saga = Saga {
            wait_until: Some(purge_at),
            ..saga(SagaKind::Delete, &Saga::DELETE, tenant)
        };
        store_new(ctx, &saga, &[continuation(&saga, purge_at)]).await?;
        match try_hold(ctx, &saga.saga_id).await? {
            Some(held) => held,
            // Without a grace period a worker may have taken the job already.
            None => return Ok(saga),
        }
    };
    check_not_cancelled(&held.saga)?;
    if held.saga.state == SagaState::Done {
        return Ok(held.saga.clone());
    }
    let saga_id = held.saga.saga_id.clone();
    let error = match run(held).await {
        Ok((saga, _)) => return Ok(saga),
        Err(error) => error,
    };
    // Once the tenant is no longer served the deletion is accepted: its job continues it, and the
    // saga names what failed.
    let stored = ctx.stores.meta.saga(&saga_id).await?;
    stored
        .filter(|saga| saga.state_of(Step::Stop) == Some(StepState::Done))
        .ok_or(error)
}

/// A deletion that was cancelled must not continue.
fn check_not_cancelled(saga: &Saga) -> Result<(), Error> {
    if saga.state == SagaState::Compensated {
        let message = format!("the deletion of {} was cancelled meanwhile", saga.client_id);
        return Err(Error::new(ErrorKind::Conflict, message).hint("retry"));
    }
    Ok(())
}

/// The state of a tenant that is being deleted, as of before that.
pub async fn state_before_deletion(ctx: &Tenancy, tenant: &Tenant) -> Result<TenantState, Error> {
    let sagas = ctx.stores.meta.sagas(Some(&tenant.client_id)).await?;
    let deletions = sagas.iter().filter(|s| s.kind == SagaKind::Delete);
    // One that was begun while an earlier one had been cancelled halfway found it leaving.
    let known = deletions.map(|s| s.tenant.state).find(|s| s.is_worked());
    Ok(known.unwrap_or(TenantState::Active))
}

/// Applies a plan to the log: its retention, and the rate of the tenant's user. Restores the user's
/// ACLs, too, which a growth that crashed has removed.
pub async fn apply_plan(ctx: &Tenancy, tenant: &TenantId, client: &Tenant) -> Result<(), Error> {
    steps::put_topics(ctx, tenant, client).await?;
    let log = &ctx.stores.provisioner.log;
    log.put_acls(tenant).await?;
    log.put_rate(tenant, steps::byte_rate(client)).await
}

/// How the log's settings for a tenant differ from its plan.
pub async fn differences(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &Tenant,
) -> Result<Vec<String>, Error> {
    let Some(days) = steps::retention_days(client) else {
        return Ok(vec![format!(
            "the plan `{}` is not in plans.yaml",
            client.plan
        )]);
    };
    let log = &ctx.stores.provisioner.log;
    log.differences(tenant, client.partitions, days).await
}

/// Cancels the deletion of a tenant that is within its grace period.
pub async fn stay(ctx: &Tenancy, client: &Tenant) -> Result<(), Error> {
    let open = |s: &Saga| s.kind == SagaKind::Delete && !s.is_over();
    for saga in ctx
        .stores
        .meta
        .sagas(Some(&client.client_id))
        .await?
        .into_iter()
        .filter(open)
    {
        let mut held = hold(ctx, &saga.saga_id).await?;
        let waits = held
            .saga
            .steps
            .iter()
            .any(|s| s.step == Step::Wait && s.state == StepState::Pending);
        if !waits || held.saga.is_over() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("{} is being removed", client.client_id),
            ));
        }
        held.saga.state = SagaState::Compensated;
        record(ctx, &mut held.saga).await?;
    }
    Ok(())
}

/// Rolls back a creation or a move that stopped.
pub async fn compensate(ctx: &Tenancy, saga_id: &str) -> Result<Saga, Error> {
    let mut held = hold(ctx, saga_id).await?;
    let saga = &mut held.saga;
    // From the switch on workers write to the new server.
    let is_switched = saga
        .state_of(Step::Switch)
        .is_some_and(|s| s != StepState::Pending);
    let is_created = saga.kind == SagaKind::Create && is_served(ctx, saga).await?;
    let is_final = saga.state == SagaState::Done || is_switched || is_created;
    if saga.kind == SagaKind::Delete || is_final {
        let hint = match saga.kind {
            SagaKind::Create => "`kgrca tenant delete` deletes a tenant that was created",
            SagaKind::Delete => "`kgrca tenant resume` keeps a tenant that is being deleted",
            SagaKind::Move => {
                "it will finish on the new server; `kgrca tenant move` moves it again"
            }
        };
        let message = format!("{saga_id} cannot be rolled back");
        return Err(Error::new(ErrorKind::Conflict, message).hint(hint));
    }
    if saga.state == SagaState::Compensating {
        // The job of the earlier attempt may be dead or cancelled.
        record_and_continue(ctx, saga, now()).await?;
    }
    if !saga.is_over() {
        roll_back(ctx, saga).await?;
    }
    Ok(held.saga.clone())
}

/// What became of a saga that a job continued.
pub enum Continued {
    /// Nothing is left to do without a caller.
    Ended(SagaState),
    /// It waits for its time, or for another request or daemon that has it.
    Waits(Time),
}

/// How long a job waits for a request or daemon that has its saga.
const BUSY: i64 = SECOND;

/// Continues a saga that no caller waits for: a deletion, a move, or a rollback. A creation is left
/// to the caller, who alone can receive its secrets.
pub async fn continue_saga(ctx: &Tenancy, saga_id: &str) -> Result<Continued, Error> {
    if ctx.stores.meta.saga(saga_id).await?.is_none() {
        return Ok(Continued::Ended(SagaState::Done));
    }
    let Some(mut held) = try_hold(ctx, saga_id).await? else {
        return Ok(Continued::Waits(now().plus(BUSY)));
    };
    let state = match (held.saga.kind, held.saga.state) {
        // Rolling back would remove the data of a tenant that is served.
        (SagaKind::Create, state) if is_served(ctx, &held.saga).await? => state,
        (SagaKind::Create | SagaKind::Move, SagaState::Compensating) => {
            roll_back(ctx, &mut held.saga).await?;
            held.saga.state
        }
        (SagaKind::Delete | SagaKind::Move, SagaState::Running) => match held.saga.wait_until {
            Some(until) if until > now() => return Ok(Continued::Waits(until)),
            _ => run(held).await?.0.state,
        },
        (_, state) => state,
    };
    Ok(Continued::Ended(state))
}
