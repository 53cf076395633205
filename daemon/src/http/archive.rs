//! The operator's side: tenants leave as lines of JSON, and come from such lines.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kgrca_core::api::{CreatedTenant, ErrorBody, Imported, NewTenant};
use kgrca_core::storage::archive::Part;
use kgrca_core::tenancy::{Saga, Tenant, TenantId, TenantState};
use tokio_stream::wrappers::ReceiverStream;

use super::admin::{audit, created, living, wanted};
use super::auth::Operator;
use super::body::{JsonBody, RawBody};
use super::error::ApiError;
use super::sagas;
use crate::tenancy;
use crate::usecases::App;

fn part(word: &str) -> Result<Part, ApiError> {
    let words = || Part::EXPORTED.map(Part::as_str).join(", ");
    let known = Part::EXPORTED.into_iter().find(|p| p.as_str() == word);
    known.ok_or_else(|| {
        ApiError::not_found(format!("`{word}` is no part of a tenant")).hint(words())
    })
}

/// A part of a tenant as lines of JSON, in the order of their ids. Parts are exported in the order
/// records, clusters, incidents, causes, episodes, edges, resources: then what a row refers to is
/// there also when the tenant is served meanwhile.
#[utoipa::path(get, path = "/admin/clients/{id}/export/{part}", tag = "admin", params(("id" = String, Path), ("part" = String, Path, description = "records, clusters, incidents, causes, edges, episodes or resources")), responses((status = 200, description = "a row on each line", content_type = "application/x-ndjson"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub async fn export(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path((id, word)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let part = part(&word)?;
    let (tenant, client) = living(&app, &id).await?;
    if client.state == TenantState::Joining {
        return Err(ApiError::conflict(format!(
            "tenant `{id}` is still being set up: it is not whole"
        )));
    }
    audit(&app, &operator.actor, &id, "client.export", &word).await?;
    Ok(lines(app, tenant, client, part))
}

/// The rows of a part as a body.
fn lines(app: Arc<App>, tenant: TenantId, client: Tenant, part: Part) -> Response {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::spawn(async move {
        if let Err(e) = tenancy::export(&app.tenancy, &tenant, &client, part, &sender).await {
            tracing::warn!(client_id = %tenant, error = %e, "an export ended early");
            // The reader sees a body that breaks off. Nobody may be left to see it.
            let _ = sender.send(Err(e)).await;
        }
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (headers, Body::from_stream(ReceiverStream::new(receiver))).into_response()
}

/// Begins to set a tenant up that comes from another installation. It takes rows then, and is
/// served when it is told that all were loaded.
#[utoipa::path(post, path = "/admin/imports", tag = "admin", params(("Idempotency-Key" = Option<String>, Header, description = "the same key again goes on with what it began")), request_body = NewTenant, responses((status = 202, body = Saga), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 409, body = ErrorBody), (status = 500, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn begin(
    State(app): State<Arc<App>>,
    operator: Operator,
    headers: HeaderMap,
    JsonBody(wish): JsonBody<NewTenant>,
) -> Result<(StatusCode, Json<Saga>), ApiError> {
    let (client, request) = wanted(&app, wish, &headers)?;
    let saga = tenancy::create_to_load(&app.tenancy, client, request).await?;
    audit(
        &app,
        &operator.actor,
        &saga.client_id,
        "client.import",
        &saga.saga_id,
    )
    .await?;
    Ok((StatusCode::ACCEPTED, Json(saga)))
}

/// Loads rows of a part, a row on each line, as an export gives them. The same rows again change
/// nothing, but for records: the answer tells how many there are by now. Resources come first, then
/// edges, causes, episodes, incidents, clusters and records.
#[utoipa::path(post, path = "/admin/imports/{id}/{part}", tag = "admin", params(("id" = String, Path, description = "the saga"), ("part" = String, Path, description = "resources, episodes, edges, causes, incidents, clusters or records")), request_body(content = String, content_type = "application/x-ndjson"), responses((status = 200, body = Imported), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn load(
    State(app): State<Arc<App>>,
    _: Operator,
    Path((id, word)): Path<(String, String)>,
    RawBody(body): RawBody,
) -> Result<Json<Imported>, ApiError> {
    let saga = sagas::find(&app, &id).await?;
    let part = part(&word)?;
    let (rows, records) = tenancy::load(&app.tenancy, &saga.saga_id, part, &body).await?;
    Ok(Json(Imported { rows, records }))
}

/// A part of what was loaded so far, as an export gives it: equal to what was sent, when all of it
/// is there.
#[utoipa::path(get, path = "/admin/imports/{id}/{part}", tag = "admin", params(("id" = String, Path, description = "the saga"), ("part" = String, Path, description = "resources, episodes, edges, causes, incidents, clusters or records")), responses((status = 200, description = "a row on each line", content_type = "application/x-ndjson"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub async fn check(
    State(app): State<Arc<App>>,
    _: Operator,
    Path((id, word)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (tenant, client) =
        tenancy::unfinished(&app.tenancy, &sagas::find(&app, &id).await?).await?;
    let part = part(&word)?;
    Ok(lines(app, tenant, client, part))
}

/// Says that everything was loaded: the tenant gets its first key, which is shown only here, and is
/// served.
#[utoipa::path(post, path = "/admin/imports/{id}", tag = "admin", params(("id" = String, Path, description = "the saga")), responses((status = 201, body = CreatedTenant), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn end(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<CreatedTenant>), ApiError> {
    let saga = sagas::find(&app, &id).await?;
    let (saga, secrets) = tenancy::loaded(&app.tenancy, &saga.saga_id).await?;
    audit(
        &app,
        &operator.actor,
        &saga.client_id,
        "client.create",
        &saga.saga_id,
    )
    .await?;
    Ok((StatusCode::CREATED, Json(created(&app, &saga, secrets))))
}
