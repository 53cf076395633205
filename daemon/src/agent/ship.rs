//! Sends blocks to the server, each topic in its order, and again until they are taken.

use std::sync::Arc;
use std::time::Duration;

use kgrca_core::api::{ErrorBody, Ingested};
use kgrca_core::model::Topic;
use kgrca_core::parse::Reason;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, RETRY_AFTER};

use super::clock::Clock;
use super::health::Health;
use super::outbox::Store;
use super::spool::Block;

const FIRST_REST: Duration = Duration::from_millis(500);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// How long to wait when the server does not know the key: nobody mends that within seconds.
const DENIED_REST: Duration = Duration::from_secs(15);

/// Where blocks go.
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
/// block learns it.
pub async fn learn_time(server: &Server, clock: &Clock) {
    let asked = server.http.get(format!("{}/livez", server.url)).timeout(Duration::from_secs(3)).send().await;
    if let Some(date) = asked.ok().and_then(|a| a.headers().get(DATE)?.to_str().ok().map(str::to_owned)) {
        clock.set(&date);
    }
}

/// What becomes of a block.
enum Outcome {
    Taken(Ingested),
    /// Never to be taken, and why.
    Refused(&'static str, String),
    /// To be sent again, not before.
    Later(Duration, String),
}

/// Ships the blocks of a topic until it is dropped.
pub async fn ship(topic: Topic, server: Server, store: Arc<Store>, health: Arc<Health>, clock: Arc<Clock>) {
    let mut rest = FIRST_REST;
    loop {
        let filled = store.filled.notified();
        let next = store.spool().next(topic);
        let Some(block) = next else {
            filled.await;
            continue;
        };
        let outcome = send(&server, &store, &block, &clock, rest).await;
        match outcome {
            Outcome::Taken(answer) => {
                rest = FIRST_REST;
                health.ships(topic.as_str(), None);
                for refused in &answer.rejected {
                    health.refused(&refused.reason);
                    tracing::warn!(reason = refused.reason, message = refused.message, "the server refused a record");
                }
                // By now its clock is known.
                let was_early = answer.rejected.iter().any(|r| r.reason == Reason::FarFuture.as_str());
                end(&store, move |spool| spool.shipped(block.id, was_early)).await;
            }
            Outcome::Refused(reason, message) => {
                tracing::error!(reason, message, records = block.records, "the server refuses a block");
                health.ships(topic.as_str(), Some(message));
                end(&store, move |spool| spool.drop_block(block.id, reason)).await;
            }
            Outcome::Later(wait, why) => {
                tracing::warn!(why, seconds = wait.as_secs_f64(), "records wait for the server");
                health.ships(topic.as_str(), Some(why));
                tokio::time::sleep(wait).await;
                rest = (rest * 2).min(LONGEST_REST);
            }
        }
    }
}

/// Writes down what became of a block; when the disk does not take it, the block is sent again, and known as a repeat.
async fn end(store: &Arc<Store>, work: impl FnOnce(&mut super::spool::Spool) -> std::io::Result<()> + Send + 'static) {
    if let Err(e) = store.work(work).await {
        tracing::error!(error = %e, "what became of a block cannot be written down");
        tokio::time::sleep(FIRST_REST).await;
    }
    store.changed();
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

async fn send(server: &Server, store: &Arc<Store>, block: &Block, clock: &Clock, rest: Duration) -> Outcome {
    let jitter = rest.mul_f64(rand::random_range(0.5..1.5));
    let own = block.clone();
    let body = match store.work(move |spool| spool.body(&own)).await {
        Ok(body) => body,
        // Given up meanwhile, to make room; or the disk took it.
        Err(e) if store.spool().next(block.topic).as_ref() == Some(block) => return Outcome::Refused("damaged", e.to_string()),
        Err(e) => return Outcome::Later(FIRST_REST, e.to_string()),
    };
    let number = format!("{}-{}", store.spool().id(), block.id);
    let request = server
        .http
        .post(format!("{}/api/v1/ingest/{}", server.url, kind(block.topic)))
        .header("x-api-key", server.key.clone())
        .header("x-cluster", &server.cluster)
        .header("idempotency-key", number)
        .header(CONTENT_TYPE, "application/x-ndjson")
        .header(CONTENT_ENCODING, "zstd")
        .body(body);
    match request.send().await {
        Ok(response) => {
            if let Some(date) = response.headers().get(DATE).and_then(|d| d.to_str().ok()) {
                clock.set(date);
            }
            outcome(response, jitter).await
        }
        Err(e) => Outcome::Later(jitter, super::reason(&e)),
    }
}

async fn outcome(response: reqwest::Response, jitter: Duration) -> Outcome {
    let status = response.status();
    let named = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let wait = named.map_or(jitter, Duration::from_secs).min(Duration::from_mins(5));
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
