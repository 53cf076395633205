//! The feed of incidents as server-sent events. Transitions are never dropped: a follower that fell
//! behind reads what it missed from the store.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream};
use kgrca_core::api::ErrorBody;
use kgrca_core::storage::TransitionRow;
use kgrca_core::tenancy::{TenantId, TenantState};
use tokio_stream::wrappers::ReceiverStream;

use super::auth::{Caller, Read};
use super::error::ApiError;
use crate::usecases::App;

/// How many transitions are read from the store at once.
const PAGE: usize = 500;
/// How often is looked for what other daemons committed.
const ELSEWHERE: Duration = Duration::from_secs(1);

/// Follows the transitions of all incidents; `Last-Event-ID` resumes.
#[utoipa::path(get, path = "/incidents/stream", tag = "incidents", params(("Last-Event-ID" = Option<i64>, Header, description = "go on behind this event; only new ones when absent")), responses((status = 200, description = "server-sent events `transition`", content_type = "text/event-stream"), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    headers: HeaderMap,
) -> Result<Sse<KeepAliveStream<ReceiverStream<Result<Event, Infallible>>>>, ApiError> {
    let after = match headers
        .get("last-event-id")
        .map(|v| v.to_str().ok().and_then(|v| v.parse::<i64>().ok()))
    {
        Some(Some(id)) => id,
        Some(None) => {
            return Err(ApiError::invalid(
                "`Last-Event-ID` is no event id of this stream",
            ));
        }
        None => newest(&app, &caller.tenant).await?,
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    tokio::spawn(follow(app, caller.tenant, after, sender));
    Ok(Sse::new(ReceiverStream::new(receiver))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

async fn newest(app: &App, tenant: &TenantId) -> Result<i64, ApiError> {
    let mut after = 0;
    loop {
        let page = app
            .stores
            .meta
            .transitions(tenant, None, after, PAGE)
            .await?;
        match page.last() {
            Some(last) => after = last.id,
            None => return Ok(after),
        }
    }
}

/// The store is the source; a commit of this daemon only says that there is something to read.
async fn follow(
    app: Arc<App>,
    tenant: TenantId,
    mut after: i64,
    sender: tokio::sync::mpsc::Sender<Result<Event, Infallible>>,
) {
    let mut commits = app.fleet.commits(&tenant);
    loop {
        match app
            .stores
            .meta
            .transitions(&tenant, None, after, PAGE)
            .await
        {
            Ok(page) => {
                for row in &page {
                    after = row.id;
                    if sender.send(Ok(event(row))).await.is_err() {
                        return;
                    }
                }
                if page.len() == PAGE {
                    continue;
                }
            }
            Err(e) => tracing::warn!(error = %e, "the feed goes on when the store answers"),
        }
        tokio::select! {
            _ = commits.changed() => {}
            // Another daemon may have committed.
            () = tokio::time::sleep(ELSEWHERE) => if is_gone(&app, &tenant).await { return },
            () = sender.closed() => return,
        }
    }
}

async fn is_gone(app: &App, tenant: &TenantId) -> bool {
    let client = app.stores.meta.tenant(tenant.as_str()).await;
    client.is_ok_and(|c| c.is_none_or(|c| c.state != TenantState::Active))
}

fn event(row: &TransitionRow) -> Event {
    let data = serde_json::to_string(row).unwrap_or_default();
    Event::default()
        .event("transition")
        .id(row.id.to_string())
        .data(data)
}
