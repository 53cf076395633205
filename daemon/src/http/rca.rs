//! Endpoints of root cause analysis.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kgrca_core::analyze::Analysis;
use kgrca_core::rca::{Answer, Scorer};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::LargeAnswer;
use super::auth::{Caller, Read};
use super::body::{JsonBody, RawBody};
use super::error::{ApiError, ApiErrors, timestamp};
use crate::usecases::analyze;
use crate::usecases::rca::{self, RcaAnswer, RcaQuery};
use crate::usecases::{Actor, App};

/// How the causes are computed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RcaParams {
    /// `inc-<number>`; default: the worst open incident, by severity and then by age, newest
    /// first.
    incident_id: Option<String>,
    /// The answer as it was at this time.
    #[param(format = DateTime)]
    at: Option<String>,
    /// The formula that ranks the causes.
    scorer: Option<Scorer>,
}

/// The causes of the worst open incident, or of `incident_id`.
#[utoipa::path(
    get,
    path = "/rca",
    operation_id = "get_rca",
    tag = "rca",
    params(
        RcaParams,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of an earlier answer")
    ),
    responses(
        (status = 200, description = "The ranked causes", body = Answer),
        (status = 304, description = "The answer of `If-None-Match` is current; not charged"),
        ApiErrors
    )
)]
pub async fn show_worst(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    headers: HeaderMap,
    params: Result<Query<RcaParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params?;
    respond(
        &app,
        &caller,
        params.incident_id.as_deref(),
        &params,
        &headers,
    )
    .await
}

/// The causes of one incident.
#[utoipa::path(
    get,
    path = "/rca/{incident}",
    operation_id = "get_incident_rca",
    tag = "rca",
    params(
        ("incident" = String, Path, description = "`inc-<number>`"),
        RcaParams,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of an earlier answer")
    ),
    responses(
        (status = 200, description = "The ranked causes", body = Answer),
        (status = 304, description = "The answer of `If-None-Match` is current; not charged"),
        ApiErrors
    )
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    headers: HeaderMap,
    Path(incident): Path<String>,
    params: Result<Query<RcaParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params?;
    respond(&app, &caller, Some(&incident), &params, &headers).await
}

async fn respond(
    app: &App,
    actor: &Actor,
    incident: Option<&str>,
    params: &RcaParams,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let query = RcaQuery {
        incident,
        scorer: params.scorer.unwrap_or_default(),
        at: timestamp("at", params.at.as_deref())?,
        known_etag: headers
            .get(header::IF_NONE_MATCH)
            .and_then(|v| v.to_str().ok()),
    };
    Ok(match rca::causes(app, actor, query).await? {
        RcaAnswer::Unchanged { etag } => {
            (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response()
        }
        RcaAnswer::Answer(answer) => {
            let headers = [
                (header::CONTENT_TYPE, "application/json".to_owned()),
                (header::ETAG, answer.etag),
            ];
            (headers, answer.body).into_response()
        }
    })
}

/// Analyzes records that are sent along: at most 8 MiB, 50,000 records and 20,000 objects, one
/// analysis of a tenant at a time. Nothing is stored.
#[utoipa::path(
    post,
    path = "/rca/analyze",
    operation_id = "analyze_records",
    tag = "rca",
    request_body(
        content = serde_json::Value,
        content_type = "application/json",
        description = "Records of any kind, one per line, or JSON as `kubectl get -o json` prints it"
    ),
    responses((status = 200, description = "The ranked causes", body = Analysis), ApiErrors)
)]
pub async fn analyze(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    body: RawBody,
) -> Result<Response, ApiError> {
    let analysis = analyze::analyze(&app, &caller, body.bytes).await?;
    answer.encode(analysis).await
}

/// The incidents to answer for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// Up to 100 of `inc-<number>`.
    #[schema(max_items = 100)]
    incident_ids: Vec<String>,
}

/// The causes of several incidents; those without an answer are left out.
#[utoipa::path(
    post,
    path = "/rca/bulk",
    operation_id = "get_rca_bulk",
    tag = "rca",
    request_body = BulkRequest,
    responses((status = 200, description = "An answer per incident", body = Vec<Answer>), ApiErrors)
)]
pub async fn bulk(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    JsonBody(request): JsonBody<BulkRequest>,
) -> Result<Response, ApiError> {
    let answers = rca::bulk(&app, &caller, &request.incident_ids);
    answer.make(answers).await
}
