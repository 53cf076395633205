//! Incidents: reading them, and what people do with them.

use kgrca_core::api::{Feedback, Handled, IncidentChange, Page, ReportedCause, Topology};
use kgrca_core::detect::FaultId;
use kgrca_core::incident::State;
use kgrca_core::model::record::{Act, ActKind};
use kgrca_core::model::{Body, Record, Topic};
use kgrca_core::rca::{Cause, Scorer};
use kgrca_core::storage::{Entry, IncidentFilter, IncidentRow, StreamId, TransitionRow};
use kgrca_core::tenancy::Scope;

use super::actor::{Actor, TenantScope};
use super::app::App;
use super::error::{Error, Result};
use super::{begin_writing, graph, within};
use crate::clock::now;
use crate::telemetry;

/// How far the graph of an incident reaches from its first cause, in edges.
const GRAPH_DEPTH: usize = 2;
/// How many transitions of one incident are shown at most.
const MAX_TRANSITIONS: usize = 1000;

/// A page of incidents, newest first. `filter.limit` is ignored in favour of `limit`.
///
/// # Errors
/// `invalid_request` for a cursor or a limit out of range.
pub async fn list(
    app: &App,
    actor: &Actor,
    filter: IncidentFilter,
    limit: Option<usize>,
) -> Result<Page<IncidentRow>> {
    let tenant = actor.tenant(Scope::Read)?;
    if filter.before.is_some_and(|cursor| cursor < 0) {
        return Err(Error::invalid("`cursor` is not a cursor of this list"));
    }
    let filter = IncidentFilter {
        limit: within("limit", limit, 50, 1000)?,
        ..filter
    };
    let items = app.stores.meta.incidents(tenant.id, &filter).await?;
    let next = items
        .last()
        .filter(|_| items.len() == filter.limit)
        .map(|row| row.incident_id.trim_start_matches("inc-").to_owned());
    Ok(Page { items, next })
}

/// One incident.
///
/// # Errors
/// `not_found` when the tenant has no such incident.
pub async fn show(app: &App, actor: &Actor, id: &str) -> Result<IncidentRow> {
    find(app, actor.tenant(Scope::Read)?, id).await
}

/// The number of `inc-<number>`; the number alone is accepted, too.
///
/// # Errors
/// `not_found` for anything else.
pub fn number(id: &str) -> Result<i64> {
    id.strip_prefix("inc-")
        .unwrap_or(id)
        .parse::<i64>()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| missing(id))
}

/// Longest note of a person, in bytes.
const MAX_NOTE_BYTES: usize = 4096;

/// The error for an incident that does not exist.
pub(super) fn missing(id: &str) -> Error {
    Error::not_found(format!("incident `{id}` not found"))
        .hint("GET /api/v1/incidents lists incidents")
}

async fn find(app: &App, tenant: TenantScope<'_>, id: &str) -> Result<IncidentRow> {
    let row = app.stores.meta.incident(tenant.id, number(id)?).await?;
    row.ok_or_else(|| missing(id))
}

/// Acknowledges or resolves an incident. The act becomes a record in the cluster's log, and the
/// incident changes when the engine applies it: the row returned is the one before.
///
/// # Errors
/// `conflict` when the incident is in that state already.
pub async fn change(
    app: &App,
    actor: &Actor,
    id: &str,
    change: IncidentChange,
) -> Result<IncidentRow> {
    let tenant = actor.tenant(Scope::Admin)?;
    let _writing = begin_writing(app, tenant).await?;
    let row = find(app, tenant, id).await?;
    let kind = match change.state {
        Handled::Acknowledged => ActKind::Acknowledge,
        Handled::Resolved => ActKind::Resolve,
    };
    if row.state == State::Resolved {
        return Err(Error::conflict(format!("{id} is already resolved")));
    }
    if row.state == State::Acknowledged && kind == ActKind::Acknowledge {
        return Err(Error::conflict(format!("{id} is already acknowledged")));
    }
    append_act(app, actor, tenant, &row, kind, change.note).await?;
    Ok(row)
}

/// The actual cause of an incident, as a person reports it.
struct ActualCause {
    /// Its rank in the answer, from 1; `None` when the answer does not list it.
    rank: Option<u32>,
    component: String,
    fault_type: Option<String>,
    note: Option<String>,
}

/// Records what actually caused an incident.
///
/// # Errors
/// `conflict` for a rank that the answer does not have, `not_found` for a component that is not
/// written as in answers or a fault type outside the catalogue.
pub async fn give_feedback(app: &App, actor: &Actor, id: &str, feedback: Feedback) -> Result<()> {
    let tenant = actor.tenant(Scope::Admin)?;
    let _writing = begin_writing(app, tenant).await?;
    let row = find(app, tenant, id).await?;
    let number = number(id)?;
    let answer = app
        .stores
        .meta
        .answer(tenant.id, number, Scorer::Causal, None)
        .await?;
    let causes = answer.map(|a| a.causes).unwrap_or_default();
    let actual = actual_cause(id, &causes, feedback)?;
    let kind = ActKind::Feedback {
        component: actual.component.as_str().into(),
        fault_type: actual.fault_type.as_deref().map(Into::into),
    };
    // This first, because it may be repeated: after a failure the caller sends the feedback again.
    app.stores
        .meta
        .put_feedback(tenant.id, number, actual.rank)
        .await?;
    append_act(app, actor, tenant, &row, kind, actual.note).await?;
    telemetry::Accuracy {
        ranks: app.stores.meta.feedback().await?,
    }
    .emit();
    Ok(())
}

