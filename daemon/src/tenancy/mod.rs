//! Tenants come and go in sagas: every step is written down before it begins and after it ended,
//! may be repeated, and has its way back.

mod archive;
mod context;
mod grow;
mod moving;
mod run;
mod steps;

use kgrca_core::model::time::DAY;
use kgrca_core::storage::archive::Part;
use kgrca_core::storage::{Error, ErrorKind};
use kgrca_core::tenancy::{
    Saga, SagaKind, SagaState, SagaStep, Step, StepState, Tenant, TenantId, TenantState,
};

pub use archive::{export, unfinished};
pub use context::Tenancy;
pub use grow::{can_grow, grow};
pub use moving::move_graph;
pub use steps::Secrets;

use run::{held, noted, run, undo, written};

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
        tenant: client,
        graph: None,
        wait_until: None,
        created_at: now(),
        updated_at: now(),
    }
}

/// Sets a tenant up. The same `request` goes on with what it began before; what is done already
/// gets new secrets.
pub async fn create(
    ctx: &Tenancy,
    client: Tenant,
    request: Option<String>,
) -> Result<(Saga, Secrets), Error> {
    begin(
        ctx,
        Saga {
            request,
            ..saga(SagaKind::Create, &Saga::CREATE, client)
        },
    )
    .await
}

/// Sets a tenant up but for its key: first it is given what comes from another installation.
pub async fn create_to_load(
    ctx: &Tenancy,
    client: Tenant,
    request: Option<String>,
) -> Result<Saga, Error> {
    Ok(begin(
        ctx,
        Saga {
            request,
            ..saga(SagaKind::Create, &Saga::IMPORT, client)
        },
    )
    .await?
    .0)
}

async fn begin(ctx: &Tenancy, saga: Saga) -> Result<(Saga, Secrets), Error> {
    if let Some(known) = begun(ctx, &saga).await? {
        return go_on_with(ctx, &known, true).await;
    }
    match noted(ctx, &saga).await {
        Ok(()) => run(held(ctx, &saga.saga_id).await?).await,
        // The same request came twice at once.
        Err(e) if e.kind == ErrorKind::Conflict => match begun(ctx, &saga).await? {
            Some(known) => go_on_with(ctx, &known, true).await,
            None => Err(e),
        },
        Err(e) => Err(e),
    }
}

/// The saga that the same request began before.
async fn begun(ctx: &Tenancy, saga: &Saga) -> Result<Option<String>, Error> {
    if saga.request.is_none() {
        return Ok(None);
    }
    let all = ctx.stores.meta.sagas(None).await?;
    let same = |s: &&Saga| s.request == saga.request && s.state != SagaState::Compensated;
    Ok(all.iter().find(same).map(|s| s.saga_id.clone()))
}

/// Says that all of an import was loaded: the tenant is served from now on.
pub async fn loaded(ctx: &Tenancy, saga_id: &str) -> Result<(Saga, Secrets), Error> {
    let mut held = held(ctx, saga_id).await?;
    let (tenant, client) = archive::unfinished(ctx, &held.saga).await?;
    archive::settle(ctx, &tenant, &client).await?;
    for step in &mut held.saga.steps {
        match step.step {
            Step::Load => step.state = StepState::Done,
            // Nobody was told the password that it was given before.
            Step::User => step.state = StepState::Pending,
            _ => {}
        }
    }
    let done = run(held).await?;
    // Its incidents go on without a record, too.
    ctx.fleet.know(&tenant, client.partitions);
    for partition in 0..client.partitions {
        ctx.fleet.appended(&tenant, partition);
    }
    Ok(done)
}

/// Loads rows of a part into a tenant that is not served yet. Returns how many, and how many
/// records its log has by now.
pub async fn load(
    ctx: &Tenancy,
    saga_id: &str,
    part: Part,
    body: &[u8],
) -> Result<(usize, u64), Error> {
    let held = held(ctx, saga_id).await?;
    let (tenant, client) = archive::unfinished(ctx, &held.saga).await?;
    let rows = archive::import(ctx, &tenant, &client, part, body).await?;
    let ends = ctx.stores.log.ends(&tenant).await?;
    Ok((rows, ends.iter().map(|(_, end)| end).sum()))
}

/// Goes on with a saga that stopped.
pub async fn resume(ctx: &Tenancy, saga_id: &str) -> Result<(Saga, Secrets), Error> {
    go_on_with(ctx, saga_id, false).await
}

/// Goes on with a saga. `again` says that the same request came again: a creation that is done
/// gives new secrets then, since nobody keeps those it gave before.
async fn go_on_with(ctx: &Tenancy, saga_id: &str, again: bool) -> Result<(Saga, Secrets), Error> {
    let mut held = held(ctx, saga_id).await?;
    let saga = &mut held.saga;
    let refused = |why: &str| Error::new(ErrorKind::Conflict, format!("{saga_id}: {why}"));
    if saga.state == SagaState::Compensated {
        return Err(refused("it was taken back").hint("create the tenant anew"));
    }
    if saga.state == SagaState::Done && (!again || saga.state_of(Step::Load).is_some()) {
        return Err(refused("it is done").hint("`kgrca key create` makes another key"));
    }
    if saga.kind == SagaKind::Create {
        // As the tenant is now: since then its plan or its state may have changed.
        let current = ctx.stores.meta.tenant(&saga.client_id).await?;
        if saga.state == SagaState::Done {
            let served = current.filter(|c| c.state == TenantState::Active);
            saga.tenant = served.ok_or_else(|| refused("its tenant is not served any more"))?;
        }
        saga.state = SagaState::Running;
        // Secrets are not kept: the steps that make them are done again.
        for step in saga
            .steps
            .iter_mut()
            .filter(|s| matches!(s.step, Step::User | Step::Key) || s.state == StepState::Undone)
        {
            step.state = StepState::Pending;
        }
    }
    run(held).await
}

