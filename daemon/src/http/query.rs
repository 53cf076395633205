//! The endpoint that queries the graph.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use kgrca_core::api::Question;
use kgrca_core::storage::cypher::CypherAnswer;

use super::answer::LargeAnswer;
use super::auth::{Caller, Query};
use super::body::JsonBody;
use super::error::{ApiError, ApiErrors};
use crate::usecases::{App, query};

/// Runs a read-only Cypher query over the tenant's graph, within a budget of time, rows and memory.
#[utoipa::path(
    post,
    path = "/query/cypher",
    operation_id = "run_cypher",
    tag = "query",
    request_body = Question,
    responses((status = 200, description = "The rows", body = CypherAnswer), ApiErrors)
)]
pub async fn cypher(
    State(app): State<Arc<App>>,
    caller: Caller<Query>,
    answer: LargeAnswer,
    JsonBody(question): JsonBody<Question>,
) -> Result<Response, ApiError> {
    let rows = query::cypher(&app, &caller, question).await?;
    answer.encode(rows).await
}
