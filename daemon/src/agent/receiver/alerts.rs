//! Alertmanager's webhook (version 4).

use std::sync::Arc;

use axum::body::{Bytes, HttpBody};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use kgrca_core::model::{Time, Topic};
use kgrca_core::parse::{self, Context};
use serde_json::Value;
use tokio::sync::oneshot;

use super::{Endpoint, Receiver};
use crate::agent::outbox::{OutboxItem, OutgoingRecord};

/// Most bytes of a notification, and most of them at a time: others wait.
const MAX_NOTIFICATION: usize = 1 << 20;
pub const NOTIFICATIONS: usize = 8;

/// The route of the webhook.
pub(super) fn route() -> MethodRouter<Arc<Receiver>> {
    post(receive).layer(DefaultBodyLimit::max(MAX_NOTIFICATION))
}

/// Accepts a notification; nothing of it is read before its token was checked.
async fn receive(State(receiver): Endpoint, request: Request) -> Response {
    let refusal = |status, text: String| (status, text).into_response();
    if let Err((status, text)) = receiver.authorize(request.headers()) {
        return refusal(status, text);
    }
    if request.body().size_hint().lower() > MAX_NOTIFICATION as u64 {
        let text = format!("a notification has at most {MAX_NOTIFICATION} bytes\n");
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, text);
    }
    let Ok(_place) = receiver.notifications.acquire().await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, SHUTTING_DOWN.into());
    };
    match Bytes::from_request(request, &()).await {
        Ok(body) => take_in(&receiver, &body).await.into_response(),
        Err(rejection) => rejection.into_response(),
    }
}

const SHUTTING_DOWN: &str = "the agent is shutting down\n";

/// Answers once the notification is on disk; without an answer Alertmanager retries.
async fn take_in(receiver: &Receiver, body: &[u8]) -> (StatusCode, String) {
    let context = Context {
        received_at: receiver.shared.clock.now(),
        cluster: Some(&receiver.identity.cluster),
        client_id: None,
    };
    if let Err(reject) = parse::parse(Topic::Alerts, body, &context, &mut Vec::new()) {
        return (StatusCode::BAD_REQUEST, format!("{}\n", reject.message));
    }
    let Ok(webhook) = serde_json::from_slice::<Value>(body) else {
        return (StatusCode::BAD_REQUEST, "the body is not JSON\n".into());
    };
    if let Err(reason) = validate(&webhook) {
        return (StatusCode::BAD_REQUEST, format!("{reason}\n"));
    }
    let (durable, is_durable) = oneshot::channel();
    let record = OutgoingRecord {
        topic: Topic::Alerts,
        replaces: None,
        // Serialized again, because a spooled record is a single line.
        line: webhook.to_string().into_bytes(),
        position: None,
        durable: Some(durable),
    };
    receiver.outbox.put(OutboxItem::Record(record)).await;
    match is_durable.await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, SHUTTING_DOWN.into()),
    }
}

/// Checks what the parser does not insist on, because it accepts single alerts, too.
fn validate(webhook: &Value) -> Result<(), String> {
    if webhook["version"] != "4" {
        return Err(format!(
            "unsupported webhook version {}, expected \"4\"",
            webhook["version"]
        ));
    }
    let alerts = webhook["alerts"].as_array().into_iter().flatten();
    for (index, alert) in alerts.enumerate() {
        if !alert["labels"]["alertname"].is_string() {
            return Err(format!("alert {index} has no label `alertname`"));
        }
        if alert["startsAt"].as_str().and_then(Time::parse).is_none() {
            return Err(format!(
                "alert {index}: `startsAt` is missing or not RFC 3339"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_webhook_needs_version_4_and_an_alert_needs_a_name_and_a_start() {
        let alert = json!({"labels": {"alertname": "A"}, "startsAt": "2026-01-01T00:00:00Z"});
        assert_eq!(
            validate(&json!({"version": "4", "alerts": [alert]})),
            Ok(())
        );
        for (webhook, reason) in [
            (json!({"version": "3"}), "unsupported webhook version"),
            (json!({"version": "4", "alerts": [{}]}), "`alertname`"),
            (
                json!({"version": "4", "alerts": [{"labels": {"alertname": "A"}}]}),
                "`startsAt`",
            ),
        ] {
            let error = validate(&webhook).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
