//! The endpoint that follows incidents by server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream};
use kgrca_core::storage::TransitionRow;
use kgrca_core::tenancy::Scope;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::auth::{Caller, Read};
use super::error::{ApiError, ApiErrors};
use super::guarded::Guarded;
use crate::usecases::budgets::Held;
use crate::usecases::incident_feed::{self, IncidentFeed};
use crate::usecases::{App, Error, Result};

/// How often an idle connection carries a comment, so that proxies keep it open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Events = Sse<KeepAliveStream<Guarded<ReceiverStream<Result<Event, Infallible>>>>>;

/// Follows the transitions of all incidents. `Last-Event-ID` resumes without gaps.
#[utoipa::path(
    get,
    path = "/incidents/stream",
    operation_id = "stream_incidents",
    tag = "incidents",
    params(("Last-Event-ID" = Option<i64>, Header,
        description = "Resume after this event; default: only new events")),
    responses(
        (status = 200, description = "Server-sent events named `transition`",
            content_type = "text/event-stream"),
        ApiErrors
    )
)]
pub async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Extension(held): Extension<Arc<Held>>,
    headers: HeaderMap,
) -> Result<Events, ApiError> {
    held.become_stream()?;
    let feed = incident_feed::follow(&app, &caller, last_event_id(&headers)?).await?;
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(forward(feed, sender));
    let events = ReceiverStream::new(receiver);
    let events = Guarded::new(events, None, (&app, &caller), Scope::Read);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    match id {
        Some(id) => Ok(Some(id)),
        None => Err(Error::invalid(
            "`Last-Event-ID` is not an event id of this stream",
        )),
    }
}

async fn forward(mut feed: IncidentFeed, sender: mpsc::Sender<Result<Event, Infallible>>) {
    loop {
        let page = tokio::select! {
            page = feed.next() => page,
            () = sender.closed() => return,
        };
        for row in &page {
            if sender.send(Ok(event(row))).await.is_err() {
                return;
            }
        }
    }
}

fn event(row: &TransitionRow) -> Event {
    let data = serde_json::to_string(row).unwrap_or_default();
    Event::default()
        .event("transition")
        .id(row.id.to_string())
        .data(data)
}
