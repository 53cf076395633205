//! Questions to the graph in its query language.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use kgrca_core::api::{ErrorBody, Question};
use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery};

use super::auth::{Caller, Query};
use super::body::JsonBody;
use super::error::ApiError;
use crate::usecases::{App, page_size};

/// Most bytes of an answer.
const BYTES: usize = 8 << 20;
/// The longest that a question may take, in milliseconds.
const LONGEST: usize = 30_000;

/// Answers a question in Cypher over the tenant's graph, as far as its budget of time, rows and
/// memory goes. It cannot write.
#[utoipa::path(post, path = "/query/cypher", tag = "query", request_body = Question, responses((status = 200, body = CypherAnswer), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn cypher(
    State(app): State<Arc<App>>,
    caller: Caller<Query>,
    JsonBody(wish): JsonBody<Question>,
) -> Result<Json<CypherAnswer>, ApiError> {
    let time = page_size("timeout_ms", wish.timeout_ms, 5000, LONGEST)?;
    let query = CypherQuery {
        text: wish.query,
        parameters: wish.parameters,
        time: Duration::from_millis(time as u64),
        rows: page_size("limit", wish.limit, 1000, 10_000)?,
        bytes: BYTES,
    };
    Ok(Json(app.stores.graph.cypher(&caller.tenant, &query).await?))
}
