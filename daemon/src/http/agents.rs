//! Agents: what they say of themselves, and what is known of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kgrca_core::api::{Agent, AgentStatus, ErrorBody, Page};

use super::error::ApiError;
use super::given::Given;
use super::guard::{Caller, Ingest, Read};
use crate::app::App;
use crate::process::now;

/// Longest name of a cluster or a node.
const LONGEST: usize = 253;

/// Takes an agent's heartbeat; the newest of each agent is kept.
#[utoipa::path(post, path = "/agents", tag = "self", request_body = AgentStatus, responses((status = 204, description = "taken"), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 413, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn beat(
    State(app): State<Arc<App>>,
    caller: Caller<Ingest>,
    Given(status): Given<AgentStatus>,
) -> Result<StatusCode, ApiError> {
    for (field, text) in
        [("cluster", &status.cluster), ("agent", &status.agent), ("node", status.node.as_ref().unwrap_or(&status.agent))]
    {
        if text.is_empty() || text.len() > LONGEST {
            return Err(ApiError::invalid(format!("`{field}` has 1 to {LONGEST} letters")));
        }
    }
    app.stores.meta.put_agent(&caller.tenant, &Agent { status, seen_at: now() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The tenant's agents, by cluster.
#[utoipa::path(get, path = "/agents", tag = "self", responses((status = 200, body = Page<Agent>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn list(State(app): State<Arc<App>>, caller: Caller<Read>) -> Result<Json<Page<Agent>>, ApiError> {
    Ok(Json(Page { items: app.stores.meta.agents(&caller.tenant).await?, next: None }))
}
