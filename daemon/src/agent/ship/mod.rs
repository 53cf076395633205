//! Ships blocks: those of a topic in order, each until it is accepted or refused for good.

mod api;
mod kafka;

use std::sync::Arc;
use std::time::Duration;

use kgrca_core::api::Ingested;
use kgrca_core::model::Topic;
use kgrca_core::parse::Reason;

use super::Shared;
use super::outbox::SharedSpool;
use super::spool::{Block, Delivery, Spool};
pub use api::{ApiKey, Server, error_message, learn_time, unreachable};
pub use kafka::Kafka;

const FIRST_RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Where blocks go.
#[derive(Clone)]
pub enum Target {
    /// The server's API.
    Api(Server),
    /// The tenant's topics in Kafka.
    Kafka(Arc<Kafka>),
}

/// Result of sending a block.
enum Outcome {
    /// Accepted but for the rejected records. The server's API keeps and counts those; on the way
    /// to Kafka they were left out.
    Accepted(Ingested),
    /// Refused for good.
    Refused {
        /// Reason, as in the counts of drops.
        reason: &'static str,
        message: String,
    },
    /// Not accepted yet.
    Retry { after: Duration, message: String },
}

/// Ships the blocks of a topic until the task is dropped.
pub async fn run(topic: Topic, target: Target, shared: Shared) {
    let mut retry = FIRST_RETRY;
    loop {
        let changed = shared.spool.changed.notified();
        let oldest = shared.spool.lock().oldest(topic);
        let Some(block) = oldest else {
            changed.await;
            continue;
        };
        match send(&target, &shared, &block, retry).await {
            Outcome::Accepted(ingested) => {
                retry = FIRST_RETRY;
                let to_kafka = matches!(target, Target::Kafka(_));
                accepted(&shared, &block, &ingested, to_kafka).await;
            }
            Outcome::Refused { reason, message } => {
                tracing::error!(reason, message, records = block.records, "block refused");
                // The loss is reported as such; it does not hold up the next block.
                shared.health.shipping_ok(topic.as_str());
                finish(&shared.spool, move |spool| {
                    spool.drop_block(block.id, reason)
                })
                .await;
            }
            Outcome::Retry { after, message } => {
                let known = shared
                    .health
                    .shipping_failed(topic.as_str(), message.clone())
                    .is_some_and(|before| without_numbers(&before) == without_numbers(&message));
                // Logged once per reason: retries continue for as long as it takes.
                if !known {
                    tracing::warn!(topic = topic.as_str(), message, "cannot ship, retrying");
                }
                tokio::time::sleep(after).await;
                retry = (retry * 2).min(MAX_RETRY);
            }
        }
    }
}

async fn accepted(shared: &Shared, block: &Block, ingested: &Ingested, to_kafka: bool) {
    let topic = block.topic.as_str();
    if shared.health.shipping_ok(topic) {
        tracing::info!(topic, "shipping works again");
    }
    for rejected in &ingested.rejected {
        // On the way to Kafka they are counted as drops.
        if !to_kafka {
            shared.health.record_refused(&rejected.reason);
        }
        tracing::warn!(
            topic,
            reason = rejected.reason,
            message = rejected.message,
            "record refused"
        );
    }
    let rejected = ingested.rejected_total();
    // Records refused for a wrong clock are sent again: the response corrected the clock.
    let too_early = |reason: &str| reason == Reason::FarFuture.as_str();
    let delivery = Delivery {
        left_out: if to_kafka { rejected } else { 0 },
        resend_state: ingested.rejected.iter().any(|r| too_early(&r.reason)),
    };
    let id = block.id;
    finish(&shared.spool, move |spool| spool.mark_shipped(id, delivery)).await;
}

/// A message without digits, which change from try to try (times, counts).
fn without_numbers(message: &str) -> String {
    message.replace(|c: char| c.is_ascii_digit(), "")
}

/// Accounts for a block. If the disk refuses that, the block is sent again, as a repeat that the
/// server recognizes.
async fn finish(
    spool: &Arc<SharedSpool>,
    account: impl FnOnce(&mut Spool) -> std::io::Result<()> + Send + 'static,
) {
    if let Err(e) = spool.run(account).await {
        tracing::error!(error = %e, "cannot write the spool's checkpoint; the block is sent again");
        tokio::time::sleep(FIRST_RETRY).await;
    }
    spool.notify_changed();
}

async fn send(target: &Target, shared: &Shared, block: &Block, retry: Duration) -> Outcome {
    let own = block.clone();
    let body = match shared.spool.run(move |spool| spool.body(&own)).await {
        Ok(body) => body,
        Err(e) if shared.spool.lock().oldest(block.topic).as_ref() == Some(block) => {
            return Outcome::Refused {
                reason: "damaged",
                message: e.to_string(),
            };
        }
        // It was evicted meanwhile.
        Err(e) => {
            return Outcome::Retry {
                after: FIRST_RETRY,
                message: e.to_string(),
            };
        }
    };
    let after = retry.mul_f64(rand::random_range(0.5..1.5));
    match target {
        Target::Api(server) => {
            let number = format!("{}-{}", shared.spool.lock().id(), block.id);
            let outgoing = api::Outgoing {
                topic: block.topic,
                number,
                body,
            };
            server.send(outgoing, &shared.clock, after).await
        }
        Target::Kafka(kafka) => {
            kafka
                .send(block.topic, body, shared.clock.now(), after)
                .await
        }
    }
}
