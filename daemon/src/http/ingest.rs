//! The endpoint that takes records in.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use kgrca_core::api::Ingested;

use super::auth::{Caller, Ingest};
use super::body::RawBody;
use super::error::{ApiError, ApiErrors};
use super::header_text;
use crate::usecases::App;
use crate::usecases::ingest::{self, IngestRequest};

/// Takes in a batch of records: JSON, an array, or NDJSON, optionally compressed with gzip or zstd.
/// The answer comes when the accepted records are durable.
#[utoipa::path(
    post,
    path = "/ingest/{kind}",
    operation_id = "ingest_records",
    tag = "ingest",
    params(
        ("kind" = String, Path, description = "events, changes, logs, resources, topology or alerts"),
        ("X-Cluster" = Option<String>, Header, min_length = 1, max_length = 255,
            pattern = "^[!-~]([ -~]*[!-~])?$", description = "Cluster of records that name none"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            pattern = "^[!-~]([ -~]*[!-~])?$",
            description = "Makes a repetition within 24 h harmless")
    ),
    request_body(
        content = serde_json::Value,
        content_type = "application/json",
        description = "A record, an array of records, or one record per line. Objects, Events and \
                       Lists as `kubectl get -o json` prints them are records, too. The example \
                       is an event.",
        example = json!({
            "event_id": "e1", "event_time": "2026-01-01T10:00:00Z", "cluster": "prod",
            "severity": "WARNING", "reason": "Failed", "count": 3,
            "message": "Failed to pull image",
            "subject": {"kind": "Pod", "ns": "shop", "name": "web-1"}
        })
    ),
    responses(
        (status = 202, description = "The accepted records are durable", body = Ingested),
        ApiErrors,
    )
)]
pub async fn ingest(
    State(app): State<Arc<App>>,
    caller: Caller<Ingest>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<(StatusCode, Json<Ingested>), ApiError> {
    let request = IngestRequest {
        kind,
        cluster: header_text(&headers, "x-cluster")?,
        idempotency_key: header_text(&headers, "idempotency-key")?,
        body: body.bytes,
        held: body.held,
    };
    let answer = ingest::ingest(&app, &caller, request).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}
