//! Events of the HTTP listeners.

use std::net::SocketAddr;

/// An HTTP request was answered.
pub struct RequestAnswered<'a> {
    /// Pattern of the route, e.g. `/api/v1/incidents/{id}`.
    pub route: &'a str,
    /// HTTP status code.
    pub status: u16,
    /// Duration in seconds.
    pub seconds: f64,
    /// Id of the request, as in the response header.
    pub request_id: &'a str,
}

impl RequestAnswered<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        metrics::histogram!("kg_http_request_duration_seconds", "route" => self.route.to_owned())
            .record(self.seconds);
        metrics::counter!(
            "kg_http_requests_total",
            "route" => self.route.to_owned(),
            "status" => self.status.to_string(),
        )
        .increment(1);
        tracing::debug!(
            route = self.route,
            status = self.status,
            seconds = self.seconds,
            request_id = self.request_id,
            "request answered"
        );
    }
}

/// The daemon is ready to serve.
pub struct Serving {
    /// Address of the API.
    pub api: SocketAddr,
    /// Address of the metrics.
    pub metrics: SocketAddr,
}

impl Serving {
    /// Logs the event.
    pub fn emit(&self) {
        metrics::gauge!("graph_builder_up").set(1.0);
        tracing::info!(api = %self.api, metrics = %self.metrics, "serving");
    }
}
