//! Agents: what they say of themselves, and what is known of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kgrca_core::api::{Agent, AgentStatus, ErrorBody, Page};
use kgrca_core::storage::AgentRow;

use super::auth::{Admin, Caller, Ingest, Read};
use super::body::JsonBody;
use super::error::ApiError;
use crate::clock::now;
use crate::usecases::App;

/// Longest name of a cluster or a node, and of all that an agent says.
const LONGEST: usize = 253;
const LONGEST_STATUS: usize = 64 << 10;

/// Takes an agent's heartbeat; the newest of each agent is kept.
#[utoipa::path(post, path = "/agents", tag = "self", request_body = AgentStatus, responses((status = 204, description = "taken"), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn beat(
    State(app): State<Arc<App>>,
    caller: Caller<Ingest>,
    JsonBody(status): JsonBody<AgentStatus>,
) -> Result<StatusCode, ApiError> {
    let named = [
        ("cluster", &status.cluster),
        ("agent", &status.agent),
        ("node", status.node.as_ref().unwrap_or(&status.agent)),
    ];
    for (field, text) in named {
        if text.is_empty() || text.len() > LONGEST {
            return Err(ApiError::invalid(format!(
                "`{field}` has 1 to {LONGEST} letters"
            )));
        }
    }
    if serde_json::to_string(&status).is_ok_and(|text| text.len() > LONGEST_STATUS) {
        return Err(ApiError::too_large(format!(
            "what an agent says of itself has at most {LONGEST_STATUS} bytes"
        )));
    }
    app.stores
        .meta
        .put_agent(
            &caller.tenant,
            &AgentRow {
                status,
                seen_at: now(),
            },
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The tenant's agents, by cluster.
#[utoipa::path(get, path = "/agents", tag = "self", responses((status = 200, body = Page<Agent>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
) -> Result<Json<Page<Agent>>, ApiError> {
    let of = |row: AgentRow| {
        let silent_seconds = now().seconds_since(row.seen_at).max(0.0) as u64;
        Agent {
            status: row.status,
            seen_at: row.seen_at,
            silent_seconds,
        }
    };
    let items = app
        .stores
        .meta
        .agents(&caller.tenant)
        .await?
        .into_iter()
        .map(of)
        .collect();
    Ok(Json(Page { items, next: None }))
}

/// Forgets the agents of a cluster: one that still runs is known again with its next heartbeat.
#[utoipa::path(delete, path = "/agents/{cluster}", tag = "self", params(("cluster" = String, Path)), responses((status = 204, description = "forgotten"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn forget(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(cluster): Path<String>,
) -> Result<StatusCode, ApiError> {
    match app
        .stores
        .meta
        .forget_agents(&caller.tenant, &cluster)
        .await?
    {
        0 => Err(ApiError::not_found(format!(
            "no agent of `{cluster}` is known"
        ))),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
