//! Incidents and what people do with them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Path, Query, State};
use axum::http::StatusCode;
use kgrca_core::api::{ErrorBody, Feedback, Handled, IncidentChange, Page, Told, Topology};
use kgrca_core::detect::FaultId;
use kgrca_core::incident::State as IncidentState;
use kgrca_core::model::record::{Act, ActKind};
use kgrca_core::model::{Body, Record, Severity, Topic};
use kgrca_core::rca::{Cause, Scorer};
use kgrca_core::storage::{Entry, IncidentFilter, IncidentRow, StreamId, TransitionRow};
use kgrca_core::tenancy::TenantId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::{ApiError, instant, within};
use super::given::Given;
use super::guard::{Admin, Caller, Read};
use super::rca::number;
use crate::app::App;
use crate::clock::now;
use crate::telemetry;

/// Which incidents are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Where it stands.
    state: Option<IncidentState>,
    /// At least this severity.
    severity: Option<Severity>,
    /// Component of the first cause.
    component: Option<String>,
    /// Namespace of the first cause.
    namespace: Option<String>,
    /// Cluster.
    cluster: Option<String>,
    /// Started at or after.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Started before.
    #[param(format = DateTime)]
    until: Option<String>,
    /// Cursor from `next`.
    #[param(minimum = 0)]
    cursor: Option<i64>,
    /// Most items, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl Filter {
    fn read(self) -> Result<IncidentFilter, ApiError> {
        if self.cursor.is_some_and(|c| c < 0) {
            return Err(ApiError::invalid("`cursor` is not one of this list"));
        }
        Ok(IncidentFilter {
            state: self.state,
            severity: self.severity,
            component: self.component,
            namespace: self.namespace,
            cluster: self.cluster,
            since: instant("since", self.since.as_deref())?,
            until: instant("until", self.until.as_deref())?,
            before: self.cursor,
            limit: within("limit", self.limit, 50, 1000)?,
        })
    }
}

/// Incidents, newest first.
#[utoipa::path(get, path = "/incidents", tag = "incidents", params(Filter), responses((status = 200, body = Page<IncidentRow>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    filter: Result<Query<Filter>, extract::rejection::QueryRejection>,
) -> Result<Json<Page<IncidentRow>>, ApiError> {
    let filter = filter.map_err(|e| ApiError::query(&e))?.0.read()?;
    let items = app.stores.meta.incidents(&caller.tenant, &filter).await?;
    let next = items
        .last()
        .filter(|_| items.len() == filter.limit)
        .map(|r| r.incident_id.trim_start_matches("inc-").to_owned());
    Ok(Json(Page { items, next }))
}

async fn find(app: &App, tenant: &TenantId, id: &str) -> Result<(i64, IncidentRow), ApiError> {
    let number = number(id)?;
    let row = app.stores.meta.incident(tenant, number).await?;
    Ok((
        number,
        row.ok_or_else(|| {
            ApiError::not_found(format!("there is no incident `{id}`"))
                .hint("GET /api/v1/incidents lists them")
        })?,
    ))
}

/// One incident.
#[utoipa::path(get, path = "/incidents/{id}", tag = "incidents", params(("id" = String, Path, description = "inc-<number>")), responses((status = 200, body = IncidentRow), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
) -> Result<Json<IncidentRow>, ApiError> {
    Ok(Json(find(&app, &caller.tenant, &id).await?.1))
}

/// Acknowledges or resolves an incident. The act is a record in the cluster's log; the engine
/// carries it out.
#[utoipa::path(patch, path = "/incidents/{id}", tag = "incidents", params(("id" = String, Path, description = "inc-<number>")), request_body = IncidentChange, responses((status = 202, body = IncidentRow), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn change(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(id): Path<String>,
    Given(change): Given<IncidentChange>,
) -> Result<(StatusCode, Json<IncidentRow>), ApiError> {
    let (_, row) = find(&app, &caller.tenant, &id).await?;
    let kind = match change.state {
        Handled::Acknowledged => ActKind::Acknowledge,
        Handled::Resolved => ActKind::Resolve,
    };
    if row.state == IncidentState::Resolved {
        return Err(ApiError::conflict(format!("{id} is resolved already")));
    }
    if row.state == IncidentState::Acknowledged && kind == ActKind::Acknowledge {
        return Err(ApiError::conflict(format!("{id} is acknowledged already")));
    }
    act(&app, &caller, &row, kind, change.note).await?;
    Ok((StatusCode::ACCEPTED, Json(row)))
}