fn actual_cause(id: &str, causes: &[Cause], feedback: Feedback) -> Result<ActualCause> {
    match feedback {
        Feedback::Listed(named) => {
            let cause = causes.get(named.cause as usize - 1).ok_or_else(|| {
                let listed = causes.len();
                Error::conflict(format!("{id} lists {listed} causes, not {}", named.cause))
                    .hint("`kgrca rca` shows them; or report a component with --component")
            })?;
            Ok(ActualCause {
                rank: Some(named.cause),
                component: cause.component.clone(),
                fault_type: Some(cause.fault_type.clone()),
                note: named.note,
            })
        }
        Feedback::Reported(reported) => {
            check_reported(&reported)?;
            let is_same_fault = |cause: &Cause| match &reported.fault_type {
                Some(fault) => *fault == cause.fault_type,
                None => true,
            };
            let rank = causes
                .iter()
                .position(|c| c.component == reported.component && is_same_fault(c));
            Ok(ActualCause {
                rank: rank.map(|index| index as u32 + 1),
                component: reported.component,
                fault_type: reported.fault_type,
                note: reported.note,
            })
        }
    }
}

/// A component is written as in answers, a fault type is one of the catalogue.
fn check_reported(reported: &ReportedCause) -> Result<()> {
    let is_component = reported
        .component
        .split_once('/')
        .is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
    if !is_component {
        let component = &reported.component;
        return Err(Error::not_found(format!("unknown component `{component}`"))
            .hint("use the form shown in answers, such as app/cart or node/worker-1"));
    }
    match &reported.fault_type {
        Some(fault) if fault.parse::<FaultId>().is_err() => {
            Err(Error::not_found(format!("unknown fault type `{fault}`"))
                .hint("`kgrca fault list` shows all fault types"))
        }
        _ => Ok(()),
    }
}

/// What people do is a record like any other, so that a replay of the log repeats it.
async fn append_act(
    app: &App,
    actor: &Actor,
    tenant: TenantScope<'_>,
    row: &IncidentRow,
    kind: ActKind,
    note: Option<String>,
) -> Result<()> {
    if let Some(note) = &note
        && note.len() > MAX_NOTE_BYTES
    {
        let size = note.len();
        return Err(Error::invalid(format!(
            "`note` has {size} bytes; at most {MAX_NOTE_BYTES} are allowed"
        )));
    }
    let at = now();
    let act = Act {
        incident: row.key,
        kind,
        by: actor.identity.to_string().as_str().into(),
        note: note.as_deref().map(Into::into),
    };
    let record = Record {
        cluster: row.cluster.as_str().into(),
        at,
        sequence: None,
        body: Body::Act(Box::new(act)),
    };
    let value = kgrca_core::parse::encode_act(&record)
        .ok_or_else(|| Error::internal("an act of a person cannot be encoded"))?;
    let partition = app.fleet.partition(tenant.id, &row.cluster);
    let entry = Entry {
        stream: StreamId {
            topic: Topic::Control,
            partition,
        },
        key: row.cluster.as_bytes().into(),
        value: value.into(),
        received_at: at,
    };
    app.stores.log.append(tenant.id, vec![entry]).await?;
    app.fleet.appended(tenant.id, partition);
    Ok(())
}

/// Every change of an incident's state, oldest first.
///
/// # Errors
/// `not_found` when the tenant has no such incident.
pub async fn timeline(app: &App, actor: &Actor, id: &str) -> Result<Page<TransitionRow>> {
    let tenant = actor.tenant(Scope::Read)?;
    find(app, tenant, id).await?;
    let items = app
        .stores
        .meta
        .transitions(tenant.id, Some(number(id)?), 0, MAX_TRANSITIONS)
        .await?;
    Ok(Page { items, next: None })
}

/// The resources around an incident's first cause; empty while it has no cause.
///
/// # Errors
/// `not_found` when the tenant has no such incident.
pub async fn graph(app: &App, actor: &Actor, id: &str) -> Result<Topology> {
    let tenant = actor.tenant(Scope::Read)?;
    find(app, tenant, id).await?;
    let answer = app
        .stores
        .meta
        .answer(tenant.id, number(id)?, Scorer::Causal, None)
        .await?;
    let cause = answer.as_ref().and_then(|a| a.causes.first());
    match cause.and_then(|c| c.resource.uid.as_deref()) {
        Some(uid) => graph::around_now(app, tenant, uid, GRAPH_DEPTH).await,
        None => Ok(Topology::default()),
    }
}