/// Begins to take a tenant down: at once it is not served any more, after `grace_days` nothing is
/// left but what it owes.
pub async fn delete(ctx: &Tenancy, mut client: Tenant, grace_days: u32) -> Result<Saga, Error> {
    let open: Vec<Saga> = ctx
        .stores
        .meta
        .sagas(Some(&client.client_id))
        .await?
        .into_iter()
        .filter(|s| !s.is_over())
        .collect();
    if let Some(other) = open.iter().find(|s| s.kind != SagaKind::Delete) {
        let what = if other.kind == SagaKind::Move {
            "its graph is being moved"
        } else {
            "it is still being set up"
        };
        return Err(
            Error::new(ErrorKind::Conflict, format!("{}: {what}", client.client_id)).hint(format!(
                "kgrca saga show {id}; kgrca saga compensate {id} takes it back",
                id = other.saga_id
            )),
        );
    }
    let wait_until = Some(now().plus(i64::from(grace_days) * DAY));
    client.deleted_at = Some(client.deleted_at.unwrap_or_else(now));
    let mut held = if let Some(known) = open.first() {
        held(ctx, &known.saga_id).await?
    } else {
        // With its time of grace from the first: whoever looks after sagas would go on at once
        // without it.
        let saga = Saga {
            wait_until,
            ..saga(SagaKind::Delete, &Saga::DELETE, client)
        };
        noted(ctx, &saga).await?;
        held(ctx, &saga.saga_id).await?
    };
    held.saga.wait_until = wait_until;
    Ok(run(held).await?.0)
}

/// Lets what a plan says hold in the log: retention, and how fast the tenant's user sends. Its
/// rights, too: a growth that died took them.
pub async fn apply_plan(ctx: &Tenancy, tenant: &TenantId, client: &Tenant) -> Result<(), Error> {
    steps::put_topics(ctx, tenant, client).await?;
    let log = &ctx.stores.provisioner.log;
    log.put_acls(tenant).await?;
    log.put_rate(tenant, steps::byte_rate(client)).await
}

/// How what the log keeps for a tenant differs from what its plan says.
pub async fn differences(
    ctx: &Tenancy,
    tenant: &TenantId,
    client: &Tenant,
) -> Result<Vec<String>, Error> {
    let log = &ctx.stores.provisioner.log;
    log.differences(tenant, client.partitions, steps::retention_days(client))
        .await
}

/// Serves a tenant again that is within its time of grace.
pub async fn stay(ctx: &Tenancy, client: &mut Tenant) -> Result<(), Error> {
    let open = |s: &Saga| s.kind == SagaKind::Delete && !s.is_over();
    for saga in ctx
        .stores
        .meta
        .sagas(Some(&client.client_id))
        .await?
        .into_iter()
        .filter(open)
    {
        let mut held = held(ctx, &saga.saga_id).await?;
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
        written(ctx, &mut held.saga).await?;
    }
    client.state = TenantState::Active;
    client.deleted_at = None;
    Ok(())
}

/// Takes back what a creation that was not done did.
pub async fn compensate(ctx: &Tenancy, saga_id: &str) -> Result<Saga, Error> {
    let mut held = held(ctx, saga_id).await?;
    let saga = &mut held.saga;
    // From then on workers write to the new server.
    let is_late = saga
        .state_of(Step::Switch)
        .is_some_and(|s| s != StepState::Pending);
    if saga.kind == SagaKind::Delete || saga.state == SagaState::Done || is_late {
        let hint = match saga.kind {
            SagaKind::Create => "`kgrca tenant delete` removes a tenant that is set up",
            SagaKind::Delete => "`kgrca tenant resume` keeps a tenant that is leaving",
            SagaKind::Move => {
                "it goes on to the new server by itself; `kgrca tenant move` moves it again"
            }
        };
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("{saga_id} cannot be taken back"),
        )
        .hint(hint));
    }
    if !saga.is_over() {
        saga.state = SagaState::Compensating;
        written(ctx, saga).await?;
        undo(ctx, saga).await?;
    }
    Ok(held.saga.clone())
}

/// Goes on with what goes by itself: deletions whose time came, moves, and compensations that
/// stopped.
pub async fn go_on(ctx: &Tenancy) -> Result<(), Error> {
    for saga in ctx
        .stores
        .meta
        .sagas(None)
        .await?
        .into_iter()
        .filter(|s| !s.is_over())
    {
        let due = saga.wait_until.is_none_or(|t| t <= now());
        let done = match (saga.kind, saga.state) {
            (SagaKind::Delete | SagaKind::Move, SagaState::Running) if due => {
                resume(ctx, &saga.saga_id).await.map(|_| ())
            }
            (SagaKind::Create | SagaKind::Move, SagaState::Compensating) => {
                compensate(ctx, &saga.saga_id).await.map(|_| ())
            }
            _ => Ok(()),
        };
        match done {
            // Somebody works on it.
            Err(e) if e.kind != ErrorKind::Conflict => {
                tracing::warn!(saga_id = %saga.saga_id, error = %e, "the saga goes on in a moment");
            }
            _ => {}
        }
    }
    Ok(())
}
