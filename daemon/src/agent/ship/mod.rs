//! Sends blocks to where they go, each topic in its order, and again until they are taken.

mod api;
mod kafka;

use std::sync::Arc;
use std::time::Duration;

use kgrca_core::api::Ingested;
use kgrca_core::model::Topic;
use kgrca_core::parse::Reason;

use super::clock::Clock;
use super::health::Health;
use super::outbox::Store;
use super::spool::Block;
pub use api::{Key, Server, learn_time, told};
pub use kafka::Kafka;

const FIRST_REST: Duration = Duration::from_millis(500);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Where blocks go.
#[derive(Clone)]
pub enum Target {
    /// To the server's API.
    Api(Server),
    /// To the tenant's topics in Kafka.
    Kafka(Arc<Kafka>),
}

/// What becomes of a block.
enum Outcome {
    /// By the server, who counts what it refused; or by Kafka, and then what was refused went
    /// nowhere.
    Taken(Ingested),
    /// Never to be taken, and why.
    Refused(&'static str, String),
    /// To be sent again, not before.
    Later(Duration, String),
}

/// Ships the blocks of a topic until it is dropped.
pub async fn ship(
    topic: Topic,
    target: Target,
    store: Arc<Store>,
    health: Arc<Health>,
    clock: Arc<Clock>,
) {
    let mut rest = FIRST_REST;
    loop {
        let filled = store.filled.notified();
        let next = store.spool().next(topic);
        let Some(block) = next else {
            filled.await;
            continue;
        };
        let outcome = send(&target, &store, &block, &clock, rest).await;
        match outcome {
            Outcome::Taken(answer) => {
                rest = FIRST_REST;
                if health.ships(topic.as_str(), None) {
                    tracing::info!(topic = topic.as_str(), "records are taken again");
                }
                let by_kafka = matches!(target, Target::Kafka(_));
                for refused in &answer.rejected {
                    // On the way to Kafka it is among the drops.
                    if !by_kafka {
                        health.refused(&refused.reason);
                    }
                    tracing::warn!(
                        reason = refused.reason,
                        message = refused.message,
                        "a record is refused"
                    );
                }
                // By now its clock is known.
                let was_early = answer
                    .rejected
                    .iter()
                    .any(|r| r.reason == Reason::FarFuture.as_str());
                let left_out = if by_kafka {
                    answer.rejected.len() as u64
                } else {
                    0
                };
                end(&store, move |spool| {
                    spool.shipped(block.id, left_out, was_early)
                })
                .await;
            }
            Outcome::Refused(reason, message) => {
                tracing::error!(
                    reason,
                    message,
                    records = block.records,
                    "a block is refused"
                );
                // That it was lost is told as a loss; nothing is in the way of the next.
                health.ships(topic.as_str(), None);
                end(&store, move |spool| spool.drop_block(block.id, reason)).await;
            }
            Outcome::Later(wait, why) => {
                // Once for each reason: it is tried again for as long as it takes.
                let told = health.shipping_of(topic.as_str());
                if told.is_none_or(|told| without_numbers(&told) != without_numbers(&why)) {
                    tracing::warn!(topic = topic.as_str(), why, "records wait");
                }
                health.ships(topic.as_str(), Some(why));
                tokio::time::sleep(wait).await;
                rest = (rest * 2).min(LONGEST_REST);
            }
        }
    }
}

/// A reason without what changes from try to try: times, counts.
fn without_numbers(why: &str) -> String {
    why.replace(|c: char| c.is_ascii_digit(), "")
}

/// Writes down what became of a block; when the disk does not take it, the block is sent again, and
/// known as a repeat.
async fn end(
    store: &Arc<Store>,
    work: impl FnOnce(&mut super::spool::Spool) -> std::io::Result<()> + Send + 'static,
) {
    if let Err(e) = store.work(work).await {
        tracing::error!(error = %e, "what became of a block cannot be written down");
        tokio::time::sleep(FIRST_REST).await;
    }
    store.changed();
}

async fn send(
    target: &Target,
    store: &Arc<Store>,
    block: &Block,
    clock: &Clock,
    rest: Duration,
) -> Outcome {
    let own = block.clone();
    let body = match store.work(move |spool| spool.body(&own)).await {
        Ok(body) => body,
        // Given up meanwhile, to make room; or the disk took it.
        Err(e) if store.spool().next(block.topic).as_ref() == Some(block) => {
            return Outcome::Refused("damaged", e.to_string());
        }
        Err(e) => return Outcome::Later(FIRST_REST, e.to_string()),
    };
    let jitter = rest.mul_f64(rand::random_range(0.5..1.5));
    match target {
        Target::Api(server) => {
            let number = format!("{}-{}", store.spool().id(), block.id);
            server.send(block.topic, number, body, clock, jitter).await
        }
        Target::Kafka(kafka) => kafka.send(block.topic, body, clock.now(), jitter).await,
    }
}
