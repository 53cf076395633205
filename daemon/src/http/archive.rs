//! Endpoints that export and import tenants, for the operator.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kgrca_core::api::{CreatedTenant, Imported, NewTenant};
use kgrca_core::storage::{self, ErrorKind};
use kgrca_core::tenancy::{Saga, Scope};
use serde::Deserialize;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;

use super::auth::{Caller, Operator};
use super::body::{JsonBody, RawBody};
use super::error::{ApiError, ApiErrors};
use super::guarded::Guarded;
use super::header_text;
use crate::usecases::archive::{self, Rows};
use crate::usecases::{Actor, App};

fn ndjson(rows: Rows, app: &Arc<App>, actor: &Actor) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    let revoked = storage::Error::new(ErrorKind::Refused, "the key of the export was revoked");
    let rows = ReceiverStream::new(rows);
    let rows = Guarded::new(rows, Some(Err(revoked)), (app, actor), Scope::Admin);
    (headers, Body::from_stream(rows)).into_response()
}

/// A tenant and a part of it in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ExportPath {
    /// Id of the tenant.
    id: String,
    /// records, clusters, incidents, causes, episodes, edges or resources.
    part: String,
}

/// A saga and a part of the tenant it imports in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ImportPartPath {
    /// Id of the saga.
    id: String,
    /// resources, edges, causes, episodes, incidents, clusters or records.
    part: String,
}

/// A saga that imports a tenant in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ImportPath {
    /// Id of the saga.
    id: String,
}

/// Exports a part of a tenant as lines of JSON, in the order of their ids.
///
/// Export the parts in the order records, clusters, incidents, causes, episodes, edges, resources:
/// then rows find what they refer to even if the tenant is served meanwhile.
#[utoipa::path(
    get,
    path = "/admin/clients/{id}/export/{part}",
    operation_id = "export_tenant",
    tag = "admin",
    params(ExportPath),
    responses(
        (status = 200, description = "A row per line", content_type = "application/x-ndjson"),
        ApiErrors
    )
)]
pub async fn export(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<ExportPath>,
) -> Result<Response, ApiError> {
    let rows = archive::export(&app, &caller, &path.id, &path.part).await?;
    Ok(ndjson(rows, &app, &caller))
}

/// Starts importing a tenant from another installation.
///
/// Load its rows next, then complete the import.
#[utoipa::path(
    post,
    path = "/admin/imports",
    operation_id = "begin_import",
    tag = "admin",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]([ -~]*[!-~])?$",
        description = "For 24 h the same request with the same key resumes the same operation; \
                       when that is done, it issues new secrets. Another request with the key is \
                       refused with 409")),
    request_body = NewTenant,
    responses((status = 202, description = "The saga that takes the rows", body = Saga), ApiErrors)
)]
pub async fn begin(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewTenant>,
) -> Result<(StatusCode, Json<Saga>), ApiError> {
    let idempotency_key = header_text(&headers, "idempotency-key")?;
    let saga = archive::begin(&app, &caller, new, idempotency_key).await?;
    Ok((StatusCode::ACCEPTED, Json(saga)))
}

/// Loads rows of a part, a row per line, as an export writes them.
///
/// Load resources first, then edges, causes, episodes, incidents, clusters and records. Repeating
/// rows changes nothing, except for records: the answer says how many there are now.
#[utoipa::path(
    post,
    path = "/admin/imports/{id}/{part}",
    operation_id = "load_import",
    tag = "admin",
    params(ImportPartPath),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, description = "What was loaded", body = Imported), ApiErrors)
)]
pub async fn load(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<ImportPartPath>,
    rows: RawBody,
) -> Result<Json<Imported>, ApiError> {
    Ok(Json(
        archive::load(&app, &caller, &path.id, &path.part, &rows.bytes).await?,
    ))
}

/// Shows what was loaded of a part so far, in the form of an export.
///
/// It equals what was sent once the part is complete.
#[utoipa::path(
    get,
    path = "/admin/imports/{id}/{part}",
    operation_id = "check_import",
    tag = "admin",
    params(ImportPartPath),
    responses(
        (status = 200, description = "A row per line", content_type = "application/x-ndjson"),
        ApiErrors
    )
)]
pub async fn check(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<ImportPartPath>,
) -> Result<Response, ApiError> {
    let rows = archive::loaded(&app, &caller, &path.id, &path.part).await?;
    Ok(ndjson(rows, &app, &caller))
}

/// Completes an import: the tenant gets its first key, which is shown only here, and is served.
#[utoipa::path(
    post,
    path = "/admin/imports/{id}",
    operation_id = "complete_import",
    tag = "admin",
    params(ImportPath),
    responses((status = 201, description = "The tenant is served", body = CreatedTenant), ApiErrors)
)]
pub async fn complete(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<ImportPath>,
) -> Result<(StatusCode, Json<CreatedTenant>), ApiError> {
    let created = archive::complete(&app, &caller, &path.id).await?;
    Ok((StatusCode::CREATED, Json(created)))
}
