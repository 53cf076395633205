//! What happened, in the order of time.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Query, State};
use kgrca_core::api::{EpisodeView, ErrorBody, Page};
use kgrca_core::engine::EpisodeRow;
use kgrca_core::model::Time;
use kgrca_core::storage::TimelineFilter;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Caller, Read};
use super::error::{ApiError, timestamp};
use crate::usecases::{App, page_size};
use kgrca_core::tenancy::hex;

/// The kinds of episodes.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EpisodeKind {
    /// A Kubernetes warning.
    Event,
    /// A log pattern within a minute.
    Log,
    /// An alert.
    Alert,
    /// A resource became well or unwell.
    State,
    /// What hurt an incident.
    Symptom,
    /// What caused it.
    Cause,
}

impl EpisodeKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Log => "log",
            Self::Alert => "alert",
            Self::State => "state",
            Self::Symptom => "symptom",
            Self::Cause => "cause",
        }
    }
}

/// Which episodes are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Span {
    /// At or after this time.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Before this time.
    #[param(format = DateTime)]
    to: Option<String>,
    /// About the resource of this uid.
    resource: Option<String>,
    /// Of this cluster.
    cluster: Option<String>,
    /// Of this kind.
    kind: Option<EpisodeKind>,
    /// Most items, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Cursor from `next`.
    #[param(pattern = "^-?[0-9]{1,18}-([0-9a-f]{2})*$")]
    cursor: Option<String>,
}

/// Warnings, log patterns by the minute, alerts, changes of state, symptoms and causes in the order
/// of time.
#[utoipa::path(get, path = "/graph/timeline", tag = "graph", params(Span), responses((status = 200, body = Page<EpisodeView>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn timeline(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    span: Result<Query<Span>, extract::rejection::QueryRejection>,
) -> Result<Json<Page<EpisodeView>>, ApiError> {
    let Query(span) = span?;
    let after = match span.cursor.as_deref() {
        None => None,
        Some(text) => {
            Some(place(text).ok_or_else(|| ApiError::invalid("`cursor` is not one of this list"))?)
        }
    };
    let limit = page_size("limit", span.limit, 200, 1000)?;
    let filter = TimelineFilter {
        from: timestamp("from", span.from.as_deref())?,
        to: timestamp("to", span.to.as_deref())?,
        resource: span.resource,
        cluster: span.cluster,
        kind: span.kind.map(|k| k.as_str().to_owned()),
        after,
        limit,
    };
    let (rows, next) = app.stores.graph.timeline(&caller.tenant, &filter).await?;
    let next = next.map(|(time, id)| cursor(time, &id));
    Ok(Json(Page {
        items: rows.into_iter().map(view).collect(),
        next,
    }))
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
fn cursor(time: Time, id: &str) -> String {
    format!("{}-{}", time.0, hex(id.as_bytes()))
}

fn place(cursor: &str) -> Option<(Time, String)> {
    let (time, id) = cursor.rsplit_once('-')?;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = id.as_bytes().chunks(2).map(byte).collect();
    // Only ids that were given out come back; any other bytes lie behind or before some of them.
    Some((
        Time(time.parse().ok()?),
        String::from_utf8_lossy(&bytes?).into_owned(),
    ))
}
