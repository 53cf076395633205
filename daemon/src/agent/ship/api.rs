//! Ships blocks to the server's API.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::api::ErrorBody;
use kgrca_core::model::Topic;
use kgrca_core::storage::with_causes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::Outcome;
use crate::agent::clock::Clock;
use crate::error::Failure;
use crate::secret::Secret;

/// Retry interval while the API key is refused, until an operator replaces it.
const RETRY_REFUSED_KEY: Duration = Duration::from_secs(15);
/// Maximum that a server's `Retry-After` is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);
const LEARN_TIME_TIMEOUT: Duration = Duration::from_secs(3);

/// The server's API.
#[derive(Clone)]
pub struct Server {
    /// HTTP client with timeouts and CA certificates.
    pub http: reqwest::Client,
    /// URL without a trailing slash.
    pub url: String,
    /// The tenant's key.
    pub key: ApiKey,
    /// Cluster of alerts that do not name one.
    pub cluster: String,
}

/// The API key as a header. It is read again when the server refuses it, because its file may have
/// been replaced.
#[derive(Clone)]
pub struct ApiKey {
    secret: Secret,
    header: Arc<Mutex<HeaderValue>>,
}

impl ApiKey {
    /// Reads the key.
    ///
    /// # Errors
    /// If its reference cannot be resolved, or it has characters that no key has.
    pub fn open(secret: Secret) -> Result<Self, Failure> {
        let header = Arc::new(Mutex::new(Self::read(&secret)?));
        Ok(Self { secret, header })
    }

    fn read(secret: &Secret) -> Result<HeaderValue, Failure> {
        let mut header = HeaderValue::from_str(secret.resolved()?.trim()).map_err(|_| {
            Failure::new(
                "--api-key: invalid characters in the key",
                "check the file or variable it refers to",
            )
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// The value of the header `X-API-Key`.
    pub fn header(&self) -> HeaderValue {
        self.header
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn reload(&self) {
        match Self::read(&self.secret) {
            Ok(header) => *self.header.lock().unwrap_or_else(PoisonError::into_inner) = header,
            Err(e) => tracing::warn!(error = %e, "cannot reload the API key"),
        }
    }
}

/// The message of an error response, or its status.
pub async fn error_message(response: Response) -> String {
    let status = response.status();
    match response.json::<ErrorBody>().await {
        Ok(body) => body.error.message,
        Err(_) => status.to_string(),
    }
}

/// Adjusts the clock to the server's before the first record, because records with times far in
/// the future are refused. Without a response, the first block or heartbeat does it.
pub async fn learn_time(server: &Server, clock: &Clock) {
    let response = server
        .http
        .get(format!("{}/livez", server.url))
        .timeout(LEARN_TIME_TIMEOUT)
        .send()
        .await;
    if let Ok(response) = response {
        adjust(clock, &response);
    }
}

fn adjust(clock: &Clock, response: &Response) {
    if let Some(date) = response.headers().get(DATE).and_then(|d| d.to_str().ok()) {
        clock.adjust(date);
    }
}

fn is_denied(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// A block on its way to the API.
pub(super) struct Outgoing {
    pub topic: Topic,
    /// Idempotency key: the server recognizes a repeat by it.
    pub number: String,
    /// Lines, compressed with zstd.
    pub body: Vec<u8>,
}

impl Server {
    /// Follows what any response says about the clock and the key.
    pub fn note_response(&self, response: &Response, clock: &Clock) {
        adjust(clock, response);
        if is_denied(response.status()) {
            self.key.reload();
        }
    }

    /// Sends a block. `retry` is when to retry unless the server says so.
    pub(super) async fn send(&self, block: Outgoing, clock: &Clock, retry: Duration) -> Outcome {
        let Some(route) = block.topic.signal().route else {
            return Outcome::Refused {
                reason: "unknown_topic",
                message: format!("the API does not accept the topic {}", block.topic.as_str()),
            };
        };
        let request = self
            .http
            .post(format!("{}/api/v1/ingest/{route}", self.url))
            .header("x-api-key", self.key.header())
            .header("x-cluster", &self.cluster)
            .header("idempotency-key", block.number)
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(CONTENT_ENCODING, "zstd")
            .body(block.body);
        match request.send().await {
            Ok(response) => {
                self.note_response(&response, clock);
                outcome(response, retry).await
            }
            Err(e) => Outcome::Retry {
                after: retry,
                message: with_causes(&e),
            },
        }
    }
}

async fn outcome(response: Response, retry: Duration) -> Outcome {
    let status = response.status();
    if status == StatusCode::ACCEPTED {
        // Accepted even if the body cannot be read.
        return Outcome::Accepted(response.json().await.unwrap_or_default());
    }
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok())
        .map(Duration::from_secs);
    let message = error_message(response).await;
    let refused = |reason, message| Outcome::Refused { reason, message };
    match status {
        StatusCode::BAD_REQUEST => refused("refused", message),
        StatusCode::PAYLOAD_TOO_LARGE => refused("too_large", message),
        _ if is_denied(status) => Outcome::Retry {
            after: RETRY_REFUSED_KEY,
            message,
        },
        _ => Outcome::Retry {
            after: retry_after.unwrap_or(retry).min(MAX_RETRY_AFTER),
            message,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_block_of_a_topic_that_the_api_does_not_accept_is_refused_before_it_is_sent() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Server {
            http: reqwest::Client::new(),
            url: "http://127.0.0.1:1".to_owned(),
            key: ApiKey::open("k".parse().unwrap()).unwrap(),
            cluster: "prod".to_owned(),
        };
        let block = Outgoing {
            topic: Topic::Control,
            number: "a-1".to_owned(),
            body: Vec::new(),
        };
        let outcome = server.send(block, &Clock::default(), Duration::ZERO).await;
        let Outcome::Refused { reason, message } = outcome else {
            panic!("sent under another topic");
        };
        assert_eq!(reason, "unknown_topic");
        assert!(message.contains("control"), "{message}");
    }

    #[test]
    fn every_topic_of_the_agent_has_an_ingest_path() {
        for topic in crate::agent::topics() {
            assert!(topic.signal().route.is_some(), "{}", topic.as_str());
        }
    }
}
