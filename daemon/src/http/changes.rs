//! The endpoint that lists changes of objects.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use kgrca_core::api::Page;
use kgrca_core::change::ClusterChange;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::LargeAnswer;
use super::auth::{Caller, Read};
use super::error::{ApiError, ApiErrors, timestamp};
use crate::usecases::{App, graph};

/// Filter of changes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangeParams {
    /// Made at or after this time.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Made before this time.
    #[param(format = DateTime)]
    until: Option<String>,
    /// Cluster.
    cluster: Option<String>,
    /// Namespace.
    namespace: Option<String>,
    /// Kind of the object.
    kind: Option<String>,
    /// Name of the object.
    name: Option<String>,
    /// Maximum number of items; default 200.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the previous page.
    #[param(pattern = "^-?[0-9]{1,18}-([0-9a-f]{2})*$")]
    cursor: Option<String>,
}

/// Lists what was changed on objects, oldest first: fields, old and new values, by whom and when.
///
/// A page may have fewer items than `limit`, or none, although there is a next one.
#[utoipa::path(
    get,
    path = "/changes",
    operation_id = "list_changes",
    tag = "graph",
    params(ChangeParams),
    responses((status = 200, description = "A page", body = Page<ClusterChange>), ApiErrors)
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    params: Result<Query<ChangeParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params?;
    let filter = graph::ChangeFilter {
        since: timestamp("since", params.since.as_deref())?,
        until: timestamp("until", params.until.as_deref())?,
        cluster: params.cluster,
        namespace: params.namespace,
        kind: params.kind,
        name: params.name,
    };
    let cursor = params.cursor.as_deref();
    answer
        .make(graph::changes(&app, &caller, filter, cursor, params.limit))
        .await
}
