//! The endpoint of the dead letter queue.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use kgrca_core::api::{DeadLetter, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::LargeAnswer;
use super::auth::{Caller, Read};
use super::error::{ApiError, ApiErrors};
use crate::usecases::{App, dlq};

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
