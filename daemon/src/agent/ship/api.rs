//! Blocks to the server's API: as they lie on disk, with a number by which a repeat is known.

use std::time::Duration;

use kgrca_core::api::ErrorBody;
use kgrca_core::model::Topic;
use kgrca_core::storage::with_causes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, RETRY_AFTER};

use super::Outcome;
use crate::agent::clock::Clock;

/// How long to wait when the server does not know the key: nobody mends that within seconds.
const DENIED_REST: Duration = Duration::from_secs(15);

/// The server's API.
#[derive(Clone)]
pub struct Server {
    /// The client, with its certificates.
    pub http: reqwest::Client,
    /// The server's address, without a slash at its end.
    pub url: String,
    /// The key, as a header.
    pub key: reqwest::header::HeaderValue,
    /// The cluster of alerts that name none.
    pub cluster: String,
}

/// Asks the server what time it is, once: records of a clock that is far off would be refused. Without an answer the first
/// block or heartbeat learns it.
pub async fn learn_time(server: &Server, clock: &Clock) {
    let asked = server.http.get(format!("{}/livez", server.url)).timeout(Duration::from_secs(3)).send().await;
    if let Some(date) = asked.ok().and_then(|a| a.headers().get(DATE)?.to_str().ok().map(str::to_owned)) {
        clock.set(&date);
    }
}

fn kind(topic: Topic) -> &'static str {
    match topic {
        Topic::Resource => "resources",
        Topic::Topology => "topology",
        Topic::Logs => "logs",
        Topic::Alerts => "alerts",
        _ => "events",
    }
}

impl Server {
    /// Sends a block of compressed lines; `wait` is how long to wait where the server does not say.
    pub(super) async fn send(&self, topic: Topic, number: String, body: Vec<u8>, clock: &Clock, wait: Duration) -> Outcome {
        let request = self
            .http
            .post(format!("{}/api/v1/ingest/{}", self.url, kind(topic)))
            .header("x-api-key", self.key.clone())
            .header("x-cluster", &self.cluster)
            .header("idempotency-key", number)
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(CONTENT_ENCODING, "zstd")
            .body(body);
        match request.send().await {
            Ok(response) => {
                if let Some(date) = response.headers().get(DATE).and_then(|d| d.to_str().ok()) {
                    clock.set(date);
                }
                outcome(response, wait).await
            }
            Err(e) => Outcome::Later(wait, with_causes(&e)),
        }
    }
}

async fn outcome(response: reqwest::Response, wait: Duration) -> Outcome {
    let status = response.status();
    let named = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let wait = named.map_or(wait, Duration::from_secs).min(Duration::from_mins(5));
    if status == StatusCode::ACCEPTED {
        // It was taken, whatever it says.
        return Outcome::Taken(response.json().await.unwrap_or_default());
    }
    let told = response.json::<ErrorBody>().await.map_or_else(|_| status.to_string(), |body| body.error.message);
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Later(DENIED_REST, told),
        StatusCode::BAD_REQUEST => Outcome::Refused("refused", told),
        StatusCode::PAYLOAD_TOO_LARGE => Outcome::Refused("too_large", told),
        _ => Outcome::Later(wait, told),
    }
}
