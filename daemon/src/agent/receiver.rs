//! The agent's HTTP endpoints: probes, status, metrics, and Alertmanager's webhook (version 4).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use kgrca_core::api::{AgentMode, AgentStatus};
use kgrca_core::model::{Time, Topic};
use kgrca_core::parse::{self, Context};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use tokio::sync::oneshot;

use super::Shared;
use super::heartbeat::{self, Identity};
use super::outbox::{Outbox, OutboxItem, OutgoingRecord};

/// What the endpoints need.
pub struct Receiver {
    /// Name and mode of this agent.
    pub identity: Identity,
    /// State that the agent's tasks share.
    pub shared: Shared,
    /// Where alerts go.
    pub outbox: Outbox,
    /// Bearer token that Alertmanager has to send; without it alerts are not accepted.
    pub token: Option<String>,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
}

type Endpoint = State<Arc<Receiver>>;

impl Receiver {
    fn status(&self) -> AgentStatus {
        heartbeat::status(&self.identity, &self.shared)
    }

    /// Ready: at least one source is read, or there is none yet (a node without pods).
    fn readiness(&self) -> (StatusCode, String) {
        let kinds = self.shared.health.kinds();
        let troubles: Vec<String> = kinds
            .iter()
            .filter_map(|k| k.trouble.as_ref().map(|t| format!("{}: {t}\n", k.kind)))
            .collect();
        if !kinds.is_empty() && troubles.len() == kinds.len() {
            return (StatusCode::SERVICE_UNAVAILABLE, troubles.concat());
        }
        (StatusCode::OK, format!("ok\n{}", troubles.concat()))
    }

    /// Healthy: ready, and records are accepted by the server. Kubernetes does not probe this: an
    /// agent whose server is away still has to receive alerts.
    fn health(&self) -> (StatusCode, String) {
        let (ready, text) = self.readiness();
        let status = self.status();
        // A node may have no logs for a long time.
        let should_ship =
            status.mode == AgentMode::Watch || status.spooled.values().any(|n| *n > 0);
        let has_shipped = status.shipped.values().any(|n| *n > 0);
        let trouble = match status.shipping_trouble {
            Some(trouble) => trouble,
            None if should_ship && !has_shipped => "no records shipped yet".to_owned(),
            None => return (ready, text),
        };
        let text = format!("{}{trouble}\n", text.replacen("ok\n", "", 1));
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// Checks the bearer token of an alert.
    fn authorize(&self, headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
        let Some(expected) = &self.token else {
            return Err((
                StatusCode::NOT_FOUND,
                "alerts are disabled: the agent was started without --alerts-token\n".into(),
            ));
        };
        let token = headers
            .get("authorization")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.strip_prefix("Bearer "));
        let reason = match token {
            Some(token) if is_same(token, expected) => return Ok(()),
            Some(_) => "wrong bearer token",
            None => "bearer token missing",
        };
        let hint = "use the value of `alerts-token` in the agent's Secret";
        Err((StatusCode::UNAUTHORIZED, format!("{reason}; {hint}\n")))
    }
}

/// The routes of the endpoints.
pub fn routes(receiver: Arc<Receiver>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async |State(r): Endpoint| r.readiness()))
        .route("/healthz", get(async |State(r): Endpoint| r.health()))
        .route("/status", get(async |State(r): Endpoint| Json(r.status())))
        .route("/metrics", get(metrics))
        .route("/alerts", post(alerts))
        .with_state(receiver)
}

async fn metrics(State(receiver): Endpoint) -> String {
    let status = receiver.status();
    metrics::gauge!("kg_agent_lag_seconds").set(status.lag_seconds as f64);
    metrics::gauge!("kg_agent_spooled_bytes").set(status.spooled_bytes as f64);
    for (outcome, by_topic) in [("seen", &status.seen), ("shipped", &status.shipped)] {
        for (topic, n) in by_topic {
            let labels = [("topic", topic.clone()), ("outcome", outcome.to_owned())];
            metrics::counter!("kg_agent_records_total", &labels).absolute(*n);
        }
    }
    for (topic, reasons) in &status.dropped {
        for (reason, n) in reasons {
            let labels = [("topic", topic.clone()), ("reason", reason.clone())];
            metrics::counter!("kg_agent_dropped_total", &labels).absolute(*n);
        }
    }
    receiver.metrics.render()
}

/// Accepts a notification. Answers once it is on disk; without an answer Alertmanager retries.
async fn alerts(
    State(receiver): Endpoint,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    if let Err(refusal) = receiver.authorize(&headers) {
        return refusal;
    }
    let context = Context {
        received_at: receiver.shared.clock.now(),
        cluster: Some(&receiver.identity.cluster),
        client_id: None,
    };
    if let Err(reject) = parse::parse(Topic::Alerts, &body, &context, &mut Vec::new()) {
        return (StatusCode::BAD_REQUEST, format!("{}\n", reject.message));
    }
    let Ok(webhook) = serde_json::from_slice::<Value>(&body) else {
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
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the agent is shutting down\n".into(),
        ),
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

/// Compares in a time that does not reveal how much of the token is right.
fn is_same(token: &str, expected: &str) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(token) == Sha256::digest(expected)
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
