//! `/metrics`: for whoever is on the same machine, and for operator keys with the scope `metrics`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;

use super::auth;
use super::error::ApiError;
use super::headers;
use crate::usecases::{App, system};

/// What the listener of metrics needs.
#[derive(Clone)]
struct Exporter {
    app: Arc<App>,
    handle: PrometheusHandle,
}

/// The listener of metrics. Its `/livez` is for the probes of pods without the API.
pub fn metrics_router(app: &Arc<App>, handle: PrometheusHandle) -> Router {
    let app = Arc::clone(app);
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || "ok"))
        .layer(axum::middleware::from_fn(headers::guard))
        .layer(axum::middleware::from_fn(auth::identify))
        .with_state(Exporter { app, handle })
}

async fn metrics(State(exporter): State<Exporter>, request: Parts) -> Result<String, ApiError> {
    let app = &exporter.app;
    let actor = if is_local(&request) {
        None
    } else {
        Some(auth::actor_of(app, &request).await?)
    };
    let text = exporter.handle.render();
    Ok(system::metrics(app, actor.as_ref(), text)?)
}

/// Whether a request comes from the same machine, and not through a proxy on it.
fn is_local(request: &Parts) -> bool {
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let shows_proxy = PROXY_HEADERS
        .iter()
        .any(|name| request.headers.contains_key(*name));
    let host = request
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let names_loopback = host.is_some_and(|host| {
        let socket = host.parse::<SocketAddr>().ok().map(|socket| socket.ip());
        let address = socket.or_else(|| host.parse().ok());
        address.is_some_and(is_loopback) || host.split(':').next() == Some("localhost")
    });
    peer.is_some_and(|ConnectInfo(peer)| is_loopback(peer.ip())) && names_loopback && !shows_proxy
}

/// What proxies add.
const PROXY_HEADERS: [&str; 4] = ["x-forwarded-for", "x-real-ip", "forwarded", "via"];
