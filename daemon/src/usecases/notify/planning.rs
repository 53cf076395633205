//! Planning: what becomes of each change of an incident.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use kgrca_core::incident::State;
use kgrca_core::jobs::{JobKind, NewJob};
use kgrca_core::model::time::MINUTE;
use kgrca_core::model::{Severity, Time};
use kgrca_core::notify::{self, Config, Notice, Planned, Silence, Told, What};
use kgrca_core::rca::Scorer;

use kgrca_core::storage::{DeliveryRow, DeliveryState, IncidentRow, TransitionRow, Window};
use kgrca_core::tenancy::{Scope, TenantId};
use serde_json::json;

use super::stored;
use crate::clock::now;
use crate::random::random_id;
use crate::usecases::actor::TenantScope;
use crate::usecases::error::Result;
use crate::usecases::{Actor, App, incidents};

/// Notifications per hour for each call per minute of the plan.
const PER_CALL: u64 = 6;
/// How many changes are planned in one transaction.
const AT_A_TIME: usize = 100;

/// Plans all changes that were not planned yet. Returns how many. Several may run at once: each
/// change is planned in one transaction, by one of them.
///
/// # Errors
/// When a store does not answer.
pub async fn plan(app: &App, actor: &Actor) -> Result<u64> {
    let tenant = actor.tenant(Scope::Admin)?;
    let meta = &app.stores.meta;
    let mut planned = 0;
    while let Some((settings, config)) = stored(app, tenant).await? {
        let after = settings.planned;
        let changes = meta.transitions(tenant.id, None, after, AT_A_TIME).await?;
        let Some(last) = changes.last() else {
            break;
        };
        let upto = last.id;
        let rows = rows(app, tenant, &config, &changes).await?;
        let pending = rows
            .iter()
            .filter(|row| row.state == DeliveryState::Pending);
        let jobs: Vec<NewJob> = pending.map(|row| job(tenant.id, row, now())).collect();
        if meta
            .plan_deliveries(tenant.id, after, upto, &rows, &jobs)
            .await?
        {
            planned += changes.len() as u64;
        }
    }
    Ok(planned)
}

/// The job that sends a notification.
pub(super) fn job(tenant: &TenantId, row: &DeliveryRow, at: Time) -> NewJob {
    let payload = json!({"transition": row.transition, "receiver": row.receiver});
    NewJob {
        tenant: Some(tenant.clone()),
        ..NewJob::new(
            format!("job_{}", random_id(12)),
            JobKind::NotifyDeliver,
            payload,
            at,
        )
    }
}

async fn rows(
    app: &App,
    tenant: TenantScope<'_>,
    config: &Config,
    changes: &[TransitionRow],
) -> Result<Vec<DeliveryRow>> {
    let meta = &app.stores.meta;
    let at = now();
    let silences: Vec<Silence> = meta.silences(tenant.id, at).await?;
    let mut told: HashMap<i64, Told> = HashMap::new();
    let mut rows = Vec::new();
    for change in changes {
        let number = incidents::number(&change.incident_id)?;
        let Some(incident) = meta.incident(tenant.id, number).await? else {
            continue;
        };
        if let Entry::Vacant(entry) = told.entry(number) {
            entry.insert(meta.told(tenant.id, number).await?);
        }
        let told = told.entry(number).or_default();
        let notice = of_change(notice(app, tenant, &incident).await?, change);
        for Planned { receiver, what } in notify::plan(config, &silences, &notice, told, at) {
            let muted = match what {
                What::Send => beyond_limit(app, tenant, &notice).await?,
                What::Muted(reason) => Some(reason.text()),
            };
            let state = match muted {
                None => DeliveryState::Pending,
                Some(_) => DeliveryState::Muted,
            };
            if state == DeliveryState::Pending {
                told.insert(receiver.clone());
            }
            rows.push(DeliveryRow {
                transition: change.id,
                receiver,
                number,
                state,
                reason: muted,
                notice: notice.clone(),
                attempts: 0,
                created_at: at,
                updated_at: at,
            });
        }
    }
    Ok(rows)
}

/// Why a notification is too much: neither a receiver nor the metadata is to be flooded. An end
/// follows each beginning that was sent.
async fn beyond_limit(
    app: &App,
    tenant: TenantScope<'_>,
    notice: &Notice,
) -> Result<Option<String>> {
    let calls = tenant
        .plan
        .api_minute
        .filter(|_| notice.state != State::Resolved);
    let Some(calls) = calls else {
        return Ok(None);
    };
    let window = Window {
        name: "notify/hour",
        length: 60 * MINUTE,
        limit: calls.saturating_mul(PER_CALL),
    };
    let taken = app.stores.limits.take(tenant.id, window, 1, now()).await?;
    let limit = window.limit;
    let reason = format!(
        "limit of {limit} notifications per hour (plan `{}`)",
        tenant.plan.name
    );
    Ok((!taken.allowed).then_some(reason))
}

fn of_change(notice: Notice, change: &TransitionRow) -> Notice {
    let transition = &change.transition;
    Notice {
        state: transition.to,
        at: transition.at,
        by: transition.by.clone(),
        note: transition.note.clone(),
        ..notice
    }
}

/// What is known of an incident now.
pub(super) async fn notice(
    app: &App,
    tenant: TenantScope<'_>,
    incident: &IncidentRow,
) -> Result<Notice> {
    let number = incidents::number(&incident.incident_id)?;
    let meta = &app.stores.meta;
    let answer = meta.answer(tenant.id, number, Scorer::Causal, None).await?;
    let cause = answer.as_ref().and_then(|answer| answer.causes.first());
    let change = cause.and_then(|cause| cause.change.as_ref());
    Ok(Notice {
        incident_id: incident.incident_id.clone(),
        state: incident.state,
        at: now(),
        by: "engine".to_owned(),
        note: None,
        severity: incident.severity,
        started_at: incident.started_at,
        cluster: incident.cluster.clone(),
        namespace: incident.namespace.clone(),
        component: incident.component.clone(),
        fault_type: incident.fault_type.clone(),
        confidence: incident.confidence,
        cause: cause.map(|cause| cause.message.clone()),
        evidence: cause.map(|cause| cause.evidence.len()).unwrap_or(0),
        change: change.map(|change| change.what.clone()),
        fix: cause
            .map(|cause| cause.fix.clone())
            .filter(|fix| !fix.is_empty()),
        url: None,
    })
}

/// What a test of a receiver sends.
pub(super) fn example() -> Notice {
    let at = now();
    Notice {
        incident_id: "inc-0".to_owned(),
        state: State::Open,
        at,
        by: "engine".to_owned(),
        note: None,
        severity: Severity::Info,
        started_at: at,
        cluster: "example".to_owned(),
        namespace: None,
        component: None,
        fault_type: None,
        confidence: None,
        cause: Some("test notification of kgrca: nothing is wrong".to_owned()),
        evidence: 0,
        change: None,
        fix: None,
        url: None,
    }
}
