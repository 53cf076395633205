//! The endpoints of the dead letter queue.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use kgrca_core::api::{DeadLetter, Ingested, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::LargeAnswer;
use super::auth::{Caller, Ingest, Read};
use super::error::{ApiError, ApiErrors};
use crate::usecases::{App, Error, dlq};

/// A page of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// `next` of the previous page.
    #[param(minimum = 0)]
    cursor: Option<i64>,
    /// Maximum number of items; default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Lists rejected records, oldest first.
#[utoipa::path(
    get,
    path = "/dlq",
    operation_id = "list_dead_letters",
    tag = "self",
    params(PageParams),
    responses((status = 200, description = "A page", body = Page<DeadLetter>), ApiErrors)
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    params: Result<Query<PageParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params?;
    answer
        .make(dlq::list(&app, &caller, params.cursor, params.limit))
        .await
}

/// Whether to send a record again that was sent again before.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RetryParams {
    /// Also when it was sent again before; default false.
    again: Option<bool>,
}

/// Sends a rejected record again, once unless `again` is set.
#[utoipa::path(
    post,
    path = "/dlq/{id}/retry",
    operation_id = "retry_dead_letter",
    tag = "self",
    params(("id" = u64, Path, description = "Position in the queue"), RetryParams),
    responses((status = 202, description = "What became of it", body = Ingested), ApiErrors)
)]
pub async fn retry(
    State(app): State<Arc<App>>,
    caller: Caller<Ingest>,
    Path(id): Path<String>,
    params: Result<Query<RetryParams>, QueryRejection>,
) -> Result<(StatusCode, Json<Ingested>), ApiError> {
    let Query(params) = params?;
    let missing = |_| Error::not_found(format!("rejected record `{id}` not found"));
    let id = id.parse().map_err(missing)?;
    let answer = dlq::retry(&app, &caller, id, params.again.unwrap_or(false)).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}
