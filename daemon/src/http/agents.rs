//! Endpoints of agents.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use kgrca_core::api::{Agent, AgentStatus, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::LargeAnswer;
use super::auth::{Admin, Caller, Ingest, Read};
use super::body::JsonBody;
use super::error::{ApiError, ApiErrors};
use crate::usecases::{App, agents};

/// The largest body of a heartbeat. Of what it holds, 16 KiB are stored.
const MAX_HEARTBEAT: usize = 64 << 10;

/// Takes an agent's heartbeat. The newest heartbeat of each agent is kept.
#[utoipa::path(
    post,
    path = "/agents",
    operation_id = "send_heartbeat",
    tag = "self",
    request_body = AgentStatus,
    responses((status = 204, description = "Stored"), ApiErrors)
)]
pub async fn heartbeat(
    State(app): State<Arc<App>>,
    caller: Caller<Ingest>,
    JsonBody(status): JsonBody<AgentStatus, MAX_HEARTBEAT>,
) -> Result<StatusCode, ApiError> {
    agents::heartbeat(&app, &caller, status).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which page of the agents.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Agents per page; at most 200, which is the default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Lists the tenant's agents, by cluster.
#[utoipa::path(
    get,
    path = "/agents",
    operation_id = "list_agents",
    tag = "self",
    params(PageParams),
    responses((status = 200, description = "A page of agents", body = Page<Agent>), ApiErrors)
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    params: Result<Query<PageParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params?;
    let after = params.after.as_deref();
    answer
        .make(agents::list(&app, &caller, params.limit, after))
        .await
}

/// Removes a cluster's agents from the list.
///
/// One that still runs appears again with its next heartbeat.
#[utoipa::path(
    delete,
    path = "/agents/{cluster}",
    operation_id = "forget_agents",
    tag = "self",
    params(("cluster" = String, Path, description = "Name of the cluster")),
    responses((status = 204, description = "Removed"), ApiErrors)
)]
pub async fn forget(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(cluster): Path<String>,
) -> Result<StatusCode, ApiError> {
    agents::forget(&app, &caller, &cluster).await?;
    Ok(StatusCode::NO_CONTENT)
}
