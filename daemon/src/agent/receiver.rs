//! The agent's HTTP endpoints: probes, status, metrics, and Alertmanager's webhook.

mod alerts;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use kgrca_core::api::{AgentMode, AgentStatus};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;

use super::Shared;
use super::heartbeat::{self, Identity};
use super::outbox::Outbox;
use crate::admission::is_local;
pub(super) use alerts::NOTIFICATIONS;

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
    /// Whether metrics and status are for every caller.
    pub open_metrics: bool,
    /// Notifications that are received at a time.
    pub notifications: Semaphore,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
}

/// Longest time for a request.
const TIMEOUT: Duration = Duration::from_secs(30);

type Endpoint = State<Arc<Receiver>>;
type Refusal = (StatusCode, String);

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
    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let disabled = "alerts are disabled: the agent was started without --alerts-token\n";
        let Some(expected) = &self.token else {
            return Err((StatusCode::NOT_FOUND, disabled.into()));
        };
        let token = bearer(headers);
        let reason = match token {
            Some(token) if is_same(token, expected) => return Ok(()),
            Some(_) => "wrong bearer token",
            None => "bearer token missing",
        };
        let hint = "use the value of `alerts-token` in the agent's Secret";
        Err((StatusCode::UNAUTHORIZED, format!("{reason}; {hint}\n")))
    }

    /// Checks whether a caller may read what the agent does: metrics and status name kinds,
    /// counts and errors of the cluster.
    fn may_watch(&self, request: &Parts) -> Result<(), Refusal> {
        let token = self.token.as_ref().zip(bearer(&request.headers));
        let has_token = token.is_some_and(|(expected, sent)| is_same(sent, expected));
        if self.open_metrics || has_token || is_local(request) {
            return Ok(());
        }
        let text = "other machines need the bearer token `alerts-token` of the agent's Secret, or \
                    --open-metrics\n";
        Err((StatusCode::UNAUTHORIZED, text.into()))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}

/// The routes of the endpoints.
pub fn routes(receiver: Arc<Receiver>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async |State(r): Endpoint| r.readiness()))
        .route("/healthz", get(async |State(r): Endpoint| r.health()))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/alerts", alerts::route())
        .layer(from_fn(within_time))
        .with_state(receiver)
}

async fn within_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(TIMEOUT, next.run(request)).await;
    let late = "the request took too long\n";
    answer.unwrap_or_else(|_| (StatusCode::SERVICE_UNAVAILABLE, late).into_response())
}

async fn status(State(receiver): Endpoint, request: Parts) -> Result<Json<AgentStatus>, Refusal> {
    receiver.may_watch(&request)?;
    Ok(Json(receiver.status()))
}

async fn metrics(State(receiver): Endpoint, request: Parts) -> Result<String, Refusal> {
    receiver.may_watch(&request)?;
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
    Ok(receiver.metrics.render())
}

/// Compares in a time that does not reveal how much of the token is right.
fn is_same(token: &str, expected: &str) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(token) == Sha256::digest(expected)
}
