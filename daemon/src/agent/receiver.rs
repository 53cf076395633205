//! The agent's own door: probes, how it fares, and Alertmanager's webhook (version 4).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use kgrca_core::api::{AgentMode, AgentStatus};
use kgrca_core::model::{Time, Topic};
use kgrca_core::parse::{self, Context};
use tokio::sync::oneshot;

use super::clock::Clock;
use super::health::Health;
use super::heartbeat::{self, Identity};
use super::outbox::{Given, Outbox, Store};

/// What the door needs.
pub struct Door {
    /// Who this agent is.
    pub identity: Identity,
    /// What waits.
    pub store: Arc<Store>,
    /// How it fares.
    pub health: Arc<Health>,
    /// The server's time.
    pub clock: Arc<Clock>,
    /// Where alerts go.
    pub outbox: Outbox,
    /// What Alertmanager must send.
    pub token: Option<String>,
    /// Writes the metrics.
    pub metrics: metrics_exporter_prometheus::PrometheusHandle,
}

/// The routes.
pub fn routes(door: Arc<Door>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/healthz", get(well))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/alerts", post(alerts))
        .with_state(door)
}

async fn status(State(door): State<Arc<Door>>) -> Json<AgentStatus> {
    Json(heartbeat::status(
        &door.identity,
        &door.store,
        &door.health,
        &door.clock,
    ))
}

async fn metrics(State(door): State<Arc<Door>>) -> String {
    let told = heartbeat::status(&door.identity, &door.store, &door.health, &door.clock);
    metrics::gauge!("kg_agent_lag_seconds").set(told.lag_seconds as f64);
    metrics::gauge!("kg_agent_spooled_bytes").set(told.spooled_bytes as f64);
    for (outcome, by_topic) in [("seen", &told.seen), ("shipped", &told.shipped)] {
        for (topic, n) in by_topic {
            metrics::counter!("kg_agent_records_total", "topic" => topic.clone(), "outcome" => outcome).absolute(*n);
        }
    }
    for (topic, reasons) in &told.dropped {
        for (reason, n) in reasons {
            let labels = [("topic", topic.clone()), ("reason", reason.clone())];
            metrics::counter!("kg_agent_dropped_total", &labels).absolute(*n);
        }
    }
    door.metrics.render()
}

/// Ready is who sees something, or whose node has no logs yet.
async fn ready(State(door): State<Arc<Door>>) -> (StatusCode, String) {
    let kinds = door.health.kinds();
    let troubles: Vec<String> = kinds
        .iter()
        .filter_map(|k| k.trouble.as_ref().map(|t| format!("{}: {t}\n", k.kind)))
        .collect();
    if !kinds.is_empty() && troubles.len() == kinds.len() {
        return (StatusCode::SERVICE_UNAVAILABLE, troubles.concat());
    }
    (StatusCode::OK, format!("ok\n{}", troubles.concat()))
}

/// Well is who is ready and whose records are taken. Probes do not ask for it: alerts are taken all
/// the while.
async fn well(State(door): State<Arc<Door>>) -> (StatusCode, String) {
    let (status, mut text) = ready(State(Arc::clone(&door))).await;
    let told = heartbeat::status(&door.identity, &door.store, &door.health, &door.clock);
    // A node may have no logs for long.
    let must_ship = told.mode == AgentMode::Watch || told.spooled.values().any(|n| *n > 0);
    let ships_not = must_ship && told.shipped.values().all(|n| *n == 0);
    let trouble = told
        .shipping_trouble
        .or_else(|| ships_not.then(|| "nothing was shipped yet".to_owned()));
    let Some(trouble) = trouble else {
        return (status, text);
    };
    text = text.replacen("ok\n", "", 1) + &trouble + "\n";
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

/// Takes a notification; it is answered when it is durable, else Alertmanager sends it again.
async fn alerts(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let Some(token) = &door.token else {
        return (
            StatusCode::NOT_FOUND,
            "this agent takes no alerts: it was started without --alerts-token\n".into(),
        );
    };
    let given = headers
        .get("authorization")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "));
    let refused = |why: &str| {
        (
            StatusCode::UNAUTHORIZED,
            format!("{why}; it is `alerts-token` in the agent's Secret\n"),
        )
    };
    match given {
        None => return refused("a bearer token is missing"),
        Some(given) if !is_same(given, token) => return refused("the bearer token is another one"),
        Some(_) => {}
    }
    let context = Context {
        received_at: door.clock.now(),
        cluster: Some(&door.identity.cluster),
        client_id: None,
    };
    if let Err(reject) = parse::parse(Topic::Alerts, &body, &context, &mut Vec::new()) {
        return (StatusCode::BAD_REQUEST, format!("{}\n", reject.message));
    }
    let Ok(webhook) = serde_json::from_slice::<serde_json::Value>(&body) else {
        return (StatusCode::BAD_REQUEST, "the body is not JSON\n".into());
    };
    if let Err(why) = sound(&webhook) {
        return (StatusCode::BAD_REQUEST, format!("{why}\n"));
    }
    // On one line, as records lie in the spool.
    let line = webhook.to_string().into_bytes();
    let (durable, is_durable) = oneshot::channel();
    door.outbox
        .give(Given::Record {
            topic: Topic::Alerts,
            replaces: None,
            line,
            position: None,
            durable: Some(durable),
        })
        .await;
    match is_durable.await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the agent is leaving\n".into(),
        ),
    }
}

/// Checks what the server does not insist on, because others send alerts one by one.
fn sound(webhook: &serde_json::Value) -> Result<(), String> {
    if webhook["version"] != "4" {
        return Err(format!(
            "this is no webhook of version 4, but of version {}",
            webhook["version"]
        ));
    }
    for (index, alert) in webhook["alerts"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        if !alert["labels"]["alertname"].is_string() {
            return Err(format!("alert {index} has no label `alertname`"));
        }
        if alert["startsAt"].as_str().and_then(Time::parse).is_none() {
            return Err(format!("alert {index} has no time `startsAt`"));
        }
    }
    Ok(())
}

/// Compares without telling by its time how much of it is right.
fn is_same(given: &str, wanted: &str) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(given) == Sha256::digest(wanted)
}
