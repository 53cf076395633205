//! What happened, in the order of time.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Query, State};
use kgrca_core::api::{EpisodeView, ErrorBody, Page};
use kgrca_core::engine::EpisodeRow;
use kgrca_core::model::Time;
use kgrca_core::storage::TimelineFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::ApiError;
use super::guard::{Caller, Read};
use crate::app::App;
use crate::auth::hex;

/// The kinds of episodes.
const KINDS: [&str; 6] = ["event", "log", "alert", "state", "symptom", "cause"];

/// Which episodes are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// At or after this time.
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
    /// About the resource of this uid.
    resource: Option<String>,
    /// Of this cluster.
    cluster: Option<String>,
    /// `event`, `log`, `alert`, `state`, `symptom` or `cause`.
    kind: Option<String>,
    /// Most items, 1 to 1000.
    limit: Option<usize>,
    /// Cursor from `next`.
    cursor: Option<String>,
}

/// Warnings, log patterns by the minute, alerts, changes of state, symptoms and causes in the order of time.
#[utoipa::path(get, path = "/graph/timeline", tag = "graph", params(Span), responses((status = 200, body = Page<EpisodeView>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn timeline(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    span: Result<Query<Span>, extract::rejection::QueryRejection>,
) -> Result<Json<Page<EpisodeView>>, ApiError> {
    let Query(span) = span.map_err(|e| ApiError::invalid(e.body_text()))?;
    let time = |field: &str, text: Option<&str>| {
        text.map(|t| Time::parse(t).ok_or_else(|| ApiError::invalid(format!("`{field}`: `{t}` is no RFC 3339 time")))).transpose()
    };
    if let Some(kind) = span.kind.as_deref().filter(|k| !KINDS.contains(k)) {
        return Err(ApiError::invalid(format!("`kind`: there is no kind `{kind}`")).hint(KINDS.join(", ")));
    }
    let after = match span.cursor.as_deref() {
        None => None,
        Some(text) => Some(place(text).ok_or_else(|| ApiError::invalid("`cursor` is not one of this list"))?),
    };
    let limit = span.limit.unwrap_or(200).clamp(1, 1000);
    let filter = TimelineFilter {
        from: time("from", span.from.as_deref())?,
        to: time("to", span.to.as_deref())?,
        resource: span.resource,
        cluster: span.cluster,
        kind: span.kind,
        after,
        limit,
    };
    let rows = app.stores.graph.timeline(&caller.tenant, &filter).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(cursor);
    Ok(Json(Page { items: rows.into_iter().map(view).collect(), next }))
}

fn view(row: EpisodeRow) -> EpisodeView {
    EpisodeView {
        id: row.id,
        at: row.last,
        first: row.first,
        kind: row.kind,
        cluster: row.cluster,
        resource: row.about,
        severity: row.severity,
        reason: row.reason,
        message: row.message,
        count: row.count,
    }
}

/// Time and id of the last row; ids hold any character, so that they are written as numbers.
fn cursor(row: &EpisodeRow) -> String {
    format!("{}-{}", row.last.0, hex(row.id.as_bytes()))
}

fn place(cursor: &str) -> Option<(Time, String)> {
    let (time, id) = cursor.split_once('-')?;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = id.as_bytes().chunks(2).map(byte).collect();
    Some((Time(time.parse().ok()?), String::from_utf8(bytes?).ok()?))
}
