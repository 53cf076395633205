//! Creates tenants, with or without the data of another installation.

use kgrca_core::model::time::DAY;
use kgrca_core::storage::{Error, ErrorKind};
use kgrca_core::tenancy::{Saga, SagaKind, SagaState, Step, StepState, Tenant, TenantState};

use super::run::{Held, hold, record, run, store_new};
use super::steps::{self, Secrets};
use super::{Tenancy, import, resume_held, saga};
use crate::clock::now;

/// A request that may be repeated, because its caller gave it an idempotency key.
#[derive(Clone, Debug)]
pub struct RequestKey {
    /// The idempotency key.
    pub key: String,
    /// Hash of the caller, the operation and its content.
    pub digest: String,
}

/// For how long a key names the same request after that has ended, in microseconds.
const LIFETIME: i64 = DAY;

/// Creates a tenant and returns its secrets, which cannot be read again. Repeating a `request`
/// resumes what it began; when that is done already, the tenant gets new secrets.
pub async fn create(
    ctx: &Tenancy,
    client: Tenant,
    request: Option<RequestKey>,
) -> Result<(Saga, Secrets), Error> {
    begin(ctx, saga(SagaKind::Create, &Saga::CREATE, client), request).await
}

/// Creates a tenant up to its key: it receives its key once the data of another installation is
/// loaded.
pub async fn create_to_load(
    ctx: &Tenancy,
    client: Tenant,
    request: Option<RequestKey>,
) -> Result<Saga, Error> {
    let saga = saga(SagaKind::Create, &Saga::IMPORT, client);
    Ok(begin(ctx, saga, request).await?.0)
}

async fn begin(
    ctx: &Tenancy,
    mut saga: Saga,
    request: Option<RequestKey>,
) -> Result<(Saga, Secrets), Error> {
    if let Some(known) = begun(ctx, request.as_ref()).await? {
        return repeat(ctx, &known.saga_id).await;
    }
    saga.request = request.as_ref().map(|r| r.key.clone());
    saga.request_digest = request.as_ref().map(|r| r.digest.clone());
    match store_new(ctx, &saga, &[]).await {
        Ok(()) => run(hold(ctx, &saga.saga_id).await?).await,
        // The same request arrived twice at the same time.
        Err(e) if e.kind == ErrorKind::Conflict => match begun(ctx, request.as_ref()).await? {
            Some(known) => repeat(ctx, &known.saga_id).await,
            None => Err(e),
        },
        Err(e) => Err(e),
    }
}

/// The saga that an earlier call with the same request began.
///
/// # Errors
/// `Conflict` when another caller, operation or content used the same key.
pub async fn begun(ctx: &Tenancy, request: Option<&RequestKey>) -> Result<Option<Saga>, Error> {
    let Some(request) = request else {
        return Ok(None);
    };
    let Some(saga) = ctx.stores.meta.saga_of_request(&request.key).await? else {
        return Ok(None);
    };
    if saga.is_over() && now() >= saga.updated_at.plus(LIFETIME) {
        ctx.stores.meta.release_request(&saga.saga_id).await?;
        return Ok(None);
    }
    if saga.request_digest.as_ref() != Some(&request.digest) {
        let message = "this `Idempotency-Key` was used for another request";
        return Err(Error::new(ErrorKind::Conflict, message).hint("send a new key"));
    }
    Ok(Some(saga))
}

/// Resumes a creation, or issues new secrets when it is done.
async fn repeat(ctx: &Tenancy, saga_id: &str) -> Result<(Saga, Secrets), Error> {
    let held = hold(ctx, saga_id).await?;
    if held.saga.state == SagaState::Done && held.saga.state_of(Step::Load).is_none() {
        return reissue(held).await;
    }
    resume_held(held).await
}

/// Issues new secrets for a tenant that exists, as nothing keeps the earlier ones. The saga stays
/// done: when this fails, the tenant keeps all it has.
async fn reissue(mut held: Held<'_>) -> Result<(Saga, Secrets), Error> {
    let (ctx, saga) = (held.ctx, &mut held.saga);
    let current = ctx.stores.meta.tenant(&saga.client_id).await?;
    let is_served = |t: &Tenant| t.state == TenantState::Active;
    saga.tenant = current.filter(is_served).ok_or_else(|| {
        let message = format!("{}: its tenant is no longer active", saga.saga_id);
        Error::new(ErrorKind::Conflict, message).hint("send a new `Idempotency-Key`")
    })?;
    let mut secrets = Secrets::default();
    steps::choose_key(saga, &mut secrets)?;
    record(ctx, saga).await?;
    for step in [Step::User, Step::Key] {
        steps::act(ctx, saga, step, &mut secrets).await?;
    }
    Ok((saga.clone(), secrets))
}

/// Completes an import: the tenant receives its key and is served from now on.
pub async fn loaded(ctx: &Tenancy, saga_id: &str) -> Result<(Saga, Secrets), Error> {
    let mut held = hold(ctx, saga_id).await?;
    let (tenant, client) = import::unfinished(ctx, &held.saga).await?;
    import::settle(ctx, &tenant, &client).await?;
    for step in &mut held.saga.steps {
        match step.step {
            Step::Load => step.state = StepState::Done,
            // Nobody has seen the password that was set before.
            Step::User => step.state = StepState::Pending,
            _ => {}
        }
    }
    let done = run(held).await?;
    // Its incidents change with time, also without a record.
    ctx.fleet.know(&tenant, client.partitions);
    for partition in 0..client.partitions {
        ctx.fleet.appended(&tenant, partition);
    }
    Ok(done)
}
