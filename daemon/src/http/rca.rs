//! Answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kgrca_core::analyze::{self, Analysis};
use kgrca_core::api::ErrorBody;
use kgrca_core::billing::Metric;
use kgrca_core::model::Time;
use kgrca_core::model::time::MINUTE;
use kgrca_core::rca::{Answer, Scorer};
use kgrca_core::storage::{IncidentFilter, Window};
use kgrca_core::tenancy::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Caller, Read};
use super::body::{JsonBody, RawBody};
use super::error::{ApiError, timestamp};
use crate::clock::now;
use crate::usecases::incidents::number;
use crate::usecases::rca_cache::{CacheKey, EncodedAnswer};
use crate::usecases::{App, seconds_until_retry};

/// Which answer is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wish {
    /// `inc-<number>`; the newest live incident when absent.
    incident_id: Option<String>,
    /// The answer as it stood at this time.
    #[param(format = DateTime)]
    at: Option<String>,
    /// Which formula ranks.
    scorer: Option<Scorer>,
}

/// The causes of an incident, by default of the newest live one.
#[utoipa::path(get, path = "/rca", tag = "rca", params(Wish, ("If-None-Match" = Option<String>, Header, description = "`ETag` of an earlier answer")), responses((status = 200, body = Answer), (status = 304, description = "the answer is still the one of `If-None-Match`; free"), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn latest(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    headers: HeaderMap,
    wish: Result<Query<Wish>, extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wish) = wish?;
    let number = wish.incident_id.as_deref().map(number).transpose()?;
    serve(&app, &caller, number, &wish, &headers).await
}

/// The causes of one incident.
#[utoipa::path(get, path = "/rca/{incident}", tag = "rca", params(("incident" = String, Path, description = "inc-<number>"), Wish, ("If-None-Match" = Option<String>, Header, description = "`ETag` of an earlier answer")), responses((status = 200, body = Answer), (status = 304, description = "the answer is still the one of `If-None-Match`; free"), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn of_incident(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    headers: HeaderMap,
    Path(incident): Path<String>,
    wish: Result<Query<Wish>, extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wish) = wish?;
    serve(&app, &caller, Some(number(&incident)?), &wish, &headers).await
}

async fn newest(app: &App, tenant: &TenantId) -> Result<i64, ApiError> {
    let filter = IncidentFilter {
        limit: 100,
        ..IncidentFilter::default()
    };
    let rows = app.stores.meta.incidents(tenant, &filter).await?;
    let live = rows
        .iter()
        .find(|r| r.state != kgrca_core::incident::State::Resolved)
        .or(rows.first());
    Ok(number(
        &live
            .ok_or_else(|| ApiError::not_found("there is no incident"))?
            .incident_id,
    )?)
}

/// Answers, from memory while nothing was committed since.
async fn serve(
    app: &App,
    caller: &Caller<Read>,
    number: Option<i64>,
    wish: &Wish,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let scorer = wish.scorer.unwrap_or_default();
    let at = timestamp("at", wish.at.as_deref())?;
    let place = CacheKey {
        tenant: caller.tenant.clone(),
        number,
        scorer,
    };
    // Before the answer is read: a commit in between makes it old at once, not new for ever.
    let commits = *app.fleet.commits(&caller.tenant).borrow();
    let served = if let Some(served) = app.rca_cache.get(&place, commits).filter(|_| at.is_none()) {
        served
    } else {
        let served = EncodedAnswer::new(&answer(app, &caller.tenant, number, scorer, at).await?)?;
        if at.is_none() {
            app.rca_cache.put(place, commits, served.clone());
        }
        served
    };
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == served.etag.as_bytes())
    {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, served.etag)]).into_response());
    }
    charge(app, caller, 1).await?;
    Ok((
        [
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (header::ETAG, served.etag),
        ],
        served.body,
    )
        .into_response())
}

async fn answer(
    app: &App,
    tenant: &TenantId,
    number: Option<i64>,
    scorer: Scorer,
    at: Option<Time>,
) -> Result<Answer, ApiError> {
    let number = match number {
        Some(number) => number,
        None => newest(app, tenant).await?,
    };
    let missing = || {
        ApiError::not_found(format!("there is no incident `inc-{number}`"))
            .hint("GET /api/v1/incidents lists them")
    };
    let row = app
        .stores
        .meta
        .incident(tenant, number)
        .await?
        .ok_or_else(missing)?;
    let unanswered = || match at {
        Some(at) => ApiError::not_found(format!(
            "inc-{number} had no answer at {at}; it began at {}",
            row.started_at
        )),
        None => ApiError::not_found(format!("inc-{number} has no answer yet")),
    };
    let mut answer = app
        .stores
        .meta
        .answer(tenant, number, scorer, at)
        .await?
        .ok_or_else(unanswered)?;
    if at.is_none() {
        answer.state = row.state;
    }
    Ok(answer)
}

/// Holds the plan's hour and counts `n` queries, all of them or none.
async fn charge(app: &App, caller: &Caller<Read>, n: u64) -> Result<(), ApiError> {
    if let Some(limit) = caller.plan.rca_hour {
        let window = Window {
            name: "rca/hour",
            length: 60 * MINUTE,
            limit,
        };
        let taken = app
            .stores
            .limits
            .take(&caller.tenant, window, n, now())
            .await?;
        if !taken.allowed {
            let message = format!(
                "the plan `{}` answers {limit} RCA queries an hour",
                caller.plan.name
            );
            return Err(ApiError::limited(message, seconds_until_retry(&taken)));
        }
    }
    app.pending_usage
        .add(&caller.tenant, Metric::RcaQueries, n as i64);
    Ok(())
}

/// Records in, causes out; nothing is stored.
#[utoipa::path(post, path = "/rca/analyze", tag = "rca", request_body(content = serde_json::Value, content_type = "application/json", description = "Records of any kind, one per line, or JSON documents as kubectl -o json prints them"), responses((status = 200, body = Analysis), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 413, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn analyze(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    RawBody(body): RawBody,
) -> Result<Json<Analysis>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Err(ApiError::invalid("the body is empty")
            .hint("send records: JSON, an array, or one per line"));
    }
    charge(&app, &caller, 1).await?;
    let options = analyze::Options {
        top: kgrca_core::rca::MAX_CAUSES,
        now: now(),
        ..analyze::Options::default()
    };
    let analysis =
        tokio::task::spawn_blocking(move || analyze::analyze("request", &body, &options)).await;
    Ok(Json(
        analysis.map_err(|e| ApiError::internal(e.to_string()))?,
    ))
}

/// Which incidents are wanted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bulk {
    /// At most 100 of `inc-<number>`.
    incident_ids: Vec<String>,
}

/// The causes of several incidents; those that do not exist are left out.
#[utoipa::path(post, path = "/rca/bulk", tag = "rca", request_body = Bulk, responses((status = 200, body = Vec<Answer>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn bulk(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    JsonBody(wish): JsonBody<Bulk>,
) -> Result<Json<Vec<Answer>>, ApiError> {
    if wish.incident_ids.len() > 100 {
        return Err(ApiError::invalid("at most 100 incidents at once"));
    }
    let mut answers = Vec::new();
    for id in &wish.incident_ids {
        let Ok(number) = number(id) else { continue };
        match answer(&app, &caller.tenant, Some(number), Scorer::Causal, None).await {
            Ok(found) => answers.push(found),
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    // All of them before the first counts: what is refused costs nothing.
    charge(&app, &caller, answers.len() as u64).await?;
    Ok(Json(answers))
}