/// Says what an incident really was.
#[utoipa::path(post, path = "/incidents/{id}/feedback", tag = "incidents", params(("id" = String, Path, description = "inc-<number>")), request_body = Feedback, responses((status = 202, description = "recorded"), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn feedback(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(id): Path<String>,
    Given(feedback): Given<Feedback>,
) -> Result<StatusCode, ApiError> {
    let (number, row) = find(&app, &caller.tenant, &id).await?;
    let answer = app
        .stores
        .meta
        .answer(&caller.tenant, number, Scorer::Causal, None)
        .await?;
    let causes = answer.map(|a| a.causes).unwrap_or_default();
    let (place, component, fault_type, note) = match feedback {
        Feedback::Named(named) => {
            let cause = causes.get(named.cause as usize - 1).ok_or_else(|| {
                ApiError::conflict(format!(
                    "{id} has no cause {}: {} are named",
                    named.cause,
                    causes.len()
                ))
                .hint("kgrca rca shows them; a component can be told instead")
            })?;
            (
                Some(named.cause),
                cause.component.clone(),
                Some(cause.fault_type.clone()),
                named.note,
            )
        }
        Feedback::Told(told) => {
            check_told(&told)?;
            let is_it = |c: &Cause| {
                c.component == told.component
                    && told.fault_type.as_ref().is_none_or(|f| *f == c.fault_type)
            };
            (
                causes.iter().position(is_it).map(|p| p as u32 + 1),
                told.component,
                told.fault_type,
                told.note,
            )
        }
    };
    let kind = ActKind::Feedback {
        component: component.as_str().into(),
        fault_type: fault_type.as_deref().map(Into::into),
    };
    // What may be repeated first: a caller that is told of a failure says it again.
    app.stores
        .meta
        .put_feedback(&caller.tenant, number, place)
        .await?;
    act(&app, &caller, &row, kind, note).await?;
    telemetry::Accuracy {
        places: app.stores.meta.feedback().await?,
    }
    .emit();
    Ok(StatusCode::ACCEPTED)
}

/// Feedback names a component as answers do, and a fault of the catalogue.
fn check_told(told: &Told) -> Result<(), ApiError> {
    let is_named = told
        .component
        .split_once('/')
        .is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
    if !is_named {
        return Err(
            ApiError::not_found(format!("`{}` is no component", told.component))
                .hint("components are called as in answers, such as app/cart or node/worker-1"),
        );
    }
    match &told.fault_type {
        Some(fault) if fault.parse::<FaultId>().is_err() => {
            Err(ApiError::not_found(format!("`{fault}` is no fault type"))
                .hint("kgrca fault list names them"))
        }
        _ => Ok(()),
    }
}

/// What people do enters as a record like any other.
async fn act(
    app: &App,
    caller: &Caller<Admin>,
    row: &IncidentRow,
    kind: ActKind,
    note: Option<String>,
) -> Result<(), ApiError> {
    let at = now();
    let act = Act {
        incident: row.key,
        kind,
        by: caller.who.as_str().into(),
        note: note.as_deref().map(Into::into),
    };
    let record = Record {
        cluster: row.cluster.as_str().into(),
        at,
        sequence: None,
        body: Body::Act(Box::new(act)),
    };
    let Some(value) = kgrca_core::parse::encode_act(&record) else {
        return Ok(());
    };
    let partition = app.fleet.partition(&caller.tenant, &row.cluster);
    let stream = StreamId {
        topic: Topic::Control,
        partition,
    };
    let entry = Entry {
        stream,
        key: row.cluster.as_bytes().into(),
        value: value.into(),
        received_at: at,
    };
    app.stores.log.append(&caller.tenant, vec![entry]).await?;
    app.fleet.appended(&caller.tenant, partition);
    Ok(())
}

/// Every change of an incident's state.
#[utoipa::path(get, path = "/incidents/{id}/timeline", tag = "incidents", params(("id" = String, Path, description = "inc-<number>")), responses((status = 200, body = Page<TransitionRow>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn timeline(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
) -> Result<Json<Page<TransitionRow>>, ApiError> {
    let (number, _) = find(&app, &caller.tenant, &id).await?;
    let items = app
        .stores
        .meta
        .transitions(&caller.tenant, Some(number), 0, 1000)
        .await?;
    Ok(Json(Page { items, next: None }))
}

/// The surroundings of an incident's first cause.
#[utoipa::path(get, path = "/incidents/{id}/graph", tag = "incidents", params(("id" = String, Path, description = "inc-<number>")), responses((status = 200, body = Topology), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn graph(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
) -> Result<Json<Topology>, ApiError> {
    let (number, _) = find(&app, &caller.tenant, &id).await?;
    let answer = app
        .stores
        .meta
        .answer(&caller.tenant, number, Scorer::Causal, None)
        .await?;
    let Some(cause) = answer.as_ref().and_then(|a| a.causes.first()) else {
        return Ok(Json(Topology {
            resources: Vec::new(),
            edges: Vec::new(),
        }));
    };
    let topology = super::graph::around(&app, &caller.tenant, &cause.resource, 2).await?;
    Ok(Json(topology.unwrap_or(Topology {
        resources: Vec::new(),
        edges: Vec::new(),
    })))
}
