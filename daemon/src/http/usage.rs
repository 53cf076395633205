//! Endpoints of usage and limits.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use kgrca_core::api::{LimitsView, Usage};
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Billing, Caller, Read};
use super::error::{ApiError, ApiErrors};
use crate::usecases::usage::{self, DaySpan};
use crate::usecases::{App, Result};

/// Days in UTC.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SpanParams {
    /// First day, `YYYY-MM-DD`; default: the first of this month.
    #[param(format = Date)]
    from: Option<String>,
    /// Day after the last; default: tomorrow.
    #[param(format = Date)]
    to: Option<String>,
}

impl SpanParams {
    pub(super) fn span(&self) -> Result<DaySpan> {
        DaySpan::parse(self.from.as_deref(), self.to.as_deref())
    }
}

/// Shows usage by day and metric.
#[utoipa::path(
    get,
    path = "/usage",
    operation_id = "get_usage",
    tag = "self",
    params(SpanParams),
    responses((status = 200, description = "Usage by day and metric", body = Usage), ApiErrors)
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Billing>,
    params: Result<Query<SpanParams>, QueryRejection>,
) -> Result<Json<Usage>, ApiError> {
    let Query(params) = params?;
    Ok(Json(usage::show(&app, &caller, params.span()?).await?))
}

/// Shows the plan's limits and what is used of them today.
#[utoipa::path(
    get,
    path = "/limits",
    operation_id = "get_limits",
    tag = "self",
    responses((status = 200, description = "Limits and usage", body = LimitsView), ApiErrors)
)]
pub async fn limits(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
) -> Result<Json<LimitsView>, ApiError> {
    Ok(Json(usage::limits(&app, &caller).await?))
}
