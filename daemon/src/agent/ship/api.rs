//! Ships blocks to the server's API.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::api::{ErrorBody, tls_hint};
use kgrca_core::model::Topic;
use kgrca_core::storage::with_causes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;

use super::Outcome;
use crate::agent::clock::Clock;
use crate::error::Failure;
use crate::secret::Secret;

/// Retry interval while the API key is refused, until an operator replaces it.
const RETRY_REFUSED_KEY: Duration = Duration::from_secs(15);
/// Maximum that a server's `Retry-After` is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);
const LEARN_TIME_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;

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

/// The message of an error response, or its status; of a redirect, where it leads.
pub async fn error_message(response: Response) -> String {
    let status = response.status();
    if let Some(to) = response.headers().get(LOCATION)
        && status.is_redirection()
    {
        let to = String::from_utf8_lossy(to.as_bytes());
        let host = response.url().host_str().unwrap_or_default();
        return format!("{host} redirects to {to} ({status}), which is not followed: fix --server");
    }
    match answer::<ErrorBody>(response).await {
        Ok(body) => body.error.message,
        Err(_) => status.to_string(),
    }
}

/// Why a server cannot be reached, and what to do about it where that is known.
pub fn unreachable(error: &reqwest::Error) -> String {
    let why = with_causes(error);
    match tls_hint(&why, "--ca-file", "--client-cert and --client-key") {
        Some(hint) => format!("{why}; {hint}"),
        None => why,
    }
}

/// The JSON of a response. A server, or what poses as one, must not fill the agent's memory.
async fn answer<T: DeserializeOwned>(mut response: Response) -> Result<T, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| with_causes(&e))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(format!("the answer is larger than {MAX_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|e| format!("unexpected answer of the server: {e}"))
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
                message: unreachable(&e),
            },
        }
    }
}

async fn outcome(response: Response, retry: Duration) -> Outcome {
    let status = response.status();
    if status == StatusCode::ACCEPTED {
        // Something in between may answer 202, too. A repeat is recognized by its number.
        return match answer(response).await {
            Ok(ingested) => Outcome::Accepted(ingested),
            Err(message) => Outcome::Retry {
                after: retry,
                message,
            },
        };
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
    use kgrca_core::api::Ingested;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::agent::config::settings_for_tests;

    /// What becomes of a block when the server answers with these bytes; a second request, to
    /// wherever the first answer leads, fails the test.
    async fn outcome_of(answer: String) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = settings_for_tests(&["--server", &format!("http://127.0.0.1:{port}")]);
        let server = crate::agent::startup::server(&settings).unwrap();
        let answer = answer.replace("PORT", &port.to_string());
        let once = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 64 << 10];
            let _ = stream.read(&mut request).await.unwrap();
            // A body that is refused half-way ends the connection.
            let _ = stream.write_all(answer.as_bytes()).await;
            drop(stream);
            let second = tokio::time::timeout(Duration::from_millis(200), listener.accept());
            assert!(second.await.is_err(), "a second request");
        });
        let block = Outgoing {
            topic: Topic::Logs,
            number: "a-1".to_owned(),
            body: b"{}".to_vec(),
        };
        let outcome = server.send(block, &Clock::default(), Duration::ZERO).await;
        once.await.unwrap();
        outcome
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_and_the_block_is_kept() {
        for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n");
            let to = "location: http://127.0.0.1:PORT/other\r\n\r\n";
            let Outcome::Retry { message, .. } = outcome_of(format!("{head}{to}")).await else {
                panic!("{status}: not kept");
            };
            assert!(
                message.contains("redirects to http://127.0.0.1:"),
                "{message}"
            );
        }
    }

    #[tokio::test]
    async fn only_an_answer_of_the_server_counts_as_shipped() {
        let large = format!("{{\"x\": \"{}\"}}", "x".repeat(2 * MAX_ANSWER));
        for body in ["", "<html>queued</html>", "{}", &large] {
            let head = format!(
                "HTTP/1.1 202 Accepted\r\ncontent-length: {}\r\n",
                body.len()
            );
            let outcome = outcome_of(format!("{head}\r\n{body}")).await;
            let shown = &body[..body.len().min(30)];
            assert!(matches!(outcome, Outcome::Retry { .. }), "{shown}");
        }
        let body = serde_json::to_string(&Ingested::default()).unwrap();
        let head = format!(
            "HTTP/1.1 202 Accepted\r\ncontent-length: {}\r\n",
            body.len()
        );
        let outcome = outcome_of(format!("{head}\r\n{body}")).await;
        assert!(matches!(outcome, Outcome::Accepted(_)));
    }

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
