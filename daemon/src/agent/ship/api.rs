//! Blocks to the server's API: as they lie on disk, with a number by which a repeat is known.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::api::ErrorBody;
use kgrca_core::model::Topic;
use kgrca_core::storage::with_causes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER};

use super::Outcome;
use crate::agent::clock::Clock;
use crate::error::Failure;
use crate::secret::Secret;

/// How long to wait when the server does not know the key: nobody mends that within seconds.
const DENIED_REST: Duration = Duration::from_secs(15);

/// The server's API.
#[derive(Clone)]
pub struct Server {
    /// The client, with its certificates.
    pub http: reqwest::Client,
    /// The server's address, without a slash at its end.
    pub url: String,
    /// The key.
    pub key: Key,
    /// The cluster of alerts that name none.
    pub cluster: String,
}

/// The key, as a header. It is read anew where the server does not know it: somebody may have
/// changed it meanwhile.
#[derive(Clone)]
pub struct Key {
    secret: Secret,
    header: Arc<Mutex<HeaderValue>>,
}

impl Key {
    /// Reads the key.
    ///
    /// # Errors
    /// When its reference leads nowhere, or no key has such signs.
    pub fn open(secret: Secret) -> Result<Self, Failure> {
        let header = Arc::new(Mutex::new(Self::read(&secret)?));
        Ok(Self { secret, header })
    }

    fn read(secret: &Secret) -> Result<HeaderValue, Failure> {
        let mut header = HeaderValue::from_str(secret.resolved()?.trim()).map_err(|_| {
            Failure::new(
                "--api-key: it has signs that no key has",
                "look at the file or variable that it names",
            )
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// The header.
    pub fn header(&self) -> HeaderValue {
        self.header
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the key anew.
    pub fn refused(&self) {
        match Self::read(&self.secret) {
            Ok(header) => *self.header.lock().unwrap_or_else(PoisonError::into_inner) = header,
            Err(e) => tracing::warn!(error = %e, "cannot reload the API key"),
        }
    }
}

/// What an answer that is no success says.
pub async fn told(response: reqwest::Response) -> String {
    let status = response.status();
    response
        .json::<ErrorBody>()
        .await
        .map_or_else(|_| status.to_string(), |body| body.error.message)
}

/// Asks the server what time it is, once: records of a clock that is far off would be refused.
/// Without an answer the first block or heartbeat learns it.
pub async fn learn_time(server: &Server, clock: &Clock) {
    let asked = server
        .http
        .get(format!("{}/livez", server.url))
        .timeout(Duration::from_secs(3))
        .send()
        .await;
    if let Some(date) = asked
        .ok()
        .and_then(|a| a.headers().get(DATE)?.to_str().ok().map(str::to_owned))
    {
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
    pub(super) async fn send(
        &self,
        topic: Topic,
        number: String,
        body: Vec<u8>,
        clock: &Clock,
        wait: Duration,
    ) -> Outcome {
        let request = self
            .http
            .post(format!("{}/api/v1/ingest/{}", self.url, kind(topic)))
            .header("x-api-key", self.key.header())
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
                if matches!(
                    response.status(),
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
                ) {
                    self.key.refused();
                }
                outcome(response, wait).await
            }
            Err(e) => Outcome::Later(wait, with_causes(&e)),
        }
    }
}

async fn outcome(response: reqwest::Response, wait: Duration) -> Outcome {
    let status = response.status();
    let named = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok());
    let wait = named
        .map_or(wait, Duration::from_secs)
        .min(Duration::from_mins(5));
    if status == StatusCode::ACCEPTED {
        // It was taken, whatever it says.
        return Outcome::Taken(response.json().await.unwrap_or_default());
    }
    let told = told(response).await;
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Later(DENIED_REST, told),
        StatusCode::BAD_REQUEST => Outcome::Refused("refused", told),
        StatusCode::PAYLOAD_TOO_LARGE => Outcome::Refused("too_large", told),
        _ => Outcome::Later(wait, told),
    }
}
