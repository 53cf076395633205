//! Health checks of sagas and tenants, for `kgrca doctor`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kgrca_core::api::Check;
use kgrca_core::jobs::JobState;
use kgrca_core::model::{Topic, counted};
use kgrca_core::storage::Result;
use kgrca_core::storage::seal::Keyring;
use kgrca_core::tenancy::{Saga, SagaKind, Step, StepState, Tenant, TenantId};

use super::app::App;
use crate::checks::{check, with_timeout};
use crate::clock::now;
use crate::tenancy;

/// Seconds without progress after which a saga counts as stopped.
const STALLED_AFTER: f64 = 120.0;
/// Budget for the checks of all tenants together.
const TENANTS_BUDGET: Duration = Duration::from_secs(30);

/// Checks a tenant's topics and graph. None when nothing is wrong.
async fn of_tenant(app: &App, tenant: &Tenant) -> Option<Check> {
    let tenant_id = TenantId::parse(&tenant.client_id)?;
    let what = format!("tenant {tenant_id}");
    let found = with_timeout(async {
        app.stores.log.ends(&tenant_id).await?;
        app.stores.graph.knows(&tenant_id, 0).await?;
        tenancy::differences(&app.tenancy, &tenant_id, tenant).await
    });
    match found.await {
        Ok(differences) if differences.is_empty() => None,
        Ok(differences) => Some(Check {
            what,
            ok: false,
            found: differences.join("; "),
            hint: Some(format!(
                "run `kgrca tenant update {tenant_id} --plan {}` to apply the settings again",
                tenant.plan
            )),
        }),
        Err(e) => Some(check(&what, Err(e))),
    }
}

/// Checks for stopped sagas, for dead jobs, and for tenants whose topics or graph do not respond or
/// are not configured as their plan says.
pub async fn run(app: &App, has_master_key: bool) -> Vec<Check> {
    let mut all = vec![of_sagas(app).await, of_jobs(app).await];
    let tenants = match app.stores.meta.list_tenants().await {
        Ok(tenants) => tenants,
        Err(e) => {
            all.push(check("tenants", Err(e)));
            return all;
        }
    };
    let active: Vec<&Tenant> = tenants.iter().filter(|t| t.state.is_worked()).collect();
    let began = Instant::now();
    for (checked, tenant) in active.iter().enumerate() {
        if began.elapsed() > TENANTS_BUDGET {
            all.push(Check {
                what: "tenants".into(),
                ok: false,
                found: format!(
                    "{} tenants not checked ({} s budget used up)",
                    active.len() - checked,
                    TENANTS_BUDGET.as_secs()
                ),
                hint: None,
            });
            break;
        }
        all.extend(of_tenant(app, tenant).await);
        all.extend(of_damage(app, tenant).await);
        // Otherwise all of them would wait for the master key.
        if has_master_key {
            all.extend(of_encryption(app, tenant).await);
        }
    }
    all
}

/// What is missing of a tenant's log because it was damaged. None when nothing is.
async fn of_damage(app: &App, tenant: &Tenant) -> Option<Check> {
    let tenant_id = TenantId::parse(&tenant.client_id)?;
    let what = format!("log of tenant {tenant_id}");
    let parts = match with_timeout(app.stores.log.set_aside(&tenant_id)).await {
        Ok(parts) => parts,
        Err(e) => return Some(check(&what, Err(e))),
    };
    let first = parts.first()?;
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    let records: u64 = parts.iter().map(|part| part.records).sum();
    Some(Check {
        what,
        ok: false,
        found: format!(
            "damaged: {} with {bytes} bytes set aside, {} missing; the first is {}",
            counted(parts.len() as u64, "file"),
            counted(records, "record"),
            first.file
        ),
        hint: Some(
            "check the disk, restore the log from a copy if you have one, then remove the files"
                .to_owned(),
        ),
    })
}

/// Whether a tenant's data can be decrypted; its workers wait where it cannot. None when it can.
async fn of_encryption(app: &App, tenant: &Tenant) -> Option<Check> {
    let tenant_id = TenantId::parse(&tenant.client_id)?;
    let found = with_timeout(next_records(app, &tenant_id)).await;
    let what = format!("data of tenant {tenant_id}");
    found.err().map(|e| check(&what, Err(e)))
}

/// Reads what the workers of a tenant read next.
async fn next_records(app: &App, tenant: &TenantId) -> Result<()> {
    let (meta, log) = (&app.stores.meta, &app.stores.log);
    app.stores.encryption.sealer(tenant).await?;
    // What others store is not encrypted by this daemon.
    if log.is_remote() {
        return Ok(());
    }
    // Another check names stores that do not answer.
    let (Ok(offsets), Ok(ends)) = (meta.offsets(tenant).await, log.ends(tenant).await) else {
        return Ok(());
    };
    let offsets = offsets.into_iter().map(|of| (of.stream, of.next));
    let done: HashMap<_, _> = offsets.collect();
    for (stream, end) in ends {
        let next = done.get(&stream).copied().unwrap_or(0);
        if stream.topic != Topic::Dlq && next < end {
            log.read(tenant, stream, next, 1).await?;
        }
    }
    Ok(())
}

async fn of_sagas(app: &App) -> Check {
    let sagas = match app.stores.meta.sagas(None).await {
        Ok(sagas) => sagas,
        Err(e) => return check("sagas", Err(e)),
    };
    let stopped: Vec<&str> = sagas
        .iter()
        .filter(|saga| is_stopped(saga))
        .map(|saga| saga.saga_id.as_str())
        .collect();
    Check {
        what: "sagas".into(),
        ok: stopped.is_empty(),
        found: if stopped.is_empty() {
            "none stopped".to_owned()
        } else {
            format!("stopped: {}", stopped.join(", "))
        },
        hint: stopped.first().map(|id| {
            format!(
                "run `kgrca saga show {id}`, then `kgrca saga resume {id}` or \
                 `kgrca saga compensate {id}`"
            )
        }),
    }
}

async fn of_jobs(app: &App) -> Check {
    let counts = match app.stores.meta.job_counts().await {
        Ok(counts) => counts,
        Err(e) => return check("jobs", Err(e)),
    };
    let dead: Vec<String> = counts
        .iter()
        .filter(|count| count.state == JobState::Dead)
        .map(|count| format!("{} of {}", count.jobs, count.kind))
        .collect();
    let is_ok = dead.is_empty();
    Check {
        what: "jobs".into(),
        ok: is_ok,
        found: if is_ok {
            "none dead".to_owned()
        } else {
            format!("dead: {}", dead.join(", "))
        },
        hint: (!is_ok).then(|| "run `kgrca job list --state dead`".to_owned()),
    }
}

fn is_stopped(saga: &Saga) -> bool {
    // An import may take long.
    let may_wait =
        saga.kind == SagaKind::Create && saga.state_of(Step::Load) == Some(StepState::Pending);
    // A deletion waits for its grace period.
    let due = saga.wait_until.unwrap_or(saga.updated_at);
    let since = due.max(saga.updated_at);
    !saga.is_over() && !may_wait && now().seconds_since(since) > STALLED_AFTER
}
